//! Names and addresses: every answer is judged, exactly the checked address is dialled, and unlisted names are never looked up.

use super::egress::setup;
use super::support::{Raw, Setup, Upstream, allowing};

fn connect(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

fn policy(port: u16, network: &str) -> String {
    allowing(&format!(
        r#"
    - {{host: raw.internal, ports: [{port}], protocol: tcp}}
    - {{cidr: {network}, ports: [{port}], protocol: tcp}}
"#
    ))
}

#[tokio::test]
async fn rows_1_3_every_answer_is_judged() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = Setup::new(&policy(port, "127.0.0.1/32")).await.start().await;
    let cases: &[(&[&str], u16, &str)] = &[
        (&["10.0.0.1"], 403, "address"),
        (&["169.254.169.254"], 403, "address"),
        (&["127.0.0.2"], 403, "address"),
        (&["127.0.0.1", "10.0.0.1"], 403, "address"),
        (&["127.0.0.1", "fd00:ec2::254"], 403, "address"),
        (&["127.0.0.1", "::ffff:127.0.0.1"], 403, "address"),
        (&["fe80::1"], 403, "address"),
        (&["64:ff9b::7f00:1"], 403, "address"),
        (&[], 502, "resolve"),
    ];
    for (addresses, status, reason) in cases {
        sidecar.dns.set("raw.internal", addresses);
        let reply =
            Raw::connect(sidecar.proxy()).await.ask(connect(&format!("raw.internal:{port}"))).await;
        assert_eq!((reply.status, reply.reason().as_str()), (*status, *reason), "{addresses:?}");
    }
    assert_eq!(upstream.connections(), 0);
    sidecar.dns.set("raw.internal", &["127.0.0.1"]);
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    assert_eq!(agent.ask("GET / HTTP/1.1\r\n\r\n").await.text(), "never");
}

#[tokio::test]
async fn row_2_what_was_checked_is_what_is_dialled() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = Setup::new(&policy(port, "127.0.0.1/32")).await.start().await;
    sidecar.dns.set("raw.internal", &["127.0.0.1"]);
    let before = sidecar.dns.asked().len();
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    assert_eq!(sidecar.dns.asked().len() - before, 2, "A and AAAA, once");
    sidecar.dns.set("raw.internal", &["127.0.0.2"]);
    assert_eq!(agent.ask("GET / HTTP/1.1\r\n\r\n").await.text(), "hello");
    let reply =
        Raw::connect(sidecar.proxy()).await.ask(connect(&format!("raw.internal:{port}"))).await;
    assert_eq!(reply.reason(), "address");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn row_7_unlisted_names_and_literal_addresses_are_never_looked_up() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    for authority in ["data.evil.example:443", "8.8.8.8:53", "raw.internal:1", "[::1]:443"] {
        let reply = Raw::connect(sidecar.proxy()).await.ask(connect(authority)).await;
        assert_eq!(reply.status, 403, "{authority}");
    }
    let plain = "GET http://data.evil.example/ HTTP/1.1\r\nHost: data.evil.example\r\n\r\n";
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(plain).await.reason(), "host");
    assert!(sidecar.dns.asked().is_empty(), "{:?}", sidecar.dns.asked());
}

#[tokio::test]
async fn names_are_looked_up_as_they_were_judged() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let _tunnel = Raw::tunnel(sidecar.proxy(), &format!("RAW.Internal.:{port}")).await;
    let mut asked = sidecar.dns.asked();
    asked.dedup();
    assert_eq!(asked, ["raw.internal"], "no search list, lower case");
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_is_said_in_time() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let setup = setup(port).await.with(|config| {
        config.limits.resolve_max = std::time::Duration::from_millis(100);
    });
    let sidecar = setup.start().await;
    sidecar.dns.silence("raw.internal");
    let reply =
        Raw::connect(sidecar.proxy()).await.ask(connect(&format!("raw.internal:{port}"))).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "resolve"));
}

#[tokio::test]
async fn row_20_the_sidecar_never_dials_itself() {
    let sidecar = setup(1).await.start().await;
    let ports = [sidecar.proxy().port(), sidecar.gateway().port(), sidecar.admin().port()];
    sidecar.rewrite(&format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  egress:
    allow:
    - {{host: raw.internal, ports: {ports:?}, protocol: tcp}}
    - {{cidr: 127.0.0.0/8, ports: {ports:?}, protocol: tcp}}
  upstreams:
  - {{name: loop, url: "http://127.0.0.1:{}"}}
"#,
        ports[0]
    ));
    sidecar.until_metric(r#"pinfold_policy_reloads_total{result="success"}"#, 1.0).await;
    for port in ports {
        for host in ["raw.internal", "127.0.0.1", "127.0.0.7"] {
            let reply =
                Raw::connect(sidecar.proxy()).await.ask(connect(&format!("{host}:{port}"))).await;
            assert_eq!((reply.status, reply.reason().as_str()), (403, "address"), "{host}:{port}");
        }
    }
    let reply = Raw::connect(sidecar.gateway()).await.get("/upstreams/loop/").await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "address"));
}

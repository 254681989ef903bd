//! Redirected connections: how they are answered, and what decides before a byte is seen.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::entrances::{policy, setup};
use super::support::tls::{hello, in_records};
use super::support::{Raw, Sidecar, Upstream};
use super::tunnels::reaches;

async fn go(sidecar: &Sidecar, to: &str) -> Raw {
    Raw::redirected(sidecar.transparent(), to.parse().expect("an address")).await
}

fn request(host: &str) -> String {
    format!("GET /simple/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn refusals_are_answered_in_the_words_of_what_is_spoken() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = setup(&policy(port)).await.start().await;
    let alert = |description: u8| vec![21, 3, 3, 0, 2, 2, description];
    let cases = [
        ("no rule for the name", format!("127.0.0.1:{port}"), hello("evil.example"), alert(49)),
        ("not the name's address", format!("127.0.0.2:{port}"), hello("api.internal"), alert(112)),
        ("no rule for the port", "127.0.0.1:9".to_owned(), hello("api.internal"), alert(49)),
    ];
    for (name, to, bytes, expected) in cases {
        let mut agent = go(&sidecar, &to).await;
        agent.send(bytes).await;
        assert_eq!(agent.rest().await, expected, "{name}");
    }
    let cases = [
        (format!("127.0.0.1:{port}"), format!("evil.example:{port}"), "host"),
        (format!("127.0.0.2:{port}"), format!("pypi.internal:{port}"), "name"),
        ("169.254.169.254:80".to_owned(), "169.254.169.254".to_owned(), "address"),
        ("127.0.0.1:80".to_owned(), "pypi.internal".to_owned(), "port"),
    ];
    for (to, host, reason) in cases {
        let reply = go(&sidecar, &to).await.ask(request(&host)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (403, reason), "{host} at {to}");
    }
    for to in [format!("127.0.0.1:{port}"), "10.1.2.3:22".to_owned()] {
        let mut agent = go(&sidecar, &to).await;
        agent.send("SSH-2.0-x\r\n").await;
        assert_eq!(agent.rest_or_reset().await, (Vec::new(), true), "{to}");
    }
    // Who waits for the server is told, too.
    assert_eq!(go(&sidecar, "10.1.2.3:3306").await.rest_or_reset().await, (Vec::new(), true));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn row_50_each_request_of_a_kept_connection_is_judged() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(&policy(port)).await.start().await;
    let mut agent = go(&sidecar, &format!("127.0.0.1:{port}")).await;
    let ask =
        |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    assert_eq!(agent.ask(ask("pypi.internal", "/simple/1")).await.text(), "hello");
    assert_eq!(agent.ask(ask("pypi.internal", "/admin")).await.reason(), "path");
    assert_eq!(agent.ask(ask("evil.example", "/simple/2")).await.reason(), "host");
    assert_eq!(agent.ask(ask("any.internal", "/3")).await.text(), "hello");
    assert_eq!(agent.ask(ask("pypi.internal", "/simple/4")).await.text(), "hello");
    let targets: Vec<String> =
        upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/simple/1", "/3", "/simple/4"]);
}

#[tokio::test]
async fn rows_35_36_hellos_in_any_pieces_reach_the_upstream_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let sidecar = setup(&policy(to.port())).await.start().await;
    let whole = hello("api.internal");
    for (name, bytes) in [
        ("in one piece", whole.clone()),
        ("in records of one byte", in_records(&whole, 1)),
        ("and more", [whole.clone(), b"more".to_vec()].concat()),
        ("without a name", hello("127.0.0.1")),
    ] {
        let mut agent = Raw::redirected(sidecar.transparent(), to).await;
        for byte in &bytes {
            agent.send([*byte]).await;
        }
        let (mut stream, _) = listener.accept().await.expect("a connection");
        reaches(&mut stream, &bytes, name).await;
    }
}

#[tokio::test]
async fn row_44_under_a_tcp_rule_the_server_may_speak_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let text = policy(to.port()).replace(
        &format!("{{cidr: 127.0.0.0/8, ports: [{}], protocol: tls}}", to.port()),
        &format!("{{cidr: 127.0.0.1/32, ports: [{}], protocol: tcp}}", to.port()),
    );
    let sidecar = setup(&text).await.start().await;
    let mut agent = Raw::redirected(sidecar.transparent(), to).await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    stream.write_all(b"220 ready\r\n").await.expect("sent");
    assert_eq!(agent.exactly(11).await, b"220 ready\r\n");
    drop((agent, stream));
    let other = SocketAddr::from(([127, 0, 0, 2], to.port()));
    let mut agent = Raw::redirected(sidecar.transparent(), other).await;
    assert_eq!(agent.rest_or_reset().await, (Vec::new(), true));
    let records = sidecar.verified_records().await;
    let facts = |at: usize| {
        ["decision", "protocol", "host", "reason"].map(|name| records[at][name].as_str())
    };
    assert_eq!(facts(0), [Some("allow"), Some("tcp"), Some("127.0.0.1"), None]);
    assert_eq!(facts(1), [Some("deny"), Some("transparent"), Some("127.0.0.2"), Some("address")]);
}

#[tokio::test]
async fn what_nobody_redirected_is_refused() {
    let upstream = Upstream::saying("never").await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    let port = upstream.port();
    let reply = Raw::connect(sidecar.transparent())
        .await
        .ask(request(&format!("pypi.internal:{port}")))
        .await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "address"));
    let mut agent = Raw::redirected(sidecar.transparent(), sidecar.transparent()).await;
    agent.send(hello("api.internal")).await;
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 49]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn both_entrances_share_the_limit_of_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let text = policy(to.port()).replace("    allow:", "    limits: {connections: 1}\n    allow:");
    let sidecar = setup(&text).await.start().await;
    let tunnel = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{}", to.port())).await;
    let mut agent = Raw::redirected(sidecar.transparent(), to).await;
    agent.send(hello("api.internal")).await;
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 80]);
    let mut agent = Raw::redirected(sidecar.transparent(), to).await;
    let reply = agent.ask(request("pypi.internal")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "limit"));
    let mut agent = Raw::redirected(sidecar.transparent(), to).await;
    agent.send("SSH-2.0-x\r\n").await;
    assert_eq!(agent.rest_or_reset().await, (Vec::new(), true));
    drop((tunnel, listener));
    sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
}

#[tokio::test]
async fn a_reload_cuts_what_it_no_longer_allows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let sidecar = setup(&policy(to.port())).await.start().await;
    let mut agent = Raw::redirected(sidecar.transparent(), to).await;
    agent.send(hello("api.internal")).await;
    let (_stream, _) = listener.accept().await.expect("a connection");
    sidecar.rewrite(&policy(to.port()).replace("host: api.internal", "host: other.internal"));
    agent.rest().await;
    let records = sidecar.verified_records().await;
    let reasons: Vec<_> = records.iter().map(|record| record["reason"].as_str()).collect();
    assert_eq!(reasons, [None, Some("host")]);
}

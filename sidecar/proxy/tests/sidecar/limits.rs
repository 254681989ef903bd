//! Limits of the policy on tunnels and bodies: what is over one never passes, and is recorded once.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::egress::policy;
use super::support::{Raw, Setup, Sidecar, Upstream};

const OUT: &str = r#"pinfold_egress_bytes_total{direction="out"}"#;
const IN: &str = r#"pinfold_egress_bytes_total{direction="in"}"#;

async fn limited(limits: &str, port: u16) -> Setup {
    let text = policy(port).replace("    allow:", &format!("    limits: {limits}\n    allow:"));
    let setup = Setup::new(&text).await.audited();
    setup.name("raw.internal", &["127.0.0.1"]).name("pypi.internal", &["127.0.0.1"])
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

async fn pair(sidecar: &Sidecar, listener: &TcpListener) -> (Raw, TcpStream) {
    let port = listener.local_addr().expect("an address").port();
    let agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    (agent, listener.accept().await.expect("a connection").0)
}

/// The denials among the records: reason and rule.
fn denials(records: &[Value]) -> Vec<(&str, &str)> {
    let denied = records.iter().filter(|record| record["decision"] == "deny");
    denied
        .map(|record| {
            let text = |value: &'static str| record[value].as_str().expect("text");
            (text("reason"), record["rules"][0].as_str().expect("a rule"))
        })
        .collect()
}

async fn tries(sidecar: &Sidecar, port: u16) -> (u16, String) {
    let host = format!("raw.internal:{port}");
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(request).await;
    let head = agent.head().await;
    if head.status == 200 {
        return (200, String::new());
    }
    let body = agent.rest().await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    (head.status, body["rule"].as_str().expect("a rule").to_owned())
}

#[tokio::test]
async fn a_connection_gets_its_bytes_and_not_one_more() {
    // Little, which is copied, and much, which is spliced; each way, and both together.
    for (limit, back, out) in [(1024, 4096, 0), (1024, 0, 4096), (8 << 20, 32 << 20, 1000)] {
        let (listener, port) = listener().await;
        let limits = format!(r#"{{bytesPerConnection: "{limit}"}}"#);
        let sidecar = limited(&limits, port).await.start().await;
        let (mut agent, far) = pair(&sidecar, &listener).await;
        let (mut far_read, mut far_write) = far.into_split();
        agent.send(vec![b'o'; out]).await;
        let sent = tokio::spawn(async move { far_write.write_all(&vec![b'i'; back]).await });
        let seen = tokio::spawn(async move {
            let mut seen = Vec::new();
            let _ = far_read.read_to_end(&mut seen).await;
            seen.len()
        });
        let got = agent.rest().await.len() + seen.await.expect("read");
        assert!(got <= limit, "{got} of {limit}");
        let _ = sent.await.expect("no panic");
        sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
        let counted = sidecar.metric(OUT).await + sidecar.metric(IN).await;
        assert_eq!(counted, f64::from(u32::try_from(limit).expect("small")), "{limit}");
        let records = sidecar.verified_records().await;
        assert_eq!(denials(&records), [("limit", "spec.egress.limits.bytesPerConnection")]);
    }
}

#[tokio::test]
async fn a_connection_within_its_bytes_ends_as_it_wants() {
    let (listener, port) = listener().await;
    let sidecar = limited("{bytesPerConnection: 1Ki, bytesPerDay: 1Ki}", port).await.start().await;
    let (mut agent, mut far) = pair(&sidecar, &listener).await;
    far.write_all(&[b'i'; 1024]).await.expect("sent");
    drop(far);
    assert_eq!(agent.rest().await.len(), 1024);
    drop(agent);
    sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
    assert_eq!(denials(&sidecar.verified_records().await), []);
}

#[tokio::test]
async fn a_day_is_shared_by_all_connections() {
    let (listener, port) = listener().await;
    let sidecar = limited("{bytesPerDay: 3Ki}", port).await.start().await;
    let (mut first, mut first_far) = pair(&sidecar, &listener).await;
    let (mut second, mut second_far) = pair(&sidecar, &listener).await;
    first_far.write_all(&[b'i'; 2048]).await.expect("sent");
    assert_eq!(first.exactly(2048).await.len(), 2048);
    second_far.write_all(&[b'i'; 2048]).await.expect("sent");
    assert!(second.rest().await.len() <= 1024);
    // The first is cut by its next byte, and nothing is opened any more.
    first.send("x").await;
    assert_eq!(first.rest().await, b"");
    let spent = (503, "spec.egress.limits.bytesPerDay".to_owned());
    assert_eq!(tries(&sidecar, port).await, spent);
    sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
    assert_eq!(sidecar.metric(OUT).await + sidecar.metric(IN).await, 3072.0);
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.bytesPerDay"); 3]);
}

#[tokio::test]
async fn a_restart_does_not_refill_the_day() {
    let (listener, port) = listener().await;
    let state = tempfile::tempdir().expect("a directory");
    let limits = "{bytesPerDay: 3Ki}";
    let with = || async {
        let setup = limited(limits, port).await;
        setup.with(|config| config.state = Some(state.path().to_owned())).start().await
    };
    let sidecar = with().await;
    let (mut agent, mut far) = pair(&sidecar, &listener).await;
    far.write_all(&[b'i'; 3000]).await.expect("sent");
    assert_eq!(agent.exactly(3000).await.len(), 3000);
    sidecar.running.shutdown().await;
    let sidecar = with().await;
    let (mut agent, mut far) = pair(&sidecar, &listener).await;
    far.write_all(&[b'i'; 3000]).await.expect("sent");
    assert!(agent.rest().await.len() <= 72);
    assert_eq!(tries(&sidecar, port).await.0, 503);
}

#[tokio::test]
async fn new_connections_come_at_their_rate() {
    let (listener, port) = listener().await;
    let sidecar = limited("{connectRate: 3/d}", port).await.start().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(pair(&sidecar, &listener).await);
    }
    let over = (503, "spec.egress.limits.connectRate".to_owned());
    assert_eq!(tries(&sidecar, port).await, over);
    // What is open isn't concerned.
    let (agent, far) = open.first_mut().expect("three");
    far.write_all(b"still").await.expect("sent");
    assert_eq!(agent.exactly(5).await, b"still");
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.connectRate")]);
}

#[tokio::test]
async fn a_connection_that_lives_too_long_is_cut_however_busy_it_is() {
    let (listener, port) = listener().await;
    let sidecar = limited("{connectionLife: 300ms}", port).await.start().await;
    let (mut agent, far) = pair(&sidecar, &listener).await;
    let (_far_read, mut far_write) = far.into_split();
    let busy = tokio::spawn(async move {
        while far_write.write_all(&[b'i'; 1000]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(!agent.rest().await.is_empty());
    busy.await.expect("no panic");
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.connectionLife")]);
}

#[tokio::test]
async fn the_policy_says_how_long_a_tunnel_may_be_idle() {
    let (listener, port) = listener().await;
    let sidecar = limited("{connectionIdle: 100ms}", port).await.start().await;
    let (mut agent, mut far) = pair(&sidecar, &listener).await;
    assert_eq!(agent.rest().await, b"");
    assert_eq!(far.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(denials(&sidecar.verified_records().await), []);
}

#[tokio::test]
async fn bodies_count_too() {
    let upstream = Upstream::saying("b".repeat(600).leak()).await;
    let port = upstream.port();
    let sidecar = limited(r#"{bytesPerConnection: "1000"}"#, port).await.start().await;
    let host = format!("pypi.internal:{port}");
    let get = format!("GET http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut agent = Raw::connect(sidecar.proxy()).await;
    assert_eq!(agent.ask(&get).await.text().len(), 600);
    agent.send(&get).await;
    assert_eq!(agent.head().await.status, 200);
    assert_eq!(agent.rest().await, b"", "the second body is beyond the limit");
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let post = format!(
        "POST http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2000\r\n\r\n{}",
        "p".repeat(2000)
    );
    let reply = agent.ask(post).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "limit"));
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.bytesPerConnection"); 2]);
}

#[tokio::test]
async fn a_new_policys_limits_count_for_open_tunnels_at_once() {
    let (listener, port) = listener().await;
    let sidecar = limited("{}", port).await.start().await;
    let (mut agent, mut far) = pair(&sidecar, &listener).await;
    far.write_all(b"before").await.expect("sent");
    assert_eq!(agent.exactly(6).await, b"before");
    let text = policy(port).replace("    allow:", "    limits: {connectionLife: 1ms}\n    allow:");
    sidecar.rewrite(&text);
    assert_eq!(agent.rest().await, b"");
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.connectionLife")]);
}

#[tokio::test]
async fn a_connection_that_requests_are_judged_on_lives_no_longer_either() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = limited("{connectionLife: 300ms}", port).await.start().await;
    let host = format!("pypi.internal:{port}");
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let get = format!("GET http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(agent.ask(&get).await.text(), "hello");
    // Kept open, and waiting for the next request.
    assert_eq!(agent.rest().await, b"");
    let records = sidecar.verified_records().await;
    assert_eq!(denials(&records), [("limit", "spec.egress.limits.connectionLife")]);
}

//! Row 51: changes to WebSocket where a rule says so, in the clear and inside TLS; everything else is refused.

use super::https::{before, inside};
use super::support::tls::Identity;
use super::support::{Raw, Request, Setup, Sidecar, Upstream, allowing};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Of RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn policy(port: u16, websocket: bool) -> String {
    allowing(&format!(
        r#"
    - {{host: chat.internal, ports: [{port}], protocol: http, paths: ["/socket", "/no", "/forged"], websocket: {websocket}}}
    - {{host: plain.internal, ports: [{port}], protocol: http}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
"#
    ))
}

/// Changes at `/socket`; what comes after that is answered with `frames`.
fn server(request: &Request) -> Vec<u8> {
    let accept = match request.target.as_str() {
        "/socket" => ACCEPT,
        "/forged" => KEY,
        "/frames" => return b"frames".to_vec(),
        _ => return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno".to_vec(),
    };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nX-Pinfold-A: b\r\n\r\n"
    )
    .into_bytes()
}

fn asking(target: &str, host: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

async fn start(upstream: &Upstream) -> Sidecar {
    let setup = Setup::new(&policy(upstream.port(), true)).await.audited();
    let setup = setup.name("chat.internal", &["127.0.0.1"]).name("plain.internal", &["127.0.0.1"]);
    setup.start().await
}

#[tokio::test]
async fn row_51_in_the_clear_by_rule_alone() {
    let upstream = Upstream::answering(server).await;
    let sidecar = start(&upstream).await;
    let port = upstream.port();
    let chat = format!("chat.internal:{port}");
    let ask = |path: &str| asking(&format!("http://{chat}{path}"), &chat);
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(ask("/socket")).await;
    let head = agent.head().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.headers["sec-websocket-accept"], ACCEPT);
    assert_eq!(
        (head.headers["upgrade"].as_str(), head.headers["connection"].as_str()),
        ("websocket", "Upgrade")
    );
    assert!(!head.headers.contains_key("x-pinfold-a"));
    agent.send("GET /frames HTTP/1.1\r\n\r\n").await;
    assert_eq!(agent.exactly(6).await, b"frames");
    let plain = format!("plain.internal:{port}");
    let cases = [
        (asking(&format!("http://{plain}/socket"), &plain), 403, "protocol"),
        (ask("/other"), 403, "path"),
        (ask("/forged"), 502, "reply"),
        (ask("/socket").replace("Upgrade: websocket", "Upgrade: h2c"), 502, "reply"),
        (ask("/socket").replace("Upgrade: websocket", "Upgrade: websocket, h2c"), 403, "protocol"),
        (ask("/socket").replace("GET", "POST"), 400, "malformed"),
        (ask("/socket").replace("Key", "Quay"), 400, "malformed"),
        (ask("/socket") + "\x01\x00", 400, "malformed"),
    ];
    for (request, status, reason) in cases {
        let reply = Raw::connect(sidecar.proxy()).await.ask(&request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{request}");
    }
    // A server that doesn't want to is heard.
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply = agent.ask(ask("/no")).await;
    assert_eq!((reply.status, reply.text().as_str()), (400, "no"));
    let targets: Vec<String> = upstream.requests().into_iter().map(|seen| seen.target).collect();
    // The second one asked for nothing else than a reply, and got a change.
    assert_eq!(targets, ["/socket", "/frames", "/forged", "/socket", "/no"]);
}

#[tokio::test]
async fn row_51_a_reload_cuts_what_changed() {
    let upstream = Upstream::answering(server).await;
    let sidecar = start(&upstream).await;
    let chat = format!("chat.internal:{}", upstream.port());
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(asking(&format!("http://{chat}/socket"), &chat)).await;
    assert_eq!(agent.head().await.status, 101);
    sidecar.rewrite(&policy(upstream.port(), false));
    assert_eq!(agent.rest().await, b"");
    let denied =
        r#"pinfold_egress_connections_total{decision="deny",protocol="http",reason="protocol"}"#;
    sidecar.until_metric(denied, 1.0).await;
}

#[tokio::test]
async fn row_51_inside_tls_by_rule_alone() {
    let identity = Identity::new("chat.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), server).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let mut agent = inside(&sidecar, "chat.internal", port, &["http/1.1"]).await;
    agent.send(asking("/socket", &format!("chat.internal:{port}"))).await;
    assert_eq!(agent.head().await.status, 101);
    agent.send("GET /frames HTTP/1.1\r\n\r\n").await;
    assert_eq!(agent.exactly(6).await, b"frames");
    let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
    let reply = agent.ask(asking("/repos/a", &format!("api.internal:{port}"))).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "protocol"));
    let h2c =
        asking("/socket", &format!("chat.internal:{port}")).replace("websocket\r\n", "h2c\r\n");
    let mut agent = inside(&sidecar, "chat.internal", port, &["http/1.1"]).await;
    assert_eq!(agent.ask(h2c).await.reason(), "reply");
}

//! What honest clients send and a careless gate would refuse: paths that rules without `paths` pass on as they were written, and offers of
//! HTTP/2 in the clear, which are ignored.

use super::https::http2::{ask, client, reason, request};
use super::https::{before, inside};
use super::support::tls::Identity;
use super::support::{Raw, Request, Setup, Upstream, allowing};

/// npm's scoped packages, GitLab's projects, matrix parameters, a merged slash, a percent sign.
const AMBIGUOUS: [&str; 6] = [
    "/@scope%2fname",
    "/api/v4/projects/a%2Fb/issues?per_page=2&x=%2F",
    "/maven;v=1/x",
    "//mirror//x",
    "/100%25",
    "/a/../../b",
];

/// What Java's client sends with its first request.
const OFFER: &str =
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";

fn policy(port: u16) -> String {
    allowing(&format!(
        r#"
    - {{host: free.internal, ports: [{port}], protocol: http}}
    - {{host: listed.internal, ports: [{port}], protocol: http, paths: ["/**"]}}
    - {{host: both.internal, ports: [{port}], protocol: http, methods: [POST], paths: ["/**"]}}
    - {{host: both.internal, ports: [{port}], protocol: http, methods: [GET]}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
"#
    ))
}

fn hello(_: &Request) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()
}

async fn in_the_clear(upstream: &Upstream) -> Setup {
    let setup = Setup::new(&policy(upstream.port())).await.audited();
    ["free.internal", "listed.internal", "both.internal"]
        .iter()
        .fold(setup, |setup, name| setup.name(name, &["127.0.0.1"]))
}

#[tokio::test]
async fn row_54_ambiguous_paths_pass_where_no_rule_names_paths() {
    let upstream = Upstream::answering(hello).await;
    let sidecar = in_the_clear(&upstream).await.start().await;
    let port = upstream.port();
    let line = |method: &str, name: &str, path: &str| {
        format!("{method} http://{name}:{port}{path} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n")
    };
    let mut agent = Raw::connect(sidecar.proxy()).await;
    for path in AMBIGUOUS {
        for name in ["free.internal", "both.internal"] {
            assert_eq!(agent.ask(line("GET", name, path)).await.text(), "hello", "{name}{path}");
            assert_eq!(upstream.last().target, path, "{name}");
        }
        for (method, name) in [("GET", "listed.internal"), ("POST", "both.internal")] {
            let reply = agent.ask(line(method, name, path)).await;
            assert_eq!((reply.status, reply.reason().as_str()), (403, "path"), "{name}{path}");
            let message = reply.json()["message"].to_string();
            assert!(message.contains("ambiguous"), "{message}");
        }
    }
    assert_eq!(upstream.requests().len(), 2 * AMBIGUOUS.len());
    for path in ["/a%00", "/a b", "//a#b", "//a%0d%0aX:%20y", "/a\\b", "//a%zz"] {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        let reply = agent.ask(line("GET", "free.internal", path)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (400, "malformed"), "{path}");
    }
    assert_eq!(upstream.requests().len(), 2 * AMBIGUOUS.len());
}

#[tokio::test]
async fn row_54_the_same_inside_tls() {
    let identity = Identity::new("chat.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let (mut h1, mut h2) = (
        inside(&sidecar, "chat.internal", port, &["http/1.1"]).await,
        client(&sidecar, "chat.internal", port).await,
    );
    for path in AMBIGUOUS {
        let head = format!("GET {path} HTTP/1.1\r\nHost: chat.internal:{port}\r\n\r\n");
        assert_eq!(h1.ask(head).await.text(), "hello", "{path}");
        assert_eq!(upstream.last().target, path);
        let over_h2 = request("GET", &format!("https://chat.internal:{port}{path}"));
        assert_eq!(ask(&mut h2, over_h2).await.0, 200, "{path}");
        assert_eq!(upstream.last().target, path);
    }
    let mut listed = client(&sidecar, "api.internal", port).await;
    let over_h2 = request("GET", &format!("https://api.internal:{port}/repos//a"));
    let (status, body) = ask(&mut listed, over_h2).await;
    assert_eq!((status, reason(&body).as_str()), (403, "path"));
    assert_eq!(upstream.requests().len(), 2 * AMBIGUOUS.len());
}

#[tokio::test]
async fn row_51_an_offer_of_http2_in_the_clear_is_ignored() {
    let upstream = Upstream::answering(hello).await;
    let sidecar = in_the_clear(&upstream).await.start().await;
    let host = format!("free.internal:{}", upstream.port());
    let mut agent = Raw::connect(sidecar.proxy()).await;
    for body in ["", "a body"] {
        let length = body.len();
        let head = format!(
            "POST http://{host}/x HTTP/1.1\r\nHost: {host}\r\n{OFFER}Content-Length: {length}\r\n\r\n{body}"
        );
        // The connection goes on in HTTP/1.1.
        assert_eq!(agent.ask(head).await.text(), "hello");
        let seen = upstream.last();
        assert_eq!(seen.body, body.as_bytes());
        for name in ["upgrade", "http2-settings"] {
            assert!(!seen.headers.contains_key(name), "{name} in {seen:?}");
        }
        let connection = seen.headers.get("connection").map_or("", String::as_str);
        assert!(!connection.to_ascii_lowercase().contains("upgrade"), "{seen:?}");
    }
    assert_eq!(upstream.connections(), 1);
}

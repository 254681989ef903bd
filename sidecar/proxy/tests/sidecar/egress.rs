//! Absolute-form requests: what passes, what is refused with which reason, and that a refused one reaches nobody.

use std::time::Duration;

use super::support::{Raw, Setup, Sidecar, Upstream, allowing};

/// One upstream under three names, each with a rule of its own.
pub(crate) fn policy(port: u16) -> String {
    allowing(&format!(
        r#"
    - {{host: pypi.internal, ports: [{port}], protocol: http, methods: [GET, HEAD, POST], paths: ["/simple/**"]}}
    - {{host: "*.any.internal", ports: [{port}], protocol: http}}
    - {{host: raw.internal, ports: [{port}], protocol: tcp}}
    - {{host: api.internal, ports: [{port}], protocol: tls}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
"#
    ))
}

/// A sidecar whose policy allows some names, all of them this machine.
pub(crate) async fn setup(port: u16) -> Setup {
    let mut setup = Setup::new(&policy(port)).await;
    for name in
        ["pypi.internal", "a.any.internal", "b.any.internal", "raw.internal", "api.internal"]
    {
        setup = setup.name(name, &["127.0.0.1"]);
    }
    setup
}

async fn start(upstream: &Upstream) -> Sidecar {
    setup(upstream.port()).await.start().await
}

/// A request for a URL without its scheme, with more header lines.
fn get(url: &str, more: &str) -> String {
    let authority = url.split('/').next().expect("an authority");
    format!("GET http://{url} HTTP/1.1\r\nHost: {authority}\r\n{more}\r\n")
}

type Case = (Vec<u8>, u16, &'static str);

fn line(target: &str, host: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Rows 34, 47, 52, 53, 55, 57: where to, and how.
fn targets(port: u16) -> Vec<Case> {
    let host = format!("pypi.internal:{port}");
    let to = |name: &str| line(&format!("http://{name}:{port}/"), &format!("{name}:{port}"));
    let method =
        |method: &str| get(&format!("{host}/simple/"), "").replacen("GET", method, 1).into_bytes();
    vec![
        (line("http://evil.example/", "evil.example"), 403, "host"),
        (line("http://pypi.internal/simple/", "pypi.internal"), 403, "port"),
        (to("api.internal"), 403, "protocol"),
        (to("evil-pypi.internal"), 403, "host"),
        (to("pypi.internal.evil.example"), 403, "host"),
        (to("any.internal"), 403, "host"),
        (to("a.b.any.internal"), 403, "host"),
        (line(&format!("http://{host}/simple/"), "evil.example"), 400, "malformed"),
        (line(&format!("http://{host}/simple/"), "pypi.internal"), 400, "malformed"),
        (method("DELETE"), 403, "method"),
        (method("TRACE"), 405, "method"),
        (method("TRACK"), 405, "method"),
        (method("get"), 405, "method"),
        (line(&format!("http://user:pw@{host}/simple/"), &host), 400, "malformed"),
        (line(&format!("http://{host}@evil.example/"), &host), 400, "malformed"),
        (line(&format!("http://pyp\u{ed}.internal:{port}/"), &host), 400, "malformed"),
        (line(&format!("http://pypi%2einternal:{port}/"), &host), 400, "malformed"),
        // What a proxy doesn't take.
        (line("/simple/", &host), 400, "malformed"),
        (line("https://api.internal/", "api.internal"), 400, "malformed"),
        (line("ftp://api.internal/", "api.internal"), 400, "malformed"),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(), 400, "malformed"),
        (
            b"GET http://pypi.internal/ HTTP/1.0\r\nHost: pypi.internal\r\n\r\n".to_vec(),
            505,
            "malformed",
        ),
    ]
}

/// Rows 46, 48, 49, 51, 58: heads that could be read in two ways, or change the protocol.
fn heads(port: u16) -> Vec<Case> {
    let host = format!("pypi.internal:{port}");
    let with = |more: &str| get(&format!("{host}/simple/"), more).into_bytes();
    let bare_lf = with("").into_iter().filter(|byte| *byte != b'\r').collect();
    vec![
        (with(&format!("Host: {host}\r\n")), 400, "malformed"),
        (with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, "malformed"),
        (with("Content-Length: 0\r\nContent-Length: 0\r\n"), 400, "malformed"),
        (with("Content-Length: 1, 1\r\n"), 400, "malformed"),
        (with("Content-Length: +1\r\n"), 400, "malformed"),
        (with("Transfer-Encoding: gzip, chunked\r\n"), 400, "malformed"),
        (with("Transfer-Encoding: xchunked\r\n"), 400, "malformed"),
        (with("Transfer-Encoding : chunked\r\n"), 400, "malformed"),
        (with("A: b\r\n folded\r\n"), 400, "malformed"),
        (with("A: b\0c\r\n"), 400, "malformed"),
        (bare_lf, 400, "malformed"),
        (with("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"), 403, "protocol"),
        (with("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), 403, "protocol"),
        (with(WEBSOCKET), 403, "protocol"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505, "malformed"),
        (with(&format!("X: {}\r\n", "a".repeat(17_000))), 431, "malformed"),
        (with(&"X: a\r\n".repeat(101)), 431, "malformed"),
        (line(&format!("http://{host}/simple/{}", "a".repeat(9_000)), &host), 414, "malformed"),
    ]
}

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

/// Row 54: paths are normalized before they are judged; where that is ambiguous, no list of paths allows them.
fn paths(port: u16) -> Vec<Case> {
    let host = format!("pypi.internal:{port}");
    let cases = [
        ("/admin", 403, "path"),
        ("/simple/../admin", 403, "path"),
        ("/simple/%2e%2e/admin", 403, "path"),
        ("/simple/..%2fadmin", 403, "path"),
        ("/simple/%252e%252e/admin", 403, "path"),
        ("/simple/..\\admin", 400, "malformed"),
        ("/simple/..;/admin", 403, "path"),
        ("/simple//admin", 403, "path"),
        ("/../simple/", 403, "path"),
        ("/simple/%2e%2e%2fadmin", 403, "path"),
        ("/simple/a%00", 400, "malformed"),
        ("/simple/a#b", 400, "malformed"),
        ("\\@evil.example/simple/", 400, "malformed"),
        ("/simple/ HTTP/1.1", 400, "malformed"),
    ];
    let request = |path: &str| line(&format!("http://{host}{path}"), &host);
    cases.into_iter().map(|(path, status, reason)| (request(path), status, reason)).collect()
}

#[tokio::test]
async fn rows_34_46_to_55_57_58_requests_are_refused_and_reach_nobody() {
    let upstream = Upstream::saying("never").await;
    let sidecar = start(&upstream).await;
    let port = upstream.port();
    for (request, status, reason) in [targets(port), heads(port), paths(port)].concat() {
        let reply = Raw::connect(sidecar.proxy()).await.ask(&request).await;
        let shown = request.escape_ascii().to_string().chars().take(150).collect::<String>();
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{shown}");
        assert_eq!(reply.headers["content-type"], "application/json", "{shown}");
        let closes = reply.headers.get("connection").is_some_and(|text| text == "close");
        assert!(closes || reason != "malformed", "{shown}");
    }
    // TLS to the proxy itself is told so in its own words.
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 49]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn rows_50_54_55_requests_pass_in_their_normal_form() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = start(&upstream).await;
    let port = upstream.port();
    let cases = [
        (format!("pypi.internal:{port}/simple/x?q=1&r=%2F"), "/simple/x?q=1&r=%2F"),
        (format!("PyPI.Internal.:{port}/simple/x"), "/simple/x"),
        (format!("pypi.internal:{port}/x/../simple/a"), "/simple/a"),
        (format!("pypi.internal:{port}/simple/./%61"), "/simple/a"),
        (format!("a.any.internal:{port}"), "/"),
        (format!("b.any.internal:{port}?q"), "/?q"),
        (format!("raw.internal:{port}/anything"), "/anything"),
    ];
    // One connection for all: each request is judged and routed by itself.
    let mut agent = Raw::connect(sidecar.proxy()).await;
    for (url, target) in cases {
        let end = url.find(['/', '?']).unwrap_or(url.len());
        let authority = &url[..end];
        let request = format!("GET http://{url} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let reply = agent.ask(request).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "hello"), "{url}");
        assert_eq!(upstream.last().target, target);
        let host = authority.to_lowercase().replace(".:", ":");
        assert_eq!(upstream.last().headers["host"], host);
    }
}

#[tokio::test]
async fn row_50_pipelined_requests_are_judged_one_by_one() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = start(&upstream).await;
    let url = |path: &str| format!("pypi.internal:{}/{path}", upstream.port());
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let evil = "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    agent
        .send(format!(
            "{}{}{evil}{}",
            get(&url("simple/1"), ""),
            get(&url("admin"), ""),
            get(&url("simple/2"), "")
        ))
        .await;
    assert_eq!(agent.reply().await.status, 200);
    assert_eq!(agent.reply().await.reason(), "path");
    assert_eq!(agent.reply().await.reason(), "host");
    assert_eq!(agent.reply().await.status, 200);
    let targets: Vec<String> =
        upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/simple/1", "/simple/2"]);
    assert_eq!(upstream.connections(), 1, "the connection to a permitted address is used again");
}

#[tokio::test]
async fn rows_60_to_62_fields_are_stripped_kept_and_never_echoed() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = start(&upstream).await;
    let url = format!("pypi.internal:{}/simple/", upstream.port());
    let more = "Proxy-Authorization: Basic c2VjcmV0\r\nX-Pinfold-Agent: root\r\nX-Forwarded-Host: evil\r\n\
        Connection: authorization, x-private\r\nAuthorization: Bearer mine\r\nX-Private: 1\r\nKeep-Alive: 5\r\nAccept: a/b\r\n";
    let mut agent = Raw::connect(sidecar.proxy()).await;
    assert_eq!(agent.ask(get(&url, more)).await.status, 200);
    let seen = upstream.last();
    for absent in
        ["proxy-authorization", "x-pinfold-agent", "x-forwarded-host", "x-private", "keep-alive"]
    {
        assert!(!seen.headers.contains_key(absent), "{absent}");
    }
    assert_eq!(seen.headers["authorization"], "Bearer mine");
    assert_eq!(seen.headers["accept"], "a/b");
    for line in ["X: hunter2\r\n", "X: hunter2\r\nTransfer-Encoding: x\r\n"] {
        let request = get("evil.example/", &format!("Cookie: hunter2\r\n{line}"));
        let reply = Raw::connect(sidecar.proxy()).await.ask(request).await;
        assert!(!reply.text().contains("hunter2"), "{}", reply.text());
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_in_either_framing() {
    const LARGE: usize = 24 * 1024 * 1024;
    let upstream = Upstream::answering(|request| {
        let mut bytes = match request.target.as_str() {
            "/simple/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n".to_vec(),
            "/simple/none" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\nX-Got: {}\r\n\r\n", request.body.len()).into_bytes(),
        };
        if bytes.starts_with(b"HTTP/1.1 200 OK\r\nContent") && request.method != "HEAD" {
            bytes.resize(bytes.len() + LARGE, b'x');
        }
        bytes
    })
    .await;
    let sidecar = start(&upstream).await;
    let host = format!("pypi.internal:{}", upstream.port());
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let body = vec![b'y'; LARGE];
    let head = format!(
        "POST http://{host}/simple/large HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGE}\r\n\r\n"
    );
    let reply = agent.ask([head.as_bytes(), &body].concat()).await;
    assert_eq!((reply.status, reply.body.len()), (200, LARGE));
    assert_eq!(reply.headers["x-got"], LARGE.to_string());
    let chunked = format!(
        "POST http://{host}/simple/large HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n"
    );
    assert_eq!(agent.ask(chunked).await.body.len(), LARGE);
    // Framed anew: no extension, no trailer.
    assert_eq!(upstream.last().body, b"5\r\nhello\r\n0\r\n\r\n");
    let reply = agent.ask(get(&format!("{host}/simple/chunked"), "")).await;
    assert_eq!(reply.text(), "hello");
    let reply = agent.ask(get(&format!("{host}/simple/none"), "")).await;
    assert_eq!((reply.status, reply.headers.contains_key("content-length")), (204, false));
    agent.send(get(&format!("{host}/simple/large"), "").replacen("GET", "HEAD", 1)).await;
    assert_eq!(agent.head().await.headers["content-length"], LARGE.to_string());
    assert_eq!(agent.ask(get(&format!("{host}/simple/chunked"), "")).await.text(), "hello");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = start(&upstream).await;
    let host = format!("pypi.internal:{}", upstream.port());
    let bodies = [
        ("Transfer-Encoding: chunked", "5\r\nhel", true),
        ("Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n", false),
        ("Transfer-Encoding: chunked", "g\r\n", false),
        ("Transfer-Encoding: chunked", "0\r\nContent-Length: 5\r\n\r\n", false),
        ("Content-Length: 10", "hello", true),
    ];
    for (framing, body, ends) in bodies {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        let head =
            format!("POST http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n");
        agent.send(format!("{head}{body}")).await;
        if ends {
            tokio::io::AsyncWriteExt::shutdown(&mut agent.stream).await.expect("an end");
        }
        let reply = agent.reply().await;
        assert_eq!(reply.reason(), "malformed", "{body:?}");
        assert_eq!(agent.rest().await, b"", "{body:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_reply_that_breaks_off_ends_the_connection() {
    let upstream = Upstream::in_pieces(|request| match request.target.as_str() {
        "/simple/length" => {
            vec![b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel".to_vec(), Vec::new()]
        }
        "/simple/chunks" => vec![
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel".to_vec(),
            Vec::new(),
        ],
        "/simple/garbage" => vec![b"SSH-2.0-x\r\n".to_vec(), Vec::new()],
        "/simple/switch" => vec![
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                .to_vec(),
        ],
        _ => vec![Vec::new()],
    })
    .await;
    let sidecar = start(&upstream).await;
    let url = |path: &str| format!("pypi.internal:{}/simple/{path}", upstream.port());
    for path in ["length", "chunks"] {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        agent.send(get(&url(path), "")).await;
        assert_eq!(agent.head().await.status, 200);
        let rest = agent.rest().await;
        assert!(rest.ends_with(b"hel") || rest.ends_with(b"hel\r\n"), "{}", rest.escape_ascii());
    }
    for (path, reason) in [("garbage", "upstream"), ("nothing", "upstream"), ("switch", "reply")] {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        let reply = agent.ask(get(&url(path), "")).await;
        assert_eq!((reply.status, reply.reason().as_str()), (502, reason), "{path}");
    }
}

#[tokio::test]
async fn clients_that_wait_for_100_continue_get_it_only_when_the_request_may_pass() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = start(&upstream).await;
    let host = format!("pypi.internal:{}", upstream.port());
    let head = |path: &str| {
        format!(
            "POST http://{host}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(head("/simple/")).await;
    assert_eq!(agent.head().await.status, 100);
    assert_eq!(agent.ask("body").await.text(), "hello");
    assert_eq!(upstream.last().body, b"body");
    assert!(!upstream.last().headers.contains_key("expect"));
    let reply = agent.ask(head("/admin")).await;
    assert_eq!(reply.reason(), "path");
    assert_eq!(reply.headers["connection"], "close");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn row_58_slow_heads_are_answered_and_closed() {
    let upstream = Upstream::saying("hello").await;
    let setup = setup(upstream.port()).await;
    let sidecar =
        setup.with(|config| config.limits.head_max = Duration::from_millis(50)).start().await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply = agent.ask("GET http://pypi.internal/ HTTP/1.1\r\nHost:").await;
    assert_eq!((reply.status, reply.reason().as_str()), (408, "malformed"));
    assert_eq!(agent.rest().await, b"");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_502() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let sidecar = setup(port).await.start().await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply = agent.ask(get(&format!("pypi.internal:{port}/simple/"), "")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"));
    let reply = agent.ask(format!("CONNECT raw.internal:{port} HTTP/1.1\r\n\r\n")).await;
    assert_eq!(reply.status, 400, "Host is required");
}

//! `https` rules over HTTP/1.1: the agent's TLS ends in the sidecar, requests inside are judged one by one, upstreams are verified.

mod bounds;
pub(crate) mod http2;

use std::os::unix::fs::PermissionsExt as _;

use rustls_pki_types::ServerName;
use tokio_rustls::client::TlsStream;

use super::support::tls::{Identity, trusting};
use super::support::{Raw, Setup, Sidecar, Upstream, allowing, by_reason};

pub(crate) fn policy(port: u16, paths: &str) -> String {
    allowing(&format!(
        r#"
    - {{host: api.internal, ports: [{port}], protocol: https, methods: [GET, POST, HEAD], paths: {paths}}}
    - {{host: chat.internal, ports: [{port}], protocol: https, websocket: true}}
    - {{host: tunnel.internal, ports: [{port}], protocol: tls}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
"#
    ))
}

pub(crate) const PATHS: &str = r#"["/repos/**"]"#;

/// A sidecar before an upstream with this certificate.
pub(crate) async fn before(upstream: &Upstream, identity: &Identity) -> Setup {
    let setup = Setup::new(&policy(upstream.port(), PATHS)).await;
    let ca = setup.files.path().join("upstream.pem");
    let trust = setup.files.path().join("trust");
    std::fs::write(&ca, &identity.pem).expect("a certificate");
    std::fs::create_dir(&trust).expect("a directory");
    ["api.internal", "chat.internal", "tunnel.internal"]
        .iter()
        .fold(setup, |setup, name| setup.name(name, &["127.0.0.1"]))
        .audited()
        .with(|config| {
            config.upstream_ca = Some(ca);
            config.trust = Some(trust);
        })
}

pub(crate) fn bundle(sidecar: &Sidecar) -> Vec<u8> {
    std::fs::read(sidecar.files.path().join("trust/bundle.crt")).expect("a bundle")
}

/// A TLS connection to a name through the proxy.
pub(crate) async fn inside(
    sidecar: &Sidecar,
    host: &str,
    port: u16,
    protocols: &[&str],
) -> Raw<TlsStream<tokio::net::TcpStream>> {
    let raw = Raw::tunnel(sidecar.proxy(), &format!("{host}:{port}")).await;
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let connector = trusting(&bundle(sidecar), protocols);
    Raw::over(connector.connect(name, raw.stream).await.expect("a handshake"))
}

fn hello(_: &super::support::Request) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()
}

#[tokio::test]
async fn rows_41_50_52_54_requests_inside_are_judged_one_by_one() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let host = format!("api.internal:{port}");
    let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
    // request line, Host, status, reason
    let cases = [
        ("GET /repos/a?q=1", host.as_str(), 200, ""),
        ("GET /user", &host, 403, "path"),
        ("GET /repos/../user", &host, 403, "path"),
        ("GET /repos/..%2fuser", &host, 403, "path"),
        ("GET /repos//a", &host, 403, "path"),
        ("DELETE /repos/a", &host, 403, "method"),
        ("TRACE /repos/a", &host, 405, "method"),
        ("GET /repos/a", "tunnel.internal", 421, "name"),
        ("GET /repos/a", "api.internal", 421, "name"),
        ("GET /repos/a", "evil.example:1", 421, "name"),
        ("GET /repos/b", &host, 200, ""),
    ];
    for (line, host, status, reason) in cases {
        let reply = agent.ask(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(reply.status, status, "{line} {host}");
        if status == 200 {
            assert_eq!(reply.text(), "hello");
        } else {
            assert_eq!(reply.reason(), reason, "{line} {host}");
        }
    }
    let seen: Vec<String> = upstream.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen, ["/repos/a?q=1", "/repos/b"]);
    assert_eq!(upstream.connections(), 1, "kept alive");
    assert_eq!(upstream.last().headers["host"], host);
    let denied =
        r#"pinfold_egress_connections_total{decision="deny",protocol="https",reason="name"}"#;
    assert!(sidecar.metric(denied).await >= 3.0);
    drop(agent);
    let records = sidecar.verified_records().await;
    let decided = by_reason(&records);
    assert_eq!((decided["allow"], decided.values().sum::<u64>()), (2, 11), "{records:?}");
}

#[tokio::test]
async fn rows_47_to_49_58_heads_inside_are_read_as_strictly_as_in_the_clear() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let host = format!("Host: api.internal:{port}\r\n");
    let cases = [
        format!("GET /repos/a HTTP/1.1\r\n{host}{host}\r\n"),
        format!(
            "GET /repos/a HTTP/1.1\r\n{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        format!("GET /repos/a HTTP/1.1\r\n{host}A: b\r\n folded\r\n\r\n"),
        format!("GET /repos/a HTTP/1.1\n{host}\n"),
        format!("GET http://api.internal:{port}/repos/a HTTP/1.1\r\n{host}\r\n"),
        format!("GET /repos/a%00 HTTP/1.1\r\n{host}\r\n"),
    ];
    for request in cases {
        let mut agent = inside(&sidecar, "api.internal", port, &[]).await;
        let reply = agent.ask(&request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (400, "malformed"), "{request}");
    }
    let mut agent = inside(&sidecar, "api.internal", port, &[]).await;
    let nested = format!("CONNECT api.internal:{port} HTTP/1.1\r\n{host}\r\n");
    assert_eq!(agent.ask(nested).await.reason(), "protocol", "row 42");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn bodies_pass_inside_in_either_framing() {
    const LARGE: usize = 4 * 1024 * 1024;
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |request| {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len())
                .into_bytes();
        bytes.extend(&request.body);
        bytes
    })
    .await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
    let body = vec![b'y'; LARGE];
    let head = format!("POST /repos/a HTTP/1.1\r\nHost: api.internal:{port}\r\n");
    let whole = [format!("{head}Content-Length: {LARGE}\r\n\r\n").as_bytes(), &body].concat();
    assert_eq!(agent.ask(whole).await.body, body);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(agent.ask(chunked).await.body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn row_41_other_rules_and_wrong_names_are_not_ended() {
    let identity = Identity::new("tunnel.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    // A `tls` rule: the agent sees the upstream's own certificate.
    let raw = Raw::tunnel(sidecar.proxy(), &format!("tunnel.internal:{port}")).await;
    let name = ServerName::try_from("tunnel.internal").expect("a name");
    let through = identity.connector.connect(name, raw.stream).await.expect("a handshake");
    let (_, tls) = through.get_ref();
    assert_eq!(tls.peer_certificates().expect("a certificate").len(), 1);
    // Another name in the hello than the one asked for: an alert, and no certificate of ours.
    let raw = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{port}")).await;
    let name = ServerName::try_from("chat.internal").expect("a name");
    let refused = trusting(&bundle(&sidecar), &[]).connect(name, raw.stream).await;
    let error = refused.expect_err("an alert").to_string();
    assert!(error.contains("Unrecogni") || error.contains("unrecogni"), "{error}");
    // Protocols that aren't HTTP.
    let raw = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{port}")).await;
    let name = ServerName::try_from("api.internal").expect("a name");
    let refused = trusting(&bundle(&sidecar), &["mqtt"]).connect(name, raw.stream).await;
    let error = format!("{:?}", refused.expect_err("an alert"));
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn upstreams_whose_certificate_does_not_hold_are_502_and_get_no_request() {
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    let cases = [
        (Identity::new("other.internal"), true),
        (Identity::with("api.internal", past), true),
        // One that nobody vouches for.
        (Identity::new("api.internal"), false),
    ];
    for (at, (identity, trusted)) in cases.into_iter().enumerate() {
        let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
        let known = if trusted { identity } else { Identity::new("api.internal") };
        let sidecar = before(&upstream, &known).await.start().await;
        let port = upstream.port();
        let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
        for _ in 0..2 {
            let request = format!("GET /repos/a HTTP/1.1\r\nHost: api.internal:{port}\r\n\r\n");
            let reply = agent.ask(request).await;
            assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"), "case {at}");
            assert!(reply.json()["message"].as_str().expect("a text").contains("TLS"), "case {at}");
        }
        assert!(upstream.requests().is_empty(), "case {at}");
    }
}

#[tokio::test]
async fn what_to_trust_is_written_for_everybody_and_no_key_is() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let directory = sidecar.files.path().join("trust");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let text = std::fs::read_to_string(entry.path()).expect("text");
        assert!(!text.contains("PRIVATE"), "{entry:?}");
        let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
        names.push((entry.file_name().to_string_lossy().into_owned(), mode));
    }
    names.sort();
    assert_eq!(names, [("authority.crt".to_owned(), 0o644), ("bundle.crt".to_owned(), 0o644)]);
    let authority = std::fs::read_to_string(directory.join("authority.crt")).expect("text");
    let bundle = String::from_utf8(bundle(&sidecar)).expect("text");
    assert!(bundle.ends_with(&authority), "ours last");
    assert!(bundle.contains(&identity.pem.replace("\r\n", "\n")), "those of --upstream-ca too");
    assert!(bundle.matches("BEGIN CERTIFICATE").count() > 100, "and the public roots");
}

#[tokio::test]
async fn without_a_directory_to_write_to_nothing_is_ended_and_the_record_says_why() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let setup = before(&upstream, &identity).await.with(|config| config.trust = None);
    let sidecar = setup.start().await;
    let raw = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{}", upstream.port())).await;
    let name = ServerName::try_from("api.internal").expect("a name");
    assert!(identity.connector.connect(name, raw.stream).await.is_err());
    let records = sidecar.verified_records().await;
    assert_eq!(records.len(), 1, "{records:?}");
    let message = records[0]["message"].as_str().expect("a text");
    assert!(message.contains("trust"), "{message}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_is_recorded() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), hello).await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let raw = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{}", upstream.port())).await;
    let name = ServerName::try_from("api.internal").expect("a name");
    assert!(identity.connector.connect(name, raw.stream).await.is_err(), "a pinned client");
    let denied =
        r#"pinfold_egress_connections_total{decision="deny",protocol="https",reason="protocol"}"#;
    sidecar.until_metric(denied, 1.0).await;
    let records = sidecar.verified_records().await;
    let message = records[0]["message"].as_str().expect("a text");
    assert!(message.contains("handshake") && message.contains("api.internal"), "{message}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_reload_cuts_a_request_that_is_no_longer_allowed() {
    let identity = Identity::new("api.internal");
    // The reply never ends.
    let upstream = Upstream::secure(identity.acceptor.clone(), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec()
    })
    .await;
    let sidecar = before(&upstream, &identity).await.start().await;
    let port = upstream.port();
    let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
    agent.send(format!("GET /repos/a HTTP/1.1\r\nHost: api.internal:{port}\r\n\r\n")).await;
    assert_eq!(agent.head().await.status, 200);
    assert_eq!(agent.exactly(5).await, b"hello");
    sidecar.rewrite(&policy(port, r#"["/other/**"]"#));
    assert_eq!(agent.rest().await, b"");
    let denied =
        r#"pinfold_egress_connections_total{decision="deny",protocol="https",reason="path"}"#;
    sidecar.until_metric(denied, 1.0).await;
    // A new request on a new connection is judged by the new policy.
    let mut agent = inside(&sidecar, "api.internal", port, &["http/1.1"]).await;
    let reply =
        agent.ask(format!("GET /repos/a HTTP/1.1\r\nHost: api.internal:{port}\r\n\r\n")).await;
    assert_eq!(reply.reason(), "path");
}

//! The proxy on the way out: everything that the rules allow goes through it by name, and nothing past it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::entrances::{setup, socks_request};
use super::support::tls::hello;
use super::support::{Raw, Setup, Upstream, allowing};

/// A proxy of somebody else: answers CONNECT as it is told, and connects everything to one place.
struct Corporate {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Corporate {
    async fn start(answer: &'static str, to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut agent, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(agent.read_u8().await.expect("a head"));
                }
                seen.lock().expect("a lock").push(String::from_utf8(head).expect("text"));
                agent.write_all(answer.as_bytes()).await.expect("sent");
                let there = TcpStream::connect(("127.0.0.1", to)).await;
                if let Ok(mut there) = there.map_err(drop) {
                    let copied = async move {
                        let _ = tokio::io::copy_bidirectional(&mut agent, &mut there).await;
                    };
                    tokio::spawn(copied);
                }
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("a lock").clone()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nVia: 1.1 corporate\r\n\r\n";

fn policy(port: u16, via: &str) -> String {
    allowing(&format!(
        r#"
    - {{host: pypi.internal, ports: [{port}], protocol: http}}
    - {{host: api.internal, ports: [{port}], protocol: tls}}
    - {{host: raw.internal, ports: [{port}], protocol: tcp}}
    - {{host: outside.internal, ports: [{port}], protocol: tls}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
    via: {via}
"#
    ))
}

async fn through(port: u16, corporate: &Corporate) -> Setup {
    setup(&policy(port, &format!("{{url: \"http://127.0.0.1:{}\"}}", corporate.port))).await
}

fn connect_head(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

#[tokio::test]
async fn every_protocol_goes_by_name() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let corporate = Corporate::start(OK, port).await;
    let sidecar = through(port, &corporate).await.start().await;
    let mut expected = Vec::new();
    let mut next = |host: &str| {
        expected.push(connect_head(&format!("{host}:{port}")));
        assert_eq!(corporate.heads(), expected, "{host}");
    };
    // HTTP, with one connection for two requests.
    let get =
        format!("GET http://pypi.internal:{port}/ HTTP/1.1\r\nHost: pypi.internal:{port}\r\n\r\n");
    let mut agent = Raw::connect(sidecar.proxy()).await;
    assert_eq!(agent.ask(&get).await.text(), "hello");
    assert_eq!(agent.ask(&get).await.text(), "hello");
    next("pypi.internal");
    // Any protocol, by CONNECT and by SOCKS5.
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    assert_eq!(agent.ask("GET / HTTP/1.1\r\n\r\n").await.text(), "hello");
    next("raw.internal");
    let (code, mut agent) = Raw::socks(sidecar.proxy(), &socks_request("raw.internal", port)).await;
    assert_eq!(code, 0);
    assert_eq!(agent.ask("GET / HTTP/1.1\r\n\r\n").await.text(), "hello");
    next("raw.internal");
    // A redirected connection to a literal address.
    let mut agent = Raw::redirected(sidecar.transparent(), upstream.address).await;
    assert_eq!(agent.ask("GET / HTTP/1.1\r\n\r\n").await.text(), "hello");
    next("127.0.0.1");
}

#[tokio::test]
async fn what_the_sidecar_can_resolve_is_still_checked_and_the_rest_is_the_proxys() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let corporate = Corporate::start(OK, port).await;
    let sidecar = through(port, &corporate).await.start().await;
    let refused = |authority: String, reason: &'static str| {
        let request = connect_head(&authority);
        let proxy = sidecar.proxy();
        async move {
            let reply = Raw::connect(proxy).await.ask(request).await;
            assert_eq!(reply.reason(), reason, "{authority}");
        }
    };
    sidecar.dns.set("api.internal", &["10.0.0.1"]);
    refused(format!("api.internal:{port}"), "address").await;
    refused(format!("evil.example:{port}"), "host").await;
    refused(format!("8.8.8.8:{port}"), "address").await;
    refused(format!("169.254.169.254:{port}"), "address").await;
    // A resolver that doesn't answer is no answer.
    sidecar.dns.silence("api.internal");
    refused(format!("api.internal:{port}"), "resolve").await;
    assert!(corporate.heads().is_empty());
    // A name that isn't there for the sidecar.
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("outside.internal:{port}")).await;
    agent.send(hello("outside.internal")).await;
    let (_stream, _) = listener.accept().await.expect("a connection");
    assert_eq!(corporate.heads(), [connect_head(&format!("outside.internal:{port}"))]);
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("outside.internal:{port}")).await;
    agent.send(hello("evil.example")).await;
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 112]);
    assert_eq!(corporate.heads().len(), 1);
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_told_and_its_credential_is_not() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, "c2VjcmV0\n").expect("a file");
    for (answer, told) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "answered 407"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "answered 204"),
        ("SSH-2.0-x\r\n\r\n\r\n", "broke off"),
    ] {
        let corporate = Corporate::start(answer, port).await;
        let via = format!(
            "{{url: \"http://127.0.0.1:{}\", credential: {{header: Proxy-Authorization, format: \"Basic {{}}\", from: {{file: \"{}\"}}}}}}",
            corporate.port,
            file.display()
        );
        let sidecar = setup(&policy(port, &via)).await.start().await;
        let request = connect_head(&format!("raw.internal:{port}"));
        let reply = Raw::connect(sidecar.proxy()).await.ask(&request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"));
        assert!(reply.text().contains(told), "{}", reply.text());
        let sent = corporate.heads();
        assert!(sent[0].contains("\r\nproxy-authorization: Basic c2VjcmV0\r\n"), "{sent:?}");
        for record in sidecar.verified_records().await {
            assert!(!record.to_string().contains("c2VjcmV0"), "{record}");
        }
        std::fs::write(&file, "c2VjcmV0\n").expect("a file");
    }
    // Without its credential the proxy isn't asked.
    let corporate = Corporate::start(OK, port).await;
    let via = format!(
        "{{url: \"http://127.0.0.1:{}\", credential: {{header: Proxy-Authorization, from: {{file: \"{}\"}}}}}}",
        corporate.port,
        directory.path().join("none").display()
    );
    let sidecar = setup(&policy(port, &via)).await.start().await;
    let request = connect_head(&format!("raw.internal:{port}"));
    let reply = Raw::connect(sidecar.proxy()).await.ask(&request).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"));
    assert!(corporate.heads().is_empty());
}

#[tokio::test]
async fn a_reload_ends_what_left_by_another_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let corporate = Corporate::start(OK, port).await;
    let sidecar = through(port, &corporate).await.start().await;
    let mut tunnels = Vec::new();
    for host in ["raw.internal", "outside.internal"] {
        let mut agent = Raw::tunnel(sidecar.proxy(), &format!("{host}:{port}")).await;
        agent.send(hello(host)).await;
        let (stream, _) = listener.accept().await.expect("a connection");
        tunnels.push((agent, stream));
    }
    sidecar.rewrite(&policy(port, "null").replace("    via: null\n", ""));
    for (agent, _) in &mut tunnels {
        agent.rest().await;
    }
    let records = sidecar.verified_records().await;
    let reasons: Vec<_> = records.iter().map(|record| record["reason"].as_str()).collect();
    assert_eq!(reasons, [None, None, Some("upstream"), Some("upstream")]);
}

//! CONNECT: names, ports, what is spoken inside, half-closes and limits of time.

use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::egress::setup;
use super::support::tls::{Identity, hello, in_records};
use super::support::{Raw, Upstream, stands_for};

fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

const ACCESS_DENIED: u8 = 49;
const DECODE_ERROR: u8 = 50;
const PROTOCOL_VERSION: u8 = 70;
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;

fn connect(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

#[tokio::test]
async fn rows_18_to_24_34_names_ports_and_address_forms() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let here = |host: &str| format!("{host}:{port}");
    let cases = [
        (here("evil.example"), 403, "host"),
        (here("api.internal.evil.example"), 403, "host"),
        ("api.internal:22".to_owned(), 403, "port"),
        ("raw.internal:25".to_owned(), 403, "port"),
        // Literal addresses need a range.
        (here("8.8.8.8"), 403, "address"),
        (here("10.0.0.1"), 403, "address"),
        (here("0.0.0.0"), 403, "address"),
        (here("[::]"), 403, "address"),
        (here("[::1]"), 403, "address"),
        (here("[::ffff:127.0.0.1]"), 403, "address"),
        (here("[::127.0.0.1]"), 403, "address"),
        (here("[64:ff9b::7f00:1]"), 403, "address"),
        (here("[2002:7f00:1::]"), 403, "address"),
        (here("[2001:0:1::1]"), 403, "address"),
        (here("100.64.0.1"), 403, "address"),
        (here("198.18.0.1"), 403, "address"),
        (here("255.255.255.255"), 403, "address"),
        (here("224.0.0.1"), 403, "address"),
        // Rows 25 to 29.
        ("169.254.169.254:80".to_owned(), 403, "address"),
        ("169.254.170.2:80".to_owned(), 403, "address"),
        ("[fd00:ec2::254]:80".to_owned(), 403, "address"),
        ("168.63.129.16:80".to_owned(), 403, "address"),
        ("metadata.google.internal:80".to_owned(), 403, "host"),
        // Forms that could be read as something else.
        (here("2130706433"), 400, "malformed"),
        (here("0x7f000001"), 400, "malformed"),
        (here("0177.0.0.1"), 400, "malformed"),
        (here("127.1"), 400, "malformed"),
        (here("[fe80::1%25eth0]"), 400, "malformed"),
        (here("::1"), 400, "malformed"),
        (here("[api.internal]"), 400, "malformed"),
        (here("[[::1]]"), 400, "malformed"),
        (here("\u{ff11}27.0.0.1"), 400, "malformed"),
        (here("user@api.internal"), 400, "malformed"),
        ("api.internal".to_owned(), 400, "malformed"),
        ("api.internal:0".to_owned(), 400, "malformed"),
        ("api.internal:65536".to_owned(), 400, "malformed"),
        (here("api.internal\0.evil.example"), 400, "malformed"),
        (format!("http://api.internal:{port}"), 400, "malformed"),
    ];
    for (authority, status, reason) in cases {
        let reply = Raw::connect(sidecar.proxy()).await.ask(connect(&authority)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{authority}");
        assert_eq!(reply.headers["connection"], "close", "{authority}");
    }
    let mismatch = format!("CONNECT api.internal:{port} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    let body = format!(
        "CONNECT api.internal:{port} HTTP/1.1\r\nHost: api.internal\r\nContent-Length: 1\r\n\r\nx"
    );
    for request in [mismatch, body] {
        let reply = Raw::connect(sidecar.proxy()).await.ask(request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (400, "malformed"));
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn tls_through_a_tunnel_end_to_end() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure".to_vec()
    })
    .await;
    let sidecar = setup(upstream.port()).await.audited().start().await;
    let tunnel = Raw::tunnel(sidecar.proxy(), &format!("API.internal.:{}", upstream.port())).await;
    let name = ServerName::try_from("api.internal").expect("a name");
    let mut tls = identity.connector.connect(name, tunnel.stream).await.expect("TLS");
    tls.write_all(b"GET / HTTP/1.1\r\nHost: api.internal\r\n\r\n").await.expect("sent");
    let mut reply = [0; 44];
    tls.read_exact(&mut reply).await.expect("a reply");
    assert!(reply.ends_with(b"secure"));
    drop(tls);
    sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
    assert!(sidecar.metric(r#"pinfold_egress_bytes_total{direction="out"}"#).await > 100.0);
    assert!(sidecar.metric(r#"pinfold_egress_bytes_total{direction="in"}"#).await > 100.0);
    let port = upstream.port();
    let records = sidecar.verified_records().await;
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record["event"], "egress");
    assert_eq!(record["decision"], "allow");
    assert_eq!(record["rules"][0], "spec.egress.allow[3]");
    assert_eq!(
        (record["host"].as_str(), record["port"].as_u64()),
        (Some("api.internal"), Some(port.into()))
    );
    assert_eq!(record["protocol"], "tls");
    assert_eq!(record["address"], format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn rows_35_36_45_hellos_in_any_pieces_reach_the_upstream_whole() {
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    let authority = format!("api.internal:{port}");
    let whole = hello("api.internal");
    for (name, bytes, early) in [
        ("in one piece", whole.clone(), false),
        ("in records of one byte", in_records(&whole, 1), false),
        ("in records of 100 bytes", in_records(&whole, 100), false),
        ("with the CONNECT", whole.clone(), true),
        ("with the CONNECT and more", [whole.clone(), b"more".to_vec()].concat(), true),
    ] {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        if early {
            agent.send([connect(&authority).as_bytes(), &bytes].concat()).await;
            assert_eq!(agent.head().await.status, 200, "{name}");
        } else {
            agent.send(connect(&authority)).await;
            assert_eq!(agent.head().await.status, 200, "{name}");
            for byte in &bytes {
                agent.send([*byte]).await;
            }
        }
        let (mut stream, _) = listener.accept().await.expect("a connection");
        reaches(&mut stream, &bytes, name).await;
    }
}

/// What is sent arrives: a hello at once, what is behind it once the server has answered.
pub(crate) async fn reaches(stream: &mut TcpStream, bytes: &[u8], name: &str) {
    let hello = bytes.len() - if bytes.ends_with(b"more") { 4 } else { 0 };
    let mut seen = vec![0; hello];
    stream.read_exact(&mut seen).await.expect("the hello");
    stream.write_all(b"an answer").await.expect("sent");
    seen.resize(bytes.len(), 0);
    stream.read_exact(&mut seen[hello..]).await.expect("the rest");
    assert_eq!(seen, bytes, "{name}");
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[tokio::test]
async fn rows_31_to_33_37_43_44_46_what_is_spoken_inside_is_judged_before_anything_is_dialled() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let setup = setup(port).await.audited();
    let sidecar =
        setup.with(|config| config.limits.peek_max = Duration::from_millis(300)).start().await;
    let renamed = |from: &[u8], to: &[u8]| {
        let bytes = hello("api.internal");
        let at = bytes.windows(from.len()).position(|window| window == from).expect("there");
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let old = {
        let mut bytes = renamed(&[0, 43], &[0, 99]);
        (bytes[9], bytes[10]) = (3, 1);
        bytes
    };
    let ssh = b"SSH-2.0-OpenSSH_9.9\r\n".to_vec();
    let too_large = {
        let mut bytes = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        bytes.resize(66_000, 0);
        bytes
    };
    let cases: Vec<(&str, &str, Vec<u8>, Vec<u8>)> = vec![
        ("another server name", "api", hello("evil.example"), alert(UNRECOGNIZED_NAME)),
        ("a longer server name", "api", hello("a.api.internal"), alert(UNRECOGNIZED_NAME)),
        ("no server name", "api", hello("127.0.0.1"), alert(UNRECOGNIZED_NAME)),
        (
            "a NUL in the name",
            "api",
            renamed(b"api.internal", b"api\0internal"),
            alert(DECODE_ERROR),
        ),
        (
            "an address as name",
            "api",
            renamed(b"api.internal", b"127.000.00.1"),
            alert(DECODE_ERROR),
        ),
        ("an empty record", "api", vec![22, 3, 1, 0, 0], alert(DECODE_ERROR)),
        ("old versions only", "api", old, alert(PROTOCOL_VERSION)),
        ("SSL 2.0", "api", vec![0x80, 0x2e, 1, 3, 1, 0], alert(PROTOCOL_VERSION)),
        ("a hello without end", "api", hello("api.internal")[..50].to_vec(), alert(DECODE_ERROR)),
        ("a hello too large", "api", too_large, alert(DECODE_ERROR)),
        ("an SSH banner", "api", ssh.clone(), Vec::new()),
        ("half a banner", "api", b"SSH-2.0".to_vec(), Vec::new()),
        ("SOCKS", "api", vec![5, 1, 0], Vec::new()),
        ("silence", "api", Vec::new(), Vec::new()),
        ("TLS to an http rule", "pypi", hello("pypi.internal"), alert(ACCESS_DENIED)),
        ("SSH to an http rule", "pypi", ssh, Vec::new()),
    ];
    for (name, host, bytes, expected) in &cases {
        let mut agent = Raw::tunnel(sidecar.proxy(), &format!("{host}.internal:{port}")).await;
        agent.send(bytes).await;
        let rest = agent.rest().await;
        assert_eq!(rest, *expected, "{name}");
    }
    assert_eq!(upstream.connections(), 0);
    let records = sidecar.verified_records().await;
    let decided: u64 = records.iter().map(stands_for).sum();
    assert_eq!(usize::try_from(decided).expect("a number"), cases.len());
    assert!(records.iter().all(|record| record["decision"] == "deny"));
}

#[tokio::test]
async fn http_inside_a_tunnel_is_judged_request_by_request() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let host = format!("pypi.internal:{port}");
    let get = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut agent = Raw::tunnel(sidecar.proxy(), &host).await;
    assert_eq!(agent.ask(get("/simple/1", &host)).await.text(), "hello");
    assert_eq!(agent.ask(get("/admin", &host)).await.reason(), "path");
    assert_eq!(agent.ask(get(&format!("http://{host}/simple/2"), &host)).await.text(), "hello");
    let other = format!("a.any.internal:{port}");
    assert_eq!(agent.ask(get("/simple/3", &other)).await.reason(), "name");
    assert_eq!(agent.ask(get("/simple/3", "pypi.internal")).await.reason(), "name");
    assert_eq!(agent.ask(get("/simple/4", &host)).await.text(), "hello");
    assert_eq!(agent.ask(connect(&format!("raw.internal:{port}"))).await.reason(), "protocol");
    let targets: Vec<String> =
        upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/simple/1", "/simple/2", "/simple/4"]);
    // HTTP where only TLS is allowed.
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{port}")).await;
    let reply = agent.ask(get("/", &format!("api.internal:{port}"))).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "protocol"));
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn an_opaque_tunnel_passes_half_closes_and_bytes_that_came_early() {
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(format!("{}early", connect(&format!("raw.internal:{port}")))).await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    assert_eq!(agent.head().await.status, 200);
    agent.send(" and late").await;
    agent.stream.shutdown().await.expect("half a close");
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.expect("all of it");
    assert_eq!(seen, b"early and late");
    stream.write_all(b"after the end").await.expect("sent");
    drop(stream);
    assert_eq!(agent.rest().await, b"after the end");
    sidecar.until_metric("pinfold_egress_open_connections", 0.0).await;
    assert_eq!(sidecar.metric(r#"pinfold_egress_bytes_total{direction="out"}"#).await, 14.0);
    assert_eq!(sidecar.metric(r#"pinfold_egress_bytes_total{direction="in"}"#).await, 13.0);
}

#[tokio::test]
async fn idle_tunnels_end() {
    let (listener, port) = listener().await;
    let setup = setup(port).await;
    let sidecar =
        setup.with(|config| config.limits.idle_max = Duration::from_millis(50)).start().await;
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    assert_eq!(agent.rest().await, b"");
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_upstream_that_is_away_is_said_in_the_words_of_the_protocol() {
    let (listener, port) = listener().await;
    drop(listener);
    let sidecar = setup(port).await.start().await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply = agent.ask(connect(&format!("raw.internal:{port}"))).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"));
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("api.internal:{port}")).await;
    agent.send(hello("api.internal")).await;
    assert_eq!(agent.rest().await, alert(INTERNAL_ERROR));
}

/// Bytes that repeat nowhere near a buffer's size, so that a piece that is lost, doubled or out of order shows.
fn pattern(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

#[tokio::test]
async fn much_goes_both_ways_at_once_and_arrives_as_it_was() {
    const BYTES: usize = 24 << 20;
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    let agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let (far, _) = listener.accept().await.expect("a connection");
    let ends = [(agent.stream, 1), (far, 2)];
    let tasks = ends.map(|(stream, seed)| {
        let (mut read, mut write) = stream.into_split();
        let writing = tokio::spawn(async move {
            // Small pieces, large ones, and pauses: copied, spliced and copied again.
            for (at, piece) in pattern(seed, BYTES).chunks(3 << 20).enumerate() {
                let size = if at % 2 == 0 { 3 << 20 } else { 10_000 };
                for part in piece.chunks(size) {
                    write.write_all(part).await.expect("sent");
                }
                tokio::task::yield_now().await;
            }
            write.shutdown().await.expect("half a close");
        });
        let reading = tokio::spawn(async move {
            let mut seen = Vec::new();
            read.read_to_end(&mut seen).await.expect("all of it");
            assert!(seen == pattern(3 - seed, BYTES), "{} bytes, or not as sent", seen.len());
        });
        (writing, reading)
    });
    for (writing, reading) in tasks {
        writing.await.expect("sent");
        reading.await.expect("as it was");
    }
}

#[tokio::test]
async fn who_reads_nothing_is_sent_nothing_more() {
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    let piece = vec![b'i'; 1 << 20];
    let mut sent = 0;
    while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(500), far.write(&piece)).await
    {
        sent += wrote.expect("sent");
        // What the four socket buffers hold, and a pipe; not what an agent could make the sidecar hold.
        assert!(sent < 64 << 20, "{sent} bytes went to somebody who reads nothing");
    }
    drop(far);
    assert_eq!(agent.rest().await.len(), sent);
}

#[tokio::test]
async fn a_reset_is_passed_on_as_one() {
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    for agent_resets in [true, false] {
        let agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
        let (far, _) = listener.accept().await.expect("a connection");
        let (near, mut other) =
            if agent_resets { (agent.stream, far) } else { (far, agent.stream) };
        socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO)).expect("linger");
        drop(near);
        let error = other.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_busy_tunnel_leaves_room_for_others() {
    let (listener, port) = listener().await;
    let sidecar = setup(port).await.start().await;
    let authority = format!("raw.internal:{port}");
    let mut busy = Vec::new();
    for _ in 0..4 {
        let agent = Raw::tunnel(sidecar.proxy(), &authority).await;
        let (mut far, _) = listener.accept().await.expect("a connection");
        busy.push(tokio::spawn(async move {
            let piece = vec![b'i'; 1 << 20];
            while far.write_all(&piece).await.is_ok() {}
        }));
        let mut stream = agent.stream;
        busy.push(tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 20];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        }));
    }
    // All of this test and the sidecar have one thread.
    for _ in 0..20 {
        let mut agent = Raw::tunnel(sidecar.proxy(), &authority).await;
        let (mut far, _) = listener.accept().await.expect("a connection");
        far.write_all(b"hello").await.expect("sent");
        assert_eq!(agent.exactly(5).await, b"hello");
    }
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

//! Tunnels of TLS whose server asks for another hello: the second one is judged as the first was, whatever comes with it, and nothing else of
//! the handshake is touched.

use std::net::SocketAddr;

use rustls::crypto::ring::kx_group::{SECP384R1, X25519};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::entrances::{policy, setup, socks_request};
use super::support::tls::{Identity, hello, in_records};
use super::support::{Raw, Sidecar, Upstream};

const NAME: &str = "api.internal";
/// As long as the name that is allowed, so that it fits in its place.
const OTHER: &str = "evil.example";

const DECODE_ERROR: u8 = 50;
const UNRECOGNIZED_NAME: u8 = 112;

#[derive(Debug, Clone, Copy)]
enum Entrance {
    Connect,
    Socks,
    Redirected,
}

const ENTRANCES: [Entrance; 3] = [Entrance::Connect, Entrance::Socks, Entrance::Redirected];

/// A way to the upstream, before its first hello.
async fn way(sidecar: &Sidecar, entrance: Entrance, to: SocketAddr) -> Raw {
    match entrance {
        Entrance::Connect => Raw::tunnel(sidecar.proxy(), &format!("{NAME}:{}", to.port())).await,
        Entrance::Socks => {
            let (code, agent) = Raw::socks(sidecar.proxy(), &socks_request(NAME, to.port())).await;
            assert_eq!(code, 0);
            agent
        }
        Entrance::Redirected => Raw::redirected(sidecar.transparent(), to).await,
    }
}

fn record(content: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    [&[content, 3, 3, length[0], length[1]], payload].concat()
}

/// The beginning of a server's hello, with no extension of use.
fn server_hello(random: &[u8; 32]) -> Vec<u8> {
    let body = [&[3, 3], random.as_slice(), &[0, 0x13, 1, 0, 0, 0]].concat();
    record(22, &[&[2, 0, 0, u8::try_from(body.len()).expect("short")], body.as_slice()].concat())
}

/// The random that says so (RFC 8446 section 4.1.3).
fn retry() -> Vec<u8> {
    server_hello(b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")
}

/// The same hello for another name.
fn renamed(hello: &[u8]) -> Vec<u8> {
    let at = hello.windows(NAME.len()).position(|name| name == NAME.as_bytes()).expect("the name");
    [&hello[..at], OTHER.as_bytes(), &hello[at + OTHER.len()..]].concat()
}

/// A server that reads a hello, says something, and then tells all that it got behind the hello.
async fn saying(words: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_hello(&mut stream).await;
        for word in words {
            stream.write_all(&word).await.expect("sent");
            tokio::task::yield_now().await;
        }
        rest_of(stream).await
    });
    (address, task)
}

/// A hello of one record.
async fn read_hello(stream: &mut TcpStream) -> Vec<u8> {
    let mut hello = vec![0; 5];
    stream.read_exact(&mut hello).await.expect("a record");
    hello.resize(5 + usize::from(u16::from_be_bytes([hello[3], hello[4]])), 0);
    stream.read_exact(&mut hello[5..]).await.expect("a hello");
    hello
}

/// All bytes until the other side ends or resets.
async fn rest_of(mut stream: TcpStream) -> Vec<u8> {
    let mut seen = Vec::new();
    while matches!(stream.read_buf(&mut seen).await, Ok(1..)) {}
    seen
}

#[tokio::test]
async fn an_honest_client_says_hello_twice() {
    let identity = Identity::new(NAME);
    let upstream = Upstream::secure(identity.wanting(&[SECP384R1]), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure".to_vec()
    })
    .await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    for entrance in ENTRANCES {
        // The second group brings no second hello.
        for groups in [[X25519, SECP384R1], [SECP384R1, X25519]] {
            let way = way(&sidecar, entrance, upstream.address).await;
            let name = ServerName::try_from(NAME).expect("a name");
            let connector = identity.offering(&groups);
            let tls = connector.connect(name, way.stream).await.expect("TLS");
            let twice = tls.get_ref().1.handshake_kind();
            let expected = if groups[0].name() == X25519.name() {
                rustls::HandshakeKind::FullWithHelloRetryRequest
            } else {
                rustls::HandshakeKind::Full
            };
            assert_eq!(twice, Some(expected), "{entrance:?}");
            let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
            assert_eq!(Raw::over(tls).ask(request).await.text(), "secure", "{entrance:?}");
        }
    }
    let records = sidecar.verified_records().await;
    assert!(records.iter().all(|record| record["decision"] == "allow"), "{records:?}");
    assert_eq!(records.len(), 6);
}

#[tokio::test]
async fn a_second_hello_for_another_name_is_cut() {
    let first = hello(NAME);
    let other = renamed(&first);
    let early = record(23, &[0; 9000]);
    let dummy = record(20, &[1]);
    let endless: Vec<u8> = (0..10).flat_map(|_| record(23, &[0; 16_000])).collect();
    // What comes after the retry, whether it is sent before it, the alert.
    let cases = [
        ("another name", other.clone(), false, UNRECOGNIZED_NAME),
        ("sent ahead", other.clone(), true, UNRECOGNIZED_NAME),
        ("in records of one byte", in_records(&other, 1), false, UNRECOGNIZED_NAME),
        ("behind early data", [early, dummy, other.clone()].concat(), true, UNRECOGNIZED_NAME),
        ("no name", hello("127.0.0.1"), false, UNRECOGNIZED_NAME),
        ("early data without an end", endless, false, DECODE_ERROR),
        ("no hello", record(22, &[20, 0, 0, 1, 0]), false, DECODE_ERROR),
        ("no TLS", b"GET / HTTP/1.1\r\n".to_vec(), false, DECODE_ERROR),
    ];
    for (name, second, ahead, expected) in cases {
        for entrance in ENTRANCES {
            let (to, seen) = saying(vec![retry()]).await;
            let sidecar = setup(&policy(to.port())).await.start().await;
            let mut agent = way(&sidecar, entrance, to).await;
            if ahead {
                agent.send([first.as_slice(), &second].concat()).await;
            } else {
                agent.send(&first).await;
            }
            assert_eq!(agent.exactly(retry().len()).await, retry(), "{name} by {entrance:?}");
            if !ahead {
                // The rest may find the connection gone.
                let _ = agent.stream.write_all(&second).await;
            }
            let (answer, _) = agent.rest_or_reset().await;
            drop(agent);
            if expected == UNRECOGNIZED_NAME {
                assert_eq!(answer, [21, 3, 3, 0, 2, 2, expected], "{name} by {entrance:?}");
            }
            let seen = seen.await.expect("the server");
            let hello = seen.windows(OTHER.len()).any(|part| part == OTHER.as_bytes());
            assert!(!hello && !seen.contains(&22), "{name} by {entrance:?}");
            let records = sidecar.verified_records().await;
            let told = |at: usize, fact: &str| records[at][fact].as_str().map(str::to_owned);
            assert_eq!(records.len(), 2, "{name} by {entrance:?}");
            assert_eq!(told(0, "decision").as_deref(), Some("allow"));
            assert_eq!(
                (told(1, "decision").as_deref(), told(1, "protocol").as_deref()),
                (Some("deny"), Some("tls"))
            );
            let reason = if expected == DECODE_ERROR { "malformed" } else { "name" };
            assert_eq!(told(1, "reason").as_deref(), Some(reason), "{name} by {entrance:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_third_hello_gets_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let sidecar = setup(&policy(to.port())).await.start().await;
    let mut agent = way(&sidecar, Entrance::Redirected, to).await;
    let first = hello(NAME);
    agent.send(&first).await;
    let (mut server, _) = listener.accept().await.expect("a connection");
    for _ in 0..2 {
        assert_eq!(read_hello(&mut server).await, first);
        server.write_all(&retry()).await.expect("sent");
        assert_eq!(agent.exactly(retry().len()).await, retry());
        // The third may find the connection gone.
        let _ = agent.stream.write_all(&first).await;
    }
    assert_eq!(rest_of(server).await, b"");
}

#[tokio::test]
async fn whatever_a_server_answers_neither_side_waits_for_the_other() {
    let usual = server_hello(&[7; 32]);
    let (beginning, rest) = usual[5..].split_at(20);
    let pieces = vec![record(22, beginning), record(22, rest)];
    let bytes: Vec<Vec<u8>> = usual.iter().map(|byte| vec![*byte]).collect();
    let cases = [
        ("a hello", vec![usual.clone()], true),
        ("a hello in two records", pieces, true),
        ("a hello byte by byte", bytes, true),
        ("an alert", vec![record(21, &[2, 40])], true),
        ("one byte that isn't TLS", vec![b"S".to_vec()], true),
        ("another protocol", vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], true),
        // Before an answer nothing passes: a second hello could be in it.
        ("a warning alone", vec![record(21, &[1, 112])], false),
        ("half a hello", vec![usual[..42].to_vec()], false),
        ("nothing", vec![], false),
    ];
    for (name, words, answers) in cases {
        for ahead in [false, true] {
            let said = words.concat();
            let (to, seen) = saying(words.clone()).await;
            let sidecar = setup(&policy(to.port())).await.start().await;
            let mut agent = way(&sidecar, Entrance::Redirected, to).await;
            let first = hello(NAME);
            let sent = if ahead { [first.as_slice(), b"more"].concat() } else { first };
            agent.send(sent).await;
            assert_eq!(agent.exactly(said.len()).await, said, "{name}");
            if answers && !ahead {
                agent.send(b"more").await;
            }
            agent.stream.shutdown().await.expect("an end");
            if answers {
                assert_eq!(seen.await.expect("the server"), b"more", "{name}, ahead: {ahead}");
            } else if !ahead {
                // A client that says no more is told on at once.
                assert_eq!(seen.await.expect("the server"), b"", "{name}");
            } else {
                sidecar.rewrite(&policy(to.port()).replace(NAME, OTHER));
                assert_eq!(seen.await.expect("the server"), b"", "{name}");
            }
        }
    }
}

/// Whoever gives up after a retry is heard.
#[tokio::test]
async fn an_alert_instead_of_a_second_hello_passes() {
    let (to, seen) = saying(vec![retry()]).await;
    let sidecar = setup(&policy(to.port())).await.start().await;
    let mut agent = way(&sidecar, Entrance::Connect, to).await;
    agent.send(hello(NAME)).await;
    agent.exactly(retry().len()).await;
    agent.send(record(21, &[2, 47])).await;
    agent.stream.shutdown().await.expect("an end");
    assert_eq!(seen.await.expect("the server"), record(21, &[2, 47]));
}

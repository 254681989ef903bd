//! SOCKS5 at the proxy's port: names, forms, codes, and bytes that come early.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::entrances::{policy, setup, socks_request};
use super::support::tls::hello;
use super::support::{Raw, Upstream, by_reason, count};

#[tokio::test]
async fn rows_18_to_24_34_46_codes_say_why() {
    let upstream = Upstream::saying("never").await;
    let port = upstream.port();
    let sidecar = setup(&policy(port)).await.start().await;
    sidecar.dns.set("raw.internal", &["10.0.0.1"]);
    let here = |host: &str| socks_request(host, port);
    let named = |name: &[u8]| {
        let length = u8::try_from(name.len()).expect("short");
        [&[5, 1, 0, 3, length], name, &port.to_be_bytes()].concat()
    };
    let cases: Vec<(Vec<u8>, u8, &str)> = vec![
        (here("evil.example"), 2, "host"),
        (socks_request("api.internal", 22), 2, "port"),
        (here("raw.internal"), 2, "address"),
        (here("8.8.8.8"), 2, "address"),
        (here("[::1]"), 2, "address"),
        (here("[::ffff:127.0.0.1]"), 2, "address"),
        (here("169.254.169.254"), 2, "address"),
        (named(b"127.0.0.1"), 1, "malformed"),
        (named(b"2130706433"), 1, "malformed"),
        (named(b"api.internal\0.evil.example"), 1, "malformed"),
        (named(b""), 1, "malformed"),
        (named(&[b'a'; 255]), 1, "malformed"),
        (vec![5, 2, 0, 1, 127, 0, 0, 1, 0, 80], 7, "malformed"),
        (vec![5, 3, 0, 1, 0, 0, 0, 0, 0, 0], 7, "malformed"),
        (vec![5, 1, 0, 9, 127, 0, 0, 1, 0, 80], 8, "malformed"),
    ];
    for (request, code, _) in &cases {
        let (found, mut agent) = Raw::socks(sidecar.proxy(), request).await;
        assert_eq!(found, *code, "{}", request.escape_ascii());
        assert_eq!(agent.rest().await, b"");
    }
    assert_eq!(upstream.connections(), 0);
    let records = sidecar.verified_records().await;
    assert_eq!(by_reason(&records), count(cases.iter().map(|(_, _, reason)| *reason)));
    assert!(records.iter().all(|record| record["protocol"] == "socks"));
}

#[tokio::test]
async fn no_authentication_and_no_older_version() {
    let upstream = Upstream::saying("never").await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    let cases: [(&[u8], &[u8], &str); 4] = [
        (&[5, 1, 2], &[5, 0xff], "protocol"),
        (&[5, 0], &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0], "malformed"),
        (&[4, 1, 0, 80, 127, 0, 0, 1, 0], &[0, 91, 0, 0, 0, 0, 0, 0], "protocol"),
        (b"\x04\x01\0\x50\0\0\0\x01\0evil.example\0", &[0, 91, 0, 0, 0, 0, 0, 0], "protocol"),
    ];
    for (bytes, expected, _) in cases {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        agent.send(bytes).await;
        assert_eq!(agent.rest().await, expected, "{}", bytes.escape_ascii());
    }
    let records = sidecar.verified_records().await;
    let reasons: Vec<_> = records.iter().map(|record| record["reason"].as_str()).collect();
    assert_eq!(reasons, cases.map(|(_, _, reason)| Some(reason)));
}

#[tokio::test]
async fn an_upstream_that_is_away_and_a_name_that_leads_nowhere_have_codes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let sidecar = setup(&policy(port)).await.start().await;
    let (code, _) = Raw::socks(sidecar.proxy(), &socks_request("raw.internal", port)).await;
    assert_eq!(code, 5);
    sidecar.dns.set("raw.internal", &[]);
    let (code, _) = Raw::socks(sidecar.proxy(), &socks_request("raw.internal", port)).await;
    assert_eq!(code, 4);
}

#[tokio::test]
async fn row_45_bytes_that_come_early_are_kept_and_judged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let sidecar = setup(&policy(port)).await.start().await;
    let early =
        |host: &str, bytes: &[u8]| [&[5, 1, 0], &socks_request(host, port)[..], bytes].concat();
    let whole = hello("api.internal");
    for (host, bytes) in [("api.internal", whole.as_slice()), ("raw.internal", b"early")] {
        let mut agent = Raw::connect(sidecar.proxy()).await;
        agent.send(early(host, bytes)).await;
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut seen = vec![0; bytes.len()];
        stream.read_exact(&mut seen).await.expect("the bytes");
        assert_eq!(seen, bytes, "{host}");
        assert_eq!(agent.exactly(12).await[..4], [5, 0, 5, 0]);
    }
    let mut agent = Raw::connect(sidecar.proxy()).await;
    agent.send(early("api.internal", &hello("evil.example"))).await;
    assert_eq!(agent.exactly(12).await[..4], [5, 0, 5, 0]);
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 112]);
}

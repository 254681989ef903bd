//! Many connections at once: those that say nothing keep nobody out, and who finds no place is told in the words of what is spoken there.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::entrances::{policy, setup};
use super::support::asking::query;
use super::support::tls::hello;
use super::support::{Raw, Setup, Sidecar};

const OPEN: &str = "pinfold_egress_open_connections";
const SHED: &str =
    r#"pinfold_egress_connections_total{decision="deny",protocol="transparent",reason="limit"}"#;

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Waits longer for the first byte than the test does, so that only room made lets anybody in.
async fn patient(port: u16) -> Setup {
    setup(&policy(port)).await.with(|config| config.limits.peek_max = Duration::from_secs(600))
}

/// With its length, as DNS over TCP has it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("short");
    [&length.to_be_bytes(), message].concat()
}

async fn silent(sidecar: &Sidecar, port: u16, count: usize) -> Vec<Raw> {
    let to = format!("127.0.0.1:{port}").parse().expect("an address");
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(Raw::redirected(sidecar.transparent(), to).await);
    }
    held
}

#[tokio::test]
async fn two_thousand_that_say_nothing_keep_nobody_out() {
    let (listener, port) = listener().await;
    let sidecar = patient(port).await.start().await;
    let mut tunnel = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    let mut held = Vec::new();
    for _ in 0..4 {
        held.extend(silent(&sidecar, port, 500).await);
        let mut honest = silent(&sidecar, port, 1).await.remove(0);
        honest.send(hello("api.internal")).await;
        let (mut stream, _) = listener.accept().await.expect("its connection");
        stream.write_all(b"answer").await.expect("sent");
        assert_eq!(honest.exactly(6).await, b"answer");
        let asked = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
        drop((asked, listener.accept().await.expect("its connection")));
    }
    far.write_all(b"still").await.expect("sent");
    assert_eq!(tunnel.exactly(5).await, b"still", "what is decided isn't touched");
    assert_eq!(held[0].rest_or_reset().await, (Vec::new(), true), "the oldest made room");
    drop((held, tunnel, far));
    sidecar.until_metric(OPEN, 0.0).await;
    let shed = sidecar.metric(SHED).await;
    assert!((1745.0..=1944.0).contains(&shed), "all but those for which there was room: {shed}");
    let records = sidecar.verified_records().await;
    let shed = records.iter().filter(|record| record["reason"] == "limit");
    assert!(shed.clone().count() > 0);
    assert!(shed.clone().all(|record| record["rules"][0] == "spec.egress.limits.connections"));
}

#[tokio::test]
async fn the_gateway_and_dns_are_not_filled_either() {
    let (_listener, port) = listener().await;
    let sidecar = patient(port).await.with_dns().start().await;
    for address in [sidecar.gateway(), sidecar.dns_gate()] {
        let mut held = Vec::new();
        for _ in 0..300 {
            held.push(Raw::connect(address).await);
        }
        assert_eq!(held[0].rest_or_reset().await, (Vec::new(), true));
        let mut honest = Raw::connect(address).await;
        if address == sidecar.gateway() {
            honest.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            assert_eq!(honest.reply().await.status, 404);
        } else {
            honest.send(framed(&query("api.internal", 1))).await;
            assert!(honest.exactly(2).await != [0, 0], "an answer");
        }
    }
}

#[tokio::test]
async fn who_finds_no_place_is_told_in_the_words_of_the_service() {
    let (_listener, port) = listener().await;
    let setup = patient(port).await.with_dns();
    let sidecar = setup.with(|config| config.limits.service_connections_max = 1).start().await;
    let mut first = Raw::connect(sidecar.dns_gate()).await;
    first.send(framed(&query("api.internal", 1))).await;
    first.exactly(2).await;
    let mut second = Raw::connect(sidecar.dns_gate()).await;
    second.send(framed(&query("api.internal", 1))).await;
    let reply = second.rest().await;
    assert_eq!(reply.get(5).map(|byte| byte & 15), Some(5), "REFUSED: {reply:?}");
    let mut mute = Raw::connect(sidecar.dns_gate()).await;
    assert_eq!(mute.rest_or_reset().await, (Vec::new(), true), "who asks nothing is told nothing");
}

#[tokio::test]
async fn tls_to_the_sidecar_itself_gets_an_alert() {
    let (_listener, port) = listener().await;
    let sidecar = patient(port).await.start().await;
    for address in [sidecar.proxy(), sidecar.gateway()] {
        let mut agent = Raw::connect(address).await;
        agent.send(hello("localhost")).await;
        assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 49]);
    }
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply = agent.ask("nonsense\r\n\r\n").await;
    assert_eq!(reply.status, 400, "who speaks HTTP badly is told in HTTP");
}

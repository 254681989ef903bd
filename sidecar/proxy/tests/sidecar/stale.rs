//! Kept connections that their server ends just when they are used again: what may be repeated is asked once more over a new one, and the agent
//! sees nothing of it (RFC 9110 section 9.2.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::egress::setup;
use super::https::http2::{ask, client, request};
use super::https::{before, inside};
use super::support::tls::Identity;
use super::support::{Raw, Request, Upstream};

/// Answers, but ends the connection instead at the requests of these numbers, from 0.
fn silent_at(numbers: &'static [usize]) -> impl Fn(&Request) -> Vec<Vec<u8>> + Send + Sync {
    let count = Arc::new(AtomicUsize::new(0));
    move |_| {
        if numbers.contains(&count.fetch_add(1, Ordering::Relaxed)) {
            return vec![Vec::new()];
        }
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()]
    }
}

/// Of the second request: its head and body, when the server is silent, the status, how many requests it gets.
const CASES: [(&str, &[usize], u16, usize); 7] = [
    ("GET", &[1], 200, 3),
    ("HEAD", &[1], 200, 3),
    ("DELETE", &[1], 200, 3),
    // Once, and no more.
    ("GET", &[1, 2], 502, 3),
    // Perhaps it was done.
    ("POST", &[1], 502, 2),
    ("PUT with a body", &[1], 502, 2),
    // A connection of its own: the server doesn't want to.
    ("GET", &[0], 502, 1),
];

fn head(case: &str, target: &str, host: &str) -> String {
    let method = case.split(' ').next().expect("a method");
    let body = if case.ends_with("body") { "Content-Length: 1\r\n\r\nx" } else { "\r\n" };
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{body}")
}

#[tokio::test]
async fn requests_in_the_clear_are_repeated_once() {
    for (case, silent, status, expected) in CASES {
        let upstream = Upstream::in_pieces(silent_at(silent)).await;
        let sidecar = setup(upstream.port()).await.start().await;
        let host = format!("a.any.internal:{}", upstream.port());
        let target = format!("http://{host}/x");
        let mut agent = Raw::connect(sidecar.proxy()).await;
        if silent != [0] {
            assert_eq!(agent.ask(head("GET", &target, &host)).await.text(), "hello");
        }
        agent.send(head(case, &target, &host)).await;
        let reply = agent.head().await;
        assert_eq!(reply.status, status, "{case} {silent:?}");
        assert_eq!(upstream.requests().len(), expected, "{case} {silent:?}");
        let fresh = usize::from(expected == 3);
        assert_eq!(upstream.connections(), 1 + fresh, "{case} {silent:?}");
    }
}

#[tokio::test]
async fn requests_inside_tls_are_repeated_once() {
    for (case, silent, status, expected) in CASES {
        if case == "DELETE" || case.starts_with("PUT") {
            continue;
        }
        for protocol in ["http/1.1", "h2"] {
            let identity = Identity::new("api.internal");
            let upstream = Upstream::secure_in_pieces(identity.acceptor.clone(), silent_at(silent));
            let upstream = upstream.await;
            let sidecar = before(&upstream, &identity).await.start().await;
            let port = upstream.port();
            let url = format!("https://api.internal:{port}/repos/a");
            let found = if protocol == "h2" {
                let mut client = client(&sidecar, "api.internal", port).await;
                if silent != [0] {
                    assert_eq!(ask(&mut client, request("GET", &url)).await.0, 200);
                }
                ask(&mut client, request(case, &url)).await.0
            } else {
                let mut agent = inside(&sidecar, "api.internal", port, &[protocol]).await;
                let host = format!("api.internal:{port}");
                if silent != [0] {
                    assert_eq!(agent.ask(head("GET", "/repos/a", &host)).await.text(), "hello");
                }
                agent.send(head(case, "/repos/a", &host)).await;
                agent.head().await.status
            };
            assert_eq!(found, status, "{case} {silent:?} {protocol}");
            assert_eq!(upstream.requests().len(), expected, "{case} {silent:?} {protocol}");
        }
    }
}

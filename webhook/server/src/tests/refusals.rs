//! What is refused before anything is decided, and the net below everything else.

use std::time::{Duration, Instant};

use http::Method;
use pinfold_engine::admit;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::bench::{Bench, PATIENCE, Server, harmless, http1, post, request};
use crate::admission::Judge;

#[tokio::test]
async fn paths_methods_and_types() {
    let server = Bench::new().start().await;
    let json = "application/json";
    let cases = [
        (Method::GET, "/validate", Some(json), 405),
        (Method::PUT, "/validate", Some(json), 405),
        (Method::GET, "/mutate", None, 405),
        (Method::POST, "/validate", Some("text/plain"), 415),
        (Method::POST, "/validate", Some("application/jsonp"), 415),
        (Method::POST, "/validate", None, 415),
        (Method::POST, "/mutate", Some("application/yaml"), 415),
        (Method::POST, "/", Some(json), 404),
        (Method::POST, "/validate/", Some(json), 404),
        (Method::POST, "/Validate", Some(json), 404),
        (Method::POST, "/validate/../mutate", Some(json), 404),
        (Method::GET, "/metrics", None, 404),
        (Method::POST, "/healthz", Some(json), 405),
        (Method::GET, "/healthz", None, 200),
        (Method::GET, "/readyz", None, 200),
        (Method::POST, "/validate", Some("Application/JSON; charset=utf-8"), 200),
    ];
    for mut client in [server.http1().await, server.http2().await] {
        for (method, path, kind, status) in cases.clone() {
            let mut asked = request(method.clone(), path, harmless("u-1").to_string());
            if let Some(kind) = kind {
                asked.headers_mut().insert("content-type", kind.parse().unwrap());
            }
            let reply = client.send(asked).await.unwrap();
            assert_eq!(reply.status, status, "{method} {path} {kind:?}");
            assert!(!reply.headers.contains_key("location"));
            if status == 405 {
                let allow = if path == "/healthz" { "GET" } else { "POST" };
                assert_eq!(reply.headers["allow"], allow);
            }
        }
    }
    assert_eq!(server.page("/metrics").await.status, 200);
    assert_eq!(server.page("/validate").await.status, 404, "not on the plain port");
}

#[tokio::test]
async fn a_body_of_the_limit_is_decided_and_a_larger_one_is_413() {
    let server = Bench::new().start().await;
    let limit = server.bench.config.limits.body_bytes_max;
    let padded = |length: usize| {
        let mut body = harmless("u-1").to_string().into_bytes();
        body.resize(length, b' ');
        body
    };
    for mut client in [server.http1().await, server.http2().await] {
        let reply = client.post("/validate", padded(limit)).await;
        assert_eq!(reply.status, 200);
        assert!(reply.allowed(), "{}", reply.message());
    }
    for mut client in [server.http1().await, server.http2().await] {
        // A client that is still sending may see the connection end before the answer; it is never allowed.
        if let Ok(reply) = client.send(post("/validate", padded(limit + 1))).await {
            assert_eq!(reply.status, 413);
        }
    }
    server.until_metric("pinfold_http_refusals_total{reason=\"too-large\"}", 2.0).await;
}

#[tokio::test]
async fn an_announced_or_endless_body_is_refused_early() {
    let server = Bench::new().start().await;
    let mut announced = server.stream(&["http/1.1"]).await;
    let head = "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let head_of_8_mib = format!("{head}content-length: 8388608\r\n\r\n");
    announced.write_all(head_of_8_mib.as_bytes()).await.unwrap();
    assert!(answer(&mut announced).await.starts_with("HTTP/1.1 413 "), "before a byte was sent");
    let mut endless = server.stream(&["http/1.1"]).await;
    endless
        .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'['; 0x1_0000], b"\r\n"].concat();
    let (mut reader, mut writer) = tokio::io::split(endless);
    let sender = tokio::spawn(async move { while writer.write_all(&chunk).await.is_ok() {} });
    let mut said = [0; 12];
    tokio::time::timeout(PATIENCE, reader.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    sender.abort();
}

async fn answer<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut text = Vec::new();
    // A server that closes without TLS's goodbye is an error after the bytes.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn slow_clients_are_cut_off_at_every_stage() {
    let short = Duration::from_millis(200);
    let bench = Bench::new().limits(|limits| {
        limits.handshake_max = short;
        limits.head_max = short;
        limits.body_max = short;
        limits.unused_max = short;
    });
    let server = bench.start().await;
    let begin = Instant::now();
    let mut silent = TcpStream::connect(server.running.addresses.listen).await.unwrap();
    assert_eq!(answer(&mut silent).await, "", "no handshake");
    let mut unused = server.stream(&["http/1.1"]).await;
    assert_eq!(answer(&mut unused).await, "", "no request");
    let mut unused = server.stream(&["h2"]).await;
    let _ = answer(&mut unused).await;
    let mut head = server.stream(&["http/1.1"]).await;
    head.write_all(b"POST /validate HTTP/1.1\r\nhost: loc").await.unwrap();
    assert_eq!(answer(&mut head).await, "", "half a head");
    let mut body = server.stream(&["http/1.1"]).await;
    body.write_all(
        b"POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
          content-length: 100\r\n\r\n{",
    )
    .await
    .unwrap();
    assert!(answer(&mut body).await.starts_with("HTTP/1.1 408 "));
    assert!(begin.elapsed() < PATIENCE);
    server.until_metric("pinfold_http_refusals_total{reason=\"slow-body\"}", 1.0).await;
    server.until_metric("pinfold_http_refusals_total{reason=\"handshake\"}", 1.0).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_head_timeout() {
    let bench = Bench::new().limits(|limits| {
        limits.head_max = Duration::from_millis(1);
        limits.idle_max = PATIENCE;
    });
    let server = bench.start().await;
    let mut client = server.http1().await;
    assert!(client.post("/validate", harmless("u-1").to_string()).await.allowed());
    // More than two looks at the clocks of the connection.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(client.post("/validate", harmless("u-2").to_string()).await.allowed());
}

/// Opens a request whose body never ends, and waits until the server is reading it.
async fn occupy(server: &Server) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut stream = server.stream(&["http/1.1"]).await;
    let head = b"POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 100\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 100 "));
    stream
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused_at_once() {
    let server = Bench::new().limits(|limits| limits.requests_max = 1).start().await;
    let occupied = occupy(&server).await;
    for mut client in [server.http1().await, server.http2().await] {
        let reply = client.post("/validate", harmless("u-1").to_string()).await;
        assert_eq!(reply.status, 503);
        assert!(reply.text().contains("too many requests"));
    }
    drop(occupied);
    let mut client = server.http1().await;
    let free = async {
        while client.post("/validate", harmless("u-1").to_string()).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
    assert!(server.metric("pinfold_http_refusals_total{reason=\"busy\"}").await >= 2.0);
}

#[tokio::test]
async fn memory_for_bodies_is_shared_and_given_back() {
    let server = Bench::new().limits(|limits| limits.body_bytes_total_max = 50).start().await;
    let mut client = server.http1().await;
    let reply = client.post("/validate", harmless("u-1").to_string()).await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("too many bytes"));
    for _ in 0..20 {
        let mut client = server.http1().await;
        let reply = client.post("/validate", "[1,2,3]").await;
        assert_eq!(reply.status, 400, "a small one still fits, again and again");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let server = Bench::new().limits(|limits| limits.connections_max = 2).start().await;
    let mut first = server.http1().await;
    let second = server.http1().await;
    assert!(server.try_stream(&["http/1.1"], false).await.is_err());
    assert!(first.post("/validate", harmless("u-1").to_string()).await.allowed());
    drop(second);
    let again = async {
        loop {
            if let Ok(stream) = server.try_stream(&["http/1.1"], false).await {
                break http1(stream).await;
            }
        }
    };
    let mut third = tokio::time::timeout(PATIENCE, again).await.unwrap();
    assert!(third.post("/validate", harmless("u-1").to_string()).await.allowed());
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Bench::new().start().await;
    for headers in [vec![("x-long", "a".repeat(20_000))], many_headers(100)] {
        for mut client in [server.http1().await, server.http2().await] {
            let mut asked = post("/validate", harmless("u-1").to_string());
            for (name, value) in &headers {
                let name: http::HeaderName = name.parse().unwrap();
                asked.headers_mut().append(name, value.parse().unwrap());
            }
            let many_on_http2 =
                headers.len() > 1 && matches!(client, super::bench::Client::Http2(_));
            match client.send(asked).await {
                Ok(reply) if many_on_http2 => {
                    assert_eq!(reply.status, 200, "bounded by bytes there");
                }
                Ok(reply) => assert_eq!(reply.status, 431),
                Err(_) => {}
            }
        }
    }
}

fn many_headers(count: usize) -> Vec<(&'static str, String)> {
    (0..count).map(|index| ("x-many", index.to_string())).collect()
}

#[tokio::test]
async fn clients_must_show_a_certificate_where_that_is_asked_for() {
    let mut bench = Bench::new();
    std::fs::write(bench.path("client-ca.crt"), bench.authority.certificate()).unwrap();
    bench.config.client_ca = Some(bench.path("client-ca.crt"));
    let server = bench.start().await;
    let mut known = http1(server.try_stream(&["http/1.1"], true).await.unwrap()).await;
    assert!(known.post("/validate", harmless("u-1").to_string()).await.allowed());
    // With TLS 1.3 the client learns of the refusal when it reads.
    if let Ok(mut stream) = server.try_stream(&["http/1.1"], false).await {
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(answer(&mut stream).await, "");
    }
    assert_eq!(server.page("/healthz").await.status, 200, "probes have no certificate");
}

#[tokio::test]
async fn a_panic_denies_its_request_and_no_other() {
    let mut bench = Bench::new();
    bench.judge = Judge {
        admit: |facts, view, policy, now| {
            assert_ne!(facts.uid, "boom", "a defect");
            admit::admit(facts, view, policy, now)
        },
        mutate: |_, _, _, _| panic!("a defect"),
        ..Judge::default()
    };
    let server = bench.start().await;
    for mut client in [server.http1().await, server.http2().await] {
        let reply = client.post("/validate", harmless("boom").to_string()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["response"]["uid"], "boom");
        assert!(!reply.allowed());
        assert!(reply.message().contains("defect of the webhook"));
        assert!(!client.post("/mutate", harmless("u-1").to_string()).await.allowed());
        assert!(client.post("/validate", harmless("u-2").to_string()).await.allowed());
    }
    assert_eq!(server.metric("pinfold_panics_total").await, 4.0);
}

#[tokio::test]
async fn what_cannot_be_read_is_denied_with_its_uid() {
    let server = Bench::new().start().await;
    let mut client = server.http1().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let review = harmless("u-deep").to_string().replacen("\"b\"", &deep, 1);
    let reply = client.post("/validate", review).await;
    assert_eq!((reply.status.as_u16(), reply.allowed()), (200, false));
    assert_eq!(reply.json()["response"]["uid"], "u-deep");
    assert!(reply.message().starts_with("PF-REQ-002 $.request.object"), "{}", reply.message());
    for body in ["", "{", "[[[[", "null", "{\"kind\":\"AdmissionReview\"}"] {
        let reply = client.post("/validate", body).await;
        assert_eq!((reply.status.as_u16(), reply.allowed()), (400, false), "{body}");
        assert!(reply.message().starts_with("PF-REQ-001 "));
    }
    let mut large = harmless("u-large");
    large["request"]["object"]["data"] = json!({"a": vec![0; 500_000]});
    let reply = client.post("/validate", large.to_string()).await;
    assert_eq!(reply.json()["response"]["uid"], "u-large", "read on another thread");
    assert!(!reply.allowed());
}

//! `https` rules over HTTP/2: the same judgement stream by stream, trailers and streaming both ways, and the protocol's own attacks.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{PATHS, before, inside, policy};
use crate::support::tls::Identity;
use crate::support::{PATIENCE, Sidecar, Upstream};

/// Requests at once on one connection.
pub(crate) const STREAMS: usize = 32;

/// A body of frames as they are sent.
pub(crate) struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }

    /// A request without a body says so with its head.
    fn is_end_stream(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }
}

pub(crate) fn frames() -> (mpsc::Sender<Frame<Bytes>>, Frames) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, Frames(receiver))
}

/// What was sent, and a trailer.
struct Echo(Incoming, bool);

impl Body for Echo {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.1 {
            return Poll::Ready(None);
        }
        if let Some(frame) = ready!(Pin::new(&mut self.0).poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        self.1 = true;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("proxy-secret", HeaderValue::from_static("x"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// An upstream that speaks HTTP/2 and echoes; what it saw.
async fn echoing(identity: &Identity) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let (seen, acceptor) = (Seen::default(), identity.speaking(&["h2"]));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, acceptor) = (Arc::clone(&shared), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let te =
                        request.headers().get("te").map_or("", |te| te.to_str().expect("text"));
                    let line = format!("{} {} te={te}", request.method(), request.uri());
                    let cookies = format!("{:?}", request.headers().get("x-private"));
                    seen.lock().expect("a lock").push((line, cookies));
                    async move {
                        Ok::<_, std::convert::Infallible>(Response::new(Echo(
                            request.into_body(),
                            false,
                        )))
                    }
                });
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (port, seen)
}

pub(crate) async fn client(sidecar: &Sidecar, host: &str, port: u16) -> SendRequest<Frames> {
    let raw = inside(sidecar, host, port, &["h2", "http/1.1"]).await;
    let (_, tls) = raw.stream.get_ref();
    assert_eq!(tls.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(raw.stream);
    let mut builder = Builder::new(TokioExecutor::new());
    // Until the sidecar's settings came.
    builder.initial_max_send_streams(STREAMS);
    let (sender, connection) = builder.handshake(io).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

pub(crate) fn request(method: &str, uri: &str) -> Request<Frames> {
    let (_, body) = frames();
    Request::builder().method(method).uri(uri).body(body).expect("a request")
}

pub(crate) async fn ask(
    client: &mut SendRequest<Frames>,
    request: Request<Frames>,
) -> (u16, Bytes) {
    let response = timeout(PATIENCE, client.send_request(request)).await.expect("in time");
    let response = response.expect("a reply");
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a body").to_bytes())
}

pub(crate) fn reason(body: &Bytes) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    body["reason"].as_str().expect("a reason").to_owned()
}

pub(crate) async fn sidecar_before(port: u16, identity: &Identity) -> Sidecar {
    // Only its port is needed of an upstream that isn't asked.
    let idle = Upstream::saying("never").await;
    let setup = before(&idle, identity).await;
    let path = setup.files.path().join("policy.yaml");
    std::fs::write(path, policy(port, PATHS)).expect("a policy");
    setup.with(|config| config.drain = PATIENCE).start().await
}

#[tokio::test]
async fn rows_41_50_54_59_streams_are_judged_one_by_one_before_http2_and_http1() {
    let identity = Identity::new("api.internal");
    let (port, seen) = echoing(&identity).await;
    let old = Upstream::secure(identity.acceptor.clone(), |_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: t\r\n\r\n"
            .to_vec()
    })
    .await;
    for port in [port, old.port()] {
        let sidecar = sidecar_before(port, &identity).await;
        let mut client = client(&sidecar, "api.internal", port).await;
        let at = |path: &str| format!("https://api.internal:{port}{path}");
        let cases = [
            (request("GET", &at("/repos/a?q")), 200, ""),
            (request("GET", &at("/user")), 403, "path"),
            (request("GET", &at("/repos/%2e%2e/user")), 403, "path"),
            (request("GET", &at("/repos/..%2fuser")), 403, "path"),
            (request("DELETE", &at("/repos/a")), 403, "method"),
            (request("TRACE", &at("/repos/a")), 405, "method"),
            (request("GET", "https://tunnel.internal/repos/a"), 421, "name"),
            (request("GET", "http://api.internal/repos/a"), 400, "malformed"),
            (request("POST", &at("/repos/b")), 200, ""),
        ];
        for (request, status, expected) in cases {
            let shown = format!("{} {}", request.method(), request.uri());
            let (found, body) = ask(&mut client, request).await;
            assert_eq!(found, status, "{shown}");
            if status != 200 {
                assert_eq!(reason(&body), expected, "{shown}");
            }
        }
        let mut twofold = request("GET", &at("/repos/a"));
        twofold.headers_mut().insert("host", HeaderValue::from_static("tunnel.internal"));
        let (status, body) = ask(&mut client, twofold).await;
        assert_eq!((status, reason(&body).as_str()), (400, "malformed"), "row 59");
        let mut private = request("GET", &at("/repos/c"));
        private.headers_mut().insert("x-pinfold-a", HeaderValue::from_static("1"));
        assert_eq!(ask(&mut client, private).await.0, 200);
    }
    let lines: Vec<String> = seen.lock().expect("a lock").iter().map(|one| one.0.clone()).collect();
    let at = |line: &str| line.replace("HOST", &format!("https://api.internal:{port}"));
    let expected =
        ["GET HOST/repos/a?q te=", "POST HOST/repos/b te=", "GET HOST/repos/c te="].map(at);
    assert_eq!(lines, expected);
    let targets: Vec<String> = old.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/repos/a?q", "/repos/b", "/repos/c"]);
    assert_eq!(old.connections(), 1, "kept alive");
    assert_eq!(old.last().headers["host"], format!("api.internal:{}", old.port()));
    assert!(!old.last().headers.contains_key("x-pinfold-a"));
}

#[tokio::test]
async fn streams_pass_both_ways_while_they_are_open_with_their_trailers() {
    let identity = Identity::new("api.internal");
    let (port, seen) = echoing(&identity).await;
    let sidecar = sidecar_before(port, &identity).await;
    let mut client = client(&sidecar, "api.internal", port).await;
    let (sender, body) = frames();
    let uri = format!("https://api.internal:{port}/repos/stream");
    let request = Request::builder().method("POST").uri(uri).header("te", "trailers").body(body);
    let sent = client.send_request(request.expect("a request"));
    sender.send(Frame::data(Bytes::from_static(b"one"))).await.expect("sent");
    let mut reply = timeout(PATIENCE, sent).await.expect("in time").expect("a reply").into_body();
    let mut next = async || timeout(PATIENCE, reply.frame()).await.expect("in time");
    // The second message is sent only once the first came back.
    let first = next().await.expect("a frame").expect("a frame");
    assert_eq!(first.data_ref().map(Bytes::as_ref), Some(&b"one"[..]));
    sender.send(Frame::data(Bytes::from_static(b"two"))).await.expect("sent");
    let second = next().await.expect("a frame").expect("a frame");
    assert_eq!(second.data_ref().map(Bytes::as_ref), Some(&b"two"[..]));
    drop(sender);
    let trailers = next().await.expect("a frame").expect("a frame").into_trailers();
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("proxy-secret"), "what never passes doesn't in trailers");
    assert!(seen.lock().expect("a lock")[0].0.ends_with("te=trailers"));
}

#[tokio::test]
async fn many_requests_at_once_pass_before_an_upstream_of_http1() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |request| {
        let text = &request.target;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
    })
    .await;
    let port = upstream.port();
    let sidecar = sidecar_before(port, &identity).await;
    let client = client(&sidecar, "api.internal", port).await;
    let asked = (0..40).map(|at| {
        let mut client = client.clone();
        async move {
            let path = format!("/repos/{at}");
            let (status, body) =
                ask(&mut client, request("GET", &format!("https://api.internal:{port}{path}")))
                    .await;
            assert_eq!((status, body.as_ref()), (200, path.as_bytes()));
        }
    });
    futures_util::future::join_all(asked).await;
    assert_eq!(upstream.requests().len(), 40);
}

#[tokio::test]
async fn a_reload_resets_a_stream_that_is_no_longer_allowed() {
    let identity = Identity::new("api.internal");
    let (port, _) = echoing(&identity).await;
    let sidecar = sidecar_before(port, &identity).await;
    let mut client = client(&sidecar, "api.internal", port).await;
    let (sender, body) = frames();
    let uri = format!("https://api.internal:{port}/repos/stream");
    let request = Request::builder().method("POST").uri(uri).body(body).expect("a request");
    let sent = client.send_request(request);
    sender.send(Frame::data(Bytes::from_static(b"one"))).await.expect("sent");
    let mut reply = timeout(PATIENCE, sent).await.expect("in time").expect("a reply").into_body();
    assert!(reply.frame().await.expect("a frame").is_ok());
    sidecar.rewrite(&policy(port, r#"["/other/**"]"#));
    let cut = timeout(PATIENCE, reply.frame()).await.expect("in time").expect("an end");
    assert!(cut.is_err(), "reset, not ended");
    drop(sender);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Reads until the other side ends: the error codes of its GOAWAY frames.
async fn farewells(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u32> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    let mut codes = Vec::new();
    let mut rest = &bytes[..];
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let Some(payload) = rest.get(9..9 + length) else { break };
        if rest[3] == GOAWAY {
            codes.push(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
        }
        rest = &rest[9 + length..];
    }
    codes
}

/// A header list of HPACK (RFC 7541): GET, https, /, and a host as a literal.
fn header_block(host: &str) -> Vec<u8> {
    let length = u8::try_from(host.len()).expect("short");
    [&[0x82, 0x87, 0x84, 0x01, length], host.as_bytes()].concat()
}

#[tokio::test]
async fn row_59_a_flood_of_resets_ends_the_connection() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |_| Vec::new()).await;
    let port = upstream.port();
    let sidecar = sidecar_before(port, &identity).await;
    let raw = inside(&sidecar, "api.internal", port, &["h2"]).await;
    let (mut read, mut write) = tokio::io::split(raw.stream);
    let block = header_block(&format!("api.internal:{port}"));
    let flood = async {
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        for at in 0..2_000_u32 {
            let stream = at * 2 + 1;
            bytes.extend(frame(HEADERS, 0x05, stream, &block));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        // It may be cut while it is sent.
        let _ = write.write_all(&bytes).await;
        let _ = write.flush().await;
    };
    let (codes, ()) = tokio::join!(farewells(&mut read), flood);
    assert_eq!(codes, [ENHANCE_YOUR_CALM]);
}

#[tokio::test]
async fn row_59_a_header_list_without_end_ends_the_connection() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |_| Vec::new()).await;
    let port = upstream.port();
    let sidecar = sidecar_before(port, &identity).await;
    let raw = inside(&sidecar, "api.internal", port, &["h2"]).await;
    let (mut read, mut write) = tokio::io::split(raw.stream);
    // A literal field without indexing, `x: aaaa...`, again and again.
    let field = [&[0, 1, b'x', 100][..], &[b'a'; 100]].concat();
    let fields = field.repeat(100);
    let flood = async {
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        bytes.extend(frame(HEADERS, 0x01, 1, &header_block("api.internal")));
        for _ in 0..2_000 {
            bytes.extend(frame(CONTINUATION, 0, 1, &fields));
        }
        let _ = write.write_all(&bytes).await;
        let _ = write.flush().await;
    };
    let (codes, ()) = tokio::join!(farewells(&mut read), flood);
    assert!(codes.iter().any(|code| *code != 0), "{codes:?}");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_stop_says_goaway_and_lets_open_streams_finish() {
    let identity = Identity::new("api.internal");
    let (port, _) = echoing(&identity).await;
    let sidecar = sidecar_before(port, &identity).await;
    let raw = inside(&sidecar, "api.internal", port, &["h2"]).await;
    let mut idle = raw.stream;
    idle.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("sent");
    idle.flush().await.expect("sent");
    let mut client = client(&sidecar, "api.internal", port).await;
    let (sender, body) = frames();
    let uri = format!("https://api.internal:{port}/repos/stream");
    let request = Request::builder().method("POST").uri(uri).body(body).expect("a request");
    let sent = client.send_request(request);
    sender.send(Frame::data(Bytes::from_static(b"one"))).await.expect("sent");
    let reply = timeout(PATIENCE, sent).await.expect("in time").expect("a reply").into_body();
    let stop = sidecar.running.shutdown();
    let finish = async {
        // It answers no ping, and doesn't hold the stop up.
        let codes = farewells(&mut idle).await;
        assert_eq!(codes.first(), Some(&0), "GOAWAY without an error");
        sender.send(Frame::data(Bytes::from_static(b"two"))).await.expect("sent");
        drop(sender);
        reply.collect().await.expect("the whole reply").to_bytes()
    };
    let ((), body) = tokio::join!(stop, finish);
    assert_eq!(body.as_ref(), b"onetwo");
}

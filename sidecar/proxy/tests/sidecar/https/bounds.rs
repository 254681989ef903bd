//! `https` rules over HTTP/2: what one agent can make the sidecar hold, and uploads that outlast their reply.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::http2::{STREAMS, ask, client, frames, reason, request, sidecar_before};
use super::{PATHS, before, policy};
use crate::support::tls::Identity;
use crate::support::{PATIENCE, Upstream};

/// Upstream connections of one connection of the agent.
const CONNECTIONS: usize = 8;
/// Of the pod.
const POD_CONNECTIONS: usize = 128;

/// An upstream that speaks HTTP/1.1 and answers once it may.
struct Slow {
    port: u16,
    connections: Arc<AtomicUsize>,
    asked: watch::Receiver<usize>,
    answers: watch::Sender<bool>,
}

async fn slow(identity: &Identity) -> Slow {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let (count, asked) = watch::channel(0);
    let (answers, may) = watch::channel(false);
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, opened) = (Arc::new(count), Arc::clone(&connections));
    let acceptor = identity.speaking(&["http/1.1"]);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let (count, may, acceptor) = (Arc::clone(&count), may.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let mut may = may.clone();
                    count.send_modify(|count| *count += 1);
                    async move {
                        may.wait_for(|may| *may).await.expect("a test");
                        let path = Bytes::from(request.uri().path().to_owned());
                        Ok::<_, Infallible>(Response::new(Full::new(path)))
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Slow { port, connections, asked, answers }
}

#[tokio::test]
async fn requests_beyond_the_connections_of_http1_wait_and_are_answered() {
    let identity = Identity::new("api.internal");
    let mut slow = slow(&identity).await;
    let port = slow.port;
    let sidecar = sidecar_before(port, &identity).await;
    let client = client(&sidecar, "api.internal", port).await;
    let requests = (0..STREAMS).map(|at| {
        let mut client = client.clone();
        async move {
            let path = format!("/repos/{at}");
            let uri = format!("https://api.internal:{port}{path}");
            let (status, body) = ask(&mut client, request("GET", &uri)).await;
            assert_eq!((status, body.as_ref()), (200, path.as_bytes()));
        }
    });
    let release = async {
        let full = slow.asked.wait_for(|asked| *asked >= CONNECTIONS);
        let asked = *timeout(PATIENCE, full).await.expect("in time").expect("an upstream");
        assert_eq!(asked, CONNECTIONS, "one request on each connection");
        slow.answers.send(true).expect("an upstream");
    };
    tokio::join!(futures_util::future::join_all(requests), release);
    assert_eq!(*slow.asked.borrow(), STREAMS);
    assert_eq!(slow.connections.load(Ordering::SeqCst), CONNECTIONS);
}

#[tokio::test]
async fn beyond_the_connections_of_the_pod_requests_are_refused_and_the_others_go_on() {
    let identity = Identity::new("api.internal");
    let mut slow = slow(&identity).await;
    let port = slow.port;
    let idle = Upstream::saying("never").await;
    let setup = before(&idle, &identity).await;
    let path = setup.files.path().join("policy.yaml");
    std::fs::write(path, policy(port, PATHS)).expect("a policy");
    let setup = setup.with(|config| config.limits.connect_max = Duration::from_secs(1));
    let sidecar = setup.start().await;
    let full = POD_CONNECTIONS / CONNECTIONS;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..full {
        let client = client(&sidecar, "api.internal", port).await;
        for _ in 0..CONNECTIONS {
            let mut client = client.clone();
            let uri = format!("https://api.internal:{port}/repos/a");
            asked.spawn(async move { ask(&mut client, request("GET", &uri)).await.0 });
        }
    }
    let all = slow.asked.wait_for(|asked| *asked == POD_CONNECTIONS);
    timeout(PATIENCE, all).await.expect("in time").expect("an upstream");
    let mut client = client(&sidecar, "api.internal", port).await;
    let uri = format!("https://api.internal:{port}/repos/b");
    let (_, body) = ask(&mut client, request("GET", &uri)).await;
    assert_eq!(reason(&body), "limit");
    slow.answers.send(true).expect("an upstream");
    assert_eq!(asked.join_all().await, vec![200; POD_CONNECTIONS]);
    assert_eq!(slow.connections.load(Ordering::SeqCst), POD_CONNECTIONS);
}

/// What an upstream got of bodies: data, or that one broke off.
type Got = mpsc::Receiver<Result<Bytes, ()>>;

/// An upstream that speaks HTTP/2, answers at once, and goes on reading.
async fn hasty(identity: &Identity, reply: Bytes) -> (u16, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let (sender, got) = mpsc::channel(16);
    let acceptor = identity.speaking(&["h2"]);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, acceptor, reply) = (sender.clone(), acceptor.clone(), reply.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    tokio::spawn(read(request.into_body(), sender.clone()));
                    let reply = Response::new(Full::new(reply.clone()));
                    async move { Ok::<_, Infallible>(reply) }
                });
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (port, got)
}

async fn read(mut body: Incoming, got: mpsc::Sender<Result<Bytes, ()>>) {
    while let Some(frame) = body.frame().await {
        let one = frame.map_err(|_| ()).map(|frame| frame.into_data().unwrap_or_default());
        if got.send(one).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_reload_ends_an_upload_that_outlasts_its_reply() {
    // The second fills the agent's window, and the agent doesn't read.
    for reply in [Bytes::new(), Bytes::from(vec![b'a'; 8 * 1024 * 1024])] {
        let identity = Identity::new("api.internal");
        let (port, mut got) = hasty(&identity, reply).await;
        let sidecar = sidecar_before(port, &identity).await;
        let mut client = client(&sidecar, "api.internal", port).await;
        let (sender, body) = frames();
        let uri = format!("https://api.internal:{port}/repos/upload");
        let request = Request::builder().method("POST").uri(uri).body(body).expect("a request");
        let sent = timeout(PATIENCE, client.send_request(request)).await.expect("in time");
        let response = sent.expect("a reply");
        assert_eq!(response.status(), 200);
        // The honest twin: what an upstream still takes goes on.
        for piece in ["one", "two"] {
            sender.send(Frame::data(Bytes::from(piece))).await.expect("sent");
            let came = timeout(PATIENCE, got.recv()).await.expect("in time");
            assert_eq!(came, Some(Ok(Bytes::from(piece))));
        }
        sidecar.rewrite(&policy(port, r#"["/other/**"]"#));
        let cut = timeout(PATIENCE, got.recv()).await.expect("an end in time");
        assert_eq!(cut, Some(Err(())));
        drop((sender, response, client));
        let records = sidecar.verified_records().await;
        let denied: Vec<_> = records.iter().filter(|record| record["decision"] == "deny").collect();
        assert_eq!(denied.len(), 1, "{records:?}");
    }
}

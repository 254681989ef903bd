//! A door between webhook and API server that can hold back what watches tell, and let every other question through: a view that is behind,
//! for as long as a test wants. Or it lets nothing through: an API server that is gone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pinfold_tests::TestAuthority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Outcome;

/// Frames between the two sides.
const FRAMES_MAX: usize = 16;

/// The door. Dropping it ends every connection.
pub(crate) struct WatchGate {
    /// `https://127.0.0.1:PORT`, for a kubeconfig.
    pub(crate) url: String,
    door: watch::Sender<Door>,
    _runtime: Runtime,
}

/// What is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Everything but what watches tell.
    Watches,
    Nothing,
}

/// Where requests go, and past which door.
#[derive(Clone)]
struct Way {
    api_server: SocketAddr,
    connector: TlsConnector,
    door: watch::Receiver<Door>,
}

impl WatchGate {
    /// A door to `https://ADDRESS` of this authority, which shows a certificate of `own`.
    pub(crate) fn open(url: &str, authority_pem: &str, own: &TestAuthority) -> Outcome<Self> {
        let api_server = url.strip_prefix("https://").ok_or("no https URL")?.parse()?;
        let (door, seen) = watch::channel(Door::Open);
        let way = Way { api_server, connector: connector(authority_pem)?, door: seen };
        let acceptor = acceptor(own)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("https://{}", listener.local_addr()?);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), way.clone()));
            }
        });
        Ok(Self { url, door, _runtime: runtime })
    }

    /// From now on watches tell nothing new.
    pub(crate) fn hold(&self) {
        self.door.send_replace(Door::Watches);
    }

    /// From now on the API server doesn't answer.
    pub(crate) fn cut(&self) {
        self.door.send_replace(Door::Nothing);
    }

    /// Everything that was held back arrives.
    pub(crate) fn release(&self) {
        self.door.send_replace(Door::Open);
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn connector(authority_pem: &str) -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn acceptor(own: &TestAuthority) -> Outcome<TlsAcceptor> {
    let pair = own.serving(&["127.0.0.1"])?;
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, way: Way) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = hyper::service::service_fn(move |request| {
        let way = way.clone();
        async move {
            Ok::<_, Infallible>(
                forward(request, &way).await.unwrap_or_else(|_| unreachable_server()),
            )
        }
    });
    // The webhook hangs up when it likes.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn unreachable_server() -> Response<Passed> {
    let (_, frames) = mpsc::channel(1);
    let mut response = Response::new(Passed { frames });
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// One request on a connection of its own.
async fn forward(request: Request<Incoming>, way: &Way) -> Result<Response<Passed>, AnyError> {
    if *way.door.borrow() == Door::Nothing {
        return Err("the door is shut".into());
    }
    let is_watch = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.starts_with("watch=")));
    let socket = TcpStream::connect(way.api_server).await?;
    let stream = way.connector.connect(ServerName::try_from("127.0.0.1")?, socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let (frames, passed) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(pass(body, frames, is_watch.then(|| way.door.clone())));
    Ok(Response::from_parts(head, Passed { frames: passed }))
}

async fn pass(
    mut body: Incoming,
    frames: mpsc::Sender<Frame<Bytes>>,
    mut door: Option<watch::Receiver<Door>>,
) {
    while let Some(Ok(frame)) = next(&mut body).await {
        if let Some(door) = &mut door {
            // The door is gone when this fails, and the connection with it.
            let _ = door.wait_for(|door| *door == Door::Open).await;
        }
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// The frames that were let through.
struct Passed {
    frames: mpsc::Receiver<Frame<Bytes>>,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().frames.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

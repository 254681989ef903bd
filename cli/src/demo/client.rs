//! A small HTTP/1.1 client for the demonstration, over TCP or TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::CliError;

/// Bytes of one answer that are read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

pub(crate) fn fail(what: &str) -> impl Fn(&dyn std::fmt::Display) -> CliError {
    move |error| CliError::Input(format!("demo: {what}: {error}"))
}

/// A TLS client that trusts the authority in a PEM file.
pub(crate) fn tls(authority: &Path) -> Result<TlsConnector, CliError> {
    let fail = fail("the webhook's authority");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).map_err(|error| fail(&error))? {
        roots.add(certificate.map_err(|error| fail(&error))?).map_err(|error| fail(&error))?;
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Sends one request over TLS.
pub(crate) async fn send_tls(
    connector: &TlsConnector,
    address: SocketAddr,
    name: &str,
    request: Request<Full<Bytes>>,
) -> Result<Answer, CliError> {
    let fail = fail("the webhook");
    let stream = TcpStream::connect(address).await.map_err(|error| fail(&error))?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| fail(&error))?;
    let stream = connector.connect(name, stream).await.map_err(|error| fail(&error))?;
    exchange(stream, request).await
}

/// Sends one request in the clear.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, CliError> {
    let stream = TcpStream::connect(address).await.map_err(|error| fail("the sidecar")(&error))?;
    exchange(stream, request).await
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, CliError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let fail = fail("an exchange");
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| fail(&error))?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| fail(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await.map_err(|error| fail(&error))?.to_bytes();
    drop(sender);
    // The connection ends with its only request; whatever it still says is of no interest.
    driver.abort();
    Ok(Answer { status, body })
}

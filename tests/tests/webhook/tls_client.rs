//! A TLS client that sends whatever bytes a test wants, and never follows, repeats or mends anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;

/// For the connection and each read or write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// POSTs bytes as one AdmissionReview to `/validate`.
pub(crate) fn review(address: SocketAddr, authority_pem: &str, body: &[u8]) -> Outcome<Answer> {
    send(address, authority_pem, &head(body.len(), ""), body)
}

/// The head of a request that says `length`.
pub(crate) fn head(length: usize, further: &str) -> String {
    format!(
        "POST /validate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n{further}\r\n"
    )
}

/// Sends a head and a body, and reads to the end.
pub(crate) fn send(
    address: SocketAddr,
    authority_pem: &str,
    head: &str,
    body: &[u8],
) -> Outcome<Answer> {
    let mut stream = connect(address, authority_pem)?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut answer = Vec::new();
    // An end without `close_notify` is for the parser to judge.
    let _ = stream.read_to_end(&mut answer);
    parse(&String::from_utf8_lossy(&answer))
}

fn connect(
    address: SocketAddr,
    authority_pem: &str,
) -> Outcome<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, socket))
}

fn parse(text: &str) -> Outcome<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no head in {text:?}"))?;
    let status = head.split(' ').nth(1).ok_or_else(|| format!("no status in {head:?}"))?;
    Ok(Answer { status: status.parse()?, body: body.to_owned() })
}

//! A client of the API server that speaks HTTP itself, so that a case can PUT, PATCH in every format and impersonate with extras, in
//! milliseconds. It never follows, repeats or mends anything.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pinfold_tests::ApiServer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::Outcome;

/// For the connection and each read or write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Who asks, by impersonation from the administrator.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) uid: Option<String>,
    pub(crate) extra: Vec<(String, String)>,
}

impl Person {
    /// Somebody with these groups.
    pub(crate) fn new(user: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Self { user: user.to_owned(), groups, ..Self::default() }
    }

    /// Whom no entry asks about: for what exists before an attack.
    pub(crate) fn unasked() -> Self {
        Self::new("system:apiserver", &["system:masters"])
    }

    /// A ServiceAccount, with the groups that the API server gives it.
    pub(crate) fn account(namespace: &str, name: &str) -> Self {
        let own = format!("system:serviceaccounts:{namespace}");
        let user = format!("system:serviceaccount:{namespace}:{name}");
        Self::new(&user, &["system:serviceaccounts", &own])
    }

    fn headers(&self) -> String {
        let mut headers = format!("Impersonate-User: {}\r\n", self.user);
        for group in &self.groups {
            headers.push_str(&format!("Impersonate-Group: {group}\r\n"));
        }
        if let Some(uid) = &self.uid {
            headers.push_str(&format!("Impersonate-Uid: {uid}\r\n"));
        }
        for (key, value) in &self.extra {
            let key = key.replace('/', "%2F");
            headers.push_str(&format!("Impersonate-Extra-{key}: {value}\r\n"));
        }
        headers
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a Status says.
    pub(crate) fn message(&self) -> &str {
        self.body.get("message").and_then(Value::as_str).unwrap_or_default()
    }
}

/// One call: method, path with query, media type of the body, body.
pub(crate) type Call<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The administrator's connection to one API server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    pub(crate) fn new(server: &ApiServer) -> Outcome<Self> {
        let dir = server.kubeconfig().parent().ok_or("a kubeconfig without a directory")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.authority_pem().as_bytes())?)?;
        let certificate = CertificateDer::from_pem_slice(&fs::read(dir.join("admin.crt"))?)?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(dir.join("admin.key"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        let address = server.url().strip_prefix("https://").ok_or("not an https URL")?.parse()?;
        Ok(Self { address, config: Arc::new(config) })
    }

    /// One call on a connection of its own.
    pub(crate) fn send(&self, who: &Person, call: Call<'_>) -> Outcome<Answer> {
        let (method, path, media, body) = call;
        let socket = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        let name = ServerName::try_from("127.0.0.1")?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut stream = StreamOwned::new(connection, socket);
        // HTTP/1.0: the body ends with the connection, never in chunks.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: {media}\r\nContent-Length: {}\r\n{}\r\n",
            body.len(),
            who.headers()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        stream.flush()?;
        let mut answer = Vec::new();
        // An end without `close_notify` is for the parser to judge.
        let _ = stream.read_to_end(&mut answer);
        parse(&String::from_utf8_lossy(&answer))
    }
}

fn parse(text: &str) -> Outcome<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no head in {text:?}"))?;
    let status = head.split(' ').nth(1).ok_or_else(|| format!("no status in {head:?}"))?;
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Ok(Answer { status: status.parse()?, body })
}

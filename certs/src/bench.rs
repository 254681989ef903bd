//! A folder of certificate files as the kubelet keeps it, for the tests of this crate.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WantsClientCert;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DEFAULT_VERSIONS, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::{Authority, Issued, PairFiles, Validity};

pub(crate) const NAME: &str = "pinfold.pinfold-system.svc";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn authority() -> Authority {
    Authority::create("pinfold test CA", Validity::starting(SystemTime::now(), YEAR).unwrap())
        .unwrap()
}

pub(crate) fn hours(from: i32, to: i32) -> Validity {
    let at = |hours: i32| {
        let distance = HOUR.checked_mul(hours.unsigned_abs()).unwrap();
        let now = SystemTime::now();
        if hours < 0 { now.checked_sub(distance) } else { now.checked_add(distance) }.unwrap()
    };
    Validity::new(at(from), at(to)).unwrap()
}

pub(crate) fn serving(authority: &Authority) -> Issued {
    authority.issue_serving(&[NAME, "127.0.0.1"], hours(-1, 24)).unwrap()
}

pub(crate) fn names() -> Vec<ServerName<'static>> {
    vec![ServerName::try_from(NAME).unwrap()]
}

/// A directory as the kubelet mounts it: `tls.crt` and `tls.key` are links through `..data`.
pub(crate) struct Mounted {
    pub(crate) directory: TempDir,
    version: u32,
}

impl Mounted {
    pub(crate) fn new(certificate: &str, key: &str) -> Self {
        let mut mounted = Self { directory: TempDir::new().unwrap(), version: 0 };
        mounted.swap(certificate, key);
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), mounted.path(file)).unwrap();
        }
        mounted
    }

    pub(crate) fn of(issued: &Issued) -> Self {
        Self::new(&issued.certificate, issued.key.expose())
    }

    /// What the kubelet does: a new directory, a new link, a rename over the old link, the old directory gone.
    pub(crate) fn swap(&mut self, certificate: &str, key: &str) {
        let old = self.path(&format!("..{}", self.version));
        self.version = self.version.checked_add(1).unwrap();
        let name = format!("..{}", self.version);
        fs::create_dir(self.path(&name)).unwrap();
        fs::write(self.path(&name).join("tls.crt"), certificate).unwrap();
        fs::write(self.path(&name).join("tls.key"), key).unwrap();
        symlink(&name, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        let _ = fs::remove_dir_all(old);
    }

    pub(crate) fn files(&self) -> PairFiles {
        PairFiles { certificate: self.path("tls.crt"), key: self.path("tls.key") }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

/// What a client that trusts `authority` is configured with.
pub(crate) fn client(authority: &Authority, shows: Option<&Issued>) -> ClientConfig {
    let builder = trusting(authority, DEFAULT_VERSIONS);
    let Some(issued) = shows else { return builder.with_no_client_auth() };
    let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).unwrap();
    builder.with_client_auth_cert(vec![der(&issued.certificate)], key).unwrap()
}

pub(crate) fn client_speaking(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    trusting(authority, versions).with_no_client_auth()
}

fn trusting(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(der(authority.certificate())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}

pub(crate) fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A handshake in memory; the client's end, or what either side refused with.
pub(crate) fn handshake(
    server: &Arc<ServerConfig>,
    client: ClientConfig,
    name: &str,
) -> Result<ClientConnection, rustls::Error> {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(client)
}

/// The certificate that a client gets to see.
pub(crate) fn shown(server: &Arc<ServerConfig>, authority: &Authority) -> CertificateDer<'static> {
    let client = handshake(server, client(authority, None), NAME).unwrap();
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

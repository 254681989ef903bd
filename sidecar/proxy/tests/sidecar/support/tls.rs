//! Certificates of a made-up authority, hellos as bytes, and both ends of TLS.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server's certificate for one name, and who trusts it.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
    /// The certificate, PEM.
    pub(crate) pem: String,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// With a certificate of other contents.
    pub(crate) fn with(name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let chain = vec![made.der().clone()];
        let mut roots = RootCertStore::empty();
        roots.add(made.der().clone()).expect("a root");
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client(roots))),
            pem: made.pem(),
        }
    }
}

impl Identity {
    /// A server that speaks these protocols.
    pub(crate) fn speaking(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = self.acceptor.config().as_ref().clone();
        config.alpn_protocols = protocols.iter().map(|one| one.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// The key exchanges of one side.
type Groups<'g> = &'g [&'static dyn SupportedKxGroup];

fn with_groups(groups: Groups<'_>) -> Arc<CryptoProvider> {
    let usual = rustls::crypto::ring::default_provider();
    Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..usual })
}

impl Identity {
    /// A server that takes these key exchanges alone.
    pub(crate) fn wanting(&self, groups: Groups<'_>) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(with_groups(groups))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.acceptor.config().cert_resolver));
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts the certificate, and offers a share of the first of these key exchanges.
    pub(crate) fn offering(&self, groups: Groups<'_>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.pem.as_bytes()) {
            roots.add(certificate.expect("PEM")).expect("a root");
        }
        let config = ClientConfig::builder_with_provider(with_groups(groups))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// A client that trusts the certificates of some PEM, and offers these protocols.
pub(crate) fn trusting(pem: &[u8], protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    let mut config = client(roots);
    config.alpn_protocols = protocols.iter().map(|one| one.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The hello of a client that asks for this name; without a server name for an address.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let config = Arc::new(client(RootCertStore::empty()));
    let mut connection = ClientConnection::new(config, name).expect("a client");
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).expect("a hello");
    bytes
}

/// The same hello in records of so many bytes.
pub(crate) fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    hello[5..]
        .chunks(size)
        .flat_map(|part| {
            let length = u16::try_from(part.len()).expect("short").to_be_bytes();
            [&[22, 3, 1, length[0], length[1]], part].concat()
        })
        .collect()
}

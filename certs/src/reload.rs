//! A pair that is served while it is replaced: each handshake takes the current one, a doubtful new one is never taken.
//!
//! Changes are found by reading, not by watching: watches miss the kubelet's symlink swaps, and a read a second costs
//! nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::ServerName;

use crate::authority::Issued;
use crate::files::{Content, FileError, Pair, PairFiles, certificates, read_bounded};

/// Application protocols, in our order of preference (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a look at the files led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The same content as the one served.
    Unchanged,
    /// New handshakes get the new pair.
    Replaced,
}

/// Why a server can't be configured.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// rustls refused; the built-in protocol versions and ciphers don't lead here.
    #[error("TLS can't be configured: {0}")]
    Tls(#[from] rustls::Error),
    /// The client authorities can't be used.
    #[error("client authorities can't be used: {0}")]
    ClientAuthorities(#[from] rustls::server::VerifierBuilderError),
}

/// The pair that a server shows; share it between the server and whoever calls [`ServingCertificate::reload_if_changed`].
#[derive(Debug)]
pub struct ServingCertificate {
    /// None for a pair that was issued in this process.
    files: Option<PairFiles>,
    names: Vec<ServerName<'static>>,
    provider: CryptoProvider,
    current: ArcSwap<Pair>,
    /// Of what is served; held while reading, so that two callers don't undo each other.
    fingerprint: Mutex<[Vec<u8>; 2]>,
}

impl ServingCertificate {
    /// Loads the pair for the first time; it must be good for each of `names`, now and after each change.
    ///
    /// # Errors
    /// When the pair is doubtful: a server does not start with that.
    pub fn load(
        files: PairFiles,
        names: Vec<ServerName<'static>>,
        now: SystemTime,
    ) -> Result<Self, FileError> {
        let provider = rustls::crypto::ring::default_provider();
        let content = files.read()?;
        let pair = files.judge(&content, now, &names, &provider)?;
        let fingerprint = Mutex::new(content.fingerprint());
        let current = ArcSwap::from_pointee(pair);
        Ok(Self { files: Some(files), names, provider, current, fingerprint })
    }

    /// Serves what an [`crate::Authority`] issued in this process, without files.
    ///
    /// # Errors
    /// When the pair is not valid at `now`.
    pub fn from_issued(issued: &Issued, now: SystemTime) -> Result<Self, FileError> {
        let provider = rustls::crypto::ring::default_provider();
        let content = Content::of_issued(issued);
        let pair = issued_files().judge(&content, now, &[], &provider)?;
        let fingerprint = Mutex::new(content.fingerprint());
        let current = ArcSwap::from_pointee(pair);
        Ok(Self { files: None, names: Vec::new(), provider, current, fingerprint })
    }

    /// Serves another issued pair from now on.
    ///
    /// # Errors
    /// When the pair is not valid at `now`; the old pair stays.
    pub fn replace(&self, issued: &Issued, now: SystemTime) -> Result<(), FileError> {
        let mut served = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        let content = Content::of_issued(issued);
        let pair = issued_files().judge(&content, now, &self.names, &self.provider)?;
        self.current.store(Arc::new(pair));
        *served = content.fingerprint();
        Ok(())
    }

    /// Looks at the files, and serves their pair from now on if it changed and is beyond doubt. Blocks on the disk.
    ///
    /// # Errors
    /// When the files hold anything else; the old pair stays, expired or not, and the next call looks again.
    pub fn reload_if_changed(&self, now: SystemTime) -> Result<Reload, FileError> {
        let mut served = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(files) = &self.files else { return Ok(Reload::Unchanged) };
        let content = files.read()?;
        let found = content.fingerprint();
        if found == *served {
            return Ok(Reload::Unchanged);
        }
        let pair = files.judge(&content, now, &self.names, &self.provider)?;
        self.current.store(Arc::new(pair));
        *served = found;
        Ok(Reload::Replaced)
    }

    /// When the first certificate of the served chain ends, for the metric and its alarm.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.current.load().not_after()
    }
}

/// What errors call a pair that has no files.
fn issued_files() -> PairFiles {
    PairFiles { certificate: "issued certificate".into(), key: "issued key".into() }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.current.load().certified()))
    }
}

/// Reads the authorities whose clients are let in.
///
/// # Errors
/// When the file has no certificate, or one that can't be a trust anchor.
pub fn client_authorities(path: &Path) -> Result<RootCertStore, FileError> {
    let (chain, _) = certificates(path, &read_bounded(path)?)?;
    let mut roots = RootCertStore::empty();
    for der in chain {
        roots.add(der).map_err(|error| FileError::Garbage {
            path: path.to_owned(),
            expected: "certificates of authorities",
            found: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3 with ring, HTTP/2 and HTTP/1.1; with `client_ca`, only clients with a certificate of it get in.
///
/// # Errors
/// When `client_ca` is empty.
pub fn server_config(
    serving: Arc<ServingCertificate>,
    client_ca: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, ServingError> {
    let provider = Arc::new(serving.provider.clone());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
        ),
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;

//! By which authorities upstreams are verified: the public ones, those of `--upstream-ca`, and those of the policy that count for the host.
//!
//! A connector is made for each set of authorities and never changes, so that no session of TLS is resumed under authorities that no longer count.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pinfold_model::digest::Digest;
use pinfold_model::host::Host;
use pinfold_model::policy::agent::AgentPolicy;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsConnector;

use super::{Offered, read_certificates};
use crate::error::StartError;

/// Sets of further authorities whose connectors are kept: each holds the public ones again, about 100 KiB.
const SETS_MAX: usize = 4;

/// Which authorities of a policy a connection was verified with, beside those that always count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trusted(Vec<Digest>);

impl Trusted {
    /// What a policy adds for a host.
    pub(super) fn by(policy: &AgentPolicy, host: &Host) -> Self {
        let roots = policy.roots.iter().filter(|root| root.counts_for(host));
        Self(roots.map(|root| root.digest).collect())
    }
}

/// Connectors for one set of authorities.
pub(super) struct Connector {
    http1: TlsConnector,
    both: TlsConnector,
}

impl Connector {
    fn of(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let both = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = TlsConnector::from(Arc::new(config));
        Ok(Self { http1, both })
    }

    pub(super) fn offering(&self, offered: Offered) -> &TlsConnector {
        match offered {
            Offered::Http1 => &self.http1,
            Offered::Both => &self.both,
        }
    }
}

/// Connectors by the authorities that count for a host.
pub(super) struct Connectors {
    always: RootCertStore,
    usual: Arc<Connector>,
    further: Mutex<Vec<(Trusted, Arc<Connector>)>>,
}

impl Connectors {
    /// Trusts the authorities of the web, and those of `extra`.
    ///
    /// # Errors
    /// Certificates of `extra` that can't be used.
    pub(super) fn new(extra: Option<&Path>) -> Result<Self, StartError> {
        let mut always = RootCertStore::empty();
        // The very certificates that the agent is told to trust.
        always.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        if let Some(path) = extra {
            add_roots(&mut always, path)?;
        }
        let usual = Connector::of(always.clone()).map_err(|error| StartError::System {
            action: "set up TLS",
            message: error.to_string(),
        })?;
        Ok(Self { always, usual: Arc::new(usual), further: Mutex::default() })
    }

    /// The connector for a host, and which authorities of the policy it trusts.
    ///
    /// # Errors
    /// What is wrong with an authority of the policy.
    pub(super) fn of(
        &self,
        policy: &AgentPolicy,
        host: &Host,
    ) -> Result<(Trusted, Arc<Connector>), String> {
        let trusted = Trusted::by(policy, host);
        if trusted == Trusted::default() {
            return Ok((trusted, Arc::clone(&self.usual)));
        }
        let mut further = self.further.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = further.iter().position(|(known, _)| *known == trusted) {
            // The last is the one that was used last.
            let found = further.remove(at);
            further.push(found.clone());
            return Ok(found);
        }
        let mut roots = self.always.clone();
        for root in policy.roots.iter().filter(|root| root.counts_for(host)) {
            for certificate in &root.certificates {
                let certificate = CertificateDer::from_slice(certificate);
                roots.add(certificate).map_err(|error| format!("{}: {error}", root.place))?;
            }
        }
        let connector = Connector::of(roots).map_err(|error| error.to_string())?;
        let made = (trusted, Arc::new(connector));
        if further.len() >= SETS_MAX {
            further.remove(0);
        }
        further.push(made.clone());
        Ok(made)
    }
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), StartError> {
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| StartError::Certificates {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
    }
    Ok(())
}

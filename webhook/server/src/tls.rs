//! The serving certificate: loaded, and looked at again while the server runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use pinfold_certs::{PairFiles, Reload, ServingCertificate, client_authorities, server_config};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ServingSource};
use crate::drain::DrainWatch;
use crate::error::StartError;
use crate::self_managed::{Identity, Keeper};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The served certificate and who looks after it.
pub(crate) struct Serving {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) certificate: Arc<ServingCertificate>,
    /// None for files that somebody else keeps.
    pub(crate) keeper: Option<Keeper>,
}

/// Loads or makes the certificate, and the acceptor that shows it.
///
/// # Errors
/// What is wrong, with which file.
pub(crate) fn start(config: &Config, client: Option<Client>) -> Result<Serving, StartError> {
    let bad = |error: &dyn std::fmt::Display| StartError::Certificates(error.to_string());
    let (certificate, keeper) = match &config.serving {
        ServingSource::Files { cert, key } => {
            let files = PairFiles { certificate: cert.clone(), key: key.clone() };
            let loaded = ServingCertificate::load(files, Vec::new(), SystemTime::now());
            (Arc::new(loaded.map_err(|error| bad(&error))?), None)
        }
        ServingSource::SelfManaged { ca_out } => {
            let identity = Identity {
                service: config.service.clone(),
                namespace: config.namespace.clone(),
                ca_out: ca_out.clone(),
            };
            let keeper = Keeper::start(&identity, client).map_err(|error| bad(&error))?;
            (keeper.serving(), Some(keeper))
        }
    };
    let clients = match &config.client_ca {
        Some(path) => Some(client_authorities(path).map_err(|error| bad(&error))?),
        None => None,
    };
    let tls = server_config(Arc::clone(&certificate), clients).map_err(|error| bad(&error))?;
    Ok(Serving { acceptor: TlsAcceptor::from(tls), certificate, keeper })
}

/// Looks at the files until the server closes.
pub(crate) async fn watch(serving: Arc<ServingCertificate>, mut drain: DrainWatch) {
    let mut reported = String::new();
    while drain.pause(LOOK_EVERY).await {
        let looked = Arc::clone(&serving);
        let result =
            tokio::task::spawn_blocking(move || looked.reload_if_changed(SystemTime::now())).await;
        match result {
            Ok(Ok(Reload::Unchanged)) => {}
            Ok(Ok(Reload::Replaced)) => {
                reported.clear();
                tracing::info!("serving certificate replaced");
            }
            Ok(Err(error)) => {
                let message = error.to_string();
                if message != reported {
                    tracing::error!(
                        reason = message,
                        "serving certificate not replaced, the old one stays"
                    );
                    reported = message;
                }
            }
            Err(error) => tracing::error!(%error, "can't look at the serving certificate"),
        }
    }
}

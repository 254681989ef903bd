//! The serving certificate: loaded, and looked at again while the server runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pinfold_certs::{PairFiles, Reload, ServingCertificate, client_authorities, server_config};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ServingSource};
use crate::drain::DrainWatch;
use crate::error::StartError;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Loads the certificate and makes the acceptor.
///
/// # Errors
/// What is wrong, with which file.
pub(crate) fn start(config: &Config) -> Result<(TlsAcceptor, Arc<ServingCertificate>), StartError> {
    let bad = |error: &dyn std::fmt::Display| StartError::Certificates(error.to_string());
    let files = match &config.serving {
        ServingSource::Files { cert, key } => {
            PairFiles { certificate: cert.clone(), key: key.clone() }
        }
        ServingSource::SelfManaged { .. } => {
            return Err(StartError::Certificates("not there yet".to_owned()));
        }
    };
    let serving = ServingCertificate::load(files, Vec::new(), SystemTime::now())
        .map_err(|error| bad(&error))?;
    let serving = Arc::new(serving);
    let clients = match &config.client_ca {
        Some(path) => Some(client_authorities(path).map_err(|error| bad(&error))?),
        None => None,
    };
    let tls = server_config(Arc::clone(&serving), clients).map_err(|error| bad(&error))?;
    Ok((TlsAcceptor::from(tls), serving))
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

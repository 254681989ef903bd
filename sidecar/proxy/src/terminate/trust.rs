//! What the agent must trust, as files: the public roots, those of `--upstream-ca` and of the policy, and the pod's own authority.
//!
//! Written whenever `--trust` is given, whether or not a rule is `https`: the agent's variables name the bundle from its start, a missing
//! file would break all its TLS, and a reload may add such a rule. No key is ever written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_model::policy::inject::{TRUST_AUTHORITY, TRUST_BUNDLE};
use pinfold_model::policy::roots::Root;
use rustls_pki_types::CertificateDer;

use super::authority::{AUTHORITY_RENEWAL, Authority, MintError};
use super::bounds::Bounds;
use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::upstream::read_certificates;

/// Anybody in the pod may read them; nobody but the sidecar writes.
const MODE: u32 = 0o644;
/// Characters of a line of PEM.
const LINE: usize = 64;

/// The authority, and where it is made known.
pub(crate) struct Trust {
    pub(super) authority: Authority,
    pub(super) bounds: Bounds,
    directory: PathBuf,
    extra: Option<PathBuf>,
    /// Of the policy in force.
    roots: Mutex<Vec<Root>>,
}

impl Trust {
    /// Makes an authority and writes what to trust; nothing without a directory.
    ///
    /// # Errors
    /// A directory that can't be written to, or certificates of `extra` that can't be read.
    pub(crate) fn start(
        directory: Option<&Path>,
        extra: Option<&Path>,
        roots: &[Root],
    ) -> Result<Option<Arc<Self>>, StartError> {
        let Some(directory) = directory else { return Ok(None) };
        let authority = Authority::new().map_err(|error| not_made(&error))?;
        let (directory, extra) = (directory.to_owned(), extra.map(Path::to_owned));
        let roots = Mutex::new(roots.to_vec());
        let trust = Self { authority, bounds: Bounds::default(), directory, extra, roots };
        trust.publish(SystemTime::now())?;
        let bundle = trust.directory.join(TRUST_BUNDLE);
        tracing::info!(bundle = %bundle.display(), "have the agent trust this bundle for `https` rules");
        Ok(Some(Arc::new(trust)))
    }

    /// Writes the bundle again if the policy has other authorities than before.
    pub(crate) fn follow(&self, roots: &[Root]) {
        {
            let mut known = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
            if *known == *roots {
                return;
            }
            roots.clone_into(&mut known);
        }
        if let Err(error) = self.publish(SystemTime::now()) {
            tracing::error!(%error, "the agent's bundle doesn't follow the policy");
        }
    }

    fn publish(&self, now: SystemTime) -> Result<(), StartError> {
        let own = self.authority.certificate(now).map_err(|error| not_made(&error))?;
        let own = pem(own.der());
        let mut bundle: String = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(pem).collect();
        if let Some(extra) = &self.extra {
            bundle.extend(read_certificates(extra)?.iter().map(pem));
        }
        for root in self.roots.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            bundle
                .extend(root.certificates.iter().map(|der| pem(&CertificateDer::from_slice(der))));
        }
        bundle.push_str(&own);
        // The bundle is what readers wait for.
        self.write(TRUST_AUTHORITY, &own)?;
        self.write(TRUST_BUNDLE, &bundle)
    }

    /// Whole or not at all: readers never see a part.
    fn write(&self, name: &str, text: &str) -> Result<(), StartError> {
        let path = self.directory.join(name);
        let partial = self.directory.join(format!(".{name}.partial"));
        let failed = |source| StartError::Write { path: path.clone(), source };
        fs::write(&partial, text).map_err(failed)?;
        fs::set_permissions(&partial, Permissions::from_mode(MODE)).map_err(failed)?;
        fs::rename(&partial, &path).map_err(failed)
    }

    /// Renews the authority's certificate for as long as the sidecar runs.
    pub(crate) async fn keep(self: Arc<Self>, mut drain: DrainWatch) {
        loop {
            tokio::select! {
                () = drain.reached(Phase::Draining) => return,
                () = tokio::time::sleep(AUTHORITY_RENEWAL) => {}
            }
            let trust = Arc::clone(&self);
            let written =
                tokio::task::spawn_blocking(move || trust.publish(SystemTime::now())).await;
            if let Ok(Err(error)) = written {
                tracing::error!(%error, "the authority's certificate was not renewed");
            }
        }
    }
}

fn not_made(error: &MintError) -> StartError {
    StartError::System { action: "make the pod's authority", message: error.to_string() }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut lines = String::with_capacity(text.len().saturating_add(128));
    lines.push_str("-----BEGIN CERTIFICATE-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push_str("\n-----END CERTIFICATE-----\n");
    lines
}

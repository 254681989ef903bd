//! Certificates that the webhook makes itself: one CA for all replicas, kept in a Secret, published to the webhook configurations.
//!
//! Every write is a compare-and-swap on what was read, so that any replica may do it at any time. Keys go into the Secret and
//! nowhere else. Without a cluster the CA lives as long as the process.

mod authorities;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, ObjectMeta};
use kube::{Client, Error, ResourceExt as _};
use pinfold_certs::{Authority, AuthorityError, FileError, Issued, ServingCertificate, Validity};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::drain::DrainWatch;
use crate::metrics::RegistrationMetrics;
use crate::registration::{Configuration, FIELD_MANAGER, NAME};
use authorities::Authorities;

/// The Secret with the CA and its key.
pub(crate) const SECRET: &str = "pinfold-webhook-ca";
/// Life of a serving certificate, and what is left of it when the next one is issued.
const SERVING_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const SERVING_RENEW_LEFT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often Secret and configurations are looked at; sooner while something is missing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// How soon after a change.
const NUDGED_AFTER: Duration = Duration::from_millis(100);
/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// Why certificates are not as they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManageError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Serving(#[from] FileError),
    #[error("the API server refused: {0}")]
    Cluster(#[from] Box<Error>),
    #[error("Secret `{SECRET}`: {0}; delete the Secret to have it made anew")]
    Secret(String),
    #[error("another replica was faster")]
    Outrun,
}

impl From<Error> for ManageError {
    fn from(error: Error) -> Self {
        let outrun = matches!(&error, Error::Api(status)
            if status.is_conflict() || status.is_already_exists());
        if outrun { Self::Outrun } else { Self::Cluster(Box::new(error)) }
    }
}

/// Keeps certificates of one server.
pub(crate) struct Keeper {
    serving: Arc<ServingCertificate>,
    names: Vec<String>,
    /// CA and end of what is served.
    issued_by: String,
    served_until: SystemTime,
    cluster: Option<Cluster>,
    own: Authority,
    /// Whether the certificate is one that clients of the cluster trust.
    in_place: Arc<AtomicBool>,
    /// Asks for a look before its time.
    nudge: Arc<Notify>,
    /// What was published last, and where it was seen.
    bundle: String,
    in_order: Vec<Configuration>,
}

/// Where the CAs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// There is no such configuration.
    Nowhere,
    /// They were there.
    Already,
    /// They are there now.
    Now,
}

#[derive(Clone)]
struct Cluster {
    client: Client,
    namespace: String,
}

/// What a self-managed server needs to know of itself.
pub(crate) struct Identity {
    pub(crate) service: String,
    pub(crate) namespace: String,
    pub(crate) ca_out: Option<PathBuf>,
}

impl Keeper {
    /// Makes a CA and a certificate to begin with; in a cluster they are replaced as soon as the Secret was read.
    ///
    /// # Errors
    /// If certificates can't be made, or `ca_out` not be written.
    pub(crate) fn start(identity: &Identity, client: Option<Client>) -> Result<Self, ManageError> {
        let now = SystemTime::now();
        let own = authorities::create(now)?;
        let names = names(identity);
        let issued = issue(&own, &names, now)?;
        if let Some(path) = &identity.ca_out {
            std::fs::write(path, own.certificate()).map_err(|error| {
                ManageError::Secret(format!("can't write `{}`: {error}", path.display()))
            })?;
        }
        let serving = Arc::new(ServingCertificate::from_issued(&issued, now)?);
        let namespace = identity.namespace.clone();
        let cluster = client.map(|client| Cluster { client, namespace });
        let in_place = Arc::new(AtomicBool::new(cluster.is_none()));
        let issued_by = own.certificate().to_owned();
        let served_until = issued.validity.not_after();
        let nudge = Arc::new(Notify::new());
        Ok(Self {
            serving,
            names,
            issued_by,
            served_until,
            cluster,
            own,
            in_place,
            nudge,
            bundle: String::new(),
            in_order: Vec::new(),
        })
    }

    pub(crate) fn serving(&self) -> Arc<ServingCertificate> {
        Arc::clone(&self.serving)
    }

    /// Set once the certificate is one that the cluster's clients trust.
    pub(crate) fn in_place(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.in_place)
    }

    /// Asks for a look before its time: a configuration has changed.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Looks after the certificates until the server closes.
    pub(crate) async fn run(mut self, mut drain: DrainWatch, metrics: RegistrationMetrics) {
        loop {
            let looked = tokio::time::timeout(LOOK_MAX, self.look(&metrics)).await;
            let pause = match looked {
                Ok(Ok(true)) => LOOK_EVERY,
                Ok(Ok(false) | Err(ManageError::Outrun)) => RETRY_EVERY,
                Ok(Err(error)) => {
                    tracing::error!(%error, "certificates are not in place");
                    RETRY_EVERY
                }
                Err(_) => {
                    tracing::error!("the API server is too slow to look after certificates");
                    RETRY_EVERY
                }
            };
            let nudge = Arc::clone(&self.nudge);
            let goes_on = tokio::select! {
                goes_on = drain.pause(pause) => goes_on,
                // What changed a moment ago may be changing still.
                () = async { nudge.notified().await; tokio::time::sleep(NUDGED_AFTER).await } => true,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// One look; whether everything is as it should be.
    async fn look(&mut self, metrics: &RegistrationMetrics) -> Result<bool, ManageError> {
        let now = SystemTime::now();
        let Some(cluster) = self.cluster.clone() else {
            self.own = match authorities::is_young(&self.own, now) {
                true => return self.serve_own(now),
                false => authorities::create(now)?,
            };
            return self.serve_own(now);
        };
        let authorities = cluster.authorities(now).await?;
        let bundle = authorities.bundle();
        if self.bundle != bundle {
            // A CA that moved on is no change of somebody else's.
            self.in_order.clear();
            self.bundle.clone_from(&bundle);
        }
        let mut all = true;
        for configuration in Configuration::ALL {
            let published = cluster.publish(configuration, &bundle).await?;
            self.note(configuration, published, metrics);
            all &= published != Published::Nowhere;
        }
        self.serve(authorities.signing(), now)?;
        self.in_place.store(true, Ordering::Release);
        Ok(all)
    }

    /// Tells if somebody took the CA out of a configuration that had it.
    fn note(
        &mut self,
        configuration: Configuration,
        published: Published,
        metrics: &RegistrationMetrics,
    ) {
        let had_it = self.in_order.contains(&configuration);
        self.in_order.retain(|known| *known != configuration);
        match published {
            Published::Nowhere => return,
            Published::Already => {}
            Published::Now if had_it => {
                let labels = [configuration.label(), "ca-bundle", "restored"];
                metrics.changes.with_label_values(&labels).inc();
                tracing::warn!(kind = configuration.kind(), "caBundle was not ours, restored");
            }
            Published::Now => tracing::info!(kind = configuration.kind(), "caBundle published"),
        }
        self.in_order.push(configuration);
    }

    fn serve_own(&mut self, now: SystemTime) -> Result<bool, ManageError> {
        let certificate = self.own.certificate().to_owned();
        let own = Authority::from_pem(&certificate, self.own.key())?;
        self.serve(&own, now)?;
        Ok(true)
    }

    /// Serves a certificate of that CA, a new one if the old is another's or has little left.
    fn serve(&mut self, authority: &Authority, now: SystemTime) -> Result<(), ManageError> {
        let left = self.served_until.duration_since(now).unwrap_or_default();
        if self.issued_by == authority.certificate() && left > SERVING_RENEW_LEFT {
            return Ok(());
        }
        let issued = issue(authority, &self.names, now)?;
        self.serving.replace(&issued, now)?;
        self.served_until = issued.validity.not_after();
        authority.certificate().clone_into(&mut self.issued_by);
        tracing::info!("serving certificate issued");
        Ok(())
    }
}

fn names(identity: &Identity) -> Vec<String> {
    let Identity { service, namespace, .. } = identity;
    vec![
        format!("{service}.{namespace}.svc"),
        service.clone(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc.cluster.local"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ]
}

fn issue(authority: &Authority, names: &[String], now: SystemTime) -> Result<Issued, ManageError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let life = Validity::starting(now, SERVING_LIFE)?;
    let validity = if life.not_after() > authority.validity().not_after() {
        Validity::new(life.not_before(), authority.validity().not_after())?
    } else {
        life
    };
    Ok(authority.issue_serving(&names, validity)?)
}

impl Cluster {
    /// The CAs of the Secret, made or moved on where that is due.
    async fn authorities(&self, now: SystemTime) -> Result<Authorities, ManageError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(mut secret) = api.get_opt(SECRET).await? else {
            let authorities = Authorities::create(now)?;
            let secret = Secret {
                metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
                data: Some(authorities.to_data()),
                type_: Some("Opaque".to_owned()),
                ..Secret::default()
            };
            api.create(&PostParams::default(), &secret).await?;
            tracing::info!(secret = SECRET, "CA made");
            return Ok(authorities);
        };
        let read = Authorities::from_data(secret.data.as_ref()).map_err(ManageError::Secret)?;
        let Some(moved) = read.moved_on(now)? else { return Ok(read) };
        secret.data = Some(moved.to_data());
        // The object still has the resourceVersion that was read.
        api.replace(SECRET, &PostParams::default(), &secret).await?;
        tracing::info!(secret = SECRET, "CA moved on");
        Ok(moved)
    }

    /// Puts the CAs into a webhook configuration.
    async fn publish(
        &self,
        configuration: Configuration,
        bundle: &str,
    ) -> Result<Published, ManageError> {
        let resource = configuration.resource();
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(found) = api.get_opt(NAME).await? else { return Ok(Published::Nowhere) };
        let Some(webhooks) = with_bundle(&found.data, bundle) else {
            return Ok(Published::Already);
        };
        // With the resourceVersion that was read, a change in between is a conflict.
        let patch = json!({
            "metadata": {"resourceVersion": found.resource_version()},
            "webhooks": webhooks,
        });
        let by =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(NAME, &by, &Patch::Merge(patch)).await?;
        Ok(Published::Now)
    }
}

/// The webhooks of a configuration with the bundle in each; `None` if it is there already.
fn with_bundle(configuration: &Value, bundle: &str) -> Option<Vec<Value>> {
    use base64::Engine as _;
    let wanted = base64::engine::general_purpose::STANDARD.encode(bundle);
    let mut webhooks = configuration.get("webhooks")?.as_array()?.clone();
    let mut changed = false;
    for webhook in &mut webhooks {
        let client = webhook.get_mut("clientConfig").and_then(Value::as_object_mut)?;
        if client.get("caBundle").and_then(Value::as_str) != Some(&wanted) {
            client.insert("caBundle".to_owned(), wanted.clone().into());
            changed = true;
        }
    }
    changed.then_some(webhooks)
}

#[cfg(test)]
#[path = "self_managed/tests.rs"]
mod tests;

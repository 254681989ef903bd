//! Pinfold's own webhook configurations: the API server calls no webhook for them, so they are watched, compared with what they should be,
//! restored and reported.
//!
//! Only the two configurations named `pinfold` are ever read or written, and every write is a compare-and-swap on what was read. A replica
//! that doesn't decide, or is about to leave, restores nothing; one that another version has replaced leaves it to that version.

mod compare;
mod desired;
mod entry;
mod named;
mod pace;
mod replicas;
mod report;
mod restore;
mod watching;

use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::{Config, RegistrationMode, ServingSource, ViewSource};
use crate::drain::DrainWatch;
use crate::error::StartError;
use crate::health::Health;
use desired::Service;
use named::Current;

pub(crate) use compare::{Bundles, Standard};
pub(crate) use desired::{Configuration, Desired, NAME};
pub(crate) use named::POLICY_ENTRY;

/// Who Pinfold is in `metadata.managedFields` of the configurations.
pub(crate) const FIELD_MANAGER: &str = "pinfold-webhook";

/// What is looked after, and how.
pub(crate) struct Plan {
    /// What ships, or the file.
    base: Desired,
    /// The same with what the policy names.
    current: ArcSwap<Current>,
    /// Whether changes are undone, or only told.
    keeps: bool,
    /// Whether the webhook puts its own CA into the configurations, so that `caBundle` is no business of a file.
    self_managed: bool,
    namespace: String,
    service: String,
    /// The name of this pod, where it is one.
    pod: Option<String>,
}

impl Plan {
    /// What the flags ask for; nothing without a cluster.
    ///
    /// # Errors
    /// If the registration can't be read, with file and field.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, StartError> {
        let keeps = match (config.registration, &config.view) {
            (RegistrationMode::Off, _) | (_, ViewSource::Files(_)) => return Ok(None),
            (RegistrationMode::Keep, _) => true,
            (RegistrationMode::Watch, _) => false,
        };
        let service = Service { namespace: &config.namespace, name: &config.service };
        let desired = match &config.registration_file {
            Some(file) => Desired::from_file(file),
            None => Desired::built_in().map(|desired| desired.calling(service)),
        };
        let desired = desired.map_err(|error| StartError::Registration(error.to_string()))?;
        Ok(Some(Self {
            current: ArcSwap::from_pointee(Current { desired: desired.clone(), generation: 0 }),
            base: desired,
            keeps,
            self_managed: matches!(config.serving, ServingSource::SelfManaged { .. }),
            namespace: config.namespace.clone(),
            service: config.service.clone(),
            pod: config.pod.clone(),
        }))
    }
}

/// Looks after the registration.
pub(crate) struct Registration {
    pub(crate) plan: Plan,
    pub(crate) client: Client,
    pub(crate) health: Arc<Health>,
    /// Told when a configuration changed, because its `caBundle` may have.
    pub(crate) certificates: Option<Arc<Notify>>,
}

impl Registration {
    /// Begins, until the server leaves.
    pub(crate) fn start(self, drain: &DrainWatch, tasks: &mut JoinSet<()>) {
        let shared = Arc::new(self);
        tasks.spawn(named::run(Arc::clone(&shared), drain.clone()));
        for configuration in Configuration::ALL {
            tasks.spawn(watching::run(Arc::clone(&shared), configuration, drain.clone()));
        }
    }
}

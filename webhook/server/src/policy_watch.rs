//! The policy in force: loaded from files, looked at again and again, swapped as a whole.
//!
//! Files are compared by content, so that the symlink swap of a mounted ConfigMap is seen like any edit, and taken when two looks found
//! the same, so that a file that is just being written is not. A set of files that can't be
//! read or merged never replaces one that could.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pinfold_model::digest::Digest;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::{PolicySet, load};
use pinfold_model::sources;

use crate::config::Limits;
use crate::drain::DrainWatch;
use crate::error::{StartError, lines};
use crate::metrics::Metrics;

/// How long after a change a new pod may still carry what the policy before injects: kubelets bring a changed ConfigMap to all nodes in a minute or so.
pub(crate) const FORMER_MAX: Duration = Duration::from_secs(60);

/// A policy and its place in the sequence of policies that this process has had.
#[derive(Debug)]
pub(crate) struct Published {
    /// The policy.
    pub(crate) policy: PolicySet,
    /// Its digest, as text.
    pub(crate) digest: String,
    /// Counts from 1.
    pub(crate) generation: u64,
    /// What mutation wrote before; none for the first, and where it wrote the same or nothing.
    pub(crate) former: Option<Former>,
}

/// The policy with the injection of the one before it. Replicas read a changed policy at different times, so a pod can be made by one and judged by another.
#[derive(Debug)]
pub(crate) struct Former {
    /// See [`AdmissionPolicy::injecting_as`].
    pub(crate) policy: AdmissionPolicy,
    /// New pods may carry it until then.
    until: Instant,
}

impl Former {
    /// What stays of a policy that another one takes the place of.
    pub(crate) fn of(before: &PolicySet, policy: &PolicySet, lasting: Duration) -> Option<Self> {
        let before = before.admission.as_ref()?;
        let policy = policy.admission.as_ref()?.injecting_as(before)?;
        Some(Self { policy, until: Instant::now().checked_add(lasting)? })
    }
}

impl Published {
    /// What a new pod may carry too, for a short time after a change.
    pub(crate) fn amid_change(&self) -> Option<&AdmissionPolicy> {
        let former = self.former.as_ref().filter(|former| Instant::now() < former.until)?;
        Some(&former.policy)
    }
}

/// Looks after policy files.
#[derive(Debug)]
pub(crate) struct PolicyWatch {
    paths: Vec<PathBuf>,
    current: Arc<ArcSwap<Published>>,
    /// Digest of the files that were read last, good or bad.
    seen: Option<Digest>,
    /// Digest of changed files that were seen once: an editor may still be writing them.
    unsettled: Option<Digest>,
    /// What was last reported as wrong, so that it is reported once.
    reported: String,
    /// How long new pods may carry what was injected before.
    former_max: Duration,
}

impl PolicyWatch {
    /// Loads the policy for the first time.
    ///
    /// # Errors
    /// Every error of every file.
    pub(crate) fn start(paths: Vec<PathBuf>) -> Result<Self, StartError> {
        let files = sources::read(&paths)?;
        let policy = load(&files).map_err(StartError::Documents)?;
        let digest = policy.digest.to_string();
        log_loaded(&policy, &digest, 1);
        let current = Arc::new(ArcSwap::from_pointee(Published {
            policy,
            digest,
            generation: 1,
            former: None,
        }));
        let seen = Some(sources::digest(&files));
        Ok(Self {
            paths,
            current,
            seen,
            unsettled: None,
            reported: String::new(),
            former_max: FORMER_MAX,
        })
    }

    /// The policy in force, for readers.
    pub(crate) fn current(&self) -> Arc<ArcSwap<Published>> {
        Arc::clone(&self.current)
    }

    /// Looks at the files until the server closes.
    pub(crate) async fn run(mut self, metrics: Metrics, limits: Limits, mut drain: DrainWatch) {
        self.former_max = limits.former_max;
        while drain.pause(limits.policy_poll).await {
            let metrics = metrics.clone();
            let looked = tokio::task::spawn_blocking(move || {
                self.look(&metrics);
                self
            });
            match looked.await {
                Ok(watch) => self = watch,
                Err(error) => {
                    tracing::error!(%error, "policy files are not watched any more");
                    return;
                }
            }
        }
    }

    fn look(&mut self, metrics: &Metrics) {
        let files = match sources::read(&self.paths) {
            Ok(files) => files,
            Err(error) => return self.failed(metrics, error.to_string()),
        };
        let digest = sources::digest(&files);
        if self.seen == Some(digest) {
            self.reported.clear();
            return;
        }
        if self.unsettled.replace(digest) != Some(digest) {
            return;
        }
        self.seen = Some(digest);
        match load(&files) {
            Ok(policy) => self.publish(policy, metrics),
            Err(errors) => self.failed(metrics, lines(&errors)),
        }
    }

    fn publish(&mut self, policy: PolicySet, metrics: &Metrics) {
        self.reported.clear();
        let generation = self.current.load().generation.saturating_add(1);
        let digest = policy.digest.to_string();
        log_loaded(&policy, &digest, generation);
        metrics.policy_reloaded(true);
        metrics.policy_in_force(&digest);
        let former = Former::of(&self.current.load().policy, &policy, self.former_max);
        self.current.store(Arc::new(Published { policy, digest, generation, former }));
    }

    fn failed(&mut self, metrics: &Metrics, message: String) {
        if self.reported == message {
            return;
        }
        metrics.policy_reloaded(false);
        tracing::error!(reason = message, "policy not reloaded, the old one stays in force");
        self.reported = message;
    }
}

fn log_loaded(policy: &PolicySet, digest: &str, generation: u64) {
    let complete = policy.admission.is_some();
    tracing::info!(digest, generation, complete, "policy loaded");
    for warning in &policy.warnings {
        tracing::warn!(%warning, "policy");
    }
    if !complete {
        tracing::warn!("no AdmissionPolicy document: every request is denied");
    }
}

//! The policy in force: loaded from files, looked at again and again, swapped as a whole.
//!
//! Files are compared by content, so that the symlink swap of a mounted ConfigMap is seen like any edit. A set of files that can't be
//! read, merged, or that lacks the agent's policy never replaces one that could.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pinfold_ledger::EventKind;
use pinfold_model::digest::Digest;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::{PolicySet, load};
use pinfold_model::sources;

use crate::drain::{DrainWatch, Phase};
use crate::error::{StartError, lines};
use crate::gate::Gate;
use crate::metrics::Metrics;

/// A policy and its place in the sequence of policies that this process has had.
#[derive(Debug)]
pub(crate) struct Published {
    /// The policy.
    pub(crate) policy: AgentPolicy,
    /// Its digest, as text.
    pub(crate) digest: String,
    /// Counts from 1.
    pub(crate) generation: u64,
}

/// Looks after policy files.
#[derive(Debug)]
pub(crate) struct PolicyWatch {
    paths: Vec<PathBuf>,
    agent: Option<String>,
    current: Arc<ArcSwap<Published>>,
    /// Digest of the files that were read last, good or bad.
    seen: Digest,
    /// What was last reported as wrong, so that it is reported once.
    reported: String,
}

impl PolicyWatch {
    /// Loads the policy for the first time.
    ///
    /// # Errors
    /// Every error of every file, or that there is no such agent.
    pub(crate) fn start(paths: Vec<PathBuf>, agent: Option<String>) -> Result<Self, StartError> {
        let files = sources::read(&paths)?;
        let set = load(&files).map_err(StartError::Documents)?;
        let policy = choose(&set, agent.as_deref()).map_err(StartError::Agent)?;
        let published = Published { digest: policy.digest.to_string(), policy, generation: 1 };
        log_loaded(&published, &set);
        let current = Arc::new(ArcSwap::from_pointee(published));
        let seen = sources::digest(&files);
        Ok(Self { paths, agent, current, seen, reported: String::new() })
    }

    /// The policy in force, for readers.
    pub(crate) fn current(&self) -> Arc<ArcSwap<Published>> {
        Arc::clone(&self.current)
    }

    /// Looks at the files until the sidecar stops; after a change open tunnels are judged again.
    pub(crate) async fn run(mut self, gate: Arc<Gate>, every: Duration, mut drain: DrainWatch) {
        loop {
            tokio::select! {
                () = drain.reached(Phase::Cut) => return,
                () = tokio::time::sleep(every) => {}
            }
            let metrics = gate.metrics.clone();
            let looked = tokio::task::spawn_blocking(move || (self.look(&metrics), self)).await;
            match looked {
                Ok((changed, watch)) => {
                    self = watch;
                    if changed {
                        gate.note(EventKind::Reload).await;
                        gate.judge_tunnels_again().await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "policy files are not watched any more");
                    return;
                }
            }
        }
    }

    /// Whether another policy is in force now.
    fn look(&mut self, metrics: &Metrics) -> bool {
        let files = match sources::read(&self.paths) {
            Ok(files) => files,
            Err(error) => return self.failed(metrics, error.to_string()),
        };
        let digest = sources::digest(&files);
        if self.seen == digest {
            return false;
        }
        self.seen = digest;
        self.reported.clear();
        let set = match load(&files) {
            Ok(set) => set,
            Err(errors) => return self.failed(metrics, lines(&errors)),
        };
        match choose(&set, self.agent.as_deref()) {
            Ok(policy) => self.publish(policy, &set, metrics),
            Err(message) => self.failed(metrics, message),
        }
    }

    fn publish(&mut self, policy: AgentPolicy, set: &PolicySet, metrics: &Metrics) -> bool {
        self.reported.clear();
        let generation = self.current.load().generation.saturating_add(1);
        let published = Published { digest: policy.digest.to_string(), policy, generation };
        log_loaded(&published, set);
        metrics.policy_reloaded(true);
        metrics.policy_in_force(&published.digest);
        self.current.store(Arc::new(published));
        true
    }

    fn failed(&mut self, metrics: &Metrics, message: String) -> bool {
        if self.reported != message {
            metrics.policy_reloaded(false);
            tracing::error!(reason = message, "policy not reloaded, the old one stays in force");
            self.reported = message;
        }
        false
    }
}

fn choose(set: &PolicySet, name: Option<&str>) -> Result<AgentPolicy, String> {
    if let Some(policy) = set.agent(name) {
        return Ok(policy.clone());
    }
    let known: Vec<String> = set.agents.iter().map(|agent| format!("`{}`", agent.name)).collect();
    let known = known.join(", ");
    Err(match (name, set.agents.is_empty()) {
        (_, true) => "the policy files hold no AgentPolicy".to_owned(),
        (Some(name), false) => format!("no AgentPolicy `{name}`: there are {known}"),
        (None, false) => format!("several AgentPolicies: say which with `--agent`: {known}"),
    })
}

fn log_loaded(published: &Published, set: &PolicySet) {
    let Published { policy, digest, generation } = published;
    tracing::info!(agent = policy.name, digest, generation, "policy loaded");
    for warning in &set.warnings {
        tracing::warn!(%warning, "policy");
    }
}

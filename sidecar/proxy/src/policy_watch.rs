//! The policy in force: loaded from files, looked at again and again, swapped as a whole.
//!
//! Files are compared by content, so that the symlink swap of a mounted volume is seen like any edit. Files that can't be understood never
//! replace those that could, and neither does a policy that isn't the one whose digest was announced: the old one stays. Files that are
//! gone, or no longer hold the agent's policy, are another matter: somebody took the policy away, so after a short time nothing is
//! allowed until it is back.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pinfold_ledger::EventKind;
use pinfold_model::digest::Digest;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::{PolicySet, load};
use pinfold_model::sources::{self, SourceFile};

use crate::client::deadline;
use crate::config::Config;
use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
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
    /// Whether there is a policy; without one nothing is allowed.
    pub(crate) in_force: bool,
}

/// Stands for the digest where there is no policy.
const NO_DIGEST: &str = "none";

/// Where a policy comes from.
#[derive(Debug)]
struct Origin {
    paths: Vec<PathBuf>,
    agent: Option<String>,
    /// The file with the digest that the policy must have.
    digest: Option<PathBuf>,
}

/// What was found there.
struct Found {
    policy: AgentPolicy,
    set: PolicySet,
}

/// Why there is no policy that could be put in force.
#[derive(Debug)]
enum Trouble {
    /// The files, or in them the agent's policy, are gone.
    Absent(StartError),
    /// They can't be used.
    Invalid(StartError),
    /// It isn't the policy whose digest was announced. While a mount is swapped this is seen for a moment.
    Digest(StartError),
}

impl Trouble {
    fn error(self) -> StartError {
        match self {
            Self::Absent(error) | Self::Invalid(error) | Self::Digest(error) => error,
        }
    }
}

impl Origin {
    /// Files, and the digest that is announced for the policy in them.
    fn read(&self) -> Result<(Vec<SourceFile>, Option<String>), Trouble> {
        let files = sources::read(&self.paths).map_err(|error| Trouble::Absent(error.into()))?;
        let announced = self.digest.as_deref().map(read_digest).transpose();
        Ok((files, announced.map_err(Trouble::Digest)?))
    }

    fn choose(&self, files: &[SourceFile], announced: Option<&str>) -> Result<Found, Trouble> {
        let invalid = |errors| Trouble::Invalid(StartError::Documents(errors));
        let set = load(files).map_err(invalid)?;
        let policy = choose(&set, self.agent.as_deref()).map_err(|message| {
            let several = self.agent.is_none() && !set.agents.is_empty();
            let error = StartError::Agent(message);
            if several { Trouble::Invalid(error) } else { Trouble::Absent(error) }
        })?;
        let found = policy.digest.to_string();
        match announced.filter(|announced| **announced != found) {
            None => Ok(Found { policy, set }),
            Some(announced) => {
                let announced = excerpt(announced);
                Err(Trouble::Digest(StartError::Digest { found, announced }))
            }
        }
    }

    fn find(&self) -> Result<(Found, Digest), Trouble> {
        let (files, announced) = self.read()?;
        let found = self.choose(&files, announced.as_deref())?;
        Ok((found, seen(&files, announced.as_deref())))
    }
}

/// Bytes of a digest file that are looked at: more than any digest has.
const DIGEST_FILE_BYTES_MAX: u64 = 256;

fn read_digest(path: &Path) -> Result<String, StartError> {
    let failed = |source| StartError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(DIGEST_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim().to_owned())
}

/// What a user recognizes of a digest that may be anything.
fn excerpt(announced: &str) -> String {
    announced.chars().take(80).flat_map(char::escape_default).collect()
}

/// One digest over all that was read, good or bad.
fn seen(files: &[SourceFile], announced: Option<&str>) -> Digest {
    let files = sources::digest(files).to_string();
    Digest::of_parts([files.as_bytes(), announced.unwrap_or_default().as_bytes()])
}

/// Looks after policy files.
#[derive(Debug)]
pub(crate) struct PolicyWatch {
    origin: Origin,
    current: Arc<ArcSwap<Published>>,
    /// Of what was read last and is settled; `None` if it has to be looked at again.
    seen: Option<Digest>,
    /// What was last reported as wrong, so that it is reported once.
    reported: String,
    /// Of what was read last.
    looked: Option<Digest>,
    /// Since when there is no policy.
    absent_since: Option<Instant>,
    /// Since when it has another digest than was announced.
    torn_since: Option<Instant>,
    gone_max: Duration,
    digest_max: Duration,
}

impl PolicyWatch {
    /// Loads the policy for the first time. Where a digest is announced, it may take a moment until both are there.
    ///
    /// # Errors
    /// Every error of every file, that there is no such agent, or that the policy has another digest.
    pub(crate) async fn start(config: &Config) -> Result<Self, StartError> {
        let Config { policy: paths, agent, policy_digest: digest, limits, .. } = config.clone();
        let origin = Origin { paths, agent, digest };
        let deadline = deadline(limits.policy_digest_max);
        let (found, seen) = loop {
            match origin.find() {
                Ok(found) => break found,
                Err(Trouble::Digest(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(limits.policy_poll).await;
                }
                Err(trouble) => return Err(trouble.error()),
            }
        };
        let Found { policy, set } = found;
        let digest = policy.digest.to_string();
        let published = Published { digest, policy, generation: 1, in_force: true };
        log_loaded(&published, &set);
        Ok(Self {
            origin,
            current: Arc::new(ArcSwap::from_pointee(published)),
            seen: Some(seen),
            reported: String::new(),
            looked: None,
            absent_since: None,
            torn_since: None,
            gone_max: limits.policy_gone_max,
            digest_max: limits.policy_digest_max,
        })
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
                        gate.follow_policy().await;
                        gate.judge_tunnels_again().await;
                        gate.note(EventKind::Reload).await;
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
        let found = self.origin.read().and_then(|(files, announced)| {
            let now = seen(&files, announced.as_deref());
            if self.seen == Some(now) {
                return Ok(None);
            }
            if self.looked.replace(now) != Some(now) {
                self.reported.clear();
            }
            let found = self.origin.choose(&files, announced.as_deref());
            // What is invalid stays so until it changes; what is absent or torn is a matter of time.
            let settled = matches!(found, Ok(_) | Err(Trouble::Invalid(_)));
            self.seen = settled.then_some(now);
            found.map(Some)
        });
        match found {
            Ok(None) => false,
            Ok(Some(found)) => self.publish(found, metrics),
            Err(trouble) => {
                // Files that couldn't be read come back with the content that was seen before.
                if matches!(trouble, Trouble::Absent(_) | Trouble::Digest(_)) {
                    self.seen = None;
                }
                self.failed(trouble, metrics)
            }
        }
    }

    fn publish(&mut self, Found { policy, set }: Found, metrics: &Metrics) -> bool {
        self.reported.clear();
        (self.absent_since, self.torn_since) = (None, None);
        let digest = policy.digest.to_string();
        let published = self.next(policy, digest, true);
        // Files that are back as they were: then nothing has changed.
        let now = self.current.load();
        if now.in_force && now.digest == published.digest {
            return false;
        }
        log_loaded(&published, &set);
        metrics.policy_reloaded(true);
        metrics.policy_in_force(&published.digest);
        self.current.store(Arc::new(published));
        true
    }

    fn next(&self, policy: AgentPolicy, digest: String, in_force: bool) -> Published {
        let generation = self.current.load().generation.saturating_add(1);
        Published { policy, digest, generation, in_force }
    }

    fn failed(&mut self, trouble: Trouble, metrics: &Metrics) -> bool {
        let now = Instant::now();
        let since = |set: bool, since: Option<Instant>| set.then(|| since.unwrap_or(now));
        self.absent_since = since(matches!(trouble, Trouble::Absent(_)), self.absent_since);
        self.torn_since = since(matches!(trouble, Trouble::Digest(_)), self.torn_since);
        if self.torn_since.is_some_and(|since| since.elapsed() < self.digest_max) {
            return false;
        }
        let message = trouble.error().to_string();
        if self.reported != message {
            metrics.policy_reloaded(false);
            tracing::error!(reason = message, "policy not reloaded, the old one stays in force");
            self.reported = message;
        }
        let gone = self.absent_since.is_some_and(|since| since.elapsed() >= self.gone_max);
        gone && self.deny_everything(metrics)
    }

    /// A policy that was taken away must not rule for ever. Whether that is news.
    fn deny_everything(&mut self, metrics: &Metrics) -> bool {
        let now = self.current.load_full();
        if !now.in_force {
            return false;
        }
        let mut policy = now.policy.clone();
        policy.egress.clear();
        policy.upstreams.clear();
        policy.servers.clear();
        policy.via = None;
        let published = self.next(policy, NO_DIGEST.to_owned(), false);
        tracing::error!(
            seconds = self.gone_max.as_secs(),
            "the policy is gone: everything is denied"
        );
        metrics.policy_in_force(NO_DIGEST);
        self.current.store(Arc::new(published));
        true
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
    let Published { policy, digest, generation, .. } = published;
    tracing::info!(agent = policy.name, digest, generation, "policy loaded");
    for warning in &set.warnings {
        tracing::warn!(%warning, "policy");
    }
}

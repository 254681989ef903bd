//! Which agent resources the cluster has: asked at the start and again and again, because CRDs come and go.

use std::collections::HashMap;
use std::time::Duration;

use kube::Client;
use kube::core::discovery::Scope;
use kube::discovery::{self, verbs};
use kube::error::DiscoveryError;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;

use super::Shared;
use super::keeper::Change;
use super::kinds::{AGENT_GROUPS, Depth, Source, built_in};
use super::watching;
use crate::drain::Phase;

/// Time between two looks while none has worked yet.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Most resources of one group that are watched.
const RESOURCES_MAX: usize = 100;

/// Runs one watch for each kind that exists until the server closes.
pub(super) async fn run(shared: Shared) {
    let mut watches = Watches { shared, running: HashMap::new(), tasks: JoinSet::new() };
    for source in built_in() {
        watches.begin(source);
    }
    let mut drain = watches.shared.drain.clone();
    let every = watches.shared.discovery_every;
    let mut known = false;
    loop {
        match agent_resources(&watches.shared.client).await {
            Ok(found) => {
                watches.change_to(found).await;
                if !known {
                    watches.shared.freshness.discovered();
                    known = true;
                }
            }
            Err(error) => tracing::warn!(%error, "can't discover agent resources"),
        }
        let discover = std::sync::Arc::clone(&watches.shared.discover);
        tokio::select! {
            () = drain.reached(Phase::Closing) => return,
            () = tokio::time::sleep(if known { every } else { RETRY_EVERY }) => {}
            // A burst of failures asks once a second at most.
            () = async { discover.notified().await; tokio::time::sleep(RETRY_EVERY).await } => {}
        }
    }
}

struct Watches {
    shared: Shared,
    running: HashMap<Source, AbortHandle>,
    /// Ends every watch when it is dropped.
    tasks: JoinSet<()>,
}

impl Watches {
    fn begin(&mut self, source: Source) {
        self.shared.freshness.expected(&source);
        let task = self.tasks.spawn(watching::run(source.clone(), self.shared.clone()));
        self.running.insert(source, task);
    }

    /// Begins the watches that are new and ends those whose resource is gone.
    async fn change_to(&mut self, found: Vec<Source>) {
        let wanted: Vec<Source> = built_in().into_iter().chain(found).collect();
        let gone: Vec<Source> =
            self.running.keys().filter(|source| !wanted.contains(source)).cloned().collect();
        for source in gone {
            tracing::info!(kind = source.resource.kind, "agent resource is gone");
            if let Some(task) = self.running.remove(&source) {
                task.abort();
            }
            self.shared.freshness.dropped(&source);
            // No keeper means that the server closes.
            let _ = self.shared.changes.send(Change::KindGone(source)).await;
        }
        for source in &wanted {
            if !self.running.contains_key(source) {
                tracing::info!(kind = source.resource.kind, "agent resource is watched");
                self.begin(source.clone());
            }
        }
        self.shared.sources.set(wanted);
    }
}

/// The agent resources that a cluster has, each in its most stable version: a kind need not be in the group's preferred one.
pub(super) async fn agent_resources(client: &Client) -> Result<Vec<Source>, kube::Error> {
    let mut found = Vec::new();
    for group in AGENT_GROUPS {
        let group = match discovery::group(client, group).await {
            Ok(group) => group,
            Err(kube::Error::Discovery(DiscoveryError::MissingApiGroup(_))) => continue,
            Err(error) => return Err(error),
        };
        let resources = group.resources_by_stability().into_iter();
        let watched = resources.filter(|(_, capabilities)| {
            capabilities.supports_operation(verbs::LIST)
                && capabilities.supports_operation(verbs::WATCH)
        });
        found.extend(watched.take(RESOURCES_MAX).map(|(resource, capabilities)| Source {
            resource,
            depth: Depth::Whole,
            namespaced: capabilities.scope == Scope::Namespaced,
        }));
    }
    Ok(found)
}

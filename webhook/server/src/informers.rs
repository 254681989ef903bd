//! The view of a live cluster: one watch a kind, one task that owns the snapshot, discovery of the agent resources that exist.
//!
//! Secrets and ConfigMaps are never watched, and of workloads but pods only the metadata. A watch that fails is begun anew with a list, and until that is through the view counts as old from the moment of the failure.

mod discovery;
mod freshness;
mod keeper;
mod kinds;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

pub(crate) use kinds::{Depth, Source, Sources};
pub(crate) use watching::{Decoded, decode};

use crate::drain::DrainWatch;
use crate::metrics::Metrics;
use crate::view::View;
use freshness::Freshness;
use keeper::{Change, Keeper};

/// Every kind that is watched in a cluster as it is now.
///
/// # Errors
/// If the API server doesn't say which agent resources it has.
pub(crate) async fn sources(client: &Client) -> Result<Vec<Source>, kube::Error> {
    let mut sources = kinds::built_in();
    sources.extend(discovery::agent_resources(client).await?);
    Ok(sources)
}

/// Changes that wait for the owner of the snapshot; beyond that the watches wait.
const CHANGES_MAX: usize = 1024;

/// What all informer tasks share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) sources: Sources,
    pub(crate) metrics: Metrics,
    pub(crate) drain: DrainWatch,
    discovery_every: Duration,
    freshness: Arc<Freshness>,
    changes: mpsc::Sender<Change>,
    /// Asks for discovery before its time: a watched resource is gone.
    discover: Arc<Notify>,
}

/// A cluster and the view that is filled from it.
pub(crate) struct Informers<'s> {
    pub(crate) client: Client,
    pub(crate) sources: Sources,
    pub(crate) view: &'s Arc<View>,
    pub(crate) metrics: &'s Metrics,
    pub(crate) drain: &'s DrainWatch,
    pub(crate) discovery_every: Duration,
}

impl Informers<'_> {
    /// Begins to watch.
    pub(crate) fn start(self, tasks: &mut JoinSet<()>) {
        let (changes, queue) = mpsc::channel(CHANGES_MAX);
        let freshness = Arc::new(Freshness::new());
        let shared = Shared {
            client: self.client,
            sources: self.sources,
            metrics: self.metrics.clone(),
            drain: self.drain.clone(),
            discovery_every: self.discovery_every,
            freshness: Arc::clone(&freshness),
            changes,
            discover: Arc::new(Notify::new()),
        };
        let keeper = Keeper::new(Arc::clone(self.view), self.metrics.clone());
        tasks.spawn(keeper.run(queue, self.drain.clone()));
        tasks.spawn(freshness::heartbeat(shared.clone()));
        tasks.spawn(freshness::watch(freshness, Arc::clone(self.view), self.drain.clone()));
        tasks.spawn(discovery::run(shared));
    }
}

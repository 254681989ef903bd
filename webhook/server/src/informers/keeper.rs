//! The one owner of the changing snapshot: applies what the watches send, publishes what readers see.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::snapshot::{Sharing, Snapshot};
use tokio::sync::mpsc;

use super::kinds::Source;
use crate::drain::{DrainWatch, Phase};
use crate::metrics::{KINDS, Metrics, known};
use crate::view::View;

/// Most changes that are applied before readers see them.
const BATCH_MAX: usize = 512;

/// One change of the cluster.
#[derive(Debug)]
pub(super) enum Change {
    /// A list of a kind begins.
    ListBegins(Source),
    /// One object of the list.
    Listed(Source, Box<Object>),
    /// The list is complete: what it didn't name is gone.
    ListEnds(Source),
    /// An object is new or changed.
    Applied(Box<Object>),
    /// An object is gone.
    Deleted(ObjectKey),
    /// A kind is gone, and its objects with it.
    KindGone(Source),
}

/// Owns the snapshot.
pub(super) struct Keeper {
    view: Arc<View>,
    metrics: Metrics,
    snapshot: Snapshot,
    sharing: Sharing,
    /// What running lists have named so far.
    named: HashMap<Source, HashSet<ObjectKey>>,
    counts: HashMap<String, i64>,
}

impl Keeper {
    pub(super) fn new(view: Arc<View>, metrics: Metrics) -> Self {
        Self {
            view,
            metrics,
            snapshot: Snapshot::default(),
            sharing: Sharing::default(),
            named: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Applies changes until the server closes.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Change>, mut drain: DrainWatch) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let received = tokio::select! {
                () = drain.reached(Phase::Closing) => return,
                received = queue.recv_many(&mut batch, BATCH_MAX) => received,
            };
            if received == 0 {
                return;
            }
            for change in batch.drain(..) {
                self.apply(change);
            }
            self.view.publish(self.snapshot.clone());
            self.show_counts();
        }
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::ListBegins(source) => {
                self.named.insert(source, HashSet::new());
            }
            Change::Listed(source, object) => {
                self.named.entry(source).or_default().insert(object.key.clone());
                self.put(*object);
            }
            Change::ListEnds(source) => {
                let named = self.named.remove(&source).unwrap_or_default();
                self.keep_only(&source, &named);
            }
            Change::Applied(object) => self.put(*object),
            Change::Deleted(key) => self.take(&key),
            Change::KindGone(source) => {
                self.named.remove(&source);
                self.keep_only(&source, &HashSet::new());
            }
        }
    }

    fn put(&mut self, object: Object) {
        if self.snapshot.get(&object.key).is_none() {
            self.count(&object.key, 1);
        }
        self.snapshot.apply(self.sharing.keep(object));
    }

    fn take(&mut self, key: &ObjectKey) {
        if self.snapshot.get(key).is_some() {
            self.count(key, -1);
        }
        self.snapshot.remove(key);
    }

    fn keep_only(&mut self, source: &Source, named: &HashSet<ObjectKey>) {
        let of_kind = |key: &ObjectKey| {
            key.kind == source.resource.kind && key.group == source.resource.group
        };
        let vanished: Vec<ObjectKey> = self
            .snapshot
            .iter()
            .map(|object| &object.key)
            .filter(|key| of_kind(key) && !named.contains(*key))
            .cloned()
            .collect();
        for key in vanished {
            self.take(&key);
        }
    }

    fn count(&mut self, key: &ObjectKey, by: i64) {
        let count = self.counts.entry(known(KINDS, &key.kind).to_owned()).or_default();
        *count = count.saturating_add(by);
    }

    fn show_counts(&self) {
        for (kind, count) in &self.counts {
            self.metrics.cache.objects.with_label_values(&[kind]).set(*count);
        }
    }

    #[cfg(test)]
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;

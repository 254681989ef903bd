//! The one owner of the changing snapshot: applies what the watches send, publishes what readers see.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pinfold_engine::rules::pf_rbac::matters;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::snapshot::{Sharing, Snapshot};
use tokio::sync::mpsc;

use super::kinds::Source;
use crate::drain::{DrainWatch, Phase};
use crate::metrics::{KINDS, Metrics, known};
use crate::policy_push;
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

/// Namespace, slash and name of an object: neither holds a slash.
type Place = Box<str>;

fn place(key: &ObjectKey) -> Place {
    format!("{}/{}", key.namespace, key.name).into()
}

/// Owns the snapshot.
pub(super) struct Keeper {
    view: Arc<View>,
    metrics: Metrics,
    snapshot: Snapshot,
    sharing: Sharing,
    /// What was there before a running list and hasn't been named by it yet. Nothing in the first, which is the biggest.
    unnamed: HashMap<Source, HashSet<Place>>,
    counts: HashMap<String, i64>,
    /// What has changed since readers last saw anything new.
    touched: Vec<ObjectKey>,
    /// The same, of what says which policy a running pod should have.
    confined: Vec<ObjectKey>,
}

impl Keeper {
    pub(super) fn new(view: Arc<View>, metrics: Metrics) -> Self {
        Self {
            view,
            metrics,
            snapshot: Snapshot::default(),
            sharing: Sharing::default(),
            unnamed: HashMap::new(),
            counts: HashMap::new(),
            touched: Vec::new(),
            confined: Vec::new(),
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
            if !self.touched.is_empty() {
                self.view.touched.add(self.touched.drain(..));
            }
            if !self.confined.is_empty() {
                self.view.confined.add(self.confined.drain(..));
            }
            self.show_counts();
        }
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::ListBegins(source) => {
                let all = self.of(&source);
                self.unnamed.insert(source, all);
            }
            Change::Listed(source, object) => {
                if let Some(unnamed) = self.unnamed.get_mut(&source) {
                    unnamed.remove(&place(&object.key));
                }
                self.put(*object);
            }
            Change::ListEnds(source) => {
                let gone = self.unnamed.remove(&source).unwrap_or_default();
                self.take_all(&source, &gone);
            }
            Change::Applied(object) => self.put(*object),
            Change::Deleted(key) => self.take(&key),
            Change::KindGone(source) => {
                self.unnamed.remove(&source);
                let all = self.of(&source);
                self.take_all(&source, &all);
            }
        }
    }

    fn put(&mut self, object: Object) {
        if self.snapshot.get(&object.key).is_none() {
            self.count(&object.key, 1);
        }
        self.touch(&object.key);
        let object = self.sharing.keep(object);
        if policy_push::concerns(&object) {
            self.confined.push(object.key.clone());
        }
        self.snapshot.apply(object);
    }

    fn take(&mut self, key: &ObjectKey) {
        if let Some(object) = self.snapshot.get(key) {
            if policy_push::concerns(object) {
                self.confined.push(key.clone());
            }
            self.count(key, -1);
        }
        self.touch(key);
        self.snapshot.remove(key);
    }

    /// Notes a change that agent identities may hold rights by.
    fn touch(&mut self, key: &ObjectKey) {
        if matters(key) {
            self.touched.push(key.clone());
        }
    }

    /// Where there are objects of a kind.
    fn of(&self, source: &Source) -> HashSet<Place> {
        let resource = &source.resource;
        let keys = self.snapshot.iter().map(|object| &object.key);
        keys.filter(|key| key.kind == resource.kind && key.group == resource.group)
            .map(place)
            .collect()
    }

    fn take_all(&mut self, source: &Source, places: &HashSet<Place>) {
        let resource = &source.resource;
        for (namespace, name) in places.iter().filter_map(|place| place.split_once('/')) {
            self.take(&ObjectKey::new(&resource.group, &resource.kind, namespace, name));
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

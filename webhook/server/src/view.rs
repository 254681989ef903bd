//! The view of the cluster that requests are judged by, and whether it is fresh enough.
//!
//! Whoever fills the view says up to when it is known to be right; if nobody says so any more, it grows old by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pinfold_model::document::{Dialect, DocumentError, Node, read};
use pinfold_model::object::{Object, from_value};
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources;

use crate::error::StartError;
use crate::touched::Touched;

/// A shared, replaceable snapshot with its age.
#[derive(Debug)]
pub(crate) struct View {
    snapshot: ArcSwap<Snapshot>,
    /// Which objects changed that agent identities hold rights by.
    pub(crate) touched: Touched,
    /// Which objects changed that say what policy a running pod should have.
    pub(crate) confined: Touched,
    started: Instant,
    /// Milliseconds after `started` up to which the view is known to be right.
    right_until: AtomicU64,
    /// What keeps the view from being newer.
    lag_cause: ArcSwap<String>,
    synced: AtomicBool,
    /// A view from files never grows old.
    fixed: bool,
}

impl View {
    /// A view that a watcher will fill.
    pub(crate) fn watched() -> Self {
        Self::new(Snapshot::default(), false)
    }

    /// A view that never changes.
    pub(crate) fn fixed(snapshot: Snapshot) -> Self {
        Self::new(snapshot, true)
    }

    fn new(snapshot: Snapshot, fixed: bool) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            touched: Touched::default(),
            confined: Touched::default(),
            started: Instant::now(),
            right_until: AtomicU64::new(0),
            lag_cause: ArcSwap::default(),
            synced: AtomicBool::new(fixed),
            fixed,
        }
    }

    /// The snapshot as of now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Replaces the snapshot.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Every part was read once.
    pub(crate) fn set_synced(&self, synced: bool) {
        self.synced.store(synced, Ordering::Release);
    }

    /// Whether every part was read once.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The view was right at `moment`.
    pub(crate) fn right_at(&self, moment: Instant) {
        let since = moment.saturating_duration_since(self.started).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.right_until.fetch_max(since, Ordering::Release);
    }

    /// Says what keeps the view from being newer; empty if nothing does.
    pub(crate) fn set_lag_cause(&self, cause: String) {
        if **self.lag_cause.load() != cause {
            self.lag_cause.store(Arc::new(cause));
        }
    }

    /// What keeps the view from being newer.
    pub(crate) fn lag_cause(&self) -> Arc<String> {
        self.lag_cause.load_full()
    }

    /// How old the view may be.
    pub(crate) fn lag(&self) -> Duration {
        if self.fixed {
            return Duration::ZERO;
        }
        let right_until = Duration::from_millis(self.right_until.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(right_until)
    }
}

/// Reads the objects of files and directories; lists are taken apart.
///
/// # Errors
/// Paths that can't be read, and every document that isn't an object.
pub(crate) fn load_files(paths: &[PathBuf]) -> Result<Snapshot, StartError> {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    for file in sources::read(paths)? {
        match read(&file.name, &file.text, Dialect::Manifest) {
            Ok(nodes) => {
                for node in &nodes {
                    collect(&file.name, node, &mut objects, &mut errors);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(Snapshot::of(objects)) } else { Err(StartError::Documents(errors)) }
}

fn collect(file: &str, node: &Node, objects: &mut Vec<Object>, errors: &mut Vec<DocumentError>) {
    let is_list = node.get("kind").and_then(Node::text).is_some_and(|kind| kind.ends_with("List"));
    if let Some(items) = node.get("items").and_then(Node::items).filter(|_| is_list) {
        for item in items {
            // Lists don't hold lists, so this goes one level deep.
            decode(file, item, objects, errors);
        }
        return;
    }
    decode(file, node, objects, errors);
}

fn decode(file: &str, node: &Node, objects: &mut Vec<Object>, errors: &mut Vec<DocumentError>) {
    match from_value(&node.to_json()) {
        Ok(object) => objects.push(object),
        Err(error) => errors.push(node.error(file, &[], error.to_string())),
    }
}

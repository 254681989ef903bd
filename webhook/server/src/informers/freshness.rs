//! Up to when the view is known to be right: every watch is whole, and the API server answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use super::kinds::Source;
use crate::drain::DrainWatch;
use crate::view::View;

/// How often the API server is asked for a sign of life, and how long it has for it.
const BEAT_EVERY: Duration = Duration::from_secs(5);
const BEAT_MAX: Duration = Duration::from_secs(5);
/// How soon it is asked again after silence.
const BEAT_AGAIN: Duration = Duration::from_secs(1);
/// How often the state is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is known of each watch and of the API server.
#[derive(Debug)]
pub(crate) struct Freshness {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Discovery worked once, so that the list of watches is complete.
    discovered: bool,
    watches: HashMap<Source, Watch>,
    last_beat: Option<Instant>,
}

#[derive(Debug, Default)]
struct Watch {
    listed: bool,
    broken_since: Option<Instant>,
}

impl State {
    /// Whether the API server has given a sign of life lately.
    fn answers(&self, now: Instant) -> bool {
        let answered = BEAT_EVERY.saturating_add(BEAT_MAX);
        let silent = |last_beat| now.saturating_duration_since(last_beat);
        self.last_beat.is_some_and(|last_beat| silent(last_beat) <= answered)
    }
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch is about to begin. One that joins later, for a CRD that is new, is not waited for.
    pub(super) fn expected(&self, source: &Source) {
        self.lock().watches.entry(source.clone()).or_default();
    }

    /// A kind is not watched any more.
    pub(super) fn dropped(&self, source: &Source) {
        self.lock().watches.remove(source);
    }

    /// A list is complete.
    pub(super) fn listed(&self, source: &Source) {
        if let Some(watch) = self.lock().watches.get_mut(source) {
            *watch = Watch { listed: true, broken_since: None };
        }
    }

    /// A watch failed; the view of its kind is right up to now.
    pub(super) fn broken(&self, source: &Source) {
        if let Some(watch) = self.lock().watches.get_mut(source) {
            watch.broken_since.get_or_insert_with(Instant::now);
        }
    }

    /// The list of watches is complete.
    pub(super) fn discovered(&self) {
        self.lock().discovered = true;
    }

    fn beat(&self) {
        self.lock().last_beat = Some(Instant::now());
    }

    /// Whether every watch has been listed once.
    fn is_complete(&self) -> bool {
        let state = self.lock();
        state.discovered && state.watches.values().all(|watch| watch.listed)
    }

    /// What keeps the view from being newer; empty if nothing does.
    fn lag_cause(&self, now: Instant) -> String {
        let state = self.lock();
        if !state.answers(now) {
            return "the API server doesn't answer".to_owned();
        }
        let broken = state
            .watches
            .iter()
            .filter_map(|(source, watch)| Some((watch.broken_since?, &source.resource.plural)));
        let oldest = broken.min_by_key(|(since, _)| *since);
        oldest.map(|(_, plural)| format!("`{plural}` can't be watched")).unwrap_or_default()
    }

    /// The last moment at which all is known to have been right.
    fn right_at(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        let last_beat = state.last_beat?;
        let alive = if state.answers(now) { now } else { last_beat };
        let broken = state.watches.values().filter_map(|watch| watch.broken_since).min();
        Some(broken.map_or(alive, |broken| broken.min(alive)))
    }
}

/// Asks the API server for signs of life until the server closes.
pub(super) async fn heartbeat(shared: Shared) {
    let mut drain = shared.drain.clone();
    loop {
        let answer = tokio::time::timeout(BEAT_MAX, shared.client.apiserver_version()).await;
        let pause = match answer {
            Ok(Ok(_)) => {
                shared.freshness.beat();
                BEAT_EVERY
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no sign of life from the API server");
                BEAT_AGAIN
            }
            Err(_) => {
                tracing::warn!("no sign of life from the API server");
                BEAT_AGAIN
            }
        };
        if !drain.pause(pause).await {
            return;
        }
    }
}

/// Tells the view how fresh it is until the server closes.
pub(super) async fn watch(freshness: Arc<Freshness>, view: Arc<View>, mut drain: DrainWatch) {
    loop {
        let now = Instant::now();
        if let Some(moment) = freshness.right_at(now) {
            view.right_at(moment);
        }
        view.set_lag_cause(freshness.lag_cause(now));
        if !view.is_synced() && freshness.is_complete() {
            view.set_synced(true);
            tracing::info!(objects = view.snapshot().len(), "the view of the cluster is complete");
        }
        if !drain.pause(LOOK_EVERY).await {
            return;
        }
    }
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;

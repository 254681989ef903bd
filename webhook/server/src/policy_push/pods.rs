//! What is known of each pod with a compiled policy: what it should have, and since when it lacks it.
//!
//! Replicas read a changed policy at different times, a ConfigMap takes a minute or two to all nodes. So one writes when its own mind has changed, and when
//! a pod has what it once wanted itself; what somebody else put there may be newer than what it knows, and is left for that long.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use pinfold_model::digest::Digest;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::policy::inject::{POLICY, POLICY_DIGEST};
use pinfold_model::snapshot::Snapshot;

use super::patch::Outcome;

/// How long what another replica wrote stands against what this one wants.
pub(super) const APART_MAX: Duration = Duration::from_secs(150);
/// Pauses before a pod is written to again: the first, the longest; each is twice the one before.
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// After this long without an attempt the next is the first again.
const CALM: Duration = Duration::from_secs(120);
/// How long a write may take to show in the view.
const SHOWN_MAX: Duration = Duration::from_secs(5);
/// Policies that are remembered as once wanted.
const FORMER_MAX: usize = 256;

/// What a pod has, as the view knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held<'p> {
    /// Digest of the text that is there.
    pub(super) text: &'p str,
    /// The digest that is written beside it; empty if none is.
    pub(super) written: &'p str,
}

impl<'p> Held<'p> {
    /// `None` for a pod without a compiled policy.
    pub(super) fn of(pod: &'p Object) -> Option<Self> {
        let annotations = &pod.meta.annotations;
        let text = annotations.get(POLICY).filter(|_| !pod.meta.deleting)?;
        let written = annotations.get(POLICY_DIGEST).map_or("", String::as_str);
        Some(Self { text, written })
    }

    pub(super) fn is(&self, wish: &str) -> bool {
        self.text == wish && self.written == wish
    }
}

/// What is to be done about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has what it should have.
    Settled,
    /// It lacks it, and this replica should write now.
    Due,
    /// It lacks it, and it is not the time.
    Later,
}

#[derive(Debug, Clone)]
struct Known {
    uid: String,
    wish: Digest,
    /// When to write; `None` if it has what it should have.
    due: Option<Instant>,
    /// Attempts in a row, and the last.
    attempts: u32,
    last: Option<Instant>,
    /// Not before this, whatever happens.
    rest: Option<Instant>,
}

impl Known {
    fn new(uid: &str, wish: Digest) -> Self {
        Self { uid: uid.to_owned(), wish, due: None, attempts: 0, last: None, rest: None }
    }
}

/// All pods with a compiled policy.
#[derive(Debug, Default)]
pub(super) struct Pods {
    known: HashMap<ObjectKey, Known>,
    /// What was wanted once for some pod and isn't any more, the oldest first.
    former: VecDeque<Digest>,
    /// The first look is over: from now on what is new to this replica may be newer than what it knows.
    looked: bool,
}

impl Pods {
    /// Takes in what a pod has and should have.
    pub(super) fn wanted(&mut self, pod: &Object, wish: Digest, now: Instant) {
        self.look(pod, wish, now);
    }

    /// The same, and what follows from it now.
    pub(super) fn look(&mut self, pod: &Object, wish: Digest, now: Instant) -> Verdict {
        let Some(held) = Held::of(pod) else {
            self.gone(&pod.key);
            return Verdict::Settled;
        };
        let before = self.known.remove(&pod.key).filter(|known| known.uid == pod.meta.uid);
        let mut known = before.clone().unwrap_or_else(|| Known::new(&pod.meta.uid, wish));
        self.remember(known.wish, wish);
        let same = before.is_some() && known.wish == wish;
        let late = after(now, APART_MAX);
        let due = match () {
            () if held.is(&wish.to_string()) => None,
            () if self.is_former(&held) || (before.is_none() && !self.looked) => Some(now),
            () if same => Some(known.due.unwrap_or(late)),
            () => Some(if before.is_some() { now } else { late }),
        };
        let due = due.map(|due| known.rest.map_or(due, |rest| due.max(rest)));
        (known.wish, known.due) = (wish, due);
        self.known.insert(pod.key.clone(), known);
        match due {
            None => Verdict::Settled,
            Some(due) if due <= now => Verdict::Due,
            Some(_) => Verdict::Later,
        }
    }

    /// Whether a pod has what this replica once wanted for some pod, and nobody's newer.
    fn is_former(&self, held: &Held<'_>) -> bool {
        self.former.iter().any(|former| former.to_string() == held.text)
    }

    /// Notes what was wanted and isn't any more. What is wanted again is not former.
    pub(super) fn remember(&mut self, before: Digest, now: Digest) {
        if before == now {
            return;
        }
        self.former.retain(|former| *former != now && *former != before);
        self.former.push_back(before);
        if self.former.len() > FORMER_MAX {
            self.former.pop_front();
        }
    }

    /// Notes what came of a write.
    pub(super) fn tried(&mut self, key: &ObjectKey, outcome: &Outcome, now: Instant) {
        if *outcome == Outcome::Gone {
            return self.gone(key);
        }
        let Some(known) = self.known.get_mut(key) else { return };
        let in_a_row = known.last.is_some_and(|last| now.saturating_duration_since(last) < CALM);
        known.attempts = if in_a_row { known.attempts.saturating_add(1) } else { 1 };
        let doubled = 2_u32.saturating_pow(known.attempts.saturating_sub(1));
        let rest = jittered(AGAIN_MIN.saturating_mul(doubled).min(AGAIN_MAX), key);
        let wait = match outcome {
            // The view is going to tell; if it never does, it is tried again.
            Outcome::Written => SHOWN_MAX,
            Outcome::Outrun => APART_MAX,
            Outcome::Gone | Outcome::Busy(_) | Outcome::Failed(_) => rest,
        };
        (known.last, known.rest) = (Some(now), Some(after(now, rest)));
        known.due = Some(after(now, wait));
    }

    /// A pod is gone.
    pub(super) fn gone(&mut self, key: &ObjectKey) {
        self.known.remove(key);
    }

    /// Forgets pods that are gone.
    pub(super) fn retain(&mut self, view: &Snapshot) {
        self.known.retain(|key, _| view.get(key).is_some_and(|pod| Held::of(pod).is_some()));
    }

    /// Every pod that was there was looked at.
    pub(super) fn first_look_is_over(&mut self) {
        self.looked = true;
    }

    /// Some pods to write to now, in an order that differs from replica to replica.
    pub(super) fn due(&self, now: Instant, most: usize) -> Vec<ObjectKey> {
        let due = self.known.iter().filter(|(_, known)| known.due.is_some_and(|due| due <= now));
        due.map(|(key, _)| key.clone()).take(most).collect()
    }

    /// How many pods lack what they should have.
    pub(super) fn behind(&self) -> usize {
        self.known.values().filter(|known| known.due.is_some()).count()
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// Up to half as long again, so that replicas that were in each other's way don't meet again.
fn jittered(wait: Duration, key: &ObjectKey) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let eighths = u32::try_from(RandomState::new().hash_one(key) % 5).unwrap_or(0);
    let more = wait.checked_div(8).unwrap_or_default().saturating_mul(eighths);
    wait.saturating_add(more)
}

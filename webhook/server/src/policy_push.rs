//! Keeps the compiled policy in the annotations of running pods as the policy in force wants it: the sidecar reads it from there.
//!
//! Every replica does it, without a leader: a write names what it replaces and fails if that is gone, and what is in place already is left alone. Never holds up an
//! admission, never touches a pod without a compiled policy, never writes anything but the two annotations.

mod patch;
mod pods;
mod report;
mod wish;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};
use pinfold_model::policy::inject::POLICY;
use pinfold_model::snapshot::Snapshot;

pub(crate) use patch::ApiServer;

use crate::admission::Admission;
use crate::drain::{DrainWatch, Phase};
use crate::policy_watch::Published;
use crate::touched::Keys;
use patch::{Order, Outcome, Write};
use pods::{Held, Pods, Verdict};
use report::Reporter;
use wish::{Compile, Wish};

/// How long changes gather before they are looked at.
const GATHER: Duration = Duration::from_millis(50);
/// How often the policy in force is compared with that of the last look.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often every pod is looked at, whatever has changed.
const LOOK_ALL_EVERY: Duration = Duration::from_secs(60);
/// Writes that run at once.
const AT_ONCE: usize = 4;
/// Fewest milliseconds for so many: at most 50 writes a second from one replica.
const BATCH_MIN: Duration = Duration::from_millis(80);
/// An API server that takes longer is left in peace for as long again, at most [`PAUSE_MAX`].
const SLOW: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Whether a change of an object can change what policy a pod should have.
pub(crate) fn concerns(object: &Object) -> bool {
    let ObjectKey { group, kind, .. } = &object.key;
    AGENT_GROUPS.contains(&group.as_str())
        || (group.is_empty() && kind == "Namespace")
        || object.meta.annotations.contains_key(POLICY)
}

/// Brings policies to running pods.
pub(crate) struct Push<W> {
    admission: Arc<Admission>,
    writer: W,
    compile: Compile,
    pods: Pods,
    reporter: Reporter,
    /// The policy of the last look.
    generation: u64,
    looked_at_all: Option<Instant>,
}

impl<W: Write> Push<W> {
    pub(crate) fn new(admission: Arc<Admission>, writer: W) -> Self {
        Self::by(admission, writer, wish::compile)
    }

    fn by(admission: Arc<Admission>, writer: W, compile: Compile) -> Self {
        let reporter = Reporter::default();
        let (pods, generation, looked_at_all) = (Pods::default(), 0, None);
        Self { admission, writer, compile, pods, reporter, generation, looked_at_all }
    }

    /// Looks and writes until the server leaves.
    pub(crate) async fn run(mut self, mut drain: DrainWatch) {
        let mut pause = Duration::ZERO;
        loop {
            let admission = Arc::clone(&self.admission);
            let news = async {
                admission.view.confined.changed().await;
                tokio::time::sleep(GATHER).await;
            };
            tokio::select! {
                () = drain.reached(Phase::Draining) => return,
                () = tokio::time::sleep(pause) => {}
                () = news, if pause == LOOK_EVERY => {}
            }
            self = match tokio::task::spawn_blocking(move || self.look()).await {
                Ok(push) => push,
                Err(error) => {
                    tracing::error!(%error, "running pods don't get new policies any more");
                    return;
                }
            };
            pause = self.write_some().await;
        }
    }

    /// Finds out which pods lack what they should have.
    fn look(mut self) -> Self {
        let published = self.admission.policy.load_full();
        let Ok(policy) = self.admission.ready(&published) else { return self };
        let (now, view) = (Instant::now(), self.admission.view.snapshot());
        let touched = self.admission.view.confined.take();
        let all = self.generation != published.generation
            || touched == Keys::Many
            || self.looked_at_all.is_none_or(|looked| now.duration_since(looked) > LOOK_ALL_EVERY);
        let concerned: Vec<&Object> = match &touched {
            Keys::Some(keys) if !all => keys.iter().flat_map(|key| pods_of(&view, key)).collect(),
            Keys::Some(_) | Keys::Many => view.confined(None).collect(),
        };
        for pod in concerned {
            match (self.compile)(&view, policy, pod) {
                Ok(Some(wish)) => {
                    self.know_former(&published, &view, (pod, &wish));
                    self.pods.wanted(pod, wish.digest, now);
                }
                Ok(None) => self.pods.gone(&pod.key),
                Err(reason) => self.reporter.refused(&self.admission, pod, &reason),
            }
        }
        if all {
            self.pods.retain(&view);
            self.reporter.retain(&view);
            (self.generation, self.looked_at_all) = (published.generation, Some(now));
            self.pods.first_look_is_over();
        }
        let behind = i64::try_from(self.pods.behind()).unwrap_or(i64::MAX);
        self.admission.metrics.policy_push.behind.set(behind);
        self
    }

    /// Remembers what the policy before gave a pod that lacks its wish: what it carries is then older than what this replica knows, although no pod here had it.
    fn know_former(
        &mut self,
        published: &Published,
        view: &Snapshot,
        (pod, wish): (&Object, &Wish),
    ) {
        let behind = Held::of(pod).is_some_and(|held| !held.is(&wish.digest.to_string()));
        let Some(former) = published.former.as_ref().filter(|_| behind) else { return };
        if let Ok(Some(before)) = (self.compile)(view, &former.policy, pod) {
            self.pods.remember(before.digest, wish.digest);
        }
    }

    /// Writes what is due, as much as goes at once; how long to wait then.
    async fn write_some(&mut self) -> Duration {
        let began = Instant::now();
        let due = self.pods.due(began, AT_ONCE);
        if due.is_empty() {
            return LOOK_EVERY;
        }
        let published = self.admission.policy.load_full();
        let view = self.admission.view.snapshot();
        let orders: Vec<Order> =
            due.iter().filter_map(|key| self.order(&view, &published, key)).collect();
        let outcomes = join_all(orders.iter().map(|order| self.writer.write(order))).await;
        for (order, outcome) in orders.iter().zip(&outcomes) {
            self.pods.tried(&order.pod, outcome, Instant::now());
            self.reporter.tried(&self.admission, order, outcome).await;
        }
        pace(began.elapsed(), outcomes.iter().any(|outcome| matches!(outcome, Outcome::Busy(_))))
    }

    /// What is to be written to a pod as of now; nothing if it is gone, or has it meanwhile.
    fn order(&mut self, view: &Snapshot, published: &Published, key: &ObjectKey) -> Option<Order> {
        let policy = self.admission.ready(published).ok()?;
        let Some(pod) = view.get(key) else {
            self.pods.gone(key);
            return None;
        };
        let Ok(Some(Wish { text, digest, none })) = (self.compile)(view, policy, pod) else {
            self.pods.gone(key);
            return None;
        };
        if self.pods.look(pod, digest, Instant::now()) != Verdict::Due {
            return None;
        }
        let written = Held::of(pod)?.written.to_owned();
        let uid = pod.meta.uid.clone();
        Some(Order { pod: key.clone(), uid, written, text, digest: digest.to_string(), none })
    }
}

/// The confined pods that a change of this object concerns.
fn pods_of<'v>(view: &'v Snapshot, key: &ObjectKey) -> Vec<&'v Object> {
    match (key.group.as_str(), key.kind.as_str()) {
        ("", "Namespace") => view.confined(Some(&key.name)).collect(),
        ("", _) => view.get(key).into_iter().collect(),
        _ if key.namespace.is_empty() => view.confined(None).collect(),
        _ => view.confined(Some(&key.namespace)).collect(),
    }
}

/// How long to wait after a batch that took so long: never more than so many a second, and no hurry where the API server has none.
fn pace(took: Duration, busy: bool) -> Duration {
    let rest = if busy {
        PAUSE_MAX
    } else if took > SLOW {
        took.min(PAUSE_MAX)
    } else {
        Duration::ZERO
    };
    rest.max(BATCH_MIN.saturating_sub(took))
}

#[cfg(test)]
mod tests;

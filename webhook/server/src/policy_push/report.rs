//! Who is told what: counts, log, Events on the pod, audit records. Each thing once for a pod, not at every attempt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pinfold_ledger::{Decision, Event, EventKind, Gate, Ledger};
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::snapshot::Snapshot;

use super::patch::{Order, Outcome};
use crate::admission::Admission;
use crate::audit;

/// What was told of which pod last.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    told: HashMap<ObjectKey, String>,
}

impl Reporter {
    /// The policy of a pod can't be compiled; it keeps what it has.
    pub(super) fn refused(&mut self, admission: &Admission, pod: &Object, reason: &str) {
        if !self.is_news(&pod.key, reason) {
            return;
        }
        admission.metrics.policy_push.writes.with_label_values(&["refused"]).inc();
        let message = format!("the pod keeps its policy, the new one can't be compiled: {reason}");
        tell(admission, &pod.key, &pod.meta.uid, "PolicyRefused", &message);
    }

    /// A write was tried.
    pub(super) async fn tried(&mut self, admission: &Admission, order: &Order, outcome: &Outcome) {
        let count = &admission.metrics.policy_push.writes;
        count.with_label_values(&[outcome.as_str()]).inc();
        match outcome {
            Outcome::Written => {
                self.told.remove(&order.pod);
                written(admission, order).await;
            }
            Outcome::Outrun | Outcome::Gone => {}
            Outcome::Busy(reason) | Outcome::Failed(reason) => {
                if self.is_news(&order.pod, reason) {
                    let message = format!("the pod's new policy could not be written: {reason}");
                    tell(admission, &order.pod, &order.uid, "PolicyNotWritten", &message);
                }
            }
        }
    }

    /// Forgets pods that are gone.
    pub(super) fn retain(&mut self, view: &Snapshot) {
        self.told.retain(|key, _| view.get(key).is_some());
    }

    fn is_news(&mut self, pod: &ObjectKey, reason: &str) -> bool {
        match self.told.entry(pod.clone()) {
            Entry::Occupied(told) if told.get() == reason => false,
            Entry::Occupied(mut told) => {
                told.insert(reason.to_owned());
                true
            }
            Entry::Vacant(none) => {
                none.insert(reason.to_owned());
                true
            }
        }
    }
}

fn tell(admission: &Admission, pod: &ObjectKey, uid: &str, reason: &'static str, message: &str) {
    tracing::warn!(object = %pod, "{message}");
    if let Some(events) = &admission.events {
        events.policy(pod, uid, reason, message);
    }
}

async fn written(admission: &Admission, order: &Order) {
    let Order { pod, uid, written: before, digest, none, .. } = order;
    tracing::info!(object = %pod, before, digest, "a running pod has a new policy");
    if *none {
        let message = "no AgentPolicy applies to the pod any more, so it may do nothing; let one apply, or delete the pod";
        tell(admission, pod, uid, "NoPolicyApplies", message);
    }
    if let Some(ledger) = &admission.ledger {
        record(admission, ledger, order).await;
    }
}

async fn record(admission: &Admission, ledger: &Ledger, order: &Order) {
    let ObjectKey { kind, namespace, name, .. } = &order.pod;
    let own = |text: &str| Some(text.to_owned());
    let object = pinfold_ledger::Object {
        version: own("v1"),
        kind: own(kind),
        namespace: own(namespace),
        name: own(name),
        ..pinfold_ledger::Object::default()
    };
    let message = if order.none {
        format!("no policy applies any more: nothing is allowed now, instead of {}", order.written)
    } else {
        format!("the compiled policy was {}", order.written)
    };
    let event = Event {
        object: Some(object),
        operation: own("UPDATE"),
        message: Some(message),
        policy_digest: own(&order.digest),
        ..Event::new(Gate::Webhook, EventKind::Reload, Decision::Allow)
    };
    if let Err(error) = audit::record(ledger, &event, admission.audit_max).await {
        tracing::error!(error, object = %order.pod, "a new policy of a running pod is not in the audit ledger");
    }
}

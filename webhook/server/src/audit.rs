//! Which decisions are recorded, and how. What bears state is durable before the answer; everything else is only counted.

use std::time::Duration;

use pinfold_engine::decision::Decision;
use pinfold_ledger::{Actor, Event, EventKind, Gate, Ledger, Object};
use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::finding::Finding;
use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};
use pinfold_review::explain;

use crate::admission::Endpoint;

/// Groups whose every object bears rights or runs.
const STATE_GROUPS: &[&str] =
    &[RBAC_GROUP, "krate.a5c.ai", "kradle.a5c.ai", "pinfold.dev", "authentication.k8s.io"];

/// What a record says beside the request itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) allowed: bool,
    pub(crate) findings: &'a [Finding],
    pub(crate) decision_id: &'a str,
    pub(crate) policy_digest: &'a str,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) took: Duration,
}

/// Whether an answer must be recorded first: denials, findings of any mode, rights, and whatever concerns agent workloads.
pub(crate) fn bears_state(
    facts: &AdmissionFacts,
    decision: &Decision,
    view: &Snapshot,
    policy: &AdmissionPolicy,
) -> bool {
    !decision.allowed()
        || !decision.findings.is_empty()
        || STATE_GROUPS.contains(&facts.target.group.as_str())
        || concerns_agents(facts, view, policy)
}

fn concerns_agents(facts: &AdmissionFacts, view: &Snapshot, policy: &AdmissionPolicy) -> bool {
    let workload = facts.operation == Operation::Connect
        || [&facts.object, &facts.old_object]
            .into_iter()
            .flatten()
            .any(|object| matches!(object.facts, Facts::Workload(_) | Facts::NodeBinding(_)));
    workload && is_guarded(&facts.target.namespace, view, policy)
}

/// A namespace that isn't in the view may be guarded.
fn is_guarded(namespace: &str, view: &Snapshot, policy: &AdmissionPolicy) -> bool {
    let Some(found) = view.get(&ObjectKey::new("", "Namespace", "", namespace)) else {
        return true;
    };
    policy
        .agents
        .namespace_labels
        .iter()
        .all(|(key, value)| found.meta.labels.get(key) == Some(value))
}

/// The record of a readable request.
pub(crate) fn event(facts: &AdmissionFacts, version: &str, verdict: &Verdict<'_>) -> Event {
    let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let actor = facts.requester.as_ref().map(|requester| Actor {
        user: own(&requester.name),
        uid: own(&requester.uid),
        groups: u32::try_from(requester.groups.len()).ok(),
    });
    let target = &facts.target;
    let object = Object {
        group: Some(target.group.clone()),
        version: own(version),
        kind: own(&target.kind),
        namespace: own(&target.namespace),
        name: own(&target.name),
        subresource: own(&facts.subresource),
    };
    Event {
        actor,
        object: Some(object),
        operation: Some(facts.operation.as_str().to_owned()),
        dry_run: Some(facts.dry_run),
        request_uid: own(&facts.uid),
        ..outcome(verdict)
    }
}

/// The record of a request that could not be read.
pub(crate) fn unreadable(uid: Option<&str>, verdict: &Verdict<'_>) -> Event {
    Event { request_uid: uid.map(str::to_owned), ..outcome(verdict) }
}

fn outcome(verdict: &Verdict<'_>) -> Event {
    let kind = match verdict.endpoint {
        Endpoint::Validate => EventKind::Admission,
        Endpoint::Mutate => EventKind::Mutation,
    };
    let decision = if verdict.allowed {
        pinfold_ledger::Decision::Allow
    } else {
        pinfold_ledger::Decision::Deny
    };
    let mut rules: Vec<String> =
        verdict.findings.iter().map(|finding| finding.rule.to_string()).collect();
    rules.sort_unstable();
    rules.dedup();
    let message = explain(verdict.findings);
    Event {
        rules,
        message: (!message.is_empty()).then_some(message),
        policy_digest: Some(verdict.policy_digest.to_owned()),
        correlation_id: Some(verdict.decision_id.to_owned()),
        traceparent: verdict.traceparent.map(str::to_owned),
        duration_us: u64::try_from(verdict.took.as_micros()).ok(),
        ..Event::new(Gate::Webhook, kind, decision)
    }
}

/// Writes a record and waits until it is durable.
///
/// # Errors
/// Why it isn't; the request must then be denied.
pub(crate) async fn record(ledger: &Ledger, event: &Event, most: Duration) -> Result<(), String> {
    match tokio::time::timeout(most, ledger.record(event)).await {
        Ok(Ok(_receipt)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the audit record was not durable within {most:?}")),
    }
}

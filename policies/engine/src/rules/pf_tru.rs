//! PF-TRU: untrusted work stays off trusted pools, has no identity, and claims nothing. PF-TRU-001 is judged here, by any way of placement.
//!
//! Trust comes from records that are looked up, never from what the work says about itself; no record is untrusted. In guarded namespaces work must
//! also be kept off trusted pools; elsewhere it must only not name one. What can't be told is refused with that reason.

mod allowed;
pub(super) mod authority;
mod claims;
mod force;
mod guarded_pools;
mod identity;
mod nodes;
mod placement;
mod pools;
mod revisions;
mod scale;
mod shared;
mod stamping;

use pinfold_model::facts::{AdmissionFacts, Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::pod::NodeBinding;
use pinfold_model::object::scheduling::Scheduling;
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object, ObjectKey};

use self::placement::Way;
use crate::context::{Context, Found};
use crate::decision::Mutation;
use crate::organization::namespace_key;
use crate::trust::stamp::marks;
use crate::trust::standing::{self, Standing};
use crate::trust::{Scope, record, scope};

/// How a piece of work becomes trusted; ends every remedy.
const HOW_TO_TRUST: &str = "work is trusted only if a controller of `trust.controllers` makes it \
                            for a run of a ref in `trust.trustedRefs`";

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    judge_placement(context, found);
    identity::judge(context, found);
    claims::judge(context, found);
    guarded_pools::judge(context, found);
    allowed::judge(context, found);
    shared::judge(context, found);
    revisions::judge(context, found);
    authority::judge(context, found);
}

/// PF-TRU-001.
fn judge_placement(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    if facts.operation == Operation::Update && facts.change == Change::Garbage {
        return;
    }
    match &object.facts {
        Facts::Workload(_) => judge_workload(context, object, found),
        Facts::NodeBinding(binding) => judge_binding(context, binding, found),
        Facts::Run(_) => judge_run(context, object, found),
        Facts::Scheduling(of) => {
            if let Scheduling::Scale { replicas } = **of {
                scale::judge(context, replicas, found);
            }
        }
        Facts::MetaOnly
        | Facts::Role(_)
        | Facts::Binding(_)
        | Facts::AgentRoleBinding(_)
        | Facts::Referrer(_)
        | Facts::Organization(_)
        | Facts::RunnerPool(_)
        | Facts::AgentServiceAccount(_)
        | Facts::AgentStack(_)
        | Facts::Approval(_)
        | Facts::Grant(_)
        | Facts::Capability(_)
        | Facts::Requirement(_)
        | Facts::TriggerRule(_)
        | Facts::Memory(_)
        | Facts::AgentResource(_) => {}
    }
}

/// Rewrites untrusted work to the untrusted pool where the policy says `force`, and stamps what a controller made for a run or for another runner.
#[must_use]
pub fn rewrite(context: &Context<'_>) -> Mutation {
    let mut mutation = force::rewrite(context);
    stamping::remember(context, &mut mutation);
    mutation
}

/// The ways by which the object of a request, or its rewritten form, comes onto a trusted pool, as far as they matter in its namespace.
fn ways_of(context: &Context<'_>, object: &Object) -> Vec<Way> {
    let Some(workload) = object.facts.workload() else { return Vec::new() };
    let namespace = context.facts.target.namespace.as_str();
    let scope = scope(context, namespace);
    let ways = match (scope, context.facts.subresource.as_str()) {
        (Scope::Platform, _) => Vec::new(),
        (_, "" | "ephemeralcontainers") => placement::ways(context, namespace, object, workload),
        (_, "status") if labels_change(context.facts, object) => {
            placement::label_ways(context, namespace, object, workload)
        }
        _ => Vec::new(),
    };
    in_scope(context, ways)
}

/// The ways that matter in the namespace of a request.
fn in_scope(context: &Context<'_>, mut ways: Vec<Way>) -> Vec<Way> {
    let namespace = context.facts.target.namespace.as_str();
    match scope(context, namespace) {
        Scope::Elsewhere | Scope::Platform => ways.retain(|way| way.names_the_pool),
        Scope::Unknown => {
            let question = Question::Object(namespace_key(namespace));
            let silent = ways.iter_mut().filter(|way| !way.names_the_pool);
            silent.for_each(|way| way.questions.push(question.clone()));
        }
        Scope::Guarded => {}
    }
    ways
}

fn labels_change(facts: &AdmissionFacts, object: &Object) -> bool {
    facts.old_object.as_ref().is_none_or(|old| old.meta.labels != object.meta.labels)
}

/// Whether an update starts nothing and says nothing new of the work: what is there is let be, so that it can be scaled down, rolled over, suspended
/// and annotated, also if it is older than Pinfold or its run is gone. Its pods are judged when they are made.
fn keeps(context: &Context<'_>, object: &Object) -> bool {
    let facts = context.facts;
    let Some(old) = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update)
    else {
        return false;
    };
    facts.change.starts_nothing() && said(old) == said(object)
}

/// What the rules read of the metadata of work: agent labels, its own and its pods', and the stamps.
fn said(object: &Object) -> Vec<(&str, &str)> {
    let own = object.meta.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let pods = object.facts.workload().map(|workload| workload.pod_labels.as_slice());
    let pods = pods.unwrap_or_default().iter();
    let labels = own.chain(pods.map(|(key, value)| (key.as_str(), value.as_str())));
    let agent = |(key, _): &(&str, &str)| {
        key.rsplit_once('/').is_some_and(|(group, _)| AGENT_GROUPS.contains(&group))
    };
    labels.filter(agent).chain(marks(object).map(|mark| (mark.key, mark.text))).collect()
}

fn judge_workload(context: &Context<'_>, object: &Object, found: &mut Found) {
    if keeps(context, object) {
        return;
    }
    let ways = ways_of(context, object);
    if ways.is_empty() {
        return;
    }
    let Some(requester) = context.requester(RuleId::TRU_PLACEMENT, found) else { return };
    refuse(standing::of_request(context, object, requester), ways, found);
}

/// A pod is put on a node: whoever does it, the pod's own record counts.
fn judge_binding(context: &Context<'_>, binding: &NodeBinding, found: &mut Found) {
    let target = &context.facts.target;
    if scope(context, &target.namespace) == Scope::Platform {
        return;
    }
    let ways = placement::node_ways(context, &binding.node, "$.target.name");
    if ways.is_empty() {
        return;
    }
    let name = if target.name.is_empty() { &context.facts.request_name } else { &target.name };
    let key = ObjectKey::new("", "Pod", &target.namespace, name);
    let standing = match context.lookup(&key) {
        Some(pod) => standing::of_stored(context, pod),
        None => {
            let reason = format!("pod `{name}` isn't in the view of the cluster");
            Standing::unknown(reason, vec![Question::Object(key)])
        }
    };
    refuse(standing, ways, found);
}

/// A run names its pool itself.
fn judge_run(context: &Context<'_>, object: &Object, found: &mut Found) {
    let Facts::Run(run) = &object.facts else { return };
    let (namespace, group) = (context.facts.target.namespace.as_str(), object.key.group.as_str());
    if !context.facts.subresource.is_empty() {
        return;
    }
    let way =
        placement::named_pool(context, namespace, (group, &run.runner_pool), "$.spec.runnerPool");
    // A pool that isn't known can't be chosen yet; the pods of the run are judged when they come.
    if let Some(way) = way.filter(|way| way.pool.is_some()) {
        refuse(record::judge(context, object), vec![way], found);
    }
}

fn refuse(standing: Standing, ways: Vec<Way>, found: &mut Found) {
    let Standing::Untrusted { reason, questions } = standing else { return };
    questions.into_iter().for_each(|question| found.ask(question));
    for Way { path, what, pool, forbidden, remedy, questions, .. } in ways {
        questions.into_iter().for_each(|question| found.ask(question));
        let message = match pool {
            Some(pool) => {
                format!("untrusted work ({reason}) may not run on trusted pool `{pool}`: {what}")
            }
            None => format!("untrusted work ({reason}) may not {forbidden}: {what}"),
        };
        found.add(RuleId::TRU_PLACEMENT, path, message, format!("{remedy}; {HOW_TO_TRUST}"));
    }
}

#[cfg(test)]
mod tests;

//! PF-SEC-001: a reference to a Secret or ConfigMap of another organization, from any kind, by any field.
//!
//! The object is judged as it would be stored, with what it leads to: a claim to its volume, a pod to its ServiceAccount, a kind of the
//! policy's `references` to whatever their JSONPaths select. What can't be followed to an organization is refused with that reason.

mod agents;
mod catalogue;
mod params;
mod reach;
mod unclassified;
mod volumes;

use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::finding::RuleId;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::reference::Reference;
use pinfold_model::object::storage::Referrer;
use pinfold_model::object::{Change, Facts, Object, ObjectKey};

use self::reach::{Home, Reach, Via};
use super::untouched::is_untouched;
use crate::agent_workload::service_account;
use crate::context::{Context, Found};
use crate::organization::{Ownership, ownership};

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = &facts.object else { return };
    if !facts.operation.is_write() || is_harmless(facts, object) {
        return;
    }
    let mut own = Found::default();
    let namespace = facts.target.namespace.as_str();
    let workload = object.facts.workload();
    let untouched = workload.is_some_and(|workload| is_untouched(context, object, workload));
    match &object.facts {
        Facts::Workload(_) if untouched => {}
        Facts::Workload(workload) => judge_workload(context, namespace, workload, &mut own),
        Facts::Referrer(referrer) => judge_referrer(context, referrer, &mut own),
        Facts::Capability(found) => agents::judge(context, &found.requires, &mut own),
        Facts::Requirement(found) => agents::judge(context, &found.requires, &mut own),
        Facts::AgentServiceAccount(found) => agents::judge(context, &found.image_pulls, &mut own),
        Facts::MetaOnly
        | Facts::Role(_)
        | Facts::Binding(_)
        | Facts::AgentRoleBinding(_)
        | Facts::NodeBinding(_)
        | Facts::Scheduling(_)
        | Facts::Organization(_)
        | Facts::RunnerPool(_)
        | Facts::Run(_)
        | Facts::AgentStack(_)
        | Facts::Approval(_)
        | Facts::Grant(_)
        | Facts::TriggerRule(_)
        | Facts::Memory(_)
        | Facts::AgentResource(_) => {}
    }
    let mut known = catalogue::judge(context, &mut own);
    if let Facts::Referrer(referrer) = &object.facts {
        known.extend(referrer.references.iter().map(|reference| reference.path.clone()));
    }
    unclassified::judge(context, object, &known, &mut own);
    let spec_may_change = facts.subresource != "status" && !untouched;
    own.raw.retain(|raw| spec_may_change || !is_spec(&raw.path));
    found.raw.extend(own.raw);
    own.questions.into_iter().for_each(|question| found.ask(question));
}

/// An update that can't make anything worse: the garbage collector must get rid of a bad object, and a status that leaves labels and
/// annotations alone has no reference in it.
fn is_harmless(facts: &AdmissionFacts, object: &Object) -> bool {
    let Some(old) = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update)
    else {
        return false;
    };
    let (new, old) = (&object.meta, &old.meta);
    let metadata_stays = new.labels == old.labels && new.annotations == old.annotations;
    metadata_stays && (facts.change == Change::Garbage || facts.subresource == "status")
}

/// Whether a path is in what a status update can't change.
fn is_spec(path: &str) -> bool {
    ["$.spec", "$.template", "$.parameters"].iter().any(|root| path.starts_with(root))
}

fn judge_workload(context: &Context<'_>, namespace: &str, workload: &Workload, found: &mut Found) {
    let home = Home::Namespace { name: namespace, owner: ownership(context, namespace) };
    let mut reach = Reach { context, home: &home, found };
    if reach.refuses_home() {
        return;
    }
    for reference in &workload.references {
        reach.judge(reference, &Via::Direct);
    }
    judge_account(&mut reach, namespace, workload);
    for claim in &workload.claims {
        volumes::judge_claim(&mut reach, &claim.name, &claim.path);
    }
    for template in &workload.claim_templates {
        let path = template.path.as_str();
        let (volume, class) = (&template.volume_name, &template.storage_class);
        volumes::judge_volume(&mut reach, volume, &format!("{path}.volumeName"));
        volumes::judge_class(&mut reach, class, &format!("{path}.storageClassName"));
        volumes::judge_source(&mut reach, &template.data_source_namespace, path);
    }
}

/// What the pod's ServiceAccount brings along. One that isn't there brings nothing: the API server refuses its pods.
fn judge_account(reach: &mut Reach<'_, '_>, namespace: &str, workload: &Workload) {
    let name = service_account(workload);
    let key = ObjectKey::new("", "ServiceAccount", namespace, name);
    let Some(Facts::Referrer(account)) = reach.context.lookup(&key).map(|object| &object.facts)
    else {
        return;
    };
    let path = format!("{}.serviceAccountName", workload.spec_path);
    for reference in &account.references {
        let via = Via::Object { path: &path, key: &key, field: &reference.path };
        reach.judge(reference, &via);
    }
}

fn judge_referrer(context: &Context<'_>, referrer: &Referrer, found: &mut Found) {
    let target = &context.facts.target;
    if referrer.param.is_some() {
        return params::judge(context, referrer, found);
    }
    if target.namespace.is_empty() {
        return volumes::judge_cluster_scoped(context, referrer, found);
    }
    let name = target.namespace.as_str();
    let home = Home::Namespace { name, owner: ownership(context, name) };
    let mut reach = Reach { context, home: &home, found };
    if reach.refuses_home() {
        return;
    }
    for reference in &referrer.references {
        reach.judge(reference, &Via::Direct);
    }
    volumes::judge_volume(&mut reach, &referrer.volume_name, "$.spec.volumeName");
    volumes::judge_class(&mut reach, &referrer.storage_class, "$.spec.storageClassName");
    volumes::judge_source(&mut reach, &referrer.data_source_namespace, "$.spec");
}

/// Adds a finding of this rule.
fn refuse(found: &mut Found, path: &str, message: String, remedy: String) {
    found.add(RuleId::SEC_CROSS_ORGANIZATION, path, message, remedy);
}

/// `Secret/namespace/name`, as a sharing policy lists it.
fn shared_name(reference: &Reference, namespace: &str) -> String {
    format!("{}/{namespace}/{}", reference.kind, reference.name)
}

/// Whether an owner is a matter of this rule at all.
fn is_platform(owner: &Ownership) -> bool {
    matches!(owner, Ownership::Platform)
}

#[cfg(test)]
mod tests;

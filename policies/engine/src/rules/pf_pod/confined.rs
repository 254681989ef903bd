//! PF-POD-001: an agent's pod carries what injection puts into it, exactly.
//!
//! Stops a pod that starts bare because mutation was not asked, failed open, or was undone by another webhook; and a pod's author who writes our
//! parts himself. Compares with what mutation would do now; repairs nothing.

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::Object;
use pinfold_model::object::security::{Container, ContainerList};
use pinfold_model::policy::inject::{GUARD, SIDECAR};
use serde_json::Value;

use crate::agent_workload::{Membership, membership};
use crate::context::{Context, Found};
use crate::inject::{self, Fault, Plan, Unapplied};

const RULE: RuleId = RuleId::POD_CONFINED;
/// Most faults that are told.
const FAULTS_MAX: usize = 16;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let (Some(object), Some(document)) = (&facts.object, &facts.document) else { return };
    let Some(workload) = object.facts.workload() else { return };
    if !inject::is_on(context) || !inject::is_pod(object) || !facts.brings_content() {
        return;
    }
    let judged: fn(&Context<'_>, &Object, &Value, &mut Found) =
        match (facts.operation, facts.subresource.as_str()) {
            (Operation::Create, "") => judge_new,
            (Operation::Update, "" | "ephemeralcontainers" | "resize") => judge_running,
            _ => return,
        };
    match membership(context, object, workload) {
        Membership::Agent(_) => judged(context, object, document, found),
        Membership::Other(unknown) => {
            unknown.into_iter().for_each(|question| found.confirm(question));
        }
    }
}

fn judge_new(context: &Context<'_>, object: &Object, document: &Value, found: &mut Found) {
    if let Some(clash) = inject::clash(document) {
        let message = format!("nothing was injected into the pod: {}", clash.what);
        return found.add(RULE, clash.path.as_str(), message, clash.remedy());
    }
    match Plan::of(context, object, document) {
        Ok(plan) => tell(&plan.faults(document), found),
        Err(unapplied) => tell_unapplied(unapplied, found),
    }
}

fn tell_unapplied(unapplied: Unapplied, found: &mut Found) {
    if unapplied.needs_requester {
        return found.undecided(RULE);
    }
    unapplied.questions.into_iter().for_each(|question| found.ask(question));
    found.add(RULE, "$", unapplied.message, unapplied.remedy);
}

fn tell(faults: &[Fault], found: &mut Found) {
    let missing =
        |name: &str| faults.iter().any(|fault| fault.what == format!("`{name}` is missing"));
    if missing(GUARD) && missing(SIDECAR) {
        let message = "the pod has neither `pinfold-guard` nor `pinfold-sidecar`, so nothing confines it: either mutation wasn't asked, or another webhook took them out";
        let remedy = "see that MutatingWebhookConfiguration `pinfold` is there, selects the namespace and has `failurePolicy: Fail`, and that no other webhook removes init containers";
        return found.add(RULE, "$.spec.initContainers", message, remedy);
    }
    for fault in faults.iter().take(FAULTS_MAX) {
        let message = format!(
            "{}: another webhook or the pod's author changed it, or the policy changed while the pod was made",
            fault.what
        );
        let remedy =
            "leave what injection writes as it is, have other webhooks do so too, and try again";
        found.add(RULE, fault.path.as_str(), message, remedy);
    }
}

/// Of a pod that runs, agents' containers get nothing of the sidecar's, and ours stay what they are.
fn judge_running(context: &Context<'_>, object: &Object, document: &Value, found: &mut Found) {
    for fault in inject::mounts(document).iter().take(FAULTS_MAX) {
        found.add(RULE, fault.path.as_str(), fault.what.as_str(), "leave the mount out");
    }
    let before = context.facts.old_object.as_ref().map(ours).unwrap_or_default();
    let after = ours(object);
    let changes = |(name, old): &(&str, &Container), same: fn(&Container, &Container) -> bool| {
        !after.iter().any(|(other, now)| other == name && same(old, now))
    };
    for one in &before {
        let name = one.0;
        if changes(one, |old, now| old.image == now.image) {
            let message = format!(
                "the image of `{name}` changes; Pinfold's containers stay what they were made with"
            );
            let remedy =
                "leave it; for another version change `inject.image`, and make the pod anew";
            found.add(RULE, "$.spec.initContainers", message, remedy);
        }
        // Whatever they were made with, perhaps by another version: a sidecar with less memory serves nobody.
        let resized = context.facts.subresource == "resize";
        if resized && changes(one, |old, now| old.resources == now.resources) {
            let message = format!(
                "the resources of `{name}` change; Pinfold's containers stay what they were made with"
            );
            found.add(RULE, "$.spec.initContainers", message, "resize the other containers alone");
        }
    }
}

/// Our containers in a pod, by name.
fn ours(object: &Object) -> Vec<(&'static str, &Container)> {
    let security = object.facts.workload().and_then(|workload| workload.security.as_ref());
    let containers = security.map(|security| security.containers.as_slice());
    let inits = containers.unwrap_or_default().iter();
    let inits = inits.filter(|container| container.list == ContainerList::Init);
    let ours = |name: &str| [GUARD, SIDECAR].into_iter().find(|ours| *ours == name);
    inits.filter_map(|container| Some((ours(&container.name)?, container))).collect()
}

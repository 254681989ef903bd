//! PF-SEC-002 to 005: what an agent workload uses needs a grant, for this work, in this way.
//!
//! Whose work it is comes from records; what the workload says of itself can only take away. Pods, and every kind with a pod template, so that a
//! template that could make no pod is refused where its author sees it.

mod uses;
mod worker;

use pinfold_model::facts::{AdmissionFacts, Operation, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::reference::ReferenceKind;
use pinfold_model::object::{AGENT_GROUPS, Change, Object};

use self::uses::Use;
use self::worker::Worker;
use crate::agent_workload::{Membership, PURPOSE, labels, membership, service_account};
use crate::context::{Context, Found};
use crate::explain::World;
use crate::grants::{Need, Refused, Verdict, resolve};
use crate::trust::stamp::stamps;
use crate::trust::standing::{Actor, Standing, actor};
use crate::trust::work_of;

/// Judges the rules.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = &facts.object else { return };
    let Some(workload) = object.facts.workload() else { return };
    if !is_write(facts) || is_untouched(context, object, workload) {
        return;
    }
    let mut uses = uses::of(context, workload);
    uses.retain(|one| context.policy.grants.needs(one.kind, &one.name));
    if uses.is_empty() {
        return;
    }
    match membership(context, object, workload) {
        Membership::Agent(_) => judge_uses(context, (object, workload), &uses, found),
        // Nothing here says that it is an agent's; what the view doesn't have yet is looked at once more before it passes.
        Membership::Other(unknown) => {
            unknown.into_iter().for_each(|question| found.confirm(question));
        }
    }
}

fn is_write(facts: &AdmissionFacts) -> bool {
    match facts.operation {
        Operation::Create | Operation::Update => {
            matches!(facts.subresource.as_str(), "" | "ephemeralcontainers" | "resize")
        }
        Operation::Delete | Operation::Connect => false,
    }
}

/// An update that can't reach more than before: what the garbage collector writes, metadata that no grant asks for, and what the API's own
/// controllers write to what they keep (a ReplicaSet must be scaled down though its grant has ended).
fn is_untouched(context: &Context<'_>, object: &Object, workload: &Workload) -> bool {
    let facts = context.facts;
    let Some(old) = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update)
    else {
        return false;
    };
    let Some(before) = old.facts.workload() else { return false };
    let same = before.references == workload.references
        && service_account(before) == service_account(workload)
        && marks(old, before) == marks(object, workload);
    let built_in = facts
        .requester
        .as_ref()
        .is_some_and(|requester| actor(context, requester) == Actor::BuiltIn);
    match facts.change {
        Change::Garbage => true,
        Change::Metadata | Change::Lowered => same,
        Change::Raised | Change::Content => same && built_in,
    }
}

/// What the rules read of metadata: agent labels, the stamp, the purpose.
fn marks<'o>(object: &'o Object, workload: &'o Workload) -> Vec<(&'o str, &'o str)> {
    let agent = |(key, _): &(&str, &str)| {
        key.rsplit_once('/').is_some_and(|(group, _)| AGENT_GROUPS.contains(&group))
    };
    let labels = labels(object, workload).filter(agent);
    labels.chain(stamps(object)).chain(purposes(workload).map(|said| (PURPOSE, said))).collect()
}

/// What the workload says that it uses its Secrets for.
fn purposes(workload: &Workload) -> impl Iterator<Item = &str> {
    let said = workload.pod_annotations.iter().filter(|(key, _)| key == PURPOSE);
    said.map(|(_, said)| said.as_str())
}

fn judge_uses(
    context: &Context<'_>,
    (object, workload): (&Object, &Workload),
    uses: &[Use],
    found: &mut Found,
) {
    let Some(requester) = &context.facts.requester else {
        for kind in [ReferenceKind::Secret, ReferenceKind::ConfigMap] {
            if uses.iter().any(|one| one.kind == kind) {
                found.undecided(rule_of(kind));
            }
        }
        return;
    };
    let mut work = work_of(context, object, requester);
    if !vouches(context, requester) {
        work.runs.clear();
        work.origins.clear();
    }
    let labels: Vec<&str> = worker::stack_labels(object, workload);
    let purpose = purposes(workload).next();
    let answers = &context.facts.answers;
    let world = World { view: context.view, policy: context.policy, answers, now: context.now };
    for worker in Worker::all(context, workload, &work) {
        let stacks: Vec<&str> = labels.iter().copied().chain(worker.other_stack()).collect();
        let bearer = worker.bearer(&stacks);
        for one in uses {
            let Use { kind, namespace, name, keys, mount, .. } = one;
            let (kind, mount) = (*kind, Some(*mount));
            let need = Need { kind, namespace, name, keys, mount, purpose };
            match resolve(&world, &bearer, &need) {
                Verdict::NotNeeded => {}
                Verdict::Granted { confirm, .. } => {
                    confirm.into_iter().for_each(|question| found.confirm(question));
                }
                Verdict::Refused(refused) => tell(one, *refused, &work.standing, found),
            }
        }
    }
}

/// Whether the runs that the work names count: not where somebody who may not claim one makes it, or changes what it runs. An owner reference is
/// quickly written.
fn vouches(context: &Context<'_>, requester: &Requester) -> bool {
    match actor(context, requester) {
        Actor::Controller | Actor::BuiltIn => true,
        Actor::Other => {
            context.facts.operation == Operation::Update && context.facts.change != Change::Content
        }
    }
}

fn rule_of(kind: ReferenceKind) -> RuleId {
    match kind {
        ReferenceKind::Secret => RuleId::SEC_SECRET_GRANT,
        ReferenceKind::ConfigMap => RuleId::SEC_CONFIG_GRANT,
    }
}

fn tell(one: &Use, refused: Refused<'_>, standing: &Standing, found: &mut Found) {
    refused.questions.into_iter().for_each(|question| found.ask(question));
    if let Standing::Untrusted { questions, .. } = standing {
        questions.iter().cloned().for_each(|question| found.ask(question));
    }
    let also = one.also();
    for refusal in refused.refusals {
        let message = format!("{}{also}", refusal.message);
        found.add(refusal.rule, one.path.as_str(), message, refusal.remedy);
    }
}

#[cfg(test)]
mod tests;

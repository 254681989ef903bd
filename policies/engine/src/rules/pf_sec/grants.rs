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
use pinfold_model::object::{Change, Object};

use self::uses::{USES_MAX, Use};
use self::worker::Worker;
use super::untouched::{is_untouched, purposes};
use crate::agent_workload::{Membership, membership};
use crate::context::{Context, Found};
use crate::grants::{Need, Refused, Verdict, resolve};
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
        Membership::Agent(_) if uses.len() > USES_MAX => tell_too_many(uses.len(), found),
        Membership::Agent(_) => judge_uses(context, (object, workload), &uses, found),
        // Nothing here says that it is an agent's; what the view doesn't have yet is looked at once more before it passes.
        Membership::Other(unknown) => {
            unknown.into_iter().for_each(|question| found.confirm(question));
        }
    }
}

/// Whether pods come or change by it: not by what only reports on them.
fn is_write(facts: &AdmissionFacts) -> bool {
    facts.operation.is_write()
        && matches!(facts.subresource.as_str(), "" | "ephemeralcontainers" | "resize")
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
    let world = context.world();
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

fn tell_too_many(count: usize, found: &mut Found) {
    let message = format!(
        "cannot tell whether each of {count} Secrets and ConfigMaps is granted: more than {USES_MAX} in one workload"
    );
    found.add(RuleId::SEC_SECRET_GRANT, "$", message, "use fewer in one workload");
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

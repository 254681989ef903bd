//! Mutation: puts guard, sidecar, compiled policy and hardening into an agent's pod; and what must then be there.
//!
//! Deterministic: the same pod and policy give the same patch, and a pod that has it already gets none. Validation compares with what mutation
//! would do, so nothing here may depend on the order of calls. Workloads are left as they are: their pods are changed when they are made.

mod choice;
mod compare;
mod harden;
mod narrowing;
mod parts;
mod place;

use pinfold_model::facts::{Operation, Question};
use pinfold_model::finding::{Finding, Mode, RuleId};
use pinfold_model::object::Object;
use pinfold_model::policy::inject::{
    POLICY, POLICY_DIGEST, POLICY_SUBJECT, Profile, SECRETS_VOLUME,
};
use serde_json::Value;

use self::choice::Chosen;
use self::compare::Place;
use self::parts::Parts;
use crate::agent_workload::{Membership, membership};
use crate::context::Context;
use crate::decision::Mutation;
use crate::edit::Edit;

pub use self::choice::{Unapplied, compiled_for, is_confined};
pub(crate) use self::compare::{Fault, mounts};
pub(crate) use self::place::{Clash, clash};

/// The annotations that injection writes.
pub(crate) const ANNOTATIONS: [&str; 3] = [POLICY, POLICY_DIGEST, POLICY_SUBJECT];

/// What an agent's pod must carry.
pub(crate) struct Plan {
    parts: Parts,
}

impl Plan {
    /// The plan for the pod of a request, as `document` has it.
    pub(crate) fn of(
        context: &Context<'_>,
        object: &Object,
        document: &Value,
    ) -> Result<Self, Unapplied> {
        let Chosen { subject, compiled } = choice::chosen(context, object, document)?;
        let parts = Parts::of(&context.policy.inject, &compiled, &subject);
        Ok(Self { parts })
    }

    /// Where a pod isn't what injection makes of it.
    pub(crate) fn faults(&self, document: &Value) -> Vec<Fault> {
        Place { parts: &self.parts, document }.faults()
    }
}

/// Whether pods of agents are changed at all, and asked for it.
pub(crate) fn is_on(context: &Context<'_>) -> bool {
    context.policy.inject.profile == Profile::Default
}

/// Whether the object of a request is a pod that is made now.
pub(crate) fn is_new_pod(context: &Context<'_>, object: &Object) -> bool {
    let facts = context.facts;
    let created = facts.operation == Operation::Create && facts.subresource.is_empty();
    created && is_pod(object)
}

pub(crate) fn is_pod(object: &Object) -> bool {
    object.key.group.is_empty() && object.key.kind == "Pod"
}

/// Adds the steps that confine the pod of a request to what mutation does already.
pub(crate) fn inject(context: &Context<'_>, mutation: &mut Mutation) {
    let facts = context.facts;
    let (Some(object), Some(document)) = (&facts.object, &facts.document) else { return };
    let Some(workload) = object.facts.workload() else { return };
    if !is_on(context) || !is_new_pod(context, object) || !is_enforced(context) {
        return;
    }
    match membership(context, object, workload) {
        Membership::Agent(_) => {}
        Membership::Other(unknown) => return ask(mutation, unknown),
    }
    let mut edit = Edit::resumed(document, std::mem::take(&mut mutation.patch));
    let plan = match clash(&edit.document) {
        Some(clash) => {
            mutation.notes.push(note(&clash));
            None
        }
        // Validation says why there is none, once nothing live helps.
        None => Plan::of(context, object, &edit.document)
            .map_err(|unapplied| ask(mutation, unapplied.questions))
            .ok(),
    };
    // Also a pod that is refused is hardened, so that what is told is what is the matter and not all that follows from it.
    place::place(context, plan.as_ref().map(|plan| &plan.parts), &mut edit);
    mutation.patch = edit.patch;
}

fn ask(mutation: &mut Mutation, questions: Vec<Question>) {
    for question in questions {
        if !mutation.questions.contains(&question) {
            mutation.questions.push(question);
        }
    }
}

/// Where the rule only warns, is off, or is excepted for this object, nobody's pods are changed either.
fn is_enforced(context: &Context<'_>) -> bool {
    let rule = RuleId::POD_CONFINED;
    let target = &context.facts.target;
    context.policy.mode_of(&rule) == Some(Mode::Enforce)
        && !context.policy.exempts(&rule, target, context.now)
}

fn note(clash: &Clash) -> Finding {
    Finding {
        rule: RuleId::POD_CONFINED,
        mode: Mode::Warn,
        path: clash.path.clone(),
        message: format!("nothing was injected: {}", clash.what),
        remedy: clash.remedy().to_owned(),
    }
}

/// Whether an annotation of a pod that is made now is what injection writes there.
pub(crate) fn writes(context: &Context<'_>, object: &Object, key: &str, value: &str) -> bool {
    if !ANNOTATIONS.contains(&key) || !is_on(context) || !is_new_pod(context, object) {
        return false;
    }
    let Some(document) = &context.facts.document else { return false };
    let Ok(chosen) = choice::chosen(context, object, document) else { return false };
    chosen.annotations().iter().any(|(name, text)| (*name, text.as_ref()) == (key, value))
}

/// The JSON path that every reference of the credentials' volume begins with, if the pod that is made is as injection makes it: then the
/// sidecar alone uses them. Of any other pod they are a mount like others.
pub(crate) fn credentials_path(context: &Context<'_>) -> Option<String> {
    let (Some(object), Some(document)) = (&context.facts.object, &context.facts.document) else {
        return None;
    };
    let volumes = compare::items(document, "volumes");
    let at = volumes.iter().position(|volume| compare::named(volume) == SECRETS_VOLUME)?;
    if !is_on(context) || !is_pod(object) {
        return None;
    }
    let confined = if is_new_pod(context, object) {
        Plan::of(context, object, document).ok()?.faults(document).is_empty()
    } else {
        // The volumes of a pod never change, and were judged when it was made.
        mounts(document).is_empty()
    };
    confined.then(|| format!("$.spec.volumes[{at}]."))
}

#[cfg(test)]
mod tests;

//! What takes away from what grants give: the stack's `secretPolicy`, and a label that names another stack than the record.

use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::AgentStack;
use pinfold_model::object::reference::{Mount, ReferenceKind};
use pinfold_model::object::{AGENT_GROUPS, ObjectKey};

use super::accounts::RECORDS_MAX;
use super::{Case, Refusal, Step, shown, words};

/// What stands against any grant.
pub(super) fn judge(case: &Case<'_, '_>) -> Vec<Refusal> {
    let label = by_label(case);
    let kubelet = case.need.mount == Some(Mount::ImagePull);
    if case.need.kind != ReferenceKind::Secret || kubelet {
        return label.into_iter().collect();
    }
    let unknown =
        (case.bearer.stack.is_some() && case.stacks.is_empty()).then(|| unknown_stack(case));
    let many = case.of_account.too_many.then(|| too_many(case));
    let mut stacks = case.stacks.clone();
    // A second stack of the same ServiceAccount must not switch the policy of the first one off.
    stacks.extend(&case.of_account.all);
    stacks.sort_by(|left, right| left.0.cmp(right.0));
    stacks.dedup_by(|left, right| left.0 == right.0);
    let policies = stacks
        .iter()
        .flat_map(|(key, stack)| [not_listed(case, key, stack), not_on_forks(case, key, stack)]);
    [label, unknown, many].into_iter().chain(policies).flatten().collect()
}

/// The stacks that a live look could find.
pub(super) fn questions(case: &Case<'_, '_>) -> Vec<ObjectKey> {
    let Some(stack) = case.bearer.stack.filter(|_| case.stacks.is_empty()) else {
        return Vec::new();
    };
    let (namespace, name) = stack.split_once('/').unwrap_or((case.bearer.namespace, stack));
    let keys = AGENT_GROUPS.map(|group| ObjectKey::new(group, "AgentStack", namespace, name));
    keys.into_iter().filter(|key| case.world.answers.live(key).is_none()).collect()
}

fn refusal(case: &Case<'_, '_>, rule: RuleId, why: &str, remedy: &str) -> Refusal {
    let what = format!("{} {}", words::need(case.need), words::bearer(case.bearer));
    let message = format!("{what}: {why}");
    Refusal { rule, step: Step::Stack, message, remedy: remedy.to_owned() }
}

fn by_label(case: &Case<'_, '_>) -> Option<Refusal> {
    let known = case.bearer.stack?;
    let name = known.split_once('/').map_or(known, |(_, name)| name);
    let other = case.bearer.stack_labels.iter().find(|label| **label != name)?;
    let message =
        format!("a label says AgentStack {}, and its record says {}", shown(other), shown(known));
    let remedy = "leave the label out, or have it say what the record says";
    Some(refusal(case, case.rule(), &message, remedy))
}

fn unknown_stack(case: &Case<'_, '_>) -> Refusal {
    let stack = shown(case.bearer.stack.unwrap_or_default());
    let message = format!(
        "cannot tell what the `secretPolicy` of AgentStack {stack} allows: it isn't in the view of the cluster"
    );
    let remedy = "name a stack that is there; offline, add it to the cluster files";
    refusal(case, case.rule(), &message, remedy)
}

fn too_many(case: &Case<'_, '_>) -> Refusal {
    let message = format!(
        "cannot tell what the `secretPolicy` of its stack allows: more than {RECORDS_MAX} agent records name its ServiceAccount"
    );
    let remedy = "give each stack a ServiceAccount of its own";
    refusal(case, case.rule(), &message, remedy)
}

fn not_listed(case: &Case<'_, '_>, key: &ObjectKey, stack: &AgentStack) -> Option<Refusal> {
    let allowed = stack.allowed_secrets.as_ref()?;
    let (namespace, name) = (case.need.namespace, case.need.name);
    let full = format!("{namespace}/{name}");
    let own = key.namespace == namespace;
    if allowed.iter().any(|one| *one == full || (own && one == name)) {
        return None;
    }
    let message =
        format!("{} doesn't list it in `secretPolicy.allowedSecretRefs`", words::object(key));
    let remedy = "list it there, or leave it out of the workload";
    Some(refusal(case, case.rule(), &message, remedy))
}

fn not_on_forks(case: &Case<'_, '_>, key: &ObjectKey, stack: &AgentStack) -> Option<Refusal> {
    if case.bearer.trusted || stack.secrets_on_forks {
        return None;
    }
    let message = format!(
        "the work is untrusted{}, and `secretPolicy.allowOnForks` of {} is not `true`",
        super::fit::because(case),
        words::object(key)
    );
    let remedy = "have it made for a run of a trusted ref, or leave the Secret out";
    Some(refusal(case, RuleId::SEC_UNTRUSTED, &message, remedy))
}

//! Workspaces: one owner run each. A second run may only read, and only if both are trusted.

use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{Facts, Object, ObjectKey};

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::allowed::reads_only;
use crate::trust::record::{self, RUN};
use crate::trust::standing::Standing;

const PATH: &str = "$.spec.workspaceRef";
const REMEDY: &str = "give the run a workspace of its own";

/// Most other runs of a workspace that are looked at.
const RUNS_MAX: usize = 64;

/// Judges a run.
pub(super) fn judge(context: &Context<'_>, object: &Object, run: &RunRecord, found: &mut Found) {
    if object.key.kind != RUN || run.workspace.is_empty() {
        return;
    }
    let workspace = excerpt(&run.workspace);
    let others = others(context, object, run);
    let Some(first) = others.first() else { return };
    let why = if writes(context, &object.key, run) {
        Some((first, "this one may write"))
    } else if record::judge(context, object) != Standing::Trusted {
        Some((first, "this one isn't trusted"))
    } else {
        let untrusted = |key: &&ObjectKey| !is_trusted(context, key);
        let other = others.iter().take(RUNS_MAX).find(untrusted).or(others.get(RUNS_MAX));
        other.map(|key| (key, "that one isn't known to be trusted"))
    };
    if let Some((other, why)) = why {
        let other = record::name_of(other);
        let message = format!("workspace `{workspace}` belongs to {other}, and {why}");
        found.add(RULE, PATH, message, REMEDY);
    }
}

/// The other runs that a workspace belongs to: those that name it, and those that it names itself.
fn others(context: &Context<'_>, object: &Object, run: &RunRecord) -> Vec<ObjectKey> {
    let ObjectKey { group, namespace, .. } = &object.key;
    let (place, name) = run.workspace.split_once('/').unwrap_or((namespace, &run.workspace));
    let naming = context.view.runs_in(place, name).take(RUNS_MAX.saturating_add(2));
    let mut others: Vec<ObjectKey> = naming.map(|run| run.key.clone()).collect();
    let key = ObjectKey::new(group, "AgentWorkspace", place, name);
    let ties = context.lookup(&key).and_then(|workspace| workspace.facts.ties());
    let references = ties.into_iter().flat_map(|ties| &ties.references);
    others.extend(references.filter(|reference| reference.kind == RUN).map(|owner| {
        let at = if owner.namespace.is_empty() { place } else { &owner.namespace };
        ObjectKey::new(group, RUN, at, &owner.name)
    }));
    others.retain(|other| *other != object.key);
    others.sort();
    others.dedup();
    others
}

/// Whether the stack of a run may write; one that isn't known may.
fn writes(context: &Context<'_>, key: &ObjectKey, run: &RunRecord) -> bool {
    let (place, name) =
        run.agent_stack.split_once('/').unwrap_or((&key.namespace, &run.agent_stack));
    let stack = ObjectKey::new(&key.group, "AgentStack", place, name);
    let Some(Facts::AgentStack(stack)) = context.lookup(&stack).map(|stack| &stack.facts) else {
        return true;
    };
    !reads_only(context, (key.group.as_str(), place), stack)
}

fn is_trusted(context: &Context<'_>, key: &ObjectKey) -> bool {
    context.lookup(key).is_some_and(|run| record::judge(context, run) == Standing::Trusted)
}

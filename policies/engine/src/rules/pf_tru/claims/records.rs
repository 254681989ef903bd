//! Who may write the records that trust rests on: the controllers of the policy and the administrators of the platform. A run that just anybody made, or
//! whose ref just anybody changed, says nothing.

use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object};

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::principal;
use crate::trust::record::name_of;
use crate::trust::standing::{Actor, actor};

pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let Facts::Run(new) = &object.facts else { return };
    if !AGENT_GROUPS.contains(&object.key.group.as_str()) {
        return;
    }
    let old = context.facts.old_object.as_ref().and_then(|old| {
        let Facts::Run(old) = &old.facts else { return None };
        Some(old.as_ref())
    });
    let what = match old {
        None => "makes it".to_owned(),
        Some(old) => match changed(old, new) {
            Some(field) => format!("changes its `{field}`"),
            None => return,
        },
    };
    let Some(requester) = context.requester(RULE, found) else { return };
    match actor(context, requester) {
        Actor::Controller => return,
        Actor::BuiltIn | Actor::Other if principal(context).administers(context) => return,
        Actor::BuiltIn | Actor::Other => {}
    }
    let path = match old.and_then(|old| changed(old, new)) {
        Some(field) => format!("$.spec.{field}"),
        None => "$.spec".to_owned(),
    };
    let (name, record) = (excerpt(&requester.name), name_of(&object.key));
    let message = format!(
        "trust rests on {record}, and `{name}`, who {what}, isn't one of `trust.controllers`"
    );
    let remedy = "let the control plane write it, or list the identity in `trust.controllers` if it is the control plane";
    found.add(RULE, path, message, remedy);
}

/// How a text of a record is read.
type Text = fn(&RunRecord) -> &str;

/// The first field that trust rests on and that differs.
fn changed(old: &RunRecord, new: &RunRecord) -> Option<&'static str> {
    let texts: [(&str, Text); 12] = [
        ("repository", |run| &run.repository),
        ("ref", |run| &run.git_ref),
        ("headRepository", |run| &run.head_repository),
        ("trustTier", |run| &run.trust_tier),
        ("agentDispatchRun", |run| &run.run),
        ("sha", |run| &run.sha),
        ("agentStack", |run| &run.agent_stack),
        ("sourceEvent", |run| &run.trigger_source),
        ("sourceRefs.triggerRule", |run| &run.trigger_rule),
        ("runnerPool", |run| &run.runner_pool),
        ("taskKind", |run| &run.task_kind),
        ("actor", |run| &run.actor),
    ];
    let text = texts.into_iter().find(|(_, of)| of(old) != of(new)).map(|(name, _)| name);
    let fork = (old.fork != new.fork).then_some("fork");
    let sources = (old.sources != new.sources).then_some("sourceRefs");
    let organization =
        (old.ties.organization != new.ties.organization).then_some("organizationRef");
    text.or(fork).or(sources).or(organization).or_else(|| moved_link(old, new))
}

/// A reference of `spec` that differs: what the work is given to read (T-40).
fn moved_link(old: &RunRecord, new: &RunRecord) -> Option<&'static str> {
    ["contextBundleRef", "workspaceRef"].into_iter().find(|field| {
        let path = format!("$.spec.{field}");
        let of = |run: &RunRecord| -> Vec<_> {
            run.ties.references.iter().filter(|named| named.path == path).cloned().collect()
        };
        of(old) != of(new)
    })
}

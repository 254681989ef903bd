//! Pods that run already and are handed to other work (warm pools): what a pod was trusted for it was trusted for before it was handed on.
//!
//! Admission sees labels and owners change. A runner that takes its next job without telling the API server is out of sight; docs/rules/PF-TRU-006.md says so.

use pinfold_model::object::reference::member_path;
use pinfold_model::object::{AGENT_GROUPS, Object};

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::record;
use crate::trust::stamp::RUN_LABEL;
use crate::trust::standing::{self, Actor, Standing, actor};

/// A change by which a pod is handed on: JSON path and what it is.
type Handed = (String, String);

/// Judges an update of a pod in a guarded namespace.
pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let Some(old) = &context.facts.old_object else { return };
    let handed = handed(object, old);
    if handed.is_empty() || standing::of_stored(context, old) != Standing::Trusted {
        return;
    }
    let Some(requester) = context.requester(RULE, found) else { return };
    match actor(context, requester) {
        Actor::BuiltIn => {}
        Actor::Controller => judge_claims(context, object, old, found),
        Actor::Other => {
            let name = excerpt(&requester.name);
            for (path, what) in handed {
                let message = format!(
                    "{what} of a pod whose work is trusted, by `{name}`, who may not vouch for a run"
                );
                found.add(RULE, path, message, "make a new pod for the work");
            }
        }
    }
}

/// Labels of the agent groups that change, and a new controller.
fn handed(object: &Object, old: &Object) -> Vec<Handed> {
    let keys = object.meta.labels.keys().chain(old.meta.labels.keys());
    let mut keys: Vec<&String> = keys
        .filter(|key| {
            let group = key.split_once('/').map(|(group, _)| group);
            group.is_some_and(|group| AGENT_GROUPS.contains(&group))
                && object.meta.labels.get(*key) != old.meta.labels.get(*key)
        })
        .collect();
    keys.sort();
    keys.dedup();
    let label = |key: &String| {
        (member_path("$.metadata.labels", key), format!("this changes label `{}`", excerpt(key)))
    };
    let mut handed: Vec<Handed> = keys.into_iter().map(label).collect();
    let (now, before) = (object.meta.controller(), old.meta.controller());
    if let Some(owner) = now.filter(|_| now != before) {
        let what = format!(
            "this makes {} `{}` the controller",
            excerpt(&owner.kind),
            excerpt(&owner.name)
        );
        handed.push(("$.metadata.ownerReferences".to_owned(), what));
    }
    handed
}

/// A controller hands it to a run: one that isn't trusted gets no trusted pod.
fn judge_claims(context: &Context<'_>, object: &Object, old: &Object, found: &mut Found) {
    let Some(requester) = &context.facts.requester else { return };
    for group in AGENT_GROUPS {
        let key = format!("{group}/{RUN_LABEL}");
        if object.meta.labels.get(&key) == old.meta.labels.get(&key) {
            continue;
        }
        let claims = standing::claimed_runs(context, object, requester).into_iter();
        let untrusted = |claim| match claim {
            Ok(run) => record::judge(context, run),
            Err(missing) => missing,
        };
        let found_out = claims.map(untrusted).find(|standing| *standing != Standing::Trusted);
        if let Some(Standing::Untrusted { reason, questions }) = found_out {
            questions.into_iter().for_each(|question| found.ask(question));
            let message =
                format!("this hands a pod whose work is trusted to a run that isn't ({reason})");
            let path = member_path("$.metadata.labels", &key);
            found.add(RULE, path, message, "make a new pod for the run");
        }
    }
}

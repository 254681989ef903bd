//! Who may write the stamp `pinfold.dev/run` and owner references: what inheriting trust rests on, so nobody but the controllers.

use pinfold_model::facts::{Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::Object;

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::stamp::{STAMP, stamps};
use crate::trust::standing::{self, Actor, Standing, actor};
use crate::trust::{Scope, scope};

/// Kinds that pods can inherit from; the view holds them.
const INHERITED_FROM: [(&str, &str); 7] = [
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "ReplicationController"),
];

/// Judges whether the requester may write the stamps and owner references that change.
pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let old = context.facts.old_object.as_ref();
    let changed = changed_stamps(object, old);
    let adopted = object.meta.controller() != old.and_then(|old| old.meta.controller());
    if changed.is_empty() && !adopted {
        return;
    }
    let Some(requester) = &context.facts.requester else {
        if !changed.is_empty() {
            found.undecided(RuleId::TRU_PLACEMENT);
        }
        return;
    };
    match actor(context, requester) {
        Actor::Controller => {}
        Actor::BuiltIn => judge_passed_on(context, object, &changed, found),
        Actor::Other => {
            let remedy = "leave the annotation as it is; Pinfold writes it";
            for (path, text) in &changed {
                refuse_stamp(requester, (path, text), remedy, found);
            }
            if adopted {
                judge_owner(context, object, requester, found);
            }
        }
    }
}

/// Metadata path and new text of the stamps that differ; the text is empty where one is taken away.
fn changed_stamps<'o>(object: &'o Object, old: Option<&'o Object>) -> Vec<(&'o str, &'o str)> {
    let before: Vec<_> = old.into_iter().flat_map(stamps).collect();
    let after: Vec<_> = stamps(object).collect();
    let mut changed: Vec<_> =
        after.iter().filter(|stamp| !before.contains(stamp)).copied().collect();
    let gone = before.iter().filter(|(path, _)| !after.iter().any(|(other, _)| path == other));
    changed.extend(gone.map(|(path, _)| (*path, "")));
    changed
}

/// A built-in controller may only pass on what the owner has.
fn judge_passed_on(
    context: &Context<'_>,
    object: &Object,
    changed: &[(&str, &str)],
    found: &mut Found,
) {
    for (path, text) in changed.iter().filter(|(_, text)| !text.is_empty()) {
        let owner = match standing::owner(context, object) {
            Ok(owner) => owner,
            Err(key) => {
                found.ask(Question::Object(key));
                None
            }
        };
        let passed_on = owner.is_some_and(|owner| stamps(owner).any(|(_, theirs)| theirs == *text));
        if !passed_on {
            let message = format!(
                "annotation `{STAMP}` says `{}`, which the owner doesn't have",
                excerpt(text)
            );
            let remedy = "remove the annotation from the pod template of whoever owns this";
            found.add(RuleId::TRU_PLACEMENT, stamp_path(path), message, remedy);
        }
    }
}

fn refuse_stamp(
    requester: &Requester,
    (path, text): (&str, &str),
    remedy: &str,
    found: &mut Found,
) {
    let name = excerpt(&requester.name);
    let what = match text {
        "" => "is taken away".to_owned(),
        text => format!("is set to `{}`", excerpt(text)),
    };
    let message =
        format!("annotation `{STAMP}` {what} by `{name}`, who isn't one of `trust.controllers`");
    found.add(RuleId::TRU_PLACEMENT, stamp_path(path), message, remedy);
}

fn stamp_path(metadata: &str) -> String {
    format!("{metadata}.annotations['{STAMP}']")
}

/// Somebody says that trusted work controls this object: pods would inherit through it.
fn judge_owner(context: &Context<'_>, object: &Object, requester: &Requester, found: &mut Found) {
    let Some(owner) = object.meta.controller() else { return };
    let namespace = context.facts.target.namespace.as_str();
    let inherits = object.facts.workload().is_some()
        && INHERITED_FROM.contains(&(owner.group.as_str(), owner.kind.as_str()));
    if !inherits || scope(context, namespace) != Scope::Guarded {
        return;
    }
    let reason = match standing::owner(context, object) {
        Ok(Some(owner)) if standing::of_stored(context, owner) == Standing::Trusted => {
            "belongs to a trusted run"
        }
        Ok(_) => return,
        Err(key) => {
            found.ask(Question::Object(key));
            "isn't in the view of the cluster"
        }
    };
    let message = format!(
        "`{}` names {} `{}` as controller, which {reason}",
        excerpt(&requester.name),
        owner.kind,
        excerpt(&owner.name),
    );
    let remedy = "leave out the owner reference; the owner's controller sets it";
    found.add(RuleId::TRU_PLACEMENT, "$.metadata.ownerReferences", message, remedy);
}

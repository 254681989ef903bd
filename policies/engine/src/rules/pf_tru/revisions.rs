//! PF-TRU-003: forged ControllerRevisions.
//!
//! A StatefulSet's controller makes pods of the revision that its status names, and takes one of the right labels that nobody owns for its own. Whoever
//! writes one in its place has their image in pods that inherit the trust of the StatefulSet. Whose it is now doesn't matter: owners can be taken away
//! (`--cascade=orphan`), and then it is anybody's.

use pinfold_model::facts::{Question, Requester};
use pinfold_model::finding::RuleId;

use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::principal;
use crate::trust::standing::{Actor, actor};
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::TRU_CLAIM;

/// Takes owners away that are gone.
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    let kind = (object.key.group.as_str(), object.key.kind.as_str());
    if kind != ("apps", "ControllerRevision") {
        return;
    }
    let place = scope(context, &facts.target.namespace);
    if !matches!(place, Scope::Guarded | Scope::Unknown) {
        return;
    }
    let Some(requester) = context.requester(RULE, found) else { return };
    if keeps_revisions(context, requester) {
        return;
    }
    if place == Scope::Unknown {
        found.ask(Question::Object(namespace_key(&facts.target.namespace)));
    }
    let (name, who) = (excerpt(&object.key.name), excerpt(&requester.name));
    let message = format!(
        "StatefulSets and DaemonSets make pods of revisions, and `{who}`, who writes ControllerRevision `{name}`, isn't their controller"
    );
    let remedy = "change the StatefulSet or DaemonSet (`kubectl rollout undo` does); its controller keeps the revisions. Another \
                  operator that keeps revisions belongs in `trust.relays`";
    found.add(RULE, "$.data", message, remedy);
}

fn keeps_revisions(context: &Context<'_>, requester: &Requester) -> bool {
    requester.name == GARBAGE_COLLECTOR
        || actor(context, requester) != Actor::Other
        || principal(context).administers(context)
}

#[cfg(test)]
mod tests;

//! Labels and annotations of `pinfold.dev`, and those by which a deputy says for whom it acts: on the object, and on the pods that it makes.
//!
//! The stamp of a run is PF-TRU's to judge, a workload's purpose can only narrow what grants give it, the label that guards a namespace is judged with the namespace, and a signed statement proves itself.

use pinfold_model::facts::Question;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::policy::rbac::PrincipalAnnotation;

use super::own::{RULE, Touch};
use super::{deputy, own_control_plane};
use crate::agent_workload::PURPOSE;
use crate::context::{Context, Found};
use crate::inject;
use crate::rbac::describe::excerpt;
use crate::trust::stamp::{PROVENANCE, STAMP};
use crate::vouch::is_own;

/// One label or annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark<'o> {
    /// The metadata that it is in.
    at: &'o str,
    label: bool,
    key: &'o str,
    value: &'o str,
}

impl Mark<'_> {
    fn path(&self) -> String {
        let list = if self.label { "labels" } else { "annotations" };
        format!("{}.{list}['{}']", self.at, excerpt(self.key))
    }

    fn named(&self) -> String {
        let what = if self.label { "label" } else { "annotation" };
        format!("{what} `{}`", excerpt(self.key))
    }
}

/// The changes that only an administrator may make. What only a deputy may write is found here.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) -> Vec<Touch> {
    let facts = context.facts;
    let write = facts.operation.is_write();
    let Some(object) = facts.object.as_ref().filter(|_| write) else { return Vec::new() };
    let wanted = |mark: &Mark<'_>| is_judged(context, mark);
    let before: Vec<Mark<'_>> = facts.old_object.iter().flat_map(marks).filter(&wanted).collect();
    let after: Vec<Mark<'_>> = marks(object).filter(&wanted).collect();
    let mut touched = Vec::new();
    for mark in after.iter().filter(|mark| !before.contains(mark)) {
        if let Some(spoken) = spoken_by(context, mark) {
            judge_spoken(context, mark, spoken, found);
        } else if !is_passed_on(context, object, mark, found) {
            let what = format!("sets {}", mark.named());
            touched.push(Touch::new(mark.path(), what));
        }
    }
    let same = |one: &Mark<'_>, other: &Mark<'_>| {
        (one.at, one.label, one.key) == (other.at, other.label, other.key)
    };
    let gone = before.iter().filter(|mark| !after.iter().any(|other| same(mark, other)));
    let made = facts.requester.as_ref().is_some_and(own_control_plane::makes_from_templates);
    // What a deputy said may always be taken back, and who passes things on passes on that they are gone.
    let gone = gone.filter(|mark| !made && spoken_by(context, mark).is_none());
    touched
        .extend(gone.map(|mark| Touch::new(mark.path(), format!("takes away {}", mark.named()))));
    touched
}

/// The labels and annotations of an object, and those of its pods.
fn marks(object: &Object) -> impl Iterator<Item = Mark<'_>> {
    let own = |label: bool| {
        let list = if label { &object.meta.labels } else { &object.meta.annotations };
        list.iter().map(move |(key, value)| Mark { at: "$.metadata", label, key, value })
    };
    let workload = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    let of_pods = workload.into_iter().flat_map(|workload| {
        let at = workload.meta_path.as_str();
        let list = |label: bool| {
            let list = if label { &workload.pod_labels } else { &workload.pod_annotations };
            list.iter().map(move |(key, value)| Mark { at, label, key, value })
        };
        list(true).chain(list(false))
    });
    own(true).chain(own(false)).chain(of_pods)
}

fn is_judged(context: &Context<'_>, mark: &Mark<'_>) -> bool {
    let target = &context.facts.target;
    let namespace = (target.group.as_str(), target.kind.as_str()) == ("", "Namespace");
    let guard = context.policy.agents.namespace_labels.iter().any(|(key, _)| key == mark.key);
    if mark.label {
        return is_own(mark.key) && !(namespace && guard);
    }
    // What injection writes into a pod that is made; once it runs only Pinfold changes it.
    let new = context.facts.object.as_ref().filter(|_| mark.at == "$.metadata");
    if new.is_some_and(|object| inject::writes(context, object, mark.key, mark.value)) {
        return false;
    }
    if mark.key == STAMP || mark.key == PROVENANCE || mark.key == PURPOSE {
        return false;
    }
    spoken_by(context, mark).is_some() || (is_own(mark.key) && !is_signed(context, mark.key))
}

/// Whether an annotation is part of a statement that a signature proves.
fn is_signed(context: &Context<'_>, key: &str) -> bool {
    statements(context).any(|statement| statement.signed.is_some() && names(statement, key))
}

/// The statement that an annotation is part of, if no more proves it than that its deputy writes it.
fn spoken_by<'a>(context: &Context<'a>, mark: &Mark<'_>) -> Option<&'a PrincipalAnnotation> {
    let spoken = |statement: &&PrincipalAnnotation| {
        statement.signed.is_none() && !mark.label && names(statement, mark.key)
    };
    statements(context).find(spoken)
}

fn statements<'a>(
    context: &Context<'a>,
) -> impl Iterator<Item = &'a PrincipalAnnotation> + use<'a> {
    context.policy.rbac.deputies.iter().filter_map(|deputy| deputy.annotation.as_ref())
}

fn names(statement: &PrincipalAnnotation, key: &str) -> bool {
    let signature = statement.signed.as_ref().map(|(key, _)| key.as_str());
    statement.user == key || statement.groups.as_deref() == Some(key) || signature == Some(key)
}

/// Only the deputies that an annotation speaks for may write it.
fn judge_spoken(
    context: &Context<'_>,
    mark: &Mark<'_>,
    spoken: &PrincipalAnnotation,
    found: &mut Found,
) {
    let Some(requester) = &context.facts.requester else { return found.undecided(RULE) };
    let own = deputy::deputy_of(context.policy, requester)
        .and_then(|deputy| deputy.annotation.as_ref())
        .is_some_and(|statement| statement.signed.is_none() && statement.user == spoken.user);
    if !own {
        let message = format!(
            "{} says for whom a deputy acts, and only that deputy may write it, not `{}`",
            mark.named(),
            excerpt(&requester.name)
        );
        found.add(RULE, mark.path(), message, "leave the annotation out; the deputy sets it");
    }
}

/// Whether a controller of the API server's passes on what the object's owner has, itself or for its pods. That was judged there.
fn is_passed_on(
    context: &Context<'_>,
    object: &Object,
    mark: &Mark<'_>,
    found: &mut Found,
) -> bool {
    let Some(owner) = object.meta.controller() else { return false };
    let requester = context.facts.requester.as_ref();
    if !requester.is_some_and(own_control_plane::makes_from_templates) || owner.uid.is_empty() {
        return false;
    }
    let namespace = context.facts.target.namespace.as_str();
    let key = ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name);
    let holder = context.lookup(&key).filter(|holder| holder.meta.uid == owner.uid);
    let Some(holder) = holder else {
        if context.facts.answers.live(&key).is_none() {
            found.ask(Question::Object(key));
        }
        return false;
    };
    marks(holder).any(|theirs| {
        (theirs.label, theirs.key, theirs.value) == (mark.label, mark.key, mark.value)
    })
}

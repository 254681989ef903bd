//! Who may write the stamps `pinfold.dev/run` and `pinfold.dev/provenance`, owner references, and the content of what is stamped: what inheriting
//! trust rests on, so nobody but the controllers.

use pinfold_model::facts::{Operation, Question, Requester};
use pinfold_model::object::{Change, Object, ObjectKey};

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::stamp::{Mark, PROVENANCE, STAMP, marks, provenance_text};
use crate::trust::standing::{self, Actor, Standing, actor};
use crate::trust::{Scope, scope};

/// Judges whether the requester may write the stamps, owner references and content that change.
pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let old = context.facts.old_object.as_ref();
    let changed = changed_marks(object, old);
    let adopted = object.meta.controller() != old.and_then(|old| old.meta.controller());
    let vouched = old.is_some_and(|old| is_rewritten(context, old, found));
    let marked = !changed.is_empty() || marks(object).next().is_some();
    if !marked && !adopted && !vouched {
        return;
    }
    let Some(requester) = &context.facts.requester else {
        if !changed.is_empty() || vouched {
            found.undecided(RULE);
        }
        return;
    };
    match actor(context, requester) {
        Actor::Controller => judge_told(context, object, &changed, found),
        Actor::BuiltIn => {
            judge_passed_on(context, object, &changed, found);
            if let Some(old) = old.filter(|_| adopted) {
                judge_adoption(context, old, object, requester, found);
            }
        }
        Actor::Other => {
            changed.iter().for_each(|mark| refuse_mark(requester, mark, found));
            if adopted {
                judge_owner(context, object, requester, found);
            }
            if vouched {
                refuse_content(object, requester, found);
            }
        }
    }
}

/// The stamps that differ; the text is empty where one is taken away.
fn changed_marks<'o>(object: &'o Object, old: Option<&'o Object>) -> Vec<Mark<'o>> {
    let before: Vec<Mark<'_>> = old.into_iter().flat_map(marks).collect();
    let after: Vec<Mark<'_>> = marks(object).collect();
    let there = |mark: &&Mark<'_>| {
        after.iter().any(|other| (other.key, other.metadata) == (mark.key, mark.metadata))
    };
    let gone = before.iter().filter(|mark| !there(mark)).map(|mark| Mark { text: "", ..*mark });
    after.iter().filter(|mark| !before.contains(mark)).copied().chain(gone).collect()
}

/// A controller may name any run. What its object says about itself is read by Pinfold alone, because the object's text may be a fork's: a pipeline's
/// definition comes from the branch that it builds.
fn judge_told(context: &Context<'_>, object: &Object, changed: &[Mark<'_>], found: &mut Found) {
    let told = match context.facts.operation {
        Operation::Create => provenance_text(&standing::told(context)),
        Operation::Update | Operation::Delete | Operation::Connect => None,
    };
    let wrong = |mark: &&Mark<'_>| mark.key == PROVENANCE && told.as_deref() != Some(mark.text);
    for mark in changed.iter().filter(wrong) {
        let message = match mark.text {
            "" => format!("annotation `{PROVENANCE}` is taken away"),
            text => format!(
                "annotation `{PROVENANCE}` says `{}`, which the object itself doesn't",
                excerpt(text)
            ),
        };
        let remedy = "leave the annotation out; Pinfold writes it. If the identity only passes on what an owner says, list it in `trust.relays`";
        found.add(RULE, path_of(mark), message, remedy);
    }
    let named = changed.iter().find(|mark| mark.key == STAMP && !mark.text.is_empty());
    let remembered = marks(object).any(|mark| mark.key == PROVENANCE);
    if let Some(mark) = named.filter(|_| told.is_some() && !remembered) {
        let message = format!(
            "annotation `{STAMP}` names a run, and nothing remembers what the object itself says it is for"
        );
        let remedy =
            "leave the annotation out, and register Pinfold's mutating webhook for this kind";
        found.add(RULE, path_of(mark), message, remedy);
    }
}

/// A built-in controller or relay may only pass on what the owner has.
fn judge_passed_on(
    context: &Context<'_>,
    object: &Object,
    changed: &[Mark<'_>],
    found: &mut Found,
) {
    for mark in changed.iter().filter(|mark| !mark.text.is_empty()) {
        let owner = match standing::owner(context, object) {
            Ok(owner) => owner,
            Err(key) => {
                found.ask(Question::Object(key));
                None
            }
        };
        let same = |theirs: Mark<'_>| (theirs.key, theirs.text) == (mark.key, mark.text);
        if !owner.is_some_and(|owner| marks(owner).any(same)) {
            let (key, text) = (mark.key, excerpt(mark.text));
            let message = format!("annotation `{key}` says `{text}`, which the owner doesn't have");
            let remedy = "remove the annotation from the pod template of whoever owns this";
            found.add(RULE, path_of(mark), message, remedy);
        }
    }
}

fn refuse_mark(requester: &Requester, mark: &Mark<'_>, found: &mut Found) {
    let name = excerpt(&requester.name);
    let what = match mark.text {
        "" => "is taken away".to_owned(),
        text => format!("is set to `{}`", excerpt(text)),
    };
    let key = mark.key;
    let message =
        format!("annotation `{key}` {what} by `{name}`, who isn't one of `trust.controllers`");
    found.add(RULE, path_of(mark), message, "leave the annotation as it is; Pinfold writes it");
}

fn path_of(mark: &Mark<'_>) -> String {
    format!("{}.annotations['{}']", mark.metadata, mark.key)
}

/// Whether an update changes what trusted work runs: its pod's or template's, or another runner's object. Where nothing names a trusted pool no other
/// rule sees it, and its pods would inherit.
fn is_rewritten(context: &Context<'_>, old: &Object, found: &mut Found) -> bool {
    let facts = context.facts;
    let rewritten = facts.operation == Operation::Update
        && matches!(facts.subresource.as_str(), "" | "ephemeralcontainers")
        && facts.change == Change::Content
        && standing::passes_on(&old.key);
    if !rewritten {
        return false;
    }
    match standing::of_stored(context, old) {
        Standing::Trusted => true,
        Standing::Untrusted { questions, .. } => {
            questions.into_iter().for_each(|question| found.confirm(question));
            false
        }
    }
}

fn refuse_content(object: &Object, requester: &Requester, found: &mut Found) {
    let message = format!(
        "`{}` changes trusted work, and isn't one of `trust.controllers` or `trust.relays`",
        excerpt(&requester.name)
    );
    let remedy = "let its controller change it, or make it anew";
    let path = object.facts.workload().map_or("$.spec", |workload| workload.spec_path.as_str());
    found.add(RULE, path, message, remedy);
}

/// The API's controllers adopt whatever has the labels that they select, whoever made it; it would inherit. What was trusted before may be adopted again.
fn judge_adoption(
    context: &Context<'_>,
    old: &Object,
    object: &Object,
    requester: &Requester,
    found: &mut Found,
) {
    let Standing::Untrusted { questions, .. } = standing::of_stored(context, old) else { return };
    let before = found.raw.len();
    judge_owner(context, object, requester, found);
    if found.raw.len() > before {
        questions.into_iter().for_each(|question| found.ask(question));
    }
}

/// Somebody says that trusted work controls this object: pods would inherit through it.
fn judge_owner(context: &Context<'_>, object: &Object, requester: &Requester, found: &mut Found) {
    let Some(owner) = object.meta.controller() else { return };
    let namespace = context.facts.target.namespace.as_str();
    let key = ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name);
    let inherits = standing::passes_on(&object.key) && standing::passes_on(&key);
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
        excerpt(&owner.kind),
        excerpt(&owner.name),
    );
    let remedy =
        "leave out the owner reference; only work that was trusted before is adopted into it";
    found.add(RULE, "$.metadata.ownerReferences", message, remedy);
}

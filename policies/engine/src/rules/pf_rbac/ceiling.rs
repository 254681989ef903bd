//! PF-RBAC-004: nothing gives an agent identity more than its ceiling, whoever does it; and beside it PF-RBAC-007: what a dangerous right
//! leads to.
//!
//! Nobody is exempt but by a named exception. Judged at whatever could make an agent identity hold more: a binding, a ServiceAccount that
//! becomes an agent identity, a namespace that joins an organization; for roles see `growth`.

pub(super) mod agent_binding;
mod identity;
mod join;
pub(super) mod standing;
pub(super) mod words;

use std::collections::HashSet;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{Binding, PolicyRule, RoleRef, Subject};
use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::snapshot::{Snapshot, role_key, subject_key};

use self::words::{Chain, Telling, Who};
use super::gate::is_collection_only;
use super::{growth, place_of};
use crate::context::{Context, Found};
use crate::rbac::agents::Agents;
use crate::rbac::ceiling::{Beyond, Breach};
use crate::rbac::effective::{Gives, gives};

pub(super) const CEILING: RuleId = RuleId::RBAC_CEILING;
pub(super) const DANGER: RuleId = RuleId::RBAC_DANGER;
/// How many subjects of one binding are told.
const MAX_SUBJECTS: usize = 4;
/// How many roles one decision asks for; the edge puts no more questions.
const MAX_ASKED: usize = 8;

/// Judges what could make an agent identity hold more.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    if is_collection_only(context) {
        return;
    }
    let Some(facts) = context.subject_facts() else { return };
    if let Facts::Binding(binding) = facts {
        judge_binding(context, binding, found);
    } else if let Facts::AgentRoleBinding(binding) = facts {
        agent_binding::judge(context, binding, found);
    } else if let Facts::Role(role) = facts {
        growth::judge(context, role, found);
    } else {
        identity::judge(context, found);
        join::judge(context, found);
    }
}

/// The view with what was read for this request in place of what it holds of that.
pub(super) fn current(context: &Context<'_>) -> Snapshot {
    let mut view = context.view.clone();
    for (key, object) in &context.facts.answers.objects {
        match object {
            Some(object) => view.apply(object.clone()),
            None => view.remove(key),
        }
    }
    view
}

fn judge_binding(context: &Context<'_>, binding: &Binding, found: &mut Found) {
    let place = place_of(context.facts);
    let reached = reached(context, binding, place);
    let Some((_, first)) = reached.first() else { return };
    let role = &binding.role_ref;
    let gives = match gives(context.view, &context.facts.answers, role, place) {
        Ok(gives) => gives,
        Err(why) => {
            let (message, remedy) = words::unresolved(&why, role, place, first);
            found.add(CEILING, "$.roleRef", message, remedy);
            ask(context, role_key(role, place).iter(), found);
            return;
        }
    };
    let chain = |breach: &Breach<'_>| Chain::of(role, &gives, breach).to_string();
    let beyond = Beyond::of(context.policy, place, rules_of(&gives), &[]);
    let remedy = words::remedy(&beyond.ceiling);
    for (path, who) in &reached {
        let path = |_: &Breach<'_>| path.clone();
        let telling = Telling { who, place, path: &path, chain: &chain };
        telling.ceiling(&CEILING, &beyond.ceiling, &remedy, found);
    }
    let path = |_: &Breach<'_>| "$.roleRef".to_owned();
    Telling { who: first, place, path: &path, chain: &chain }.dangers(&beyond.dangers, found);
    settle(context, &gives.roles, !beyond.is_empty(), found);
}

/// The subjects that reach agent identities, each with its path; of an update those that are new, because the others gain nothing.
fn reached(context: &Context<'_>, binding: &Binding, place: &str) -> Vec<(String, Who)> {
    let agents = Agents::of(context);
    let old = old_subjects(context, binding);
    let old: HashSet<_> = old.iter().filter_map(|subject| subject_key(subject, place)).collect();
    let subjects = binding.subjects.iter().enumerate();
    let reached = subjects.filter_map(|(at, subject)| {
        let reach = agents.reached(subject, place)?;
        let is_new = subject_key(subject, place).is_none_or(|key| !old.contains(&key));
        is_new.then(|| (format!("$.subjects[{at}]"), Who::of_subject(&agents, subject, reach)))
    });
    reached.take(MAX_SUBJECTS).collect()
}

fn old_subjects<'a>(context: &Context<'a>, binding: &Binding) -> &'a [Subject] {
    let Some(old) = &context.facts.old_object else { return &[] };
    let Facts::Binding(old) = &old.facts else { return &[] };
    if old.role_ref == binding.role_ref { &old.subjects } else { &[] }
}

/// Whether an exception of the policy lets a binding give more.
fn is_exempt(context: &Context<'_>, binding: &ObjectKey) -> bool {
    context.policy.exempts(&CEILING, binding, context.now)
}

pub(super) fn rules_of<'g, 'a>(
    gives: &'g Gives<'a>,
) -> impl Iterator<Item = &'a PolicyRule> + Clone + use<'g, 'a> {
    gives.rules.iter().map(|given| given.rule)
}

/// Asks for the newest form of the roles: a denial because it could change it, a permission because it must be borne out.
fn settle(context: &Context<'_>, roles: &[&ObjectKey], over: bool, found: &mut Found) {
    let unread = |key: &&&ObjectKey| context.facts.answers.live(key).is_none();
    for key in roles.iter().take(MAX_ASKED).filter(unread) {
        let question = Question::Object((**key).clone());
        if over {
            found.ask(question.clone());
        }
        found.confirm(question);
    }
}

fn ask<'k>(context: &Context<'_>, keys: impl Iterator<Item = &'k ObjectKey>, found: &mut Found) {
    let unread = keys.filter(|key| context.facts.answers.live(key).is_none());
    unread.take(MAX_ASKED).for_each(|key| found.ask(Question::Object(key.clone())));
}

/// A role by its reference, as findings name it: "ClusterRole `edit`".
pub(super) fn role_name(role: &RoleRef) -> String {
    format!("{} `{}`", words::plain(&role.kind), words::plain(&role.name))
}

//! The roles that a stack's capabilities need: each must be bound to the identity that it runs as; and the AgentRoleBindings that it names must be what is bound.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{RoleRef, Subject};
use pinfold_model::snapshot::subject_key;

use super::capabilities::{key_of, requirements};
use super::dispatch::Stack;
use super::identities::runtime_account;
use super::{Assessment, Severity};
use crate::context::Context;
use crate::explain::{Content, NotNative, natives};
use crate::rbac::describe::{excerpt, place};
use crate::rbac::effective::bindings_of;

/// A role that a capability needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredRole {
    /// As written: `NAME`, or `KIND/NAME`.
    pub name: String,
    /// Who requires it.
    pub required_by: ObjectKey,
    /// The binding that gives it to the identity that the stack runs as; `None` if nothing does.
    pub held_by: Option<ObjectKey>,
}

pub(super) fn assess(context: &Context<'_>, stack: &Stack<'_>, found: &mut Assessment) {
    let account = runtime_account(found).cloned();
    let held = account.as_ref().map(|account| bindings_of(context.view, account));
    let held = held.unwrap_or_default();
    for requires in requirements(context, stack, found) {
        for name in requires.roles {
            let binding = held.iter().find(|(_, _, binding)| is(&binding.role_ref, name));
            let held_by = binding.map(|(_, key, _)| (*key).clone());
            if held_by.is_none() {
                let who = match &account {
                    Some(account) => format!("`{}/{}`", account.namespace, excerpt(&account.name)),
                    None => "the stack's identity, which isn't known,".to_owned(),
                };
                let message = format!("needs role `{}`, which {who} isn't bound to", excerpt(name));
                let remedy =
                    format!("apply an AgentRoleBinding of role `{}` for it", excerpt(name));
                found.add(Severity::Error, requires.key, message, remedy);
            }
            let (name, required_by) = (name.clone(), requires.key.clone());
            found.roles.push(RequiredRole { name, required_by, held_by });
        }
    }
    judge_named(context, stack, found);
}

/// Whether a binding's role is the one that a requirement names.
fn is(role: &RoleRef, named: &str) -> bool {
    match named.split_once('/') {
        Some((kind, name)) => role.kind == kind && role.name == name,
        None => role.name == named,
    }
}

/// The AgentRoleBindings that the stack names: there, and written by their controller as they say.
fn judge_named(context: &Context<'_>, stack: &Stack<'_>, found: &mut Assessment) {
    let named = stack.facts.ties.references.iter();
    for reference in named.filter(|reference| reference.kind == "AgentRoleBinding") {
        let key = key_of(stack.key, reference);
        if context.lookup(&key).is_none() {
            let message =
                format!("`{}` of {} names {key}, which isn't there", reference.path, stack.key);
            found.missing(&key, message, format!("create it, or take it out of {}", stack.key));
            continue;
        }
        judge_drift(context, &key, found);
    }
}

/// A binding that its controller has not written, or that somebody changed since, isn't what was reviewed.
fn judge_drift(context: &Context<'_>, key: &ObjectKey, found: &mut Assessment) {
    let world = context.world();
    let expected = match natives(&world, key) {
        Ok(expected) => expected,
        Err(why) => {
            let message = format!("cannot tell what it gives: {}", told(&why));
            let remedy = "correct its subject, scope and role";
            found.add(Severity::Error, key, message, remedy);
            return;
        }
    };
    for native in expected {
        let Content::Binding { role, subjects } = &native.content else { continue };
        let namespace = native.key.namespace.as_str();
        let lacking: Vec<&Subject> =
            subjects.iter().filter(|subject| !bound(context, subject, role, namespace)).collect();
        for subject in lacking {
            let message = format!(
                "its binding has drifted: {} `{}` isn't bound to {} `{}` {}",
                subject.kind,
                excerpt(&subject.name),
                role.kind,
                excerpt(&role.name),
                place(namespace),
            );
            let remedy = "have its controller write it again, or apply what \
                          `pinfold explain binding -o yaml` prints";
            found.add(Severity::Error, key, message, remedy);
        }
    }
}

fn bound(context: &Context<'_>, subject: &Subject, role: &RoleRef, namespace: &str) -> bool {
    let Some(subject) = subject_key(subject, namespace) else { return false };
    let mut bindings = context.view.bindings_in(&subject, namespace);
    bindings.any(|(_, binding)| {
        binding.role_ref.kind == role.kind && binding.role_ref.name == role.name
    })
}

fn told(why: &NotNative) -> String {
    match why {
        NotNative::Scope(why) => why.clone(),
        NotNative::Nobody => "its subject leads to nobody".to_owned(),
        NotNative::NoTemplate(name) => {
            format!("the policy has no role template `{}`", excerpt(name))
        }
    }
}

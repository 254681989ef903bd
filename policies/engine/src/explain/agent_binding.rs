//! What an AgentRoleBinding means: whom, where, and whether its controller has written the native bindings.

use std::collections::BTreeSet;

use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::object::rbac::{AgentRoleBinding, RoleRef, Subject};
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object, ObjectKey};
use pinfold_model::snapshot::{SubjectKey, subject_key};

use super::World;
use super::chain::{is_native, source};
use super::identity::{Fault, Hop};
use crate::context::Context;
use crate::rbac::resolver::subjects_of;
use crate::rules::pf_rbac::{agent_binding_subjects, scope};

/// The kind of a `roleRef` that names a template of the policy (`rbac.roleTemplates`).
pub(super) const TEMPLATE: &str = "RoleTemplate";

/// Whom the controller gives rights to; nobody, if a stack or pool isn't there or names no account.
pub(super) fn subjects(
    world: &World<'_>,
    key: &ObjectKey,
    binding: &AgentRoleBinding,
) -> Vec<Subject> {
    let facts = facts(key);
    agent_binding_subjects::subjects(&context(world, &facts), &key.namespace, binding)
}

/// Where an AgentRoleBinding gives rights; the empty name stands for all namespaces.
pub(super) fn places(
    world: &World<'_>,
    key: &ObjectKey,
    binding: &AgentRoleBinding,
) -> Result<BTreeSet<String>, String> {
    let facts = facts(key);
    scope::expand(&context(world, &facts), binding)
}

fn context<'a>(world: &World<'a>, facts: &'a AdmissionFacts) -> Context<'a> {
    let World { view, policy, now, .. } = *world;
    Context { facts, view, policy, now }
}

/// A request about an object, as far as its place matters.
fn facts(key: &ObjectKey) -> AdmissionFacts {
    AdmissionFacts {
        uid: String::new(),
        requester: None,
        operation: Operation::Create,
        subresource: String::new(),
        target: key.clone(),
        request_name: String::new(),
        dry_run: true,
        object: None,
        old_object: None,
        document: None,
        change: Change::default(),
        answers: Answers::default(),
    }
}

/// The AgentRoleBindings of a view.
fn agent_bindings<'a>(
    world: &World<'a>,
) -> impl Iterator<Item = (&'a Object, &'a AgentRoleBinding)> {
    world.view.of_kind("AgentRoleBinding").filter_map(|object| {
        let Facts::AgentRoleBinding(binding) = &object.facts else { return None };
        let binding: &AgentRoleBinding = binding;
        AGENT_GROUPS.contains(&object.key.group.as_str()).then_some((object, binding))
    })
}

/// AgentRoleBindings that mean somebody and that their controller has not acted on.
pub(super) fn unwritten(world: &World<'_>, requester: &Requester) -> Vec<Hop> {
    let spellings: Vec<SubjectKey> = subjects_of(requester).collect();
    let mut hops = Vec::new();
    for (object, binding) in agent_bindings(world) {
        let key = &object.key;
        let subjects = subjects(world, key, binding);
        let keys = subjects.iter().filter_map(|subject| subject_key(subject, &key.namespace));
        let keys: Vec<SubjectKey> = keys.filter(|subject| spellings.contains(subject)).collect();
        if keys.is_empty() {
            continue;
        }
        let fault = match places(world, key, binding) {
            Ok(places) => {
                let missing = |place: &String| !is_written(world, object, &keys, place);
                let places: Vec<String> = places.into_iter().filter(missing).collect();
                (!places.is_empty()).then_some(Fault::Unwritten(places))
            }
            Err(why) => Some(Fault::Scope(why)),
        };
        if fault.is_some() {
            hops.push(Hop { object: key.clone(), leads: String::new(), fault });
        }
    }
    hops.sort_by(|left, right| left.object.cmp(&right.object));
    hops
}

/// Whether some binding of a subject in a place is owned by an AgentRoleBinding, or gives its role.
fn is_written(world: &World<'_>, object: &Object, subjects: &[SubjectKey], place: &str) -> bool {
    let Facts::AgentRoleBinding(wanted) = &object.facts else { return false };
    let bindings = subjects.iter().flat_map(|subject| world.view.bindings_in(subject, place));
    let mut native = bindings.filter(|(key, _)| is_native(key));
    native.any(|(key, binding)| {
        let same = |role: &RoleRef| {
            role.kind == binding.role_ref.kind && role.name == binding.role_ref.name
        };
        source(world.view, key).as_ref() == Some(&object.key)
            || wanted.role_ref.as_ref().is_some_and(same)
    })
}

//! What an AgentRoleBinding means: whom, where, and whether its controller has written the native bindings.

use std::collections::BTreeSet;

use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::object::rbac::{AgentRoleBinding, RoleRef, Subject};
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, SubjectKey, subject_key};

use super::World;
use super::chain::{chain, is_native};
use super::identity::{Fault, Hop, Identity, referred, runs_as};
use crate::context::Context;
use crate::rbac::resolver::subjects_of;
use crate::rules::pf_rbac::scope;

/// The subject that the controller writes for an AgentRoleBinding in `namespace`; the error is the field that leads to nobody.
pub(super) fn subject(
    world: &World<'_>,
    namespace: &str,
    binding: &AgentRoleBinding,
) -> Result<Subject, Fault> {
    const FIELD: &str = "spec.subject";
    let name = binding.subject_name.as_str();
    let own = || (namespace.to_owned(), name.to_owned());
    let account = match binding.subject_kind.as_str() {
        "user" => return native("User", name),
        "group" | "team" => return native("Group", name),
        _ if !binding.service_account.is_empty() => {
            referred(world.view, namespace, &binding.service_account)
        }
        _ if name.is_empty() => None,
        "service-account" => referred(world.view, namespace, name),
        "agent-stack" => {
            let (namespace, name) = own();
            runs_as(world.view, &Identity::Stack { namespace, name })
        }
        "runner-pool" => {
            let (namespace, name) = own();
            runs_as(world.view, &Identity::Pool { namespace, name })
        }
        _ => None,
    };
    let account = account.ok_or(Fault::Unset(FIELD))?;
    let kind = "ServiceAccount".to_owned();
    let (namespace, name) = (account.namespace, account.name);
    Ok(Subject { kind, api_group: String::new(), namespace, name })
}

fn native(kind: &str, name: &str) -> Result<Subject, Fault> {
    if name.is_empty() {
        return Err(Fault::Unset("spec.subject.name"));
    }
    Ok(Subject {
        kind: kind.to_owned(),
        api_group: RBAC_GROUP.to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    })
}

/// Where an AgentRoleBinding gives rights; the empty name stands for all namespaces.
pub(super) fn places(
    world: &World<'_>,
    key: &ObjectKey,
    binding: &AgentRoleBinding,
) -> Result<BTreeSet<String>, String> {
    let facts = AdmissionFacts {
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
    };
    let World { view, policy, today, .. } = *world;
    scope::expand(&Context { facts: &facts, view, policy, today }, binding)
}

/// The AgentRoleBindings of a view.
fn agent_bindings<'a>(
    world: &World<'a>,
) -> impl Iterator<Item = (&'a Object, &'a AgentRoleBinding)> {
    world.view.of_kind("AgentRoleBinding").filter_map(|object| {
        let Facts::AgentRoleBinding(binding) = &object.facts else { return None };
        AGENT_GROUPS.contains(&object.key.group.as_str()).then_some((object, binding))
    })
}

/// AgentRoleBindings that mean somebody and that their controller has not acted on.
pub(super) fn unwritten(world: &World<'_>, requester: &Requester) -> Vec<Hop> {
    let spellings: Vec<SubjectKey> = subjects_of(requester).collect();
    let mut hops = Vec::new();
    for (object, binding) in agent_bindings(world) {
        let key = &object.key;
        let means = subject(world, &key.namespace, binding).ok();
        let means = means.and_then(|subject| subject_key(&subject, &key.namespace));
        if !means.is_some_and(|subject| spellings.contains(&subject)) {
            continue;
        }
        let fault = match places(world, key, binding) {
            Ok(places) => {
                let missing = |place: &String| !is_written(world, object, binding, place);
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

/// Whether some binding in a place is owned by an AgentRoleBinding, or gives its subject its role.
fn is_written(world: &World<'_>, object: &Object, wanted: &AgentRoleBinding, place: &str) -> bool {
    let Ok(subject) = subject(world, &object.key.namespace, wanted) else { return false };
    let Some(spelling) = subject_key(&subject, &object.key.namespace) else { return false };
    let mut bindings = world.view.bindings_in(&spelling, place).filter(|(key, _)| is_native(key));
    bindings.any(|(key, binding)| {
        let owned = chain(world, key, &binding.role_ref, spelling.clone()).source;
        let same = |role: &RoleRef| {
            role.kind == binding.role_ref.kind && role.name == binding.role_ref.name
        };
        owned.as_ref() == Some(&object.key) || wanted.role_ref.as_ref().is_some_and(same)
    })
}

//! What is an agent workload, and why: a pod can opt in, never out.
//!
//! Pods, and every kind with a pod template. Nothing here says what an agent workload may do.

use pinfold_model::facts::Question;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};

use crate::context::Context;
use crate::organization::namespace_key;
use crate::rbac::agents::{Agents, DEFAULT, Naming};
use crate::trust::{Scope, scope};

/// The annotation by which a workload says what it uses its Secrets for. It can only narrow: a grant of another purpose doesn't fit.
pub const PURPOSE: &str = "pinfold.dev/purpose";

/// Labels that only agents' pods carry, after the agent group and a slash. The others (`org`, `repository`, `runner-pool`, `source-kind`,
/// `source-name`) are on much else too.
const AGENT_LABELS: [&str; 5] =
    ["agent-stack", "dispatch-run", "trigger-rule", "workspace", "service-account"];

/// How far up owners are followed.
const OWNER_LEVELS_MAX: usize = 8;

/// Why something is an agent workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why<'c> {
    /// Its namespace is guarded.
    Namespace,
    /// It runs as an agent identity.
    Account(Naming<'c>),
    /// An owner, its own or further up, is an agent resource.
    Owner(ObjectKey),
    /// A label says so.
    Label(String),
}

/// Whether something is an agent workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership<'c> {
    /// It is.
    Agent(Why<'c>),
    /// As far as the view knows it isn't; these objects, which the view doesn't have, could say otherwise.
    Other(Vec<Question>),
}

/// Whether the object of a request, which makes or is this workload, is an agent workload.
#[must_use]
pub fn membership<'c>(
    context: &Context<'c>,
    object: &Object,
    workload: &Workload,
) -> Membership<'c> {
    let namespace = context.facts.target.namespace.as_str();
    let mut unknown = Vec::new();
    match scope(context, namespace) {
        Scope::Guarded => return Membership::Agent(Why::Namespace),
        Scope::Unknown => unknown.push(Question::Object(namespace_key(namespace))),
        Scope::Elsewhere | Scope::Platform => {}
    }
    if let Some(naming) = naming(context, namespace, workload) {
        return Membership::Agent(Why::Account(naming));
    }
    if let Some(label) = agent_label(object, workload) {
        return Membership::Agent(Why::Label(label.to_owned()));
    }
    match owner(context, object) {
        Ok(Some(key)) => return Membership::Agent(Why::Owner(key)),
        Ok(None) => {}
        Err(missing) => unknown.push(Question::Object(missing)),
    }
    Membership::Other(unknown)
}

/// The ServiceAccount that a workload runs as.
#[must_use]
pub fn service_account(workload: &Workload) -> &str {
    workload.placement.service_account.as_deref().unwrap_or(DEFAULT)
}

fn naming<'c>(context: &Context<'c>, namespace: &str, workload: &Workload) -> Option<Naming<'c>> {
    let agents = Agents::of(context);
    let alias = workload.placement.service_account_alias.as_deref();
    let accounts = std::iter::once(service_account(workload)).chain(alias);
    accounts.into_iter().find_map(|name| agents.naming(namespace, name))
}

fn agent_label<'o>(object: &'o Object, workload: &'o Workload) -> Option<&'o str> {
    labels(object, workload).map(|(key, _)| key).find(|key| {
        key.rsplit_once('/').is_some_and(|(group, name)| {
            AGENT_GROUPS.contains(&group) && AGENT_LABELS.contains(&name)
        })
    })
}

/// The labels of an object and of the pods that it makes.
pub(crate) fn labels<'o>(
    object: &'o Object,
    workload: &'o Workload,
) -> impl Iterator<Item = (&'o str, &'o str)> {
    let own = object.meta.labels.iter();
    let of_pods = workload.pod_labels.iter().map(|(key, value)| (key, value));
    own.chain(of_pods).map(|(key, value)| (key.as_str(), value.as_str()))
}

/// The agent resource that owns the object, followed upwards; the key of a workload on the way that the view doesn't have.
fn owner(context: &Context<'_>, object: &Object) -> Result<Option<ObjectKey>, ObjectKey> {
    let namespace = context.facts.target.namespace.as_str();
    let mut below = object;
    for _ in 0..OWNER_LEVELS_MAX {
        let agent = |group: &str| AGENT_GROUPS.contains(&group);
        if let Some(owner) = below.meta.owners.iter().find(|owner| agent(&owner.group)) {
            return Ok(Some(ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name)));
        }
        let Some(owner) = below.meta.controller() else { return Ok(None) };
        let key = ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name);
        if !key.is_workload() {
            return Ok(None);
        }
        let Some(found) = context.lookup(&key).filter(|found| found.meta.uid == owner.uid) else {
            return if context.facts.answers.live(&key).is_some() { Ok(None) } else { Err(key) };
        };
        below = found;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;

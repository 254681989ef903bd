//! What a stack is put together from: each tool profile, MCP server, skill and subagent must be there, and an MCP server must allow the stack.

use pinfold_model::object::agent::{AgentReference, RequiredObject, Requirement};
use pinfold_model::object::{Facts, ObjectKey};

use super::dispatch::Stack;
use super::{Assessment, Severity};
use crate::context::Context;
use crate::rbac::describe::{excerpt, list};

/// Kinds that give a stack something to work with.
const KINDS: [&str; 4] = ["AgentToolProfile", "AgentMcpServer", "AgentSkill", "AgentSubagent"];
/// How far capabilities are followed from a stack: a subagent's skill's MCP server.
const LEVELS_MAX: usize = 4;
/// Most capabilities of one stack.
const CAPABILITIES_MAX: usize = 256;

/// A part of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// Which.
    pub key: ObjectKey,
    /// By which object, and field of it, it is named.
    pub named_by: String,
    /// Whether it is there.
    pub found: bool,
}

/// What somebody requires: roles, Secrets and ConfigMaps.
pub(super) struct Requires<'c> {
    pub(super) key: &'c ObjectKey,
    /// The capability whose requirement it is; `None` if it is the stack's own.
    pub(super) capability: Option<ObjectKey>,
    pub(super) roles: &'c [String],
    pub(super) objects: &'c [RequiredObject],
}

pub(super) fn assess(context: &Context<'_>, stack: &Stack<'_>, found: &mut Assessment) {
    let mut level: Vec<(&ObjectKey, &AgentReference)> =
        stack.facts.ties.references.iter().map(|reference| (stack.key, reference)).collect();
    for _ in 0..LEVELS_MAX {
        let mut below = Vec::new();
        for (owner, reference) in level {
            if !KINDS.contains(&reference.kind.as_str()) {
                continue;
            }
            let key = key_of(owner, reference);
            if found.capabilities.iter().any(|known| known.key == key) {
                continue;
            }
            if found.capabilities.len() >= CAPABILITIES_MAX {
                return too_many(stack, found);
            }
            let part = context.lookup(&key);
            let named_by = format!("`{}` of {owner}", reference.path);
            found.capabilities.push(Capability {
                key: key.clone(),
                named_by: named_by.clone(),
                found: part.is_some(),
            });
            let Some(part) = part else {
                let message = format!("{named_by} names {key}, which isn't there");
                let remedy = format!("create it, or take it out of {owner}");
                found.missing(&key, message, remedy);
                continue;
            };
            let Facts::Capability(facts) = &part.facts else { continue };
            if let Some(allowed) = &facts.allowed_stacks {
                judge_allowed(stack, &part.key, allowed, found);
            }
            below.extend(facts.ties.references.iter().map(|reference| (&part.key, reference)));
        }
        level = below;
    }
}

fn too_many(stack: &Stack<'_>, found: &mut Assessment) {
    let message = format!("more than {CAPABILITIES_MAX} capabilities are behind the stack");
    let remedy = "name fewer";
    found.add(Severity::Error, stack.key, message, remedy);
}

/// An MCP server that says whom it is for serves nobody else.
fn judge_allowed(stack: &Stack<'_>, key: &ObjectKey, allowed: &[String], found: &mut Assessment) {
    let ObjectKey { namespace, name, .. } = stack.key;
    let whole = format!("{namespace}/{name}");
    let same = key.namespace == *namespace;
    if allowed.iter().any(|one| *one == whole || same && one == name) {
        return;
    }
    let listed = list(allowed.iter().map(String::as_str));
    let message = format!(
        "`spec.allowedAgentStacks` lists {}, not `{}`",
        if allowed.is_empty() { "nobody" } else { &listed },
        excerpt(name)
    );
    let remedy = format!("have its owner add the stack, or take it out of {}", stack.key);
    found.add(Severity::Error, key, message, remedy);
}

/// The object that a reference of `owner` names.
pub(super) fn key_of(owner: &ObjectKey, reference: &AgentReference) -> ObjectKey {
    let AgentReference { kind, namespace, name, .. } = reference;
    let namespace = if namespace.is_empty() { &owner.namespace } else { namespace };
    ObjectKey::new(&owner.group, kind, namespace, name)
}

/// Everybody who requires something for a stack: its capabilities, and the AgentCapabilityRequirements of it or of them.
pub(super) fn requirements<'c>(
    context: &Context<'c>,
    stack: &Stack<'_>,
    found: &Assessment,
) -> Vec<Requires<'c>> {
    let there = found.capabilities.iter().filter(|capability| capability.found);
    let mut all: Vec<Requires<'c>> = Vec::new();
    for capability in there {
        let Some(object) = context.lookup(&capability.key) else { continue };
        let Facts::Capability(facts) = &object.facts else { continue };
        let key = &object.key;
        let capability = Some(key.clone());
        all.push(Requires { key, capability, roles: &facts.roles, objects: &facts.requires });
    }
    let kind = "AgentCapabilityRequirement";
    for object in context.view.of_kind_in(kind, &stack.key.namespace) {
        let Facts::Requirement(requirement) = &object.facts else { continue };
        if is_of(requirement, &object.key, stack, found) {
            let owner = key_of(&object.key, &requirement.owner);
            let capability = KINDS.contains(&owner.kind.as_str()).then_some(owner);
            let (roles, objects) = (&requirement.roles, &requirement.requires);
            all.push(Requires { key: &object.key, capability, roles, objects });
        }
    }
    all.sort_by_key(|requires| requires.key);
    all
}

fn is_of(
    requirement: &Requirement,
    key: &ObjectKey,
    stack: &Stack<'_>,
    found: &Assessment,
) -> bool {
    let owner = key_of(key, &requirement.owner);
    let is = |other: &ObjectKey| {
        other.kind == owner.kind && other.namespace == owner.namespace && other.name == owner.name
    };
    is(stack.key) || found.capabilities.iter().any(|capability| is(&capability.key))
}

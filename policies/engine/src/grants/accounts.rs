//! Which AgentStacks run as a ServiceAccount: those that name it, and those that name an AgentServiceAccount that stands for it.
//!
//! Tenants write stacks, so who runs as an account may narrow what its work gets, and give it something only where there is no doubt.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::object::agent::{AgentServiceAccount, AgentStack};
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};

use super::lookup;
use crate::explain::World;
use crate::organization::{Ownership, namespace_key, ownership_by};

/// Most records of one ServiceAccount, and most of one AgentServiceAccount, that are looked at; beyond nobody can tell.
pub(crate) const RECORDS_MAX: usize = 64;

/// The stacks of a ServiceAccount.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountStacks<'c> {
    /// Those of its namespace and of the others of its organization, in order.
    pub(super) all: Vec<(&'c ObjectKey, &'c AgentStack)>,
    /// There are more than are looked at.
    pub(super) too_many: bool,
}

/// The stacks that run, or could run, as a ServiceAccount.
pub(crate) fn stacks_of<'c>(
    world: &World<'c>,
    (namespace, account): (&str, &str),
) -> AccountStacks<'c> {
    let mut names = vec![(namespace.to_owned(), account.to_owned())];
    let mut too_many = false;
    let records = world.view.agent_records(namespace, account);
    for (at, key) in records.filter(|key| key.kind == "AgentServiceAccount").enumerate() {
        too_many |= at >= RECORDS_MAX;
        if !too_many {
            names.push((key.namespace.clone(), key.name.clone()));
        }
    }
    names.sort_unstable();
    names.dedup();
    let mut found = AccountStacks { too_many, ..AccountStacks::default() };
    let own = owner(world, namespace);
    for (place, name) in &names {
        let stacks = world.view.agent_records(place, name).filter(|key| key.kind == "AgentStack");
        let of_organization = |key: &&ObjectKey| {
            let same = || own.organization().is_some() && owner(world, &key.namespace) == own;
            key.namespace == namespace || same()
        };
        for key in stacks.filter(of_organization) {
            if found.all.len() >= RECORDS_MAX {
                found.too_many = true;
                break;
            }
            found.all.extend(stack(world, key));
        }
    }
    found.all.sort_by(|left, right| left.0.cmp(right.0));
    found.all.dedup_by(|left, right| left.0 == right.0);
    found
}

/// The stacks beside a ServiceAccount that run, or could run, as it; `None` if there are more than are looked at. Neither stacks nor
/// AgentServiceAccounts of other namespaces count: by them a stranger could take everything from its work.
pub(crate) fn stacks_beside<'c>(
    world: &World<'c>,
    (namespace, account): (&str, &str),
) -> Option<Vec<(&'c ObjectKey, &'c AgentStack)>> {
    let records = |name: &str, kind: &'static str| {
        let records = world.view.agent_records(namespace, name);
        records.filter(move |key| key.namespace == namespace && key.kind == kind)
    };
    let identities = records(account, "AgentServiceAccount").map(|key| key.name.as_str());
    let mut names: BTreeSet<&str> = identities.take(RECORDS_MAX.saturating_add(1)).collect();
    if names.len() > RECORDS_MAX {
        return None;
    }
    names.insert(account);
    let mut found = BTreeMap::new();
    for key in names.into_iter().flat_map(|name| records(name, "AgentStack")) {
        if found.len() >= RECORDS_MAX {
            return None;
        }
        found.extend(stack(world, key));
    }
    Some(found.into_iter().collect())
}

impl<'c> AccountStacks<'c> {
    /// The one stack beside the ServiceAccount that surely runs as it. One elsewhere narrows alone: its writer may be a stranger here.
    pub(crate) fn only(
        &self,
        world: &World<'c>,
        (namespace, account): (&str, &str),
    ) -> Option<&'c str> {
        let mut own = self.all.iter().filter(|(key, _)| key.namespace == namespace);
        let ((key, stack), None) = (own.next()?, own.next()) else { return None };
        let surely = !self.too_many && surely(world, key, stack, (namespace, account));
        surely.then_some(key.name.as_str())
    }
}

/// Whether a stack can mean no other ServiceAccount: an AgentServiceAccount of the name that it gives wins over a ServiceAccount.
fn surely(world: &World<'_>, key: &ObjectKey, stack: &AgentStack, account: (&str, &str)) -> bool {
    let named = stack.service_account.as_str();
    let (place, name) = named.split_once('/').unwrap_or((&key.namespace, named));
    let mut records = identities(world, place, name).peekable();
    if records.peek().is_none() {
        return (place, name) == account;
    }
    records.all(|record| (record.namespace.as_str(), record.service_account.as_str()) == account)
}

/// The AgentServiceAccounts of a name, in either group.
pub(super) fn identities<'c>(
    world: &World<'c>,
    namespace: &str,
    name: &str,
) -> impl Iterator<Item = &'c AgentServiceAccount> {
    let keys =
        AGENT_GROUPS.map(|group| ObjectKey::new(group, "AgentServiceAccount", namespace, name));
    keys.into_iter().filter_map(|key| {
        let Facts::AgentServiceAccount(record) = &lookup(world, &key)?.facts else { return None };
        Some(record.as_ref())
    })
}

fn stack<'c>(world: &World<'c>, key: &'c ObjectKey) -> Option<(&'c ObjectKey, &'c AgentStack)> {
    let object = lookup(world, key)?;
    let Facts::AgentStack(stack) = &object.facts else { return None };
    Some((&object.key, stack.as_ref()))
}

fn owner(world: &World<'_>, namespace: &str) -> Ownership {
    let object = lookup(world, &namespace_key(namespace));
    ownership_by(world.view, world.policy, object, namespace)
}

//! Who may do something: every subject of every binding that gives it, with the chains, and the agent identities behind the subjects.

use std::collections::BTreeMap;

use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::snapshot::{SubjectKey, subject_key};

use super::World;
use super::asked::{Asked, Scope};
use super::chain::{Chain, chain, is_native, order};
use super::what_can::namings;
use crate::rbac::agents::{
    ALL_ACCOUNTS, AUTHENTICATED, Account, NAMESPACE_GROUP, Naming, account_of_user,
};
use crate::rbac::resolver::Unresolved;

/// How many agent identities of one group are named.
const MAX_MEMBERS: usize = 256;

/// Who may.
#[derive(Debug, Clone)]
pub struct WhoCan<'a> {
    /// Every subject, by kind, namespace and name. Members of `system:masters` always may, and are not among them unless bound too.
    pub subjects: Vec<Able<'a>>,
    /// Bindings whose role can't be resolved: nobody can tell what they would give.
    pub unresolved: Vec<(&'a ObjectKey, Unresolved)>,
}

/// A subject that may.
#[derive(Debug, Clone)]
pub struct Able<'a> {
    /// Who.
    pub subject: SubjectKey,
    /// By which chains, each with the rules that allow it and no others.
    pub chains: Vec<Chain<'a>>,
    /// The agent identities that it is or that are in it.
    pub agents: Vec<AgentIdentity<'a>>,
    /// How many more agent identities are in it than are named.
    pub further: usize,
    /// Whether accounts that a pattern of the policy names, and that may not exist yet, would be in it.
    pub by_pattern: bool,
}

/// An agent identity and why it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity<'a> {
    /// The ServiceAccount.
    pub account: Account,
    /// What makes it one.
    pub because: Vec<Naming<'a>>,
}

impl Able<'_> {
    /// Whether an agent identity is it, or is or could be in it.
    #[must_use]
    pub fn reaches_agents(&self) -> bool {
        !self.agents.is_empty() || self.by_pattern
    }
}

/// Who may do something.
#[must_use]
pub fn who_can<'a>(world: &World<'a>, asked: &Asked, scope: &Scope) -> WhoCan<'a> {
    let mut able: BTreeMap<(u8, String, String), (SubjectKey, Vec<Chain<'a>>)> = BTreeMap::new();
    let mut unresolved = Vec::new();
    for object in world.view.iter() {
        let (key, Facts::Binding(binding)) = (&object.key, &object.facts) else { continue };
        if !is_native(key) || !counts(&key.namespace, asked, scope) {
            continue;
        }
        // The spelling is put in below.
        let nobody = SubjectKey::Group(String::new());
        let mut found = chain(world, key, &binding.role_ref, nobody);
        match &mut found.rights {
            Ok(rights) => rights.retain(|right| asked.allowed_by(right.rule, &key.namespace)),
            Err(why) => {
                unresolved.push((key, why.clone()));
                continue;
            }
        }
        if found.rights.as_ref().is_ok_and(Vec::is_empty) {
            continue;
        }
        for subject in binding.subjects.iter() {
            let Some(spelling) = subject_key(subject, &key.namespace) else { continue };
            let (_, chains) =
                able.entry(order(&spelling)).or_insert_with(|| (spelling.clone(), Vec::new()));
            if !chains.iter().any(|chain| chain.binding == key) {
                chains.push(Chain { spelling, ..found.clone() });
            }
        }
    }
    unresolved.sort_by_key(|(key, _)| *key);
    let subjects = able.into_values().map(|(subject, chains)| of(world, subject, chains));
    WhoCan { subjects: subjects.collect(), unresolved }
}

/// Whether bindings in a place count for the question.
fn counts(place: &str, asked: &Asked, scope: &Scope) -> bool {
    place.is_empty()
        || match scope {
            Scope::Anywhere => !asked.is_cluster_scoped(),
            Scope::Namespace(namespace) => place == namespace,
        }
}

fn of<'a>(world: &World<'a>, subject: SubjectKey, mut chains: Vec<Chain<'a>>) -> Able<'a> {
    chains.sort_by_key(|chain| chain.binding);
    let Members { agents, further, by_pattern } = members(world, &subject);
    if !agents.is_empty() || by_pattern {
        chains.iter_mut().for_each(|chain| super::ceiling::mark(world, chain));
    }
    Able { subject, chains, agents, further, by_pattern }
}

/// The agent identities behind a subject.
pub(super) struct Members<'a> {
    pub(super) agents: Vec<AgentIdentity<'a>>,
    pub(super) further: usize,
    pub(super) by_pattern: bool,
}

/// The agent identities that a subject is, or that are in it.
pub(super) fn members<'a>(world: &World<'a>, subject: &SubjectKey) -> Members<'a> {
    let mut found = Members { agents: Vec::new(), further: 0, by_pattern: false };
    let mut accounts = match subject {
        SubjectKey::ServiceAccount(namespace, name) => {
            vec![(namespace.clone(), name.clone())]
        }
        SubjectKey::User(user) => account_of_user(user)
            .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
        SubjectKey::Group(group) => {
            found.by_pattern = is_open_to_patterns(world, group);
            in_group(world, group)
        }
    };
    accounts.sort();
    accounts.dedup();
    for (namespace, name) in accounts {
        let account = Account { namespace, name };
        let because = namings(world, &account);
        if because.is_empty() {
            continue;
        }
        if found.agents.len() < MAX_MEMBERS {
            found.agents.push(AgentIdentity { account, because });
        } else {
            found.further = found.further.saturating_add(1);
        }
    }
    found
}

/// The namespace of a group that ServiceAccounts are in; empty for all.
fn place_of(group: &str) -> Option<&str> {
    match group {
        ALL_ACCOUNTS | AUTHENTICATED => Some(""),
        group => group.strip_prefix(NAMESPACE_GROUP),
    }
}

/// Accounts in a group that might be agent identities: those that records name, and those that exist.
fn in_group(world: &World<'_>, group: &str) -> Vec<(String, String)> {
    let Some(place) = place_of(group) else { return Vec::new() };
    let inside = |namespace: &str| place.is_empty() || place == namespace;
    let own = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
    let named = world.view.agents().filter(|(namespace, _)| inside(namespace));
    let mut accounts: Vec<_> = named.map(|(namespace, name)| own(namespace, name)).collect();
    if !world.policy.agents.service_accounts.is_empty() {
        let is_account = |key: &&ObjectKey| key.group.is_empty() && key.kind == "ServiceAccount";
        let keys = world.view.iter().map(|object| &object.key).filter(is_account);
        let keys = keys.filter(|key| inside(&key.namespace));
        accounts.extend(keys.map(|key| own(&key.namespace, &key.name)));
    }
    accounts
}

/// Whether a pattern of the policy could name an account of a group, now or later.
fn is_open_to_patterns(world: &World<'_>, group: &str) -> bool {
    let Some(place) = place_of(group) else { return false };
    let patterns = &world.policy.agents.service_accounts;
    patterns.iter().any(|pattern| place.is_empty() || pattern.could_begin(&format!("{place}/")))
}

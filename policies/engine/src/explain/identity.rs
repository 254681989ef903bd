//! From what a user names (a stack, a pool, a ServiceAccount, a user) to the identity that bindings can mean, hop by hop.

use std::fmt;

use pinfold_model::facts::Requester;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};
use pinfold_model::snapshot::Snapshot;

use crate::organization::namespace_key;
use crate::rbac::agents::{ALL_ACCOUNTS, AUTHENTICATED, Account};
use crate::rbac::describe::excerpt;

/// Who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A ServiceAccount.
    Account(Account),
    /// An AgentStack, for the ServiceAccount that it runs as.
    Stack {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A RunnerPool, for the ServiceAccount of its runners.
    Pool {
        /// Namespace; empty for a cluster-scoped one.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A user, or with an empty name the members of some groups.
    Principal(Requester),
}

/// One step of the way from what was named to a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The object at this step.
    pub object: ObjectKey,
    /// The field by which it leads on, and its value; empty at the end.
    pub leads: String,
    /// Why the way ends here.
    pub fault: Option<Fault>,
}

impl Hop {
    /// Whether something that should be there is missing, so that the answer may be less than was meant. That nothing is bound is an answer.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| *fault != Fault::Unbound)
    }
}

/// Why a chain is broken at an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such object.
    Absent,
    /// A field that should lead on is empty.
    Unset(&'static str),
    /// No binding names the identity, in any spelling.
    Unbound,
    /// The controller has not written what this AgentRoleBinding asks for in these places (empty: cluster-wide).
    Unwritten(Vec<String>),
    /// It can't be told where an AgentRoleBinding gives rights.
    Scope(String),
    /// The role that a binding names is of no kind that can be bound there.
    RoleKind,
    /// It aggregates too many roles to tell.
    TooLarge,
    /// The role has no rules that count where the binding is.
    Empty,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("there is no such object"),
            Self::Unset(field) => write!(formatter, "`{field}` is not set"),
            Self::Unbound => formatter.write_str("no binding names it, in any spelling"),
            Self::Unwritten(places) => {
                formatter.write_str("its controller has written no binding ")?;
                let places: Vec<String> =
                    places.iter().map(|place| crate::rbac::describe::place(place)).collect();
                formatter.write_str(&places.join(", "))
            }
            Self::Scope(why) => write!(formatter, "cannot tell where it gives rights: {why}"),
            Self::RoleKind => formatter.write_str("no role of that kind can be bound there"),
            Self::TooLarge => formatter.write_str("it aggregates too many roles to tell"),
            Self::Empty => formatter.write_str("it gives nothing there"),
        }
    }
}

/// What a ServiceAccount is to the authorizer: its user name and its groups.
#[must_use]
pub fn requester_of(account: &Account) -> Requester {
    let Account { namespace, name } = account;
    Requester {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        groups: vec![
            format!("{ALL_ACCOUNTS}:{namespace}"),
            ALL_ACCOUNTS.to_owned(),
            AUTHENTICATED.to_owned(),
        ],
        ..Requester::default()
    }
}

/// The way from what was named to an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Who it leads to; `None` if it is broken before.
    pub(crate) requester: Option<Requester>,
    pub(crate) account: Option<Account>,
    pub(crate) hops: Vec<Hop>,
}

/// Follows an identity to whom bindings can name.
pub(crate) fn follow(view: &Snapshot, identity: &Identity) -> Way {
    let mut way = Way { requester: None, account: None, hops: Vec::new() };
    let account = match identity {
        Identity::Principal(requester) => {
            way.requester = Some(requester.clone());
            way.account =
                requester.service_account().map(|(namespace, name)| account(namespace, name));
            way.account.clone()
        }
        Identity::Account(account) => Some(account.clone()),
        Identity::Stack { namespace, name } => stack(view, namespace, name, &mut way.hops),
        Identity::Pool { namespace, name } => pool(view, namespace, name, &mut way.hops),
    };
    if let Some(account) = account {
        end(view, &account, &mut way.hops);
        way.requester.get_or_insert_with(|| requester_of(&account));
        way.account = Some(account);
    }
    way
}

fn account(namespace: &str, name: &str) -> Account {
    Account { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// An object of the agent control plane, in whichever of its groups it is.
pub(super) fn agent_object<'a>(
    view: &'a Snapshot,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Option<&'a Object> {
    let key = |group: &&str| ObjectKey::new(group, kind, namespace, name);
    AGENT_GROUPS.iter().find_map(|group| view.get(&key(group)))
}

fn stack(view: &Snapshot, namespace: &str, name: &str, hops: &mut Vec<Hop>) -> Option<Account> {
    const FIELD: &str = "spec.runtimeIdentity.serviceAccountRef";
    let found = agent_object(view, "AgentStack", namespace, name);
    let Some(object) = found else {
        hops.push(absent(ObjectKey::new(AGENT_GROUPS[0], "AgentStack", namespace, name)));
        return None;
    };
    let Facts::AgentStack(stack) = &object.facts else { return None };
    named(view, (object, FIELD, &stack.service_account), hops)
}

fn pool(view: &Snapshot, namespace: &str, name: &str, hops: &mut Vec<Hop>) -> Option<Account> {
    const FIELD: &str = "spec.serviceAccountRef";
    let found = agent_object(view, "RunnerPool", namespace, name)
        .or_else(|| agent_object(view, "RunnerPool", "", name));
    let Some(object) = found else {
        hops.push(absent(ObjectKey::new(AGENT_GROUPS[0], "RunnerPool", namespace, name)));
        return None;
    };
    let Facts::RunnerPool(pool) = &object.facts else { return None };
    named(view, (object, FIELD, &pool.service_account), hops)
}

/// From the field of an object that names an account to that account.
fn named(
    view: &Snapshot,
    (object, field, value): (&Object, &'static str, &str),
    hops: &mut Vec<Hop>,
) -> Option<Account> {
    let key = object.key.clone();
    if value.is_empty() {
        hops.push(Hop { object: key, leads: String::new(), fault: Some(Fault::Unset(field)) });
        return None;
    }
    let namespace = key.namespace.clone();
    hops.push(Hop { object: key, leads: format!("{field}: {}", excerpt(value)), fault: None });
    refer(view, &namespace, value, hops)
}

/// What a reference of an agent resource in `namespace` to an account means: an AgentServiceAccount beside it, else a ServiceAccount, there or
/// as `namespace/name`.
fn refer(view: &Snapshot, namespace: &str, value: &str, hops: &mut Vec<Hop>) -> Option<Account> {
    const FIELD: &str = "spec.serviceAccountName";
    let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
    let Some(object) = agent_object(view, "AgentServiceAccount", namespace, name) else {
        return Some(account(namespace, name));
    };
    let Facts::AgentServiceAccount(record) = &object.facts else { return None };
    let key = object.key.clone();
    if record.service_account.is_empty() {
        hops.push(Hop { object: key, leads: String::new(), fault: Some(Fault::Unset(FIELD)) });
        return None;
    }
    let account = account(&record.namespace, &record.service_account);
    let leads = format!("{FIELD}: {}/{}", account.namespace, excerpt(&account.name));
    hops.push(Hop { object: key, leads, fault: None });
    Some(account)
}

/// The account itself, and the namespace that it is in.
fn end(view: &Snapshot, account: &Account, hops: &mut Vec<Hop>) {
    let Account { namespace, name } = account;
    let place = namespace_key(namespace);
    if view.get(&place).is_none() {
        hops.push(absent(place));
    }
    let key = ObjectKey::new("", "ServiceAccount", namespace, name);
    let fault = view.get(&key).is_none().then_some(Fault::Absent);
    hops.push(Hop { object: key, leads: String::new(), fault });
}

fn absent(object: ObjectKey) -> Hop {
    Hop { object, leads: String::new(), fault: Some(Fault::Absent) }
}

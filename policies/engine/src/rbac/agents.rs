//! Who is an agent identity, in every spelling that a binding can use: ServiceAccount, User, and the groups that the API server puts
//! every ServiceAccount into; and whoever doesn't say who they are.
//!
//! A ServiceAccount is one because an AgentServiceAccount, an AgentStack or an untrusted RunnerPool names it, or a pattern of the policy, or because
//! it is what pods of a guarded namespace run as that name none.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::Subject;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{Snapshot, SubjectKey, subject_key};

use crate::context::Context;

/// Every ServiceAccount is in it (apiserver `serviceaccount.AllServiceAccountsGroup`).
pub const ALL_ACCOUNTS: &str = "system:serviceaccounts";
/// Everybody who is known is in it.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everybody is in it who doesn't say who they are, so every agent that leaves its token at home.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Their user name.
pub const ANONYMOUS: &str = "system:anonymous";
/// What pods run as that name no ServiceAccount.
pub const DEFAULT: &str = "default";
/// User names of ServiceAccounts begin so.
const ACCOUNT_USER: &str = "system:serviceaccount:";
/// Groups of the ServiceAccounts of one namespace begin so.
pub(crate) const NAMESPACE_GROUP: &str = "system:serviceaccounts:";

/// Why a ServiceAccount is an agent identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming<'a> {
    /// An object names it.
    Record(&'a ObjectKey),
    /// `agents.serviceAccounts` of the policy does.
    Pattern,
    /// It is [`DEFAULT`] in a guarded namespace, where all pods are agents'.
    Guarded,
}

/// A ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What a subject reaches of the agent identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Exactly this one.
    One(Account),
    /// A group that this one is in, perhaps among others.
    Group(Account),
    /// A group that any that a pattern of the policy names would be in, now or later.
    Pattern,
}

/// Knows the agent identities of a view.
#[derive(Debug, Clone, Copy)]
pub struct Agents<'a> {
    view: &'a Snapshot,
    policy: &'a AdmissionPolicy,
}

impl<'a> Agents<'a> {
    /// Reads this view and policy.
    #[must_use]
    pub fn new(view: &'a Snapshot, policy: &'a AdmissionPolicy) -> Self {
        Self { view, policy }
    }

    /// Those of a request.
    #[must_use]
    pub fn of(context: &Context<'a>) -> Self {
        Self::new(context.view, context.policy)
    }

    /// Why a ServiceAccount is an agent identity; `None` if it isn't.
    #[must_use]
    pub fn naming(&self, namespace: &str, name: &str) -> Option<Naming<'a>> {
        let record = self.view.agent_records(namespace, name).min().map(Naming::Record);
        record
            .or_else(|| self.matches(namespace, name).then_some(Naming::Pattern))
            .or_else(|| (name == DEFAULT && self.guards(namespace)).then_some(Naming::Guarded))
    }

    /// Whether a user name is that of an agent identity.
    #[must_use]
    pub fn is_agent(&self, user: &str) -> bool {
        account_of_user(user)
            .is_some_and(|(namespace, name)| self.naming(namespace, name).is_some())
    }

    /// Whether a namespace is guarded, as far as the view knows.
    pub(crate) fn guards(&self, namespace: &str) -> bool {
        let found = self.view.get(&ObjectKey::new("", "Namespace", "", namespace));
        found.is_some_and(|found| self.policy.agents.guards(&found.meta.labels))
    }

    /// The guarded namespaces.
    pub(crate) fn guarded(&self) -> impl Iterator<Item = &'a str> {
        let policy = self.policy;
        let namespaces =
            self.view.of_kind("Namespace").filter(|object| object.key.group.is_empty());
        namespaces
            .filter(|object| policy.agents.guards(&object.meta.labels))
            .map(|object| object.key.name.as_str())
    }

    fn matches(&self, namespace: &str, name: &str) -> bool {
        let patterns = &self.policy.agents.service_accounts;
        let whole = || format!("{namespace}/{name}");
        !patterns.is_empty() && {
            let whole = whole();
            patterns.iter().any(|pattern| pattern.matches(&whole))
        }
    }

    /// What a subject of a binding in `namespace` (empty for a ClusterRoleBinding) reaches; `None` if no agent identity.
    #[must_use]
    pub fn reached(&self, subject: &Subject, namespace: &str) -> Option<Reach> {
        match subject_key(subject, namespace)? {
            SubjectKey::ServiceAccount(namespace, name) => self.one(&namespace, &name),
            SubjectKey::User(user) if user == ANONYMOUS => self.in_group(UNAUTHENTICATED),
            SubjectKey::User(user) => {
                let (namespace, name) = account_of_user(&user)?;
                self.one(namespace, name)
            }
            SubjectKey::Group(group) => self.in_group(&group),
        }
    }

    fn one(&self, namespace: &str, name: &str) -> Option<Reach> {
        self.naming(namespace, name)?;
        Some(Reach::One(Account { namespace: namespace.to_owned(), name: name.to_owned() }))
    }

    fn in_group(&self, group: &str) -> Option<Reach> {
        let place = match group {
            ALL_ACCOUNTS | AUTHENTICATED | UNAUTHENTICATED => None,
            group => Some(group.strip_prefix(NAMESPACE_GROUP)?),
        };
        if let Some((namespace, name)) = self.view.first_agent(place) {
            let account = Account { namespace: namespace.to_owned(), name: name.to_owned() };
            return Some(Reach::Group(account));
        }
        let guarded = match place {
            Some(place) => self.guards(place).then_some(place),
            None => self.guarded().min(),
        };
        if let Some(namespace) = guarded {
            let (namespace, name) = (namespace.to_owned(), DEFAULT.to_owned());
            return Some(Reach::Group(Account { namespace, name }));
        }
        let possible = |pattern: &pinfold_model::pattern::Pattern| {
            place.is_none_or(|place| pattern.could_begin(&format!("{place}/")))
        };
        let patterns = &self.policy.agents.service_accounts;
        patterns.iter().any(possible).then_some(Reach::Pattern)
    }
}

/// Namespace and name of a user name that is a ServiceAccount's.
#[must_use]
pub fn account_of_user(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(ACCOUNT_USER)?.split_once(':')
}

/// Every subject that a binding can name a ServiceAccount by, with or without its token.
#[must_use]
pub fn spellings(account: &Account) -> [SubjectKey; 7] {
    let Account { namespace, name } = account;
    [
        SubjectKey::ServiceAccount(namespace.clone(), name.clone()),
        SubjectKey::User(format!("{ACCOUNT_USER}{namespace}:{name}")),
        SubjectKey::Group(format!("{NAMESPACE_GROUP}{namespace}")),
        SubjectKey::Group(ALL_ACCOUNTS.to_owned()),
        SubjectKey::Group(AUTHENTICATED.to_owned()),
        SubjectKey::Group(UNAUTHENTICATED.to_owned()),
        SubjectKey::User(ANONYMOUS.to_owned()),
    ]
}

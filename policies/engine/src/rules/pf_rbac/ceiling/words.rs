//! How findings about agent identities read: who would hold what where, through what, and what denies it.

use std::collections::BTreeMap;
use std::fmt;

use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{RoleRef, Subject};
use pinfold_model::snapshot::SubjectKey;

use super::{DANGER, role_name};
use crate::context::Found;
use crate::rbac::agents::{Account, Agents, Naming, Reach};
use crate::rbac::ceiling::{Breach, Denier, MAX_TOLD, rights_of};
use crate::rbac::describe::{excerpt, place as in_place};
use crate::rbac::effective::Gives;
use crate::rbac::resolver::Unresolved;

pub(in super::super) use crate::rbac::describe::excerpt as plain;

/// An agent identity, and under what other name it is meant.
#[derive(Debug, Clone)]
pub(in super::super) struct Who {
    /// "ServiceAccount `acme/coder` (named by AgentServiceAccount `acme/x`)".
    pub(in super::super) identity: String,
    /// "Group `system:serviceaccounts`"; empty if the ServiceAccount itself is meant.
    pub(in super::super) spelling: String,
}

impl Who {
    pub(in super::super) fn of_subject(
        agents: &Agents<'_>,
        subject: &Subject,
        reach: Reach,
    ) -> Self {
        let spelling = match subject.kind.as_str() {
            "ServiceAccount" => String::new(),
            kind => format!("{} `{}`", excerpt(kind), excerpt(&subject.name)),
        };
        let identity = match reach {
            Reach::One(account) | Reach::Group(account) => identity(agents, &account),
            Reach::Pattern => {
                "every ServiceAccount in it that `agents.serviceAccounts` names".to_owned()
            }
        };
        Self { identity, spelling }
    }
}

impl Who {
    /// " through Group `g`, RoleBinding `acme/x`"; empty without any step.
    pub(in super::super) fn through(&self, chain: &str) -> String {
        let steps = [self.spelling.as_str(), chain];
        let steps: Vec<&str> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        if steps.is_empty() { String::new() } else { format!(" through {}", steps.join(", ")) }
    }
}

/// An agent identity with what names it.
pub(super) fn identity(agents: &Agents<'_>, account: &Account) -> String {
    let Account { namespace, name } = account;
    format!(
        "ServiceAccount `{}/{}` ({})",
        excerpt(namespace),
        excerpt(name),
        naming(agents, account)
    )
}

/// What names an agent identity.
pub(super) fn naming(agents: &Agents<'_>, account: &Account) -> String {
    match agents.naming(&account.namespace, &account.name) {
        Some(Naming::Record(key)) => format!("named by {}", object_name(key)),
        Some(Naming::Pattern) => "named by `agents.serviceAccounts`".to_owned(),
        Some(Naming::Guarded) => {
            "which pods of this guarded namespace run as that name none".to_owned()
        }
        None => "no agent identity".to_owned(),
    }
}

/// Under what name a binding means a ServiceAccount; empty if by its own.
pub(super) fn spelling(subject: &SubjectKey) -> String {
    match subject {
        SubjectKey::ServiceAccount(..) => String::new(),
        SubjectKey::User(name) => format!("User `{}`", excerpt(name)),
        SubjectKey::Group(name) => format!("Group `{}`", excerpt(name)),
    }
}

/// "RoleBinding `acme/x`".
pub(in super::super) fn object_name(key: &ObjectKey) -> String {
    let ObjectKey { kind, namespace, name, .. } = key;
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} `{}{slash}{}`", excerpt(kind), excerpt(namespace), excerpt(name))
}

/// By what a right reaches an identity: "RoleBinding `acme/x`, ClusterRole `edit`, which takes in ClusterRole `y`".
pub(in super::super) struct Chain {
    pub(in super::super) steps: Vec<String>,
    pub(in super::super) takes_in: Option<String>,
}

impl Chain {
    /// The role of a binding, and the role that it takes in, if the right comes from one.
    pub(in super::super) fn of(role: &RoleRef, gives: &Gives<'_>, breach: &Breach<'_>) -> Self {
        let given = gives.rules.get(breach.rule);
        let takes_in = given.and_then(|given| given.from).map(object_name);
        Self { steps: vec![role_name(role)], takes_in }
    }

    /// With a step before the others.
    pub(in super::super) fn behind(mut self, step: String) -> Self {
        self.steps.insert(0, step);
        self
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.steps.join(", "))?;
        match &self.takes_in {
            Some(role) => write!(formatter, ", which takes in {role}"),
            None => Ok(()),
        }
    }
}

/// Where and of whom a breach is told.
pub(in super::super) struct Telling<'t> {
    /// Who would hold the right.
    pub(in super::super) who: &'t Who,
    /// Where; empty for cluster-wide.
    pub(in super::super) place: &'t str,
    /// The field at fault.
    pub(in super::super) path: &'t dyn Fn(&Breach<'_>) -> String,
    /// By what the right would reach the identity.
    pub(in super::super) chain: &'t dyn Fn(&Breach<'_>) -> String,
}

impl Telling<'_> {
    /// One finding for all breaches of a ceiling, at the first.
    pub(in super::super) fn ceiling(
        &self,
        rule: &RuleId,
        breaches: &[Breach<'_>],
        remedy: &str,
        found: &mut Found,
    ) {
        let Some(first) = breaches.first() else { return };
        let Some(message) = self.beyond("would hold", breaches) else { return };
        found.add(rule.clone(), (self.path)(first), message, remedy);
    }

    /// Who `holds`, or would hold, what beyond the ceiling; `None` if nothing.
    pub(in super::super) fn beyond(&self, holds: &str, breaches: &[Breach<'_>]) -> Option<String> {
        let first = breaches.first()?;
        let (rights, place) = (rights_of(breaches), in_place(self.place));
        let (denies, through) = (first.by.ceiling(), self.through(first));
        let identity = &self.who.identity;
        Some(format!("{identity} {holds} {rights} {place}{through}; {denies} denies it"))
    }

    /// One finding of PF-RBAC-007 for each field at fault.
    pub(in super::super) fn dangers(&self, dangers: &[Breach<'_>], found: &mut Found) {
        let mut by_path: BTreeMap<String, Vec<&Breach<'_>>> = BTreeMap::new();
        for danger in dangers {
            by_path.entry((self.path)(danger)).or_default().push(danger);
        }
        for (path, dangers) in by_path {
            let Some(first) = dangers.first() else { continue };
            let told: Vec<String> =
                dangers.iter().take(MAX_TOLD).map(|one| leads_to(one)).collect();
            let more = if dangers.len() > MAX_TOLD { "; and more" } else { "" };
            let (told, place) = (told.join("; "), in_place(self.place));
            let (identity, through) = (&self.who.identity, self.through(first));
            let message =
                format!("{identity} would hold {place}{through} what leads further: {told}{more}");
            found.add(DANGER, path, message, REMEDY_DANGER);
        }
    }

    fn through(&self, breach: &Breach<'_>) -> String {
        self.who.through(&(self.chain)(breach))
    }
}

const REMEDY_DANGER: &str =
    "give the agent a role without it; have a person or a controller do what it is for";

/// "`list` on `secrets` reads every Secret".
fn leads_to(danger: &Breach<'_>) -> String {
    let right = danger.right();
    match danger.by {
        Denier::Danger(line) => format!("{right} {}", line.leads_to),
        Denier::Entry(..) => right,
    }
}

/// What would be accepted instead of a breach.
pub(in super::super) fn remedy(breaches: &[Breach<'_>]) -> String {
    let Some(first) = breaches.first() else { return String::new() };
    let what = match first.by {
        Denier::Danger(_) => String::new(),
        Denier::Entry(ceiling, _) => {
            format!(", or change ceiling `{}` in the policy", excerpt(&ceiling.name))
        }
    };
    format!("give the agent a role without {}{what}", rights_of(breaches))
}

/// Why a role can't be judged for an identity, and the fix.
pub(in super::super) fn unresolved(
    why: &Unresolved,
    role: &RoleRef,
    place: &str,
    who: &Who,
) -> (String, &'static str) {
    let role = role_name(role);
    let (reason, remedy) = match why {
        Unresolved::Kind => (
            format!("a binding {} can't name {role}", in_place(place)),
            "name a ClusterRole, or a Role of the binding's namespace",
        ),
        Unresolved::Absent(_) => {
            (format!("there is no {role}"), "create the role first, then bind it")
        }
        Unresolved::TooLarge(_) => {
            (format!("{role} aggregates too many roles"), "bind a role that aggregates fewer roles")
        }
    };
    let identity = &who.identity;
    (format!("cannot tell whether {identity} stays below its ceiling: {reason}"), remedy)
}

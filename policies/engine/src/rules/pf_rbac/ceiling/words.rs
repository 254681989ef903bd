//! How findings about agent identities read: who would hold what where, through what, and what denies it.

use std::fmt;

use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{RoleRef, Subject};

use super::{DANGER, role_name};
use crate::context::Found;
use crate::rbac::agents::{Account, Agents, Naming, Reach};
use crate::rbac::ceiling::{Breach, Denier, rights_of};
use crate::rbac::describe::{excerpt, place as in_place};
use crate::rbac::effective::Gives;
use crate::rbac::resolver::Unresolved;

pub(in super::super) use crate::rbac::describe::excerpt as plain;

/// An agent identity, and under what other name it is meant.
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

/// An agent identity with what names it.
pub(in super::super) fn identity(agents: &Agents<'_>, account: &Account) -> String {
    let Account { namespace, name } = account;
    let named = match agents.naming(namespace, name) {
        Some(Naming::Record(key)) => format!(" (named by {})", object_name(key)),
        Some(Naming::Pattern) => " (named by `agents.serviceAccounts`)".to_owned(),
        None => String::new(),
    };
    format!("ServiceAccount `{}/{}`{named}", excerpt(namespace), excerpt(name))
}

/// "RoleBinding `acme/x`".
pub(in super::super) fn object_name(key: &ObjectKey) -> String {
    let ObjectKey { kind, namespace, name, .. } = key;
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} `{}{slash}{}`", excerpt(kind), excerpt(namespace), excerpt(name))
}

/// By what a right reaches an identity: "RoleBinding `acme/x`, ClusterRole `edit`, which takes in ClusterRole `y`".
#[derive(Default)]
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

    pub(in super::super) fn before(mut self, step: String) -> Self {
        if !step.is_empty() {
            self.steps.insert(0, step);
        }
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
        found: &mut Found,
    ) {
        let Some(first) = breaches.first() else { return };
        let (rights, place) = (rights_of(breaches), in_place(self.place));
        let (denies, through) = (first.by.ceiling(), self.through(first));
        let identity = &self.who.identity;
        let message =
            format!("{identity} would hold {rights} {place}{through}; {denies} denies it");
        found.add(rule.clone(), (self.path)(first), message, remedy(first));
    }

    /// One finding of PF-RBAC-007 for each danger.
    pub(in super::super) fn dangers(&self, dangers: &[Breach<'_>], found: &mut Found) {
        for danger in dangers {
            let Denier::Danger(line) = danger.by else { continue };
            let (right, place) = (danger.right(), in_place(self.place));
            let (leads_to, through) = (line.leads_to, self.through(danger));
            let identity = &self.who.identity;
            let message = format!("{right} {place} {leads_to}; {identity} would hold it{through}");
            found.add(DANGER, (self.path)(danger), message, REMEDY_DANGER);
        }
    }

    fn through(&self, breach: &Breach<'_>) -> String {
        let chain = (self.chain)(breach);
        let steps = [self.who.spelling.as_str(), chain.as_str()];
        let steps: Vec<&str> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        if steps.is_empty() { String::new() } else { format!(" through {}", steps.join(", ")) }
    }
}

const REMEDY_DANGER: &str =
    "give the agent a role without it; have a person or a controller do what it is for";

/// What would be accepted instead of a breach.
fn remedy(breach: &Breach<'_>) -> String {
    let what = match breach.by {
        Denier::Danger(_) => "see PF-RBAC-007 for what each right leads to".to_owned(),
        Denier::Entry(ceiling, _) => {
            format!("or change ceiling `{}` in the policy", excerpt(&ceiling.name))
        }
    };
    format!("give the agent a role without {}, {what}", breach.right())
}

/// Why a role can't be judged for an identity, and the fix.
pub(in super::super) fn unresolved(
    why: &Unresolved,
    role: &RoleRef,
    place: &str,
    who: &Who,
) -> (String, &'static str) {
    let reason = super::super::gate::unresolved(why, role, place);
    let remedy = match why {
        Unresolved::Kind => "name a ClusterRole, or a Role of the binding's namespace",
        Unresolved::Absent(_) => "create the role first, then bind it",
        Unresolved::TooLarge(_) => "bind a role that aggregates fewer roles",
    };
    let message = format!("{reason}, so whether {} stays below its ceiling", who.identity);
    (message, remedy)
}

//! For whom a request is made: the requester, or whom a deputy (`rbac.deputies`) acts for.
//!
//! Rules judge whom a change is made for; a deputy's own rights never count. What a deputy says and can't be borne out names nobody.

use pinfold_model::facts::Requester;
use pinfold_model::policy::admission::{AdmissionPolicy, Controller};
use pinfold_model::policy::rbac::Deputy;

use crate::context::Context;
use crate::rbac::agents::Agents;

/// For whom a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal<'a> {
    /// Offline, nobody knows who asks.
    Unknown,
    /// The requester itself.
    Requester(&'a Requester),
    /// A deputy acts for nobody in particular.
    Nobody,
}

/// For whom the request is made.
pub(crate) fn principal<'a>(context: &Context<'a>) -> Principal<'a> {
    let Some(requester) = &context.facts.requester else { return Principal::Unknown };
    match deputy_of(context.policy, requester) {
        None => Principal::Requester(requester),
        Some(_) => Principal::Nobody,
    }
}

impl Principal<'_> {
    /// Whose rights count; `None` if nobody's do, or nobody is known.
    pub(crate) fn requester(&self) -> Option<&Requester> {
        match self {
            Self::Requester(requester) => Some(requester),
            Self::Unknown | Self::Nobody => None,
        }
    }

    /// Whether it is a platform administrator. An agent identity never is, whatever groups it is in.
    pub(crate) fn administers(&self, context: &Context<'_>) -> bool {
        let Some(requester) = self.requester() else { return false };
        let organizations = &context.policy.organizations;
        let listed = organizations.admin_users.contains(&requester.name)
            || requester.groups.iter().any(|group| organizations.admin_groups.contains(group));
        listed && !is_agent(context, requester)
    }
}

/// Whether somebody is an agent identity.
pub(super) fn is_agent(context: &Context<'_>, requester: &Requester) -> bool {
    let account = requester.service_account();
    account.is_some_and(|(namespace, name)| Agents::of(context).naming(namespace, name).is_some())
}

/// The deputy that somebody is.
fn deputy_of<'a>(policy: &'a AdmissionPolicy, requester: &Requester) -> Option<&'a Deputy> {
    policy.rbac.deputies.iter().find(|deputy| is(&deputy.identity, requester))
}

/// Whether somebody is an identity of the policy: by name, and by uid where the policy pins one.
fn is(identity: &Controller, requester: &Requester) -> bool {
    match identity {
        Controller::User(name) => requester.name == *name,
        Controller::ServiceAccount { namespace, name, uid } => {
            requester.service_account() == Some((namespace, name))
                && uid.as_ref().is_none_or(|uid| requester.uid == *uid)
        }
    }
}

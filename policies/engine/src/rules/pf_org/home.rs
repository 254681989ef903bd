//! Whose an agent resource is: its namespace's organization, and what it says itself must be the same.

use pinfold_model::object::agent::Ties;

use crate::context::Context;
use crate::organization::{Ownership, is_name, ownership};

/// Whose an agent resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Home {
    /// An organization's.
    Organization(String),
    /// The platform's, or nobody's where nobody needs to answer for it.
    Platform,
    /// In a namespace of the platform, it says that it is this organization's.
    Claimed(String),
    /// It says that it is this organization's, and it isn't.
    Wrong(String),
    /// Its namespace is nobody's, disputed or unknown: PF-ORG-002 said so.
    Told,
}

impl Home {
    /// The organization whose references it may make, if it is one's.
    pub(super) fn organization(&self) -> Option<&str> {
        match self {
            Self::Organization(organization) | Self::Claimed(organization) => Some(organization),
            Self::Platform | Self::Wrong(_) | Self::Told => None,
        }
    }
}

/// Whose the agent resource of the request is.
pub(super) fn home(context: &Context<'_>, ties: &Ties) -> Home {
    let says = ties.organization.as_str();
    let namespace = context.facts.target.namespace.as_str();
    if namespace.is_empty() {
        return match says {
            "" => Home::Platform,
            says if is_name(says) => Home::Organization(says.to_owned()),
            says => Home::Wrong(says.to_owned()),
        };
    }
    match ownership(context, namespace) {
        Ownership::Owned(owner) if says.is_empty() || says == owner => Home::Organization(owner),
        Ownership::Platform if says.is_empty() => Home::Platform,
        Ownership::Platform if is_name(says) => Home::Claimed(says.to_owned()),
        Ownership::Owned(_) | Ownership::Platform => Home::Wrong(says.to_owned()),
        Ownership::Unowned | Ownership::Conflict(_) | Ownership::Unknown => Home::Told,
    }
}

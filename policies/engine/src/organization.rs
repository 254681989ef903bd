//! Which organization owns a namespace, from every source that says so: OrgNamespaceBinding, Organization, and the namespace's labels.
//!
//! All sources that are there must agree; a namespace that the view doesn't know is its own answer, never "unowned". Costs the same with
//! any number of namespaces and organizations.

use std::fmt;

use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;

use crate::context::Context;

/// Who owns a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// One organization.
    Owned(String),
    /// The platform (`organizations.platformNamespaces`).
    Platform,
    /// Nobody: no agents there, no references from or to organizations.
    Unowned,
    /// The sources disagree, or one of them names no organization.
    Conflict(Vec<Source>),
    /// The view has no such namespace, so nobody can tell. The live namespace may ([`namespace_key`]).
    Unknown,
}

impl Ownership {
    /// The organization, if there is exactly one.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match self {
            Self::Owned(organization) => Some(organization),
            Self::Platform | Self::Unowned | Self::Conflict(_) | Self::Unknown => None,
        }
    }
}

/// For messages: what a namespace is, after "namespace `x`".
impl fmt::Display for Ownership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(organization) => {
                write!(formatter, "belongs to organization `{organization}`")
            }
            Self::Platform => formatter.write_str("belongs to the platform"),
            Self::Unowned => formatter.write_str("belongs to no organization"),
            Self::Conflict(sources) => {
                formatter.write_str("has sources that disagree about its organization: ")?;
                for (index, source) in sources.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(formatter, "{separator}{source}")?;
                }
                Ok(())
            }
            Self::Unknown => formatter.write_str("isn't in the view of the cluster"),
        }
    }
}

/// One source and what it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// What says so: an object or a label.
    pub by: String,
    /// The organization that it names.
    pub organization: String,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} says `{}`", self.by, self.organization)
    }
}

/// The key of a namespace, to look it up or to ask for it.
#[must_use]
pub fn namespace_key(namespace: &str) -> ObjectKey {
    ObjectKey::new("", "Namespace", "", namespace)
}

/// Who owns a namespace.
#[must_use]
pub fn ownership(context: &Context<'_>, namespace: &str) -> Ownership {
    let object = context.lookup(&namespace_key(namespace));
    let platform = context.policy.organizations.platform_namespaces.contains(namespace);
    let mut sources: Vec<Source> = context
        .view
        .owners_of(namespace)
        .filter_map(|(key, record)| from_record(key, record))
        .collect();
    sources.extend(object.into_iter().flat_map(|object| labels(context.policy, object)));
    sources.sort();
    match sources.first() {
        // A namespace that the policy lists needs no object: the list is the platform's own word.
        None if platform => Ownership::Platform,
        _ if object.is_none() => Ownership::Unknown,
        None => Ownership::Unowned,
        Some(first) => {
            let organization = first.organization.clone();
            let agree = sources.iter().all(|source| source.organization == organization);
            if agree && !organization.is_empty() {
                Ownership::Owned(organization)
            } else {
                Ownership::Conflict(sources)
            }
        }
    }
}

fn from_record(key: &ObjectKey, record: &OrganizationRecord) -> Option<Source> {
    let organization = match record {
        OrganizationRecord::Organization { .. } => &key.name,
        OrganizationRecord::NamespaceBinding { organization, .. } => organization,
        OrganizationRecord::Sharing { .. } => return None,
    };
    Some(Source { by: key.to_string(), organization: organization.clone() })
}

/// The organization labels of an object, each as a source.
pub(crate) fn labels(policy: &AdmissionPolicy, object: &Object) -> Vec<Source> {
    let label = |key: &String| {
        let organization = object.meta.labels.get(key)?.clone();
        Some(Source { by: format!("label `{key}`"), organization })
    };
    policy.organizations.namespace_labels.iter().filter_map(label).collect()
}

/// Whether an OrgSharingPolicy of `source` shares exactly this reference (`Secret/namespace/name`) with `target`.
#[must_use]
pub fn shared(context: &Context<'_>, source: &str, target: &str, reference: &str) -> bool {
    context.view.sharings_of(source).any(|(_, record)| match record {
        OrganizationRecord::Sharing { target: with, allowed, .. } => {
            with == target && allowed.iter().any(|allowed| allowed == reference)
        }
        OrganizationRecord::Organization { .. } | OrganizationRecord::NamespaceBinding { .. } => {
            false
        }
    })
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

//! Which organization owns a namespace, from every source that says so: OrgNamespaceBinding, Organization, and the namespace's labels.
//!
//! All sources that are there must agree, and name an organization as Kubernetes names things; what looks like a name and is none is a
//! conflict, never "no label". A namespace that the view doesn't know is its own answer, never "unowned". Costs the same with any number of
//! namespaces and organizations.

mod sharing;

use std::fmt;

use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::context::Context;
use crate::rbac::describe::excerpt;

pub use self::sharing::shared;

/// The longest name of an organization, in bytes: that of any Kubernetes object (RFC 1123 subdomain).
const NAME_BYTES_MAX: usize = 253;
/// What the policy's own list says, as a source.
const PLATFORM_LIST: &str = "`organizations.platformNamespaces`";

/// Who owns a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// One organization.
    Owned(String),
    /// The platform (`organizations.platformNamespaces`).
    Platform,
    /// Nobody: no agents there, no references from or to organizations.
    Unowned,
    /// The sources disagree, one of them names no organization, or one names a namespace of the platform.
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
                let alike = sources.windows(2).all(
                    |pair| matches!(pair, [one, other] if one.organization == other.organization),
                );
                formatter.write_str(match alike {
                    true => "has an organization whose name isn't valid: ",
                    false => "has sources that disagree about its organization: ",
                })?;
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
        write!(formatter, "{} says `{}`", self.by, excerpt(&self.organization))
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
    ownership_by(context.view, context.policy, object, namespace)
}

/// Who owns a namespace, by a view, a policy and the Namespace object.
pub(crate) fn ownership_by(
    view: &Snapshot,
    policy: &AdmissionPolicy,
    object: Option<&Object>,
    namespace: &str,
) -> Ownership {
    let mut sources: Vec<Source> =
        view.owners_of(namespace).filter_map(|(key, record)| from_record(key, record)).collect();
    sources.extend(object.into_iter().flat_map(|object| labels(policy, object)));
    sources.sort();
    let platform = policy.organizations.platform_namespaces.contains(namespace);
    match sources.first() {
        // A namespace that the policy lists needs no object: the list is the platform's own word, and nobody else's may stand beside it.
        None if platform => Ownership::Platform,
        Some(_) if platform => {
            let by = PLATFORM_LIST.to_owned();
            sources.push(Source { by, organization: "the platform".to_owned() });
            Ownership::Conflict(sources)
        }
        _ if object.is_none() => Ownership::Unknown,
        None => Ownership::Unowned,
        Some(Source { organization, .. }) => {
            let agree = sources.iter().all(|source| source.organization == *organization);
            match agree && is_name(organization) {
                true => Ownership::Owned(organization.clone()),
                false => Ownership::Conflict(sources),
            }
        }
    }
}

/// Whether a text can be the name of an organization: a Kubernetes name, so no capitals, no look-alikes of other scripts, nothing invisible.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let ends = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| ends(byte) || byte == b'-' || byte == b'.';
    let (first, last) = (text.bytes().next(), text.bytes().next_back());
    text.len() <= NAME_BYTES_MAX
        && first.is_some_and(ends)
        && last.is_some_and(ends)
        && text.bytes().all(inner)
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

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

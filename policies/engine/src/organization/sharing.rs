//! What one organization shares with another: exactly what an OrgSharingPolicy lists, until it ends, and only if its writer could not have been the
//! one who gains by it.

use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::{Facts, ObjectKey};

use super::{Ownership, is_name, ownership};
use crate::context::Context;

/// Whether an OrgSharingPolicy of `source`, who owns the object, shares exactly this reference (`Secret/namespace/name`,
/// `AgentMcpServer/namespace/name`, `RunnerPool//name` of one in no namespace) with `target`, who uses it.
#[must_use]
pub fn shared(context: &Context<'_>, source: &str, target: &str, reference: &str) -> bool {
    let names = is_name(source) && is_name(target) && is_exact(reference);
    names
        && context.view.sharings_of(source).any(|(key, _)| {
            // Looked up, because what was read live for this request wins over the view.
            let record = context.lookup(key).map(|object| &object.facts);
            record.is_some_and(|record| shares(context, record, (source, target), reference))
                && is_trusted(context, key, source)
        })
}

fn shares(context: &Context<'_>, facts: &Facts, (from, to): (&str, &str), reference: &str) -> bool {
    let Facts::Organization(record) = facts else { return false };
    let OrganizationRecord::Sharing { source, target, allowed, expires_at, faults } =
        record.as_ref()
    else {
        return false;
    };
    (source.as_str(), target.as_str()) == (from, to)
        && faults.is_empty()
        && expires_at.is_none_or(|end| context.now < end)
        && allowed.iter().any(|allowed| allowed == reference)
}

/// Whether a policy is where only those write whose word it is: in no namespace, in the platform's, or in one of the organization that shares. One in
/// a namespace of the organization that gains by it, or of nobody, may be older than Pinfold and was written by just anybody there.
fn is_trusted(context: &Context<'_>, key: &ObjectKey, source: &str) -> bool {
    if key.namespace.is_empty() {
        return true;
    }
    match ownership(context, &key.namespace) {
        Ownership::Platform => true,
        Ownership::Owned(owner) => owner == source,
        Ownership::Unowned | Ownership::Conflict(_) | Ownership::Unknown => false,
    }
}

/// Whether a reference names one object: a template or a glob is none, even where a policy lists the same text.
fn is_exact(reference: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    let mut parts = reference.splitn(3, '/');
    let (kind, _namespace, name) = (parts.next(), parts.next(), parts.next());
    let named = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    named(kind) && named(name) && reference.bytes().all(plain)
}

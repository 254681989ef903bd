//! Organization, OrgNamespaceBinding, OrgSharingPolicy.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Link, List, Named, Text};
use super::links::{Instant, instant};
use super::{NoStatus, Spec};
use crate::object::agent::OrganizationRecord;
use crate::object::{Facts, ObjectKey};

/// An organization and the namespace that it owns.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Organization<'a> {
    /// The namespace that it owns.
    #[serde(borrow)]
    namespace_name: Text<'a>,
}

impl<'a> Spec for Organization<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        Facts::Organization(Box::new(OrganizationRecord::Organization {
            namespace: self.namespace_name.owned(),
        }))
    }
}

/// One more namespace that an organization owns.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct NamespaceBinding<'a> {
    /// The organization.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The namespace.
    #[serde(borrow)]
    namespace: Text<'a>,
}

impl<'a> Spec for NamespaceBinding<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        Facts::Organization(Box::new(OrganizationRecord::NamespaceBinding {
            organization: self.organization_ref.owned(),
            namespace: self.namespace.owned(),
        }))
    }
}

/// What one organization lets another refer to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Sharing<'a> {
    /// Who shares.
    #[serde(borrow)]
    source_org: Named<'a>,
    /// With whom.
    #[serde(borrow)]
    target_org: Named<'a>,
    /// Exactly what: `Kind/namespace/name`, or the same as an object.
    #[serde(borrow)]
    allowed_refs: List<Link<'a>>,
    /// Nothing is shared from this instant on (RFC 3339).
    #[serde(borrow)]
    expires_at: Instant<'a>,
}

impl<'a> Spec for Sharing<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        let mut faults = Vec::new();
        let text = |shared: &Link<'_>| match shared {
            Link::Text(text) => text.owned(),
            Link::Parts(parts) => {
                let parts = [&parts.kind, &parts.namespace, &parts.name].map(Text::as_str);
                parts.join("/")
            }
        };
        Facts::Organization(Box::new(OrganizationRecord::Sharing {
            source: self.source_org.owned(),
            target: self.target_org.owned(),
            allowed: self.allowed_refs.0.iter().map(text).collect(),
            expires_at: instant(&self.expires_at, "$.spec.expiresAt", &mut faults),
            faults,
        }))
    }
}

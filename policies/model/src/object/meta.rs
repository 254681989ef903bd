//! Object metadata: the part that rules read.

use std::collections::BTreeMap;

/// Labels, annotations, owners and uid of an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Meta {
    /// `metadata.uid`, empty before the API server gave one.
    pub uid: String,
    /// `metadata.generateName`, empty if there is none.
    pub generate_name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owners: Vec<Owner>,
    /// Finalizers of the agent control plane (`krate.a5c.ai/...`); nobody reads others.
    pub finalizers: Vec<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

impl Meta {
    /// The owner that controls the object, if one does.
    #[must_use]
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// API group of the owner.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Whether this owner controls the object.
    pub controller: bool,
}

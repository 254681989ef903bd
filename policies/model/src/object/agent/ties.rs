//! What every agent resource has: the organization that it says it belongs to, and the agent resources that it names.

/// The organization and the references of an agent resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ties {
    /// `spec.organizationRef`, empty if left out: the namespace's organization is meant.
    pub organization: String,
    /// Every field that names another agent resource.
    pub references: Vec<AgentReference>,
}

/// A field of an agent resource that names another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentReference {
    /// The kind that the field names: what the API documents, or what the field itself says.
    pub kind: String,
    /// Namespace as written; empty is the naming object's own.
    pub namespace: String,
    /// Name as written.
    pub name: String,
    /// JSON path of the field.
    pub path: String,
}

//! The AgentPolicy that the engine judges by.

/// One AgentPolicy, ready.
#[derive(Debug, Clone)]
pub struct AgentPolicy {
    /// Its name.
    pub name: String,
}

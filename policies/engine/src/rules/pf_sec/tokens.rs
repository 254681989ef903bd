//! PF-SEC-008: tokens of ServiceAccounts beyond what their AgentServiceAccount allows.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}

//! PF-ORG-002: agent resources and agent workloads that belong to no organization.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}

//! PF-TRU-006: workspaces, volumes and caches that untrusted and trusted work share, or two runs.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}

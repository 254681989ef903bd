//! PF-TRU-003: claims of trust that their record contradicts, or that have none.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}

//! PF-RUN: the life of a run, from its dispatch on.

mod dispatch;

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    dispatch::judge(context, found);
}

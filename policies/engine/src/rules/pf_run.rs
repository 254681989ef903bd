//! PF-RUN: the life of a run, from its dispatch on.

mod approval;
mod dispatch;

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    approval::judge(context, found);
    dispatch::judge(context, found);
}

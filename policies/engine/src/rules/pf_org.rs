//! PF-ORG: every agent resource belongs to one organization, and names only what is its own or shared with it.

mod belonging;
mod memory;
mod moves;
mod reference;

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    reference::judge(context, found);
    belonging::judge(context, found);
    moves::judge(context, found);
    memory::judge(context, found);
}

//! PF-SEC: Secrets and ConfigMaps stay in their organization, and agents use only what a grant names. One file a rule or a few that belong together.

mod authors;
mod boundary;
mod grants;
mod literals;
mod tokens;
pub(crate) mod untouched;

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    boundary::judge(context, found);
    grants::judge(context, found);
    authors::judge(context, found);
    literals::judge(context, found);
    tokens::judge(context, found);
}

//! PF-TRU-003: claims of trust that their record contradicts, or that have none, and forged records.
//!
//! Whoever reads a label later, a person or a controller, takes it for what it says. So nobody says of work what its record doesn't, and nobody but a
//! controller writes what trust rests on.

mod records;
mod stamps;
mod words;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;

use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::TRU_CLAIM;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    // Each tells by itself what changes. An owner is a field that the garbage collector writes, and a claim all the same.
    stamps::judge(context, object, found);
    records::judge(context, object, found);
    match scope(context, &facts.target.namespace) {
        Scope::Guarded => words::judge(context, object, found),
        Scope::Unknown => {
            let before = found.raw.len();
            words::judge(context, object, found);
            if found.raw.len() > before {
                found.ask(Question::Object(namespace_key(&facts.target.namespace)));
            }
        }
        Scope::Elsewhere | Scope::Platform => {}
    }
}

#[cfg(test)]
mod tests;

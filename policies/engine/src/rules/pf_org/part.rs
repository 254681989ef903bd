//! Which part of a request the family judges: what it brings in. What was there already can be labelled, reported on and cleaned up.

use pinfold_model::facts::{AdmissionFacts, Operation, Question};

use crate::context::{Context, Found};
use crate::organization::namespace_key;

/// Whether the object comes, or changes beyond its metadata and status.
pub(super) fn content_comes(facts: &AdmissionFacts) -> bool {
    match facts.operation {
        Operation::Create => true,
        Operation::Update => !facts.change.starts_nothing() && facts.subresource != "status",
        Operation::Delete | Operation::Connect => false,
    }
}

/// Whether the object's labels come or change, by whatever subresource.
pub(super) fn labels_come(facts: &AdmissionFacts) -> bool {
    let Some(object) = &facts.object else { return false };
    match facts.operation {
        Operation::Create => true,
        Operation::Update => {
            facts.old_object.as_ref().is_none_or(|old| old.meta.labels != object.meta.labels)
        }
        Operation::Delete | Operation::Connect => false,
    }
}

/// Asks for a namespace that the view doesn't know, unless it was read for this request.
pub(super) fn ask_for(context: &Context<'_>, namespace: &str, found: &mut Found) {
    let key = namespace_key(namespace);
    if context.facts.answers.live(&key).is_none() {
        found.ask(Question::Object(key));
    }
}

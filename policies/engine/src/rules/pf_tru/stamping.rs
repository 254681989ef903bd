//! Mutation: remembers on what a controller makes for another runner what the object says of its work, so that the pods below inherit it.
//!
//! Written over whatever is there: the object's text may be a fork's.

use pinfold_model::facts::Operation;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::decision::{Mutation, PatchStep};
use crate::trust::stamp::{PROVENANCE, provenance_text};
use crate::trust::standing::{self, Actor, actor};

/// Adds the steps that stamp the object of a request, and its pods, to what mutation does already.
pub(super) fn remember(context: &Context<'_>, mutation: &mut Mutation) {
    let facts = context.facts;
    let (Some(object), Some(document), Some(requester)) =
        (&facts.object, &facts.document, &facts.requester)
    else {
        return;
    };
    let made = facts.operation == Operation::Create && facts.subresource.is_empty();
    if !made || !standing::passes_on(&object.key) || actor(context, requester) != Actor::Controller
    {
        return;
    }
    let Some(text) = provenance_text(&standing::told(context)) else { return };
    stamp("/metadata", document, &text, &mut mutation.patch);
    let workload = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    if let Some(workload) = workload {
        let metadata = workload.meta_path.trim_start_matches('$').replace('.', "/");
        let template = metadata.rsplit_once('/').map_or("", |(template, _)| template);
        if document.pointer(template).is_some_and(Value::is_object) {
            stamp(&metadata, document, &text, &mut mutation.patch);
        }
    }
}

/// Sets the annotation in the metadata at a JSON Pointer, and makes what it stands in.
fn stamp(metadata: &str, document: &Value, text: &str, patch: &mut Vec<PatchStep>) {
    let annotations = format!("{metadata}/annotations");
    let there = |path: &str, patch: &[PatchStep]| {
        let made = patch.iter().any(|step| match step {
            PatchStep::Add { path: added, .. } => added == path,
            PatchStep::Replace { .. } | PatchStep::Remove { .. } => false,
        });
        made || document.pointer(path).is_some_and(Value::is_object)
    };
    let own = document.pointer(&annotations).and_then(|pairs| pairs.get(PROVENANCE));
    if own.and_then(Value::as_str) == Some(text) {
        return;
    }
    if !there(metadata, patch) {
        let value = Value::Object(Map::new());
        patch.push(PatchStep::Add { path: metadata.to_owned(), value });
    }
    if there(&annotations, patch) {
        let path = format!("{annotations}/{}", PROVENANCE.replace('/', "~1"));
        patch.push(PatchStep::Add { path, value: json!(text) });
    } else {
        let value = json!({ PROVENANCE: text });
        patch.push(PatchStep::Add { path: annotations, value });
    }
}

#[cfg(test)]
mod tests;

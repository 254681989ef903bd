//! The policy's `references`: where kinds that Pinfold doesn't know name a Secret or ConfigMap.
//!
//! A path that can't be evaluated, and a value that is no name, are refused: a reference that can't be read is not "no reference".

use pinfold_model::json_path::{JsonPath, Selected};
use pinfold_model::object::reference::{Keys, Mount, Reference};
use pinfold_model::policy::admission::ReferenceField;
use serde_json::Value;

use super::reach::{Home, Reach, Via};
use super::refuse;
use crate::context::{Context, Found};
use crate::organization::ownership;

/// Judges the object by every catalogue entry of its kind.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let target = &context.facts.target;
    let Some(document) = &context.facts.document else { return };
    for field in context.policy.references.iter().filter(|field| field.applies.matches(target)) {
        match references(field, document) {
            Ok(references) => judge_all(context, &references, found),
            Err(Unreadable { path, message }) => {
                let remedy = "write a plain name there, or correct the policy's `references`";
                refuse(found, &path, message, remedy.to_owned());
            }
        }
    }
}

fn judge_all(context: &Context<'_>, references: &[Reference], found: &mut Found) {
    let name = context.facts.target.namespace.as_str();
    if references.is_empty() {
        return;
    }
    let home = Home::Namespace { name, owner: ownership(context, name) };
    let mut reach = Reach { context, home: &home, found };
    if !name.is_empty() && reach.refuses_home() {
        return;
    }
    for reference in references {
        if name.is_empty() {
            judge_homeless(context, reference, reach.found);
        } else {
            reach.judge(reference, &Via::Direct);
        }
    }
}

/// A cluster-scoped object has no namespace of its own to resolve a bare name in.
fn judge_homeless(context: &Context<'_>, reference: &Reference, found: &mut Found) {
    if reference.namespace.is_empty() {
        let message = format!(
            "{} `{}` is named by a cluster-scoped object, and nothing says in which namespace",
            reference.kind, reference.name
        );
        let remedy = "add `namespace` to this entry of the policy's `references`".to_owned();
        return refuse(found, &reference.path, message, remedy);
    }
    super::volumes::judge_unclaimed(context, reference, found);
}

/// What can't be read as a reference.
struct Unreadable {
    path: String,
    message: String,
}

fn references(field: &ReferenceField, document: &Value) -> Result<Vec<Reference>, Unreadable> {
    let names = texts(&field.name, document)?;
    let namespaces = match &field.namespace {
        Some(path) => texts(path, document)?,
        None => Vec::new(),
    };
    let mut found = Vec::new();
    for (path, name) in &names {
        for namespace in namespaces_of(path, &names, &namespaces) {
            let (name, path) = ((*name).to_owned(), path.clone());
            let namespace = namespace.to_owned();
            let (mount, keys) = (Mount::Other, Keys::All);
            found.push(Reference { kind: field.kind, namespace, name, path, mount, keys });
        }
    }
    Ok(found)
}

type Texts<'v> = Vec<(String, &'v str)>;

fn texts<'v>(path: &JsonPath, document: &'v Value) -> Result<Texts<'v>, Unreadable> {
    let unreadable = |message: String| Unreadable { path: path.as_str().to_owned(), message };
    let selected = path.select(document).map_err(|error| unreadable(error.to_string()))?;
    let text = |Selected { path, value }: Selected<'v>| match value {
        Value::Null => None,
        Value::String(text) => Some(Ok((path, text.as_str()))),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let message = "expected the name of a Secret, ConfigMap or namespace".to_owned();
            Some(Err(Unreadable { path, message }))
        }
    };
    selected.into_iter().filter_map(text).collect()
}

/// The namespaces that a name may be in: its sibling's if it has one; else those that are no other name's siblings; else its own.
fn namespaces_of<'v>(
    path: &str,
    names: &Texts<'_>,
    namespaces: &Texts<'v>,
) -> impl Iterator<Item = &'v str> {
    let is_sibling = |name: &str, namespace: &str| parent(name) == parent(namespace);
    let sibling = namespaces.iter().find(|(at, _)| is_sibling(path, at)).map(|(_, text)| *text);
    let free = |at: &str| !names.iter().any(|(name, _)| is_sibling(name, at));
    let mut found: Vec<&str> = match sibling {
        Some(text) => vec![text],
        None => namespaces.iter().filter(|(at, _)| free(at)).map(|(_, text)| *text).collect(),
    };
    if found.is_empty() {
        found.push("");
    }
    found.into_iter()
}

/// The path without its last step.
fn parent(path: &str) -> &str {
    let end = if path.ends_with("']") { path.rfind("['") } else { path.rfind(['.', '[']) };
    path.get(..end.unwrap_or(0)).unwrap_or_default()
}

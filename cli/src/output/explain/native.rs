//! Native objects as manifests, ready to be reviewed and applied.

use std::io::{self, Write};

use pinfold_engine::explain::{Content, Native};
use pinfold_model::object::rbac::{PolicyRule, Subject};
use pinfold_model::snapshot::RBAC_GROUP;
use serde_json::{Map, Value, json};

use super::shape::Rule;
use crate::output::yaml;

/// The manifest of an object.
pub(crate) fn manifest(native: &Native) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::String(native.key.name.clone()));
    if !native.key.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), Value::String(native.key.namespace.clone()));
    }
    let (api_version, kind) = (format!("{RBAC_GROUP}/v1"), &native.key.kind);
    match &native.content {
        Content::Role(rules) => {
            let rules: Vec<Value> = rules.iter().map(rule).collect();
            json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules})
        }
        Content::Binding { role, subjects } => {
            let subjects: Vec<Value> = subjects.iter().map(subject).collect();
            let role = json!({"apiGroup": RBAC_GROUP, "kind": role.kind, "name": role.name});
            json!({
                "apiVersion": api_version, "kind": kind, "metadata": metadata,
                "roleRef": role, "subjects": subjects,
            })
        }
    }
}

/// A rule without its empty lists.
fn rule(rule: &PolicyRule) -> Value {
    let value = serde_json::to_value(Rule::of(rule)).unwrap_or_default();
    let Value::Object(mut members) = value else { return value };
    members.retain(|_, list| list.as_array().is_some_and(|list| !list.is_empty()));
    Value::Object(members)
}

fn subject(subject: &Subject) -> Value {
    let Subject { kind, namespace, name, .. } = subject;
    if kind == "ServiceAccount" {
        return json!({"kind": kind, "namespace": namespace, "name": name});
    }
    json!({"apiGroup": RBAC_GROUP, "kind": kind, "name": name})
}

/// Writes the objects of one binding.
pub(crate) fn write(origin: &str, natives: &[Native], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# {}", super::table::plain(origin))?;
    natives.iter().try_for_each(|native| yaml::write(&manifest(native), out))
}

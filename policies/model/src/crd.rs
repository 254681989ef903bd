//! CustomResourceDefinitions of the agent control plane, made from the very types that read its objects, for clusters that lack them.
//!
//! The schemas are structural and keep what they don't know below `spec` and `status`, so that the webhook refuses it instead of the API server
//! dropping it. What may be written in two shapes has no type there. Nothing here decides.

mod documented;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use self::documented::{COLUMNS, FIELDS, Field};
use crate::object::{AGENT_GROUPS, AgentKind, agent_kinds};

/// The version that all of them have (design, domain.md).
const VERSION: &str = "v1alpha1";
/// Keeps members that a schema doesn't name.
const KEEP_UNKNOWN: &str = "x-kubernetes-preserve-unknown-fields";

/// The definitions of every agent kind in both groups: `apiextensions.k8s.io/v1`, in the order of the groups and of the design.
#[must_use]
pub fn agent_definitions() -> Vec<Value> {
    AGENT_GROUPS.iter().flat_map(|group| agent_definitions_of(group)).collect()
}

/// The definitions of every agent kind in one group.
#[must_use]
pub fn agent_definitions_of(group: &str) -> Vec<Value> {
    agent_kinds().iter().map(|kind| definition(group, kind)).collect()
}

fn definition(group: &str, kind: &AgentKind) -> Value {
    let plural = kind.plural;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": plural,
                "singular": kind.kind.to_ascii_lowercase(),
            },
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(kind.kind),
                "schema": {"openAPIV3Schema": schema(kind)},
            }],
        },
    })
}

/// What `kubectl get` shows besides the name.
fn columns(kind: &str) -> Vec<Value> {
    let own = COLUMNS.iter().filter(|column| column.kind == kind);
    let own =
        own.map(|column| json!({"name": column.name, "type": "string", "jsonPath": column.path}));
    let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
    own.chain([age]).collect()
}

fn schema(kind: &AgentKind) -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let parts = (kind.schemas)(&mut generator);
    let [spec, status] = parts.map(|part| structural(part.to_value()));
    let description = spec.get("description").cloned().unwrap_or_default();
    let spec = with_documented(spec, kind.kind, "spec");
    let status = with_documented(status, kind.kind, "status");
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    })
}

/// A schema as a CRD may have it: no defaults, no list of types, unknown members kept.
fn structural(schema: Value) -> Value {
    let Value::Object(members) = schema else { return schema };
    let mut ready = Map::new();
    for (name, value) in members {
        match name.as_str() {
            "$schema" | "title" | "default" => {}
            "type" => put_type(&mut ready, value),
            "properties" => {
                let Value::Object(fields) = value else { continue };
                let fields = fields.into_iter().map(|(name, field)| (name, structural(field)));
                ready.insert(name, fields.collect());
            }
            "items" | "additionalProperties" => _ = ready.insert(name, structural(value)),
            _ => _ = ready.insert(name, value),
        }
    }
    let plain = !ready.contains_key("additionalProperties");
    if plain && ready.get("type") == Some(&json!("object")) {
        ready.insert(KEEP_UNKNOWN.to_owned(), true.into());
    }
    ready.into()
}

/// One of several types that may be `null` is that type, nullable.
fn put_type(ready: &mut Map<String, Value>, found: Value) {
    let Value::Array(types) = found else {
        ready.insert("type".to_owned(), found);
        return;
    };
    let (null, others): (Vec<Value>, Vec<Value>) =
        types.into_iter().partition(|one| one == &json!("null"));
    if !null.is_empty() {
        ready.insert("nullable".to_owned(), true.into());
    }
    if let Some(one) = others.into_iter().next() {
        ready.insert("type".to_owned(), one);
    }
}

/// With the fields that the design documents and no rule reads.
fn with_documented(schema: Value, kind: &str, part: &str) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    let mut fields = match schema.remove("properties") {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for field in FIELDS.iter().filter(|field| field.kind == kind && field.part == part) {
        fields.insert(field.name.to_owned(), documented(field));
    }
    if !fields.is_empty() {
        schema.insert("properties".to_owned(), fields.into());
    }
    schema.insert("type".to_owned(), "object".into());
    schema.insert(KEEP_UNKNOWN.to_owned(), true.into());
    schema.into()
}

fn documented(field: &Field) -> Value {
    let description = field.description;
    match field.shape {
        "any" => json!({"description": description, KEEP_UNKNOWN: true, "nullable": true}),
        "array" => {
            json!({"description": description, "type": "array", "nullable": true, "items": {KEEP_UNKNOWN: true, "nullable": true}})
        }
        "object" => {
            json!({"description": description, "type": "object", "nullable": true, KEEP_UNKNOWN: true})
        }
        shape => json!({"description": description, "type": shape, "nullable": true}),
    }
}

#[cfg(test)]
mod tests;

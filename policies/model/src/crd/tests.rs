//! Definitions are structural, name every kind once, and keep what they don't know.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::documented::{COLUMNS, FIELDS};
use super::{KEEP_UNKNOWN, agent_definitions, agent_definitions_of};
use crate::object::AGENT_GROUPS;

#[test]
fn every_kind_once_in_both_groups() {
    let names = |definitions: &[Value]| -> BTreeSet<String> {
        let name = |one: &Value| one["metadata"]["name"].as_str().expect("a name").to_owned();
        definitions.iter().map(name).collect()
    };
    let all = agent_definitions();
    let [older, newer] = AGENT_GROUPS.map(agent_definitions_of);
    assert_eq!((older.len(), all.len()), (newer.len(), older.len() * 2));
    assert_eq!(names(&all).len(), all.len(), "no name twice");
    let kinds: BTreeSet<&str> =
        older.iter().map(|one| one["spec"]["names"]["kind"].as_str().expect("a kind")).collect();
    for kind in [
        "AgentStack",
        "AgentSecretGrant",
        "RunnerPool",
        "Organization",
        "AgentRunMemoryImport",
        "WebhookDelivery",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
    for one in &older {
        let plural = one["spec"]["names"]["plural"].as_str().expect("a plural");
        assert_eq!(one["metadata"]["name"], format!("{plural}.krate.a5c.ai"));
        let cluster = ["Organization", "OrgNamespaceBinding", "OrgSharingPolicy"];
        let is_cluster = cluster.contains(&one["spec"]["names"]["kind"].as_str().expect("a kind"));
        assert_eq!(
            one["spec"]["scope"],
            if is_cluster { "Cluster" } else { "Namespaced" },
            "{plural}"
        );
    }
}

/// The rules of <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>.
fn check(schema: &Value, path: &str, root: bool) {
    let members = schema.as_object().unwrap_or_else(|| panic!("{path} is a schema"));
    let kept = schema[KEEP_UNKNOWN] == json!(true);
    let shape = schema["type"].as_str();
    assert!(shape.is_some() || kept, "{path} has a type, or keeps what there is");
    for forbidden in
        ["$ref", "anyOf", "oneOf", "allOf", "not", "default", "$schema", "title", "uniqueItems"]
    {
        assert!(!members.contains_key(forbidden), "{path} has no {forbidden}");
    }
    if shape == Some("object") && !root && !path.ends_with("metadata") {
        assert!(
            kept || members.contains_key("additionalProperties"),
            "{path} keeps unknown fields"
        );
    }
    if !root
        && !["apiVersion", "kind", "metadata", "spec", "status"]
            .iter()
            .any(|part| path.ends_with(&format!("root.{part}")))
        && !path.contains('[')
    {
        assert!(members.contains_key("nullable"), "{path} may be null");
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        check(field, &format!("{path}.{name}"), false);
    }
    if let Some(items) = members.get("items") {
        check(items, &format!("{path}[]"), false);
    }
    if let Some(values) = members.get("additionalProperties") {
        check(values, &format!("{path}[]"), false);
    }
}

#[test]
fn schemas_are_structural_and_keep_unknown_fields() {
    for definition in agent_definitions() {
        let version = &definition["spec"]["versions"][0];
        assert_eq!(version["subresources"], json!({"status": {}}));
        let schema = &version["schema"]["openAPIV3Schema"];
        check(schema, "root", true);
        for part in ["spec", "status"] {
            assert_eq!(schema["properties"][part][KEEP_UNKNOWN], json!(true), "{part}");
        }
        let spec = &schema["properties"]["spec"];
        for (name, field) in spec["properties"].as_object().into_iter().flatten() {
            assert!(
                field["description"].is_string(),
                "{} {name} says what it is",
                definition["metadata"]["name"]
            );
        }
    }
}

#[test]
fn fields_have_their_types() {
    let of = |kind: &str| -> Value {
        let all = agent_definitions_of("krate.a5c.ai");
        let found =
            all.into_iter().find(|one| one["spec"]["names"]["kind"] == kind).expect("a kind");
        found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clone()
    };
    let grant = of("AgentSecretGrant");
    let spec = &grant["spec"]["properties"];
    assert_eq!(spec["purpose"]["type"], "string");
    assert_eq!(
        spec["revoked"],
        json!({"type": "boolean", "nullable": true, "description": "Whether it is taken back."})
    );
    assert_eq!(spec["expiresAt"]["type"], "string");
    assert_eq!(spec["allowedTriggerSources"]["items"]["type"], "string");
    assert_eq!(spec["subject"]["properties"]["kind"]["type"], "string");
    assert_eq!(spec["rotationPolicy"]["properties"]["maxAgeDays"]["type"], "integer");
    assert!(spec["secretRef"].get("type").is_none(), "text or an object");
    assert_eq!(grant["status"]["properties"]["lastRotatedAt"]["type"], "string");
    let pool = of("RunnerPool");
    assert_eq!(
        pool["spec"]["properties"]["nodeSelector"]["additionalProperties"]["type"],
        "string"
    );
    assert_eq!(
        of("AgentRoleBinding")["spec"]["properties"]["resourceRules"]["items"]["properties"]["nonResourceURLs"]
            ["type"],
        "array"
    );
}

#[test]
fn what_is_documented_belongs_to_a_kind_and_is_read_by_no_rule() {
    let all = agent_definitions_of("krate.a5c.ai");
    let kinds: BTreeSet<&str> =
        all.iter().filter_map(|one| one["spec"]["names"]["kind"].as_str()).collect();
    let read: Vec<_> = crate::object::agent_kinds();
    for field in FIELDS {
        assert!(kinds.contains(field.kind), "{field:?}");
        let kind = read.iter().find(|kind| kind.kind == field.kind).expect("a kind");
        let mut generator = schemars::SchemaGenerator::default();
        let parts = (kind.schemas)(&mut generator);
        let part = if field.part == "spec" { &parts[0] } else { &parts[1] };
        let own = part.get("properties").and_then(|fields| fields.get(field.name));
        assert!(own.is_none(), "{field:?} is read, so its type says what it is");
    }
    for column in COLUMNS {
        assert!(kinds.contains(column.kind), "{column:?}");
    }
}

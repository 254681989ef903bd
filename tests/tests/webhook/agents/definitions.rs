//! The definitions of the agent resources that ship, on a real API server: structural, established, with room for every documented field, and
//! with nothing dropped that the webhook is to refuse.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::crd;
use pinfold_model::document::{Dialect, read};
use pinfold_model::object::{AGENT_GROUPS, Facts, from_value};
use pinfold_tests::ApiServer;
use serde_json::{Value, json};

use crate::Outcome;
use crate::kubernetes::repository;

const OBJECTS: &str = include_str!("definitions/objects.yaml");

/// Kind, and a `spec` with a field of another type than it has.
#[rustfmt::skip]
const WRONG: &[(&str, &str)] = &[
    ("AgentSecretGrant", r#"{"purpose": 7}"#),
    ("AgentSecretGrant", r#"{"subject": "stack"}"#),
    ("AgentSecretGrant", r#"{"subject": {"name": 7}}"#),
    ("AgentSecretGrant", r#"{"revoked": "true"}"#),
    ("AgentSecretGrant", r#"{"rotationPolicy": {"maxAgeDays": "30"}}"#),
    ("AgentSecretGrant", r#"{"allowedTriggerSources": "manual"}"#),
    ("AgentStack", r#"{"mcpServerRefs": "forge"}"#),
    ("AgentStack", r#"{"secretPolicy": {"allowOnForks": "no"}}"#),
    ("RunnerPool", r#"{"nodeSelector": {"a": 7}}"#),
    ("RunnerPool", r#"{"trustTier": true}"#),
    ("Organization", r#"{"namespaceName": {"name": "n"}}"#),
    ("AgentDispatchRun", r#"{"ref": ["refs/heads/main"]}"#),
    ("AgentServiceAccount", r#"{"tokenExpirationSeconds": "600"}"#),
    ("AgentRoleBinding", r#"{"resourceRules": {}}"#),
];

/// Every kind of the file, as it is in a group.
fn objects(group: &str) -> Outcome<Vec<Value>> {
    let nodes = read("objects.yaml", OBJECTS, Dialect::Manifest)?;
    let list = nodes.first().ok_or("no document")?.to_json();
    let mut found = list.as_array().cloned().ok_or("no list")?;
    for object in &mut found {
        let members = object.as_object_mut().ok_or("no object")?;
        let kind = members.get("kind").and_then(Value::as_str).unwrap_or_default();
        let cluster = ["Organization", "OrgNamespaceBinding", "OrgSharingPolicy"].contains(&kind);
        let metadata =
            if cluster { json!({"name": "x"}) } else { json!({"name": "x", "namespace": "kinds"}) };
        members.insert("metadata".to_owned(), metadata);
        members.insert("apiVersion".to_owned(), json!(format!("{group}/v1alpha1")));
    }
    Ok(found)
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// One more field at each object below `spec`, which no schema knows.
fn with_unknown(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let free = ["nodeSelector"];
            for (name, member) in members.iter_mut() {
                if !free.contains(&name.as_str()) {
                    with_unknown(member);
                }
            }
            members.insert("fieldOfTomorrow".to_owned(), json!({"a": [1, {"b": null}]}));
        }
        Value::Array(items) => items.iter_mut().for_each(with_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn definitions_are_established_and_structural_and_keep_what_they_do_not_know() -> Outcome {
    let server = ApiServer::start()?;
    let folder = repository("manifests/crds/agents");
    server.kubectl(&["apply", "-k", &folder.to_string_lossy()], "")?.ok()?;
    server
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")?
        .ok()?;
    assert_conditions(&server)?;
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: kinds}}")?;
    for group in AGENT_GROUPS {
        assert_every_kind_is_accepted(&server, group)?;
        assert_wrong_types_are_refused(&server, group)?;
    }
    Ok(())
}

fn assert_conditions(server: &ApiServer) -> Outcome {
    let found: Value =
        serde_json::from_str(&server.kubectl(&["get", "crd", "-o", "json"], "")?.ok()?)?;
    let items = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    assert_eq!(items.len(), crd::agent_definitions().len(), "all of them");
    for item in &items {
        let conditions = item
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let states: BTreeMap<&str, &str> =
            conditions.iter().map(|one| (text(one, "/type"), text(one, "/status"))).collect();
        let name = text(item, "/metadata/name");
        for (condition, wanted) in [("Established", "True"), ("NamesAccepted", "True")] {
            assert_eq!(states.get(condition), Some(&wanted), "{name} {states:?}");
        }
        for bad in ["NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"] {
            assert_eq!(states.get(bad), None, "{name} {states:?}");
        }
    }
    Ok(())
}

fn assert_every_kind_is_accepted(server: &ApiServer, group: &str) -> Outcome {
    let objects = objects(group)?;
    let shown: BTreeSet<&str> = objects.iter().map(|object| text(object, "/kind")).collect();
    let definitions = crd::agent_definitions_of(group);
    let defined: BTreeSet<&str> =
        definitions.iter().map(|one| text(one, "/spec/names/kind")).collect();
    assert_eq!(shown, defined, "every kind has an object");
    let mut manifest = Vec::new();
    for object in objects {
        let facts = from_value(&object)?.facts;
        assert!(!matches!(facts, Facts::MetaOnly), "rules read {object}");
        let mut strange = object;
        with_unknown(strange.get_mut("spec").ok_or("no spec")?);
        manifest.push(strange);
    }
    // Strictly: a field that the schema would drop is an error, so that nothing unknown gets lost.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifest}).to_string();
    server.kubectl(&["create", "--validate=strict", "-f", "-"], &list)?.ok()?;
    for wanted in &manifest {
        let resource = format!("{}.{group}", text(wanted, "/kind"));
        let mut get = vec!["get", &resource, "x", "-o", "json"];
        get.extend(["-n", "kinds"]);
        let found: Value = serde_json::from_str(&server.kubectl(&get, "")?.ok()?)?;
        assert_eq!(found.get("spec"), wanted.get("spec"), "{resource} keeps all");
    }
    let status = json!({"status": {"phase": "Revoked", "tomorrow": {"a": 1}}}).to_string();
    let grant = format!("agentsecretgrants.{group}");
    let patch = [
        "patch",
        &grant,
        "x",
        "-n",
        "kinds",
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    server.kubectl(&patch, "")?.ok()?;
    let path = "jsonpath={.status.phase} {.status.tomorrow.a} {.spec.purpose}";
    let found = server.kubectl(&["get", &grant, "x", "-n", "kinds", "-o", path], "")?.ok()?;
    assert_eq!(found, "Revoked 1 model-provider");
    Ok(())
}

fn assert_wrong_types_are_refused(server: &ApiServer, group: &str) -> Outcome {
    for (kind, spec) in WRONG {
        let spec: Value = serde_json::from_str(spec)?;
        let object = json!({"apiVersion": format!("{group}/v1alpha1"), "kind": kind,
            "metadata": {"name": "wrong", "namespace": if *kind == "Organization" { "" } else { "kinds" }}, "spec": spec});
        let answer =
            server.kubectl(&["create", "--validate=warn", "-f", "-"], &object.to_string())?;
        let refused = answer.stderr.contains("spec.") && answer.stderr.contains("must be of type");
        assert!(!answer.success() && refused, "{object}: {answer:?}");
        assert!(from_value(&object).is_err(), "the webhook refuses {object} too");
    }
    Ok(())
}

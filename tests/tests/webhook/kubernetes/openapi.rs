//! Every field of every kind that a real API server serves and that names a Secret or ConfigMap is read: by the typed decoder, or by the shipped
//! `references`, or it is in the list of those that name none, with the reason.
//!
//! The next version of Kubernetes brings new fields; this is what tells.

mod fields;

use std::collections::BTreeSet;
use std::path::Path;

use pinfold_model::object::from_value;
use pinfold_model::object::reference::Reference;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use pinfold_tests::ApiServer;
use serde_json::{Value, json};

use self::fields::{CANARY, Candidate, candidates};
use crate::Outcome;

/// How a path ends that looks as if it named a Secret or ConfigMap, and why it names none.
const EXCEPTIONS: [(&str, &str); 15] = [
    (".cephfs.secretFile", "a file on the node"),
    (".azureFile.secretNamespace", "the namespace of the name beside it, read with it"),
    (".claimRef.name", "of kind PersistentVolumeClaim; the volume belongs to its namespace"),
    (".dataSource.name", "a claim, a snapshot or a populator's object, of the own namespace"),
    (".dataSourceRef.name", "the same; its namespace is judged as `data_source_namespace`"),
    (".defaultBackend.resource.name", "what a controller serves, not what it reads"),
    (".backend.resource.name", "the same"),
    (".describedObject.name", "something with metrics"),
    (".scaleTargetRef.name", "something with a scale"),
    (".status.active[*].name", "Jobs, written by the controller"),
    (".targetRef.name", "a pod behind an address"),
    (".involvedObject.name", "what an Event is about; nobody follows it"),
    (".regarding.name", "the same"),
    (".related.name", "the same"),
    ("Binding.target.name", "a node"),
];

#[test]
fn every_field_that_names_a_secret_or_config_map_is_read_or_says_why_not() -> Outcome {
    let server = ApiServer::start_with(&["--runtime-config=api/all=true"])?;
    let index: Value = serde_json::from_str(&get(&server, "/openapi/v3")?)?;
    let groups = index["paths"].as_object().ok_or("no paths")?;
    let mut found: BTreeSet<Candidate> = BTreeSet::new();
    for (path, group) in groups {
        if path.starts_with("api/") || path.starts_with("apis/") {
            let url = group["serverRelativeURL"].as_str().ok_or("no URL")?;
            found.extend(candidates(&serde_json::from_str(&get(&server, url)?)?));
        }
    }
    let policy = catalogue()?;
    let uncovered = uncovered(&found, Some(&policy))?;
    assert!(uncovered.is_empty(), "{}", uncovered.join("\n"));
    // That nothing was overlooked: 26 fields in each of 9 kinds with a pod, 13 in each of 2 with a volume, 4 of nodes, and the rest.
    let read = found.iter().filter(|candidate| exception(candidate).is_none()).count();
    assert!(read >= 26 * 9 + 13 * 2 + 4 + 6, "only {read} fields looked at");
    let stale = |(end, _): &&(&str, &str)| !found.iter().any(|c| c.shown().ends_with(*end));
    let stale: Vec<_> = EXCEPTIONS.iter().filter(stale).map(|(end, _)| *end).collect();
    assert!(stale.is_empty(), "no field ends with any of {stale:?}");
    Ok(())
}

fn get(server: &ApiServer, path: &str) -> Outcome<String> {
    Ok(server.kubectl(&["get", "--raw", path], "")?.ok()?)
}

/// What ships: the policy whose `references` cover what the decoder leaves to them.
fn catalogue() -> Outcome<AdmissionPolicy> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/library/references.yaml");
    let text = std::fs::read_to_string(&path)?;
    let set = load(&[SourceFile { name: "references.yaml".to_owned(), text }]);
    let set = set.map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
    Ok(set.admission.ok_or("no AdmissionPolicy")?)
}

fn exception(candidate: &Candidate) -> Option<&'static str> {
    let shown = candidate.shown();
    EXCEPTIONS.iter().find(|(end, _)| shown.ends_with(end)).map(|(_, why)| *why)
}

/// What to do about each field that is neither read nor excepted.
fn uncovered(
    found: &BTreeSet<Candidate>,
    policy: Option<&AdmissionPolicy>,
) -> Outcome<Vec<String>> {
    let mut open = Vec::new();
    for candidate in found.iter().filter(|candidate| exception(candidate).is_none()) {
        if !is_read(&candidate.object(), policy)? {
            open.push(format!(
                "{} isn't read: read it in policies/model/src/object/decode, or add an entry to policies/library/references.yaml, or, \
                 if it names no Secret or ConfigMap, say in EXCEPTIONS why",
                candidate.shown()
            ));
        }
    }
    Ok(open)
}

/// Whether the decoder or the catalogue finds the canary.
fn is_read(manifest: &Value, policy: Option<&AdmissionPolicy>) -> Outcome<bool> {
    let object = from_value(manifest).map_err(|error| format!("{error}: {manifest}"))?;
    let mut references: Vec<Reference> = Vec::new();
    if let Some(workload) = object.facts.workload() {
        references.extend(workload.references.iter().cloned());
    }
    if let Some(referrer) = object.facts.referrer() {
        references.extend(referrer.references.iter().cloned());
    }
    for field in policy.into_iter().flat_map(|policy| policy.references.of(&object.key)) {
        references.extend(field.read(manifest)?);
    }
    Ok(references.iter().any(|reference| reference.name == CANARY))
}

fn schema(group: &str, kind: &str, properties: &Value) -> Value {
    let own = json!([{"group": group, "version": "v1", "kind": kind}]);
    json!({"components": {"schemas": {
        "Top": {"type": "object", "x-kubernetes-group-version-kind": own, "properties": properties},
        "io.k8s.api.core.v1.LocalObjectReference": {"type": "object", "properties": {"name": {"type": "string"}}},
        "Loop": {"type": "object", "properties": {
            "again": {"$ref": "#/components/schemas/Loop"}, "secretRef": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.LocalObjectReference"}], "default": {}}}},
    }}})
}

#[test]
fn a_field_that_nobody_reads_is_told() -> Outcome {
    let text = json!({"type": "string"});
    let cases: [(&str, &str, Value, &[&str]); 7] = [
        (
            "",
            "Pod",
            json!({"spec": {"properties": {"newSecretName": text}}}),
            &["v1 Pod.spec.newSecretName"],
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"properties": {"more": {"type": "array", "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.LocalObjectReference"}}}}}),
            &["apps/v1 Deployment.spec.more[*].name"],
        ),
        (
            "x.io",
            "Loop",
            json!({"spec": {"$ref": "#/components/schemas/Loop"}}),
            &["x.io/v1 Loop.spec.secretRef.name"],
        ),
        (
            "x.io",
            "Map",
            json!({"spec": {"additionalProperties": {"properties": {"configMaps": {"type": "array", "items": text}}}}}),
            &["x.io/v1 Map.spec.*.configMaps[*]"],
        ),
        // What a decoder reads, of a kind that has none: as if it had been taken out.
        (
            "x.io",
            "Deployment",
            json!({"spec": {"properties": {"template": {"properties": {"spec": {"properties": {"volumes": {"type": "array", "items": {"properties": {
                "secret": {"type": "object", "properties": {"secretName": text}}}}}}}}}}}}),
            &["x.io/v1 Deployment.spec.template.spec.volumes[*].secret.secretName"],
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"properties": {"template": {"properties": {"spec": {"properties": {"volumes": {"type": "array", "items": {"properties": {
                "secret": {"type": "object", "properties": {"secretName": text}}}}}}}}}}}}),
            &[],
        ),
        (
            "x.io",
            "Flags",
            json!({"spec": {"properties": {"useSecrets": {"type": "boolean"}, "secretMode": {"type": "integer"}}}}),
            &[],
        ),
    ];
    for (group, kind, properties, expected) in cases {
        let found = candidates(&schema(group, kind, &properties));
        let told = uncovered(&found, None)?;
        assert_eq!(told.len(), expected.len(), "{kind}: {told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(&format!("{expected} isn't read: ")), "{told}");
        }
    }
    Ok(())
}

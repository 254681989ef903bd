//! Cases of decoding: every field that names a Secret or ConfigMap with its path, placement, the agent kinds, and what is refused.

use serde_json::{Value, json};

use super::{DecodeError, Kind, decode, from_value, items};
use crate::object::pod::{ClaimUse, NodeTerm, Toleration, Workload};
use crate::object::rbac::Requirement;
use crate::object::reference::Reference;
use crate::object::{Facts, Object, ObjectKey};

mod agent;
mod documented;
mod referrer;
mod scheduling;

/// Decodes both ways, which must agree.
fn object(value: &Value) -> Object {
    let decoded = from_value(value).unwrap_or_else(|error| panic!("{error}: {value}"));
    let text = |name: &str| value[name].as_str().expect(name);
    let kind = Kind::new(text("apiVersion"), text("kind"));
    let from_bytes = decode(&kind, value.to_string().as_bytes()).expect("the same from bytes");
    assert_eq!(decoded, from_bytes);
    decoded
}

fn workload(value: &Value) -> Workload {
    let Facts::Workload(workload) = object(value).facts else { panic!("no workload: {value}") };
    *workload
}

/// `Kind namespace/name at path`.
fn show(reference: &Reference) -> String {
    let Reference { kind, namespace, name, path, .. } = reference;
    format!("{kind} {namespace}/{name} at {path}")
}

fn references(value: &Value) -> Vec<String> {
    let decoded = object(value).facts;
    if let Facts::Workload(workload) = &decoded {
        return workload.references.iter().map(show).collect();
    }
    let Facts::Referrer(referrer) = &decoded else { return Vec::new() };
    referrer.references.iter().map(show).collect()
}

/// `apiVersion`, kind, where its pod spec is.
const TEMPLATES: [(&str, &str, &[&str]); 9] = [
    ("v1", "Pod", &["spec"]),
    ("v1", "PodTemplate", &["template", "spec"]),
    ("v1", "ReplicationController", &["spec", "template", "spec"]),
    ("apps/v1", "Deployment", &["spec", "template", "spec"]),
    ("apps/v1", "ReplicaSet", &["spec", "template", "spec"]),
    ("apps/v1", "StatefulSet", &["spec", "template", "spec"]),
    ("apps/v1", "DaemonSet", &["spec", "template", "spec"]),
    ("batch/v1", "Job", &["spec", "template", "spec"]),
    ("batch/v1", "CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

/// A manifest of a kind around a pod spec.
fn around(version: &str, kind: &str, steps: &[&str], spec: Value) -> Value {
    let inner = steps.iter().rev().fold(spec, |inner, step| {
        let mut outer = serde_json::Map::new();
        outer.insert((*step).to_owned(), inner);
        Value::Object(outer)
    });
    let mut manifest = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "n"}});
    manifest[steps[0]] = inner[steps[0]].clone();
    manifest
}

/// Builds the value at a path such as `volumes[1].secret.secretName`, with empty objects before each index.
fn at_path(path: &str, leaf: Value) -> Value {
    path.rsplit('.').fold(leaf, |inner, step| match step.split_once('[') {
        None => json!({ step: inner }),
        Some((name, index)) => {
            let index: usize = index.trim_end_matches(']').parse().expect("an index");
            let mut items = vec![Value::Null; index];
            items.push(inner);
            json!({ name: items })
        }
    })
}

/// The 26 fields of a pod spec: 18 of Secrets, 8 of ConfigMaps (`pkg/api/v1/pod` visitors, Kubernetes 1.35).
const POD_FIELDS: [(&str, &str); 26] = [
    ("Secret", "containers[1].env[0].valueFrom.secretKeyRef.name"),
    ("Secret", "initContainers[0].env[2].valueFrom.secretKeyRef.name"),
    ("Secret", "ephemeralContainers[0].env[0].valueFrom.secretKeyRef.name"),
    ("Secret", "containers[0].envFrom[1].secretRef.name"),
    ("Secret", "initContainers[1].envFrom[0].secretRef.name"),
    ("Secret", "ephemeralContainers[2].envFrom[0].secretRef.name"),
    ("Secret", "imagePullSecrets[1].name"),
    ("Secret", "volumes[0].secret.secretName"),
    ("Secret", "volumes[2].projected.sources[1].secret.name"),
    ("Secret", "volumes[0].azureFile.secretName"),
    ("Secret", "volumes[0].cephfs.secretRef.name"),
    ("Secret", "volumes[0].cinder.secretRef.name"),
    ("Secret", "volumes[0].flexVolume.secretRef.name"),
    ("Secret", "volumes[3].rbd.secretRef.name"),
    ("Secret", "volumes[0].scaleIO.secretRef.name"),
    ("Secret", "volumes[0].iscsi.secretRef.name"),
    ("Secret", "volumes[0].storageos.secretRef.name"),
    ("Secret", "volumes[1].csi.nodePublishSecretRef.name"),
    ("ConfigMap", "containers[0].env[0].valueFrom.configMapKeyRef.name"),
    ("ConfigMap", "initContainers[0].env[0].valueFrom.configMapKeyRef.name"),
    ("ConfigMap", "ephemeralContainers[0].env[0].valueFrom.configMapKeyRef.name"),
    ("ConfigMap", "containers[0].envFrom[0].configMapRef.name"),
    ("ConfigMap", "initContainers[0].envFrom[0].configMapRef.name"),
    ("ConfigMap", "ephemeralContainers[0].envFrom[0].configMapRef.name"),
    ("ConfigMap", "volumes[0].configMap.name"),
    ("ConfigMap", "volumes[0].projected.sources[0].configMap.name"),
];

#[test]
fn every_field_of_a_pod_in_every_kind_that_embeds_one() {
    for (version, kind, steps) in TEMPLATES {
        for (what, field) in POD_FIELDS {
            let manifest = around(version, kind, steps, at_path(field, json!("x")));
            let expected = format!("{what} /x at $.{}.{field}", steps.join("."));
            assert_eq!(references(&manifest), [expected], "{kind} {field}");
        }
    }
}

#[test]
fn optional_and_unnamed_references_and_several_sources_of_one_volume_all_count() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "spec": {
    "containers": [{"envFrom": [{"secretRef": {"name": "a", "optional": true}}, {"secretRef": {}}]}],
    "volumes": [
        {"name": "v", "secret": {"secretName": "b"}, "configMap": {"name": "c"},
         "projected": {"sources": [{"secret": {"name": "d"}, "configMap": {"name": "e"}}]}},
        {"name": "v", "secret": {"secretName": "f"}},
        {"name": "s", "secret": {}},
        {"name": "n", "secret": null},
        {"name": "fs", "cephfs": {"secretFile": "/etc/ceph"}},
        {"name": "azure", "csi": {"driver": "file.csi.azure.com",
         "volumeAttributes": {"secretName": "g", "secretnamespace": "team-b", "server": "h"}}},
    ]}});
    let expected = [
        "Secret /b at $.spec.volumes[0].secret.secretName",
        "ConfigMap /c at $.spec.volumes[0].configMap.name",
        "Secret /d at $.spec.volumes[0].projected.sources[0].secret.name",
        "ConfigMap /e at $.spec.volumes[0].projected.sources[0].configMap.name",
        "Secret /f at $.spec.volumes[1].secret.secretName",
        "Secret / at $.spec.volumes[2].secret.secretName",
        "Secret team-b/g at $.spec.volumes[5].csi.volumeAttributes.secretName",
        "Secret /a at $.spec.containers[0].envFrom[0].secretRef.name",
        "Secret / at $.spec.containers[0].envFrom[1].secretRef.name",
    ];
    assert_eq!(references(&manifest), expected);
}

#[test]
fn kinds_are_known_in_any_version() {
    let versions = [
        ("apps/v1beta1", "Deployment"),
        ("apps/v1beta2", "StatefulSet"),
        ("extensions/v1beta1", "Deployment"),
        ("extensions/v1beta1", "DaemonSet"),
        ("extensions/v1beta1", "ReplicaSet"),
        ("apps/v99", "ReplicaSet"),
    ];
    let spec = json!({"imagePullSecrets": [{"name": "x"}]});
    for (version, kind) in versions {
        let manifest = around(version, kind, &["spec", "template", "spec"], spec.clone());
        assert_eq!(
            references(&manifest),
            ["Secret /x at $.spec.template.spec.imagePullSecrets[0].name"]
        );
    }
    let steps = ["spec", "jobTemplate", "spec", "template", "spec"];
    for version in ["batch/v1beta1", "batch/v2alpha1"] {
        assert_eq!(references(&around(version, "CronJob", &steps, spec.clone())).len(), 1);
    }
    // A custom kind of the same name is another kind.
    let other = around("example.com/v1", "Deployment", &["spec", "template", "spec"], spec);
    assert_eq!(object(&other).facts, Facts::MetaOnly);
}

#[test]
fn a_template_that_is_absent_is_an_empty_pod() {
    let cases = [json!({"spec": {"replicas": 1}}), json!({"spec": {"template": null}}), json!({})];
    for mut manifest in cases {
        manifest["apiVersion"] = json!("v1");
        manifest["kind"] = json!("ReplicationController");
        let found = workload(&manifest);
        assert_eq!(found.spec_path, "$.spec.template.spec");
        assert_eq!(found.meta_path, "$.spec.template.metadata");
        assert!(found.references.is_empty());
    }
}

#[test]
fn claims_and_claim_templates() {
    let manifest = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {
    "volumeClaimTemplates": [null, {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
        "spec": {"storageClassName": "new", "volumeName": "pv"}}],
    "template": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"volumes": [
        {"persistentVolumeClaim": {"claimName": "data"}},
        {"ephemeral": {"volumeClaimTemplate": {"spec": {
            "storageClassName": "fast", "dataSourceRef": {"kind": "VolumeSnapshot", "name": "s", "namespace": "other"}}}}},
        {"persistentVolumeClaim": {"claimName": "cache", "readOnly": true}},
    ]}}}});
    let found = workload(&manifest);
    let used = |index: usize, name: &str, read_only| {
        let path = format!("$.spec.template.spec.volumes[{index}].persistentVolumeClaim.claimName");
        ClaimUse { name: name.to_owned(), path, read_only }
    };
    assert_eq!(found.claims, [used(0, "data", false), used(2, "cache", true)]);
    let shown: Vec<_> = found
        .claim_templates
        .iter()
        .map(|c| {
            [&c.path, &c.volume_name, &c.storage_class, &c.data_source_namespace]
                .map(String::as_str)
        })
        .collect();
    let ephemeral = "$.spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec";
    let expected = [
        [ephemeral, "", "fast", "other"],
        ["$.spec.volumeClaimTemplates[1].spec", "pv", "old", ""],
    ];
    assert_eq!(shown, expected);
    assert_eq!(found.pod_labels, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(found.pod_annotations, [("c".to_owned(), "d".to_owned())]);
}

#[test]
fn suspension() {
    let job = |suspend: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": suspend}});
    let cases = [
        (job(json!(true)), true),
        (job(json!(false)), false),
        (job(Value::Null), false),
        (
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"suspend": true}}}}),
            true,
        ),
        (json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"suspend": true}}), true),
    ];
    for (manifest, expected) in cases {
        assert_eq!(workload(&manifest).suspended, expected, "{manifest}");
    }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> Requirement {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Requirement { key: key.to_owned(), operator: operator.to_owned(), values }
}

#[test]
fn placement_in_every_kind() {
    let spec = json!({
        "serviceAccountName": "runner", "serviceAccount": "other", "nodeName": "n1",
        "nodeSelector": {"pool": "trusted"}, "runtimeClassName": "kata", "priorityClassName": "high",
        "schedulerName": "mine", "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "p"}],
        "tolerations": [null, {"key": "pool", "operator": "Equal", "value": "trusted", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["trusted"]}]},
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, null]},
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}}]}},
    });
    let tolerated = Toleration {
        key: "pool".to_owned(),
        operator: "Equal".to_owned(),
        value: "trusted".to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    for (version, kind, steps) in TEMPLATES {
        let found = workload(&around(version, kind, steps, spec.clone())).placement;
        assert_eq!(found.service_account.as_deref(), Some("runner"), "{kind}");
        assert_eq!(found.service_account_alias.as_deref(), Some("other"));
        assert_eq!(found.node_name.as_deref(), Some("n1"));
        assert_eq!(found.node_selector, [("pool".to_owned(), "trusted".to_owned())]);
        assert_eq!(found.tolerations, [Toleration::default(), tolerated.clone()]);
        assert_eq!(found.runtime_class.as_deref(), Some("kata"));
        assert_eq!(found.priority_class.as_deref(), Some("high"));
        assert_eq!((found.scheduler.as_str(), found.automount), ("mine", Some(false)));
        assert_eq!(found.image_pull_secrets, ["p"]);
        assert!(found.has_affinity);
        let term = |expressions, fields| NodeTerm { expressions, fields };
        let terms = vec![
            term(vec![requirement("pool", "In", &["trusted"])], Vec::new()),
            term(Vec::new(), vec![requirement("metadata.name", "In", &["n1"])]),
            NodeTerm::default(),
        ];
        assert_eq!(found.node_affinity, Some(terms));
        assert_eq!(found.preferred, [term(vec![requirement("pool", "Exists", &[])], Vec::new())]);
    }
}

#[test]
fn service_account_and_its_deprecated_alias() {
    let cases: [(Value, Option<&str>, Option<&str>); 5] = [
        (json!({}), None, None),
        (json!({"serviceAccountName": "a"}), Some("a"), None),
        (json!({"serviceAccountName": "a", "serviceAccount": "a"}), Some("a"), None),
        (json!({"serviceAccount": "b"}), Some("b"), Some("b")),
        (json!({"serviceAccountName": "", "serviceAccount": "b"}), Some("b"), Some("b")),
    ];
    for (spec, name, alias) in cases {
        let found = workload(&json!({"apiVersion": "v1", "kind": "Pod", "spec": spec})).placement;
        let shown = (found.service_account.as_deref(), found.service_account_alias.as_deref());
        assert_eq!(shown, (name, alias), "{spec}");
    }
}

#[test]
fn metadata() {
    let found = object(
        &json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "data": {"token": "c2VjcmV0"},
        "metadata": {"name": "s", "namespace": "n", "uid": "u", "labels": {"a": null}, "deletionTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"k": "v", "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"token\":\"c2VjcmV0\"}}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "x", "controller": true}]}}),
    );
    assert_eq!(found.key, ObjectKey::new("", "Secret", "n", "s"));
    assert_eq!(found.facts, Facts::MetaOnly);
    assert!(found.meta.deleting);
    assert_eq!(found.meta.labels.get("a").map(String::as_str), Some(""));
    let owner = found.meta.controller().expect("a controller");
    assert_eq!((owner.group.as_str(), owner.uid.as_str()), ("apps", "x"));
    // No value of a Secret is kept, not even the copy that `kubectl apply` makes.
    assert!(!format!("{found:?}").contains("c2VjcmV0"));
}

#[test]
fn another_shape_is_an_error_that_names_the_field() {
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": spec});
    let cases = [
        (
            pod(json!({"containers": [{"env": [{"valueFrom": []}]}]})),
            "`$.spec.containers[0].env[0].valueFrom`",
        ),
        (pod(json!({"volumes": {"secret": 1}})), "`$.spec.volumes`"),
        (
            pod(json!({"volumes": [{"secret": {"secretName": 7}}]})),
            "`$.spec.volumes[0].secret.secretName`",
        ),
        (pod(json!({"nodeSelector": {"a": 1}})), "`$.spec.nodeSelector.a`"),
        (pod(json!(["x"])), "`$.spec`"),
        (
            pod(json!({"automountServiceAccountToken": "false"})),
            "`$.spec.automountServiceAccountToken`",
        ),
        (json!({"apiVersion": "v1", "kind": "Pod", "metadata": "x"}), "`$.metadata`"),
        (
            json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "spec": {"template": "x"}}),
            "`$.spec.template`",
        ),
        (
            json!({"apiVersion": "rbac.authorization.k8s.io/v1beta1", "kind": "Role", "rules": [{"verbs": "*"}]}),
            "`$.rules[0].verbs`",
        ),
        (
            json!({"apiVersion": "kradle.a5c.ai/v2", "kind": "RunnerPool", "spec": {"nodeSelector": "x"}}),
            "`$.spec.nodeSelector`",
        ),
        (
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "parameters": []}),
            "`$.parameters`",
        ),
    ];
    for (manifest, field) in cases {
        let found = from_value(&manifest).expect_err(field).to_string();
        assert!(found.contains(field), "{found}");
        let text = |name: &str| manifest[name].as_str().expect(name);
        let kind = Kind::new(text("apiVersion"), text("kind"));
        let found = decode(&kind, manifest.to_string().as_bytes()).expect_err(field).to_string();
        assert!(found.contains(field), "{found}");
    }
    let kind = Kind::new("v1", "Pod");
    for broken in ["", "{", "[]", "7", "{} {}"] {
        assert!(
            matches!(decode(&kind, broken.as_bytes()), Err(DecodeError::Shape { .. })),
            "{broken}"
        );
    }
    assert_eq!(from_value(&json!({"kind": "Pod"})), Err(DecodeError::NoKind));
}

/// Where one of these shapes belongs, people write the credential itself: it is not for the answer, nor for the audit.
#[test]
fn an_error_repeats_no_value() {
    let canary = "ghp_canary, expected a list";
    let found = |value: &Value| {
        let kind = Kind::new(
            value["apiVersion"].as_str().expect("one"),
            value["kind"].as_str().expect("one"),
        );
        let from_bytes = decode(&kind, value.to_string().as_bytes()).map(|_| ());
        [from_value(value).map(|_| ()), from_bytes]
    };
    let mut told = 0;
    for (kind, version, fields) in [
        (
            "AgentMcpServer",
            "krate.a5c.ai/v1",
            &["secretRefs", "envRefs", "headerRefs", "allowedAgentStacks", "requiredRoles"][..],
        ),
        (
            "AgentSecretGrant",
            "krate.a5c.ai/v1",
            &["subject", "secretRef", "mountPolicy", "allowedRefs"],
        ),
        (
            "Pod",
            "v1",
            &[
                "containers",
                "volumes",
                "nodeSelector",
                "automountServiceAccountToken",
                "tolerations",
            ],
        ),
        ("PersistentVolume", "v1", &["csi", "claimRef", "nodeAffinity"]),
    ] {
        for field in fields {
            for value in [
                json!(canary),
                json!([canary]),
                json!([[canary]]),
                json!({"a": [canary]}),
                json!([{"secretRef": [canary]}]),
                json!({"name": 5_150_515}),
                json!(5_150_515),
                json!(5_150.515),
            ] {
                let manifest =
                    json!({"apiVersion": version, "kind": kind, "spec": {*field: value}});
                for error in found(&manifest).into_iter().filter_map(Result::err) {
                    let said = error.to_string();
                    assert!(!said.contains("canary") && !said.contains("5150"), "{said}");
                    assert!(said.contains("`$.spec.") && said.contains("expected "), "{said}");
                    told += 1;
                }
            }
        }
    }
    assert!(told > 100, "{told}");
    let secrets = json!({"apiVersion": "krate.a5c.ai/v1", "kind": "AgentMcpServer", "spec": {"secretRefs": "ghp_x"}});
    for error in found(&secrets) {
        let said = error.expect_err("no list").to_string();
        assert_eq!(said, "AgentMcpServer: `$.spec.secretRefs`: expected a list, found a string");
    }
}

#[test]
fn field_names_are_case_sensitive_and_unknown_ones_ignored() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "spec": {
        "NodeName": "x", "future": {"deep": [1]}, "volumes": [{"Secret": {"secretName": "a"}, "secret": {"SecretName": "b"}}]}});
    assert_eq!(references(&manifest), ["Secret / at $.spec.volumes[0].secret.secretName"]);
    assert_eq!(workload(&manifest).placement.node_name, None);
}

#[test]
fn lists_are_taken_apart() {
    let kinds = |value: &Value| -> Vec<String> {
        let found = items(value).expect("a list");
        found
            .iter()
            .map(|item| from_value(item).map_or_else(|e| e.to_string(), |o| o.key.to_string()))
            .collect()
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}]},
        {"metadata": {"name": "c"}}]});
    assert_eq!(kinds(&list), ["Pod a", "Secret b", "expected `apiVersion` and `kind`"]);
    let typed = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleList", "metadata": {"resourceVersion": "1"},
        "items": [{"metadata": {"name": "r"}}]});
    assert_eq!(kinds(&typed), ["Role.rbac.authorization.k8s.io r"]);
    assert_eq!(kinds(&json!({"apiVersion": "v1", "kind": "PodList", "items": null})), [""; 0]);
    let mut deep = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    for _ in 0..6 {
        deep = json!({"apiVersion": "v1", "kind": "List", "items": [deep]});
    }
    assert_eq!(kinds(&deep), ["`List` is a list of objects; expected one object"]);
    assert!(from_value(&list).is_err());
    // A custom kind may be called a list and hold items; it has a name.
    let custom = json!({"apiVersion": "example.com/v1", "kind": "AllowList", "metadata": {"name": "a"}, "items": []});
    assert!(items(&custom).is_none() && from_value(&custom).is_ok());
}

#[test]
fn tokens_and_certificates_that_volumes_project() {
    let sources = json!([
        {"serviceAccountToken": {"path": "token"}}, null,
        {"serviceAccountToken": {"path": "vault", "audience": "vault", "expirationSeconds": 600}},
        {"podCertificate": {"signerName": "example.com/spiffe", "keyType": "ED25519"}},
        {"configMap": {"name": "kube-root-ca.crt"}}]);
    for (version, kind, steps) in TEMPLATES {
        let spec = json!({"volumes": [{"name": "none"}, {"name": "v", "projected": {"sources": sources}}]});
        let found = workload(&around(version, kind, steps, spec));
        let path = format!("$.{}.volumes[1].projected.sources", steps.join("."));
        let tokens: Vec<_> = found
            .tokens
            .iter()
            .map(|token| (token.audience.as_str(), token.expiration_seconds, token.path.clone()))
            .collect();
        let expected = [
            ("", None, format!("{path}[0].serviceAccountToken")),
            ("vault", Some(600), format!("{path}[2].serviceAccountToken")),
        ];
        assert_eq!(tokens, expected, "{kind}");
        assert_eq!(found.certificates.len(), 1, "{kind}");
        assert_eq!(found.certificates[0].signer, "example.com/spiffe");
        assert_eq!(found.certificates[0].path, format!("{path}[3].podCertificate"));
    }
    for (written, expected) in
        [(json!(false), Some(false)), (json!(true), Some(true)), (Value::Null, None)]
    {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": written});
        let Facts::Referrer(found) = object(&account).facts else { panic!("a referrer") };
        assert_eq!(found.automount, expected);
    }
}

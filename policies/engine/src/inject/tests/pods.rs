//! What a pod becomes.

use pinfold_model::finding::{Finding, RuleId};
use serde_json::{Value, json};

use super::fixture::{BASE, Cluster, REPLICA_SETS, cluster, patched, pod};
use crate::organization::fixture::{NOW, request};

fn plain() -> Cluster {
    cluster("", &[BASE])
}

fn names<'v>(pod: &'v Value, list: &str) -> Vec<&'v str> {
    let items = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

#[test]
fn guard_and_sidecar_come_first_and_are_proven() {
    let cluster = plain();
    let mut own = pod();
    own["spec"]["initContainers"] = json!([{"name": "setup", "image": "i"}]);
    own["spec"]["volumes"] = json!([{"name": "work", "emptyDir": {}}]);
    let mutated = cluster.mutated("dev", &own);
    assert_eq!(names(&mutated, "initContainers"), ["pinfold-guard", "pinfold-sidecar", "setup"]);
    assert_eq!(
        names(&mutated, "volumes"),
        ["work", "pinfold-policy", "pinfold-state", "pinfold-tmp"]
    );
    let guard = &mutated["spec"]["initContainers"][0];
    assert_eq!(
        guard["args"],
        json!(["guard", "--uid=64646", "--loopback-port=5432", "--loopback-port=8080"])
    );
    assert_eq!(
        guard["securityContext"]["capabilities"],
        json!({"drop": ["ALL"], "add": ["NET_ADMIN"]})
    );
    let sidecar = &mutated["spec"]["initContainers"][1];
    assert_eq!(
        (&sidecar["restartPolicy"], &sidecar["securityContext"]["runAsUser"]),
        (&json!("Always"), &json!(64646))
    );
    assert_eq!(sidecar["image"], "registry.example/pinfold-sidecar:1");
    let text = mutated["metadata"]["annotations"]["pinfold.dev/policy"].as_str().expect("a policy");
    let digest = pinfold_model::digest::Digest::of(text.as_bytes()).to_string();
    assert_eq!(mutated["metadata"]["annotations"]["pinfold.dev/policy-digest"], digest.as_str());
    assert_eq!(cluster.refused("dev", &mutated), [""; 0]);
    // The twin that nobody mutated.
    let refused = cluster.refused("dev", &own);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("either mutation wasn't asked"), "{refused:?}");
}

#[test]
fn containers_are_hardened_where_nobody_says_anything() {
    let mut own = pod();
    own["spec"]["containers"] = json!([
        {"name": "bare", "image": "i"},
        {"name": "spoken", "image": "i", "securityContext": {"allowPrivilegeEscalation": true, "readOnlyRootFilesystem": false, "capabilities": {"drop": ["NET_RAW"], "add": ["CHOWN"]}}},
        {"name": "own-tmp", "image": "i", "volumeMounts": [{"name": "w", "mountPath": "/tmp/"}]},
        {"name": "privileged", "image": "i", "securityContext": {"privileged": true}}]);
    own["spec"]["volumes"] = json!([{"name": "w", "emptyDir": {}}]);
    let mutated = plain().mutated("dev", &own);
    let of = |at: usize| mutated["spec"]["containers"][at].clone();
    assert_eq!(
        of(0)["securityContext"],
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true})
    );
    assert_eq!(
        of(0)["volumeMounts"],
        json!([{"name": "pinfold-tmp", "mountPath": "/tmp", "subPath": "bare"}])
    );
    assert_eq!(of(1), own["spec"]["containers"][1]);
    assert_eq!(of(2)["volumeMounts"], own["spec"]["containers"][2]["volumeMounts"]);
    assert_eq!(of(3)["securityContext"].get("allowPrivilegeEscalation"), None);
    assert_eq!(
        mutated["spec"]["securityContext"],
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
    );
    // S3: what a user says of the pod stays, and no opt-out of his is known.
    own["spec"]["securityContext"] =
        json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}});
    own["metadata"]["labels"] =
        json!({"sidecar.istio.io/inject": "false", "pinfold.dev/inject": "false"});
    own["metadata"]["annotations"] = json!({"pinfold.dev/inject": "none"});
    let mutated = plain().mutated("dev", &own);
    assert_eq!(mutated["spec"]["securityContext"], own["spec"]["securityContext"]);
    assert_eq!(names(&mutated, "initContainers"), ["pinfold-guard", "pinfold-sidecar"]);
}

#[test]
fn the_api_token_goes_unless_somebody_asks_for_it() {
    let token = json!({"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}});
    let mount = json!({"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true});
    let mut own = pod();
    own["spec"]["volumes"] = json!([token]);
    own["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
    let asked = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: agent, namespace: a}, automountServiceAccountToken: true}";
    let mutated = plain().mutated("dev", &own);
    assert_eq!(mutated["spec"]["automountServiceAccountToken"], false);
    assert!(!names(&mutated, "volumes").contains(&"kube-api-access-x"));
    for (lines, set) in [(asked, None), ("", Some(true))] {
        let mut own = own.clone();
        if let Some(set) = set {
            own["spec"]["automountServiceAccountToken"] = set.into();
        }
        let cluster = cluster(lines, &[BASE]);
        let mutated = cluster.mutated("dev", &own);
        assert!(names(&mutated, "volumes").contains(&"kube-api-access-x"));
        // Admission mounts it into the sidecar too, when it is asked again.
        let mut again = mutated;
        again["spec"]["initContainers"][1]["volumeMounts"]
            .as_array_mut()
            .expect("mounts")
            .push(mount.clone());
        assert_eq!(cluster.mutation("dev", &again).patch, []);
        assert_eq!(cluster.refused("dev", &again), [""; 0]);
    }
}

#[test]
fn only_new_pods_of_agents_are_changed() {
    let cluster = plain();
    let untouched = |document: &Value| cluster.mutation("dev", document).patch.is_empty();
    let spec = pod()["spec"].clone();
    // S12: no workload's template is written; its pods are.
    let workloads = [
        ("apps/v1", "Deployment", json!({"template": {"spec": spec}})),
        ("apps/v1", "ReplicaSet", json!({"template": {"spec": spec}})),
        ("apps/v1", "StatefulSet", json!({"template": {"spec": spec}})),
        ("apps/v1", "DaemonSet", json!({"template": {"spec": spec}})),
        ("batch/v1", "Job", json!({"template": {"spec": spec}})),
        ("batch/v1", "CronJob", json!({"jobTemplate": {"spec": {"template": {"spec": spec}}}})),
    ];
    for (version, kind, spec) in workloads {
        let document = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "a"}, "spec": spec});
        assert!(untouched(&document), "{kind}");
        assert_eq!(cluster.refused("dev", &document), [""; 0], "{kind}");
    }
    let mut owned = pod();
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "of-coder", "uid": "u-rs", "controller": true}]);
    let mutated = cluster.mutated(REPLICA_SETS, &owned);
    assert_eq!(cluster.refused(REPLICA_SETS, &mutated), [""; 0]);
    let mut elsewhere = pod();
    elsewhere["metadata"]["namespace"] = "plain".into();
    assert!(untouched(&elsewhere));
    assert_eq!(cluster.refused("dev", &elsewhere), [""; 0]);
    let off = Cluster {
        policy: {
            let mut policy = super::fixture::policy(&[BASE]);
            policy.inject.profile = pinfold_model::policy::inject::Profile::None;
            policy
        },
        view: super::fixture::cluster("", &[]).view,
    };
    assert!(off.mutation("dev", &pod()).patch.is_empty());
    assert_eq!(off.refused("dev", &pod()), [""; 0]);
}

#[test]
fn names_of_ours_that_a_user_declares_are_refused_where_they_stand() {
    let cluster = plain();
    let cases = [
        (
            "initContainers",
            json!([{"name": "pinfold-sidecar", "image": "evil"}]),
            "$.spec.initContainers[0].name",
        ),
        (
            "containers",
            json!([{"name": "a", "image": "i"}, {"name": "pinfold-guard", "image": "evil"}]),
            "$.spec.containers[1].name",
        ),
        (
            "volumes",
            json!([{"name": "pinfold-secrets", "secret": {"secretName": "s"}}]),
            "$.spec.volumes[0].name",
        ),
    ];
    for (list, items, path) in cases {
        let mut own = pod();
        own["spec"][list] = items;
        let mutation = cluster.mutation("dev", &own);
        assert_eq!(mutation.notes[0].path, path);
        let left = super::fixture::apply(&own, &mutation);
        assert_eq!(names(&left, list), names(&own, list), "what clashes is left alone");
        let refused = cluster.refused("dev", &left);
        assert!(refused[0].starts_with(path) && refused.len() == 1, "{refused:?}");
        let decision = cluster.decision("dev", &left, None);
        let told = |one: &Finding| one.rule != RuleId::POD_STANDARD;
        assert!(decision.denials().all(told), "what follows from it isn't told");
    }
    let mut own = pod();
    own["spec"]["volumes"] = json!([{"name": "pin", "emptyDir": {}}]);
    assert_eq!(cluster.refused("dev", &cluster.mutated("dev", &own)), [""; 0]);
}

/// Ways of undoing what was injected: where it is noticed, and the steps.
const UNDONE: &[(&str, &str)] = &[
    ("$.spec.initContainers[1]", r#"{"op": "remove", "path": "/spec/initContainers/1"}"#),
    (
        "$.spec.initContainers[0]",
        r#"{"op": "add", "path": "/spec/initContainers/0", "value": {"name": "first", "image": "i"}}"#,
    ),
    (
        "$.spec.initContainers[0].image",
        r#"{"op": "add", "path": "/spec/initContainers/0/image", "value": "evil"}"#,
    ),
    (
        "$.spec.initContainers[1].args",
        r#"{"op": "add", "path": "/spec/initContainers/1/args", "value": ["run", "--guard=off"]}"#,
    ),
    (
        "$.spec.initContainers[1].env",
        r#"{"op": "add", "path": "/spec/initContainers/1/env", "value": [{"name": "PINFOLD_GUARD", "value": "off"}]}"#,
    ),
    (
        "$.spec.initContainers[1].command",
        r#"{"op": "add", "path": "/spec/initContainers/1/command", "value": ["sleep", "1d"]}"#,
    ),
    (
        "$.spec.initContainers[1].securityContext",
        r#"{"op": "add", "path": "/spec/initContainers/1/securityContext/runAsUser", "value": 1000}"#,
    ),
    (
        "$.spec.initContainers[1].restartPolicy",
        r#"{"op": "remove", "path": "/spec/initContainers/1/restartPolicy"}"#,
    ),
    (
        "$.spec.initContainers[1].startupProbe",
        r#"{"op": "remove", "path": "/spec/initContainers/1/startupProbe"}"#,
    ),
    (
        "$.spec.initContainers[1].volumeMounts",
        r#"{"op": "add", "path": "/spec/initContainers/1/volumeMounts/-", "value": {"name": "w", "mountPath": "/etc/ssl"}}"#,
    ),
    (
        "$.spec.initContainers[1].lifecycle",
        r#"{"op": "add", "path": "/spec/initContainers/1/lifecycle", "value": {"postStart": {"exec": {"command": ["x"]}}}}"#,
    ),
    (
        "$.spec.initContainers[1].resources",
        r#"{"op": "add", "path": "/spec/initContainers/1/resources/limits/memory", "value": "1Mi"}"#,
    ),
    ("$.spec.volumes", r#"{"op": "remove", "path": "/spec/volumes/0"}"#),
    (
        "$.spec.volumes",
        r#"{"op": "add", "path": "/spec/volumes/0", "value": {"name": "pinfold-policy", "configMap": {"name": "mine"}}}"#,
    ),
    (
        "$.spec.volumes[3]",
        r#"{"op": "add", "path": "/spec/volumes/-", "value": {"name": "pinfold-trust", "emptyDir": {}}}"#,
    ),
    (
        "$.spec.containers[0].volumeMounts",
        r#"{"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": {"name": "pinfold-state", "mountPath": "/x"}}"#,
    ),
    (
        "$.metadata.annotations['pinfold.dev/policy']",
        r#"{"op": "add", "path": "/metadata/annotations/pinfold.dev~1policy", "value": "{}"}"#,
    ),
    (
        "$.metadata.annotations['pinfold.dev/policy-subject']",
        r#"{"op": "add", "path": "/metadata/annotations/pinfold.dev~1policy-subject", "value": "{\"serviceAccount\":\"x\",\"stacks\":[\"a/coder\"]}"}"#,
    ),
];

#[test]
fn what_others_change_of_ours_is_put_right_and_else_refused() {
    let cluster = plain();
    let honest = cluster.mutated("dev", &pod());
    for (path, step) in UNDONE {
        let undone = patched(&honest, step);
        let refused = cluster.refused("dev", &undone);
        assert!(
            refused.iter().any(|one| one.starts_with(&format!("{path}: "))),
            "{path}: {refused:?}"
        );
        assert!(!cluster.decision("dev", &undone, None).allowed());
        let again = cluster.mutated("dev", &undone);
        assert_eq!(cluster.refused("dev", &again), [""; 0], "{path}");
    }
}

#[test]
fn what_the_api_server_adds_changes_nothing() {
    let cluster = plain();
    let mut stored = cluster.mutated("dev", &pod());
    let sidecar = &mut stored["spec"]["initContainers"][1];
    sidecar["imagePullPolicy"] = "Always".into();
    sidecar["resources"]["limits"]["cpu"] = "2".into();
    sidecar["securityContext"]["procMount"] = "Default".into();
    stored["spec"]["dnsPolicy"] = "ClusterFirst".into();
    assert_eq!(cluster.mutation("dev", &stored).patch, []);
    assert_eq!(cluster.refused("dev", &stored), [""; 0]);
}

#[test]
fn a_running_pod_gives_nobody_the_sidecars_volumes() {
    let cluster = plain();
    let running = cluster.mutated("dev", &pod());
    let mut debugged = running.clone();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "i", "volumeMounts": [{"name": "pinfold-state", "mountPath": "/x"}]}]);
    let refused = cluster.spoken(&cluster.decision("dev", &debugged, Some(&running)));
    assert!(refused[0].starts_with("$.spec.ephemeralContainers[0].volumeMounts"), "{refused:?}");
    let mut filled = pod();
    for (volume, expected) in [("pinfold-state", 1), ("pinfold-secrets", 1), ("work", 0)] {
        filled["spec"]["containers"][0]["env"] = json!([{"name": "E", "value": "x"}, {"name": "K", "valueFrom": {"fileKeyRef": {"volumeName": volume, "path": "x", "key": "k"}}}]);
        let refused = cluster.refused("dev", &cluster.mutated("dev", &filled));
        assert_eq!(refused.len(), expected, "{refused:?}");
        assert!(
            refused
                .iter()
                .all(|one| one.starts_with("$.spec.containers[0].env[1].valueFrom.fileKeyRef")),
            "{refused:?}"
        );
    }
    let mut labelled = running.clone();
    labelled["metadata"]["labels"] = json!({"team": "core"});
    assert_eq!(cluster.spoken(&cluster.decision("dev", &labelled, Some(&running))), [""; 0]);
    // PF-RBAC-008: the policy of a running pod is Pinfold's to change.
    let mut forged = running.clone();
    forged["metadata"]["annotations"]["pinfold.dev/policy"] = "{}".into();
    let decision = cluster.decision("dev", &forged, Some(&running));
    assert!(decision.findings.iter().any(|one| one.rule == RuleId::RBAC_OWN));
    let own = cluster.decision(
        "system:serviceaccount:pinfold-system:pinfold-webhook",
        &forged,
        Some(&running),
    );
    assert!(own.allowed(), "{own:?}");
}

/// Compared with what was there, not with what a pod would get now: another version made it with other resources.
#[test]
fn a_resize_leaves_our_containers_alone() {
    let cluster = plain();
    let mut running = cluster.mutated("dev", &pod());
    running["spec"]["initContainers"][1]["resources"] = json!({"limits": {"memory": "128Mi"}});
    let cases = [
        ("/spec/containers/0", json!({"limits": {"memory": "2Gi", "cpu": 1}}), 0),
        ("/spec/initContainers/1", json!({"limits": {"memory": "1Mi"}}), 1),
        ("/spec/initContainers/1", json!({}), 1),
        ("/spec/initContainers/0", json!({"limits": {"memory": "1Mi"}}), 1),
    ];
    for (place, resources, expected) in cases {
        let mut resized = running.clone();
        resized.pointer_mut(place).expect("a container")["resources"] = resources.clone();
        let mut facts = request("dev", &resized, Some(&running));
        facts.subresource = "resize".to_owned();
        let decision = crate::admit::admit(&facts, &cluster.view, &cluster.policy, NOW);
        let refused = cluster.spoken(&decision);
        assert_eq!(refused.len(), expected, "{place} {resources}: {refused:?}");
    }
}

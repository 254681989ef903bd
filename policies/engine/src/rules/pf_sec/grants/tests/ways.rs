//! Every way by which a workload uses a Secret or ConfigMap (research/seeds.md T-22, T-28 to T-33, T-42), granted and not.

use serde_json::{Value, json};

use super::{CONTROLLER, TO_CODER, cluster, grant as granting, pod};

/// A field of a pod spec that uses object `s`: its path below the spec, the spec, whether of a ConfigMap, and its mount policy.
type Field = (&'static str, Value, bool, &'static str);

const NOT_MOUNTED: &str = "never-mount-pass-by-reference";

fn environments() -> Vec<Field> {
    let env = |list: &str, field: &str| json!({list: [{"env": [{"name": "E"}, {"name": "K", "valueFrom": {field: {"name": "s", "key": "k"}}}]}]});
    let from = |list: &str, field: &str| json!({list: [{"envFrom": [{"prefix": "P", field: {"name": "s", "optional": true}}]}]});
    let (main, init, later) = ("containers", "initContainers", "ephemeralContainers");
    let rows = [
        ("containers[0].env[1].valueFrom.secretKeyRef.name", env(main, "secretKeyRef"), false),
        ("initContainers[0].env[1].valueFrom.secretKeyRef.name", env(init, "secretKeyRef"), false),
        (
            "ephemeralContainers[0].env[1].valueFrom.secretKeyRef.name",
            env(later, "secretKeyRef"),
            false,
        ),
        ("containers[0].envFrom[0].secretRef.name", from(main, "secretRef"), false),
        ("initContainers[0].envFrom[0].secretRef.name", from(init, "secretRef"), false),
        ("ephemeralContainers[0].envFrom[0].secretRef.name", from(later, "secretRef"), false),
        ("containers[0].env[1].valueFrom.configMapKeyRef.name", env(main, "configMapKeyRef"), true),
        ("initContainers[0].envFrom[0].configMapRef.name", from(init, "configMapRef"), true),
        ("ephemeralContainers[0].envFrom[0].configMapRef.name", from(later, "configMapRef"), true),
    ];
    rows.into_iter().map(|(path, spec, config)| (path, spec, config, "env")).collect()
}

fn volumes() -> Vec<Field> {
    let volume = |source: Value| json!({"volumes": [{"name": "v", "emptyDir": {}}, source]});
    let projected = |sources: Value| volume(json!({"projected": {"sources": sources}}));
    let plugin = |field: &str| volume(json!({field: {"secretRef": {"name": "s"}}}));
    let second = json!([{"downwardAPI": {}}, {"secret": {"name": "s"}}]);
    let csi = json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}});
    vec![
        (
            "volumes[1].secret.secretName",
            volume(json!({"secret": {"secretName": "s", "optional": true}})),
            false,
            "file",
        ),
        ("volumes[1].configMap.name", volume(json!({"configMap": {"name": "s"}})), true, "file"),
        (
            "volumes[1].projected.sources[1].secret.name",
            projected(second),
            false,
            "projected-volume",
        ),
        (
            "volumes[1].projected.sources[0].configMap.name",
            projected(json!([{"configMap": {"name": "s"}}])),
            true,
            "projected-volume",
        ),
        ("volumes[1].csi.nodePublishSecretRef.name", volume(csi), false, NOT_MOUNTED),
        ("volumes[1].flexVolume.secretRef.name", plugin("flexVolume"), false, NOT_MOUNTED),
        ("volumes[1].rbd.secretRef.name", plugin("rbd"), false, NOT_MOUNTED),
        (
            "volumes[1].azureFile.secretName",
            volume(json!({"azureFile": {"secretName": "s"}})),
            false,
            NOT_MOUNTED,
        ),
        (
            "imagePullSecrets[1].name",
            json!({"imagePullSecrets": [null, {"name": "s"}]}),
            false,
            NOT_MOUNTED,
        ),
    ]
}

/// Kinds with a pod template: version, kind, path to the template.
const TEMPLATES: [(&str, &str, &[&str]); 9] = [
    ("apps/v1", "Deployment", &["spec", "template"]),
    ("apps/v1", "ReplicaSet", &["spec", "template"]),
    ("apps/v1", "StatefulSet", &["spec", "template"]),
    ("apps/v1", "DaemonSet", &["spec", "template"]),
    ("v1", "ReplicationController", &["spec", "template"]),
    ("batch/v1", "Job", &["spec", "template"]),
    ("batch/v1", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("v1", "PodTemplate", &["template"]),
    ("v1", "Pod", &[]),
];

fn around(version: &str, kind: &str, steps: &[&str], spec: &Value) -> Value {
    let inner = json!({"spec": spec});
    let mut object = steps.iter().rev().fold(inner, |inner, step| json!({*step: inner}));
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    let metadata =
        json!({"name": "w", "namespace": "a", "labels": {"krate.a5c.ai/dispatch-run": "run-main"}});
    object["metadata"] = metadata;
    object
}

fn grants(policy: &str) -> String {
    let line = |kind: &str, field: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: g, namespace: a}}, spec: {{subject: {{kind: agent-stack, name: coder}}, {field}: {{name: s}}, mountPolicy: {policy}}}}}"
        )
    };
    let secret = line("AgentSecretGrant", "secretRef");
    if policy.starts_with("never") {
        return secret;
    }
    format!("{secret}\n{}", line("AgentConfigGrant", "configMapRef"))
}

#[test]
fn every_way_in_every_kind() {
    let bare = cluster("");
    for (path, mut spec, config, policy) in environments().into_iter().chain(volumes()) {
        spec["serviceAccountName"] = "coder".into();
        let rule = if config { "PF-SEC-003" } else { "PF-SEC-002" };
        let granted = cluster(&grants(policy));
        for (version, kind, steps) in TEMPLATES {
            let object = around(version, kind, steps, &spec);
            let at: Vec<&str> = ["$"].iter().chain(steps).chain(&["spec"]).copied().collect();
            let expected = format!("{rule} {}.{path}", at.join("."));
            assert_eq!(bare.found(CONTROLLER, &object), [expected], "{kind} {path}");
            assert!(granted.allows(CONTROLLER, &object), "{kind} {path}");
        }
        // Another way than the grant's.
        let other = if policy == "env" { "file" } else { "env" };
        let object = around("v1", "Pod", &[], &spec);
        let other = cluster(&grants(other)).found(CONTROLLER, &object);
        let mounted = !policy.starts_with("never");
        assert_eq!(other.is_empty(), !mounted, "{path}");
        assert!(other.iter().all(|found| found.starts_with("PF-SEC-005 ")), "{path} {other:?}");
    }
}

#[test]
fn pull_secrets_of_the_service_account() {
    let cluster = cluster("");
    let of = |account: &str| pod("run-main", &json!({"serviceAccountName": account}));
    assert_eq!(cluster.found(CONTROLLER, &of("puller")), ["PF-SEC-002 $.spec.serviceAccountName"]);
    assert!(cluster.allows(CONTROLLER, &of("kept")), "the AgentServiceAccount names it");
    assert!(cluster.allows(CONTROLLER, &of("gone")), "the API server refuses its pods");
}

#[test]
fn uses_of_one_object_are_told_once() {
    let spec = json!({"serviceAccountName": "coder", "containers": [{"env": [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}]}]});
    let found = cluster("").judge(CONTROLLER, &pod("run-main", &spec), None);
    let [one] = found.raw.as_slice() else { panic!("{:?}", found.raw) };
    assert!(one.message.contains("keys `a`, `b`"), "{}", one.message);
    assert!(one.message.contains("also at `$.spec.containers[0].env[1]"), "{}", one.message);
    assert!(one.remedy.contains(r#""keys":["a","b"]"#), "{}", one.remedy);
}

/// One workload with more uses than anybody needs is refused once; one with very many keys of one Secret is judged as one use.
#[test]
fn very_many_uses() {
    let env = |count: usize, name: &dyn Fn(usize) -> String| {
        let one = |at| json!({"name": "E", "valueFrom": {"secretKeyRef": {"name": name(at), "key": format!("k{at}")}}});
        let env: Vec<Value> = (0..count).map(one).collect();
        pod("", &json!({"serviceAccountName": "coder", "containers": [{"name": "c", "env": env}]}))
    };
    let cluster = cluster(&granting(&format!("{TO_CODER}, allowUntrustedRefs: true")));
    assert!(cluster.allows("dev", &env(25_000, &|_| "s".to_owned())));
    let most = super::super::uses::USES_MAX;
    assert!(cluster.found("dev", &env(most, &|at| format!("x{at}"))).len() > 1);
    assert_eq!(cluster.found("dev", &env(most + 1, &|at| format!("x{at}"))), ["PF-SEC-002 $"]);
}

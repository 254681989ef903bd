//! Every place of a pod, a template, a ConfigMap and an agent resource, each with its exact path.

use serde_json::{Value, json};

use super::{judged, paths, pod, secret};

/// Puts the value at a JSON pointer, making objects and lists on the way.
fn put(target: &mut Value, pointer: &str, value: Value) {
    let Some((step, rest)) = pointer.split_once('/') else {
        let slot = slot(target, pointer);
        *slot = value;
        return;
    };
    put(slot(target, step), rest, value);
}

fn slot<'v>(target: &'v mut Value, step: &str) -> &'v mut Value {
    if let Ok(index) = step.parse::<usize>() {
        if !target.is_array() {
            *target = json!([]);
        }
        let list = target.as_array_mut().expect("a list");
        while list.len() <= index {
            list.push(json!({}));
        }
        return &mut list[index];
    }
    if !target.is_object() {
        *target = json!({});
    }
    target.as_object_mut().expect("an object").entry(step.replace('~', "/")).or_insert(Value::Null)
}

#[test]
fn places_of_a_pod() {
    let places = [
        ("containers/0/env/3/value", "$.spec.containers[0].env[3].value"),
        ("initContainers/1/env/0/value", "$.spec.initContainers[1].env[0].value"),
        ("ephemeralContainers/0/env/0/value", "$.spec.ephemeralContainers[0].env[0].value"),
        ("containers/0/args/2", "$.spec.containers[0].args[2]"),
        ("containers/0/command/1", "$.spec.containers[0].command[1]"),
        (
            "containers/0/lifecycle/postStart/exec/command/1",
            "$.spec.containers[0].lifecycle.postStart.exec.command[1]",
        ),
        (
            "containers/0/lifecycle/preStop/httpGet/httpHeaders/0/value",
            "$.spec.containers[0].lifecycle.preStop.httpGet.httpHeaders[0].value",
        ),
        (
            "containers/0/livenessProbe/exec/command/0",
            "$.spec.containers[0].livenessProbe.exec.command[0]",
        ),
        (
            "containers/0/readinessProbe/httpGet/path",
            "$.spec.containers[0].readinessProbe.httpGet.path",
        ),
        (
            "containers/0/startupProbe/httpGet/httpHeaders/0/value",
            "$.spec.containers[0].startupProbe.httpGet.httpHeaders[0].value",
        ),
        ("volumes/0/csi/volumeAttributes/key", "$.spec.volumes[0].csi.volumeAttributes.key"),
        ("volumes/0/flexVolume/options/a.b", "$.spec.volumes[0].flexVolume.options['a.b']"),
    ];
    for (pointer, path) in places {
        let mut object = pod(&json!({}));
        put(&mut object["spec"], pointer, json!(format!("x {}", secret())));
        assert_eq!(paths(&object), [path]);
        let mut clean = pod(&json!({}));
        put(&mut clean["spec"], pointer, json!("x of a word"));
        assert!(paths(&clean).is_empty(), "{pointer}");
    }
    for (pointer, path) in [
        ("annotations/note", "$.metadata.annotations.note"),
        ("annotations/a.example~b", "$.metadata.annotations['a.example/b']"),
        ("labels/note", "$.metadata.labels.note"),
    ] {
        let mut object = pod(&json!({"containers": []}));
        put(&mut object["metadata"], pointer, json!(secret()));
        assert_eq!(paths(&object), [path]);
    }
}

#[test]
fn places_of_templates() {
    let kinds = [
        ("v1", "PodTemplate", "template"),
        ("v1", "ReplicationController", "spec/template"),
        ("apps/v1", "Deployment", "spec/template"),
        ("apps/v1", "ReplicaSet", "spec/template"),
        ("apps/v1", "StatefulSet", "spec/template"),
        ("apps/v1", "DaemonSet", "spec/template"),
        ("batch/v1", "Job", "spec/template"),
        ("batch/v1", "CronJob", "spec/jobTemplate/spec/template"),
    ];
    for (version, kind, at) in kinds {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "acme"}});
        put(
            &mut object,
            &format!("{at}/spec/containers/0/env/0"),
            json!({"name": "DB_PASSWORD", "value": "hunter2"}),
        );
        put(&mut object, &format!("{at}/metadata/annotations/note"), json!(secret()));
        let base = format!("$.{}", at.replace('/', "."));
        let expected = [
            format!("{base}.metadata.annotations.note"),
            format!("{base}.spec.containers[0].env[0].value"),
        ];
        assert_eq!(paths(&object), expected, "{kind}");
    }
}

#[test]
fn names_come_from_where_the_value_stands() {
    let yes = [
        json!({"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]}),
        json!({"containers": [{"args": ["--user", "app", "--password", "hunter2"]}]}),
        json!({"containers": [{"args": ["--password=hunter2"]}]}),
        json!({"containers": [{"command": ["sh", "-c", "login --password hunter2"]}]}),
        json!({"volumes": [{"csi": {"volumeAttributes": {"password": "hunter2"}}}]}),
    ];
    for spec in yes {
        assert_eq!(judged(&pod(&spec)).raw.len(), 1, "{spec}");
    }
    let no = [
        json!({"containers": [{"env": [{"name": "DB_USER", "value": "hunter2"}]}]}),
        json!({"containers": [{"env": [{"name": "DB_PASSWORD", "value": "$(OTHER)"}, {"name": "DB_PASSWORD_FILE", "value": "/run/p1"}]}]}),
        json!({"containers": [{"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db-1", "key": "password"}}}]}]}),
        json!({"containers": [{"args": ["--password", "--verbose", "hunter2"]}]}),
        json!({"containers": [{"args": ["--password-file", "hunter2"]}]}),
        json!({"imagePullSecrets": [{"name": "pull-1"}], "volumes": [{"name": "secret", "secret": {"secretName": "s3cr3t1"}}]}),
    ];
    for spec in no {
        assert!(judged(&pod(&spec)).raw.is_empty(), "{spec}");
    }
}

#[test]
fn places_of_other_kinds() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "acme"},
        "data": {"password": "hunter2", "app.yaml": "db:\n  password: hunter2\n", "ok": "x"},
        "binaryData": {"a.bin": "//8=", "b.txt": base64_of(&secret())}});
    assert_eq!(paths(&map), ["$.binaryData['b.txt']", "$.data.password", "$.data['app.yaml']"]);

    let applied = format!("{{\"spec\":{{\"a\":\"{}\"}}}}", secret());
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let of = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "m", "namespace": "acme", "annotations": annotations}});
    let path = "$.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']";
    assert_eq!(paths(&of("v1", "ConfigMap")), [path]);
    assert_eq!(paths(&of("v1", "ServiceAccount")), [path]);
    assert!(paths(&of("v1", "Secret")).is_empty(), "it is no wider than the Secret");
    let mut held = of("v1", "Secret");
    held["data"] = json!({"key": base64_of(&secret())});
    held["metadata"]["annotations"] = json!({"note": secret()});
    assert_eq!(
        paths(&held),
        ["$.metadata.annotations.note"],
        "what a Secret holds is its own matter"
    );

    let skill = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentSkill", "metadata": {"name": "s", "namespace": "acme", "annotations": {"a": secret()}},
        "spec": {"promptFragment": format!("use {} there", secret()), "list": [{"deep": [secret()]}], "apiKey": "a8F3kd92Lq71"}});
    assert_eq!(
        paths(&skill),
        [
            "$.metadata.annotations.a",
            "$.spec.apiKey",
            "$.spec.list[0].deep[0]",
            "$.spec.promptFragment"
        ]
    );
    let honest = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentStack", "metadata": {"name": "s", "namespace": "acme"},
        "spec": {"secretPolicy": {"allowedSecretRefs": ["model-key-2"]}, "runtimeIdentity": {"serviceAccountRef": "agent-1"}, "model": "claude-sonnet-4-5", "token": "model-key"}});
    assert!(paths(&honest).is_empty());
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

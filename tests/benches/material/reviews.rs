//! The requests: a pod of an agent, its object about 5 KB, and what the API server puts around any object.

use serde_json::{Value, json};

use super::Outcome;
use super::cluster::NAMESPACE;

/// What the pod's JSON should measure, in bytes, and how far it may be from that.
const POD_BYTES: usize = 5_000;
const POD_BYTES_OFF_MAX: usize = 250;

/// The controller creates a pod of trusted work on the trusted pool; it names seven Secrets and ConfigMaps of its own organization.
pub(crate) fn pod() -> Outcome<Vec<u8>> {
    let user = json!({"username": "system:serviceaccount:krate-system:krate-controller", "uid": "uid-krate-controller",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:krate-system", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/pod-name": ["krate-controller-7d9c5b6f4-x2x7k"]}});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": pod_metadata(), "spec": pod_spec(),
        "status": {"phase": "Pending", "qosClass": "Burstable"}});
    let found = serde_json::to_vec(&object)?.len();
    if found.abs_diff(POD_BYTES) > POD_BYTES_OFF_MAX {
        return Err(format!("the pod has {found} bytes, expected about {POD_BYTES}").into());
    }
    let names = Names { group: "", kind: "Pod", resource: "pods" };
    Ok(serde_json::to_vec(&review(&names, &user, &object))?)
}

/// Names of a kind.
pub(crate) struct Names {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) resource: &'static str,
}

/// A creation in the namespace, with all members that the API server sends.
pub(crate) fn review(names: &Names, user: &Value, object: &Value) -> Value {
    let Names { group, kind, resource } = names;
    let kind = json!({"group": group, "version": "v1", "kind": kind});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    let name = object.pointer("/metadata/name");
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "5b9f2f0e-4d1c-4f8e-9a53-0f8f4f2a9c11", "kind": kind, "resource": resource, "requestKind": kind,
        "requestResource": resource, "name": name, "namespace": NAMESPACE, "operation": "CREATE", "userInfo": user,
        "object": object, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "krate-controller"}}})
}

fn pod_metadata() -> Value {
    let set = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "name": "run-1-attempt-1", "namespace": NAMESPACE, "uid": "0c7f0e3e-6a0f-4c56-8d6f-6a4b4a8e7d21",
        "creationTimestamp": "2026-11-21T12:00:00Z",
        "labels": {"krate.a5c.ai/org": "acme", "krate.a5c.ai/dispatch-run": "run-1", "krate.a5c.ai/agent-stack": "ci-repair",
            "krate.a5c.ai/runner-pool": "trusted-linux", "app.kubernetes.io/name": "agent"},
        "annotations": {"krate.a5c.ai/attempt": "1", "prometheus.io/scrape": "true", "prometheus.io/port": "15090"},
        "ownerReferences": [{"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "name": "run-1", "uid": "uid-run-1",
            "controller": true, "blockOwnerDeletion": true}],
        "managedFields": [{"manager": "krate-controller", "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T12:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:annotations": set(&[".", "f:krate.a5c.ai/attempt"]),
                    "f:labels": set(&[".", "f:krate.a5c.ai/org", "f:krate.a5c.ai/dispatch-run", "f:app.kubernetes.io/name"])},
                "f:spec": set(&["f:containers", "f:initContainers", "f:nodeSelector", "f:restartPolicy", "f:securityContext",
                    "f:serviceAccountName", "f:tolerations", "f:volumes"])}}]})
}

fn pod_spec() -> Value {
    json!({
        "serviceAccountName": "runner-trusted", "serviceAccount": "runner-trusted", "automountServiceAccountToken": false,
        "nodeSelector": {"pool": "trusted", "kubernetes.io/os": "linux"},
        "tolerations": [{"key": "pool", "operator": "Equal", "value": "trusted", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "restartPolicy": "Never", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "priority": 0,
        "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "securityContext": {"runAsNonRoot": true, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": "secret-0"}],
        "initContainers": [container("checkout", 1)], "containers": [container("agent", 8), container("tools", 3)],
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": "10Gi"}},
            {"name": "tls", "secret": {"secretName": "secret-1", "defaultMode": 420}},
            {"name": "settings", "configMap": {"name": "settings", "defaultMode": 420}},
            {"name": "together", "projected": {"defaultMode": 420, "sources": [
                {"secret": {"name": "secret-2", "items": [{"key": "token", "path": "token"}]}},
                {"configMap": {"name": "settings", "items": [{"key": "a", "path": "a"}]}},
                {"serviceAccountToken": {"path": "identity", "audience": "vault", "expirationSeconds": 3600}}]}}]})
}

fn container(name: &str, variables: usize) -> Value {
    let plain = (0..variables).map(
        |number| json!({"name": format!("SETTING_{number}"), "value": format!("value-{number}")}),
    );
    let secret = json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "secret-3", "key": "token"}}});
    let setting = json!({"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}});
    let env: Vec<Value> = plain.chain([secret, setting]).collect();
    json!({"name": name, "image": format!("registry.example/acme/{name}:1.4.2"), "imagePullPolicy": "IfNotPresent",
        "command": [format!("/usr/bin/{name}")], "args": ["--run", "run-1"], "env": env,
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
}

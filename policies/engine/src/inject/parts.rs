//! What is put into a pod, as JSON: two containers, their volumes, the annotations, and what agents get of the pod's own authority.
//!
//! Every field that the API server would fill in is written out, so that a pod that was stored still compares equal.

use std::collections::BTreeSet;

use pinfold_model::policy::agent::{AgentPolicy, Protocol};
use pinfold_model::policy::compile::Compiled;
use pinfold_model::policy::inject::{
    ADMIN_PORT, DIGEST_FILE, DNS_PORT, GATEWAY_PORT, GUARD, Inject, POLICY, POLICY_DIGEST,
    POLICY_DIR, POLICY_FILE, POLICY_VOLUME, PROXY_PORT, SECRETS_DIR, SECRETS_VOLUME, SIDECAR,
    STATE_DIR, STATE_VOLUME, TMP_VOLUME, TRANSPARENT_PORT, TRUST_AUTHORITY, TRUST_BUNDLE,
    TRUST_DIR, TRUST_VOLUME,
};
use serde_json::{Value, json};

use super::choice::{Subject, annotations};

/// Port name of metrics and readiness.
const ADMIN_PORT_NAME: &str = "pinfold-admin";
/// Most that the ledger and the sidecar's other state may take.
const STATE_SIZE: &str = "1Gi";
/// Most that the pod's authority and its bundle may take.
const TRUST_SIZE: &str = "8Mi";
/// Most that agents may write to `/tmp`.
const TMP_SIZE: &str = "1Gi";
/// File mode of annotations.
const POLICY_MODE: u16 = 0o444;
/// File mode of credentials: the directory is mounted into the sidecar alone, whose UID owns nothing of it.
const SECRETS_MODE: u16 = 0o444;
/// How often the start is looked at, and how often it may fail: a minute.
const STARTUP_SECONDS: u8 = 1;
const STARTUP_FAILURES: u8 = 60;
/// How often readiness is looked at.
const READY_SECONDS: u8 = 5;
/// Variables by which programs find the roots that they trust, with the pod's own authority among them.
pub(super) const BUNDLE_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];
/// The same for programs that add what they are given to the roots that they have.
pub(super) const EXTRA_VARIABLES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Everything that is put into one pod.
pub(super) struct Parts {
    pub(super) guard: Value,
    pub(super) sidecar: Value,
    pub(super) volumes: Vec<(&'static str, Value)>,
    pub(super) annotations: Vec<(&'static str, String)>,
    /// Whether agents need the pod's own authority.
    pub(super) trust: bool,
}

impl Parts {
    pub(super) fn of(inject: &Inject, compiled: &Compiled, subject: &Subject) -> Self {
        let policy = &compiled.policy;
        let trust = ends_tls(policy);
        let secrets = secrets(policy);
        let mut volumes = vec![
            (POLICY_VOLUME, policy_volume()),
            (STATE_VOLUME, scratch(STATE_VOLUME, STATE_SIZE)),
        ];
        if !secrets.is_empty() {
            volumes.push((SECRETS_VOLUME, secrets_volume(&secrets)));
        }
        if trust {
            volumes.push((TRUST_VOLUME, scratch(TRUST_VOLUME, TRUST_SIZE)));
        }
        let annotations = annotations(compiled, subject);
        Self {
            guard: guard(inject, policy),
            sidecar: sidecar(inject, trust, !secrets.is_empty()),
            volumes,
            annotations: annotations.map(|(key, text)| (key, text.into_owned())).to_vec(),
            trust,
        }
    }
}

/// Whether the sidecar ends TLS anywhere.
fn ends_tls(policy: &AgentPolicy) -> bool {
    policy.egress.iter().any(|rule| match rule.protocol {
        Protocol::Https(_) => true,
        Protocol::Tls | Protocol::Http(_) | Protocol::Tcp => false,
    })
}

/// Secret and key of every credential that comes from one.
fn secrets(policy: &AgentPolicy) -> BTreeSet<(String, String)> {
    policy.credentials().filter_map(|(_, credential)| credential.secret.clone()).collect()
}

fn guard(inject: &Inject, policy: &AgentPolicy) -> Value {
    let mut arguments = vec!["guard".to_owned(), format!("--uid={}", inject.uid)];
    let mut ports = policy.loopback_ports.clone();
    ports.sort_unstable();
    ports.dedup();
    arguments.extend(ports.into_iter().map(|port| format!("--loopback-port={port}")));
    json!({
        "name": GUARD,
        "image": inject.image,
        "args": arguments,
        "resources": resources(GUARD),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// What our containers are given. No limit of CPU: a throttled sidecar is a slow agent.
pub(super) fn resources(name: &str) -> Value {
    let (request, limit) = if name == SIDECAR { ("32Mi", "256Mi") } else { ("16Mi", "64Mi") };
    json!({"requests": {"cpu": "10m", "memory": request}, "limits": {"memory": limit}})
}

fn sidecar(inject: &Inject, trust: bool, secrets: bool) -> Value {
    let read = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let write = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let mut mounts = vec![read(POLICY_VOLUME, POLICY_DIR), write(STATE_VOLUME, STATE_DIR)];
    mounts.extend(secrets.then(|| read(SECRETS_VOLUME, SECRETS_DIR)));
    mounts.extend(trust.then(|| write(TRUST_VOLUME, TRUST_DIR)));
    json!({
        "name": SIDECAR,
        "image": inject.image,
        "restartPolicy": "Always",
        "args": sidecar_arguments(trust),
        "ports": [{"name": ADMIN_PORT_NAME, "containerPort": ADMIN_PORT, "protocol": "TCP"}],
        "startupProbe": probe(STARTUP_SECONDS, STARTUP_FAILURES),
        "readinessProbe": probe(READY_SECONDS, 1),
        "resources": resources(SIDECAR),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "runAsUser": inject.uid,
            "runAsGroup": inject.uid,
            "runAsNonRoot": true,
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    })
}

fn sidecar_arguments(trust: bool) -> Vec<String> {
    let mut arguments = vec![
        "run".to_owned(),
        format!("--policy={POLICY_DIR}/{POLICY_FILE}"),
        format!("--policy-digest={POLICY_DIR}/{DIGEST_FILE}"),
        "--guard=required".to_owned(),
    ];
    let ports = [
        ("transparent", TRANSPARENT_PORT),
        ("proxy", PROXY_PORT),
        ("dns", DNS_PORT),
        ("gateway", GATEWAY_PORT),
    ];
    for (service, port) in ports {
        arguments.extend(["127.0.0.1", "[::1]"].map(|host| format!("--{service}={host}:{port}")));
    }
    // The kubelet and Prometheus ask from outside; the guard keeps the pod's own UIDs away.
    arguments.extend(["0.0.0.0", "[::]"].map(|host| format!("--admin={host}:{ADMIN_PORT}")));
    arguments.push(format!("--audit={STATE_DIR}/audit"));
    arguments.push(format!("--state={STATE_DIR}"));
    arguments.extend(trust.then(|| format!("--trust={TRUST_DIR}")));
    arguments
}

fn probe(seconds: u8, failures: u8) -> Value {
    json!({
        "httpGet": {"path": "/readyz", "port": ADMIN_PORT_NAME, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": seconds,
        "successThreshold": 1,
        "failureThreshold": failures,
    })
}

fn policy_volume() -> Value {
    let file = |path: &str, annotation: &str| json!({"path": path, "fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.annotations['{annotation}']")}});
    let items = [file(POLICY_FILE, POLICY), file(DIGEST_FILE, POLICY_DIGEST)];
    json!({"name": POLICY_VOLUME, "downwardAPI": {"items": items, "defaultMode": POLICY_MODE}})
}

/// One source a Secret, with the keys that are used alone.
fn secrets_volume(secrets: &BTreeSet<(String, String)>) -> Value {
    let names: BTreeSet<&String> = secrets.iter().map(|(name, _)| name).collect();
    let source = |name: &String| {
        let keys = secrets.iter().filter(|(secret, _)| secret == name);
        let items: Vec<Value> =
            keys.map(|(_, key)| json!({"key": key, "path": format!("{name}/{key}")})).collect();
        json!({"secret": {"name": name, "items": items}})
    };
    let sources: Vec<Value> = names.into_iter().map(source).collect();
    json!({"name": SECRETS_VOLUME, "projected": {"sources": sources, "defaultMode": SECRETS_MODE}})
}

fn scratch(name: &str, size: &str) -> Value {
    json!({"name": name, "emptyDir": {"sizeLimit": size}})
}

/// The volume behind `/tmp` of agents' containers.
pub(super) fn tmp_volume() -> Value {
    scratch(TMP_VOLUME, TMP_SIZE)
}

/// The mount of `/tmp` in one of agents' containers, each with a folder of its own.
pub(super) fn tmp_mount(container: &str) -> Value {
    json!({"name": TMP_VOLUME, "mountPath": "/tmp", "subPath": container})
}

/// The mount of the pod's own authority in one of agents' containers.
pub(super) fn trust_mount() -> Value {
    json!({"name": TRUST_VOLUME, "mountPath": TRUST_DIR, "readOnly": true})
}

/// The variables that name it.
pub(super) fn trust_variables() -> impl Iterator<Item = (&'static str, String)> {
    let bundle = BUNDLE_VARIABLES.map(|name| (name, format!("{TRUST_DIR}/{TRUST_BUNDLE}")));
    let extra = EXTRA_VARIABLES.map(|name| (name, format!("{TRUST_DIR}/{TRUST_AUTHORITY}")));
    bundle.into_iter().chain(extra)
}

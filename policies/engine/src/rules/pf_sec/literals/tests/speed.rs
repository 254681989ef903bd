//! What the rule costs: `cargo test --release -p pinfold-engine speed -- --ignored --nocapture`; docs/credentials.md has the figures.

use std::hint::black_box;
use std::time::Instant;

use pinfold_model::policy::literals::Literals;
use serde_json::{Value, json};

use super::super::walk::{Parts, look};
use super::secret;

const ROUNDS: u32 = 2_000;

/// A pod of about 4 KB, as the API server sends it.
fn pod() -> Value {
    let env = |index: usize| json!({"name": format!("SETTING_{index}"), "value": format!("http://service-{index}.acme.svc:8080/api/v1")});
    let secret = json!({"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}});
    let mut all: Vec<Value> = (0..20).map(env).collect();
    all.push(secret);
    let container = json!({"name": "agent", "image": "registry.example/agents/coder@sha256:8d512c9791e558e08baa7196b50ac2f86702824c1c099724caf4941d4072014b",
        "command": ["/usr/local/bin/agent", "--config", "/etc/agent/config.yaml", "--token-file", "/var/run/secrets/token"], "env": all,
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [{"name": "work", "mountPath": "/workspace"}, {"name": "t", "mountPath": "/var/run/secrets"}],
        "securityContext": {"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "coder-7f9c4d-x2b4z", "namespace": "acme",
        "labels": {"app": "coder", "krate.a5c.ai/agent-stack": "coder", "krate.a5c.ai/dispatch-run": "run-1"},
        "annotations": {"pinfold.dev/run": "run-1/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},
        "spec": {"serviceAccountName": "agent-coder", "automountServiceAccountToken": false, "containers": [container],
            "initContainers": [{"name": "clone", "image": "registry.example/git:1", "args": ["clone", "https://git.example/acme/api.git", "/workspace"]}],
            "volumes": [{"name": "work", "emptyDir": {}}, {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "https://agents.example"}}]}}]}})
}

#[test]
#[ignore = "measures, and proves nothing"]
fn speed() {
    let literals = Literals::default();
    let mut dirty = pod();
    dirty["spec"]["containers"][0]["env"][0]["value"] = json!(secret());
    let text = "server:\n  port: 8080\n  token_file: /run/token\nlog: {level: info, key: value}\n"
        .repeat(12_800);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a.yaml": text}});
    let began = Instant::now();
    black_box(look(&pod(), Parts::Everything, &literals));
    println!("first, with compiling the set: {:?}", began.elapsed());
    let eyes = json!({"kind": "ConfigMap", "data": {"a": "eyJ-".repeat(16_000) + "."}});
    for (name, object, parts, rounds) in [
        ("pod", pod(), Parts::Everything, ROUNDS),
        ("pod with a key", dirty, Parts::Everything, ROUNDS),
        ("ConfigMap of 1 MB", map, Parts::ConfigMap, 5),
        ("ConfigMap made to be slow", eyes, Parts::ConfigMap, 2),
    ] {
        let bytes = object.to_string().len();
        let began = Instant::now();
        for _ in 0..rounds {
            black_box(look(black_box(&object), parts, &literals));
        }
        println!("{name}, {bytes} bytes: {:?}", began.elapsed() / rounds);
    }
}

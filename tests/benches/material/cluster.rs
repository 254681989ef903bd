//! The cluster: one organization with a guarded namespace, its pools, Secrets and work, and who administers it.

use serde_json::{Value, json};

use super::admin_role;

/// The guarded namespace that everything happens in.
pub(crate) const NAMESPACE: &str = "acme-ci";
/// A group that has bindings in every namespace.
pub(crate) const DEVELOPERS: &str = "acme:developers";

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const AGENTS: &str = "krate.a5c.ai/v1alpha1";
const SECRETS: usize = 20;
/// Secrets that the agent's pod uses.
const GRANTED: usize = 4;

/// The objects that every bench judges by.
pub(crate) fn objects() -> Vec<Value> {
    let mut objects = vec![
        namespace(NAMESPACE),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "krate-system"}}),
        json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "admin"}, "rules": admin_role::rules()}),
        json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "break-glass"},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        binding(NAMESPACE, "developers-are-admins", "admin", &developers()),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("runner-trusted")}),
        pool("trusted-linux", "trusted"),
        pool("untrusted-linux", "untrusted"),
        run(),
        account(),
        stack(),
    ];
    objects.extend((0..GRANTED).map(|number| grant("Secret", &format!("secret-{number}"))));
    objects.push(grant("Config", "settings"));
    objects.extend((0..SECRETS).map(|number| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(&format!("secret-{number}"))})
    }));
    objects
        .push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("settings")}));
    objects
}

/// A namespace of the organization.
fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": format!("uid-{name}"),
        "labels": {"krate.a5c.ai/org": "acme", "pinfold.dev/agents": "true"}}})
}

/// A RoleBinding of a ClusterRole to one subject.
pub(crate) fn binding(namespace: &str, name: &str, role: &str, subject: &Value) -> Value {
    json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject]})
}

/// The group of the person who asks.
pub(crate) fn developers() -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": DEVELOPERS})
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}")})
}

fn pool(name: &str, tier: &str) -> Value {
    json!({"apiVersion": AGENTS, "kind": "RunnerPool", "metadata": metadata(name), "spec": {
        "organizationRef": "acme", "trustTier": tier, "serviceAccountRef": format!("runner-{tier}"),
        "nodeSelector": {"pool": tier}}})
}

/// Who the agent's pod runs as.
fn account() -> Value {
    json!({"apiVersion": AGENTS, "kind": "AgentServiceAccount", "metadata": metadata("runner-trusted"), "spec": {
        "organizationRef": "acme", "serviceAccountName": "runner-trusted", "allowedRunnerPools": ["trusted-linux"],
        "tokenAudience": "vault", "tokenExpirationSeconds": 3_600}})
}

fn stack() -> Value {
    json!({"apiVersion": AGENTS, "kind": "AgentStack", "metadata": metadata("ci-repair"), "spec": {
        "organizationRef": "acme", "runtimeIdentity": {"serviceAccountRef": "runner-trusted"}, "runnerPool": "trusted-linux"}})
}

/// What the stack may use.
fn grant(kind: &str, name: &str) -> Value {
    let object = if kind == "Secret" { "secretRef" } else { "configMapRef" };
    json!({"apiVersion": AGENTS, "kind": format!("Agent{kind}Grant"), "metadata": metadata(&format!("may-{name}")), "spec": {
        "organizationRef": "acme", "subject": {"kind": "agent-stack", "name": "ci-repair"}, object: {"name": name},
        "allowedRepositories": ["acme/shop"], "allowedRefs": {"include": ["refs/heads/main"]}}})
}

/// A run of trusted work.
fn run() -> Value {
    json!({"apiVersion": AGENTS, "kind": "AgentDispatchRun", "metadata": metadata("run-1"), "spec": {
        "organizationRef": "acme", "repository": "acme/shop", "ref": "refs/heads/main",
        "sha": "5d41402abc4b2a76b9719d911017c592ae5b1c0e", "agentStack": "ci-repair", "runnerPool": "trusted-linux"}})
}

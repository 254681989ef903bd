//! `manifests/` on an empty cluster: accepted whole, by both kinds of apply; what it registers names resources that exist; and with
//! nobody behind it, its own repair and the system's work go on.

use std::collections::BTreeSet;
use std::process::Command;

use pinfold_tests::{ApiServer, KubeAssets, until};
use serde_json::Value;

use crate::Outcome;
use crate::kubernetes::repository;
use crate::stage::SOON;

/// What must not wait for Pinfold.
const ALWAYS: [(&str, &str); 5] = [
    (
        "a node that joins",
        "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {pool: trusted}}}",
    ),
    (
        "a lease",
        "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: n1, namespace: kube-node-lease}, spec: {holderIdentity: n1}}",
    ),
    (
        "the system's configuration",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: kube-system}}",
    ),
    (
        "the system's rights",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: kube-system}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}",
    ),
    (
        "a namespace without agents",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: default}}",
    ),
];
/// What must.
const GUARDED: [(&str, &str); 3] = [
    ("an agent", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: guarded}}"),
    (
        "rights",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}, rules: []}",
    ),
    (
        "the guard of a namespace",
        "{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {pinfold.dev/agents: 'true'}}}",
    ),
];

#[test]
fn everything_is_accepted_and_locks_nobody_out() -> Outcome {
    let server = ApiServer::start()?;
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: guarded, labels: {pinfold.dev/agents: 'true'}}}")?;
    let manifests = repository("manifests").to_string_lossy().into_owned();
    let applied = server.kubectl(&["apply", "-k", &manifests], "")?.ok()?;
    let configurations = [
        "validatingwebhookconfiguration",
        "mutatingwebhookconfiguration",
        "deployment.apps",
        "configmap",
    ];
    for kind in configurations {
        assert!(applied.contains(kind), "no {kind} in {applied}");
    }
    let built = server.kubectl(&["kustomize", &manifests], "")?.ok()?;
    let wanted = built.lines().filter(|line| line.starts_with("kind: ")).count();
    assert_eq!(applied.lines().count(), wanted, "{applied}");
    server.kubectl(&["get", "-k", &manifests], "")?.ok()?;
    assert_rules_name_resources(&server)?;

    for (what, object) in GUARDED {
        let refused = until(SOON, || {
            let answer = server.kubectl(&["apply", "--dry-run=server", "-f", "-"], object).ok()?;
            answer.stderr.contains("failed calling webhook").then_some(())
        });
        refused.ok_or_else(|| format!("{what} passes while Pinfold is away"))?;
    }
    for (what, object) in ALWAYS {
        let answer = server.kubectl(&["apply", "-f", "-"], object)?;
        assert!(answer.success(), "{what} waits for Pinfold: {answer:?}");
    }
    let again =
        ["apply", "--server-side", "--force-conflicts", "--field-manager=repair", "-k", &manifests];
    let repaired = server.kubectl(&again, "")?.ok()?;
    assert_eq!(
        repaired.lines().filter(|line| line.ends_with("serverside-applied")).count(),
        wanted
    );
    Ok(())
}

/// The table of docs/registration.md, row by row, by the script that users have for it.
#[test]
fn what_waits_for_pinfold_is_as_documented() -> Outcome {
    let server = ApiServer::start()?;
    let kubectl = KubeAssets::find()?.program("kubectl");
    let tools = kubectl.parent().ok_or("kubectl is nowhere")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(tools.to_owned()).chain(std::env::split_paths(&path));
    let output = Command::new(repository("manifests/away-test"))
        .env("KUBECONFIG", server.kubeconfig())
        .env("PATH", std::env::join_paths(all)?)
        .env("KUBECACHEDIR", tempfile::tempdir()?.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().filter(|line| line.starts_with("ok ")).count() > 50, "{said}");
    Ok(())
}

/// Every resource and subresource of the API server's own groups that a rule names is one that it serves: a typo would guard nothing.
fn assert_rules_name_resources(server: &ApiServer) -> Outcome {
    let list = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    let found: Value =
        serde_json::from_str(&server.kubectl(&["get", list, "-o", "json"], "")?.ok()?)?;
    let mut checked = 0_u32;
    for rule in rules(&found) {
        for group in texts(&rule, "apiGroups") {
            let Some(served) = served(server, &group)? else { continue };
            for resource in texts(&rule, "resources").into_iter().filter(|resource| resource != "*")
            {
                assert!(
                    served.contains(&resource),
                    "`{resource}` of `{group}` is served by nobody: {rule}"
                );
                checked = checked.saturating_add(1);
            }
        }
    }
    assert!(checked > 40, "only {checked} resources were looked at");
    Ok(())
}

fn rules(list: &Value) -> Vec<Value> {
    let items = |value: &Value, field: &str| {
        value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let configurations = items(list, "items");
    let entries = configurations.iter().flat_map(|configuration| items(configuration, "webhooks"));
    entries.flat_map(|entry| items(&entry, "rules")).collect()
}

fn texts(rule: &Value, field: &str) -> Vec<String> {
    let list = rule.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The resources of all versions of a group; `None` for one that this server doesn't have.
fn served(server: &ApiServer, group: &str) -> Outcome<Option<BTreeSet<String>>> {
    let paths = if group.is_empty() {
        vec!["/api/v1".to_owned()]
    } else {
        let answer = server.kubectl(&["get", "--raw", &format!("/apis/{group}")], "")?;
        if !answer.success() {
            return Ok(None);
        }
        let versions: Value = serde_json::from_str(&answer.stdout)?;
        let versions =
            versions.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
        let names = versions.iter().filter_map(|version| version.get("groupVersion")?.as_str());
        names.map(|name| format!("/apis/{name}")).collect()
    };
    let mut served = BTreeSet::new();
    for path in paths {
        let list: Value =
            serde_json::from_str(&server.kubectl(&["get", "--raw", &path], "")?.ok()?)?;
        let resources =
            list.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
        served.extend(
            resources
                .iter()
                .filter_map(|resource| Some(resource.get("name")?.as_str()?.to_owned())),
        );
    }
    Ok(Some(served))
}

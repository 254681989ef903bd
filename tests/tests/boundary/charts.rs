//! What well-known projects install, in namespaces without agents: of nobody, and of an organization. It passes as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Outcome;
use crate::gate::objects;
use crate::kubernetes::repository;
use crate::object::{items, text};
use crate::offline;

/// Who installs: may do everything, and is no platform administrator.
pub(crate) const INSTALLER: &str = "root";

/// Whose namespaces they are installed in.
pub(crate) const OWNERS: [Option<&str>; 2] = [None, Some("acme")];

/// What a project installs.
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) objects: Vec<Value>,
}

impl Chart {
    /// The namespaces that it is installed in.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        let all = self.objects.iter().map(|object| text(object, "/metadata/namespace").to_owned());
        all.filter(|namespace| !namespace.is_empty() && namespace != "kube-system").collect()
    }
}

/// The policies of the charts: what ships, and pools that nothing honest may name by accident.
pub(crate) fn policies() -> Vec<PathBuf> {
    let library = ["baseline.yaml", "references.yaml"];
    let mut policies: Vec<_> =
        library.iter().map(|file| repository("policies/library").join(file)).collect();
    policies.push(repository("tests/charts/policy.yaml"));
    policies
}

/// All charts. What they put into `kube-system`, where nothing is judged, goes into a namespace of its own, but for rights that exist there only.
pub(crate) fn all() -> Outcome<Vec<Chart>> {
    let folder = repository("tests/charts");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    files.retain(|file| !file.ends_with("policy.yaml"));
    files.sort();
    let chart = |file: &PathBuf| -> Outcome<Chart> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let objects = objects(file)?.into_iter().map(moved).collect();
        Ok(Chart { name, objects })
    };
    files.iter().map(chart).collect()
}

fn moved(mut object: Value) -> Value {
    if text(&object, "/roleRef/name") == "extension-apiserver-authentication-reader" {
        return object;
    }
    if let Some(namespace) = object.pointer_mut("/metadata/namespace") {
        replace(namespace);
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(namespace) = subject.get_mut("namespace") {
            replace(namespace);
        }
    }
    object
}

fn replace(namespace: &mut Value) {
    if namespace.as_str() == Some("kube-system") {
        *namespace = json!("cluster-addons");
    }
}

/// A namespace without agents.
pub(crate) fn namespace(name: &str, owner: Option<&str>) -> Value {
    let labels = owner.map(|owner| json!({"krate.a5c.ai/org": owner})).unwrap_or(json!({}));
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// The installer's rights.
pub(crate) fn rights() -> Vec<Value> {
    let group = "rbac.authorization.k8s.io";
    vec![
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "cluster-admin"}, "rules": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "installer"},
            "subjects": [{"kind": "User", "name": INSTALLER, "apiGroup": group}],
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}}),
    ]
}

#[test]
fn there_are_enough_and_each_says_where_it_is_from() -> Outcome {
    let charts = all()?;
    assert!(charts.len() >= 20, "{}", charts.len());
    for chart in &charts {
        let file = repository("tests/charts").join(format!("{}.yaml", chart.name));
        let source = fs::read_to_string(file)?;
        assert!(source.contains("# Source: github.com/"), "{}", chart.name);
        let kinds: BTreeSet<&str> =
            chart.objects.iter().map(|object| text(object, "/kind")).collect();
        let runs =
            ["Deployment", "StatefulSet", "DaemonSet", "Pod", "Job", "ReplicationController"];
        assert!(runs.iter().any(|kind| kinds.contains(kind)), "{} runs nothing", chart.name);
    }
    Ok(())
}

#[test]
fn check_lets_them_pass_unchanged() -> Outcome {
    let dir = tempfile::tempdir()?;
    let file = |name: &str, items: &[Value]| -> Outcome<PathBuf> {
        let path = dir.path().join(name);
        fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
        Ok(path)
    };
    let mut faults = Vec::new();
    for owner in OWNERS {
        for chart in all()? {
            let spaces = chart.namespaces();
            let spaces = spaces.iter().map(|name| namespace(name, owner));
            let world: Vec<Value> = spaces.chain(rights()).collect();
            let cluster = file("cluster.json", &world)?;
            let manifest = file("manifest.json", &chart.objects)?.to_string_lossy().into_owned();
            let results = offline::check((&policies(), &cluster), (INSTALLER, &[]), &[manifest])?;
            assert_eq!(results.len(), chart.objects.len(), "{}", chart.name);
            let touched = results
                .iter()
                .filter(|result| !result.allowed || !result.rules.is_empty() || result.patched);
            faults
                .extend(touched.map(|result| format!("{owner:?} {}: {}", chart.name, result.said)));
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// The pods that Kubernetes' own controllers would make of an object: metadata and spec.
pub(crate) fn pods(object: &Value) -> Option<Value> {
    let template = match text(object, "/kind") {
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => object.pointer("/spec/template"),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        _ => None,
    }?;
    let mut spec = template.get("spec")?.clone();
    // Claim templates become claims.
    let claims = items(object, "/spec/volumeClaimTemplates").iter().map(|claim| {
        let name = text(claim, "/metadata/name");
        json!({"name": name, "persistentVolumeClaim": {"claimName": format!("{name}-0")}})
    });
    let claims: Vec<Value> = claims.collect();
    if let Some(spec) = spec.as_object_mut().filter(|_| !claims.is_empty()) {
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        volumes.as_array_mut()?.extend(claims);
    }
    let metadata = json!({
        "name": format!("{}-pod", text(object, "/metadata/name")),
        "namespace": text(object, "/metadata/namespace"),
        "labels": template.pointer("/metadata/labels").cloned().unwrap_or(json!({})),
    });
    Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

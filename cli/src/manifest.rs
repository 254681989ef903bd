//! Manifests to objects: files, directories and standard input, `List` kinds opened, every object with its file and line.

use std::io::Read;
use std::path::{Path, PathBuf};

use pinfold_model::document::{self, DOCUMENT_BYTES_MAX, Dialect, Node};
use pinfold_model::object::{self, Object};
use pinfold_model::sources::{self, SourceFile};
use serde_json::{Value, json};

use crate::CliError;

/// One object of a manifest.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// File, as the user named it.
    pub(crate) file: String,
    /// Line at which it begins.
    pub(crate) line: u32,
    /// Its JSON, with the namespace filled in.
    pub(crate) value: Value,
    /// What the rules read of it.
    pub(crate) object: Object,
}

impl Manifest {
    /// `apiVersion`, as written.
    pub(crate) fn api_version(&self) -> &str {
        self.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Kinds of the API itself that have no namespace; whatever else names none gets the default one.
const CLUSTER_SCOPED: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "Organization",
    "OrgNamespaceBinding",
    "OrgSharingPolicy",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeSnapshotClass",
    "VolumeSnapshotContent",
];

/// Kinds of the shipped `references` that have no namespace, by group; the projects' CRDs say so.
const CLUSTER_SCOPED_CUSTOM: &[(&str, &[&str])] = &[
    (
        "apiextensions.crossplane.io",
        &["Composition", "CompositionRevision", "CompositeResourceDefinition", "EnvironmentConfig"],
    ),
    ("argoproj.io", &["ClusterAnalysisTemplate", "ClusterWorkflowTemplate"]),
    ("cert-manager.io", &["ClusterIssuer"]),
    ("eventing.keda.sh", &["ClusterCloudEventSource"]),
    ("external-secrets.io", &["ClusterExternalSecret", "ClusterPushSecret", "ClusterSecretStore"]),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("generators.external-secrets.io", &["ClusterGenerator"]),
    ("groupsnapshot.storage.k8s.io", &["VolumeGroupSnapshotClass", "VolumeGroupSnapshotContent"]),
    ("keda.sh", &["ClusterTriggerAuthentication"]),
    ("kubernetes.crossplane.io", &["Object", "ObservedObjectCollection", "ProviderConfig"]),
    ("kubernetes.m.crossplane.io", &["ClusterProviderConfig"]),
    ("ops.crossplane.io", &["CronOperation", "Operation", "WatchOperation"]),
    ("serving.kserve.io", &["ClusterServingRuntime", "ClusterStorageContainer"]),
];

fn is_cluster_scoped(value: &Value, kind: &str) -> bool {
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let mut custom = CLUSTER_SCOPED_CUSTOM.iter().filter(|(known, _)| *known == group);
    CLUSTER_SCOPED.contains(&kind) || custom.any(|(_, kinds)| kinds.contains(&kind))
}

/// Reads manifests; `-` is standard input.
pub(crate) fn read(paths: &[PathBuf], namespace: &str) -> Result<Vec<Manifest>, CliError> {
    let (standard_input, files): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.iter().partition(|path| path.as_os_str() == "-");
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let mut sources = sources::read(&files)?;
    if !standard_input.is_empty() {
        sources.push(read_standard_input()?);
    }
    let mut manifests = Vec::new();
    for source in &sources {
        parse(source, namespace, &mut manifests)?;
    }
    Ok(manifests)
}

fn read_standard_input() -> Result<SourceFile, CliError> {
    let bound = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(bound)
        .read_to_string(&mut text)
        .map_err(|error| CliError::Input(format!("can't read standard input: {error}")))?;
    Ok(SourceFile { name: "-".to_owned(), text })
}

/// Adds the objects of one file.
pub(crate) fn parse(
    source: &SourceFile,
    namespace: &str,
    manifests: &mut Vec<Manifest>,
) -> Result<(), CliError> {
    let nodes = document::read(&source.name, &source.text, Dialect::Manifest)
        .map_err(|error| CliError::Input(error.to_string()))?;
    nodes.iter().try_for_each(|node| open(&source.name, node, namespace, manifests))
}

fn open(
    file: &str,
    node: &Node,
    namespace: &str,
    manifests: &mut Vec<Manifest>,
) -> Result<(), CliError> {
    let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
    let items = node.get("items").and_then(Node::items);
    if let (true, Some(items)) = (kind.ends_with("List"), items) {
        return items.iter().try_for_each(|item| open(file, item, namespace, manifests));
    }
    let line = node.at.line;
    let manifest = from_value(file, line, node.to_json(), namespace)?;
    manifests.push(manifest);
    Ok(())
}

/// One object from its JSON.
pub(crate) fn from_value(
    file: &str,
    line: u32,
    mut value: Value,
    namespace: &str,
) -> Result<Manifest, CliError> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !is_cluster_scoped(&value, &kind) {
        set_namespace(&mut value, namespace);
    }
    let object = object::from_value(&value)
        .map_err(|error| CliError::Input(format!("{file}:{line}: {error}")))?;
    Ok(Manifest { file: file.to_owned(), line, value, object })
}

fn set_namespace(value: &mut Value, namespace: &str) {
    let Value::Object(root) = value else { return };
    let meta = root.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        let named =
            meta.get("namespace").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if !named {
            meta.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
}

/// Objects that exist, from files and directories; `base` is put before relative paths.
pub(crate) fn cluster(paths: &[PathBuf], base: Option<&Path>) -> Result<Vec<Manifest>, CliError> {
    let place = |path: &PathBuf| base.map_or_else(|| path.clone(), |base| base.join(path));
    read(&paths.iter().map(place).collect::<Vec<_>>(), "default")
}

//! Objects of the cases, and where the API server has them.

use serde_json::{Value, json};

use crate::Outcome;

/// Kind, path of the API, plural, whether it is in a namespace.
const RESOURCES: &[(&str, &str, &str, bool)] = &[
    ("Namespace", "/api/v1", "namespaces", false),
    ("ServiceAccount", "/api/v1", "serviceaccounts", true),
    ("ConfigMap", "/api/v1", "configmaps", true),
    ("Secret", "/api/v1", "secrets", true),
    ("Pod", "/api/v1", "pods", true),
    ("Service", "/api/v1", "services", true),
    ("Deployment", "/apis/apps/v1", "deployments", true),
    ("Role", "/apis/rbac.authorization.k8s.io/v1", "roles", true),
    ("RoleBinding", "/apis/rbac.authorization.k8s.io/v1", "rolebindings", true),
    ("ClusterRole", "/apis/rbac.authorization.k8s.io/v1", "clusterroles", false),
    ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", false),
    ("AgentRoleBinding", "/apis/krate.a5c.ai/v1alpha1", "agentrolebindings", true),
    ("AgentServiceAccount", "/apis/krate.a5c.ai/v1alpha1", "agentserviceaccounts", true),
    ("AgentStack", "/apis/krate.a5c.ai/v1alpha1", "agentstacks", true),
    ("RunnerPool", "/apis/krate.a5c.ai/v1alpha1", "runnerpools", true),
    ("AgentApproval", "/apis/krate.a5c.ai/v1alpha1", "agentapprovals", true),
    ("Repository", "/apis/krate.a5c.ai/v1alpha1", "repositories", true),
    ("AdmissionPolicy", "/apis/pinfold.dev/v1alpha1", "admissionpolicies", false),
    ("AgentPolicy", "/apis/pinfold.dev/v1alpha1", "agentpolicies", true),
    ("Organization", "/apis/krate.a5c.ai/v1alpha1", "organizations", false),
    ("OrgNamespaceBinding", "/apis/krate.a5c.ai/v1alpha1", "orgnamespacebindings", false),
    ("OrgSharingPolicy", "/apis/krate.a5c.ai/v1alpha1", "orgsharingpolicies", false),
];

/// A text field, empty if it isn't there.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Kind, version and path of everything that is listed whole.
pub(crate) fn lists() -> Vec<(&'static str, &'static str, String)> {
    let known =
        RESOURCES.iter().filter(|(kind, ..)| !matches!(*kind, "Secret" | "ConfigMap" | "Pod"));
    known.map(|(kind, api, plural, _)| (*kind, version(api), format!("{api}/{plural}"))).collect()
}

fn version(api: &'static str) -> &'static str {
    api.trim_start_matches("/apis/").trim_start_matches("/api/")
}

/// An object with its `apiVersion`, which cases may leave out.
pub(crate) fn whole(object: &Value) -> Value {
    let mut object = object.clone();
    let kind = text(&object, "/kind");
    let known = RESOURCES.iter().find(|(known, ..)| *known == kind);
    let version = known.map(|(_, api, ..)| version(api));
    if let (Some(version), Some(fields)) = (version, object.as_object_mut()) {
        fields.entry("apiVersion").or_insert_with(|| json!(version));
    }
    object
}

/// The path of the collection that an object is in.
pub(crate) fn collection(object: &Value) -> Outcome<String> {
    let kind = text(object, "/kind");
    let known = RESOURCES.iter().find(|(known, ..)| *known == kind);
    let (_, api, plural, namespaced) = known.ok_or_else(|| format!("no resource of {object}"))?;
    let api = match text(object, "/apiVersion").split_once('/') {
        // The twin group of the agent resources.
        Some(("kradle.a5c.ai", version)) => format!("/apis/kradle.a5c.ai/{version}"),
        _ => (*api).to_owned(),
    };
    let namespace = text(object, "/metadata/namespace");
    Ok(match namespaced {
        true if namespace.is_empty() => return Err(format!("no namespace in {object}").into()),
        true => format!("{api}/namespaces/{namespace}/{plural}"),
        false => format!("{api}/{plural}"),
    })
}

/// The path of an object.
pub(crate) fn path(object: &Value) -> Outcome<String> {
    let name = text(object, "/metadata/name");
    if name.is_empty() {
        return Err(format!("no name in {object}").into());
    }
    Ok(format!("{}/{name}", collection(object)?))
}

/// An object with a field of its metadata set.
pub(crate) fn with_metadata(mut object: Value, field: &str, value: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(field.to_owned(), json!(value));
    }
    object
}

/// An object with a field set.
pub(crate) fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    object
}

/// The items of a list field, none if it isn't there.
pub(crate) fn items<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

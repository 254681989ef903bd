//! Where an API server has its kinds, by its own discovery; and the custom kinds that the cases need, with whatever fields.

use std::collections::BTreeMap;

use pinfold_tests::ApiServer;
use serde_json::{Value, json};

use crate::Outcome;
use crate::kubernetes::repository;
use crate::object::{items, text};
use crate::rbac_client::{Client, Person};

/// Group, version, kind, plural, whether it is in a namespace.
const CUSTOM: &[(&str, &str, &str, &str, bool)] = &[
    ("argoproj.io", "v1alpha1", "Workflow", "workflows", true),
    ("bitnami.com", "v1alpha1", "SealedSecret", "sealedsecrets", true),
    ("cert-manager.io", "v1", "Certificate", "certificates", true),
    ("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", true),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways", true),
    ("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses", true),
    ("snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass", "volumesnapshotclasses", false),
];

/// Kinds by `apiVersion` and kind: path of the group version, plural, whether it is in a namespace.
pub(crate) struct Resources(BTreeMap<(String, String), (String, String, bool)>);

/// Everything that `manifests/` and the cases have of custom kinds.
pub(crate) fn install(server: &ApiServer) -> Outcome {
    for folder in ["manifests/crds", "manifests/crds/agents"] {
        let path = repository(folder).to_string_lossy().into_owned();
        server.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &path], "")?.ok()?;
    }
    let all: Vec<Value> = CUSTOM.iter().map(definition).collect();
    server.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string())?;
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
    Ok(())
}

fn definition(
    (group, version, kind, plural, namespaced): &(&str, &str, &str, &str, bool),
) -> Value {
    let scope = if *namespaced { "Namespaced" } else { "Cluster" };
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    // Groups of the Kubernetes project want to be approved.
    let approved = json!({"api-approved.kubernetes.io": "unapproved, for tests"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": approved},
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

impl Resources {
    /// Asks the server.
    pub(crate) fn discover(client: &Client) -> Outcome<Self> {
        let get = |path: &str| -> Outcome<Value> {
            Ok(client.send(&Person::unasked(), ("GET", path, "application/json", ""))?.body)
        };
        let mut versions = vec![("v1".to_owned(), "/api/v1".to_owned())];
        for group in items(&get("/apis")?, "/groups") {
            let served = items(group, "/versions").iter().map(|one| text(one, "/groupVersion"));
            versions.extend(served.map(|version| (version.to_owned(), format!("/apis/{version}"))));
        }
        let mut found = BTreeMap::new();
        for (version, path) in versions {
            for resource in items(&get(&path)?, "/resources") {
                let (name, kind) = (text(resource, "/name"), text(resource, "/kind"));
                if !name.contains('/') {
                    let namespaced = resource.get("namespaced") == Some(&Value::Bool(true));
                    let place = (path.clone(), name.to_owned(), namespaced);
                    found.insert((version.clone(), kind.to_owned()), place);
                }
            }
        }
        Ok(Self(found))
    }

    /// The path of the collection that an object is in.
    pub(crate) fn collection(&self, object: &Value) -> Outcome<String> {
        let key = (text(object, "/apiVersion").to_owned(), text(object, "/kind").to_owned());
        let (api, plural, namespaced) =
            self.0.get(&key).ok_or_else(|| format!("the server has no {key:?}"))?;
        let namespace = text(object, "/metadata/namespace");
        Ok(if *namespaced {
            format!("{api}/namespaces/{namespace}/{plural}")
        } else {
            format!("{api}/{plural}")
        })
    }

    /// The path of an object.
    pub(crate) fn path(&self, object: &Value) -> Outcome<String> {
        Ok(format!("{}/{}", self.collection(object)?, text(object, "/metadata/name")))
    }
}

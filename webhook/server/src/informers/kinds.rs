//! Which kinds are watched, how much of each, and under which names the API server serves them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::core::{ApiResource, GroupVersionKind};
use pinfold_model::object::ObjectKey;

/// How much of a kind is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Depth {
    /// Everything: rules read its fields.
    Whole,
    /// `metadata` only: the values don't matter, or must not be here.
    Metadata,
}

/// One watched kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) resource: ApiResource,
    pub(crate) depth: Depth,
    pub(crate) namespaced: bool,
}

/// The kinds that every cluster has: group, version, kind, plural, namespaced, depth. Secrets and ConfigMaps are not among them: Pinfold
/// has no right to read them, and judges one by its namespace. Of pods the view keeps where they are and which claims they use.
const BUILT_IN: &[(&str, &str, &str, &str, bool, Depth)] = &[
    ("", "v1", "Namespace", "namespaces", false, Depth::Metadata),
    ("", "v1", "ServiceAccount", "serviceaccounts", true, Depth::Whole),
    ("", "v1", "Node", "nodes", false, Depth::Whole),
    ("", "v1", "PersistentVolume", "persistentvolumes", false, Depth::Whole),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, Depth::Whole),
    // Which claims it uses; of the rest the view keeps little (`Sharing::keep`).
    ("", "v1", "Pod", "pods", true, Depth::Whole),
    ("", "v1", "ReplicationController", "replicationcontrollers", true, Depth::Metadata),
    ("apps", "v1", "ReplicaSet", "replicasets", true, Depth::Metadata),
    ("apps", "v1", "Deployment", "deployments", true, Depth::Metadata),
    ("apps", "v1", "StatefulSet", "statefulsets", true, Depth::Metadata),
    ("apps", "v1", "DaemonSet", "daemonsets", true, Depth::Metadata),
    ("batch", "v1", "Job", "jobs", true, Depth::Metadata),
    ("batch", "v1", "CronJob", "cronjobs", true, Depth::Metadata),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true, Depth::Whole),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false, Depth::Whole),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true, Depth::Whole),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
        Depth::Whole,
    ),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false, Depth::Whole),
    ("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", false, Depth::Whole),
];

/// Kinds that are never watched, and of which the metadata of one object may be read: Secrets and ConfigMaps if the policy wants their existence known
/// (`grants.checkExistence`), and what other runners' pods inherit trust from (`standing::passes_on` of the engine). Group, version, kind, plural.
const ASKED: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("tekton.dev", "v1", "PipelineRun", "pipelineruns"),
    ("tekton.dev", "v1", "TaskRun", "taskruns"),
    ("argoproj.io", "v1alpha1", "Workflow", "workflows"),
    ("actions.github.com", "v1alpha1", "EphemeralRunner", "ephemeralrunners"),
];

/// Groups whose resources are watched if the cluster has them.
pub(crate) const AGENT_GROUPS: [&str; 2] = ["krate.a5c.ai", "kradle.a5c.ai"];

/// The kinds that every cluster has.
pub(crate) fn built_in() -> Vec<Source> {
    BUILT_IN
        .iter()
        .map(|&(group, version, kind, plural, namespaced, depth)| {
            let kind = GroupVersionKind::gvk(group, version, kind);
            Source { resource: ApiResource::from_gvk_with_plural(&kind, plural), depth, namespaced }
        })
        .collect()
}

/// The watched kinds as of now, for live questions.
#[derive(Debug, Clone)]
pub(crate) struct Sources(Arc<ArcSwap<Vec<Source>>>);

impl Sources {
    pub(crate) fn new() -> Self {
        Self(Arc::new(ArcSwap::from_pointee(built_in())))
    }

    pub(crate) fn set(&self, sources: Vec<Source>) {
        self.0.store(Arc::new(sources));
    }

    /// The source of an object.
    pub(crate) fn of(&self, key: &ObjectKey) -> Option<Source> {
        let wanted = |source: &&Source| {
            source.resource.group == key.group && source.resource.kind == key.kind
        };
        self.0.load().iter().find(wanted).cloned()
    }

    /// The source of an object, also of a kind that is only ever asked about, as metadata.
    pub(crate) fn asked(&self, key: &ObjectKey) -> Option<Source> {
        self.of(key).or_else(|| {
            let of = |(group, _, kind, _): &&(&str, &str, &str, &str)| {
                key.group == *group && key.kind == *kind
            };
            let (group, version, kind, plural) = ASKED.iter().find(of)?;
            let kind = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, plural);
            Some(Source { resource, depth: Depth::Metadata, namespaced: true })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Secret's values are never asked for, whatever is asked.
    #[test]
    fn secrets_are_not_watched_and_asked_about_as_metadata() {
        let sources = Sources::new();
        for kind in ["Secret", "ConfigMap"] {
            let key = ObjectKey::new("", kind, "n", "s");
            assert_eq!(sources.of(&key), None, "{kind} is not watched");
            let asked = sources.asked(&key).map(|source| (source.depth, source.namespaced));
            assert_eq!(asked, Some((Depth::Metadata, true)), "{kind}");
            assert_eq!(sources.asked(&ObjectKey::new("example.com", kind, "n", "s")), None);
        }
        for (group, kind) in [("tekton.dev", "TaskRun"), ("argoproj.io", "Workflow")] {
            let asked = sources.asked(&ObjectKey::new(group, kind, "n", "x"));
            assert_eq!(asked.map(|source| source.depth), Some(Depth::Metadata), "{kind}");
            assert_eq!(sources.of(&ObjectKey::new(group, kind, "n", "x")), None, "{kind}");
        }
        let pod = ObjectKey::new("", "Pod", "n", "p");
        assert_eq!(sources.asked(&pod), sources.of(&pod));
    }
}

//! Objects that refer to Secrets or ConfigMaps without being workloads.

use super::pod::NodeTerm;
use super::reference::Reference;

/// What such an object refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Referrer {
    /// Secrets and ConfigMaps.
    pub references: Vec<Reference>,
    /// PersistentVolume: namespace and name of its `claimRef`.
    pub claim: Option<(String, String)>,
    /// PersistentVolumeClaim: `spec.volumeName`, empty if unbound.
    pub volume_name: String,
    /// PersistentVolumeClaim: `spec.storageClassName`, empty if left out.
    pub storage_class: String,
    /// PersistentVolumeClaim: namespace of `spec.dataSourceRef`, empty if left out.
    pub data_source_namespace: String,
    /// PersistentVolume: terms of `spec.nodeAffinity.required`, as those of a pod's required node affinity; `None` without one.
    pub node_affinity: Option<Vec<NodeTerm>>,
    /// ServiceAccount: `automountServiceAccountToken`.
    pub automount: Option<bool>,
}

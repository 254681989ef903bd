//! Objects that refer to Secrets or ConfigMaps without being workloads.

use super::pod::NodeTerm;
use super::reference::{Reference, ReferenceKind};

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
    /// ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings, if parameters of a policy matter.
    pub param: Option<Box<Param>>,
}

/// Parameters of an admission policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// Binding: it names parameters, whose kind the policy of this name says.
    Of {
        /// `spec.policyName`.
        policy: String,
    },
    /// Policy: `spec.paramKind` is one of the core kinds.
    Kind(ReferenceKind),
}

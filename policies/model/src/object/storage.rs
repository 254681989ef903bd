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
    /// Service, Endpoints, EndpointSlice: those of its ports that lead to a sidecar's.
    pub sidecar_ports: Vec<SidecarPort>,
}

/// A port of a Service, or of its endpoints, that leads to a port of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarPort {
    /// JSON path of the number or name.
    pub path: String,
    /// The number or name.
    pub port: String,
    /// It is the one of metrics and readiness.
    pub metrics: bool,
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

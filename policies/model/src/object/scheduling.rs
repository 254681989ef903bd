//! What decides where pods run beside the pods themselves: Nodes, RuntimeClasses; and how many: Scale.

use super::pod::Toleration;

/// A Node, a RuntimeClass or a Scale, as far as placement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduling {
    /// A Node; its labels are in the metadata.
    Node {
        /// `spec.taints`, as the toleration that would tolerate them.
        taints: Vec<Toleration>,
    },
    /// A RuntimeClass: the API server adds both to the pods that name it (KEP-585).
    RuntimeClass {
        /// `scheduling.nodeSelector`.
        node_selector: Vec<(String, String)>,
        /// `scheduling.tolerations`.
        tolerations: Vec<Toleration>,
    },
    /// A Scale (`*/scale`).
    Scale {
        /// `spec.replicas`; 0 if left out.
        replicas: i64,
    },
}

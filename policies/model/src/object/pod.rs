//! Pods and every kind that embeds a pod template: references and placement.

use super::rbac::Requirement;
use super::reference::Reference;
use super::security::PodSecurity;

/// A pod, or the pod template of a workload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workload {
    /// JSON path of the pod spec: `$.spec`, `$.spec.template.spec`, `$.spec.jobTemplate.spec.template.spec`.
    pub spec_path: String,
    /// JSON path of the pod's metadata: `$.metadata`, `$.spec.template.metadata`.
    pub meta_path: String,
    /// Labels of the pod that would run.
    pub pod_labels: Vec<(String, String)>,
    /// Annotations of the pod that would run.
    pub pod_annotations: Vec<(String, String)>,
    /// Secrets and ConfigMaps that the pod names itself.
    pub references: Vec<Reference>,
    /// PersistentVolumeClaims that its volumes use.
    pub claims: Vec<ClaimUse>,
    /// PersistentVolumes and StorageClasses named by claim templates.
    pub claim_templates: Vec<ClaimTemplate>,
    /// Where it runs and as whom.
    pub placement: Placement,
    /// `spec.suspend` of a Job.
    pub suspended: bool,
    /// `status.phase` of a Pod is `Succeeded` or `Failed`: nothing of it runs any more.
    pub finished: bool,
    /// ServiceAccount tokens that projected volumes bring.
    pub tokens: Vec<ProjectedToken>,
    /// Certificates of the pod's identity that projected volumes bring.
    pub certificates: Vec<ProjectedCertificate>,
    /// How well it is confined; `None` of a pod without a spec, and where the view doesn't keep it.
    pub security: Option<Box<PodSecurity>>,
}

/// A volume that uses a PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimUse {
    /// The claim, in the pod's namespace.
    pub name: String,
    /// JSON path of `claimName`.
    pub path: String,
    /// `persistentVolumeClaim.readOnly`: no container can mount it writably.
    pub read_only: bool,
}

/// `projected.sources[].serviceAccountToken`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectedToken {
    /// Whom it is for; empty is the API server.
    pub audience: String,
    /// `expirationSeconds`; `None` is an hour.
    pub expiration_seconds: Option<i64>,
    /// JSON path of the source.
    pub path: String,
}

/// `projected.sources[].podCertificate` (KEP-4317).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectedCertificate {
    /// `signerName`.
    pub signer: String,
    /// JSON path of the source.
    pub path: String,
}

/// A `volumeClaimTemplate`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimTemplate {
    /// JSON path of the claim's spec.
    pub path: String,
    /// `volumeName`, empty if left out.
    pub volume_name: String,
    /// `storageClassName`, empty if left out.
    pub storage_class: String,
    /// Namespace of `dataSourceRef`, empty if left out.
    pub data_source_namespace: String,
}

/// Everything that decides where a pod runs and as whom.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placement {
    /// `serviceAccountName`, or the deprecated `serviceAccount`; `None` means `default`.
    pub service_account: Option<String>,
    /// The deprecated alias, where it differs from `serviceAccountName`.
    pub service_account_alias: Option<String>,
    /// `nodeName`.
    pub node_name: Option<String>,
    /// `nodeSelector`.
    pub node_selector: Vec<(String, String)>,
    /// Terms of `affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`; `None` without one. Terms are alternatives.
    pub node_affinity: Option<Vec<NodeTerm>>,
    /// Whether preferred node affinity names anything: requirements of all preferred terms.
    pub preferred: Vec<NodeTerm>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `runtimeClassName`.
    pub runtime_class: Option<String>,
    /// `priorityClassName`.
    pub priority_class: Option<String>,
    /// `schedulerName`, empty for the default.
    pub scheduler: String,
    /// `imagePullSecrets` names.
    pub image_pull_secrets: Vec<String>,
    /// Whether `affinity` is present at all.
    pub has_affinity: bool,
    /// `automountServiceAccountToken`.
    pub automount: Option<bool>,
}

/// One node selector term: all requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeTerm {
    /// On labels.
    pub expressions: Vec<Requirement>,
    /// On fields; only `metadata.name` exists.
    pub fields: Vec<Requirement>,
}

/// A toleration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toleration {
    /// Key; empty with `Exists` tolerates every taint.
    pub key: String,
    /// `Equal` or `Exists`; empty is `Equal`.
    pub operator: String,
    /// Value.
    pub value: String,
    /// Effect; empty is every effect.
    pub effect: String,
}

/// A binding of a pod to a node (`pods/binding`, `bindings`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeBinding {
    /// The node: `target.name`.
    pub node: String,
}

//! What of a pod or template decides how well it is confined: users, privileges, namespaces, mounts, ports, names.
//!
//! As written: nothing is defaulted here but what the API server itself defaults to nothing. Only of requests and files; a view of a live
//! cluster doesn't keep it.

use serde_json::Value;

/// Most containers that are read; far more than any pod has that is meant.
pub const CONTAINERS_MAX: usize = 256;

/// The security-relevant part of a pod spec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSecurity {
    /// `os.name` is `windows`.
    pub windows: bool,
    /// `hostNetwork`.
    pub host_network: bool,
    /// `hostPID`.
    pub host_pid: bool,
    /// `hostIPC`.
    pub host_ipc: bool,
    /// `hostUsers`; `Some(false)` is a user namespace of the pod's own (KEP-127).
    pub host_users: Option<bool>,
    /// `shareProcessNamespace`.
    pub share_process_namespace: bool,
    /// `securityContext`, as far as containers have it too.
    pub context: SecurityContext,
    /// `securityContext.sysctls[].name`.
    pub sysctls: Vec<String>,
    /// `securityContext.supplementalGroups`.
    pub supplemental_groups: Vec<i64>,
    /// `securityContext.fsGroup`.
    pub fs_group: Option<i64>,
    /// Volumes of a kind that the restricted standard doesn't list, and those by a name of Pinfold's.
    pub volumes: Vec<VolumeSource>,
    /// All containers: init, regular, ephemeral; the first [`CONTAINERS_MAX`].
    pub containers: Vec<Container>,
    /// How many more there are.
    pub unread_containers: usize,
    /// Names and addresses that the pod sees.
    pub network: PodNetwork,
}

/// What changes which names and addresses a pod sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodNetwork {
    /// `dnsPolicy`, empty for the default.
    pub dns_policy: String,
    /// `dnsConfig.nameservers`.
    pub nameservers: Vec<String>,
    /// `dnsConfig.searches`.
    pub searches: Vec<String>,
    /// `hostAliases[].hostnames`, or the address of one without; empty without any.
    pub host_aliases: Vec<String>,
    /// `hostname`, empty if left out: then it is the pod's name.
    pub hostname: String,
    /// `subdomain`, empty if left out.
    pub subdomain: String,
    /// `hostnameOverride` (KEP-4762), empty if left out.
    pub hostname_override: String,
}

/// `securityContext` of a pod or container: what both have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityContext {
    /// `runAsUser`.
    pub user: Option<i64>,
    /// `runAsGroup`.
    pub group: Option<i64>,
    /// `runAsNonRoot`.
    pub non_root: Option<bool>,
    /// `seccompProfile.type`; `None` without a profile.
    pub seccomp: Option<String>,
    /// `appArmorProfile.type`; `None` without a profile.
    pub app_armor: Option<String>,
    /// `seLinuxOptions`.
    pub se_linux: Option<SeLinux>,
    /// `windowsOptions.runAsUserName`, empty if left out.
    pub windows_user: String,
    /// `windowsOptions.hostProcess`.
    pub host_process: bool,
}

/// `seLinuxOptions`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeLinux {
    /// `type`.
    pub kind: String,
    /// `user`.
    pub user: String,
    /// `role`.
    pub role: String,
}

/// Which list of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContainerList {
    /// `containers`.
    #[default]
    Regular,
    /// `initContainers`.
    Init,
    /// `ephemeralContainers`.
    Ephemeral,
}

impl ContainerList {
    /// The field of the pod spec.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Regular => "containers",
            Self::Init => "initContainers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// The list that it is in.
    pub list: ContainerList,
    /// Its place in the list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// `image`.
    pub image: String,
    /// `securityContext`, as far as pods have it too.
    pub context: SecurityContext,
    /// `securityContext.privileged`.
    pub privileged: bool,
    /// `securityContext.allowPrivilegeEscalation`.
    pub escalation: Option<bool>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: Option<bool>,
    /// `securityContext.procMount`, empty if left out.
    pub proc_mount: String,
    /// `securityContext.capabilities`.
    pub capabilities: Option<Capabilities>,
    /// `ports`.
    pub ports: Vec<ContainerPort>,
    /// `volumeMounts`.
    pub mounts: Vec<VolumeMount>,
    /// `volumeDevices[].name`.
    pub devices: Vec<String>,
    /// Hosts that probes and lifecycle hooks name: field below the container, and the host.
    pub hosts: Vec<(&'static str, String)>,
    /// `targetContainerName` of an ephemeral container, empty if left out.
    pub target: String,
    /// `resources`, of a container by one of Pinfold's names alone.
    pub resources: Option<Value>,
}

impl Container {
    /// JSON path of the container, below that of its pod spec.
    #[must_use]
    pub fn path(&self, spec_path: &str) -> String {
        format!("{spec_path}.{}[{}]", self.list.field(), self.index)
    }
}

/// `capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// `add`.
    pub add: Vec<String>,
    /// `drop`.
    pub drop: Vec<String>,
}

/// One of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerPort {
    /// `name`, empty if left out.
    pub name: String,
    /// `containerPort`.
    pub container: i64,
    /// `hostPort`, 0 if left out.
    pub host: i64,
}

/// One of `volumeMounts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeMount {
    /// Name of the volume.
    pub volume: String,
    /// `mountPath`.
    pub path: String,
    /// `readOnly`.
    pub read_only: bool,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSource {
    /// Its place in the list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its kind, as written, unless the restricted standard lists it; also a kind that this version doesn't know.
    pub unlisted: Option<Box<str>>,
}

//! Pods and the kinds that embed a pod template, raw to ready: 9 kinds, 26 fields that name a Secret or ConfigMap, and placement.

use serde::Deserialize;
use serde_json::Value;

use super::meta::RawMeta;
use super::rbac::{RawRequirement, ready_requirements};
use super::security::{
    Parts, RawContext, RawHandler, RawLifecycle, RawMount, RawPort, RawSysctl, Sourced, ready_name,
};
use super::volume::{Finder, LocalRef, RawClaim, Volume};
use super::wire::{Block, List, Pairs, Text};
use crate::object::Facts;
use crate::object::pod::{
    ClaimTemplate, ClaimUse, NodeBinding, NodeTerm, Placement, Toleration, Workload,
};
use crate::object::reference::{Keys, Mount, ReferenceKind};
use crate::object::security::{
    CONTAINERS_MAX, Container, ContainerList, PodNetwork, PodSecurity, VolumeSource,
};
use crate::policy::inject::RESERVED_PREFIX;

/// A Pod; also the template of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPod<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawPodSpec<'a>>,
    #[serde(borrow)]
    status: Block<RawPodStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPodStatus<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
}

/// PodTemplate.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPodTemplate<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    template: Block<RawPod<'a>>,
}

/// Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTemplated<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawTemplatedSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTemplatedSpec<'a> {
    /// A ReplicationController's may be absent.
    #[serde(borrow)]
    template: Block<RawPod<'a>>,
    #[serde(borrow)]
    volume_claim_templates: List<Block<RawClaim<'a>>>,
    suspend: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCronJob<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawCronJobSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawCronJobSpec<'a> {
    #[serde(borrow)]
    job_template: Block<RawTemplated<'a>>,
    suspend: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawPodSpec<'a> {
    #[serde(borrow)]
    volumes: List<Block<Sourced<Volume<'a>>>>,
    #[serde(borrow)]
    containers: List<Block<RawContainer<'a>>>,
    #[serde(borrow)]
    init_containers: List<Block<RawContainer<'a>>>,
    #[serde(borrow)]
    ephemeral_containers: List<Block<RawContainer<'a>>>,
    #[serde(borrow)]
    image_pull_secrets: List<Block<LocalRef<'a>>>,
    #[serde(borrow)]
    service_account_name: Text<'a>,
    #[serde(borrow)]
    service_account: Text<'a>,
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow)]
    node_selector: Pairs<'a>,
    #[serde(borrow)]
    affinity: Block<RawAffinity<'a>>,
    #[serde(borrow)]
    tolerations: List<Block<RawToleration<'a>>>,
    #[serde(borrow)]
    runtime_class_name: Text<'a>,
    #[serde(borrow)]
    priority_class_name: Text<'a>,
    #[serde(borrow)]
    scheduler_name: Text<'a>,
    automount_service_account_token: Option<bool>,
    #[serde(borrow)]
    security_context: Block<RawContext<'a>>,
    #[serde(borrow)]
    os: Block<LocalRef<'a>>,
    host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    host_ipc: Option<bool>,
    host_users: Option<bool>,
    share_process_namespace: Option<bool>,
    #[serde(borrow)]
    dns_policy: Text<'a>,
    #[serde(borrow)]
    dns_config: Block<RawDnsConfig<'a>>,
    #[serde(borrow)]
    host_aliases: List<Block<RawHostAlias<'a>>>,
    #[serde(borrow)]
    hostname: Text<'a>,
    #[serde(borrow)]
    subdomain: Text<'a>,
    #[serde(borrow)]
    hostname_override: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDnsConfig<'a> {
    #[serde(borrow)]
    nameservers: List<Text<'a>>,
    #[serde(borrow)]
    searches: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawHostAlias<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
    #[serde(borrow)]
    hostnames: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawContainer<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    security_context: Block<Box<RawContext<'a>>>,
    #[serde(borrow)]
    ports: List<Block<RawPort<'a>>>,
    #[serde(borrow)]
    volume_mounts: List<Block<RawMount<'a>>>,
    #[serde(borrow)]
    volume_devices: List<Block<RawSysctl<'a>>>,
    #[serde(borrow)]
    liveness_probe: Block<Box<RawHandler<'a>>>,
    #[serde(borrow)]
    readiness_probe: Block<Box<RawHandler<'a>>>,
    #[serde(borrow)]
    startup_probe: Block<Box<RawHandler<'a>>>,
    #[serde(borrow)]
    lifecycle: Block<Box<RawLifecycle<'a>>>,
    #[serde(borrow)]
    target_container_name: Text<'a>,
    resources: Option<Value>,
    #[serde(borrow)]
    env: List<Block<RawEnv<'a>>>,
    #[serde(borrow)]
    env_from: List<Block<RawEnvFrom<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawEnv<'a> {
    #[serde(borrow)]
    value_from: Block<RawValueFrom<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawValueFrom<'a> {
    #[serde(borrow)]
    secret_key_ref: Block<KeyRef<'a>>,
    #[serde(borrow)]
    config_map_key_ref: Block<KeyRef<'a>>,
}

/// One key of a Secret or ConfigMap.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyRef<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
}

impl KeyRef<'_> {
    fn how(&self) -> (Mount, Keys) {
        (Mount::Env, Keys::Named(vec![self.key.owned()]))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawEnvFrom<'a> {
    #[serde(borrow)]
    secret_ref: Block<LocalRef<'a>>,
    #[serde(borrow)]
    config_map_ref: Block<LocalRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAffinity<'a> {
    #[serde(borrow)]
    node_affinity: Block<RawNodeAffinity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeAffinity<'a> {
    #[serde(borrow, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Block<RawNodeSelector<'a>>,
    #[serde(borrow, rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    preferred: List<Block<RawPreference<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawNodeSelector<'a> {
    #[serde(borrow)]
    node_selector_terms: List<Block<RawNodeTerm<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPreference<'a> {
    #[serde(borrow)]
    preference: Block<RawNodeTerm<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawNodeTerm<'a> {
    #[serde(borrow)]
    match_expressions: List<Block<RawRequirement<'a>>>,
    #[serde(borrow)]
    match_fields: List<Block<RawRequirement<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawToleration<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    effect: Text<'a>,
}

/// `pods/binding`, `bindings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawNodeBinding<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    target: Block<LocalRef<'a>>,
}

impl RawNodeBinding<'_> {
    pub(super) fn ready(&self) -> Facts {
        let node = self.target.get().map(|target| target.name.owned()).unwrap_or_default();
        Facts::NodeBinding(NodeBinding { node })
    }
}

impl RawPod<'_> {
    pub(super) fn ready(&self) -> Facts {
        Facts::Workload(Box::new(self.workload("$")))
    }

    /// The workload of the pod or template at `path`.
    pub(super) fn workload(&self, path: &str) -> Workload {
        let mut workload = Workload {
            spec_path: format!("{path}.spec"),
            meta_path: format!("{path}.metadata"),
            ..Workload::default()
        };
        if let Some(metadata) = self.metadata.get() {
            workload.pod_labels = metadata.labels.owned();
            workload.pod_annotations = metadata.annotations.owned();
        }
        if let Some(spec) = self.spec.get() {
            spec.fill(&mut workload);
        }
        let phase = self.status.get().map(|status| status.phase.as_str());
        workload.finished = matches!(phase, Some("Succeeded" | "Failed"));
        workload
    }
}

impl RawPodTemplate<'_> {
    pub(super) fn ready(&self) -> Facts {
        Facts::Workload(Box::new(workload_of(&self.template, "$.template")))
    }
}

/// A template that is absent is that of an empty pod.
fn workload_of(template: &Block<RawPod<'_>>, path: &str) -> Workload {
    template.get().unwrap_or(&RawPod::default()).workload(path)
}

impl RawTemplated<'_> {
    pub(super) fn ready(&self) -> Facts {
        Facts::Workload(Box::new(self.workload("$")))
    }

    fn workload(&self, path: &str) -> Workload {
        let none = RawTemplatedSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        let mut workload = workload_of(&spec.template, &format!("{path}.spec.template"));
        for (index, claim) in spec.volume_claim_templates.each() {
            let path = format!("{path}.spec.volumeClaimTemplates[{index}].spec");
            workload.claim_templates.push(claim.ready(path));
        }
        workload.suspended = spec.suspend == Some(true);
        workload
    }
}

impl RawCronJob<'_> {
    pub(super) fn ready(&self) -> Facts {
        let none = RawCronJobSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        let nothing = RawTemplated::default();
        let job = spec.job_template.get().unwrap_or(&nothing);
        let mut workload = job.workload("$.spec.jobTemplate");
        workload.suspended |= spec.suspend == Some(true);
        Facts::Workload(Box::new(workload))
    }
}

impl RawPodSpec<'_> {
    fn fill(&self, workload: &mut Workload) {
        let path = workload.spec_path.clone();
        let mut finder = Finder::default();
        self.visit_volumes(&mut finder, workload, &path);
        self.visit_containers(&mut finder, &path);
        for (index, secret) in self.image_pull_secrets.each() {
            let path = format!("{path}.imagePullSecrets[{index}].name");
            let how = (Mount::ImagePull, Keys::All);
            finder.used(ReferenceKind::Secret, &secret.name, path, how);
        }
        workload.references = finder.references;
        workload.placement = self.placement();
        workload.security = Some(Box::new(self.security()));
    }

    fn security(&self) -> PodSecurity {
        let (containers, unread_containers) = self.each_container();
        let none = RawContext::default();
        let context = self.security_context.get().unwrap_or(&none);
        PodSecurity {
            windows: self.os.get().is_some_and(|os| os.name.as_str() == "windows"),
            host_network: self.host_network == Some(true),
            host_pid: self.host_pid == Some(true),
            host_ipc: self.host_ipc == Some(true),
            host_users: self.host_users,
            share_process_namespace: self.share_process_namespace == Some(true),
            context: context.ready(),
            sysctls: context.sysctls.0.iter().map(ready_name).collect(),
            supplemental_groups: context.supplemental_groups.0.clone(),
            fs_group: context.fs_group,
            volumes: self.odd_volumes(),
            containers,
            unread_containers,
            network: self.network(),
        }
    }

    fn network(&self) -> PodNetwork {
        let none = RawDnsConfig::default();
        let config = self.dns_config.get().unwrap_or(&none);
        let named = |(_, alias): (usize, &RawHostAlias<'_>)| {
            let names = alias.hostnames.owned();
            if names.is_empty() { vec![alias.ip.owned()] } else { names }
        };
        PodNetwork {
            dns_policy: self.dns_policy.owned(),
            nameservers: config.nameservers.owned(),
            searches: config.searches.owned(),
            host_aliases: self.host_aliases.each().flat_map(named).collect(),
            hostname: self.hostname.owned(),
            subdomain: self.subdomain.owned(),
            hostname_override: self.hostname_override.owned(),
        }
    }

    fn odd_volumes(&self) -> Vec<VolumeSource> {
        let odd = |volume: &&Sourced<Volume<'_>>| {
            volume.unlisted.is_some() || volume.inner.name.as_str().starts_with(RESERVED_PREFIX)
        };
        let ready = |(index, volume): (usize, &Sourced<Volume<'_>>)| VolumeSource {
            index,
            name: volume.inner.name.owned(),
            unlisted: volume.unlisted.clone(),
        };
        self.volumes.each().filter(|(_, volume)| odd(volume)).map(ready).collect()
    }

    /// The containers that are read, and how many there are beyond them.
    fn each_container(&self) -> (Vec<Container>, usize) {
        let lists = [
            (ContainerList::Init, &self.init_containers),
            (ContainerList::Regular, &self.containers),
            (ContainerList::Ephemeral, &self.ephemeral_containers),
        ];
        let mut read = Vec::new();
        let mut unread = 0_usize;
        for (list, containers) in lists {
            for (index, raw) in containers.each() {
                if read.len() < CONTAINERS_MAX {
                    read.push(raw.parts().ready(list, index));
                } else {
                    unread = unread.saturating_add(1);
                }
            }
        }
        (read, unread)
    }

    fn visit_volumes(&self, finder: &mut Finder, workload: &mut Workload, path: &str) {
        for (index, Sourced { inner: volume, .. }) in self.volumes.each() {
            let path = format!("{path}.volumes[{index}]");
            volume.visit(finder, &path);
            volume.visit_identity(workload, &path);
            if let Some(claim) = volume.persistent_volume_claim.get() {
                let path = format!("{path}.persistentVolumeClaim.claimName");
                let (name, read_only) = (claim.claim_name.owned(), claim.read_only == Some(true));
                workload.claims.push(ClaimUse { name, path, read_only });
            }
            let ephemeral = volume.ephemeral.get();
            if let Some(claim) = ephemeral.and_then(|source| source.volume_claim_template.get()) {
                let path = format!("{path}.ephemeral.volumeClaimTemplate.spec");
                let template: ClaimTemplate = claim.ready(path);
                workload.claim_templates.push(template);
            }
        }
    }

    fn visit_containers(&self, finder: &mut Finder, path: &str) {
        let lists = [
            ("containers", &self.containers),
            ("initContainers", &self.init_containers),
            ("ephemeralContainers", &self.ephemeral_containers),
        ];
        for (field, containers) in lists {
            for (index, container) in containers.each() {
                container.visit(finder, &format!("{path}.{field}[{index}]"));
            }
        }
    }

    fn placement(&self) -> Placement {
        let affinity = self.affinity.get();
        let node = affinity.and_then(|affinity| affinity.node_affinity.get());
        let name = self.service_account_name.some();
        let alias = self.service_account.some().filter(|alias| Some(alias) != name.as_ref());
        Placement {
            service_account: name.or_else(|| alias.clone()),
            service_account_alias: alias,
            node_name: self.node_name.some(),
            node_selector: self.node_selector.owned(),
            node_affinity: node.and_then(|node| node.required.get()).map(ready_terms),
            preferred: node.map(ready_preferred).unwrap_or_default(),
            tolerations: self.tolerations.0.iter().map(ready_toleration).collect(),
            runtime_class: self.runtime_class_name.some(),
            priority_class: self.priority_class_name.some(),
            scheduler: self.scheduler_name.owned(),
            image_pull_secrets: self
                .image_pull_secrets
                .each()
                .map(|(_, secret)| secret.name.owned())
                .collect(),
            has_affinity: affinity.is_some(),
            automount: self.automount_service_account_token,
        }
    }
}

/// A `null` item stands for an empty one and is kept, so that indexes stay those of the document.
fn ready_preferred(node: &RawNodeAffinity<'_>) -> Vec<NodeTerm> {
    let term = |item: &Block<RawPreference<'_>>| {
        item.get().and_then(|preferred| preferred.preference.get()).map(ready_term)
    };
    node.preferred.0.iter().map(|item| term(item).unwrap_or_default()).collect()
}

/// A `null` term stands for an empty one, which selects nothing.
pub(super) fn ready_terms(selector: &RawNodeSelector<'_>) -> Vec<NodeTerm> {
    let none = RawNodeTerm::default();
    let terms = selector.node_selector_terms.0.iter();
    terms.map(|term| ready_term(term.get().unwrap_or(&none))).collect()
}

fn ready_term(term: &RawNodeTerm<'_>) -> NodeTerm {
    NodeTerm {
        expressions: ready_requirements(&term.match_expressions),
        fields: ready_requirements(&term.match_fields),
    }
}

pub(super) fn ready_toleration(toleration: &Block<RawToleration<'_>>) -> Toleration {
    let Some(toleration) = toleration.get() else { return Toleration::default() };
    Toleration {
        key: toleration.key.owned(),
        operator: toleration.operator.owned(),
        value: toleration.value.owned(),
        effect: toleration.effect.owned(),
    }
}

impl<'a> RawContainer<'a> {
    fn parts(&self) -> Parts<'_, 'a> {
        Parts {
            name: &self.name,
            image: &self.image,
            context: &self.security_context,
            ports: &self.ports,
            mounts: &self.volume_mounts,
            devices: &self.volume_devices,
            probes: [&self.liveness_probe, &self.readiness_probe, &self.startup_probe],
            lifecycle: &self.lifecycle,
            target: &self.target_container_name,
            resources: self.resources.as_ref(),
        }
    }
}

impl RawContainer<'_> {
    fn visit(&self, finder: &mut Finder, path: &str) {
        for (index, env) in self.env.each() {
            let Some(from) = env.value_from.get() else { continue };
            let path = format!("{path}.env[{index}].valueFrom");
            if let Some(secret) = from.secret_key_ref.get() {
                let path = format!("{path}.secretKeyRef.name");
                finder.used(ReferenceKind::Secret, &secret.name, path, secret.how());
            }
            if let Some(config_map) = from.config_map_key_ref.get() {
                let path = format!("{path}.configMapKeyRef.name");
                finder.used(ReferenceKind::ConfigMap, &config_map.name, path, config_map.how());
            }
        }
        for (index, source) in self.env_from.each() {
            let path = format!("{path}.envFrom[{index}]");
            let kinds = [
                (ReferenceKind::Secret, "secretRef", &source.secret_ref),
                (ReferenceKind::ConfigMap, "configMapRef", &source.config_map_ref),
            ];
            for (kind, field, from) in kinds {
                let Some(from) = from.get() else { continue };
                let how = (Mount::Env, Keys::All);
                finder.used(kind, &from.name, format!("{path}.{field}.name"), how);
            }
        }
    }
}

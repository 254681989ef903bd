//! Volume sources of pods and PersistentVolumes, raw to references. Every source is visited, also where the API server would refuse two in one
//! volume: it refuses only after mutation, and offline nobody does.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::wire::{Block, List, Pairs, Text};
use crate::object::pod::{ClaimTemplate, ProjectedCertificate, ProjectedToken, Workload};
use crate::object::reference::{Keys, Mount, Reference, ReferenceKind, member_path};

/// References as they are found.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pub(super) references: Vec<Reference>,
}

impl Finder {
    /// Notes a reference into the referring object's own namespace.
    pub(super) fn local(&mut self, kind: ReferenceKind, name: &Text<'_>, path: String) {
        self.add(kind, "", name.as_str(), path);
    }

    /// Notes a reference with its namespace.
    pub(super) fn add(&mut self, kind: ReferenceKind, namespace: &str, name: &str, path: String) {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let (mount, keys) = (Mount::default(), Keys::default());
        self.references.push(Reference { kind, namespace, name, path, mount, keys });
    }

    /// Notes a reference into the referring object's own namespace, and how what it names is used.
    pub(super) fn used(
        &mut self,
        kind: ReferenceKind,
        name: &Text<'_>,
        path: String,
        (mount, keys): (Mount, Keys),
    ) {
        let (namespace, name) = (String::new(), name.owned());
        self.references.push(Reference { kind, namespace, name, path, mount, keys });
    }

    /// Notes a Secret that a volume driver is given.
    pub(super) fn driven(&mut self, secret: (&str, &str), path: String) {
        let (namespace, name) = (secret.0.to_owned(), secret.1.to_owned());
        let (kind, mount, keys) = (ReferenceKind::Secret, Mount::Driver, Keys::All);
        self.references.push(Reference { kind, namespace, name, path, mount, keys });
    }
}

/// `items` of a volume: one key of a Secret or ConfigMap, and the file that it becomes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    key: Text<'a>,
}

/// The keys that a volume takes: all unless it lists some.
fn keys_of(items: &List<Block<Item<'_>>>) -> Keys {
    let listed: Vec<String> = items.each().map(|(_, item)| item.key.owned()).collect();
    if listed.is_empty() { Keys::All } else { Keys::Named(listed) }
}

/// `{name}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LocalRef<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

/// `{name, namespace}`; a pod's has no namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretRef<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
}

/// A volume plug-in that names its Secret in `secretRef`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Plugin<'a> {
    #[serde(borrow)]
    secret_ref: Block<SecretRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AzureFile<'a> {
    #[serde(borrow)]
    secret_name: Text<'a>,
    #[serde(borrow)]
    secret_namespace: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Csi<'a> {
    #[serde(borrow)]
    controller_publish_secret_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    node_stage_secret_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    node_publish_secret_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    controller_expand_secret_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    node_expand_secret_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    volume_attributes: Pairs<'a>,
}

impl AzureFile<'_> {
    pub(super) fn visit(&self, finder: &mut Finder, path: &str) {
        let (name, namespace) = (self.secret_name.as_str(), self.secret_namespace.as_str());
        finder.driven((namespace, name), format!("{path}.secretName"));
    }
}

impl Plugin<'_> {
    pub(super) fn visit(&self, finder: &mut Finder, path: &str) {
        if let Some(secret) = self.secret_ref.get() {
            let (name, namespace) = (secret.name.as_str(), secret.namespace.as_str());
            finder.driven((namespace, name), format!("{path}.secretRef.name"));
        }
    }
}

impl Csi<'_> {
    pub(super) fn visit(&self, finder: &mut Finder, path: &str) {
        let fields = [
            ("controllerPublishSecretRef", &self.controller_publish_secret_ref),
            ("nodeStageSecretRef", &self.node_stage_secret_ref),
            ("nodePublishSecretRef", &self.node_publish_secret_ref),
            ("controllerExpandSecretRef", &self.controller_expand_secret_ref),
            ("nodeExpandSecretRef", &self.node_expand_secret_ref),
        ];
        for (field, secret) in fields {
            if let Some(secret) = secret.get() {
                let (name, namespace) = (secret.name.as_str(), secret.namespace.as_str());
                finder.driven((namespace, name), format!("{path}.{field}.name"));
            }
        }
        secret_parameters(&self.volume_attributes, finder, &format!("{path}.volumeAttributes"));
    }
}

/// Parameters that name a Secret by convention: `...secret-name` or `...secretName` with the same key ending in `namespace`, in any case, because
/// the in-tree plug-ins and the Azure drivers ignore case; ScaleIO says `secretRef`.
pub(super) fn secret_parameters(parameters: &Pairs<'_>, finder: &mut Finder, path: &str) {
    // Keys are folded once and looked up by hash: an object has as many as fit into a request.
    let pairs = parameters.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let folded: Vec<(String, &str, &str)> =
        pairs.map(|(key, value)| (key.to_ascii_lowercase(), key, value)).collect();
    let mut values: HashMap<&str, &str> = HashMap::with_capacity(folded.len());
    for (lower, _, value) in &folded {
        values.entry(lower).or_insert(value);
    }
    let mut used = HashSet::new();
    for (lower, key, name) in &folded {
        let Some(partner) = namespace_key(lower) else { continue };
        let namespace = values.get(partner.as_str()).copied().unwrap_or_default();
        finder.driven((namespace, name), member_path(path, key));
        used.insert(partner);
    }
    for (lower, key, namespace) in &folded {
        let secret = lower.ends_with("secretnamespace") || lower.ends_with("secret-namespace");
        if secret && !used.contains(lower) {
            finder.driven((namespace, ""), member_path(path, key));
        }
    }
}

/// The parameter with the namespace of the Secret that this one, in lower case, names; `None` if it names none.
fn namespace_key(lower: &str) -> Option<String> {
    if lower.ends_with("secretname") || lower.ends_with("secret-name") {
        return lower.strip_suffix("name").map(|stem| format!("{stem}namespace"));
    }
    lower.strip_suffix("secretref").map(|stem| format!("{stem}secretnamespace"))
}

/// The volume sources that pods and PersistentVolumes share, 7 of which name a Secret in `secretRef`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Volume<'a> {
    /// A pod's.
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    secret: Block<SecretVolume<'a>>,
    #[serde(borrow)]
    config_map: Block<NamedVolume<'a>>,
    #[serde(borrow)]
    projected: Block<Projected<'a>>,
    #[serde(borrow)]
    azure_file: Block<AzureFile<'a>>,
    #[serde(borrow)]
    cephfs: Block<Plugin<'a>>,
    #[serde(borrow)]
    cinder: Block<Plugin<'a>>,
    #[serde(borrow)]
    flex_volume: Block<Plugin<'a>>,
    #[serde(borrow)]
    rbd: Block<Plugin<'a>>,
    #[serde(borrow, rename = "scaleIO")]
    scale_io: Block<Plugin<'a>>,
    #[serde(borrow)]
    iscsi: Block<Plugin<'a>>,
    #[serde(borrow)]
    storageos: Block<Plugin<'a>>,
    #[serde(borrow)]
    csi: Block<Csi<'a>>,
    #[serde(borrow)]
    pub(super) persistent_volume_claim: Block<ClaimSource<'a>>,
    #[serde(borrow)]
    pub(super) ephemeral: Block<Ephemeral<'a>>,
    /// PersistentVolume.
    #[serde(borrow)]
    pub(super) claim_ref: Block<SecretRef<'a>>,
    /// PersistentVolume.
    #[serde(borrow)]
    pub(super) node_affinity: Block<VolumeAffinity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecretVolume<'a> {
    #[serde(borrow)]
    secret_name: Text<'a>,
    #[serde(borrow)]
    items: List<Block<Item<'a>>>,
}

/// A `configMap` volume, or a source of a `projected` one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamedVolume<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    items: List<Block<Item<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Projected<'a> {
    #[serde(borrow)]
    sources: List<Block<ProjectedSource<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProjectedSource<'a> {
    #[serde(borrow)]
    secret: Block<NamedVolume<'a>>,
    #[serde(borrow)]
    config_map: Block<NamedVolume<'a>>,
    #[serde(borrow)]
    service_account_token: Block<RawToken<'a>>,
    #[serde(borrow)]
    pod_certificate: Block<RawCertificate<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawToken<'a> {
    #[serde(borrow)]
    audience: Text<'a>,
    expiration_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawCertificate<'a> {
    #[serde(borrow)]
    signer_name: Text<'a>,
}

/// The nodes from which a PersistentVolume can be reached.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VolumeAffinity<'a> {
    #[serde(borrow)]
    pub(super) required: Block<super::pod::RawNodeSelector<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClaimSource<'a> {
    #[serde(borrow)]
    pub(super) claim_name: Text<'a>,
    pub(super) read_only: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ephemeral<'a> {
    #[serde(borrow)]
    pub(super) volume_claim_template: Block<RawClaim<'a>>,
}

impl Volume<'_> {
    /// The Secrets and ConfigMaps that the source at `path` names.
    pub(super) fn visit(&self, finder: &mut Finder, path: &str) {
        self.visit_plugins(finder, path);
        if let Some(secret) = self.secret.get() {
            let path = format!("{path}.secret.secretName");
            let how = (Mount::File, keys_of(&secret.items));
            finder.used(ReferenceKind::Secret, &secret.secret_name, path, how);
        }
        if let Some(config_map) = self.config_map.get() {
            let path = format!("{path}.configMap.name");
            let how = (Mount::File, keys_of(&config_map.items));
            finder.used(ReferenceKind::ConfigMap, &config_map.name, path, how);
        }
        let Some(projected) = self.projected.get() else { return };
        for (index, source) in projected.sources.each() {
            let path = format!("{path}.projected.sources[{index}]");
            let kinds = [
                (ReferenceKind::Secret, "secret", &source.secret),
                (ReferenceKind::ConfigMap, "configMap", &source.config_map),
            ];
            for (kind, field, volume) in kinds {
                let Some(volume) = volume.get() else { continue };
                let how = (Mount::Projected, keys_of(&volume.items));
                finder.used(kind, &volume.name, format!("{path}.{field}.name"), how);
            }
        }
    }

    /// Notes the tokens and certificates that the source at `path` projects.
    pub(super) fn visit_identity(&self, workload: &mut Workload, path: &str) {
        let Some(projected) = self.projected.get() else { return };
        for (index, source) in projected.sources.each() {
            let path = format!("{path}.projected.sources[{index}]");
            if let Some(token) = source.service_account_token.get() {
                workload.tokens.push(ProjectedToken {
                    audience: token.audience.owned(),
                    expiration_seconds: token.expiration_seconds,
                    path: format!("{path}.serviceAccountToken"),
                });
            }
            if let Some(certificate) = source.pod_certificate.get() {
                workload.certificates.push(ProjectedCertificate {
                    signer: certificate.signer_name.owned(),
                    path: format!("{path}.podCertificate"),
                });
            }
        }
    }

    fn visit_plugins(&self, finder: &mut Finder, path: &str) {
        let plugins = [
            ("cephfs", &self.cephfs),
            ("cinder", &self.cinder),
            ("flexVolume", &self.flex_volume),
            ("rbd", &self.rbd),
            ("scaleIO", &self.scale_io),
            ("iscsi", &self.iscsi),
            ("storageos", &self.storageos),
        ];
        for (field, plugin) in plugins {
            if let Some(plugin) = plugin.get() {
                plugin.visit(finder, &format!("{path}.{field}"));
            }
        }
        if let Some(azure) = self.azure_file.get() {
            azure.visit(finder, &format!("{path}.azureFile"));
        }
        if let Some(csi) = self.csi.get() {
            csi.visit(finder, &format!("{path}.csi"));
        }
    }
}

/// A PersistentVolumeClaim or a template of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawClaim<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<super::meta::RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawClaimSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaimSpec<'a> {
    #[serde(borrow)]
    volume_name: Text<'a>,
    #[serde(borrow)]
    storage_class_name: Text<'a>,
    #[serde(borrow)]
    data_source_ref: Block<SecretRef<'a>>,
}

/// The annotation that named the class before the field; it still wins over it.
const STORAGE_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

impl RawClaim<'_> {
    /// What the claim whose spec is at `path` asks for.
    pub(super) fn ready(&self, path: String) -> ClaimTemplate {
        let none = RawClaimSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        let annotated = self
            .metadata
            .get()
            .and_then(|metadata| metadata.annotations.get(STORAGE_CLASS_ANNOTATION));
        ClaimTemplate {
            path,
            volume_name: spec.volume_name.owned(),
            storage_class: annotated.map_or_else(|| spec.storage_class_name.owned(), str::to_owned),
            data_source_namespace: spec
                .data_source_ref
                .get()
                .map(|source| source.namespace.owned())
                .unwrap_or_default(),
        }
    }
}

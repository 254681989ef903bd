//! Kinds that name Secrets or ConfigMaps and run nothing, raw to references: storage, identities, ingress, copies of Secrets.

use serde::Deserialize;

use super::meta::RawMeta;
use super::pod::ready_terms;
use super::volume::{Finder, LocalRef, RawClaim, SecretRef, Volume, secret_parameters};
use super::wire::{Block, List, Pairs, Text};
use crate::object::Facts;
use crate::object::reference::{Keys, Mount, ReferenceKind, member_path};
use crate::object::storage::Referrer;

const ANNOTATIONS: &str = "$.metadata.annotations";

/// Annotations that tell a replicator which object to copy from: `namespace/name`.
const COPIED_FROM: [&str; 2] =
    ["replicator.v1.mittwald.de/replicate-from", "reflector.v1.k8s.emberstack.com/reflects"];

/// Annotations by which ingress-nginx reads a Secret, `namespace/name` or `name`.
const INGRESS_SECRETS: [&str; 3] = [
    "nginx.ingress.kubernetes.io/auth-secret",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/proxy-ssl-secret",
];

/// Annotations by which ingress-nginx reads a ConfigMap, `namespace/name` or `name`.
const INGRESS_CONFIG_MAPS: [&str; 3] = [
    "nginx.ingress.kubernetes.io/auth-proxy-set-headers",
    "nginx.ingress.kubernetes.io/custom-headers",
    "nginx.ingress.kubernetes.io/fastcgi-params-configmap",
];

/// Annotations of a PersistentVolume and a VolumeSnapshotContent whose Secret the CSI sidecars use to delete: name, namespace.
const DELETION_SECRETS: [(&str, &str); 2] = [
    (
        "volume.kubernetes.io/provisioner-deletion-secret-name",
        "volume.kubernetes.io/provisioner-deletion-secret-namespace",
    ),
    (
        "snapshot.storage.kubernetes.io/deletion-secret-name",
        "snapshot.storage.kubernetes.io/deletion-secret-namespace",
    ),
];

fn referrer(finder: Finder) -> Referrer {
    Referrer { references: finder.references, ..Referrer::default() }
}

/// Notes the annotations of `keys` that are there, each `namespace/name` or `name`.
fn visit_annotations(
    metadata: &Block<RawMeta<'_>>,
    keys: &[&str],
    kind: ReferenceKind,
    finder: &mut Finder,
) {
    let Some(metadata) = metadata.get() else { return };
    for key in keys {
        let Some(value) = metadata.annotations.get(key) else { continue };
        let (namespace, name) = value.split_once('/').unwrap_or(("", value));
        finder.add(kind, namespace.trim(), name.trim(), member_path(ANNOTATIONS, key));
    }
}

fn visit_deletion_secrets(metadata: &Block<RawMeta<'_>>, finder: &mut Finder) {
    let Some(metadata) = metadata.get() else { return };
    for (name, namespace) in DELETION_SECRETS {
        let namespace = metadata.annotations.get(namespace).unwrap_or_default();
        if let Some(found) = metadata.annotations.get(name) {
            finder.add(ReferenceKind::Secret, namespace, found, member_path(ANNOTATIONS, name));
        }
    }
}

/// Secret and ConfigMap: nothing but what a replicator copies from elsewhere. Values are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCopy<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
}

impl RawCopy<'_> {
    pub(super) fn ready(&self, kind: &str) -> Facts {
        let mut finder = Finder::default();
        let secret = kind == "Secret";
        let kind = if secret { ReferenceKind::Secret } else { ReferenceKind::ConfigMap };
        visit_annotations(&self.metadata, &COPIED_FROM, kind, &mut finder);
        if finder.references.is_empty() {
            return Facts::MetaOnly;
        }
        Facts::Referrer(Box::new(referrer(finder)))
    }
}

/// PersistentVolume.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPersistentVolume<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<Volume<'a>>,
}

fn claim_of(claim: &Block<SecretRef<'_>>) -> Option<(String, String)> {
    claim.get().map(|claim| (claim.namespace.owned(), claim.name.owned()))
}

impl RawPersistentVolume<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        visit_deletion_secrets(&self.metadata, &mut finder);
        let Some(spec) = self.spec.get() else {
            return Facts::Referrer(Box::new(referrer(finder)));
        };
        spec.visit(&mut finder, "$.spec");
        let affinity = spec.node_affinity.get().and_then(|affinity| affinity.required.get());
        Facts::Referrer(Box::new(Referrer {
            claim: claim_of(&spec.claim_ref),
            node_affinity: affinity.map(ready_terms),
            ..referrer(finder)
        }))
    }
}

impl RawClaim<'_> {
    /// A PersistentVolumeClaim.
    pub(super) fn ready_claim(&self) -> Facts {
        let claim = self.ready("$.spec".to_owned());
        Facts::Referrer(Box::new(Referrer {
            volume_name: claim.volume_name,
            storage_class: claim.storage_class,
            data_source_namespace: claim.data_source_namespace,
            ..Referrer::default()
        }))
    }
}

/// VolumeAttachment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAttachment<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawAttachmentSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAttachmentSpec<'a> {
    #[serde(borrow)]
    source: Block<RawAttachmentSource<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAttachmentSource<'a> {
    #[serde(borrow)]
    inline_volume_spec: Block<Volume<'a>>,
}

impl RawAttachment<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        let source = self.spec.get().and_then(|spec| spec.source.get());
        let Some(inline) = source.and_then(|source| source.inline_volume_spec.get()) else {
            return Facts::Referrer(Box::default());
        };
        inline.visit(&mut finder, "$.spec.source.inlineVolumeSpec");
        Facts::Referrer(Box::new(Referrer {
            claim: claim_of(&inline.claim_ref),
            ..referrer(finder)
        }))
    }
}

/// StorageClass, VolumeSnapshotClass, VolumeGroupSnapshotClass.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawClass<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    parameters: Pairs<'a>,
}

impl RawClass<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        secret_parameters(&self.parameters, &mut finder, "$.parameters");
        Facts::Referrer(Box::new(referrer(finder)))
    }
}

/// VolumeSnapshotContent, VolumeGroupSnapshotContent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSnapshotContent<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawSnapshotContentSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSnapshotContentSpec<'a> {
    #[serde(borrow)]
    volume_snapshot_ref: Block<SecretRef<'a>>,
    #[serde(borrow)]
    volume_group_snapshot_ref: Block<SecretRef<'a>>,
}

impl RawSnapshotContent<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        visit_deletion_secrets(&self.metadata, &mut finder);
        let claim = self.spec.get().and_then(|spec| {
            claim_of(&spec.volume_snapshot_ref)
                .or_else(|| claim_of(&spec.volume_group_snapshot_ref))
        });
        Facts::Referrer(Box::new(Referrer { claim, ..referrer(finder) }))
    }
}

/// ServiceAccount.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawServiceAccount<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    /// Their `namespace` field is not read by anybody.
    #[serde(borrow)]
    secrets: List<Block<LocalRef<'a>>>,
    #[serde(borrow)]
    image_pull_secrets: List<Block<LocalRef<'a>>>,
    automount_service_account_token: Option<bool>,
}

impl RawServiceAccount<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        for (index, secret) in self.secrets.each() {
            finder.local(ReferenceKind::Secret, &secret.name, format!("$.secrets[{index}].name"));
        }
        for (index, secret) in self.image_pull_secrets.each() {
            let path = format!("$.imagePullSecrets[{index}].name");
            let how = (Mount::ImagePull, Keys::All);
            finder.used(ReferenceKind::Secret, &secret.name, path, how);
        }
        let automount = self.automount_service_account_token;
        Facts::Referrer(Box::new(Referrer { automount, ..referrer(finder) }))
    }
}

/// Ingress of `networking.k8s.io` and `extensions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawIngress<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawIngressSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIngressSpec<'a> {
    #[serde(borrow)]
    tls: List<Block<RawIngressTls<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawIngressTls<'a> {
    #[serde(borrow)]
    secret_name: Text<'a>,
}

impl RawIngress<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        let (secret, config_map) = (ReferenceKind::Secret, ReferenceKind::ConfigMap);
        visit_annotations(&self.metadata, &INGRESS_SECRETS, secret, &mut finder);
        visit_annotations(&self.metadata, &INGRESS_CONFIG_MAPS, config_map, &mut finder);
        for (index, tls) in self.spec.get().into_iter().flat_map(|spec| spec.tls.each()) {
            // Without a name the controller uses its own certificate.
            if !tls.secret_name.is_empty() {
                let path = format!("$.spec.tls[{index}].secretName");
                finder.local(ReferenceKind::Secret, &tls.secret_name, path);
            }
        }
        Facts::Referrer(Box::new(referrer(finder)))
    }
}

/// TokenRequest (`serviceaccounts/token`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTokenRequest<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawTokenRequestSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTokenRequestSpec<'a> {
    #[serde(borrow)]
    bound_object_ref: Block<KindRef<'a>>,
}

/// A reference that says the kind of what it names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KindRef<'a> {
    #[serde(borrow)]
    pub(super) group: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

impl RawTokenRequest<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        let bound = self.spec.get().and_then(|spec| spec.bound_object_ref.get());
        if let Some(bound) = bound.filter(|bound| bound.kind.as_str() == "Secret") {
            let path = "$.spec.boundObjectRef.name".to_owned();
            finder.local(ReferenceKind::Secret, &bound.name, path);
        }
        Facts::Referrer(Box::new(referrer(finder)))
    }
}

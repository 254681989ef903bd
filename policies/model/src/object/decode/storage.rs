//! Kinds that name Secrets or ConfigMaps and run nothing, raw to references: storage, identities, revisions, parameters of
//! admission policies.

use serde::Deserialize;

use super::meta::RawMeta;
use super::pod::{RawPod, ready_terms};
use super::volume::{Finder, LocalRef, RawClaim, SecretRef, Volume, secret_parameters};
use super::wire::{Block, List, Pairs, Text};
use crate::object::Facts;
use crate::object::reference::{Keys, Mount, ReferenceKind, member_path};
use crate::object::storage::{Param, Referrer};

pub(super) const ANNOTATIONS: &str = "$.metadata.annotations";

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

pub(super) fn referrer(finder: Finder) -> Referrer {
    Referrer { references: finder.references, ..Referrer::default() }
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

/// ControllerRevision: what a StatefulSet or DaemonSet is rolled back to, and what some of its pods are made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRevision<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    data: Block<RawRevisionData<'a>>,
}

/// A patch of the owner, `{spec: {template: ...}}`; other controllers keep what they like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRevisionData<'a> {
    #[serde(borrow)]
    spec: Block<RawRevisionSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRevisionSpec<'a> {
    #[serde(borrow)]
    template: Block<RawPod<'a>>,
}

impl RawRevision<'_> {
    pub(super) fn ready(&self) -> Facts {
        let spec = self.data.get().and_then(|data| data.spec.get());
        let Some(template) = spec.and_then(|spec| spec.template.get()) else {
            return Facts::MetaOnly;
        };
        let references = template.workload("$.data.spec.template").references;
        Facts::Referrer(Box::new(Referrer { references, ..Referrer::default() }))
    }
}

/// ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPolicy<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawPolicySpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawPolicySpec<'a> {
    /// Policy.
    #[serde(borrow)]
    param_kind: Block<RawParamKind<'a>>,
    /// Binding.
    #[serde(borrow)]
    policy_name: Text<'a>,
    /// Binding.
    #[serde(borrow)]
    param_ref: Block<SecretRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawParamKind<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
}

impl RawPolicy<'_> {
    pub(super) fn ready(&self) -> Facts {
        let Some(spec) = self.spec.get() else { return Facts::MetaOnly };
        let mut finder = Finder::default();
        let core = spec.param_kind.get().filter(|kind| kind.api_version.as_str() == "v1");
        let mut param = match core.map(|kind| kind.kind.as_str()) {
            Some("Secret") => Some(Param::Kind(ReferenceKind::Secret)),
            Some("ConfigMap") => Some(Param::Kind(ReferenceKind::ConfigMap)),
            Some(_) | None => None,
        };
        if let Some(named) = spec.param_ref.get() {
            // A selector instead of a name takes whatever is there.
            let (namespace, name) = (named.namespace.as_str(), named.name.as_str());
            let path = "$.spec.paramRef.name".to_owned();
            finder.add(ReferenceKind::ConfigMap, namespace, name, path);
            param = Some(Param::Of { policy: spec.policy_name.owned() });
        }
        let Some(param) = param else { return Facts::MetaOnly };
        Facts::Referrer(Box::new(Referrer { param: Some(Box::new(param)), ..referrer(finder) }))
    }
}

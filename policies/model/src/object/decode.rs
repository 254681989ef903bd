//! Bytes or JSON values of one object to [`Object`]. The only place that knows the wire shape of Kubernetes objects.
//!
//! Kinds are known by group and kind, in any version. Raw structs borrow; unknown fields are ignored; a known field of another shape is an
//! error that names it. What this module must never do: return an object of a known kind without its facts.

mod agent;
mod annotated;
mod custom;
mod list;
mod meta;
mod network;
mod pod;
mod rbac;
mod scheduling;
mod security;
mod storage;
mod volume;
mod wire;

use serde::Deserialize;
use serde_json::Value;

use self::meta::RawMeta;
use self::wire::{Block, Source};
use super::{Facts, Object, ObjectKey};
use crate::snapshot::RBAC_GROUP;

pub use agent::AGENT_GROUPS;
pub(crate) use agent::{KindOf as AgentKind, known as agent_kinds};
pub use list::{NESTED_LISTS_MAX, items};

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Kind {
    /// Group and version from an `apiVersion`, with the kind.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }
}

/// Why an object can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not an object with `apiVersion` and `kind`.
    #[error("expected `apiVersion` and `kind`")]
    NoKind,
    /// A list of objects: they have to be taken out with [`items`] first, or rules would be blind to them.
    #[error("`{kind}` is a list of objects; expected one object")]
    List {
        /// The kind.
        kind: String,
    },
    /// A field of a known kind has another shape than the API documents; denied, because rules would be blind to it.
    #[error("{kind}: {message}")]
    Shape {
        /// The kind.
        kind: String,
        /// Field and reason.
        message: String,
    },
}

/// Decodes one object of a known kind from its JSON text.
///
/// # Errors
/// [`DecodeError::Shape`] naming the field.
pub fn decode(kind: &Kind, json: &[u8]) -> Result<Object, DecodeError> {
    read(kind, json)
}

/// Decodes an object from a JSON value that says its own `apiVersion` and `kind` (a watch event, a manifest).
///
/// # Errors
/// As [`decode`], [`DecodeError::NoKind`] and [`DecodeError::List`].
pub fn from_value(value: &Value) -> Result<Object, DecodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or(DecodeError::NoKind);
    let kind = Kind::new(text("apiVersion")?, text("kind")?);
    if list::is_list(value) {
        return Err(DecodeError::List { kind: kind.kind });
    }
    read(&kind, value)
}

/// Decodes an object of a known kind from a JSON value, whatever kind the value itself says.
///
/// # Errors
/// As [`decode`].
pub fn decode_value(kind: &Kind, value: &Value) -> Result<Object, DecodeError> {
    read(kind, value)
}

/// A raw struct: what one family of kinds looks like on the wire.
trait Raw<'a>: Deserialize<'a> + Default {
    /// Its metadata.
    fn metadata(&self) -> &Block<RawMeta<'a>>;
    /// What rules read of it.
    fn facts(&self, key: &ObjectKey) -> Facts;
}

macro_rules! raws {
    ($($name:path: |$raw:ident, $key:pat_param| $facts:expr;)*) => {
        $(impl<'a> Raw<'a> for $name {
            fn metadata(&self) -> &Block<RawMeta<'a>> {
                &self.metadata
            }

            fn facts(&self, $key: &ObjectKey) -> Facts {
                let $raw = self;
                $facts
            }
        })*
    };
}

raws! {
    meta::Bare<'a>: |_raw, _| Facts::MetaOnly;
    pod::RawPod<'a>: |raw, _| raw.ready();
    pod::RawPodTemplate<'a>: |raw, _| raw.ready();
    pod::RawTemplated<'a>: |raw, _| raw.ready();
    pod::RawCronJob<'a>: |raw, _| raw.ready();
    pod::RawNodeBinding<'a>: |raw, _| raw.ready();
    scheduling::RawNode<'a>: |raw, _| raw.ready();
    scheduling::RawRuntimeClass<'a>: |raw, _| raw.ready();
    scheduling::RawScale<'a>: |raw, _| raw.ready();
    rbac::RawRole<'a>: |raw, _| raw.ready();
    rbac::RawBinding<'a>: |raw, _| raw.ready();
    custom::RawCustom<'a>: |raw, key| raw.ready(&key.kind);
    annotated::RawCopy<'a>: |raw, key| raw.ready(&key.kind);
    annotated::RawService<'a>: |raw, _| raw.ready();
    annotated::RawIngress<'a>: |raw, _| raw.ready();
    network::RawEndpointSlice<'a>: |raw, _| raw.ready();
    network::RawEndpoints<'a>: |raw, _| raw.ready();
    storage::RawPersistentVolume<'a>: |raw, _| raw.ready();
    volume::RawClaim<'a>: |raw, _| raw.ready_claim();
    storage::RawAttachment<'a>: |raw, _| raw.ready();
    storage::RawClass<'a>: |raw, _| raw.ready();
    storage::RawSnapshotContent<'a>: |raw, _| raw.ready();
    storage::RawServiceAccount<'a>: |raw, _| raw.ready();
    storage::RawRevision<'a>: |raw, _| raw.ready();
    storage::RawPolicy<'a>: |raw, _| raw.ready();
    storage::RawTokenRequest<'a>: |raw, _| raw.ready();
}

type Build<S> = fn(&Kind, S) -> Result<Object, DecodeError>;

fn read<'a, S: Source<'a>>(kind: &Kind, source: S) -> Result<Object, DecodeError> {
    build_of(kind)(kind, source)
}

fn build<'a, S: Source<'a>, R: Raw<'a>>(kind: &Kind, source: S) -> Result<Object, DecodeError> {
    let shape = |message| DecodeError::Shape { kind: kind.kind.clone(), message };
    let raw: R = source.read().map_err(shape)?;
    let none = RawMeta::default();
    let metadata = raw.metadata().get().unwrap_or(&none);
    let (namespace, name) = (metadata.namespace.as_str(), metadata.name.as_str());
    let key = ObjectKey::new(&kind.group, &kind.kind, namespace, name);
    let facts = raw.facts(&key);
    Ok(Object { meta: metadata.ready(), facts, key })
}

/// What builds an object of a kind: workloads and roles first, because they are most of the traffic.
fn build_of<'a, S: Source<'a>>(kind: &Kind) -> Build<S> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => build::<S, pod::RawPod<'a>>,
        ("", "PodTemplate") => build::<S, pod::RawPodTemplate<'a>>,
        ("", "Binding") => build::<S, pod::RawNodeBinding<'a>>,
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet")
        | ("apps", "StatefulSet")
        | ("batch" | "extensions", "Job") => build::<S, pod::RawTemplated<'a>>,
        ("batch", "CronJob" | "ScheduledJob") => build::<S, pod::RawCronJob<'a>>,
        (RBAC_GROUP, "Role" | "ClusterRole") => build::<S, rbac::RawRole<'a>>,
        (RBAC_GROUP, "RoleBinding" | "ClusterRoleBinding") => build::<S, rbac::RawBinding<'a>>,
        (group, name) if AGENT_GROUPS.contains(&group) => agent::build_of(name),
        (group, name) => build_of_referrer(group, name),
    }
}

fn build_of_referrer<'a, S: Source<'a>>(group: &str, name: &str) -> Build<S> {
    match (group, name) {
        ("", "Node") => build::<S, scheduling::RawNode<'a>>,
        ("node.k8s.io", "RuntimeClass") => build::<S, scheduling::RawRuntimeClass<'a>>,
        ("autoscaling" | "extensions", "Scale") => build::<S, scheduling::RawScale<'a>>,
        ("", "Secret" | "ConfigMap") => build::<S, annotated::RawCopy<'a>>,
        ("", "Service") => build::<S, annotated::RawService<'a>>,
        ("", "Endpoints") => build::<S, network::RawEndpoints<'a>>,
        ("discovery.k8s.io", "EndpointSlice") => build::<S, network::RawEndpointSlice<'a>>,
        ("", "PersistentVolume") => build::<S, storage::RawPersistentVolume<'a>>,
        ("", "PersistentVolumeClaim") => build::<S, volume::RawClaim<'a>>,
        ("", "ServiceAccount") => build::<S, storage::RawServiceAccount<'a>>,
        ("storage.k8s.io", "VolumeAttachment") => build::<S, storage::RawAttachment<'a>>,
        ("storage.k8s.io", "StorageClass")
        | ("snapshot.storage.k8s.io", "VolumeSnapshotClass")
        | ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotClass") => {
            build::<S, storage::RawClass<'a>>
        }
        ("snapshot.storage.k8s.io", "VolumeSnapshotContent")
        | ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotContent") => {
            build::<S, storage::RawSnapshotContent<'a>>
        }
        ("networking.k8s.io" | "extensions", "Ingress") => build::<S, annotated::RawIngress<'a>>,
        ("apps", "ControllerRevision") => build::<S, storage::RawRevision<'a>>,
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicy"
            | "ValidatingAdmissionPolicyBinding"
            | "MutatingAdmissionPolicy"
            | "MutatingAdmissionPolicyBinding",
        ) => build::<S, storage::RawPolicy<'a>>,
        ("authentication.k8s.io", "TokenRequest") => build::<S, storage::RawTokenRequest<'a>>,
        ("gateway.networking.k8s.io", "Gateway")
        | ("cert-manager.io", "Certificate")
        | ("external-secrets.io", "ExternalSecret")
        | ("secrets-store.csi.x-k8s.io", "SecretProviderClass")
        | ("bitnami.com", "SealedSecret") => build::<S, custom::RawCustom<'a>>,
        _ => build::<S, meta::Bare<'a>>,
    }
}

#[cfg(test)]
mod tests;

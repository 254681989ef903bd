//! The security-relevant part of pods and templates, raw to ready.
//!
//! Every field that the restricted Pod Security Standard reads (k8s.io/pod-security-admission v0.35), and those by which something in a pod can get at
//! what stands beside it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, Visitor};
use serde_json::Value;

use super::wire::{Block, List, Text};
use crate::object::security::{
    Capabilities, Container, ContainerList, ContainerPort, SeLinux, SecurityContext, VolumeMount,
};
use crate::policy::inject::{GUARD, SIDECAR};

/// `securityContext` of a pod or of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawContext<'a> {
    run_as_user: Option<i64>,
    run_as_group: Option<i64>,
    run_as_non_root: Option<bool>,
    #[serde(borrow)]
    seccomp_profile: Block<RawProfile<'a>>,
    #[serde(borrow)]
    app_armor_profile: Block<RawProfile<'a>>,
    #[serde(borrow)]
    se_linux_options: Block<RawSeLinux<'a>>,
    #[serde(borrow)]
    windows_options: Block<RawWindows<'a>>,
    /// Pod.
    #[serde(borrow)]
    pub(super) sysctls: List<Block<RawSysctl<'a>>>,
    /// Pod.
    pub(super) supplemental_groups: List<i64>,
    /// Pod.
    pub(super) fs_group: Option<i64>,
    /// Container.
    privileged: Option<bool>,
    /// Container.
    allow_privilege_escalation: Option<bool>,
    /// Container.
    read_only_root_filesystem: Option<bool>,
    /// Container.
    #[serde(borrow)]
    proc_mount: Text<'a>,
    /// Container.
    #[serde(borrow)]
    capabilities: Block<RawCapabilities<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawProfile<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSeLinux<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    user: Text<'a>,
    #[serde(borrow)]
    role: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawWindows<'a> {
    #[serde(borrow)]
    run_as_user_name: Text<'a>,
    host_process: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSysctl<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCapabilities<'a> {
    #[serde(borrow)]
    add: List<Text<'a>>,
    #[serde(borrow)]
    drop: List<Text<'a>>,
}

/// What of a container this module reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawPort<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    container_port: Option<i64>,
    host_port: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMount<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    mount_path: Text<'a>,
    read_only: Option<bool>,
}

/// A probe, or a hook of `lifecycle`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawHandler<'a> {
    #[serde(borrow)]
    http_get: Block<RawHost<'a>>,
    #[serde(borrow)]
    tcp_socket: Block<RawHost<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawHost<'a> {
    #[serde(borrow)]
    host: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawLifecycle<'a> {
    #[serde(borrow)]
    post_start: Block<Box<RawHandler<'a>>>,
    #[serde(borrow)]
    pre_stop: Block<Box<RawHandler<'a>>>,
}

/// What of a container this module reads; a part of the whole container.
#[derive(Debug)]
pub(super) struct Parts<'r, 'a> {
    pub(super) name: &'r Text<'a>,
    pub(super) image: &'r Text<'a>,
    pub(super) context: &'r Block<Box<RawContext<'a>>>,
    pub(super) ports: &'r List<Block<RawPort<'a>>>,
    pub(super) mounts: &'r List<Block<RawMount<'a>>>,
    pub(super) devices: &'r List<Block<RawSysctl<'a>>>,
    pub(super) probes: [&'r Block<Box<RawHandler<'a>>>; 3],
    pub(super) lifecycle: &'r Block<Box<RawLifecycle<'a>>>,
    pub(super) target: &'r Text<'a>,
    pub(super) resources: Option<&'r Value>,
}

impl Parts<'_, '_> {
    pub(super) fn ready(&self, list: ContainerList, index: usize) -> Container {
        let none = RawContext::default();
        let context = self.context.get().map_or(&none, Box::as_ref);
        let ours = [GUARD, SIDECAR].contains(&self.name.as_str());
        Container {
            list,
            index,
            name: self.name.owned(),
            image: self.image.owned(),
            context: context.ready(),
            privileged: context.privileged == Some(true),
            escalation: context.allow_privilege_escalation,
            read_only_root: context.read_only_root_filesystem,
            proc_mount: context.proc_mount.owned(),
            capabilities: context.capabilities.get().map(RawCapabilities::ready),
            ports: self.ports.each().map(|(_, port)| port.ready()).collect(),
            mounts: self.mounts.0.iter().map(ready_mount).collect(),
            devices: self.devices.0.iter().map(ready_name).collect(),
            hosts: self.hosts(),
            target: self.target.owned(),
            resources: self.resources.filter(|_| ours).cloned(),
        }
    }

    fn hosts(&self) -> Vec<(&'static str, String)> {
        let none = RawLifecycle::default();
        let lifecycle = self.lifecycle.get().map_or(&none, Box::as_ref);
        let [liveness, readiness, startup] = self.probes;
        let handlers = [
            ("livenessProbe", liveness),
            ("readinessProbe", readiness),
            ("startupProbe", startup),
            ("lifecycle.postStart", &lifecycle.post_start),
            ("lifecycle.preStop", &lifecycle.pre_stop),
        ];
        let mut hosts = Vec::new();
        for (field, handler) in handlers {
            let Some(handler) = handler.get() else { continue };
            for target in [&handler.http_get, &handler.tcp_socket] {
                let host = target.get().and_then(|target| target.host.some());
                hosts.extend(host.map(|host| (field, host)));
            }
        }
        hosts
    }
}

/// A `null` item stands for an empty one and is kept, so that indexes stay those of the document.
fn ready_mount(mount: &Block<RawMount<'_>>) -> VolumeMount {
    let Some(mount) = mount.get() else { return VolumeMount::default() };
    VolumeMount {
        volume: mount.name.owned(),
        path: mount.mount_path.owned(),
        read_only: mount.read_only == Some(true),
    }
}

pub(super) fn ready_name(item: &Block<RawSysctl<'_>>) -> String {
    item.get().map(|item| item.name.owned()).unwrap_or_default()
}

impl RawPort<'_> {
    fn ready(&self) -> ContainerPort {
        ContainerPort {
            name: self.name.owned(),
            container: self.container_port.unwrap_or_default(),
            host: self.host_port.unwrap_or_default(),
        }
    }
}

impl RawCapabilities<'_> {
    fn ready(&self) -> Capabilities {
        Capabilities { add: self.add.owned(), drop: self.drop.owned() }
    }
}

impl RawContext<'_> {
    pub(super) fn ready(&self) -> SecurityContext {
        let profile =
            |profile: &Block<RawProfile<'_>>| profile.get().map(|found| found.kind.owned());
        let windows = self.windows_options.get();
        SecurityContext {
            user: self.run_as_user,
            group: self.run_as_group,
            non_root: self.run_as_non_root,
            seccomp: profile(&self.seccomp_profile),
            app_armor: profile(&self.app_armor_profile),
            se_linux: self.se_linux_options.get().map(|options| SeLinux {
                kind: options.kind.owned(),
                user: options.user.owned(),
                role: options.role.owned(),
            }),
            windows_user: windows
                .map(|options| options.run_as_user_name.owned())
                .unwrap_or_default(),
            host_process: windows.is_some_and(|options| options.host_process == Some(true)),
        }
    }
}

/// Kinds of volumes of the restricted standard.
const LISTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// A volume, and the kind that it says if that isn't one of [`LISTED_VOLUMES`]: also one that nobody here knows.
#[derive(Debug, Default)]
pub(super) struct Sourced<T> {
    pub(super) inner: T,
    pub(super) unlisted: Option<Box<str>>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sourced<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SourcedVisitor(PhantomData))
    }
}

struct SourcedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SourcedVisitor<T> {
    type Value = Sourced<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut unlisted = None;
        let noted = Noted { map, unlisted: &mut unlisted };
        let inner = T::deserialize(MapAccessDeserializer::new(noted))?;
        Ok(Sourced { inner, unlisted })
    }
}

/// Notes what passes and isn't listed.
struct Noted<'m, A> {
    map: A,
    unlisted: &'m mut Option<Box<str>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noted<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(Member(name)) = self.map.next_key::<Member<'de>>()? else { return Ok(None) };
        if name != "name" && !LISTED_VOLUMES.contains(&name.as_ref()) {
            *self.unlisted = Some(Box::from(name.as_ref()));
        }
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Member<'a>(#[serde(borrow)] Cow<'a, str>);

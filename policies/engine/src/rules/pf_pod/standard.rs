//! PF-POD-002: the restricted Pod Security Standard on every container but Pinfold's own two, and a root file system that is read-only.
//!
//! The namespace of agents has to allow privileged pods, because the guard is one, so what PodSecurity admission would refuse is refused here: the
//! checks of k8s.io/pod-security-admission v0.35, level restricted. `tests/tests/pod_standard.rs` asks that plug-in the same questions.

use pinfold_model::finding::RuleId;
use pinfold_model::object::security::{Capabilities, Container, ContainerList, SecurityContext};

use super::workload::Pod;
use crate::context::Found;
use crate::rbac::describe::excerpt;

const RULE: RuleId = RuleId::POD_STANDARD;
const LEAVE_OUT: &str = "leave it out";

/// Annotations that set AppArmor profiles of containers, from before there was a field.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Sysctls that reach no further than the pod (PSS 1.32).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
/// SELinux types of containers (PSS 1.31).
const SE_LINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
/// Profiles of seccomp and AppArmor that confine.
const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];
const ALL: &str = "ALL";
const BIND: &str = "NET_BIND_SERVICE";

/// Judges the pod, then each container.
pub(super) fn judge(pod: &Pod<'_>, found: &mut Found) {
    judge_pod(pod, found);
    let spec = pod.spec();
    let security = pod.security;
    let at = format!("{spec}.securityContext");
    judge_context(pod, &security.context, &at, found);
    for container in pod.containers(&RULE) {
        let path = pod.path(container);
        let at = format!("{path}.securityContext");
        judge_context(pod, &container.context, &at, found);
        judge_privileges(pod, container, &at, found);
        judge_unset(pod, container, &at, found);
        judge_ports(container, &path, found);
    }
    if security.unread_containers > 0 {
        let message = format!("{} more containers than are looked at", security.unread_containers);
        found.add(RULE, format!("{spec}.containers"), message, "use fewer containers");
    }
}

fn judge_pod(pod: &Pod<'_>, found: &mut Found) {
    let (spec, security) = (pod.spec(), pod.security);
    let namespaces = [
        ("hostNetwork", security.host_network, "network"),
        ("hostPID", security.host_pid, "processes"),
        ("hostIPC", security.host_ipc, "shared memory"),
    ];
    for (field, _, what) in namespaces.into_iter().filter(|(_, shares, _)| *shares) {
        let message = format!("shares the node's {what}");
        found.add(RULE, format!("{spec}.{field}"), message, LEAVE_OUT);
    }
    for (index, name) in security.sysctls.iter().enumerate() {
        if !SAFE_SYSCTLS.contains(&name.as_str()) {
            let path = format!("{spec}.securityContext.sysctls[{index}].name");
            let message = format!("sysctl `{}` isn't known to be safe", excerpt(name));
            found.add(RULE, path, message, LEAVE_OUT);
        }
    }
    for volume in &security.volumes {
        let Some(kind) = &volume.unlisted else { continue };
        let path = format!("{spec}.volumes[{}]", volume.index);
        let message = format!("volume of kind `{}`", excerpt(kind));
        let remedy = "use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret";
        found.add(RULE, path, message, remedy);
    }
    let confines =
        |value: &str| matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
    for (key, value) in pod.annotations() {
        if key.starts_with(APP_ARMOR) && !confines(value) {
            let path = format!("{}.annotations['{}']", pod.metadata(), excerpt(key));
            let message = format!("AppArmor profile `{}`", excerpt(value));
            found.add(RULE, path, message, LEAVE_OUT);
        }
    }
}

/// What pods and containers can say.
fn judge_context(pod: &Pod<'_>, context: &SecurityContext, at: &str, found: &mut Found) {
    let is_bad = |kind: &&String| !PROFILES.contains(&kind.as_str());
    let profiles = [("seccompProfile", &context.seccomp), ("appArmorProfile", &context.app_armor)];
    for (field, profile) in profiles {
        if let Some(kind) = profile.as_ref().filter(is_bad) {
            let message = format!("profile `{}` confines nothing", excerpt(kind));
            found.add(RULE, format!("{at}.{field}.type"), message, "say `RuntimeDefault`");
        }
    }
    if let Some(options) = &context.se_linux {
        let parts = [("type", &options.kind), ("user", &options.user), ("role", &options.role)];
        for (field, value) in parts {
            let types: &[&str] = if field == "type" { &SE_LINUX_TYPES } else { &[""] };
            if !types.contains(&value.as_str()) {
                let message = format!("SELinux {field} `{}`", excerpt(value));
                found.add(RULE, format!("{at}.seLinuxOptions.{field}"), message, LEAVE_OUT);
            }
        }
    }
    if context.host_process {
        let path = format!("{at}.windowsOptions.hostProcess");
        found.add(RULE, path, "runs as a process of the node", LEAVE_OUT);
    }
    if pod.security.host_users == Some(false) {
        return;
    }
    if context.non_root == Some(false) {
        found.add(RULE, format!("{at}.runAsNonRoot"), "may run as root", "say `true`");
    }
    if context.user == Some(0) {
        let remedy = "say a numeric user that isn't 0";
        found.add(RULE, format!("{at}.runAsUser"), "runs as root", remedy);
    }
}

/// What only containers can say.
fn judge_privileges(pod: &Pod<'_>, container: &Container, at: &str, found: &mut Found) {
    if container.privileged {
        found.add(RULE, format!("{at}.privileged"), "is privileged", LEAVE_OUT);
    }
    if !matches!(container.proc_mount.as_str(), "" | "Default") {
        let message =
            format!("procMount `{}` shows what is masked", excerpt(&container.proc_mount));
        found.add(RULE, format!("{at}.procMount"), message, LEAVE_OUT);
    }
    if container.read_only_root == Some(false) {
        let remedy = "say `true`, and mount an emptyDir where it has to write";
        let path = format!("{at}.readOnlyRootFilesystem");
        found.add(RULE, path, "may change its root file system", remedy);
    }
    if pod.security.windows {
        return;
    }
    if container.escalation == Some(true) {
        let path = format!("{at}.allowPrivilegeEscalation");
        found.add(
            RULE,
            path,
            "may gain privileges, by a set-user-ID program for one",
            "say `false`",
        );
    }
    let Some(Capabilities { add, drop }) = &container.capabilities else { return };
    for (index, name) in add.iter().enumerate().filter(|(_, name)| *name != BIND) {
        let path = format!("{at}.capabilities.add[{index}]");
        let message = format!("adds capability `{}`", excerpt(name));
        found.add(RULE, path, message, "leave it out; only `NET_BIND_SERVICE` may be added");
    }
    if !drop.is_empty() && !drop.iter().any(|name| name == ALL) {
        let path = format!("{at}.capabilities.drop");
        found.add(RULE, path, "doesn't drop all capabilities", "drop `ALL`");
    }
}

/// What has to be said. Mutation says it for the pods of a template, but never for ephemeral containers.
fn judge_unset(pod: &Pod<'_>, container: &Container, at: &str, found: &mut Found) {
    if pod.leaves_unset(container, &RULE) {
        return;
    }
    let security = pod.security;
    let inherited = &security.context;
    let confined = inherited.seccomp.as_ref().is_some_and(|kind| PROFILES.contains(&kind.as_str()));
    let root = security.host_users == Some(false)
        || inherited.non_root == Some(true)
        || container.context.non_root.is_some();
    let drops = container.capabilities.as_ref().is_some_and(|found| !found.drop.is_empty());
    let linux = !security.windows;
    let required = [
        ("runAsNonRoot", "true", !root),
        ("readOnlyRootFilesystem", "true", container.read_only_root.is_none()),
        ("allowPrivilegeEscalation", "false", linux && container.escalation.is_none()),
        ("capabilities.drop", "[ALL]", linux && !drops),
        (
            "seccompProfile.type",
            "RuntimeDefault",
            linux && !confined && container.context.seccomp.is_none(),
        ),
    ];
    let hint = match container.list {
        ContainerList::Ephemeral => "; `kubectl debug --profile=restricted` says most of it",
        ContainerList::Init | ContainerList::Regular => "",
    };
    for (field, value, _) in required.into_iter().filter(|(_, _, missing)| *missing) {
        let message = "isn't said, and what is left to defaults isn't confined";
        found.add(RULE, format!("{at}.{field}"), message, format!("say `{value}`{hint}"));
    }
}

fn judge_ports(container: &Container, path: &str, found: &mut Found) {
    for (index, port) in container.ports.iter().enumerate().filter(|(_, port)| port.host != 0) {
        let message = format!("takes port {} of the node", port.host);
        found.add(RULE, format!("{path}.ports[{index}].hostPort"), message, LEAVE_OUT);
    }
    for (field, host) in &container.hosts {
        let message = format!("has the kubelet ask host `{}`", excerpt(host));
        found.add(RULE, format!("{path}.{field}"), message, "leave `host` out: it is the pod");
    }
}

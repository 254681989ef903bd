//! PF-POD-005: names, ports and paths that are Pinfold's.
//!
//! What has Pinfold's name is taken for Pinfold's: by mutation, by the other rules, by whoever reads a list of containers. A port that the agent takes
//! first is one that the sidecar doesn't get. Annotations are PF-RBAC-008's.

use pinfold_model::finding::RuleId;
use pinfold_model::object::security::Container;
use pinfold_model::policy::inject::{
    POLICY_VOLUME, PORTS, RESERVED_PREFIX, SECRETS_VOLUME, STATE_DIR, STATE_VOLUME, TMP_VOLUME,
    TRUST_DIR, TRUST_VOLUME,
};

use super::workload::Pod;
use crate::context::Found;
use crate::rbac::describe::excerpt;

const RULE: RuleId = RuleId::POD_RESERVED;
const VOLUMES: [&str; 5] = [POLICY_VOLUME, SECRETS_VOLUME, STATE_VOLUME, TRUST_VOLUME, TMP_VOLUME];
/// Directories below which Pinfold mounts; `/var/run` leads to `/run` in most images.
const DIRECTORIES: [&str; 4] = ["/etc/pinfold", "/var/run/pinfold", "/run/pinfold", STATE_DIR];

/// Judges the names, ports and paths of a pod.
pub(super) fn judge(pod: &Pod<'_>, found: &mut Found) {
    let vouched = pod.vouches_for_own(&RULE);
    for volume in &pod.security.volumes {
        let own = vouched && VOLUMES.contains(&volume.name.as_str());
        if volume.name.starts_with(RESERVED_PREFIX) && !own {
            let path = format!("{}.volumes[{}].name", pod.spec(), volume.index);
            tell_name(pod, &volume.name, path, found);
        }
    }
    for container in pod.containers(&RULE) {
        judge_container(pod, container, found);
    }
}

fn judge_container(pod: &Pod<'_>, container: &Container, found: &mut Found) {
    let path = pod.path(container);
    if container.name.starts_with(RESERVED_PREFIX) {
        tell_name(pod, &container.name, format!("{path}.name"), found);
    }
    for (index, port) in container.ports.iter().enumerate() {
        let at = format!("{path}.ports[{index}]");
        if PORTS.iter().any(|own| i64::from(*own) == port.container) {
            let message = format!("port {} is the sidecar's", port.container);
            found.add(RULE, format!("{at}.containerPort"), message, "listen on another port");
        }
        if port.name.starts_with(RESERVED_PREFIX) {
            tell_name(pod, &port.name, format!("{at}.name"), found);
        }
    }
    for (index, mount) in container.mounts.iter().enumerate() {
        let injected = mount.volume == TRUST_VOLUME && mount.path == TRUST_DIR;
        let below = lexical(&mount.path);
        let reserved = DIRECTORIES.iter().find(|directory| is_below(&below, directory));
        if let Some(directory) = reserved.filter(|_| !injected) {
            let message =
                format!("`{}` is below `{directory}`, which is Pinfold's", excerpt(&mount.path));
            let path = format!("{path}.volumeMounts[{index}].mountPath");
            found.add(RULE, path, message, "mount it elsewhere");
        }
    }
}

fn tell_name(pod: &Pod<'_>, name: &str, path: String, found: &mut Found) {
    let message =
        format!("name `{}` is Pinfold's: it begins with `{RESERVED_PREFIX}`", excerpt(name));
    let remedy = if pod.is_template {
        "use another name; what Pinfold adds to pods doesn't belong into their template"
    } else {
        "use another name"
    };
    found.add(RULE, path, message, remedy);
}

/// A path without empty parts, `.` and `..`.
fn lexical(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

fn is_below(path: &[&str], directory: &str) -> bool {
    path.starts_with(&lexical(directory))
}

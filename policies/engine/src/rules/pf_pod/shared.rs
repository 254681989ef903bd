//! PF-POD-004: nothing in a pod gets at the sidecar from beside it: no shared process namespace, none of its volumes.
//!
//! In a shared process namespace `/proc/PID/root`, `environ` and `mem` of the sidecar are a file away. Its volumes hold the credentials, the policy and
//! the ledger. The volume with the certificates of the pod's own authority is for reading.

use pinfold_model::finding::RuleId;
use pinfold_model::object::security::Container;
use pinfold_model::policy::inject::{
    GUARD, POLICY_VOLUME, SECRETS_VOLUME, SIDECAR, STATE_VOLUME, TRUST_VOLUME,
};

use super::workload::Pod;
use crate::context::Found;

const RULE: RuleId = RuleId::POD_SHARED;
const LEAVE_OUT: &str = "leave it out";

/// Judges what a pod shares with the sidecar.
pub(super) fn judge(pod: &Pod<'_>, found: &mut Found) {
    if pod.security.share_process_namespace {
        let path = format!("{}.shareProcessNamespace", pod.spec());
        let message =
            "containers would see, trace and signal the sidecar, and read its files below `/proc`";
        found.add(RULE, path, message, LEAVE_OUT);
    }
    // Where PF-POD-001 holds what is injected, it says who mounts it.
    let volumes = !pod.vouches_for_own(&RULE);
    for container in pod.containers(&RULE) {
        if volumes {
            judge_volumes(pod, container, found);
        }
        if matches!(container.target.as_str(), GUARD | SIDECAR) {
            let message = format!("would share the processes of `{}`", container.target);
            let remedy = "target a container of the agent, or none";
            let path = format!("{}.targetContainerName", pod.path(container));
            found.add(RULE, path, message, remedy);
        }
    }
}

fn judge_volumes(pod: &Pod<'_>, container: &Container, found: &mut Found) {
    let path = pod.path(container);
    for (index, mount) in container.mounts.iter().enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        if let Some(holds) = holds(&mount.volume) {
            let message = format!("volume `{}` {holds}, and is the sidecar's alone", mount.volume);
            found.add(RULE, at, message, LEAVE_OUT);
        } else if mount.volume == TRUST_VOLUME && !mount.read_only {
            let message = "could replace the certificates that all containers trust";
            found.add(RULE, format!("{at}.readOnly"), message, "say `true`");
        }
    }
    for (index, device) in container.devices.iter().enumerate() {
        if holds(device).is_some() || device == TRUST_VOLUME {
            let message = format!("volume `{device}` is the sidecar's alone");
            found.add(RULE, format!("{path}.volumeDevices[{index}]"), message, LEAVE_OUT);
        }
    }
}

/// What the sidecar keeps in a volume of its own.
fn holds(volume: &str) -> Option<&'static str> {
    match volume {
        POLICY_VOLUME => Some("holds the policy"),
        SECRETS_VOLUME => Some("holds the credentials"),
        STATE_VOLUME => Some("holds the ledger"),
        _ => None,
    }
}

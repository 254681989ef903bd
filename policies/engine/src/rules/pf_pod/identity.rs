//! PF-POD-003: a numeric user for every container that is neither root nor the sidecar's.
//!
//! The guard lets the packets of one UID out, the sidecar's. An image says a name or a number that nobody sees here, so nothing is left to it.

use pinfold_model::finding::RuleId;
use pinfold_model::object::security::{Container, SecurityContext};

use super::workload::Pod;
use crate::context::Found;

const RULE: RuleId = RuleId::POD_IDENTITY;

/// Judges the users and groups of a pod.
pub(super) fn judge(pod: &Pod<'_>, found: &mut Found) {
    let own = pod.sidecar_id();
    let at = format!("{}.securityContext", pod.spec());
    let security = pod.security;
    judge_windows(&security.context, &at, found);
    let groups = security.supplemental_groups.iter().enumerate();
    let groups = groups.map(|(index, group)| (format!("{at}.supplementalGroups[{index}]"), *group));
    let fs_group = security.fs_group.map(|group| (format!("{at}.fsGroup"), group));
    for (path, _) in groups.chain(fs_group).filter(|(_, group)| *group == own) {
        tell_group(own, path, found);
    }
    for container in pod.containers(&RULE) {
        judge_container(pod, container, found);
    }
}

fn judge_container(pod: &Pod<'_>, container: &Container, found: &mut Found) {
    let own = pod.sidecar_id();
    let inherited = &pod.security.context;
    let at = format!("{}.securityContext", pod.path(container));
    let of_pod = format!("{}.securityContext", pod.spec());
    let place = |says: bool| if says { &at } else { &of_pod };
    judge_windows(&container.context, &at, found);
    let user_at = format!("{}.runAsUser", place(container.context.user.is_some()));
    match container.context.user.or(inherited.user) {
        None => {
            let message = "no numeric user, neither here nor for the whole pod: the image would choose, and could \
                           choose the sidecar's";
            let remedy = format!("say `runAsUser`, any number but 0 and {own}");
            found.add(RULE, format!("{at}.runAsUser"), message, remedy);
        }
        Some(0) => {
            let message = "runs as root, who may become anybody that the guard lets out";
            found.add(RULE, user_at, message, format!("say any number but 0 and {own}"));
        }
        Some(user) if user == own => {
            let message =
                format!("runs as user {own}, which is the sidecar's: its packets pass the guard");
            found.add(RULE, user_at, message, format!("say any number but 0 and {own}"));
        }
        Some(_) => {}
    }
    if container.context.group.or(inherited.group) == Some(own) {
        let path = format!("{}.runAsGroup", place(container.context.group.is_some()));
        tell_group(own, path, found);
    }
}

fn tell_group(own: i64, path: String, found: &mut Found) {
    let message = format!("group {own} is the sidecar's, who keeps its files");
    found.add(RULE, path, message, format!("say any number but {own}"));
}

/// A Windows user is a name, and nothing guards a Windows pod.
fn judge_windows(context: &SecurityContext, at: &str, found: &mut Found) {
    if !context.windows_user.is_empty() {
        let path = format!("{at}.windowsOptions.runAsUserName");
        let message = "a user by name, of a system on which no guard runs";
        found.add(RULE, path, message, "leave it out, and say a numeric `runAsUser`");
    }
}

//! Schedulers: node selectors and taints hold a pod only if its scheduler heeds them.

use pinfold_model::object::pod::Workload;

use super::Way;
use crate::context::Context;
use crate::rbac::describe::excerpt;

/// A scheduler that the policy doesn't list.
pub(super) fn way(context: &Context<'_>, workload: &Workload) -> Option<Way> {
    let name = workload.placement.scheduler.as_str();
    let listed = &context.policy.trust.schedulers;
    // With a node name nobody schedules.
    let placed = workload.placement.node_name.is_some();
    if placed || name.is_empty() || listed.iter().any(|one| one == name) {
        return None;
    }
    let what = format!(
        "scheduler `{}` isn't in `trust.schedulers`, so nothing is known to hold it to its node selector",
        excerpt(name)
    );
    let path = format!("{}.schedulerName", workload.spec_path);
    Some(Way::nowhere(path, what, "leave out `schedulerName`".to_owned()))
}

//! Volumes that only a pool's nodes reach: a local disk behind a claim, or a claim for which a node has been chosen.
//!
//! Such a volume keeps nothing off: who makes a claim may choose another.

use pinfold_model::object::pod::{ClaimUse, NodeTerm, Placement, Workload};
use pinfold_model::object::rbac::Requirement;
use pinfold_model::object::{Object, ObjectKey};

use super::{Way, unknown_node};
use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::nodes::{self, Says};
use crate::rules::pf_tru::pools::Pool;

/// By which the scheduler tells a provisioner for which node a volume is to be made.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The ways by which the claims of a workload lead onto a trusted pool that its node selector leaves open.
pub(super) fn ways(
    context: &Context<'_>,
    pool: &Pool<'_>,
    (namespace, workload): (&str, &Workload),
) -> Vec<Way> {
    let kept_off = |placement: &Placement| {
        placement.node_name.is_some()
            || nodes::required(context, placement, pool).contains(&Says::Off)
    };
    if workload.claims.is_empty() || pool.nodes().is_empty() || kept_off(&workload.placement) {
        return Vec::new();
    }
    workload.claims.iter().filter_map(|claim| way(context, pool, (namespace, claim))).collect()
}

/// A claim or volume that isn't known says nothing: the pod's own placement is judged without.
fn way(
    context: &Context<'_>,
    pool: &Pool<'_>,
    (namespace, used): (&str, &ClaimUse),
) -> Option<Way> {
    let claim =
        context.lookup(&ObjectKey::new("", "PersistentVolumeClaim", namespace, &used.name))?;
    let (terms, what) = nodes_of(context, claim)?;
    let remedy = "use a claim whose volume other nodes reach".to_owned();
    let said = nodes::terms(context, &terms, pool, ("", &what));
    said.into_iter().find_map(|says| match says {
        Says::There(_, what) => {
            let what = format!("claim `{}` leads there: {what}", excerpt(&used.name));
            let way = Way::onto(pool, used.path.clone(), what, remedy.clone());
            Some(Way { names_the_pool: false, ..way })
        }
        Says::UnknownNode(_, node) => {
            Some(Way { names_the_pool: false, ..unknown_node(used.path.clone(), &node) })
        }
        Says::Off | Says::Open => None,
    })
}

/// The nodes that reach the volume of a claim, and what says so.
fn nodes_of(context: &Context<'_>, claim: &Object) -> Option<(Vec<NodeTerm>, String)> {
    let volume = claim.facts.referrer().map(|found| found.volume_name.as_str()).unwrap_or_default();
    if !volume.is_empty() {
        let key = ObjectKey::new("", "PersistentVolume", "", volume);
        let terms = context.lookup(&key)?.facts.referrer()?.node_affinity.clone()?;
        return Some((terms, format!("node affinity of volume `{}`", excerpt(volume))));
    }
    let node = claim.meta.annotations.get(SELECTED_NODE)?;
    let requirement = Requirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: vec![node.clone()],
    };
    let term = NodeTerm { expressions: Vec::new(), fields: vec![requirement] };
    Some((vec![term], format!("annotation `{SELECTED_NODE}`")))
}

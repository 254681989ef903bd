//! Nodes: labels that put a node into a trusted pool, take it out, or give it to an untrusted one too; and taints that keep work off.
//!
//! A kubelet may label its own Node as it likes when it joins (NodeRestriction keeps only `node-restriction.kubernetes.io/` from it), so a node's own word
//! isn't enough to be trusted.

use std::collections::BTreeMap;

use pinfold_model::facts::Operation;
use pinfold_model::object::Object;
use pinfold_model::object::pod::Toleration;
use pinfold_model::object::reference::member_path;
use pinfold_model::object::scheduling::Scheduling;

use super::Move;
use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::nodes::has;
use crate::rules::pf_tru::pools::{self, Pool};

const LABELS: &str = "$.metadata.labels";
const REMEDY: &str = "have a platform administrator or one of `trust.nodeManagers` label and taint nodes; a node joins without the labels of trusted pools";

type Labels = BTreeMap<String, String>;

/// What a request moves between pools.
pub(super) fn moves(context: &Context<'_>) -> Vec<Move> {
    let facts = context.facts;
    let Some((new, after)) = facts.object.as_ref().and_then(node) else { return Vec::new() };
    let old = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update);
    let old = old.and_then(node);
    let none = Labels::new();
    let before = old.map_or(&none, |(old, _)| &old.meta.labels);
    let (name, now) = (excerpt(&new.key.name), &new.meta.labels);
    let pools = pools_of_nodes(context);
    let mut moves: Vec<Move> =
        pools.iter().filter_map(|pool| membership(pool, &name, (before, now))).collect();
    let trusted = |labels: &Labels| {
        pools.iter().find(|pool| pool.is_trusted() && has(labels, pool)).map(Pool::shown)
    };
    if let (Some(trusted), true) = (trusted(now), moves.is_empty()) {
        let joins = |pool: &&Pool<'_>| !pool.is_trusted() && has(now, pool) && !has(before, pool);
        moves.extend(pools.iter().find(joins).map(|pool| Move {
            path: label_path(pool, before, now),
            what: format!(
                "this gives node `{name}` of trusted pool `{}` to untrusted pool `{}` too",
                excerpt(&trusted),
                excerpt(&pool.shown())
            ),
            remedy: REMEDY.to_owned(),
        }));
    }
    if let Some((_, before)) = old {
        moves.extend(
            pools
                .iter()
                .filter(|pool| has(now, pool))
                .find_map(|pool| bared(pool, &name, (before, after))),
        );
    }
    moves
}

fn node(object: &Object) -> Option<(&Object, &[Toleration])> {
    match object.facts.scheduling()? {
        Scheduling::Node { taints } => Some((object, taints)),
        Scheduling::RuntimeClass { .. } | Scheduling::Scale { .. } => None,
    }
}

/// The pools that have nodes: those of the policy, and the trusted RunnerPools.
fn pools_of_nodes<'c>(context: &Context<'c>) -> Vec<Pool<'c>> {
    let all = context.policy.trust.pools.iter().map(Pool::Policy);
    let untrusted = all.filter(|pool| !pool.is_trusted());
    untrusted
        .chain(pools::trusted_by_nodes(context))
        .filter(|pool| !pool.nodes().is_empty())
        .collect()
}

/// A node that comes into a trusted pool, or leaves it.
fn membership(pool: &Pool<'_>, name: &str, (before, now): (&Labels, &Labels)) -> Option<Move> {
    let (was, is) = (has(before, pool), has(now, pool));
    if !pool.is_trusted() || was == is {
        return None;
    }
    let shown = excerpt(&pool.shown());
    let what = if is {
        format!("this puts node `{name}` into trusted pool `{shown}`")
    } else {
        format!("this takes node `{name}` out of trusted pool `{shown}`")
    };
    Some(Move { path: label_path(pool, before, now), what, remedy: REMEDY.to_owned() })
}

/// The first label of a pool that changes.
fn label_path(pool: &Pool<'_>, before: &Labels, now: &Labels) -> String {
    let changed = pool.nodes().iter().find(|(key, _)| before.get(key) != now.get(key));
    changed.map_or_else(|| LABELS.to_owned(), |(key, _)| member_path(LABELS, key))
}

/// A node of a trusted pool that loses the taint by which the pool keeps work off.
fn bared(
    pool: &Pool<'_>,
    name: &str,
    (before, after): (&[Toleration], &[Toleration]),
) -> Option<Move> {
    let taint = pool.taints().iter().find(|taint| before.contains(taint) && !after.contains(taint));
    let taint = taint.filter(|_| pool.is_trusted())?;
    let what = format!(
        "this takes taint `{}={}` from node `{name}` of trusted pool `{}`",
        excerpt(&taint.key),
        excerpt(&taint.value),
        excerpt(&pool.shown())
    );
    Some(Move { path: "$.spec.taints".to_owned(), what, remedy: REMEDY.to_owned() })
}

//! RunnerPools: made trusted, raised, lowered, changed while trusted, deleted; and untrusted ones that take nodes of trusted pools.

use pinfold_model::facts::Operation;
use pinfold_model::object::agent::RunnerPool;
use pinfold_model::object::{Facts, Object};

use super::Move;
use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::pools::{self, Pool};

const TIER: &str = "$.spec.trustTier";
const REMEDY: &str = "have a platform administrator (`organizations.platformAdmins`) do it";
const REMEDY_NODES: &str = "select nodes of no trusted pool, or have a platform administrator (`organizations.platformAdmins`) do it";
const REMEDY_NEW: &str = "set `spec.trustTier: untrusted`, or have a platform administrator (`organizations.platformAdmins`) make it";

/// What a request does to trusted pools.
pub(super) fn moves(context: &Context<'_>) -> Vec<Move> {
    let facts = context.facts;
    let (new, old) = match facts.operation {
        Operation::Create => (facts.object.as_ref(), None),
        Operation::Update => (facts.object.as_ref(), facts.old_object.as_ref()),
        Operation::Delete => (None, facts.old_object.as_ref()),
        Operation::Connect => return Vec::new(),
    };
    let name = new.or(old).map(|object| excerpt(&object.key.name)).unwrap_or_default();
    let change = |path: &str, what: String, remedy: &str| {
        vec![Move { path: path.to_owned(), what, remedy: remedy.to_owned() }]
    };
    match (old.and_then(pool), new.and_then(pool)) {
        (None, Some(new)) if new.trusted => {
            let what = format!(
                "this makes runner pool `{name}`, which is trusted (its tier isn't `untrusted`)"
            );
            change(TIER, what, REMEDY_NEW)
        }
        (Some(old), None) if old.trusted => {
            let what = format!(
                "this deletes trusted runner pool `{name}`, and nothing keeps work off its nodes then"
            );
            change("$", what, REMEDY)
        }
        (Some(old), Some(new)) if old.trusted != new.trusted => {
            let (from, to) = (tier(old), tier(new));
            let what = format!("this moves runner pool `{name}` from `{from}` to `{to}`");
            change(TIER, what, REMEDY)
        }
        (Some(old), Some(new)) if new.trusted => changed(&name, old, new),
        (old, Some(new)) => onto_trusted_nodes(context, &name, (old, new)).into_iter().collect(),
        (Some(_), None) | (None, None) => Vec::new(),
    }
}

fn pool(object: &Object) -> Option<&RunnerPool> {
    if let Facts::RunnerPool(pool) = &object.facts { Some(pool) } else { None }
}

/// Nodes of a trusted pool become an untrusted one's too, whose work would then be sent there.
fn onto_trusted_nodes(
    context: &Context<'_>,
    name: &str,
    (old, new): (Option<&RunnerPool>, &RunnerPool),
) -> Option<Move> {
    let before = old.map(|old| old.node_selector.as_slice()).unwrap_or_default();
    let trusted = pools::trusted_by_nodes(context);
    let taken = |pool: &&Pool<'_>| shares(pool, &new.node_selector) && !shares(pool, before);
    let pool = trusted.iter().find(taken)?;
    let of = excerpt(&pool.shown());
    Some(Move {
        path: "$.spec.nodeSelector".to_owned(),
        what: format!("this gives nodes of trusted pool `{of}` to untrusted runner pool `{name}`"),
        remedy: REMEDY_NODES.to_owned(),
    })
}

/// Whether all nodes of one are, as far as their labels tell, nodes of the other.
fn shares(pool: &Pool<'_>, selector: &[(String, String)]) -> bool {
    let nodes = pool.nodes();
    let within = |some: &[(String, String)], all: &[(String, String)]| {
        some.iter().all(|label| all.contains(label))
    };
    !nodes.is_empty()
        && !selector.is_empty()
        && (within(selector, nodes) || within(nodes, selector))
}

fn tier(pool: &RunnerPool) -> &'static str {
    if pool.trusted { "trusted" } else { "untrusted" }
}

/// What trusted work rests on: whose the pool is, which nodes it has, as whom its work runs, what that shares, and which filesystems it may write.
fn changed(name: &str, old: &RunnerPool, new: &RunnerPool) -> Vec<Move> {
    let fields = [
        ("organizationRef", old.ties.organization != new.ties.organization),
        ("nodeSelector", old.node_selector != new.node_selector),
        ("serviceAccountRef", old.service_account != new.service_account),
        ("cache", old.caches != new.caches),
        ("allowedFilesystemPolicies", old.filesystem_policies != new.filesystem_policies),
    ];
    let changed = fields.into_iter().filter(|(_, changed)| *changed);
    let told = changed.map(|(field, _)| Move {
        path: format!("$.spec.{field}"),
        what: format!("this changes `{field}` of trusted runner pool `{name}`"),
        remedy: REMEDY.to_owned(),
    });
    told.collect()
}

//! PF-ORG-003: which organization a namespace belongs to, and what organizations share, is said by platform administrators alone.
//!
//! Judged are changes, by whatever operation and subresource: the organization labels of a Namespace, what ties it to the control plane that keeps
//! it, and the records. The label that guards a namespace is PF-RBAC-008's.

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::meta::Owner;
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object};

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::administers;
use crate::trust::standing::{Actor, actor};

const RULE: RuleId = RuleId::ORG_MOVE;
/// Kinds that say who owns what, and who shares what.
const RECORDS: [&str; 3] = ["Organization", "OrgNamespaceBinding", "OrgSharingPolicy"];

/// A change that only some may make.
struct Move {
    path: String,
    /// To stand after "this".
    what: String,
}

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let moves = moves(context);
    if moves.is_empty() || administers(context, RULE, found) != Some(false) {
        return;
    }
    let requester = context.facts.requester.as_ref();
    let name = requester.map(|requester| excerpt(&requester.name)).unwrap_or_default();
    for Move { path, what } in moves {
        let message = format!("this {what}, and `{name}` is no platform administrator");
        let remedy = "have a platform administrator (`organizations.platformAdmins`) do it";
        found.add(RULE, path, message, remedy);
    }
}

fn moves(context: &Context<'_>) -> Vec<Move> {
    let target = &context.facts.target;
    match (target.group.as_str(), target.kind.as_str()) {
        ("", "Namespace") => {
            let mut moves = labels(context);
            moves.extend(ties(context));
            moves
        }
        (group, kind) if AGENT_GROUPS.contains(&group) && RECORDS.contains(&kind) => {
            record(context).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The organization labels that come, change or go. A namespace that is deleted moves nowhere.
fn labels(context: &Context<'_>) -> Vec<Move> {
    let facts = context.facts;
    let write = facts.operation.is_write();
    let Some(object) = facts.object.as_ref().filter(|_| write) else { return Vec::new() };
    let keys = context.policy.organizations.namespace_labels.iter();
    let moves = keys.filter_map(|key| {
        let before = facts.old_object.as_ref().and_then(|old| old.meta.labels.get(key));
        let after = object.meta.labels.get(key);
        let what = match (before, after) {
            _ if before == after => return None,
            (None, Some(to)) => format!("puts the namespace into organization `{}`", excerpt(to)),
            (Some(from), Some(to)) => format!(
                "moves the namespace from organization `{}` to `{}`",
                excerpt(from),
                excerpt(to)
            ),
            (Some(from), None) => {
                format!("takes the namespace out of organization `{}`", excerpt(from))
            }
            (None, None) => return None,
        };
        Some(Move { path: format!("$.metadata.labels['{}']", excerpt(key)), what })
    });
    moves.collect()
}

/// What ties a namespace to the control plane that keeps it: taken away, it isn't kept any more; added, it is kept as somebody's
/// (CVE-2022-46167, CVE-2024-39690, CVE-2025-55205). The control plane's own controllers keep these.
fn ties(context: &Context<'_>) -> Vec<Move> {
    let facts = context.facts;
    let update = facts.operation == Operation::Update;
    let (Some(old), Some(new)) = (&facts.old_object, facts.object.as_ref().filter(|_| update))
    else {
        return Vec::new();
    };
    let keeper = |requester| actor(context, requester) == Actor::Controller;
    if new.meta.deleting || facts.requester.as_ref().is_some_and(keeper) {
        return Vec::new();
    }
    let mut moves = Vec::new();
    if owners(old) != owners(new) {
        let what = "changes which objects of the control plane own the namespace".to_owned();
        moves.push(Move { path: "$.metadata.ownerReferences".to_owned(), what });
    }
    let gone = old.meta.finalizers.iter().find(|text| !new.meta.finalizers.contains(text));
    if let Some(finalizer) = gone {
        let what = format!("takes finalizer `{}` from the namespace", excerpt(finalizer));
        moves.push(Move { path: "$.metadata.finalizers".to_owned(), what });
    }
    moves
}

/// The owners of the control plane's, in an order that nobody chose.
fn owners(object: &Object) -> Vec<(&str, &str, &str)> {
    let ours = |owner: &&Owner| AGENT_GROUPS.contains(&owner.group.as_str());
    let owners = object.meta.owners.iter().filter(ours);
    let mut owners: Vec<_> = owners
        .map(|owner| (owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()))
        .collect();
    owners.sort_unstable();
    owners
}

/// A record that comes, goes, or says something else. What a status or a label says of it is no matter.
fn record(context: &Context<'_>) -> Option<Move> {
    let facts = context.facts;
    let says = |object: &Option<Object>| match object.as_ref().map(|object| &object.facts) {
        Some(Facts::Organization(record)) => Some(record.clone()),
        Some(_) | None => None,
    };
    let verb = match facts.operation {
        Operation::Create => "makes",
        Operation::Delete => "deletes",
        Operation::Update => {
            let same = says(&facts.object) == says(&facts.old_object) && facts.object.is_some();
            let aside = facts.change != Change::Content || facts.subresource == "status";
            if same && aside {
                return None;
            }
            "changes"
        }
        Operation::Connect => return None,
    };
    let what = match facts.target.kind.as_str() {
        "OrgSharingPolicy" => "what organizations share",
        _ => "which namespaces an organization owns",
    };
    let target = excerpt(&facts.target.to_string());
    Some(Move { path: "$".to_owned(), what: format!("{verb} `{target}`, which says {what}") })
}

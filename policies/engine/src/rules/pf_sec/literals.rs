//! PF-SEC-007: credentials in the clear, where agents and whoever may read their objects see them: in environment, arguments, annotations, ConfigMaps
//! and fields of agent resources.
//!
//! Judges the JSON of the object as it would be stored. What looks like a credential is `crate::credentials`' to say; a value is never repeated.

mod walk;

use pinfold_model::facts::{Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{AGENT_GROUPS, Change, Object};

use self::walk::{Hit, Parts, Report};
use super::untouched::keeps;
use crate::agent_workload::{Membership, membership};
use crate::context::{Context, Found};
use crate::credentials::Encoding;
use crate::organization::namespace_key;
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::SEC_LITERAL;
const IN_SECRET: &str = "keep it in a Secret that a grant names and refer to that (`valueFrom.secretKeyRef`, a \
                         volume), and replace the credential, because it has been seen; if it is none, list it \
                         under `literals.allow` of the policy";

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.brings_content()) else { return };
    // A rollout that takes a literal away scales the old ReplicaSet down, which still has it.
    if object.facts.workload().is_some() && keeps(context) {
        return;
    }
    let Some((parts, unsure)) = reach(context, object) else { return };
    let Some(document) = &facts.document else {
        let message = "the object's text isn't known, so nobody can tell what is in it";
        return found.add(RULE, "$", message, "send the object with the request");
    };
    let report = walk::look(document, parts, &context.policy.literals);
    if unsure.is_empty() {
        tell(report, found);
    } else if !report.is_empty() {
        unsure.into_iter().for_each(|question| found.confirm(question));
    }
}

/// Whether what containers are given is as it was: to label, to pause or to scale what is there shows nobody anything new.
fn keeps_spec(change: Change) -> bool {
    match change {
        Change::Garbage | Change::Metadata | Change::Lowered | Change::Raised => true,
        Change::Content => false,
    }
}

/// Which parts of an object are looked at, if any; and what the view doesn't have that could make it an agent's.
fn reach(context: &Context<'_>, object: &Object) -> Option<(Parts, Vec<Question>)> {
    let facts = context.facts;
    let only_metadata = facts.operation == Operation::Update && keeps_spec(facts.change);
    if AGENT_GROUPS.contains(&object.key.group.as_str()) {
        let parts = match facts.subresource.as_str() {
            _ if only_metadata => Parts::Metadata,
            "status" => Parts::Status,
            _ => Parts::Everything,
        };
        return Some((parts, Vec::new()));
    }
    if facts.subresource == "status" && facts.change == Change::Content {
        return None;
    }
    let unsure = if let Some(workload) = object.facts.workload() {
        match membership(context, object, workload) {
            Membership::Agent(_) => Vec::new(),
            Membership::Other(unknown) if unknown.is_empty() => return None,
            Membership::Other(unknown) => unknown,
        }
    } else {
        let namespace = facts.target.namespace.as_str();
        match scope(context, namespace) {
            Scope::Guarded => Vec::new(),
            Scope::Unknown if !namespace.is_empty() => {
                vec![Question::Object(namespace_key(namespace))]
            }
            Scope::Unknown | Scope::Elsewhere | Scope::Platform => return None,
        }
    };
    let core = object.key.group.is_empty();
    let parts = match object.key.kind.as_str() {
        _ if only_metadata => Parts::Metadata,
        "ConfigMap" if core => Parts::ConfigMap,
        "Secret" if core => Parts::Secret,
        _ if object.facts.workload().is_some() => Parts::Everything,
        _ => Parts::Metadata,
    };
    Some((parts, unsure))
}

fn tell(report: Report<'_>, found: &mut Found) {
    let Report { hits, more, unread } = report;
    for hit in hits {
        let message = describe(&hit);
        found.add(RULE, hit.path, message, IN_SECRET);
    }
    if more > 0 {
        let message = format!("{more} more values look like credentials");
        found.add(RULE, "$", message, IN_SECRET);
    }
    if let Some((path, reason)) = unread {
        let message =
            format!("nobody can tell whether there are credentials from here on: {reason}");
        found.add(RULE, path, message, "make the object smaller");
    }
}

fn describe(hit: &Hit<'_>) -> String {
    let Hit { id, title, bytes, others, encoding, .. } = hit;
    let wrapped = match encoding {
        Encoding::Plain => "",
        Encoding::Base64 => "in base64, ",
        Encoding::Percent => "with percent signs, ",
    };
    let others = match others {
        0 => String::new(),
        1 => ", and another".to_owned(),
        more => format!(", and {more} others"),
    };
    format!(
        "in the clear: {wrapped}what looks like {title} (pattern `{id}`, {bytes} bytes){others}"
    )
}

#[cfg(test)]
mod tests;

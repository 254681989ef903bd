//! PF-RBAC-001: a Role or ClusterRole gives only what its author holds.

use pinfold_model::facts::AccessQuestion;
use pinfold_model::finding::RuleId;
use pinfold_model::object::Facts;
use pinfold_model::object::rbac::Role;
use pinfold_model::snapshot::RBAC_GROUP;

use super::deputy::Principal;
use super::gate::{FULL_AUTHORITY, Gate};
use super::place_of;
use crate::context::{Context, Found};
use crate::rbac::coverage::{Coverage, Gap, Shortfall, covers};
use crate::rbac::describe::excerpt;
use crate::rbac::resolver::Held;

const RULE: RuleId = RuleId::RBAC_ROLE;

pub(super) fn judge(
    context: &Context<'_>,
    principal: &Principal<'_>,
    role: &Role,
    found: &mut Found,
) {
    let Some(gate) = Gate::open(context, principal, RULE, found) else { return };
    let namespace = place_of(context.facts);
    let held = gate.held(namespace);
    let question = escalate(context, namespace);
    if gate.may(&held, &question) {
        return;
    }
    let may_write = judge_rules(&gate, role, &held, found);
    let may_aggregate = judge_aggregation(&gate, role, &held, found);
    if !may_write || !may_aggregate {
        gate.ask_access(question, found);
    }
}

/// As the API server asks: with the name of the request, which a POST doesn't have.
fn escalate(context: &Context<'_>, namespace: &str) -> AccessQuestion {
    let cluster = context.facts.target.kind == "ClusterRole";
    AccessQuestion {
        user: None,
        verb: "escalate",
        group: RBAC_GROUP.to_owned(),
        resource: if cluster { "clusterroles" } else { "roles" }.to_owned(),
        namespace: namespace.to_owned(),
        name: context.facts.request_name.clone(),
    }
}

/// Whether the requester holds all rules; one finding for each that it doesn't.
fn judge_rules(gate: &Gate<'_>, role: &Role, held: &Held<'_>, found: &mut Found) -> bool {
    let namespace = place_of(gate.context.facts);
    let mut shortfall = match covers(held.rules.iter().copied(), role.rules.iter()) {
        Coverage::Covered => return true,
        Coverage::Missing(shortfall) => shortfall,
        Coverage::TooLarge => {
            let remedy = "write shorter lists, or several roles";
            found.add(RULE, "$.rules", gate.cannot_compare(namespace), remedy);
            return false;
        }
    };
    let further = shortfall.rules.saturating_sub(shortfall.gaps.len());
    for gap in shortfall.gaps.drain(..) {
        let path = format!("$.rules[{}].{}", gap.rule, gap.field);
        found.add(RULE, path, message(gate, gap, held), remedy(gate));
    }
    if further > 0 {
        let message = format!("{} does not hold what {further} more rules give", gate.who());
        found.add(RULE, "$.rules", message, remedy(gate));
    }
    false
}

fn message(gate: &Gate<'_>, gap: Gap<'_>, held: &Held<'_>) -> String {
    let facts = gate.context.facts;
    let rule = gap.rule;
    let lacking = gate.lacking(&Shortfall { gaps: vec![gap], rules: 1 }, held, place_of(facts));
    format!("{lacking}, which rule {rule} of this {} would give", excerpt(&facts.target.kind))
}

fn remedy(gate: &Gate<'_>) -> String {
    let who = excerpt(&gate.requester.name);
    format!(
        "leave out what `{who}` does not hold, or have someone who holds it (or may `escalate`) apply it"
    )
}

/// Whether a ClusterRole that aggregates, or did, is written by somebody who holds everything: it can take in any role.
fn judge_aggregation(gate: &Gate<'_>, role: &Role, held: &Held<'_>, found: &mut Found) -> bool {
    let facts = gate.context.facts;
    let stored = facts
        .old_object
        .as_ref()
        .is_some_and(|old| matches!(&old.facts, Facts::Role(role) if aggregates(role)));
    let aggregates = stored || aggregates(role);
    if facts.target.kind != "ClusterRole" || !aggregates {
        return true;
    }
    let Some(lacking) = gate.lacks(held, FULL_AUTHORITY.iter(), "") else { return true };
    let message =
        format!("{lacking}, and an aggregationRule, new or stored, can take in any rights");
    found.add(RULE, "$.aggregationRule", message, "have a cluster administrator apply it");
    false
}

pub(super) fn aggregates(role: &Role) -> bool {
    role.aggregation.as_ref().is_some_and(|selectors| !selectors.is_empty())
}

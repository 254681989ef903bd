//! PF-RBAC-002: a RoleBinding or ClusterRoleBinding gives only a role that its author holds or may bind.

use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{Binding, Subject};

use super::deputy::Principal;
use super::gate::{Gate, bind, named, unresolved};
use super::place_of;
use crate::context::{Context, Found};
use crate::rbac::describe::list;

const RULE: RuleId = RuleId::RBAC_BINDING;
const PATH: &str = "$.roleRef";

pub(super) fn judge(
    context: &Context<'_>,
    principal: &Principal<'_>,
    binding: &Binding,
    found: &mut Found,
) {
    let Some(gate) = Gate::open(context, principal, RULE, found) else { return };
    let (role, namespace) = (&binding.role_ref, place_of(context.facts));
    let held = gate.held(namespace);
    let question = bind(role, namespace);
    if question.as_ref().is_some_and(|question| gate.may(&held, question)) {
        return;
    }
    let (message, remedy) = match gate.resolver.granted(role, namespace) {
        Err(why) => (unresolved(&why, role, namespace), "name a role that exists".to_owned()),
        Ok(rules) => {
            let Some(lacking) = gate.lacks(&held, rules, namespace) else {
                if gate.behalf {
                    gate.confirm_role(role, namespace, found);
                }
                return;
            };
            let (role, subjects) = (named(role), subjects(binding, namespace));
            let message = format!("{lacking}, which {role} would give to {subjects}");
            (message, remedy(&gate, &role))
        }
    };
    found.add(RULE, PATH, message, remedy);
    if let Some(question) = question {
        gate.ask_access(question, found);
    }
    gate.ask_role(role, namespace, found);
}

/// What would be accepted instead.
pub(super) fn remedy(gate: &Gate<'_>, role: &str) -> String {
    let who = crate::rbac::describe::excerpt(&gate.requester.name);
    format!(
        "bind a role that `{who}` holds, or have someone who holds {role} (or may `bind` it) apply it"
    )
}

fn subjects(binding: &Binding, namespace: &str) -> String {
    let named = |subject: &Subject| match subject.kind.as_str() {
        "ServiceAccount" => {
            let own = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            format!("{} {own}/{}", subject.kind, subject.name)
        }
        kind => format!("{kind} {}", subject.name),
    };
    let named: Vec<String> = binding.subjects.iter().map(named).collect();
    match named.as_slice() {
        [] => "whoever becomes its subject".to_owned(),
        named => list(named.iter().map(String::as_str)),
    }
}

//! What a role of an AgentRoleBinding gives: a Role, a ClusterRole, or a template of the policy (`rbac.roleTemplates`).

use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::object::{AGENT_GROUPS, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use super::gate::OWN_GROUP;
use crate::context::Context;
use crate::rbac::effective::gives;
use crate::rbac::resolver::Unresolved;

/// The kind of a `roleRef` that means a template.
pub(crate) const TEMPLATE: &str = "RoleTemplate";

/// Whether a `roleRef` means a template.
pub(crate) fn is_template(role: &RoleRef) -> bool {
    let group = role.api_group.as_str();
    let known = matches!(group, "" | RBAC_GROUP | OWN_GROUP) || AGENT_GROUPS.contains(&group);
    role.kind == TEMPLATE && known
}

/// The rules that a role would give in a namespace, those that it is about to take in by aggregation too.
///
/// # Errors
/// [`Unresolved`]: nobody can tell what would be given.
pub(crate) fn granted<'a>(
    context: &Context<'a>,
    role: &RoleRef,
    place: &str,
) -> Result<Vec<&'a PolicyRule>, Unresolved> {
    if !is_template(role) {
        let gives = gives(context.view, &context.facts.answers, role, place)?;
        return Ok(gives.rules.iter().map(|given| given.rule).collect());
    }
    let template = context.policy.rbac.role_templates.get(&role.name);
    let absent = || Unresolved::Absent(ObjectKey::new(OWN_GROUP, TEMPLATE, "", &role.name));
    Ok(template.ok_or_else(absent)?.rules.iter().collect())
}

//! Which rights meet the ceiling of agent identities.

use pinfold_model::object::rbac::PolicyRule;

use super::World;
use super::chain::Chain;

/// Marks the rights of a chain that meet the ceiling of its place.
pub(super) fn mark(world: &World<'_>, chain: &mut Chain<'_>) {
    let place = chain.binding.namespace.as_str();
    for right in chain.rights.iter_mut().flatten() {
        right.ceiling = met(world, place, right.rule);
    }
}

/// The name of the ceiling that a rule in a place meets.
pub(super) fn met(world: &World<'_>, place: &str, rule: &PolicyRule) -> Option<String> {
    let ceiling = world.policy.rbac.ceiling_of(place)?;
    ceiling.deny.iter().any(|deny| overlap(rule, deny)).then(|| ceiling.name.clone())
}

fn overlap(rule: &PolicyRule, deny: &PolicyRule) -> bool {
    let share = |left: &[String], right: &[String]| {
        left.iter().any(|one| one == "*" || right.iter().any(|other| other == "*" || other == one))
    };
    share(&rule.verbs, &deny.verbs)
        && share(&rule.api_groups, &deny.api_groups)
        && share(&rule.resources, &deny.resources)
}

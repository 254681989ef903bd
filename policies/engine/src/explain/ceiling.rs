//! Which rights meet the ceiling of agent identities.

use super::World;
use super::chain::{Chain, Right};
use crate::rbac::ceiling::{Denier, Limits};

/// Marks the rights of a chain that meet the ceiling of its place.
pub(super) fn mark(world: &World<'_>, chain: &mut Chain<'_>) {
    let place = chain.binding.namespace.as_str();
    mark_rights(world, place, chain.rights.iter_mut().flatten());
}

/// Marks the rights that meet the ceiling of a place.
pub(super) fn mark_rights<'r, 'a: 'r>(
    world: &World<'_>,
    place: &str,
    rights: impl IntoIterator<Item = &'r mut Right<'a>>,
) {
    let limits = Limits::of(world.policy, place);
    for right in rights {
        let first = limits.breaches([right.rule], &[]).into_iter().next();
        right.ceiling = first.map(|breach| match breach.by {
            Denier::Danger(_) => BUILT_IN.to_owned(),
            Denier::Entry(ceiling, _) => ceiling.name.clone(),
        });
    }
}

/// What the built-in ceiling is called.
const BUILT_IN: &str = "the built-in ceiling";

//! The part of some rights that would pass: what the author holds and no ceiling denies, as few rules as a reader needs.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::object::rbac::PolicyRule;

use super::World;
use super::chain::Right;
use crate::rbac::ceiling::Limits;
use crate::rbac::coverage::{Coverage, covers};

/// How many single rights are looked at; of more nothing is proposed.
const MAX_ATOMS: usize = 4_096;

/// What of some rights would pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passing {
    /// All of it.
    All,
    /// These.
    Part(Vec<PolicyRule>),
    /// Nothing of it.
    Nothing,
    /// There is too much to tell.
    CannotTell,
}

/// What of some rights would pass. Without `held` only the ceiling counts, and it counts only where rights were marked with it.
pub(super) fn passing(
    world: &World<'_>,
    place: &str,
    rights: &[Right<'_>],
    held: Option<&[&PolicyRule]>,
) -> Passing {
    let capped = rights.iter().any(|right| right.ceiling.is_some());
    let limits = capped.then(|| Limits::of(world.policy, place));
    let passes = |atom: &PolicyRule| {
        let below = limits.as_ref().is_none_or(|limits| limits.breaches([atom], &[]).is_empty());
        let own = |held: &[&PolicyRule]| covers(held.iter().copied(), [atom]) == Coverage::Covered;
        below && held.is_none_or(own)
    };
    let mut atoms = Vec::new();
    for right in rights {
        if atoms_of(right.rule, &mut atoms).is_none() {
            return Passing::CannotTell;
        }
    }
    let all = atoms.len();
    atoms.retain(passes);
    match atoms.len() {
        left if left == all => Passing::All,
        0 => Passing::Nothing,
        _ => Passing::Part(joined(atoms)),
    }
}

/// The single rights of a rule; `None` if there are too many.
fn atoms_of(rule: &PolicyRule, atoms: &mut Vec<PolicyRule>) -> Option<()> {
    let one = |text: &String| vec![text.clone()];
    let names: Vec<Vec<String>> = match rule.resource_names.as_slice() {
        [] => vec![Vec::new()],
        names => names.iter().map(one).collect(),
    };
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                for name in &names {
                    atoms.push(PolicyRule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        resource_names: name.clone(),
                        non_resource_urls: Vec::new(),
                    });
                }
                if atoms.len() > MAX_ATOMS {
                    return None;
                }
            }
        }
        for url in &rule.non_resource_urls {
            let (verbs, non_resource_urls) = (one(verb), one(url));
            atoms.push(PolicyRule { verbs, non_resource_urls, ..PolicyRule::default() });
        }
        if atoms.len() > MAX_ATOMS {
            return None;
        }
    }
    Some(())
}

/// Rules that give exactly these single rights: verbs of one thing together, then things with equal verbs.
fn joined(atoms: Vec<PolicyRule>) -> Vec<PolicyRule> {
    type What = (Vec<String>, Vec<String>, Vec<String>, Vec<String>);
    let mut verbs: BTreeMap<What, BTreeSet<String>> = BTreeMap::new();
    for atom in atoms {
        let PolicyRule { verbs: own, api_groups, resources, resource_names, non_resource_urls } =
            atom;
        let what = (api_groups, resource_names, non_resource_urls, resources);
        verbs.entry(what).or_default().extend(own);
    }
    let mut rules: Vec<PolicyRule> = Vec::new();
    for ((api_groups, resource_names, non_resource_urls, resources), verbs) in verbs {
        let verbs: Vec<String> = verbs.into_iter().collect();
        let like = |rule: &&mut PolicyRule| {
            rule.verbs == verbs
                && rule.api_groups == api_groups
                && rule.resource_names == resource_names
                && rule.non_resource_urls.is_empty()
                && non_resource_urls.is_empty()
        };
        match rules.iter_mut().find(like) {
            Some(rule) => rule.resources.extend(resources),
            None => rules.push(PolicyRule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls,
            }),
        }
    }
    rules
}

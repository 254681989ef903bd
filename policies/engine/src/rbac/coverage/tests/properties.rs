//! The index against a literal reading of the definition, on random rules.

use std::collections::BTreeSet;

use pinfold_model::object::rbac::PolicyRule;
use proptest::prelude::*;
use proptest::sample::select;

use crate::rbac::coverage::{Coverage, covers};

/// The smallest thing that can be granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atom {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
}

/// Every atom of some rules.
fn atoms(rules: &[PolicyRule]) -> BTreeSet<Atom> {
    let mut all = BTreeSet::new();
    for rule in rules {
        for verb in &rule.verbs {
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    let base = Atom {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        ..Atom::default()
                    };
                    for name in &rule.resource_names {
                        all.insert(Atom { name: Some(name.clone()), ..base.clone() });
                    }
                    if rule.resource_names.is_empty() {
                        all.insert(base);
                    }
                }
            }
            for url in &rule.non_resource_urls {
                let url = Some(url.clone());
                all.insert(Atom { verb: verb.clone(), url, ..Atom::default() });
            }
        }
    }
    all
}

fn lists(list: &[String], text: &str) -> bool {
    list.iter().any(|own| own == text)
}

/// Whether one rule grants an atom.
fn grants(rule: &PolicyRule, atom: &Atom) -> bool {
    let verb = lists(&rule.verbs, "*") || lists(&rule.verbs, &atom.verb);
    if let Some(url) = &atom.url {
        let one = |own: &String| {
            own == url || own.ends_with('*') && url.starts_with(own.trim_end_matches('*'))
        };
        return verb && rule.resource_names.is_empty() && rule.non_resource_urls.iter().any(one);
    }
    let group = lists(&rule.api_groups, "*") || lists(&rule.api_groups, &atom.group);
    let below = atom.resource.split_once('/').map(|(_, tail)| format!("*/{tail}"));
    let resource = lists(&rule.resources, "*")
        || lists(&rule.resources, &atom.resource)
        || below.is_some_and(|below| lists(&rule.resources, &below));
    let name = rule.resource_names.is_empty()
        || atom.name.as_ref().is_some_and(|name| lists(&rule.resource_names, name));
    verb && group && resource && name
}

/// The atoms of `wanted` that no single rule of `owner` grants.
pub(super) fn naive_missing(owner: &[PolicyRule], wanted: &[PolicyRule]) -> BTreeSet<Atom> {
    let missing = |atom: &Atom| !owner.iter().any(|rule| grants(rule, atom));
    atoms(wanted).into_iter().filter(missing).collect()
}

/// The atoms that a coverage says are missing.
pub(super) fn missing_atoms(coverage: &Coverage<'_>) -> BTreeSet<Atom> {
    let shortfall = match coverage {
        Coverage::Covered => return BTreeSet::new(),
        Coverage::Missing(shortfall) => shortfall,
        Coverage::TooLarge => panic!("too large"),
    };
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let blocks = shortfall.gaps.iter().flat_map(|gap| &gap.missing);
    let rules: Vec<PolicyRule> = blocks
        .map(|block| PolicyRule {
            verbs: owned(&block.verbs),
            api_groups: owned(&block.groups),
            resources: owned(&block.resources),
            resource_names: owned(&block.names),
            non_resource_urls: owned(&block.urls),
        })
        .collect();
    atoms(&rules)
}

const VERBS: &[&str] = &["*", "get", "list", "create", "GET"];
const GROUPS: &[&str] = &["*", "", "apps", "Apps"];
const RESOURCES: &[&str] = &[
    "*",
    "pods",
    "secrets",
    "pods/exec",
    "*/exec",
    "pods/*",
    "*/*",
    "/exec",
    "a/b/c",
    "*/b/c",
    "*/c",
    "pods/",
    "*/",
    "",
];
const NAMES: &[&str] = &["", "a", "b", "*"];
const URLS: &[&str] =
    &["*", "/*", "/", "", "/a", "/a*", "/a**", "/a/*", "/a/b", "/a*/b*", "/ab", "**", "/a/"];

/// A list of some of these texts, often empty or short, with repetitions.
fn list(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(of).prop_map(str::to_owned), 0..=most)
}

fn rule() -> impl Strategy<Value = PolicyRule> {
    let names = prop_oneof![3 => Just(Vec::new()), 2 => list(NAMES, 3)];
    let urls = prop_oneof![2 => Just(Vec::new()), 1 => list(URLS, 3)];
    (list(VERBS, 3), list(GROUPS, 2), list(RESOURCES, 4), names, urls).prop_map(
        |(verbs, api_groups, resources, resource_names, non_resource_urls)| PolicyRule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
        },
    )
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn equals_the_definition(
        owner in prop::collection::vec(rule(), 0..6),
        wanted in prop::collection::vec(rule(), 0..4),
    ) {
        let expected = naive_missing(&owner, &wanted);
        let found = covers(&owner, &wanted);
        prop_assert_eq!(found == Coverage::Covered, expected.is_empty());
        prop_assert_eq!(missing_atoms(&found), expected);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// More than 64 owner rules, so that rows have several words; few stars, so that the place of the one that grants matters.
    #[test]
    fn equals_the_definition_for_many_rules(
        mut owner in prop::collection::vec(rule(), 60..140),
        wanted in prop::collection::vec(rule(), 1..4),
        at in any::<prop::sample::Index>(),
    ) {
        for one in &mut owner {
            one.verbs.retain(|verb| verb != "*");
            one.api_groups.retain(|group| group != "*");
            one.resources.retain(|resource| !resource.contains('*'));
        }
        owner.insert(at.index(owner.len()), wanted[0].clone());
        let expected = naive_missing(&owner, &wanted);
        let found = covers(&owner, &wanted);
        prop_assert_eq!(found == Coverage::Covered, expected.is_empty());
        prop_assert_eq!(missing_atoms(&found), expected);
    }

    /// Rules cover themselves, but for URLs beside resource names, which grant nothing.
    #[test]
    fn what_is_held_covers_itself(mut rules in prop::collection::vec(rule(), 0..8)) {
        for rule in &mut rules {
            if !rule.resource_names.is_empty() {
                rule.non_resource_urls.clear();
            }
        }
        prop_assert_eq!(covers(&rules, &rules), Coverage::Covered);
    }

    /// That a wanted rule is the owner's own, and not just equal to it, saves work and changes no answer.
    #[test]
    fn own_rules_are_judged_as_their_copies(
        owner in prop::collection::vec(rule(), 1..6),
        wanted in prop::collection::vec(rule(), 0..4),
        own in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let own = own.iter().map(|at| &owner[at.index(owner.len())]);
        let mixed: Vec<&PolicyRule> = wanted.iter().chain(own).chain(&wanted).collect();
        let copies: Vec<PolicyRule> = mixed.iter().map(|rule| (*rule).clone()).collect();
        // Of a text that is listed twice either place may be named.
        let answer = |coverage: Coverage<'_>| match coverage {
            Coverage::Covered => Some(Vec::new()),
            Coverage::Missing(found) => {
                Some(found.gaps.iter().map(|gap| (gap.rule, gap.atoms)).collect())
            }
            Coverage::TooLarge => None,
        };
        prop_assert_eq!(answer(covers(&owner, mixed)), answer(covers(&owner, &copies)));
    }
}

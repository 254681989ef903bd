//! The ceiling of agent identities: rights that none may hold any part of, whoever gives them.
//!
//! It is a list of denied rights, and each rule that an identity holds is looked at by itself, so no combination of bindings adds up to
//! something that the ceiling denies.

use pinfold_model::object::rbac::PolicyRule;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::rbac::Ceiling;

use super::coverage::{Coverage, covers};
use super::danger::{DANGERS, Danger};
use super::describe::excerpt;
use super::rights::{part, text_of};

/// How many breaches are told.
pub const MAX_TOLD: usize = 3;

/// How many denied rights are compared with what was given before; more count as new.
const MAX_COMPARED: usize = 256;

/// The ceilings that rights in one place are below.
#[derive(Debug, Clone)]
pub struct Limits<'a> {
    named: Vec<&'a Ceiling>,
    built_in: bool,
    in_platform: bool,
}

/// What is beyond in one place.
#[derive(Debug, Clone)]
pub struct Beyond<'a> {
    /// Beyond the ceilings there: PF-RBAC-004.
    pub ceiling: Vec<Breach<'a>>,
    /// On the built-in list: PF-RBAC-007.
    pub dangers: Vec<Breach<'a>>,
}

impl<'a> Beyond<'a> {
    /// What these rules give in a place (empty for cluster-wide) and `before` didn't.
    #[must_use]
    pub fn of<'r>(
        policy: &'a AdmissionPolicy,
        place: &str,
        rules: impl Iterator<Item = &'r PolicyRule> + Clone,
        before: &[&PolicyRule],
    ) -> Self {
        let limits = Limits::of(policy, place);
        let ceiling = limits.breaches(rules.clone(), before);
        let dangers = match limits.named.as_slice() {
            [] => ceiling.clone(),
            _ => Limits::dangers(policy, place).breaches(rules, before),
        };
        Self { ceiling, dangers }
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ceiling.is_empty() && self.dangers.is_empty()
    }
}

/// A right that a ceiling denies.
#[derive(Debug, Clone)]
pub struct Breach<'a> {
    /// Position of the rule that gives it.
    pub rule: usize,
    /// The part of that rule that is denied.
    pub part: PolicyRule,
    /// What denies it.
    pub by: Denier<'a>,
}

/// What denies a right.
#[derive(Debug, Clone, Copy)]
pub enum Denier<'a> {
    /// An entry of a named ceiling.
    Entry(&'a Ceiling, usize),
    /// A line of the built-in list.
    Danger(&'static Danger),
}

impl<'a> Limits<'a> {
    /// Those of rights given in a namespace. What is given cluster-wide (the empty name) is below the ceilings of all namespaces.
    #[must_use]
    pub fn of(policy: &'a AdmissionPolicy, place: &str) -> Self {
        let rbac = &policy.rbac;
        let in_platform = is_platform(policy, place);
        if !place.is_empty() {
            let named = rbac.ceiling_of(place);
            return Self { built_in: named.is_empty(), named, in_platform };
        }
        let everywhere = |ceiling: &&Ceiling| {
            ceiling.namespaces.iter().any(|glob| glob.as_str().trim_matches('*').is_empty())
        };
        let mut named: Vec<&Ceiling> =
            rbac.ceilings.iter().filter(|ceiling| !ceiling.namespaces.is_empty()).collect();
        if named.iter().any(everywhere) {
            return Self { named, built_in: false, in_platform };
        }
        let rest = rbac.agent_ceiling.as_ref();
        let rest = rest.and_then(|name| rbac.ceilings.iter().find(|one| one.name == *name));
        named.extend(rest.filter(|rest| rest.namespaces.is_empty()));
        Self { named, built_in: rest.is_none(), in_platform }
    }

    /// The built-in list alone, whatever the policy's ceilings are.
    fn dangers(policy: &AdmissionPolicy, place: &str) -> Self {
        Self { named: Vec::new(), built_in: true, in_platform: is_platform(policy, place) }
    }

    /// All that there are, for what may be given anywhere.
    #[must_use]
    pub fn all(policy: &'a AdmissionPolicy) -> Self {
        Self { named: policy.rbac.ceilings.iter().collect(), built_in: true, in_platform: true }
    }

    /// Whether the built-in list is among them.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// What tells limits apart; equal for places below the same ones.
    #[must_use]
    pub fn signature(&self) -> (Vec<&'a str>, bool, bool) {
        let names = self.named.iter().map(|ceiling| ceiling.name.as_str()).collect();
        (names, self.built_in, self.in_platform)
    }

    /// What these rules give beyond the limits and `before` didn't: one for each denier at most, and no more than [`MAX_TOLD`] and one.
    #[must_use]
    pub fn breaches<'r>(
        &self,
        rules: impl IntoIterator<Item = &'r PolicyRule>,
        before: &[&PolicyRule],
    ) -> Vec<Breach<'a>> {
        let mut found: Vec<Breach<'a>> = Vec::new();
        let mut compared: usize = 0;
        for (position, rule) in rules.into_iter().enumerate() {
            for (part, by) in self.denied(rule) {
                compared = compared.saturating_add(1);
                if let Some(known) = found.iter_mut().find(|known| known.part == part) {
                    known.by = by.or_plainer(known.by);
                    continue;
                }
                if compared <= MAX_COMPARED && !is_new(&part, before) {
                    continue;
                }
                found.push(Breach { rule: position, part, by });
                if found.len() > MAX_TOLD {
                    return found;
                }
            }
        }
        found
    }

    fn denied(&self, rule: &PolicyRule) -> impl Iterator<Item = (PolicyRule, Denier<'a>)> {
        let entries = |ceiling: &'a Ceiling| {
            let deny = ceiling.deny.iter().enumerate();
            deny.map(move |(position, entry)| (entry, Denier::Entry(ceiling, position)))
        };
        let named = self.named.iter().copied().flat_map(entries);
        let named = named.filter_map(|(entry, by)| Some((part(entry, rule)?, by)));
        // Where everything is given, its parts say nothing more.
        let star = |list: &[String]| list.iter().any(|text| text == "*");
        let everything = star(&rule.verbs) && star(&rule.resources);
        let dangers = self.built_in.then(|| DANGERS.iter()).into_iter().flatten();
        let dangers = dangers.filter(move |danger| !everything || danger.is_wildcard());
        let dangers = dangers.filter_map(|danger| {
            Some((danger.part_of(rule, self.in_platform)?, Denier::Danger(danger)))
        });
        named.chain(dangers)
    }
}

/// Whether rights in a place are rights in a namespace of the platform.
fn is_platform(policy: &AdmissionPolicy, place: &str) -> bool {
    place.is_empty() || policy.organizations.platform_namespaces.contains(place)
}

/// Whether `before` doesn't give all of a part; what is too large to tell counts as new.
fn is_new(part: &PolicyRule, before: &[&PolicyRule]) -> bool {
    covers(before.iter().copied(), [part]) != Coverage::Covered
}

impl Breach<'_> {
    /// The list of the rule that is at fault.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self.by {
            Denier::Danger(danger) => danger.field(),
            Denier::Entry(..) if self.part.resources.is_empty() => "nonResourceURLs",
            Denier::Entry(ceiling, position) => {
                let any = |verb: &String| verb == "*";
                let entry = ceiling.deny.get(position);
                let resources = entry.is_some_and(|entry| entry.verbs.iter().any(any));
                if resources { "resources" } else { "verbs" }
            }
        }
    }

    /// The right, in words.
    #[must_use]
    pub fn right(&self) -> String {
        text_of(&self.part)
    }
}

impl Denier<'_> {
    /// Of two that deny the same right, the one that says more about it.
    fn or_plainer(self, other: Self) -> Self {
        let wildcard = |by: Self| matches!(by, Self::Danger(danger) if danger.is_wildcard());
        if wildcard(other) && !wildcard(self) { self } else { other }
    }

    /// Which ceiling it is of, to stand before "denies".
    #[must_use]
    pub fn ceiling(&self) -> String {
        match self {
            Self::Danger(_) => "the built-in ceiling".to_owned(),
            Self::Entry(ceiling, position) => {
                let text = ceiling.deny.get(*position).map(text_of).unwrap_or_default();
                format!("ceiling `{}` (deny[{position}]: {text})", excerpt(&ceiling.name))
            }
        }
    }
}

/// Some breaches in words: "`list` on `secrets`, `create` on `pods/exec` and more".
#[must_use]
pub fn rights_of(breaches: &[Breach<'_>]) -> String {
    let told: Vec<String> = breaches.iter().take(MAX_TOLD).map(Breach::right).collect();
    let more = if breaches.len() > MAX_TOLD { " and more" } else { "" };
    format!("{}{more}", told.join(", "))
}

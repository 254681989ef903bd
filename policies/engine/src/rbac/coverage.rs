//! Whether some rules cover others, atom by atom, exactly as the API server decides it, but with the owner's rules indexed.
//!
//! An atom is one group, resource, verb and resource name (or none), or one non-resource URL and verb; a *single* owner rule must cover
//! it. Each text that is wanted gets a row with one bit for each owner rule that grants it; an atom is covered if its rows have a bit in
//! common. Texts with equal rows are judged together, so the work follows the number of different rows and not the number of atoms, and
//! it is bounded: lists long enough to exhaust [`MAX_STEPS`] are never taken for covered. A wanted rule that is itself one of the owner's is
//! not looked into: most people give roles that they hold.

mod index;
mod product;

use pinfold_model::object::rbac::PolicyRule;

use index::Index;
use product::{Axis, Budget, Level, Product};

/// How many words of rows are combined at most, about 20 ms; the `admin` role by itself takes a thousand.
pub const MAX_STEPS: u64 = 4_000_000;
/// How many words the rows may have together (8 MiB).
pub const MAX_ROW_WORDS: usize = 1 << 20;
/// How many wanted rules are told in full.
pub const MAX_GAPS: usize = 16;
/// How many blocks of missing atoms are told for one wanted rule.
pub const MAX_BLOCKS: usize = 64;
/// How many texts of one list are told.
pub const MAX_LISTED: usize = 16;

/// Whether rules cover others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage<'w> {
    /// Each atom is covered.
    Covered,
    /// Some are not.
    Missing(Shortfall<'w>),
    /// Too much to tell; counts as not covered.
    TooLarge,
}

/// What is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortfall<'w> {
    /// By wanted rule, in order, at most [`MAX_GAPS`].
    pub gaps: Vec<Gap<'w>>,
    /// How many wanted rules have a gap.
    pub rules: usize,
}

/// What is missing of one wanted rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap<'w> {
    /// Position of the wanted rule.
    pub rule: usize,
    /// The first field at fault, below the rule: `resources[1]`.
    pub field: String,
    /// The atoms, compacted, at most [`MAX_BLOCKS`].
    pub missing: Vec<Missing<'w>>,
    /// How many atoms are missing.
    pub atoms: u64,
}

/// Missing atoms: the product of the lists, each cut at [`MAX_LISTED`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing<'w> {
    /// Verbs.
    pub verbs: Vec<&'w str>,
    /// API groups.
    pub groups: Vec<&'w str>,
    /// Resources.
    pub resources: Vec<&'w str>,
    /// Names; none means all.
    pub names: Vec<&'w str>,
    /// Non-resource URLs; if there are any, groups, resources and names are empty.
    pub urls: Vec<&'w str>,
    /// How many atoms.
    pub atoms: u64,
}

/// Whether the `owner` rules together cover all `wanted` rules.
///
/// A wanted rule with an empty list of groups, resources or verbs has no atoms and is covered by anything, as upstream.
pub fn covers<'o, 'w>(
    owner: impl IntoIterator<Item = &'o PolicyRule>,
    wanted: impl IntoIterator<Item = &'w PolicyRule>,
) -> Coverage<'w> {
    let owner: Vec<&PolicyRule> = owner.into_iter().collect();
    let mut open: Vec<(usize, &PolicyRule)> = wanted.into_iter().enumerate().collect();
    leave_out_owned(&mut open, &owner);
    if open.is_empty() {
        return Coverage::Covered;
    }
    let wanted: Vec<&PolicyRule> = open.iter().map(|(_, rule)| *rule).collect();
    let mut budget = Budget::of(MAX_STEPS);
    let Some(index) = Index::new(&owner, &wanted, &mut budget) else { return Coverage::TooLarge };
    let mut found = Shortfall::default();
    for (row, (position, rule)) in open.iter().enumerate() {
        let missing = match missing_of(&index, row, rule, &mut budget) {
            Some(missing) => missing,
            None if found.rules == 0 => return Coverage::TooLarge,
            None => break,
        };
        found.note(*position, missing);
    }
    if found.rules == 0 { Coverage::Covered } else { Coverage::Missing(found) }
}

/// Takes out the wanted rules that are the owner's own, not equal but the very same, which a view shares among its roles. One with names and URLs
/// stays, because an owner's rule with names grants no URLs.
fn leave_out_owned(wanted: &mut Vec<(usize, &PolicyRule)>, owner: &[&PolicyRule]) {
    let mut addresses: Vec<*const PolicyRule> =
        wanted.iter().map(|(_, rule)| std::ptr::from_ref(*rule)).collect();
    addresses.sort_unstable();
    let mut owned = vec![false; addresses.len()];
    for rule in owner {
        if let Ok(at) = addresses.binary_search(&std::ptr::from_ref(*rule)) {
            owned.get_mut(at).into_iter().for_each(|owned| *owned = true);
        }
    }
    wanted.retain(|(_, rule)| {
        let covers_itself = rule.resource_names.is_empty() || rule.non_resource_urls.is_empty();
        let at = addresses.binary_search(&std::ptr::from_ref(*rule)).ok();
        !(covers_itself && at.and_then(|at| owned.get(at)).is_some_and(|owned| *owned))
    });
}

impl<'w> Shortfall<'w> {
    fn note(&mut self, rule: usize, gap: Option<Gap<'w>>) {
        let Some(gap) = gap else { return };
        self.rules = self.rules.saturating_add(1);
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push(Gap { rule, ..gap });
        }
    }
}

/// The gap of one wanted rule, if it has one; `None` if the budget is exhausted.
fn missing_of<'w>(
    index: &Index<'w>,
    position: usize,
    rule: &'w PolicyRule,
    budget: &mut Budget,
) -> Option<Option<Gap<'w>>> {
    let Some(levels) = index.levels(position) else { return Some(None) };
    let mut gap = Gap { rule: position, field: String::new(), missing: Vec::new(), atoms: 0 };
    if !levels.one_rule_grants_resources() {
        walk(&levels.resources(), index.words(), rule, &mut gap, budget)?;
    }
    if !levels.one_rule_grants_urls() {
        walk(&levels.urls(), index.words(), rule, &mut gap, budget)?;
    }
    Some((gap.atoms > 0).then_some(gap))
}

fn walk<'w>(
    levels: &[Level<'_>],
    words: usize,
    rule: &'w PolicyRule,
    gap: &mut Gap<'w>,
    budget: &mut Budget,
) -> Option<()> {
    let mut product = Product::new(levels, words);
    product.walk(budget)?;
    product.report(rule, gap);
    Some(())
}

impl Axis {
    /// The list of a rule that this axis ranges over.
    fn list(self, rule: &PolicyRule) -> &[String] {
        match self {
            Self::Groups => &rule.api_groups,
            Self::Resources => &rule.resources,
            Self::Verbs => &rule.verbs,
            Self::Names => &rule.resource_names,
            Self::Urls => &rule.non_resource_urls,
        }
    }

    /// The name of that list in a rule's JSON.
    fn field(self) -> &'static str {
        match self {
            Self::Groups => "apiGroups",
            Self::Resources => "resources",
            Self::Verbs => "verbs",
            Self::Names => "resourceNames",
            Self::Urls => "nonResourceURLs",
        }
    }
}

impl<'w> Missing<'w> {
    /// The list of that axis.
    fn list_mut(&mut self, axis: Axis) -> &mut Vec<&'w str> {
        match axis {
            Axis::Groups => &mut self.groups,
            Axis::Resources => &mut self.resources,
            Axis::Verbs => &mut self.verbs,
            Axis::Names => &mut self.names,
            Axis::Urls => &mut self.urls,
        }
    }
}

#[cfg(test)]
mod tests;

//! What an edit of a role adds, to the role itself and to every role that takes it in.

use std::collections::BTreeSet;

use pinfold_model::facts::Answers;
use pinfold_model::object::rbac::{LabelSelector, PolicyRule, Role};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::context::Context;
use crate::rbac::ceiling::{Beyond, Breach, Limits};
use crate::rbac::coverage::{Coverage, covers};
use crate::rbac::effective::{Given, Roles, selected, takers};
use crate::rbac::resolver::Unresolved;
use crate::rules::pf_rbac::ceiling::current;

/// An edit of a role, and the cluster without and with it.
pub(super) struct Edit<'c> {
    pub(super) context: &'c Context<'c>,
    pub(super) before: Snapshot,
    pub(super) after: Snapshot,
    object: &'c Object,
    old: Option<&'c Object>,
    none: Answers,
}

/// What one role gains.
pub(super) struct Gains<'e> {
    pub(super) role: ObjectKey,
    /// The rules that it gives afterwards and that are not all in what it gave before; `None` if that can't be told.
    pub(super) given: Option<Vec<Given<'e>>>,
    before: Vec<&'e PolicyRule>,
}

impl<'c> Edit<'c> {
    /// `None` if the edit adds nothing, to no role.
    pub(super) fn of(context: &'c Context<'c>, role: &Role) -> Option<Self> {
        let object = context.facts.object.as_ref()?;
        let old = context.facts.old_object.as_ref();
        let old = old.filter(|old| matches!(old.facts, Facts::Role(_)));
        if old.is_some_and(|old| adds_nothing(old, object, role)) {
            return None;
        }
        let mut before = current(context);
        before.remove(&object.key);
        let mut after = before.clone();
        after.apply(object.clone());
        if let Some(old) = old {
            before.apply(old.clone());
        }
        Some(Self { context, before, after, object, old, none: Answers::default() })
    }

    /// The role, and those that take it in.
    pub(super) fn affected(&self) -> Result<Vec<ObjectKey>, Unresolved> {
        let mut all = vec![self.object.key.clone()];
        if self.object.key.namespace.is_empty() {
            all.extend(takers(&self.after, self.object)?.into_iter().cloned());
        }
        Ok(all)
    }

    /// What one of them gains.
    pub(super) fn gains(&self, role: &ObjectKey) -> Gains<'_> {
        let gives = |view| Roles { view, answers: &self.none }.gives(role);
        let before = gives(&self.before).map(|gives| gives.rules).unwrap_or_default();
        let before: Vec<&PolicyRule> = before.into_iter().map(|given| given.rule).collect();
        let given = match gives(&self.after) {
            Ok(gives) => Some(new_rules(gives.rules, &before)),
            Err(Unresolved::Absent(_) | Unresolved::Kind) => Some(Vec::new()),
            Err(Unresolved::TooLarge(_)) => None,
        };
        Gains { role: role.clone(), given, before }
    }

    /// The field of the edited object that adds a rule to an affected role.
    pub(super) fn path(&self, gains: &Gains<'_>, breach: Option<&Breach<'_>>) -> String {
        let Some(given) = gains.given(breach) else { return "$".to_owned() };
        let own = &self.object.key;
        let from = given.from.unwrap_or(&gains.role);
        let field = breach.map(|breach| format!(".{}", breach.field())).unwrap_or_default();
        if from == own && (gains.role == *own || !self.had(given.rule)) {
            return format!("$.rules[{}]{field}", given.position);
        }
        match self.label(&gains.role) {
            Some(label) => format!("$.metadata.labels['{label}']"),
            None if gains.role == *own => "$.aggregationRule".to_owned(),
            None => "$.metadata.labels".to_owned(),
        }
    }

    fn had(&self, rule: &PolicyRule) -> bool {
        let facts = self.old.map(|old| &old.facts);
        matches!(facts, Some(Facts::Role(role)) if role.rules.contains(rule))
    }

    /// The new label by which this role takes in the edited one, or one that it takes in does.
    fn label(&self, taker: &ObjectKey) -> Option<&str> {
        let near = self.after.get(taker).and_then(|taker| self.new_label(taker));
        near.or_else(|| {
            let far = self.after.aggregating().filter_map(|taker| self.new_label(taker));
            far.min()
        })
    }

    fn new_label(&self, taker: &Object) -> Option<&str> {
        let Facts::Role(Role { aggregation: Some(selectors), .. }) = &taker.facts else {
            return None;
        };
        let selects = |one: &&LabelSelector| selected(std::slice::from_ref(*one), self.object);
        let selector = selectors.iter().find(selects)?;
        let labels = selector.match_labels.iter().map(|(key, _)| key);
        let keys = labels.chain(selector.match_expressions.iter().map(|one| &one.key));
        let new = |key: &String| self.object.meta.labels.get_key_value(key);
        let old = |key: &String| self.old.and_then(|old| old.meta.labels.get(key));
        let mut new = keys.filter_map(|key| new(key).filter(|(_, value)| old(key) != Some(value)));
        new.next().map(|(key, _)| key.as_str())
    }
}

impl Gains<'_> {
    /// What of it is beyond some limits, and wasn't given before.
    pub(super) fn breaches<'l>(&self, limits: &Limits<'l>) -> Vec<Breach<'l>> {
        limits.breaches(self.rules(), &self.before)
    }

    /// What of it is beyond in a place, and wasn't given before.
    pub(super) fn beyond<'p>(&self, policy: &'p AdmissionPolicy, place: &str) -> Beyond<'p> {
        Beyond::of(policy, place, self.rules(), &self.before)
    }

    /// The rules; none if they can't be told.
    pub(super) fn rules(&self) -> impl Iterator<Item = &PolicyRule> + Clone {
        self.given.iter().flatten().map(|given| given.rule)
    }

    /// Whether some rules, and what was given before, cover what is gained.
    pub(super) fn covered_by<'g>(&'g self, held: Vec<&PolicyRule>) -> Coverage<'g> {
        covers(held.into_iter().chain(self.before.iter().copied()), self.rules())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether it can be told what is gained.
    pub(super) fn are_told(&self) -> bool {
        self.given.is_some()
    }

    /// The role that a gain is taken in from.
    pub(super) fn from(&self, breach: Option<&Breach<'_>>) -> Option<&ObjectKey> {
        self.given(breach)?.from
    }

    /// The rule of a breach, or the first.
    fn given(&self, breach: Option<&Breach<'_>>) -> Option<&Given<'_>> {
        self.given.as_ref()?.get(breach.map_or(0, |breach| breach.rule))
    }
}

/// Whether an edit neither adds a right nor changes what takes in what.
fn adds_nothing(old: &Object, object: &Object, role: &Role) -> bool {
    let Facts::Role(old_role) = &old.facts else { return false };
    old.meta.labels == object.meta.labels
        && old_role.aggregation == role.aggregation
        && covers(old_role.rules.iter(), role.rules.iter()) == Coverage::Covered
}

/// The rules that `before` doesn't cover.
fn new_rules<'e>(given: Vec<Given<'e>>, before: &[&PolicyRule]) -> Vec<Given<'e>> {
    let known: BTreeSet<Lists<'_>> = before.iter().map(|rule| lists(rule)).collect();
    let new: Vec<Given<'e>> =
        given.into_iter().filter(|given| !known.contains(&lists(given.rule))).collect();
    match covers(before.iter().copied(), new.iter().map(|given| given.rule)) {
        Coverage::Covered => Vec::new(),
        // All positions are there.
        Coverage::Missing(shortfall) if shortfall.gaps.len() == shortfall.rules => {
            let at = shortfall.gaps.iter().filter_map(|gap| new.get(gap.rule).copied());
            at.collect()
        }
        Coverage::Missing(_) | Coverage::TooLarge => new,
    }
}

type Lists<'r> = [&'r [String]; 5];

fn lists(rule: &PolicyRule) -> Lists<'_> {
    let PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls } = rule;
    [verbs, api_groups, resources, resource_names, non_resource_urls]
}

//! What a rule and an entry of a ceiling have in common: every right that both name, as one rule again.
//!
//! A right is one verb on one resource of one group, with a name or without, or one verb on one URL. Two patterns have something in common
//! if some right matches both; a rule is taken as the API server's authorizer reads it, which ignores names beside URLs.

use pinfold_model::object::rbac::PolicyRule;

use super::coverage::{Gap, Missing};
use super::describe::permissions;

/// The part of a rule that an entry of a ceiling names too; `None` if it gives nothing of that.
#[must_use]
pub fn part(entry: &PolicyRule, rule: &PolicyRule) -> Option<PolicyRule> {
    let resources = on_resources(entry, rule);
    let urls = any(&entry.non_resource_urls, &rule.non_resource_urls, url);
    if !any(&entry.verbs, &rule.verbs, verb) || !(resources || urls) {
        return None;
    }
    let mut part =
        PolicyRule { verbs: pairs(&entry.verbs, &rule.verbs, verb), ..PolicyRule::default() };
    if resources {
        part.api_groups = pairs(&entry.api_groups, &rule.api_groups, text);
        part.resources = pairs(&entry.resources, &rule.resources, resource);
        part.resource_names =
            names(&entry.resource_names, &rule.resource_names).unwrap_or_default();
    }
    part.non_resource_urls = pairs(&entry.non_resource_urls, &rule.non_resource_urls, url);
    Some(part)
}

fn on_resources(entry: &PolicyRule, rule: &PolicyRule) -> bool {
    any(&entry.api_groups, &rule.api_groups, text)
        && any(&entry.resources, &rule.resources, resource)
        && names(&entry.resource_names, &rule.resource_names).is_some()
}

/// A rule in words: "`get,list` on `secrets`".
#[must_use]
pub fn text_of(rule: &PolicyRule) -> String {
    let verbs = borrowed(&rule.verbs);
    let on_resources = Missing {
        verbs: verbs.clone(),
        groups: borrowed(&rule.api_groups),
        resources: borrowed(&rule.resources),
        names: borrowed(&rule.resource_names),
        ..Missing::default()
    };
    let on_urls = Missing { verbs, urls: borrowed(&rule.non_resource_urls), ..Missing::default() };
    let both = [on_resources, on_urls];
    let some = |missing: &Missing<'_>| !missing.resources.is_empty() || !missing.urls.is_empty();
    let missing = both.into_iter().filter(some).collect();
    permissions(&[Gap { rule: 0, field: String::new(), missing, atoms: 0 }])
}

fn borrowed(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// Whether some pair of two lists has something in common.
fn any<F>(left: &[String], right: &[String], common: F) -> bool
where
    F: for<'t> Fn(&'t str, &'t str) -> Option<&'t str>,
{
    left.iter().any(|one| right.iter().any(|other| common(one, other).is_some()))
}

/// What each pair of two lists has in common, each once.
fn pairs<F>(left: &[String], right: &[String], common: F) -> Vec<String>
where
    F: for<'t> Fn(&'t str, &'t str) -> Option<&'t str>,
{
    let mut found: Vec<String> = Vec::new();
    for one in left {
        for other in right {
            let both = common(one, other);
            if let Some(both) = both.filter(|both| !found.iter().any(|known| known == both)) {
                found.push(both.to_owned());
            }
        }
    }
    found
}

/// A text or `*`.
fn text<'t>(left: &'t str, right: &'t str) -> Option<&'t str> {
    match (left, right) {
        ("*", other) | (other, "*") => Some(other),
        (left, right) => (left == right).then_some(left),
    }
}

/// As [`text`]; and `impersonate` stands for the constrained kinds too (KEP-5284: `impersonate:MODE`, `impersonate-on:MODE:VERB`), as
/// each of them does for the whole.
fn verb<'t>(entry: &'t str, rule: &'t str) -> Option<&'t str> {
    match (entry, rule) {
        (IMPERSONATE, other) | (other, IMPERSONATE) if is_constrained(other) => Some(rule),
        (entry, rule) => text(entry, rule),
    }
}

const IMPERSONATE: &str = "impersonate";

fn is_constrained(verb: &str) -> bool {
    let rest = verb.strip_prefix(IMPERSONATE);
    rest.is_some_and(|rest| rest.starts_with(':') || rest.starts_with("-on:"))
}

/// A resource, `*`, or `*/sub`: what is below the first slash, of any resource.
fn resource<'t>(left: &'t str, right: &'t str) -> Option<&'t str> {
    let below_any = |pattern: &str, resource: &str| {
        let sub = pattern.strip_prefix("*/");
        sub.is_some_and(|sub| resource.split_once('/').is_some_and(|(_, below)| below == sub))
    };
    match (left, right) {
        ("*", other) | (other, "*") => Some(other),
        (left, right) if left == right || below_any(left, right) => Some(right),
        (left, right) => below_any(right, left).then_some(left),
    }
}

/// Names that both mean; the empty list means all. `None` if no name is common.
fn names(left: &[String], right: &[String]) -> Option<Vec<String>> {
    match (left, right) {
        ([], other) | (other, []) => Some(other.to_vec()),
        (left, right) => {
            let both: Vec<String> =
                left.iter().filter(|name| right.contains(name)).cloned().collect();
            (!both.is_empty()).then_some(both)
        }
    }
}

/// A URL, or a prefix with a star at the end.
fn url<'t>(left: &'t str, right: &'t str) -> Option<&'t str> {
    let covers = |pattern: &str, url: &str| {
        pattern == url || pattern.ends_with('*') && url.starts_with(pattern.trim_end_matches('*'))
    };
    if covers(left, right) { Some(right) } else { covers(right, left).then_some(left) }
}

#[cfg(test)]
mod tests;

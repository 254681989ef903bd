//! Denials that a policy defines itself: a JSONPath and what its values must not be.
//!
//! A path that can't be evaluated denies; a path that selects nothing is no match.

use crate::context::{Context, Found};

/// Judges every custom rule.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    let Some(document) = &context.facts.document else { return };
    let target = &context.facts.target;
    for rule in context.policy.custom.iter().filter(|rule| rule.applies.matches(target)) {
        match rule.path.select(document) {
            Ok(selected) => {
                let hits = selected.into_iter();
                for hit in hits.filter(|hit| rule.tests.iter().all(|test| test.holds(hit.value))) {
                    let tests: Vec<String> =
                        rule.tests.iter().map(|test| test.describe()).collect();
                    let remedy = format!("rule `{}` refuses {} here", rule.id, tests.join(" and "));
                    found.add(rule.id.clone(), hit.path, rule.message.clone(), remedy);
                }
            }
            Err(error) => {
                let remedy = "make the object smaller, or the rule's path more direct";
                found.add(rule.id.clone(), rule.path.as_str(), error.to_string(), remedy);
            }
        }
    }
}

//! Whether a ServiceAccount is privileged: some binding that names it lets it change something, or read Secrets. What every ServiceAccount gets through a
//! group isn't its privilege.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::PolicyRule;
use pinfold_model::snapshot::SubjectKey;

use crate::context::Context;
use crate::rbac::agents::Account;
use crate::rbac::describe::excerpt;
use crate::rbac::effective::{Grant, grants_of};
use crate::rbac::resolver::Unresolved;

/// Verbs that change nothing.
const READING: [&str; 3] = ["get", "list", "watch"];
/// Groups in which a `create` asks a question and stores nothing.
const QUESTIONS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

/// What a privileged ServiceAccount may do, and by which binding; `None` if it isn't privileged.
pub(super) fn privileged(context: &Context<'_>, account: &ObjectKey) -> Option<String> {
    let who = Account { namespace: account.namespace.clone(), name: account.name.clone() };
    let grants = grants_of(context.view, &context.facts.answers, &who);
    let mut own = grants.iter().filter(|grant| !matches!(grant.spelling, SubjectKey::Group(_)));
    own.find_map(|grant| {
        let what = danger(grant)?;
        let (name, binding) = (excerpt(&account.name), excerpt(&grant.binding.to_string()));
        Some(format!("ServiceAccount `{name}` {what} through {binding}"))
    })
}

fn danger(grant: &Grant<'_>) -> Option<String> {
    match &grant.rules {
        Ok(rules) => rules.iter().find_map(|rule| of_rule(rule)),
        // A role that isn't there gives nothing.
        Err(Unresolved::Absent(_)) => None,
        Err(_) => Some("may do what nobody can tell".to_owned()),
    }
}

fn of_rule(rule: &PolicyRule) -> Option<String> {
    let asks = |group: &String| QUESTIONS.contains(&group.as_str());
    if rule.resources.is_empty() || rule.api_groups.iter().all(asks) {
        return None;
    }
    let resource = rule.resources.first().map(|resource| excerpt(resource)).unwrap_or_default();
    if let Some(verb) = rule.verbs.iter().find(|verb| !READING.contains(&verb.as_str())) {
        return Some(format!("may `{}` `{resource}`", excerpt(verb)));
    }
    let core = |group: &String| group.is_empty() || group == "*";
    let secrets = |resource: &String| resource == "secrets" || resource == "*";
    let reads = rule.api_groups.iter().any(core) && rule.resources.iter().any(secrets);
    (reads && !rule.verbs.is_empty()).then(|| "may read Secrets".to_owned())
}

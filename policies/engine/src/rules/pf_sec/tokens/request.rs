//! TokenRequests (`serviceaccounts/token`): for whom, by whom, for which audiences and how long.

use pinfold_model::facts::Requester;
use pinfold_model::object::Object;
use serde_json::Value;

use super::RULE;
use super::allowance::Allowance;
use crate::context::{Context, Found};
use crate::rbac::agents::{Agents, account_of_user};
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::authority;

/// Kubelets ask for the tokens of the pods on their node, which were judged when they were made; the API server's NodeRestriction limits them
/// to those.
const NODES: &str = "system:nodes";

/// What the API server gives who says nothing, in seconds (authentication/v1 defaults).
const EXPIRATION_SECONDS: i64 = 3_600;

/// Judges a request.
pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let facts = context.facts;
    if facts.requester.as_ref().is_some_and(|requester| requester.in_group(NODES)) {
        return;
    }
    let namespace = facts.target.namespace.as_str();
    let name = [&object.key.name, &facts.target.name, &facts.request_name];
    let name = name.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    judge_requester(context, (namespace, name), "$.metadata.name", found);
    let allowance = Allowance::of(context, namespace, name);
    if allowance.is_empty() {
        return;
    }
    let Some(spec) = facts.document.as_ref().map(|document| document.get("spec")) else {
        let message = "the request's text isn't known, so nobody can tell for whom the token is";
        return found.add(RULE, "$.spec", message, "send the object with the request");
    };
    let spec = spec.unwrap_or(&Value::Null);
    for (path, audience) in audiences(spec) {
        if let Some((message, remedy)) = allowance.refuses_audience(audience) {
            found.add(RULE, path, message, remedy);
        }
    }
    let seconds = match spec.get("expirationSeconds") {
        None | Some(Value::Null) => EXPIRATION_SECONDS,
        Some(written) => written.as_i64().unwrap_or(i64::MAX),
    };
    if let Some((message, remedy)) = allowance.refuses_expiration(seconds) {
        found.add(RULE, "$.spec.expirationSeconds", message, remedy);
    }
}

/// The audiences, with their paths; none is the API server's own.
fn audiences(spec: &Value) -> Vec<(String, &str)> {
    let listed =
        spec.get("audiences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        return vec![("$.spec.audiences".to_owned(), "")];
    }
    let path = |index: usize| format!("$.spec.audiences[{index}]");
    let texts = listed.iter().map(|audience| audience.as_str().unwrap_or_default());
    texts.enumerate().map(|(index, audience)| (path(index), audience)).collect()
}

/// An agent that asks for another account's token becomes that account (T-13), also by a Secret that the control plane fills (T-14). Whoever asks for
/// one of an account that trust rests on becomes what decides who is trusted.
pub(super) fn judge_requester(
    context: &Context<'_>,
    account: (&str, &str),
    path: &str,
    found: &mut Found,
) {
    let Some(requester) = context.requester(RULE, found) else { return };
    if let Some(why) = authority::of(context, account)
        && !authority::may_have(context, requester, account)
    {
        return tell_authority((requester, account), (&why, path), found);
    }
    let Some((namespace, name)) = account_of_user(&requester.name) else { return };
    if (namespace, name) == account || !Agents::of(context).is_agent(&requester.name) {
        return;
    }
    let (of, whose) = (excerpt(account.0), excerpt(account.1));
    let message = format!(
        "agent identity `{}/{}` asks for a token of `{of}/{whose}`, by which it would become that ServiceAccount",
        excerpt(namespace),
        excerpt(name)
    );
    let remedy = "let whoever runs the work choose its ServiceAccount; an agent may ask for tokens of its own";
    found.add(RULE, path, message, remedy);
}

fn tell_authority(
    (requester, account): (&Requester, (&str, &str)),
    (why, path): (&str, &str),
    found: &mut Found,
) {
    let (who, of, whose) = (excerpt(&requester.name), excerpt(account.0), excerpt(account.1));
    let message = format!(
        "trust rests on ServiceAccount `{of}/{whose}`, which is of {why}, and `{who}` asks for a token of it without administering the platform"
    );
    let remedy = "ask for a token of another account; pods of that one mount theirs, and a platform administrator may ask";
    found.add(RULE, path, message, remedy);
}

//! PF-SEC-008: tokens of agent identities beyond what their AgentServiceAccounts allow: by request, projected into a pod, mounted by default, or in a
//! Secret, where they never expire. And tokens of the accounts that trust rests on, for anybody but administrators.
//!
//! What a pod mounts is judged by its ServiceAccount's records whatever the work is; whether untrusted work may have a token at all is PF-TRU-002's.

mod allowance;
mod pods;
mod request;

use pinfold_model::finding::RuleId;
use pinfold_model::object::Object;
use serde_json::Value;

use self::allowance::Allowance;
use crate::context::{Context, Found};
use crate::rbac::agents::Agents;
use crate::rbac::describe::excerpt;

const RULE: RuleId = RuleId::SEC_TOKEN;

/// The type of Secrets that the API server fills with a token (core/v1 `SecretTypeServiceAccountToken`).
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";
/// Whose token such a Secret holds (core/v1 `ServiceAccountNameKey`).
const TOKEN_OF: &str = "kubernetes.io/service-account.name";

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.brings_content()) else { return };
    if object.facts.workload().is_some() {
        return pods::judge(context, object, found);
    }
    match (object.key.group.as_str(), object.key.kind.as_str()) {
        ("authentication.k8s.io", "TokenRequest") => request::judge(context, object, found),
        ("", "Secret") => judge_secret(context, object, found),
        ("", "ServiceAccount") => judge_account(context, object, found),
        _ => {}
    }
}

/// A token in a Secret is for the API server, for ever, whoever reads it (T-14).
fn judge_secret(context: &Context<'_>, object: &Object, found: &mut Found) {
    let Some(account) = object.meta.annotations.get(TOKEN_OF) else { return };
    let stored = context.facts.old_object.as_ref();
    let kept = stored.is_some_and(|old| old.meta.annotations.get(TOKEN_OF) == Some(account));
    // The type never changes. Without the text of the object it isn't known, and then it may be one.
    let document = context.facts.document.as_ref();
    let is_token = document.is_none_or(|text| member(text, "type") == Some(TOKEN_SECRET));
    let namespace = context.facts.target.namespace.as_str();
    if kept || !is_token {
        return;
    }
    let path = format!("$.metadata.annotations['{TOKEN_OF}']");
    if Agents::of(context).naming(namespace, account).is_none() {
        return request::judge_requester(context, (namespace, account), &path, found);
    }
    let account = excerpt(account);
    let message = format!(
        "a token of agent identity `{namespace}/{account}` in a Secret never expires and is for the API server; an \
         agent's tokens have an audience and an end"
    );
    let remedy = "project a token into the pod (`serviceAccountToken`) with the `tokenAudience` of its \
                  AgentServiceAccount, or ask for one (`kubectl create token`)";
    found.add(RULE, path, message, remedy);
}

/// A ServiceAccount that mounts its token into whatever names it, where its records say that it doesn't.
fn judge_account(context: &Context<'_>, object: &Object, found: &mut Found) {
    let automount = |object: &Object| object.facts.referrer().and_then(|account| account.automount);
    let kept = context.facts.old_object.as_ref().is_some_and(|old| automount(old) == Some(true));
    if automount(object) != Some(true) || kept {
        return;
    }
    let (namespace, name) = (context.facts.target.namespace.as_str(), object.key.name.as_str());
    let Some(record) = Allowance::of(context, namespace, name).refuses_automount() else { return };
    let message = format!(
        "{record} says that agent identity `{namespace}/{}` mounts no token, and the ServiceAccount says that it does",
        excerpt(name)
    );
    found.add(RULE, "$.automountServiceAccountToken", message, pods::SAY_NO);
}

/// A text below a JSON object.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

#[cfg(test)]
mod tests;

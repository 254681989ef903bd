//! Pods and templates: the token that is mounted unless somebody says no, tokens that volumes project, Secrets that hold one.

use pinfold_model::facts::Question;
use pinfold_model::object::pod::{ProjectedToken, Workload};
use pinfold_model::object::reference::{Reference, ReferenceKind};
use pinfold_model::object::{Object, ObjectKey};

use super::allowance::Allowance;
use super::{RULE, TOKEN_OF};
use crate::agent_workload::{Membership, membership, service_account};
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;

pub(super) const SAY_NO: &str = "set `automountServiceAccountToken: false`; a token for another service can be \
                                 projected (`serviceAccountToken` with its audience)";

/// How long the token lives that the API server mounts itself, in seconds (KEP-1205).
const MOUNTED_SECONDS: i64 = 3_607;
/// How long a projected token lives that says nothing, in seconds (core/v1 defaults).
const PROJECTED_SECONDS: i64 = 3_600;

/// Something that a pod has and may not.
#[derive(PartialEq)]
struct Fault {
    path: String,
    message: String,
    remedy: String,
    question: Option<Question>,
}

/// Judges a workload. What it had before an update is let be, so that it can still be scaled down and labelled; its pods are judged when they come.
pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    if !matches!(context.facts.subresource.as_str(), "" | "ephemeralcontainers") {
        return;
    }
    let Some(workload) = object.facts.workload() else { return };
    let faults = faults(context, object, workload);
    if faults.is_empty() {
        return;
    }
    let old = context.facts.old_object.as_ref();
    let before = old.and_then(|old| Some(self::faults(context, old, old.facts.workload()?)));
    let before = before.unwrap_or_default();
    for fault in faults.into_iter().filter(|fault| !before.contains(fault)) {
        fault.question.into_iter().for_each(|question| found.ask(question));
        found.add(RULE, fault.path, fault.message, fault.remedy);
    }
}

fn faults(context: &Context<'_>, object: &Object, workload: &Workload) -> Vec<Fault> {
    let namespace = context.facts.target.namespace.as_str();
    let name = service_account(workload);
    let mut faults = Vec::new();
    let allowance = Allowance::of(context, namespace, name);
    if !allowance.is_empty() {
        let mounted =
            mounted(context, workload, &ObjectKey::new("", "ServiceAccount", namespace, name));
        if let (Some((how, question)), Some(record)) = (&mounted, allowance.refuses_automount()) {
            let account = excerpt(name);
            faults.push(Fault {
                path: format!("{}.automountServiceAccountToken", workload.spec_path),
                message: format!(
                    "{how} token of `{namespace}/{account}`; {record} says that none is"
                ),
                remedy: SAY_NO.to_owned(),
                question: question.clone(),
            });
        }
        faults.extend(projected(&allowance, workload, mounted.is_some()));
    }
    faults.extend(secrets(context, object, workload));
    faults
}

/// How the token of the ServiceAccount gets into the pod, if it does; and what a live look could change.
fn mounted(
    context: &Context<'_>,
    workload: &Workload,
    account: &ObjectKey,
) -> Option<(&'static str, Option<Question>)> {
    let stored = context.lookup(account);
    let says = stored.and_then(|stored| stored.facts.referrer()?.automount);
    match (workload.placement.automount, stored, says) {
        (Some(false), ..) | (None, _, Some(false)) => None,
        (Some(true), ..) => Some(("it mounts the", None)),
        (None, Some(_), _) => Some(("nobody says no to mounting the", None)),
        (None, None, _) => {
            let question = Question::Object(account.clone());
            Some(("it doesn't say no to mounting the", Some(question)))
        }
    }
}

fn projected(allowance: &Allowance<'_>, workload: &Workload, mounted: bool) -> Vec<Fault> {
    // The API server writes the volume of the mounted token itself: it is told once, and allowed with it.
    let admitted = |token: &ProjectedToken| {
        mounted && token.audience.is_empty() && token.expiration_seconds == Some(MOUNTED_SECONDS)
    };
    let own = workload.tokens.iter().position(admitted);
    let mut faults = Vec::new();
    let others = workload.tokens.iter().enumerate().filter(|(at, _)| Some(*at) != own);
    for (_, token) in others {
        let fault = |field: &str, (message, remedy): (String, String)| Fault {
            path: format!("{}.{field}", token.path),
            message,
            remedy,
            question: None,
        };
        let seconds = token.expiration_seconds.unwrap_or(PROJECTED_SECONDS);
        let audience = allowance.refuses_audience(&token.audience);
        faults.extend(audience.map(|refused| fault("audience", refused)));
        let expiration = allowance.refuses_expiration(seconds);
        faults.extend(expiration.map(|refused| fault("expirationSeconds", refused)));
    }
    faults
}

/// Secrets of an agent workload that hold a ServiceAccount's token, as far as the view knows.
fn secrets(context: &Context<'_>, object: &Object, workload: &Workload) -> Vec<Fault> {
    let namespace = context.facts.target.namespace.as_str();
    let token_of = |name: &str| {
        let key = ObjectKey::new("", "Secret", namespace, name);
        context.lookup(&key)?.meta.annotations.get(TOKEN_OF).map(String::as_str)
    };
    let secrets = workload.references.iter().filter(|one| one.kind == ReferenceKind::Secret);
    let tokens = secrets.filter_map(|one| Some((one, token_of(&one.name)?)));
    let tokens: Vec<_> = tokens.collect();
    if tokens.is_empty() || !matches!(membership(context, object, workload), Membership::Agent(_)) {
        return Vec::new();
    }
    let own = service_account(workload);
    let fault = |(reference, account): (&Reference, &str)| {
        let secret = excerpt(&reference.name);
        let whose =
            if account == own { "its own ServiceAccount" } else { "another ServiceAccount" };
        Fault {
            path: reference.path.clone(),
            message: format!(
                "Secret `{secret}` holds a token of `{namespace}/{}`, {whose}, which never expires",
                excerpt(account)
            ),
            remedy: "run as that ServiceAccount if that is meant, and project a token with an audience and an end".to_owned(),
            question: None,
        }
    };
    tokens.into_iter().map(fault).collect()
}

//! PF-TRU-002: untrusted work that has an identity: the ServiceAccount's API token, a projected token or certificate, the cloud's identity of its
//! ServiceAccount; and a fork's work as a ServiceAccount that may change things or read Secrets.

mod rights;

use pinfold_model::facts::{Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::AgentServiceAccount;
use pinfold_model::object::pod::{ProjectedToken, Workload};
use pinfold_model::object::{Facts, Object, ObjectKey};

use super::HOW_TO_TRUST;
use crate::agent_workload::service_account;
use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::rbac::describe::excerpt;
use crate::trust::standing::{self, Standing};
use crate::trust::{Scope, scope, work_of};

/// Audiences that the API server takes begin so; an empty one is the API server's own (KEP-1205).
const API_AUDIENCE: &str = "https://kubernetes.default";

/// GKE gives the cloud identity that this annotation names to every pod of the ServiceAccount, by its metadata server and without a token in the
/// pod (GKE documentation, Workload Identity Federation). EKS and Azure project a token, which is judged by its audience.
const CLOUD_IDENTITY: &str = "iam.gke.io/gcp-service-account";
/// Ends the audience of such an identity: the workload pool of a project.
const CLOUD_AUDIENCE: &str = ".svc.id.goog";

/// How long the token lasts that the API server's own admission mounts (KEP-1205: an hour and seven seconds).
const MOUNTED_SECONDS: i64 = 3_607;

/// What a piece of work could say it is.
struct Identity {
    path: String,
    what: String,
    remedy: String,
    /// Whether something in the pod can use it.
    is_usable: bool,
    questions: Vec<Question>,
}

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    let Some(workload) = object.facts.workload() else { return };
    if !matches!(facts.subresource.as_str(), "" | "ephemeralcontainers") {
        return;
    }
    match scope(context, &facts.target.namespace) {
        Scope::Guarded => {}
        // Offline nobody can say that it is guarded; in a cluster a live look does, before anything passes.
        Scope::Unknown => {
            return found.confirm(Question::Object(namespace_key(&facts.target.namespace)));
        }
        Scope::Elsewhere | Scope::Platform => return,
    }
    let mut identities = identities(context, workload);
    if identities.is_empty() {
        return;
    }
    if facts.operation == Operation::Update && keeps(context, workload, &identities) {
        return;
    }
    let Some(requester) = context.requester(RuleId::TRU_IDENTITY, found) else { return };
    let work = work_of(context, object, requester);
    let Standing::Untrusted { reason, questions } = work.standing else { return };
    // Rights without anything to use them by are a fork's to do without; of what has no record, as most agents have none, nobody knows that it is one.
    if work.runs.is_empty() && work.origins.is_empty() {
        identities.retain(|one| one.is_usable);
    }
    questions.into_iter().for_each(|question| found.ask(question));
    for Identity { path, what, remedy, questions, .. } in identities {
        questions.into_iter().for_each(|question| found.ask(question));
        let message = format!("untrusted work ({reason}) may have no identity: {what}");
        found.add(RuleId::TRU_IDENTITY, path, message, format!("{remedy}; {HOW_TO_TRUST}"));
    }
}

/// Whether an update leaves untrusted work the identity that it has: what is there is let be, so that it can still be scaled down, labelled and
/// deleted; its pods are judged when they are made.
fn keeps(context: &Context<'_>, workload: &Workload, identities: &[Identity]) -> bool {
    let Some(old) = context.facts.old_object.as_ref() else { return false };
    let Some(before) = old.facts.workload() else { return false };
    if context.facts.change.starts_nothing() {
        return true;
    }
    let account = |workload: &Workload| workload.placement.service_account.clone();
    let had = self::identities(context, before);
    let old_paths: Vec<&str> = had.iter().map(|one| one.path.as_str()).collect();
    account(before) == account(workload)
        && before.tokens == workload.tokens
        && identities.iter().all(|one| old_paths.contains(&one.path.as_str()))
        && standing::of_stored(context, old) != Standing::Trusted
}

/// The identities that a workload has.
fn identities(context: &Context<'_>, workload: &Workload) -> Vec<Identity> {
    let account = Account::of(context, workload);
    let mounted = mounted(&account, workload);
    let skip_one = mounted.is_some();
    let mut all: Vec<Identity> = mounted.into_iter().collect();
    let ours = |token: &&ProjectedToken| {
        token.audience.is_empty() && token.expiration_seconds == Some(MOUNTED_SECONDS)
    };
    // The API server writes the volume of the mounted token itself: it is told once.
    let admitted = workload.tokens.iter().position(|token| skip_one && ours(&token));
    let tokens = workload.tokens.iter().enumerate();
    let tokens = tokens.filter(|(index, _)| admitted != Some(*index));
    all.extend(tokens.filter_map(|(_, token)| projected(&account, token)));
    all.extend(workload.certificates.iter().map(|certificate| Identity {
        path: certificate.path.clone(),
        what: format!("a volume projects a certificate of `{}`", excerpt(&certificate.signer)),
        remedy: "remove the `podCertificate`".to_owned(),
        is_usable: true,
        questions: Vec::new(),
    }));
    all.extend(account.cloud(workload));
    all.extend(rights::privileged(context, &account.key).map(|what| Identity {
        path: format!("{}.serviceAccountName", workload.spec_path),
        what,
        remedy: "run as a ServiceAccount that may do nothing".to_owned(),
        is_usable: false,
        questions: Vec::new(),
    }));
    all
}

/// The ServiceAccount of a workload, as far as it is known.
struct Account<'c> {
    name: String,
    key: ObjectKey,
    object: Option<&'c Object>,
    records: Vec<&'c AgentServiceAccount>,
}

impl<'c> Account<'c> {
    fn of(context: &Context<'c>, workload: &Workload) -> Self {
        let namespace = context.facts.target.namespace.as_str();
        let name = service_account(workload);
        let key = ObjectKey::new("", "ServiceAccount", namespace, name);
        let records = context.view.agent_records(namespace, name);
        let records = records.filter_map(|key| {
            let Facts::AgentServiceAccount(record) = &context.lookup(key)?.facts else {
                return None;
            };
            Some(record.as_ref())
        });
        let object = context.lookup(&key);
        Self { name: name.to_owned(), records: records.collect(), object, key }
    }

    /// Whether every AgentServiceAccount of it allows tokens for an audience, and there is one.
    fn allows(&self, audience: impl Fn(&str) -> bool) -> bool {
        !self.records.is_empty() && self.records.iter().all(|one| audience(&one.token_audience))
    }

    /// The identity that the cloud gives its pods.
    fn cloud(&self, workload: &Workload) -> Option<Identity> {
        let named = self.object?.meta.annotations.get(CLOUD_IDENTITY)?;
        if named.is_empty() || self.allows(|audience| audience.ends_with(CLOUD_AUDIENCE)) {
            return None;
        }
        let (account, named) = (excerpt(&self.name), excerpt(named));
        Some(Identity {
            path: format!("{}.serviceAccountName", workload.spec_path),
            what: format!("ServiceAccount `{account}` is cloud account `{named}`"),
            remedy: "run as a ServiceAccount without a cloud account, or let its AgentServiceAccount allow it with `tokenAudience`".to_owned(),
            is_usable: true,
            questions: Vec::new(),
        })
    }
}

/// The API token that every container gets unless the pod, or its ServiceAccount, says no.
fn mounted(account: &Account<'_>, workload: &Workload) -> Option<Identity> {
    let path = format!("{}.automountServiceAccountToken", workload.spec_path);
    let remedy = "set `automountServiceAccountToken: false` in the pod's spec".to_owned();
    let name = excerpt(&account.name);
    let of_account =
        account.object.map(|object| object.facts.referrer().and_then(|found| found.automount));
    let (what, questions) = match (workload.placement.automount, of_account) {
        (Some(false), _) | (None, Some(Some(false))) => return None,
        (Some(true), _) => (format!("it mounts the API token of ServiceAccount `{name}`"), None),
        (None, Some(_)) => (
            format!(
                "it doesn't say no to the API token of ServiceAccount `{name}`, and neither does that"
            ),
            None,
        ),
        (None, None) => (
            format!(
                "it doesn't say no to the API token of ServiceAccount `{name}`, which isn't in the view of the cluster"
            ),
            Some(Question::Object(account.key.clone())),
        ),
    };
    let questions = questions.into_iter().collect();
    Some(Identity { path, what, remedy, is_usable: true, questions })
}

/// A token that a volume projects, unless it is for the audience that the AgentServiceAccount allows.
fn projected(account: &Account<'_>, token: &ProjectedToken) -> Option<Identity> {
    let audience = token.audience.as_str();
    let for_api = audience.is_empty() || audience.starts_with(API_AUDIENCE);
    if !for_api && account.allows(|allowed| allowed == audience) {
        return None;
    }
    let what = match audience {
        "" => "a volume projects a token for the API server".to_owned(),
        audience => format!("a volume projects a token for `{}`", excerpt(audience)),
    };
    let remedy = if for_api {
        "remove the `serviceAccountToken`"
    } else {
        "remove the `serviceAccountToken`, or name its audience in `spec.tokenAudience` of the AgentServiceAccount"
    };
    let remedy = remedy.to_owned();
    let (path, questions) = (token.path.clone(), Vec::new());
    Some(Identity { path, what, remedy, is_usable: true, questions })
}

#[cfg(test)]
mod tests;

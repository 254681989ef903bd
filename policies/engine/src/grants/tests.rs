//! Cases of the resolver: a grant, a piece of work and a use, each dimension with what fits and what doesn't.

mod dimensions;
mod precedence;
mod properties;
mod suggestions;

use pinfold_model::facts::Answers;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use super::{Bearer, Need, Verdict, resolve};
use crate::explain::World;
use crate::organization::fixture::{self, NOW};

/// acme owns `a` and `a2`, globex owns `b`; `nobody` is unowned. The stack `coder` runs as `coder`, `other` as `other`.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: a2, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {krate.a5c.ai/org: globex}}}
{apiVersion: v1, kind: Namespace, metadata: {name: nobody}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: coder, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: coder}, toolProfileRef: shell, mcpServerRefs: [github], skillRefs: [repair], subagentRefs: [helper], secretPolicy: {allowOnForks: true}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: other, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: other}, secretPolicy: {allowOnForks: true}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: narrow, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: narrow}, secretPolicy: {allowOnForks: false, allowedSecretRefs: [listed, a/named]}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: coder-account, namespace: a}, spec: {serviceAccountName: coder, imagePullSecretRefs: [pull]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Repository, metadata: {name: lib, namespace: a2}}
";

const POLICY: &str = "
organizations: {platformAdmins: {users: [root], groups: []}, platformNamespaces: [krate-system]}
agents: {serviceAccounts: ['*/robot-*']}
grants: {approvers: [keeper, 'system:serviceaccount:a:robot-1', 'system:serviceaccount:ops:person']}
";

/// A cluster with some grants.
pub(super) struct Cluster {
    pub(super) view: Snapshot,
    pub(super) policy: AdmissionPolicy,
    pub(super) answers: Answers,
}

/// The cluster with further objects, one a line.
pub(super) fn cluster(lines: &str) -> Cluster {
    Cluster {
        view: fixture::view(&format!("{CLUSTER}\n{lines}")),
        policy: fixture::policy(POLICY),
        answers: Answers::default(),
    }
}

impl Cluster {
    pub(super) fn world(&self) -> World<'_> {
        World { view: &self.view, policy: &self.policy, answers: &self.answers, now: NOW }
    }

    pub(super) fn resolve(&self, bearer: &Bearer<'_>, need: &Need<'_>) -> Verdict<'_> {
        resolve(&self.world(), bearer, need)
    }

    /// The answer in a line: `by NAME`, or rules and steps.
    pub(super) fn answer(&self, bearer: &Bearer<'_>, need: &Need<'_>) -> String {
        spoken(&self.resolve(bearer, need))
    }

    pub(super) fn apply(&mut self, manifest: &Value) {
        self.view.apply(fixture::object(manifest));
    }
}

pub(super) fn spoken(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::NotNeeded => "not needed".to_owned(),
        Verdict::Granted { by, .. } => format!("by {}", by.name),
        Verdict::Refused(refused) => {
            let one =
                |refusal: &super::Refusal| format!("{} {}", refusal.rule, refusal.step.as_str());
            let mut all: Vec<String> = refused.refusals.iter().map(one).collect();
            all.sort();
            all.dedup();
            all.join(", ")
        }
    }
}

pub(super) fn run() -> ObjectKey {
    ObjectKey::new("krate.a5c.ai", "AgentDispatchRun", "a", "run-1")
}

/// Trusted work of stack `coder` for `acme/api` at main, set off by hand.
pub(super) fn bearer(run: &ObjectKey) -> Bearer<'_> {
    Bearer {
        namespace: "a",
        organization: Some("acme"),
        service_account: Some("coder"),
        stack: Some("coder"),
        pool: Some("trusted"),
        repository: Some("acme/api"),
        git_ref: Some("refs/heads/main"),
        trigger_source: Some("manual"),
        user: Some("ada"),
        team: Some("core"),
        run: Some(run),
        trusted: true,
        ..Bearer::default()
    }
}

/// Work that no record says anything about.
pub(super) fn unrecorded() -> Bearer<'static> {
    Bearer {
        namespace: "a",
        organization: Some("acme"),
        service_account: Some("coder"),
        untrusted_because: "no record of a run",
        ..Bearer::default()
    }
}

pub(super) fn named(keys: &[&str]) -> Keys {
    Keys::Named(keys.iter().map(|key| (*key).to_owned()).collect())
}

/// A key of Secret `a/s` as a file.
pub(super) fn need(keys: &Keys) -> Need<'_> {
    Need {
        kind: ReferenceKind::Secret,
        namespace: "a",
        name: "s",
        keys,
        mount: Some(Mount::File),
        purpose: None,
    }
}

/// A grant of Secret `a/s` to ServiceAccount `coder`, with further fields of its spec; these win.
pub(super) fn grant(name: &str, fields: &str) -> String {
    written("AgentSecretGrant", name, "secretRef: {name: s}", fields)
}

/// The same of ConfigMap `a/s`.
pub(super) fn config_grant(name: &str, fields: &str) -> String {
    written("AgentConfigGrant", name, "configMapRef: {name: s}", fields)
}

fn written(kind: &str, name: &str, object: &str, fields: &str) -> String {
    let has = |field: &str| fields.contains(&format!("{field}: "));
    let subject = "subject: {kind: service-account, name: coder}";
    let defaults = [("subject", subject), ("secretRef", object), ("configMapRef", object)];
    let own = object.split(':').next().unwrap_or_default();
    let defaults = defaults.into_iter().filter(|(field, _)| *field == "subject" || *field == own);
    let missing: Vec<&str> =
        defaults.filter(|(field, _)| !has(field)).map(|(_, text)| text).collect();
    let (status, fields) = match fields.split_once("| ") {
        Some((fields, status)) => (format!(", status: {{{}}}", status.trim()), fields.trim()),
        None => (String::new(), fields),
    };
    let spec: Vec<&str> =
        missing.into_iter().chain([fields]).filter(|text| !text.is_empty()).collect();
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: {name}, namespace: a}}, spec: {{{}}}{status}}}",
        spec.join(", ")
    )
}

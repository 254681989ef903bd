//! Cases of PF-ORG: one cluster of two organizations, and who does what there.

mod belonging;
mod memory;
mod moves;
mod properties;
mod reference;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{self, request, spoken, value};

/// An administrator, and somebody who is none.
const ADMIN: &str = "admin";
const DEV: &str = "dev";

/// `acme` and `acme-2` are acme's, `beta` is beta's, all guarded; `plain` is acme's and unguarded; `nobody` is guarded and nobody's; `open` is
/// neither; `disputed` has two owners; `platform` is the platform's and guarded, `krate` the platform's and unguarded.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: acme-2, labels: {kradle.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: beta, labels: {krate.a5c.ai/org: beta, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: plain, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: nobody, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: open}}
{apiVersion: v1, kind: Namespace, metadata: {name: disputed, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: misnamed, labels: {krate.a5c.ai/org: Acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: platform, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: d}, spec: {organizationRef: beta, namespace: disputed}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: stray, namespace: acme}, spec: {namespace: plain, serviceAccountName: stray}}
";

static POLICY: LazyLock<AdmissionPolicy> = LazyLock::new(|| {
    fixture::policy(
        "organizations: {platformAdmins: {users: [admin], groups: [system:masters]}, platformNamespaces: [kube-system, krate, platform]}\n\
         agents: {serviceAccounts: ['*/agent-*']}",
    )
});

fn cluster(more: &str) -> Snapshot {
    fixture::view(&format!("{CLUSTER}{more}"))
}

/// What a request of that user brings, from a manifest; an UPDATE if there is an old one.
fn asked(user: &str, new: &str, old: Option<&str>) -> AdmissionFacts {
    request(user, &value(new), old.map(value).as_ref())
}

fn found(facts: &AdmissionFacts, view: &Snapshot) -> Found {
    fixture::found(judge, facts, view, &POLICY)
}

/// `RULE PATH` of all findings.
fn told(facts: &AdmissionFacts, view: &Snapshot) -> Vec<String> {
    spoken(&found(facts, view))
}

/// A DELETE of what a manifest says.
fn deletion(user: &str, old: &str) -> AdmissionFacts {
    let mut facts = asked(user, old, None);
    facts.operation = Operation::Delete;
    facts.old_object = facts.object.take();
    facts.document = None;
    facts
}

/// The rules that were found.
fn rules(facts: &AdmissionFacts, view: &Snapshot) -> BTreeSet<String> {
    found(facts, view).raw.iter().map(|raw| raw.rule.to_string()).collect()
}

//! What holds of all requests: nobody but an administrator gets in by what they write on an object, and the order of sources never matters.

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::object::Object;
use pinfold_model::snapshot::Snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{DEV, asked, cluster, found, rules};
use crate::context::Context;
use crate::organization::fixture::{NOW, object, values};
use crate::organization::ownership;

/// Labels and annotations by which somebody might want to seem something else.
const KEYS: [&str; 10] = [
    "krate.a5c.ai/org",
    "kradle.a5c.ai/org",
    "pinfold.dev/agents",
    "pinfold.dev/organization",
    "krate.a5c.ai/dispatch-run",
    "krate.a5c.ai/agent-stack",
    "krate.a5c.ai/repository",
    "krate.a5c.ai/runner-pool",
    "admission.pinfold.dev/ignore",
    "team",
];
const VALUES: [&str; 6] = ["acme", "beta", "", "true", "Acme", "platform"];

/// Requests of somebody who is no administrator, all of which are refused.
fn refused() -> Vec<AdmissionFacts> {
    [
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: nobody}, spec: {}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: disputed}, spec: {}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: plain}, spec: {serviceAccountName: stray}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: s, namespace: acme}, spec: {runnerPool: beta/p}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: s, namespace: acme}, spec: {organizationRef: beta}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: r, namespace: open}, spec: {}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemoryQuery, metadata: {name: q, namespace: acme}, spec: {sourceRef: beta/s}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b}, spec: {organizationRef: acme, namespace: open}}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {krate.a5c.ai/org: gamma}}}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {kradle.a5c.ai/org: gamma}}}",
    ]
    .map(|manifest| asked(DEV, manifest, None))
    .into()
}

fn marks() -> impl Strategy<Value = Vec<(bool, &'static str, &'static str)>> {
    vec((any::<bool>(), select(KEYS.to_vec()), select(VALUES.to_vec())), 0..6)
}

fn marked(object: &mut Object, marks: &[(bool, &str, &str)]) {
    for (label, key, text) in marks {
        let list = if *label { &mut object.meta.labels } else { &mut object.meta.annotations };
        // What a namespace says of its organization is a change of the object, not something that is added to it.
        list.entry((*key).to_owned()).or_insert_with(|| (*text).to_owned());
    }
}

proptest! {
    #[test]
    fn what_is_written_on_an_object_never_lets_it_in(marks in marks()) {
        let view = cluster("");
        for mut facts in refused() {
            let before = rules(&facts, &view);
            prop_assert!(!before.is_empty(), "{}", facts.target);
            if let Some(object) = &mut facts.object {
                marked(object, &marks);
            }
            let after = rules(&facts, &view);
            prop_assert!(after.is_superset(&before), "{} {marks:?}: {before:?} became {after:?}", facts.target);
        }
    }

    #[test]
    fn the_order_of_sources_never_matters(
        objects in subsequence(values(&SOURCES.replace('\n', "\n---\n")), 0..=12).prop_shuffle(),
    ) {
        let facts = asked(DEV, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n}, spec: {}}", None);
        let told = |objects: &[serde_json::Value]| {
            let view = Snapshot::of(objects.iter().map(object));
            let context = Context { facts: &facts, view: &view, policy: &super::POLICY, now: NOW };
            ["n", "m"].map(|namespace| ownership(&context, namespace).to_string())
        };
        let mut sorted = objects.clone();
        sorted.sort_by_key(ToString::to_string);
        prop_assert_eq!(told(&objects), told(&sorted));
    }
}

const SOURCES: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: m}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: a}, spec: {organizationRef: acme, namespace: n}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b}, spec: {organizationRef: beta, namespace: n}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: a}, spec: {organizationRef: acme, namespace: m}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: c, namespace: krate}, spec: {organizationRef: ACME, namespace: m}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: c, namespace: n}, spec: {organizationRef: acme, namespace: m}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Organization, metadata: {name: acme}, spec: {namespaceName: n}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Organization, metadata: {name: beta}, spec: {namespaceName: m}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: Organization, metadata: {name: acme}, spec: {namespaceName: n}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: acme, targetOrg: beta, allowedRefs: []}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate}}";

#[test]
fn a_disputed_namespace_is_told_once() {
    let view = cluster("");
    for manifest in [
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: s, namespace: disputed, labels: {krate.a5c.ai/org: beta}}, spec: {organizationRef: gamma, runnerPool: beta/p, mcpServerRefs: [acme/m, beta/m], repository: beta/app}}",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemoryQuery, metadata: {name: q, namespace: disputed}, spec: {sourceRef: beta/s, paths: ['**']}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: disputed, labels: {krate.a5c.ai/org: beta}}, spec: {}}",
    ] {
        assert_eq!(found(&asked(DEV, manifest, None), &view).raw.len(), 1, "{manifest}");
    }
}

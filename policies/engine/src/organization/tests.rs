//! Cases of ownership: every source, agreement, conflict, platform, and what the view doesn't know.

use pinfold_model::facts::Operation;
use pinfold_model::object::ObjectKey;
use serde_json::json;

use super::fixture::{object, policy, request, value, view};
use super::{Ownership, namespace_key, ownership, shared};
use crate::context::Context;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: labelled, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: new-label, labels: {kradle.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: both-labels, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: two-labels, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Namespace, metadata: {name: empty-label, labels: {krate.a5c.ai/org: ''}}}
{apiVersion: v1, kind: Namespace, metadata: {name: bound}}
{apiVersion: v1, kind: Namespace, metadata: {name: home}}
{apiVersion: v1, kind: Namespace, metadata: {name: all, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: disputed, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: nobody, labels: {other/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
{apiVersion: v1, kind: Namespace, metadata: {name: kube-public, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b1, namespace: krate-system}, spec: {organizationRef: beta, namespace: bound}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b2}, spec: {organizationRef: acme, namespace: all}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b3}, spec: {organizationRef: beta, namespace: disputed}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b4}, spec: {organizationRef: beta, namespace: absent}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Organization, metadata: {name: gamma}, spec: {namespaceName: home}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Organization, metadata: {name: acme}, spec: {namespaceName: all}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: acme, targetOrg: beta, allowedRefs: [Secret/all/token]}}
";

#[test]
fn every_source_and_what_they_say_together() {
    let (view, policy) = (view(CLUSTER), policy("mode: enforce"));
    let facts = request("dev", &json!({"apiVersion": "v1", "kind": "Pod"}), None);
    let context = Context { facts: &facts, view: &view, policy: &policy, now: super::fixture::NOW };
    let cases = [
        ("labelled", "belongs to organization `acme`"),
        ("new-label", "belongs to organization `acme`"),
        ("both-labels", "belongs to organization `acme`"),
        (
            "two-labels",
            "has sources that disagree about its organization: label `kradle.a5c.ai/org` says `beta`, label \
             `krate.a5c.ai/org` says `acme`",
        ),
        (
            "empty-label",
            "has an organization whose name isn't valid: label `krate.a5c.ai/org` says ``",
        ),
        ("bound", "belongs to organization `beta`"),
        ("home", "belongs to organization `gamma`"),
        ("all", "belongs to organization `acme`"),
        (
            "disputed",
            "has sources that disagree about its organization: OrgNamespaceBinding.krate.a5c.ai b3 says `beta`, \
             label `krate.a5c.ai/org` says `acme`",
        ),
        ("nobody", "belongs to no organization"),
        ("kube-system", "belongs to the platform"),
        (
            "kube-public",
            "has sources that disagree about its organization: label `krate.a5c.ai/org` says `acme`, \
             `organizations.platformNamespaces` says `the platform`",
        ),
        ("pinfold-system", "belongs to the platform"),
        ("absent", "isn't in the view of the cluster"),
        ("elsewhere", "isn't in the view of the cluster"),
        ("", "isn't in the view of the cluster"),
    ];
    for (namespace, expected) in cases {
        assert_eq!(ownership(&context, namespace).to_string(), expected, "{namespace}");
    }
}

#[test]
fn a_live_namespace_wins_over_the_view() {
    let (view, policy) = (view(CLUSTER), policy("mode: enforce"));
    let mut facts = request("dev", &json!({"apiVersion": "v1", "kind": "Pod"}), None);
    facts.operation = Operation::Create;
    let live = object(&value(
        "{apiVersion: v1, kind: Namespace, metadata: {name: fresh, labels: {krate.a5c.ai/org: acme}}}",
    ));
    facts.answers.objects.push((namespace_key("fresh"), Some(live)));
    facts.answers.objects.push((namespace_key("labelled"), None));
    let context = Context { facts: &facts, view: &view, policy: &policy, now: super::fixture::NOW };
    assert_eq!(ownership(&context, "fresh"), Ownership::Owned("acme".to_owned()));
    assert_eq!(ownership(&context, "labelled"), Ownership::Unknown);
}

#[test]
fn sharing_is_one_way_and_exact() {
    let (view, policy) = (view(CLUSTER), policy("mode: enforce"));
    let facts = request("dev", &json!({"apiVersion": "v1", "kind": "Pod"}), None);
    let context = Context { facts: &facts, view: &view, policy: &policy, now: super::fixture::NOW };
    let cases = [
        ("acme", "beta", "Secret/all/token", true),
        ("beta", "acme", "Secret/all/token", false),
        ("acme", "gamma", "Secret/all/token", false),
        ("acme", "beta", "Secret/all/token2", false),
        ("acme", "beta", "ConfigMap/all/token", false),
        ("acme", "beta", "Secret/all/*", false),
    ];
    for (source, target, reference, expected) in cases {
        assert_eq!(
            shared(&context, source, target, reference),
            expected,
            "{source} {target} {reference}"
        );
    }
}

#[test]
fn a_source_that_goes_away_stops_counting() {
    let (mut view, policy) = (view(CLUSTER), policy("mode: enforce"));
    view.remove(&ObjectKey::new("krate.a5c.ai", "OrgNamespaceBinding", "", "b3"));
    view.remove(&ObjectKey::new("krate.a5c.ai", "OrgSharingPolicy", "", "s"));
    let facts = request("dev", &json!({"apiVersion": "v1", "kind": "Pod"}), None);
    let context = Context { facts: &facts, view: &view, policy: &policy, now: super::fixture::NOW };
    assert_eq!(ownership(&context, "disputed"), Ownership::Owned("acme".to_owned()));
    assert!(!shared(&context, "acme", "beta", "Secret/all/token"));
}

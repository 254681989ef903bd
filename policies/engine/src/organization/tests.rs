//! Cases of ownership: every source, agreement, conflict, platform, and what the view doesn't know.

use pinfold_model::facts::Operation;
use pinfold_model::object::ObjectKey;
use serde_json::json;

use super::fixture::{object, policy, request, value, view};
use super::{Ownership, is_name, namespace_key, ownership, shared};
use crate::context::Context;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: labelled, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: new-label, labels: {kradle.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: both-labels, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: two-labels, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Namespace, metadata: {name: empty-label, labels: {krate.a5c.ai/org: ''}}}
{apiVersion: v1, kind: Namespace, metadata: {name: shouted, labels: {krate.a5c.ai/org: ACME}}}
{apiVersion: v1, kind: Namespace, metadata: {name: bound}}
{apiVersion: v1, kind: Namespace, metadata: {name: bound-to-nothing}}
{apiVersion: v1, kind: Namespace, metadata: {name: look-alike}}
{apiVersion: v1, kind: Namespace, metadata: {name: half-alike, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b5}, spec: {namespace: bound-to-nothing}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b6}, spec: {organizationRef: \u{430}cme, namespace: look-alike}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b7}, spec: {organizationRef: \"acme\\u200b\", namespace: half-alike}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: b8}, spec: {organizationRef: acme, namespace: kube-node-lease}}
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
        (
            "shouted",
            "has an organization whose name isn't valid: label `krate.a5c.ai/org` says `ACME`",
        ),
        (
            "bound-to-nothing",
            "has an organization whose name isn't valid: OrgNamespaceBinding.krate.a5c.ai b5 says ``",
        ),
        (
            "look-alike",
            "has an organization whose name isn't valid: OrgNamespaceBinding.krate.a5c.ai b6 says `\u{430}cme`",
        ),
        (
            "half-alike",
            "has sources that disagree about its organization: OrgNamespaceBinding.krate.a5c.ai b7 says `acme\u{fffd}`, \
             label `krate.a5c.ai/org` says `acme`",
        ),
        (
            "kube-node-lease",
            "has sources that disagree about its organization: OrgNamespaceBinding.krate.a5c.ai b8 says `acme`, \
             `organizations.platformNamespaces` says `the platform`",
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

#[test]
fn names_are_those_of_kubernetes() {
    let long = "a".repeat(253);
    for name in ["acme", "a", "7", "acme-2", "acme.example", long.as_str()] {
        assert!(is_name(name), "{name}");
    }
    let longer = "a".repeat(254);
    let wrong = [
        "",
        " ",
        "Acme",
        "ACME",
        "acme ",
        " acme",
        "-acme",
        "acme-",
        ".acme",
        "acme.",
        "a_b",
        "a/b",
        "a*",
        "acme\n",
        "\u{430}cme",
        "acm\u{e9}",
        "acme\u{200b}",
        "\u{feff}acme",
        longer.as_str(),
    ];
    for name in wrong {
        assert!(!is_name(name), "{name:?}");
    }
}

//! PF-ORG-003: T-18, O1 to O3 and their twins.

use pinfold_model::object::Change;

use super::{ADMIN, DEV, asked, cluster, deletion, found, told};

const NONE: &[&str] = &[];

fn namespace(name: &str, metadata: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}{metadata}}}}}")
}

fn labelled(labels: &str) -> String {
    namespace("team", &format!(", labels: {labels}"))
}

fn record(kind: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: kradle.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: acme}}, spec: {spec}}}"
    )
}

const OLD: &str = "PF-ORG-003 $.metadata.labels['krate.a5c.ai/org']";
const NEW: &str = "PF-ORG-003 $.metadata.labels['kradle.a5c.ai/org']";

#[test]
fn labels_of_namespaces() {
    let view = cluster("");
    let none = || Some(labelled("{}"));
    let acme = || Some(labelled("{krate.a5c.ai/org: acme}"));
    let cases: [(String, Option<String>, &[&str]); 14] = [
        // O3: at creation, in either spelling, as no name at all.
        (labelled("{krate.a5c.ai/org: acme}"), None, &[OLD]),
        (labelled("{kradle.a5c.ai/org: acme}"), None, &[NEW]),
        (labelled("{krate.a5c.ai/org: ''}"), None, &[OLD]),
        (labelled("{krate.a5c.ai/org: acme, kradle.a5c.ai/org: acme}"), None, &[NEW, OLD]),
        (labelled("{team: blue}"), None, NONE),
        // T-18: added, changed, taken away, moved from one spelling to the other.
        (labelled("{krate.a5c.ai/org: acme}"), none(), &[OLD]),
        (labelled("{krate.a5c.ai/org: beta}"), acme(), &[OLD]),
        (labelled("{krate.a5c.ai/org: Acme}"), acme(), &[OLD]),
        (labelled("{}"), acme(), &[OLD]),
        (labelled("{kradle.a5c.ai/org: acme}"), acme(), &[NEW, OLD]),
        (labelled("{krate.a5c.ai/org: acme, kradle.a5c.ai/org: beta}"), acme(), &[NEW]),
        // What stays is no move.
        (labelled("{krate.a5c.ai/org: acme, team: blue}"), acme(), NONE),
        (labelled("{team: blue}"), none(), NONE),
        (labelled("{Krate.a5c.ai/org: beta, krate.a5c.ai/Org: beta}"), none(), NONE),
    ];
    for (new, old, expected) in cases {
        for subresource in ["", "status", "finalize"] {
            for change in [Change::Content, Change::Metadata] {
                let mut facts = asked(DEV, &new, old.as_deref());
                facts.subresource = subresource.to_owned();
                facts.change = change;
                assert_eq!(told(&facts, &view), expected, "{new} {old:?} {subresource}");
                facts = super::AdmissionFacts {
                    requester: asked(ADMIN, &new, None).requester,
                    ..facts
                };
                assert_eq!(told(&facts, &view), NONE, "an administrator: {new}");
            }
        }
    }
    assert_eq!(
        told(&deletion(DEV, &labelled("{krate.a5c.ai/org: acme}")), &view),
        NONE,
        "a deletion moves nothing"
    );
    let nobody = found(&asked("", &labelled("{krate.a5c.ai/org: acme}"), None), &view);
    assert_eq!((nobody.raw.len(), nobody.undecided.len()), (0, 1));
    assert!(found(&asked("", &labelled("{}"), None), &view).undecided.is_empty());
}

#[test]
fn what_the_control_plane_keeps_a_namespace_by() {
    let view = cluster("");
    let owned = |more: &str| namespace("kube-system", &format!(", ownerReferences: [{more}]"));
    let krate = "{apiVersion: krate.a5c.ai/v1alpha1, kind: Organization, name: acme, uid: u}";
    let other = "{apiVersion: example.com/v1, kind: Tenant, name: acme, uid: u}";
    let kept = |metadata: &str| {
        namespace(
            "team",
            &format!(", finalizers: [krate.a5c.ai/organization, example.com/mine]{metadata}"),
        )
    };
    let let_go =
        |metadata: &str| namespace("team", &format!(", finalizers: [example.com/mine]{metadata}"));
    let owners = "PF-ORG-003 $.metadata.ownerReferences";
    let cases: [(String, String, &[&str]); 8] = [
        (owned(""), owned(krate), &[owners]),
        (owned(krate), owned(""), &[owners]),
        (owned(&krate.replace("uid: u", "uid: v")), owned(krate), &[owners]),
        (owned(krate), owned(krate), NONE),
        (owned(other), owned(""), NONE),
        (let_go(""), kept(""), &["PF-ORG-003 $.metadata.finalizers"]),
        (
            let_go(", deletionTimestamp: '2026-01-01T00:00:00Z'"),
            kept(", deletionTimestamp: '2026-01-01T00:00:00Z'"),
            NONE,
        ),
        (kept(""), let_go(""), NONE),
    ];
    for (new, old, expected) in cases {
        let mut facts = asked(DEV, &new, Some(&old));
        facts.change = Change::Garbage;
        assert_eq!(told(&facts, &view), expected, "{new} {old}");
        facts.requester = asked(ADMIN, &new, None).requester;
        assert_eq!(told(&facts, &view), NONE, "an administrator: {new} {old}");
    }
    let trusting = crate::organization::fixture::policy("trust: {controllers: [{user: krate}]}");
    let facts = asked("krate", &let_go(""), Some(&kept("")));
    let found = crate::organization::fixture::found(super::judge, &facts, &view, &trusting);
    assert!(found.raw.is_empty(), "the control plane keeps its own books");
}

#[test]
fn records_are_the_administrators() {
    let view = cluster("");
    let cases = [
        ("Organization", "{namespaceName: team}", "{namespaceName: acme}"),
        (
            "OrgNamespaceBinding",
            "{organizationRef: beta, namespace: team}",
            "{organizationRef: acme, namespace: team}",
        ),
        (
            "OrgSharingPolicy",
            "{sourceOrg: acme, targetOrg: beta, allowedRefs: [Secret/acme/k]}",
            "{sourceOrg: acme, targetOrg: beta, allowedRefs: []}",
        ),
    ];
    for (kind, new, old) in cases {
        let (new, old) = (record(kind, new), record(kind, old));
        let moved = ["PF-ORG-003 $"];
        for (facts, what) in [
            (asked(DEV, &new, None), "created"),
            (asked(DEV, &new, Some(&old)), "changed"),
            (deletion(DEV, &old), "deleted"),
            (
                asked("system:serviceaccount:krate:krate-controller", &new, None),
                "by the control plane",
            ),
        ] {
            assert_eq!(told(&facts, &view), moved, "{kind} {what}");
        }
        for facts in
            [asked(ADMIN, &new, None), asked(ADMIN, &new, Some(&old)), deletion(ADMIN, &old)]
        {
            assert_eq!(told(&facts, &view), NONE, "{kind}");
        }
        // A report on it, a label, a finalizer.
        let mut aside = asked(DEV, &new, Some(&new));
        aside.subresource = "status".to_owned();
        assert_eq!(told(&aside, &view), NONE, "{kind}");
        aside.subresource = String::new();
        for change in [Change::Garbage, Change::Metadata] {
            aside.change = change;
            assert_eq!(told(&aside, &view), NONE, "{kind}");
        }
        // The change of a field that no rule reads is a change of the record all the same.
        aside.change = Change::Content;
        assert_eq!(told(&aside, &view), moved, "{kind}");
        // A status that smuggles in another spec is judged by what it says.
        let mut smuggled = asked(DEV, &new, Some(&old));
        smuggled.subresource = "status".to_owned();
        assert_eq!(told(&smuggled, &view), moved, "{kind}");
    }
    let elsewhere = "{apiVersion: example.com/v1, kind: Organization, metadata: {name: acme}, spec: {namespaceName: team}}";
    assert_eq!(told(&asked(DEV, elsewhere, None), &view), NONE, "another product's");
}

#[test]
fn an_agent_in_the_administrators_group_is_no_administrator() {
    let view = cluster(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: c, namespace: acme}, spec: {serviceAccountName: coder}}",
    );
    let mut facts =
        asked("system:serviceaccount:acme:coder", &labelled("{krate.a5c.ai/org: acme}"), None);
    if let Some(requester) = &mut facts.requester {
        requester.groups = vec!["system:masters".to_owned()];
    }
    assert_eq!(told(&facts, &view), [OLD]);
}

//! Who writes what of an AgentApproval, before and after it is decided. `root` and `boss` administer, `dev` asks, `lead` is anybody else.

use pinfold_model::facts::{AdmissionFacts, Operation};

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{self, found, policy, request, spoken, value, view};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: fixer, namespace: a}, spec: {namespace: a, serviceAccountName: fixer}}
";
const POLICY: &str = "organizations: {platformAdmins: {users: [root, boss]}}\n\
     trust: {controllers: [{serviceAccount: krate/controller}]}";
const CONTROLLER: &str = "system:serviceaccount:krate:controller";
const AGENT: &str = "system:serviceaccount:a:fixer";
const ASKED: &str = "requestedBy: dev, action: {type: use-secret, target: AgentSecretGrant/g}, dispatchRun: r, artifactDigest: 'sha256:a', expiresAt: '2027-01-01T00:00:00Z'";

const NOTHING: &[&str] = &[];
const APPROVER: &[&str] = &["PF-RUN-003 $.status.approver"];
const PHASE: &[&str] = &["PF-RUN-003 $.status.phase"];

fn approval(spec: &str, status: &str) -> String {
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentApproval, metadata: {{name: x, namespace: a}}, spec: {{{spec}}}, status: {{{status}}}}}"
    )
}

fn asks(user: &str, new: &str, old: Option<&str>) -> AdmissionFacts {
    let facts = request(user, &value(new), old.map(value).as_ref());
    AdmissionFacts {
        subresource: if old.is_some() { "status".to_owned() } else { String::new() },
        ..facts
    }
}

fn judged(facts: &AdmissionFacts) -> Found {
    found(judge, facts, &view(CLUSTER), &policy(POLICY))
}

#[test]
fn a_decision_is_written_by_who_decides() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("root", "phase: Approved, approver: root", NOTHING),
        ("root", "phase: Denied, approver: root", NOTHING),
        // Whether `lead` may is said where the approval is used.
        ("lead", "phase: Approved, approver: lead", NOTHING),
        ("lead", "phase: Approved, approver: root", APPROVER),
        ("boss", "phase: Approved, approver: root", APPROVER),
        ("lead", "phase: Denied, approver: root", APPROVER),
        ("lead", "phase: Pending, approver: root", APPROVER),
        ("lead", "approver: root", APPROVER),
        ("root", "phase: Approved", APPROVER),
        // Whoever asks, agents, and controllers in somebody's name.
        ("dev", "phase: Approved, approver: dev", APPROVER),
        (AGENT, "phase: Approved, approver: 'system:serviceaccount:a:fixer'", APPROVER),
        (CONTROLLER, "phase: Approved, approver: root", APPROVER),
        // What decides nothing.
        (CONTROLLER, "phase: Pending", NOTHING),
        (CONTROLLER, "phase: Expired", NOTHING),
        ("dev", "", NOTHING),
    ];
    let open = approval(ASKED, "phase: Pending");
    for group in ["krate.a5c.ai", "kradle.a5c.ai"] {
        for (user, status, expected) in cases {
            let new = approval(ASKED, status).replace("krate.a5c.ai", group);
            let open = open.replace("krate.a5c.ai", group);
            for old in [None, Some(open.as_str())] {
                let spoken = spoken(&judged(&asks(user, &new, old)));
                assert_eq!(spoken, *expected, "{user}: {new} from {old:?}");
            }
        }
    }
}

#[test]
fn an_open_approval_that_names_somebody_is_still_theirs_to_decide() {
    let old = approval(ASKED, "phase: Pending, approver: root");
    let new = approval(ASKED, "phase: Approved, approver: root");
    assert_eq!(spoken(&judged(&asks("lead", &new, Some(&old)))), APPROVER);
    assert_eq!(spoken(&judged(&asks("root", &new, Some(&old)))), NOTHING);
    let other = approval(ASKED.replace("g,", "h,").as_str(), "phase: Pending, approver: root");
    assert_eq!(spoken(&judged(&asks("dev", &other, Some(&old)))), NOTHING, "not decided yet");
}

#[test]
fn what_was_decided_stays() {
    let approved = "phase: Approved, approver: root";
    let denied = "phase: Denied, approver: root";
    let revoked = "phase: Revoked, approver: root";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("lead", approved, approved, NOTHING),
        (CONTROLLER, approved, approved, NOTHING),
        ("lead", denied, "phase: Approved, approver: lead", PHASE),
        ("root", denied, approved, PHASE),
        ("boss", denied, "phase: Approved, approver: boss", PHASE),
        ("lead", approved, "phase: Approved, approver: lead", APPROVER),
        ("root", approved, "phase: Approved, approver: boss", APPROVER),
        ("lead", approved, "phase: Denied, approver: lead", PHASE),
        (CONTROLLER, approved, "phase: Pending", PHASE),
        (AGENT, revoked, approved, PHASE),
        ("root", revoked, approved, PHASE),
        // An administrator takes it back, in their own name or in none.
        ("boss", approved, revoked, NOTHING),
        ("boss", approved, "phase: Denied, approver: boss", NOTHING),
        ("boss", approved, "phase: Pending", NOTHING),
        ("boss", approved, "phase: Denied, approver: lead", PHASE),
        ("lead", approved, revoked, PHASE),
    ];
    for (user, old, new, expected) in cases {
        let (old, new) = (approval(ASKED, old), approval(ASKED, new));
        let spoken = spoken(&judged(&asks(user, &new, Some(&old))));
        assert_eq!(spoken, *expected, "{user}: {new} from {old}");
    }
}

#[test]
fn what_was_decided_on_stays() {
    let changes = [
        ("requestedBy: dev", "requestedBy: lead"),
        ("type: use-secret", "type: write-back"),
        ("AgentSecretGrant/g", "AgentSecretGrant/h"),
        ("dispatchRun: r", "dispatchRun: q"),
        ("dispatchRun: r, ", ""),
        ("sha256:a", "sha256:b"),
        ("2027", "2037"),
    ];
    for (from, to) in changes {
        let other = ASKED.replace(from, to);
        assert_ne!(other, ASKED);
        for (status, expected) in [
            ("phase: Approved, approver: root", &["PF-RUN-003 $.spec"][..]),
            ("phase: Denied, approver: root", &["PF-RUN-003 $.spec"]),
            ("phase: Pending", NOTHING),
        ] {
            let (old, new) = (approval(ASKED, status), approval(&other, status));
            let facts = request("root", &value(&new), Some(&value(&old)));
            assert_eq!(spoken(&judged(&facts)), expected, "{from} to {to}, {status}");
        }
    }
}

#[test]
fn nobody_is_undecided_and_other_kinds_are_no_approvals() {
    let decided = approval(ASKED, "phase: Approved, approver: root");
    let open = approval(ASKED, "");
    let nobody = judged(&asks("", &decided, Some(&open)));
    assert!(nobody.raw.is_empty() && nobody.undecided.len() == 1);
    let back = judged(&asks("", &open, Some(&decided)));
    assert!(back.raw.is_empty() && back.undecided.len() == 1);
    assert!(judged(&asks("", &open, None)).undecided.is_empty());
    let elsewhere = decided.replace("krate.a5c.ai", "example.com");
    assert_eq!(spoken(&judged(&asks("lead", &elsewhere, None))), NOTHING);
    let removed = AdmissionFacts {
        operation: Operation::Delete,
        object: None,
        old_object: Some(fixture::object(&value(&decided))),
        ..asks("lead", &open, None)
    };
    assert_eq!(spoken(&judged(&removed)), NOTHING);
}

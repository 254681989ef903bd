//! Grants: every field, every way to write it, and what makes one grant nothing.

use serde_json::{Value, json};

use super::super::object;
use crate::object::Facts;
use crate::object::agent::{Grant, MountPolicy, RequiredApproval};
use crate::object::reference::ReferenceKind;

fn grant(kind: &str, spec: &Value, status: &Value) -> Grant {
    let groups = ["krate.a5c.ai/v1alpha1", "kradle.a5c.ai/v1alpha1"];
    let [one, other] = groups.map(|version| {
        let object = object(&json!({"apiVersion": version, "kind": kind,
            "metadata": {"namespace": "own", "name": "g"}, "spec": spec, "status": status}));
        let Facts::Grant(grant) = object.facts else { panic!("a grant") };
        *grant
    });
    assert_eq!(one, other, "both groups");
    one
}

fn secret(spec: &Value) -> Grant {
    grant("AgentSecretGrant", spec, &Value::Null)
}

#[test]
fn every_field_of_a_grant() {
    let spec = json!({
        "organizationRef": "acme",
        "subject": {"kind": "agent-stack", "name": "fixer", "namespace": "stacks",
            "serviceAccountRef": {"namespace": "ids", "name": "agent"}, "stackRef": "own/fixer"},
        "secretRef": {"namespace": "vault", "name": "token", "keys": ["a", "b"]},
        "purpose": "model-provider",
        "allowedRepositories": ["acme/app", {"name": "acme/lib"}],
        "allowedRefs": {"include": ["refs/heads/*"], "exclude": ["refs/heads/wip"]},
        "allowedTriggerSources": ["manual"],
        "mountPolicy": ["env", "file"],
        "requiredApproval": "on-untrusted-ref",
        "rotationPolicy": {"maxAgeDays": 30},
        "allowUntrustedRefs": true,
        "notBefore": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-12-31T23:59:59+01:00",
    });
    let status = json!({"lastRotatedAt": "2026-06-01T00:00:00Z", "phase": "Active"});
    let found = grant("AgentSecretGrant", &spec, &status);
    assert_eq!(found.faults, Vec::<String>::new());
    assert_eq!(found.ties.organization, "acme");
    let subject = &found.subject;
    let shown = [
        &subject.kind,
        &subject.name,
        &subject.namespace,
        &subject.service_account,
        &subject.stack,
    ];
    assert_eq!(shown, ["agent-stack", "fixer", "stacks", "ids/agent", "fixer"]);
    let of = &found.object;
    assert_eq!(
        (of.kind, of.namespace.as_str(), of.name.as_str()),
        (ReferenceKind::Secret, "vault", "token")
    );
    assert_eq!(of.keys, ["a", "b"]);
    assert_eq!((found.purpose.as_str(), found.max_age_days), ("model-provider", Some(30)));
    assert_eq!(found.repositories, ["acme/app", "acme/lib"]);
    assert_eq!(found.trigger_sources, ["manual"]);
    assert_eq!(found.mounts, [MountPolicy::Env, MountPolicy::File]);
    assert_eq!(found.approval, RequiredApproval::OnUntrustedRef);
    assert!(found.untrusted && !found.revoked && !found.denies);
    let [included] = found.refs_included.as_slice() else { panic!("one glob") };
    let pattern = included.pattern.as_ref().expect("a pattern");
    assert!(pattern.matches("refs/heads/main") && !pattern.matches("refs/heads/a/b"));
    assert_eq!(found.refs_excluded[0].text, "refs/heads/wip");
    let times = [found.not_before, found.expires_at, found.rotated_at];
    let times = times.map(|time| time.expect("a time").to_string());
    assert_eq!(times, ["2026-01-01T00:00:00Z", "2026-12-31T22:59:59Z", "2026-06-01T00:00:00Z"]);
    let ties = found
        .ties
        .references
        .iter()
        .map(|one| [&one.kind, &one.namespace, &one.name, &one.path].map(String::as_str));
    assert_eq!(
        ties.collect::<Vec<_>>(),
        [
            ["AgentStack", "stacks", "fixer", "$.spec.subject.name"],
            ["AgentStack", "own", "fixer", "$.spec.subject.stackRef"],
            ["AgentServiceAccount", "ids", "agent", "$.spec.subject.serviceAccountRef"],
        ]
    );
}

#[test]
fn what_is_left_out_is_the_default() {
    for spec in [
        json!({}),
        Value::Null,
        json!({"subject": null, "secretRef": null, "allowedRefs": null, "mountPolicy": null, "expiresAt": null}),
    ] {
        assert_eq!(secret(&spec), Grant::default(), "{spec}");
    }
    let config = grant(
        "AgentConfigGrant",
        &json!({"configMapRef": "settings", "mountPolicy": "api-read"}),
        &Value::Null,
    );
    assert_eq!(
        (config.object.kind, config.object.name.as_str()),
        (ReferenceKind::ConfigMap, "settings")
    );
    assert_eq!((config.mounts.as_slice(), config.faults.len()), (&[MountPolicy::ApiRead][..], 0));
    // Another kind's field grants nothing, and a Secret's name is never split.
    assert_eq!(secret(&json!({"configMapRef": "settings"})).object.name, "");
    let split = secret(&json!({"secretRef": "vault/token"}));
    assert_eq!((split.object.namespace.as_str(), split.object.name.as_str()), ("", "vault/token"));
    assert_eq!(secret(&json!({"secretRef": {"name": "t", "key": "k"}})).object.keys, ["k"]);
    let listed = secret(&json!({"allowedRefs": ["refs/heads/main"]}));
    assert_eq!((listed.refs_included.len(), listed.refs_excluded.len()), (1, 0));
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    let days = u64::from(u32::MAX) + 1;
    let cases = [
        (json!({"expiresAt": "soon"}), "$.spec.expiresAt"),
        (json!({"expiresAt": ""}), "$.spec.expiresAt"),
        (json!({"expiresAt": "2026-13-01T00:00:00Z"}), "$.spec.expiresAt"),
        (json!({"expiresAt": "2026-01-01"}), "$.spec.expiresAt"),
        (json!({"notBefore": "2026-01-01T00:00:00"}), "$.spec.notBefore"),
        (json!({"mountPolicy": "anything"}), "$.spec.mountPolicy"),
        (json!({"mountPolicy": ["env", ""]}), "$.spec.mountPolicy"),
        (json!({"mountPolicy": "Env"}), "$.spec.mountPolicy"),
        (json!({"mountPolicy": "api-read"}), "$.spec.mountPolicy"),
        (json!({"requiredApproval": "sometimes"}), "$.spec.requiredApproval"),
        (json!({"effect": "maybe"}), "$.spec.effect"),
        (json!({"rotationPolicy": {"maxAgeDays": 0}}), "$.spec.rotationPolicy.maxAgeDays"),
        (json!({"rotationPolicy": {"maxAgeDays": -1}}), "$.spec.rotationPolicy.maxAgeDays"),
        (json!({"rotationPolicy": {"maxAgeDays": days}}), "$.spec.rotationPolicy.maxAgeDays"),
        (
            json!({"allowedRefs": {"include": ["a", "x".repeat(600)]}}),
            "$.spec.allowedRefs.include[1]",
        ),
        (json!({"allowedRefs": {"exclude": ["x".repeat(600)]}}), "$.spec.allowedRefs.exclude[0]"),
    ];
    for (spec, path) in cases {
        let faults = secret(&spec).faults;
        assert!(faults.len() == 1 && faults[0].contains(path), "{spec}: {faults:?}");
    }
    let status = json!({"lastRotatedAt": "yesterday"});
    assert_eq!(grant("AgentSecretGrant", &json!({}), &status).faults.len(), 1);
}

#[test]
fn denials_and_revocations() {
    for deny in [
        json!({"effect": "deny"}),
        json!({"effect": "Deny"}),
        json!({"deny": true}),
        json!({"effect": "allow", "deny": true}),
    ] {
        assert!(secret(&deny).denies, "{deny}");
    }
    for allow in
        [json!({}), json!({"effect": "allow"}), json!({"deny": false}), json!({"deny": null})]
    {
        assert!(!secret(&allow).denies, "{allow}");
    }
    for (spec, status, revoked) in [
        (json!({"revoked": true}), json!({}), true),
        (json!({}), json!({"phase": "Revoked"}), true),
        (json!({}), json!({"phase": "revoked"}), true),
        (json!({}), json!({"revokedAt": "2026-01-01T00:00:00Z"}), true),
        (json!({}), json!({"revokedAt": "whenever"}), true),
        (json!({"revoked": false}), json!({"phase": "Active", "revokedAt": null}), false),
    ] {
        assert_eq!(grant("AgentSecretGrant", &spec, &status).revoked, revoked, "{spec} {status}");
    }
}

#[test]
fn another_shape_cannot_be_decoded() {
    for spec in [
        json!({"subject": "stack"}),
        json!({"subject": ["a"]}),
        json!({"subject": {"name": 7}}),
        json!({"subject": {"stackRef": ["a"]}}),
        json!({"secretRef": ["a"]}),
        json!({"secretRef": {"keys": "a"}}),
        json!({"allowedRefs": "refs/heads/main"}),
        json!({"allowedRefs": {"include": "a"}}),
        json!({"mountPolicy": 7}),
        json!({"mountPolicy": [["env"]]}),
        json!({"expiresAt": 1_780_000_000}),
        json!({"revoked": "true"}),
        json!({"rotationPolicy": {"maxAgeDays": "30"}}),
        json!({"allowUntrustedRefs": "yes"}),
    ] {
        let object = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentSecretGrant", "spec": spec});
        assert!(crate::object::from_value(&object).is_err(), "{object}");
    }
}

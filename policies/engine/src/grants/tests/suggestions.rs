//! What is proposed: exactly enough.

use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use serde_json::json;

use super::{bearer, cluster, grant, named, need, run, spoken, unrecorded};
use crate::grants::{Bearer, Need, Verdict, resolve};

#[test]
fn the_least_grant() {
    let run = run();
    let used = named(&["token"]);
    let cluster = cluster("");
    let need = Need { mount: Some(Mount::Env), purpose: Some("write-back"), ..need(&used) };
    let Verdict::Refused(refused) = cluster.resolve(&bearer(&run), &need) else {
        panic!("refused")
    };
    let expected = json!({
        "apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentSecretGrant",
        "metadata": {"name": "coder-s-env", "namespace": "a"},
        "spec": {
            "organizationRef": "acme",
            "subject": {"kind": "agent-stack", "name": "coder", "serviceAccountRef": "coder"},
            "secretRef": {"namespace": "a", "name": "s", "keys": ["token"]},
            "purpose": "write-back",
            "allowedRepositories": ["acme/api"],
            "allowedRefs": {"include": ["refs/heads/main"]},
            "allowedTriggerSources": ["manual"],
            "mountPolicy": "env",
        },
    });
    assert_eq!(refused.suggestion, Some(expected.clone()));
    let remedy = &refused.refusals[0].remedy;
    assert!(remedy.contains(&expected.to_string()), "{remedy}");
}

/// Every refusal that a grant can mend is mended by the one proposed.
#[test]
fn it_is_enough() {
    let run = run();
    let known = bearer(&run);
    let near = grant("coder-s-file", "revoked: true, allowedRefs: [refs/heads/dev]");
    for cluster_lines in ["", near.as_str()] {
        for bearer in [
            known,
            unrecorded(),
            Bearer { trusted: false, ..known },
            Bearer { git_ref: Some("main"), ..known },
            Bearer { git_ref: Some("refs/heads/a*b/**"), ..known },
            Bearer { repository: Some("api"), trigger_source: None, ..known },
            Bearer { repository: Some("forge/x"), ..known },
            Bearer { stack: None, ..known },
            Bearer { service_account: None, ..known },
        ] {
            for kind in [ReferenceKind::Secret, ReferenceKind::ConfigMap] {
                for mount in [
                    None,
                    Some(Mount::Env),
                    Some(Mount::File),
                    Some(Mount::Projected),
                    Some(Mount::ImagePull),
                    Some(Mount::Driver),
                    Some(Mount::Other),
                ] {
                    for keys in [Keys::All, named(&["k", "l"])] {
                        let need = Need { kind, mount, ..need(&keys) };
                        mends(cluster_lines, &bearer, &need);
                    }
                }
            }
        }
    }
}

fn mends(lines: &str, bearer: &Bearer<'_>, need: &Need<'_>) {
    let mut cluster = cluster(lines);
    let verdict = cluster.resolve(bearer, need);
    let Verdict::Refused(refused) = verdict else { panic!("{bearer:?} {need:?}") };
    let suggestion = refused.suggestion.clone().expect("a grant helps");
    let key = crate::organization::fixture::object(&suggestion).key;
    assert_eq!(cluster.view.get(&key), None, "a new object, not another's name");
    cluster.apply(&suggestion);
    let after = resolve(&cluster.world(), bearer, need);
    assert!(after.allows(), "{}: {suggestion}", spoken(&after));
}

/// Where something was wanted on purpose, no way around it is proposed.
#[test]
fn none_where_no_further_grant_should_help() {
    let run = run();
    for fields in ["effect: deny", "requiredApproval: always", "rotationPolicy: {maxAgeDays: 1}"] {
        let cluster = cluster(&grant("g", fields));
        let Verdict::Refused(refused) = cluster.resolve(&bearer(&run), &need(&Keys::All)) else {
            panic!("{fields}")
        };
        assert_eq!(refused.suggestion, None, "{fields}");
        assert_eq!(refused.nearest.map(|key| key.name.as_str()), Some("g"), "{fields}");
        assert!(!refused.refusals[0].remedy.is_empty());
    }
    // What another subject's grant waits for is no matter here.
    let other = cluster(&grant(
        "g",
        "subject: {kind: service-account, name: other}, requiredApproval: always",
    ));
    let Verdict::Refused(refused) = other.resolve(&bearer(&run), &need(&Keys::All)) else {
        panic!("another's grant")
    };
    assert!(refused.suggestion.is_some());
    let nobody = Bearer { service_account: None, stack: None, ..bearer(&run) };
    let cluster = cluster("");
    let Verdict::Refused(refused) = cluster.resolve(&nobody, &need(&Keys::All)) else {
        panic!("nobody")
    };
    assert_eq!(refused.suggestion, None);
}

/// A record is somebody's text: what it hides is shown.
#[test]
fn nothing_hides_in_what_is_shown() {
    let run = run();
    let work = Bearer {
        repository: Some("acme/\u{202e}ipa"),
        trigger_source: Some("a\u{1f600}"),
        ..bearer(&run)
    };
    let cluster = cluster("");
    let Verdict::Refused(refused) = cluster.resolve(&work, &need(&Keys::All)) else {
        panic!("refused")
    };
    let remedy = &refused.refusals[0].remedy;
    assert!(remedy.contains("acme/\\u202eipa") && remedy.contains("\\ud83d\\ude00"), "{remedy}");
    assert!(!refused.refusals[0].message.contains('\u{202e}'));
}

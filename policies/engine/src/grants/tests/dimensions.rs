//! One dimension of a grant at a time.

use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};

use super::{bearer, cluster, config_grant, grant, named, need, run, unrecorded};
use crate::grants::{Bearer, Need};

const GRANTED: &str = "by g";
const NO: &str = "PF-SEC-002 subject";

/// One grant with these fields against some work and use.
fn check(fields: &str, bearer: &Bearer<'_>, need: &Need<'_>, expected: &str) {
    let line = match need.kind {
        ReferenceKind::Secret => grant("g", fields),
        ReferenceKind::ConfigMap => config_grant("g", fields),
    };
    assert_eq!(cluster(&line).answer(bearer, need), expected, "{fields} {need:?}");
}

#[test]
fn keys() {
    let run = run();
    let cases: [(&str, Keys, &str); 8] = [
        ("secretRef: {name: s, keys: [k]}", named(&["k"]), GRANTED),
        ("secretRef: {name: s, keys: [k, l]}", named(&["k", "l"]), GRANTED),
        ("secretRef: {name: s, keys: [k]}", named(&["l"]), NO),
        ("secretRef: {name: s, keys: [k]}", named(&["k", "l"]), NO),
        ("secretRef: {name: s, keys: [K]}", named(&["k"]), NO),
        ("secretRef: {name: s, keys: [k]}", Keys::All, "PF-SEC-005 subject"),
        ("secretRef: {name: s}", Keys::All, GRANTED),
        ("secretRef: {name: s}", named(&["k"]), GRANTED),
    ];
    for (fields, used, expected) in cases {
        check(fields, &bearer(&run), &need(&used), expected);
    }
}

#[test]
fn mounts() {
    let run = run();
    let five = "PF-SEC-005 subject";
    let rows: [(&str, [&str; 6]); 7] = [
        // Env, file, projected, pulled, driven, by name.
        ("purpose: p", [GRANTED; 6]),
        ("mountPolicy: env", [GRANTED, five, five, GRANTED, GRANTED, GRANTED]),
        ("mountPolicy: file", [five, GRANTED, five, GRANTED, GRANTED, GRANTED]),
        ("mountPolicy: projected-volume", [five, five, GRANTED, GRANTED, GRANTED, GRANTED]),
        (
            "mountPolicy: never-mount-pass-by-reference",
            [five, five, five, GRANTED, GRANTED, GRANTED],
        ),
        ("mountPolicy: [env, file]", [GRANTED, GRANTED, five, GRANTED, GRANTED, GRANTED]),
        // A policy that nobody can read lets nothing through.
        ("mountPolicy: anyhow", [NO; 6]),
    ];
    let mounts =
        [Mount::Env, Mount::File, Mount::Projected, Mount::ImagePull, Mount::Driver, Mount::Other];
    for (fields, expected) in rows {
        for (mount, expected) in mounts.into_iter().zip(expected) {
            let keys = named(&["k"]);
            check(fields, &bearer(&run), &Need { mount: Some(mount), ..need(&keys) }, expected);
        }
        // In a review nothing is mounted yet.
        let expected = if fields.contains("anyhow") { NO } else { GRANTED };
        let keys = named(&["k"]);
        check(fields, &bearer(&run), &Need { mount: None, ..need(&keys) }, expected);
    }
}

#[test]
fn pull_secrets_are_of_their_keys() {
    let run = run();
    let cases = [
        ("secretRef: {name: s, keys: ['.dockerconfigjson']}", GRANTED),
        ("secretRef: {name: s, keys: ['.dockercfg']}", GRANTED),
        ("secretRef: {name: s, keys: [token]}", NO),
        ("secretRef: {name: s}", GRANTED),
    ];
    for (fields, expected) in cases {
        let pull = Need { mount: Some(Mount::ImagePull), ..need(&Keys::All) };
        check(fields, &bearer(&run), &pull, expected);
    }
    // What an AgentServiceAccount names for its ServiceAccount is granted for that alone.
    let cluster = cluster("");
    let pull = Need { name: "pull", mount: Some(Mount::ImagePull), ..need(&Keys::All) };
    assert_eq!(cluster.answer(&bearer(&run), &pull), "by coder-account");
    assert_eq!(cluster.answer(&unrecorded(), &pull), "by coder-account");
    let mounted = Need { mount: Some(Mount::File), ..pull };
    assert_eq!(cluster.answer(&bearer(&run), &mounted), "PF-SEC-002 no-grant");
    let other = Bearer { service_account: Some("other"), stack: Some("other"), ..bearer(&run) };
    assert_eq!(cluster.answer(&other, &pull), "PF-SEC-002 no-grant");
}

#[test]
fn purposes() {
    let run = run();
    let keys = Keys::All;
    let said = |purpose| Need { purpose, ..need(&keys) };
    check("purpose: model-provider", &bearer(&run), &said(Some("model-provider")), GRANTED);
    check("purpose: model-provider", &bearer(&run), &said(Some("write-back")), NO);
    check("purpose: model-provider", &bearer(&run), &said(None), GRANTED);
    check("effect: allow", &bearer(&run), &said(Some("write-back")), GRANTED);
}

#[test]
fn repositories() {
    let run = run();
    let cases = [
        ("allowedRepositories: [acme/api]", Some("acme/api"), GRANTED),
        ("allowedRepositories: [acme/web, acme/api]", Some("acme/api"), GRANTED),
        ("allowedRepositories: [api]", Some("acme/api"), GRANTED),
        ("allowedRepositories: [acme/api]", Some("api"), GRANTED),
        // Never the owner alone, and never the name alone.
        ("allowedRepositories: [acme/web]", Some("acme/api"), NO),
        ("allowedRepositories: [globex/api]", Some("acme/api"), NO),
        ("allowedRepositories: [api]", Some("globex/api"), NO),
        ("allowedRepositories: [acme]", Some("acme/api"), NO),
        ("allowedRepositories: ['acme/*']", Some("acme/api"), NO),
        ("allowedRepositories: [acme/API]", Some("acme/api"), NO),
        ("allowedRepositories: [acme/api]", Some("acme/api2"), NO),
        ("allowedRepositories: [acme/api]", None, NO),
        // None means any of the organization: by its owner, or by a Repository object of the organization's.
        ("purpose: p", Some("acme/api"), GRANTED),
        ("purpose: p", Some("api"), GRANTED),
        ("purpose: p", Some("forge/lib"), GRANTED),
        ("purpose: p", Some("forge/api"), NO),
        ("purpose: p", Some("acme/sub/api"), NO),
        ("purpose: p", None, GRANTED),
    ];
    for (fields, repository, expected) in cases {
        check(fields, &Bearer { repository, ..bearer(&run) }, &need(&Keys::All), expected);
    }
}

#[test]
fn refs() {
    let run = run();
    let cases = [
        ("{include: [refs/heads/main]}", Some("refs/heads/main"), GRANTED),
        ("[refs/heads/main]", Some("refs/heads/main"), GRANTED),
        ("{include: [main]}", Some("refs/heads/main"), GRANTED),
        ("{include: ['refs/heads/**']}", Some("refs/heads/a/b"), GRANTED),
        ("{include: ['release/*']}", Some("refs/heads/release/1"), GRANTED),
        ("{exclude: ['release/*']}", Some("refs/heads/main"), GRANTED),
        ("{include: [refs/heads/main]}", Some("refs/heads/main2"), NO),
        ("{include: [refs/heads/main]}", Some("refs/heads/Main"), NO),
        ("{include: ['refs/heads/*']}", Some("refs/heads/a/b"), NO),
        // A bare pattern is a branch, whatever it could match.
        ("{include: [main]}", Some("refs/tags/main"), NO),
        ("{include: ['**']}", Some("refs/pull/7/merge"), NO),
        ("{include: ['*/main']}", Some("refs/heads/main"), NO),
        // A bare ref is a branch or a tag, nobody knows.
        ("{include: [main]}", Some("main"), NO),
        ("{include: [main]}", None, NO),
        // What is excluded is, with all below it and in any spelling.
        ("{include: ['refs/heads/**'], exclude: [refs/heads/main]}", Some("refs/heads/main"), NO),
        ("{exclude: ['refs/pull/*']}", Some("refs/pull/7"), NO),
        ("{exclude: ['refs/pull/*']}", Some("refs/pull/7/merge"), NO),
        ("{exclude: [main]}", Some("refs/heads/main"), NO),
        ("{exclude: [main]}", Some("main"), NO),
        ("{exclude: [refs/heads/main]}", Some("main"), NO),
        ("{exclude: [main]}", None, NO),
    ];
    for (refs, git_ref, expected) in cases {
        let work = Bearer { git_ref, ..bearer(&run) };
        check(&format!("allowedRefs: {refs}"), &work, &need(&Keys::All), expected);
    }
}

#[test]
fn triggers() {
    let run = run();
    let cases = [
        ("allowedTriggerSources: [manual]", Some("manual"), GRANTED),
        ("allowedTriggerSources: [schedule, manual]", Some("manual"), GRANTED),
        ("allowedTriggerSources: [manual]", Some("comment"), NO),
        ("allowedTriggerSources: [manual]", Some("Manual"), NO),
        ("allowedTriggerSources: [manual]", None, NO),
        ("purpose: p", Some("comment"), GRANTED),
    ];
    for (fields, trigger_source, expected) in cases {
        check(fields, &Bearer { trigger_source, ..bearer(&run) }, &need(&Keys::All), expected);
    }
}

/// Now is 2026-11-21T00:00:00Z.
#[test]
fn times_rotation_and_revocation() {
    let run = run();
    let cases = [
        ("expiresAt: '2026-11-21T00:00:01Z'", GRANTED),
        ("expiresAt: '2026-11-21T00:00:00Z'", NO),
        ("expiresAt: '2026-11-20T23:59:59Z'", NO),
        ("expiresAt: '2026-11-21T01:00:00+02:00'", NO),
        ("expiresAt: next year", NO),
        ("notBefore: '2026-11-21T00:00:00Z'", GRANTED),
        ("notBefore: '2026-11-21T00:00:01Z'", NO),
        ("revoked: false", GRANTED),
        ("revoked: true", NO),
        ("purpose: p | phase: Revoked", NO),
        ("purpose: p | revokedAt: '2030-01-01T00:00:00Z'", NO),
        ("rotationPolicy: {maxAgeDays: 30} | lastRotatedAt: '2026-11-01T00:00:00Z'", GRANTED),
        ("rotationPolicy: {maxAgeDays: 20} | lastRotatedAt: '2026-11-01T00:00:00Z'", GRANTED),
        ("rotationPolicy: {maxAgeDays: 19} | lastRotatedAt: '2026-11-01T00:00:00Z'", NO),
        ("rotationPolicy: {maxAgeDays: 30} | lastRotatedAt: '2026-12-01T00:00:00Z'", NO),
        ("rotationPolicy: {maxAgeDays: 30}", NO),
        ("rotationPolicy: {maxAgeDays: 0} | lastRotatedAt: '2026-11-20T00:00:00Z'", NO),
        ("organizationRef: acme", GRANTED),
        ("organizationRef: globex", NO),
        ("effect: perhaps", NO),
    ];
    for (fields, expected) in cases {
        check(fields, &bearer(&run), &need(&Keys::All), expected);
    }
}

#[test]
fn untrusted_work() {
    let run = run();
    let four = "PF-SEC-004 subject";
    let fork = Bearer { trusted: false, ..bearer(&run) };
    check("allowUntrustedRefs: true", &fork, &need(&Keys::All), GRANTED);
    check("allowUntrustedRefs: false", &fork, &need(&Keys::All), four);
    check("purpose: p", &fork, &need(&Keys::All), four);
    check("purpose: p", &unrecorded(), &need(&Keys::All), four);
    check("allowUntrustedRefs: true", &unrecorded(), &need(&Keys::All), GRANTED);
    // Both reasons at once where no grant is for it; and for each grant that lacks both.
    let cluster = cluster("");
    let both = "PF-SEC-002 no-grant, PF-SEC-004 no-grant";
    assert_eq!(cluster.answer(&fork, &need(&Keys::All)), both);
    check("revoked: true", &fork, &need(&Keys::All), "PF-SEC-002 subject, PF-SEC-004 subject");
    // A ConfigMap holds no secret, so a grant is enough.
    let config = Need { kind: ReferenceKind::ConfigMap, ..need(&Keys::All) };
    check("purpose: p", &fork, &config, GRANTED);
    check("requiredApproval: on-untrusted-ref", &fork, &config, four);
    assert_eq!(cluster.answer(&fork, &config), "PF-SEC-003 no-grant");
}

#[test]
fn config_maps_have_the_same_dimensions() {
    let run = run();
    let whole = Need { kind: ReferenceKind::ConfigMap, ..need(&Keys::All) };
    let env = Need { mount: Some(Mount::Env), ..whole };
    let three = "PF-SEC-003 subject";
    let cases = [
        ("purpose: p", whole, GRANTED),
        ("mountPolicy: file", whole, GRANTED),
        ("mountPolicy: file", env, "PF-SEC-005 subject"),
        ("mountPolicy: api-read", whole, "PF-SEC-005 subject"),
        ("configMapRef: {name: s, keys: [k]}", whole, "PF-SEC-005 subject"),
        ("configMapRef: {name: s, keys: [k]}", Need { keys: &named(&["l"]), ..whole }, three),
        ("allowedRefs: [refs/heads/dev]", whole, three),
        ("revoked: true", whole, three),
    ];
    for (fields, need, expected) in cases {
        check(fields, &bearer(&run), &need, expected);
    }
    // A grant of the Secret of that name is none of the ConfigMap.
    let cluster = cluster(&grant("g", ""));
    assert_eq!(cluster.answer(&bearer(&run), &whole), "PF-SEC-003 no-grant");
}

/// AgentApprovals of the use of grant `a/g`; now is 2026-11-21.
#[test]
fn approvals() {
    let approved = "status: {phase: Approved, approver: root}";
    let spec = "action: {type: use, target: AgentSecretGrant/g}, requestedBy: ada";
    let cases = [
        (format!("spec: {{{spec}}}, {approved}"), true),
        (format!("spec: {{{spec}, dispatchRun: run-1}}, {approved}"), true),
        (format!("spec: {{{spec}, expiresAt: '2026-11-21T00:00:01Z'}}, {approved}"), true),
        (format!("spec: {{action: {{target: AgentSecretGrant/a/g}}}}, {approved}"), true),
        (format!("spec: {{{spec}}}, status: {{phase: Approved, approver: keeper}}"), true),
        (
            format!(
                "spec: {{{spec}}}, status: {{phase: Approved, approver: 'system:serviceaccount:ops:person'}}"
            ),
            true,
        ),
        (format!("spec: {{{spec}, dispatchRun: run-2}}, {approved}"), false),
        (format!("spec: {{{spec}, dispatchRun: a/run-1}}, {approved}"), true),
        (format!("spec: {{{spec}, dispatchRun: a2/run-1}}, {approved}"), false),
        (format!("spec: {{{spec}, expiresAt: '2026-11-21T00:00:00Z'}}, {approved}"), false),
        (format!("spec: {{{spec}}}, status: {{phase: Pending, approver: root}}"), false),
        (format!("spec: {{{spec}}}, status: {{phase: Denied, approver: root}}"), false),
        (format!("spec: {{{spec}}}, status: {{phase: Approved}}"), false),
        // Not just anybody, not whoever asked, not whoever set the work off, not an agent.
        (format!("spec: {{{spec}}}, status: {{phase: Approved, approver: eve}}"), false),
        (
            format!(
                "spec: {{action: {{target: AgentSecretGrant/g}}, requestedBy: root}}, {approved}"
            ),
            false,
        ),
        (
            format!(
                "spec: {{{spec}}}, status: {{phase: Approved, approver: 'system:serviceaccount:a:robot-1'}}"
            ),
            false,
        ),
        // Of another grant, of another kind, elsewhere.
        (format!("spec: {{action: {{target: AgentSecretGrant/h}}}}, {approved}"), false),
        (format!("spec: {{action: {{target: AgentConfigGrant/g}}}}, {approved}"), false),
        (format!("spec: {{action: {{target: AgentSecretGrant/a2/g}}}}, {approved}"), false),
    ];
    let run = run();
    for (approval, given) in cases {
        let head = "apiVersion: krate.a5c.ai/v1alpha1, kind: AgentApproval, metadata: {name: ok, namespace: a}";
        let always = grant("g", "requiredApproval: always");
        let cluster = cluster(&format!("{always}\n{{{head}, {approval}}}"));
        let expected = if given { GRANTED } else { "PF-SEC-004 subject" };
        assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), expected, "{approval}");
    }
    let away = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentApproval, metadata: {name: ok, namespace: a2}, spec: {action: {target: AgentSecretGrant/a/g}}, status: {phase: Approved, approver: root}}";
    let cluster = cluster(&format!("{}\n{away}", grant("g", "requiredApproval: always")));
    assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), "PF-SEC-004 subject");
    let asked = Bearer { user: Some("root"), ..bearer(&run) };
    let own = super::cluster(&format!(
        "{}\n{}",
        grant("g", "requiredApproval: always"),
        away.replace("namespace: a2", "namespace: a")
    ));
    assert_eq!(own.answer(&bearer(&run), &need(&Keys::All)), GRANTED);
    assert_eq!(own.answer(&asked, &need(&Keys::All)), "PF-SEC-004 subject");
}

#[test]
fn approval_on_untrusted_refs_alone() {
    let run = run();
    let fields = "requiredApproval: on-untrusted-ref, allowUntrustedRefs: true";
    check(fields, &bearer(&run), &need(&Keys::All), GRANTED);
    let fork = Bearer { trusted: false, ..bearer(&run) };
    check(fields, &fork, &need(&Keys::All), "PF-SEC-004 subject");
    check("requiredApproval: never", &bearer(&run), &need(&Keys::All), GRANTED);
    check(
        "requiredApproval: sometimes",
        &bearer(&run),
        &need(&Keys::All),
        "PF-SEC-002 subject, PF-SEC-004 subject",
    );
}

//! Who is meant, and which grant decides.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};

use super::{bearer, cluster, grant, named, need, run, unrecorded};
use crate::grants::{Bearer, Need, Verdict};
use crate::organization::fixture::{self, value};

#[test]
fn subjects() {
    let run = run();
    // Each with the work of `coder`, and with work of which nothing is known but its ServiceAccount.
    let cases = [
        ("{kind: service-account, name: coder}", true, true),
        ("{kind: ServiceAccount, name: coder}", true, true),
        ("{kind: service-account, name: a/coder}", true, true),
        ("{kind: service-account, serviceAccountRef: coder}", true, true),
        ("{serviceAccountRef: coder}", true, true),
        ("{kind: agent-service-account, name: coder-account}", true, true),
        ("{kind: service-account, name: other}", false, false),
        ("{kind: service-account, name: a2/coder}", false, false),
        ("{kind: service-account, name: coder, namespace: a2}", false, false),
        ("{kind: agent-service-account, name: gone}", false, false),
        ("{kind: service-account}", false, false),
        ("{kind: agent-stack, name: coder}", true, false),
        ("{kind: AgentStack, name: a/coder}", true, false),
        ("{stackRef: coder}", true, false),
        ("{kind: agent-stack, name: coder, serviceAccountRef: coder}", true, false),
        ("{kind: agent-stack, name: coder, serviceAccountRef: other}", false, false),
        ("{kind: service-account, name: coder, stackRef: other}", false, false),
        ("{kind: agent-stack, name: other}", false, false),
        ("{kind: agent-stack, name: coder, namespace: a2}", false, false),
        ("{kind: tool-profile, name: shell}", true, false),
        ("{kind: mcp-server, name: github}", true, false),
        ("{kind: skill, name: repair}", true, false),
        ("{kind: subagent, name: helper}", true, false),
        ("{kind: mcp-server, name: gitlab}", false, false),
        ("{kind: skill, name: github}", false, false),
        ("{kind: repository, name: acme/api}", true, false),
        ("{kind: repository, name: api}", true, false),
        ("{kind: repository, name: globex/api}", false, false),
        ("{kind: team, name: core}", true, false),
        ("{kind: team, name: other}", false, false),
        ("{kind: runner-pool, name: trusted}", true, false),
        ("{kind: runner-pool, name: other}", false, false),
        ("{kind: user, name: ada}", true, false),
        ("{kind: user, name: bob}", false, false),
        ("{kind: group, name: core}", false, false),
        ("{kind: agent-dispatch-run, name: run-1}", true, false),
        ("{kind: run, name: run-2}", false, false),
        ("{kind: organization, name: acme}", true, true),
        ("{kind: organization}", true, true),
        ("{kind: organization, name: globex}", false, false),
        ("{kind: everybody, name: coder}", false, false),
        ("{kind: '*', name: '*'}", false, false),
        ("{}", false, false),
    ];
    for (subject, known, unknown) in cases {
        let cluster =
            cluster(&grant("g", &format!("subject: {subject}, allowUntrustedRefs: true")));
        let allows = |bearer: &Bearer<'_>| cluster.resolve(bearer, &need(&Keys::All)).allows();
        assert_eq!(allows(&bearer(&run)), known, "{subject}");
        assert_eq!(allows(&unrecorded()), unknown, "{subject} of unrecorded work");
    }
}

#[test]
fn a_capability_that_asks_for_itself() {
    let run = run();
    let cluster = cluster(&grant("g", "subject: {kind: mcp-server, name: github}"));
    let of = |kind, name| Bearer { capability: Some((kind, name)), ..bearer(&run) };
    let keys = Keys::All;
    let review = Need { mount: None, ..need(&keys) };
    assert!(cluster.resolve(&of("AgentMcpServer", "github"), &review).allows());
    assert!(!cluster.resolve(&of("AgentMcpServer", "gitlab"), &review).allows());
    assert!(!cluster.resolve(&of("AgentSkill", "github"), &review).allows());
}

#[test]
fn the_most_specific_grant_that_fits_decides() {
    let run = run();
    let line = |name: &str, subject: &str| grant(name, &format!("subject: {subject}"));
    let all = [
        line("organization", "{kind: organization, name: acme}"),
        line("repository", "{kind: repository, name: api}"),
        line("capability", "{kind: skill, name: repair}"),
        line("stack", "{kind: agent-stack, name: coder}"),
        line("subject", "{kind: service-account, name: coder}"),
    ];
    for count in 1..=all.len() {
        let cluster = cluster(&all[..count].join("\n"));
        let expected = ["organization", "repository", "capability", "stack", "subject"][count - 1];
        assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), format!("by {expected}"));
    }
    // One that doesn't fit gives way to a broader one that does.
    let wide = cluster(&format!("{}\n{}", all[0], grant("subject", "revoked: true")));
    assert_eq!(wide.answer(&bearer(&run), &need(&Keys::All)), "by organization");
    // Of equals any that fits, and the same whichever was first.
    let two = [grant("x", "mountPolicy: env"), grant("y", ""), grant("z", "")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let lines: Vec<&str> = order.iter().map(|at| two[*at].as_str()).collect();
        assert_eq!(cluster(&lines.join("\n")).answer(&bearer(&run), &need(&Keys::All)), "by y");
    }
}

#[test]
fn a_denial_beats_every_grant() {
    let run = run();
    let deny = "PF-SEC-002 explicit-deny";
    let cases = [
        ("", true),
        ("subject: {kind: agent-stack, name: coder}", true),
        ("subject: {kind: organization, name: acme}", true),
        ("subject: {kind: mcp-server, name: github}", true),
        ("secretRef: {name: s, keys: [k]}", true),
        // What limits a grant doesn't limit a denial.
        ("purpose: other", true),
        ("allowedRefs: [refs/heads/dev]", true),
        ("mountPolicy: env", true),
        // What can't be read denies.
        ("expiresAt: soon", true),
        ("subject: {kind: everybody}", true),
        ("subject: {kind: group, name: core}", true),
        ("subject: {kind: agent-stack, name: other}", false),
        ("subject: {kind: service-account, name: other}", false),
        ("subject: {kind: user, name: bob}", false),
        ("secretRef: {name: s, keys: [l]}", false),
        ("secretRef: {name: t}", false),
        ("revoked: true", false),
        ("expiresAt: '2026-11-21T00:00:00Z'", false),
        ("notBefore: '2026-11-21T00:00:01Z'", false),
    ];
    for (fields, denied) in cases {
        let fields = format!("effect: deny{}{fields}", if fields.is_empty() { "" } else { ", " });
        let cluster = cluster(&format!("{}\n{}", grant("deny", &fields), grant("allow", "")));
        let used = named(&["k"]);
        let expected = if denied { deny } else { "by allow" };
        assert_eq!(cluster.answer(&bearer(&run), &need(&used)), expected, "{fields}");
    }
    let flag = cluster(&format!("{}\n{}", grant("deny", "deny: true"), grant("allow", "")));
    assert_eq!(flag.answer(&bearer(&run), &need(&Keys::All)), deny);
}

#[test]
fn a_denial_of_what_is_not_known_applies() {
    let line = |subject: &str| {
        let deny = grant("deny", &format!("effect: deny, subject: {subject}"));
        let yes = grant("allow", "allowUntrustedRefs: true");
        cluster(&format!("{deny}\n{yes}"))
    };
    let cases = [
        ("{kind: repository, name: acme/api}", true),
        ("{kind: team, name: core}", true),
        // Whoever writes stacks could have it run as another ServiceAccount, or not.
        ("{kind: agent-stack, name: coder}", true),
        ("{kind: agent-stack, name: other}", true),
        ("{kind: agent-stack, name: gone}", true),
        ("{kind: mcp-server, name: gitlab}", true),
        // What the API server knows limits it.
        ("{kind: agent-stack, name: other, serviceAccountRef: other}", false),
        ("{kind: service-account, name: other}", false),
        // An AgentServiceAccount may be meant by a ServiceAccount's name.
        ("{serviceAccountRef: coder-account}", true),
        ("{kind: service-account, name: coder-account}", true),
        ("{kind: agent-service-account, name: coder-account}", true),
        // It is no run that it has no record of.
        ("{kind: run, name: run-1}", false),
    ];
    for (subject, denied) in cases {
        let cluster = line(subject);
        assert_eq!(
            !cluster.resolve(&unrecorded(), &need(&Keys::All)).allows(),
            denied,
            "{subject}"
        );
    }
    // A label can make a denial apply.
    let labelled = Bearer { stack_labels: &["other"], ..unrecorded() };
    let cluster = line("{kind: agent-stack, name: other}");
    assert!(!cluster.resolve(&labelled, &need(&Keys::All)).allows());
}

#[test]
fn a_label_can_only_take_away() {
    let run = run();
    let cluster =
        cluster(&grant("g", "subject: {kind: agent-stack, name: other}, allowUntrustedRefs: true"));
    let labelled = Bearer { stack_labels: &["other"], ..unrecorded() };
    assert!(!cluster.resolve(&labelled, &need(&Keys::All)).allows());
    let own = super::cluster(&grant("g", ""));
    let same = Bearer { stack_labels: &["coder"], ..bearer(&run) };
    assert_eq!(own.answer(&same, &need(&Keys::All)), "by g");
    let differs = Bearer { stack_labels: &["coder", "other"], ..bearer(&run) };
    assert_eq!(own.answer(&differs, &need(&Keys::All)), "PF-SEC-002 stack");
}

#[test]
fn grants_count_at_home_alone() {
    let run = run();
    // Whether a grant counts, and whether a denial does: where nobody can tell whose a namespace is, it does.
    let places = [
        ("a2", true, true),
        ("krate-system", true, true),
        ("b", false, false),
        ("nobody", false, false),
        ("gone", false, true),
    ];
    for (place, counts, denies) in places {
        let line = grant(
            "g",
            "subject: {kind: service-account, name: a/coder}, secretRef: {namespace: a, name: s}",
        );
        let line =
            line.replace("name: g, namespace: a}", &format!("name: g, namespace: {place}}}"));
        let cluster = cluster(&line);
        assert_eq!(cluster.resolve(&bearer(&run), &need(&Keys::All)).allows(), counts, "{place}");
        let deny = line.replace("spec: {", "spec: {effect: deny, ");
        let denied = super::cluster(&format!("{deny}\n{}", grant("allow", "")));
        assert_eq!(!denied.resolve(&bearer(&run), &need(&Keys::All)).allows(), denies, "{place}");
    }
    // Another group's kind of that name grants nothing.
    let cluster = cluster(&grant("g", "").replace("krate.a5c.ai", "evil.example"));
    assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), "PF-SEC-002 no-grant");
    let newer = super::cluster(&grant("g", "").replace("krate.a5c.ai", "kradle.a5c.ai"));
    assert_eq!(newer.answer(&bearer(&run), &need(&Keys::All)), "by g");
}

#[test]
fn a_stacks_own_policy_narrows() {
    let run = run();
    let grants = ["s", "listed", "named"].map(|name| {
        let subject = "subject: {kind: agent-stack, name: narrow}";
        grant(name, &format!("{subject}, secretRef: {{name: {name}}}, allowUntrustedRefs: true"))
    });
    let cluster = cluster(&grants.join("\n"));
    let narrow = Bearer { service_account: Some("narrow"), stack: Some("narrow"), ..bearer(&run) };
    let of = |name| Need { name, ..need(&Keys::All) };
    assert_eq!(cluster.answer(&narrow, &of("listed")), "by listed");
    assert_eq!(cluster.answer(&narrow, &of("named")), "by named");
    assert_eq!(cluster.answer(&narrow, &of("s")), "PF-SEC-002 stack");
    let fork = Bearer { trusted: false, ..narrow };
    assert_eq!(cluster.answer(&fork, &of("listed")), "PF-SEC-004 stack");
    // The kubelet pulls whatever a stack lists; a stack that nobody has seen allows nothing.
    let pull = Need { mount: Some(Mount::ImagePull), ..of("s") };
    assert_eq!(cluster.answer(&narrow, &pull), "by s");
    let gone = Bearer { stack: Some("gone"), ..bearer(&run) };
    let own = super::cluster(&grant("g", ""));
    let Verdict::Refused(refused) = own.resolve(&gone, &need(&Keys::All)) else {
        panic!("a stack that isn't there")
    };
    let key = ObjectKey::new("krate.a5c.ai", "AgentStack", "a", "gone");
    assert!(refused.questions.contains(&Question::Object(key)));
    assert_eq!(refused.suggestion, None, "no grant helps");
}

#[test]
fn what_needs_no_grant() {
    let mut cluster = cluster("");
    let root_ca =
        Need { kind: ReferenceKind::ConfigMap, name: "kube-root-ca.crt", ..need(&Keys::All) };
    assert_eq!(cluster.answer(&unrecorded(), &root_ca), "not needed");
    cluster.policy = fixture::policy("grants: {required: [Secret], exemptNames: [public-*]}");
    let config = Need { kind: ReferenceKind::ConfigMap, ..need(&Keys::All) };
    assert_eq!(cluster.answer(&unrecorded(), &config), "not needed");
    let public = Need { name: "public-ca", ..need(&Keys::All) };
    assert_eq!(cluster.answer(&unrecorded(), &public), "not needed");
    assert!(!cluster.resolve(&unrecorded(), &need(&Keys::All)).allows());
}

#[test]
fn live_answers_win() {
    let run = run();
    let mut cluster = cluster(&grant("g", ""));
    let key = ObjectKey::new("krate.a5c.ai", "AgentSecretGrant", "a", "g");
    let live = |fields: &str| Some(fixture::object(&value(&grant("g", fields))));
    for (found, allowed) in [
        (live(""), true),
        (live("revoked: true"), false),
        (live("secretRef: {name: t}"), false),
        (None, false),
    ] {
        cluster.answers.objects = vec![(key.clone(), found)];
        assert_eq!(cluster.resolve(&bearer(&run), &need(&Keys::All)).allows(), allowed);
    }
    cluster.answers.objects.clear();
    cluster.apply(&value(&grant("g", "revoked: true")));
    let Verdict::Refused(refused) = cluster.resolve(&bearer(&run), &need(&Keys::All)) else {
        panic!("revoked")
    };
    assert_eq!(refused.questions, [Question::Object(key)]);
}

#[test]
fn existence_is_asked_for_where_the_policy_wants_it() {
    let run = run();
    let mut cluster = cluster(&grant("g", ""));
    let secret = ObjectKey::new("", "Secret", "a", "s");
    cluster.policy = fixture::policy("grants: {checkExistence: true}");
    let Verdict::Granted { confirm, .. } = cluster.resolve(&bearer(&run), &need(&Keys::All)) else {
        panic!("granted until the API server says otherwise")
    };
    assert_eq!(confirm, [Question::Object(secret.clone())]);
    cluster.answers.objects = vec![(secret.clone(), None)];
    assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), "PF-SEC-002 missing-object");
    let there = value("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a}}");
    cluster.answers.objects = vec![(secret.clone(), Some(fixture::object(&there)))];
    assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), "by g");
    cluster.policy = fixture::policy("grants: {checkExistence: false}");
    cluster.answers.objects = vec![(secret, None)];
    assert_eq!(cluster.answer(&bearer(&run), &need(&Keys::All)), "by g");
}

/// An account's own stack that the resolver was told of by the account alone gets no further than one that is not known.
#[test]
fn a_stack_by_its_account_keeps_no_denial_away() {
    let by_account = Bearer { stack: Some("coder"), stack_by_account: true, ..unrecorded() };
    let by_record = Bearer { stack_by_account: false, ..by_account };
    for subject in ["{kind: agent-stack, name: other}", "{kind: mcp-server, name: gitlab}"] {
        let deny = grant("deny", &format!("effect: deny, subject: {subject}"));
        let cluster = cluster(&format!("{deny}\n{}", grant("allow", "allowUntrustedRefs: true")));
        let allows = |bearer| cluster.resolve(bearer, &need(&Keys::All)).allows();
        assert!(!allows(&by_account), "{subject}");
        assert!(allows(&by_record), "{subject}");
    }
}

/// Every stack that runs as the ServiceAccount narrows, also through an AgentServiceAccount, and from elsewhere in the organization.
#[test]
fn all_stacks_of_an_account_narrow() {
    let stack = |name: &str, place: &str, account: &str, rest: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {{name: {name}, namespace: {place}}}, \
             spec: {{runtimeIdentity: {{serviceAccountRef: {account}}}, secretPolicy: {{allowOnForks: true{rest}}}}}}}"
        )
    };
    let (open, strict) = ("", ", allowedSecretRefs: [listed]");
    let cases = [
        (vec![], true),
        (vec![stack("decoy", "a", "coder", open)], true),
        (vec![stack("strict", "a", "coder", strict)], false),
        (vec![stack("strict", "a", "coder-account", strict)], false),
        (vec![stack("strict", "a", "coder", strict), stack("decoy", "a", "coder", open)], false),
        (vec![stack("strict", "a2", "a/coder", strict)], false),
        // Another organization's says nothing here, and neither does another account's.
        (vec![stack("strict", "b", "a/coder", strict)], true),
        (vec![stack("strict", "a", "third", strict)], true),
        ((0..70).map(|at| stack(&format!("s{at}"), "a", "coder", open)).collect(), false),
    ];
    for (stacks, allowed) in cases {
        let lines = format!("{}\n{}", grant("g", "allowUntrustedRefs: true"), stacks.join("\n"));
        let cluster = cluster(&lines);
        let answer = cluster.resolve(&unrecorded(), &need(&Keys::All)).allows();
        assert_eq!(answer, allowed, "{stacks:?}");
    }
}

/// To name somebody's MCP server in a stack is no way to its Secrets.
#[test]
fn an_mcp_server_says_whose_it_is() {
    let run = run();
    let cases =
        [("", true), ("[coder]", true), ("[a/coder]", true), ("[other]", false), ("[]", false)];
    for (allowed, granted) in cases {
        let list = if allowed.is_empty() {
            String::new()
        } else {
            format!("allowedAgentStacks: {allowed}")
        };
        let server = format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMcpServer, metadata: {{name: github, namespace: a}}, spec: {{{list}}}}}"
        );
        let to = grant("g", "subject: {kind: mcp-server, name: github}");
        let cluster = cluster(&format!("{to}\n{server}"));
        let answer = cluster.resolve(&bearer(&run), &need(&Keys::All)).allows();
        assert_eq!(answer, granted, "{allowed}");
    }
}

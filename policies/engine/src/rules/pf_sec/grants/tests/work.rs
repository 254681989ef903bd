//! Whose work it is: what records say counts, what the work says itself only takes away.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::{CONTROLLER, REPLICA_SETS, TO_CODER, cluster, grant, mounting, pod};
use crate::organization::fixture::{request, spoken};

const TWO: &str = "PF-SEC-002 $.spec.volumes[0].secret.secretName";
const FOUR: &str = "PF-SEC-004 $.spec.volumes[0].secret.secretName";

/// One grant, and whether it is enough for work of run-main, of the fork's run, and of no run.
#[test]
fn grants_against_records() {
    let cases = [
        (TO_CODER, true, false, false),
        ("subject: {kind: agent-stack, name: coder}", true, false, false),
        ("subject: {kind: mcp-server, name: github}", true, false, false),
        ("subject: {kind: team, name: core}", true, false, false),
        ("subject: {kind: runner-pool, name: fast}", true, false, false),
        ("subject: {kind: repository, name: api}", true, false, false),
        ("subject: {kind: run, name: run-main}", true, false, false),
        ("subject: {kind: organization}", true, false, false),
        ("subject: {kind: agent-stack, name: reviewer}", false, false, false),
        ("subject: {kind: organization}, allowUntrustedRefs: true", true, true, true),
        ("subject: {kind: agent-stack, name: coder}, allowUntrustedRefs: true", true, true, true),
        // Whoever writes a stack says any team, so only that of a run's stack counts.
        ("subject: {kind: team, name: core}, allowUntrustedRefs: true", true, true, false),
        ("subject: {kind: repository, name: api}, allowUntrustedRefs: true", true, true, false),
        (
            "subject: {kind: service-account, name: coder}, allowUntrustedRefs: true, allowedRepositories: [acme/api]",
            true,
            true,
            false,
        ),
        (
            "subject: {kind: service-account, name: coder}, allowUntrustedRefs: true, allowedRefs: ['refs/pull/**']",
            false,
            true,
            false,
        ),
        (
            "subject: {kind: service-account, name: coder}, allowUntrustedRefs: true, allowedTriggerSources: [manual]",
            true,
            false,
            false,
        ),
    ];
    for (fields, main, fork, none) in cases {
        let cluster = cluster(&grant(fields));
        for (run, allowed) in [("run-main", main), ("run-fork", fork), ("", none)] {
            assert_eq!(
                cluster.allows(CONTROLLER, &pod(run, &mounting())),
                allowed,
                "{fields} {run}"
            );
        }
        // Whoever claims a run without the right to has none.
        assert_eq!(cluster.allows("dev", &pod("run-main", &mounting())), none, "{fields} dev");
    }
}

/// Without a record the stack is that of the ServiceAccount, if that is one only.
#[test]
fn a_stack_by_its_service_account() {
    let fields = "subject: {kind: agent-stack, name: coder}, allowUntrustedRefs: true";
    let second = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: second, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: coder}}}";
    let foreign = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: x, namespace: globex}, spec: {runtimeIdentity: {serviceAccountRef: a/coder}}}";
    let unrecorded = pod("", &mounting());
    assert!(cluster(&grant(fields)).allows("dev", &unrecorded));
    assert!(!cluster(&format!("{}\n{second}", grant(fields))).allows("dev", &unrecorded));
    assert!(cluster(&format!("{}\n{foreign}", grant(fields))).allows("dev", &unrecorded));
    let mut other = unrecorded;
    other["spec"]["serviceAccountName"] = "reviewer".into();
    assert!(!cluster(&grant(fields)).allows("dev", &other));
}

/// A stack names an AgentServiceAccount: its denials, its policy and its grants are as if it named the ServiceAccount.
#[test]
fn a_stack_by_an_agent_service_account() {
    let cluster_of = |stack: &str, account: &str, fields: &str| {
        let lines = [
            format!(
                "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {{name: ident, namespace: a}}, spec: {{serviceAccountName: {account}}}}}"
            ),
            format!(
                "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {{name: st, namespace: a}}, spec: {{runtimeIdentity: {{serviceAccountRef: ident}}, secretPolicy: {{{stack}}}}}}}"
            ),
            grant(&format!("{fields}, allowUntrustedRefs: true")),
        ];
        cluster(&lines.join("\n"))
    };
    let mut work = pod("", &mounting());
    work["spec"]["serviceAccountName"] = "worker".into();
    let open = "allowOnForks: true";
    let to_stack = "subject: {kind: agent-stack, name: st}";
    let to_account = "subject: {kind: service-account, name: worker}";
    let cases = [
        (open, "worker", to_stack, true),
        (open, "worker", to_account, true),
        ("allowOnForks: true, allowedSecretRefs: [s]", "worker", to_stack, true),
        ("allowOnForks: true, allowedSecretRefs: [t]", "worker", to_stack, false),
        ("allowOnForks: true, allowedSecretRefs: [t]", "worker", to_account, false),
        ("", "worker", to_account, false),
        (open, "another", to_stack, false),
        ("", "another", to_account, true),
    ];
    for (stack, account, fields, allowed) in cases {
        let cluster = cluster_of(stack, account, fields);
        assert_eq!(cluster.allows("dev", &work), allowed, "{stack} {account} {fields}");
    }
    let deny = grant(&format!("{to_stack}, effect: deny")).replace("name: g,", "name: deny,");
    let denied =
        cluster(&format!("{deny}\n{}", grant(&format!("{to_account}, allowUntrustedRefs: true"))));
    assert!(!denied.allows("dev", &work));
    // Two that stand for it: nobody can tell which stack the ServiceAccount named `ident` itself has.
    let mut ident = work;
    ident["spec"]["serviceAccountName"] = "ident".into();
    assert!(!cluster_of(open, "worker", to_stack).allows("dev", &ident));
}

/// A run that names no stack is held to those of its ServiceAccount.
#[test]
fn a_run_without_a_stack() {
    let run = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: bare, namespace: a, uid: u-bare}, spec: {repository: acme/api, ref: refs/heads/main, sourceEvent: manual}}";
    let strict = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: strict, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: coder}, secretPolicy: {allowOnForks: true, allowedSecretRefs: [t]}}}";
    let fields = grant(&format!("{TO_CODER}, allowUntrustedRefs: true"));
    assert!(cluster(&format!("{fields}\n{run}")).allows(CONTROLLER, &pod("bare", &mounting())));
    let narrowed = cluster(&format!("{fields}\n{run}\n{strict}"));
    assert!(!narrowed.allows(CONTROLLER, &pod("bare", &mounting())));
    assert!(
        narrowed.allows(CONTROLLER, &pod("run-main", &mounting())),
        "its record says which stack"
    );
}

/// An attempt has what its run has; where they differ nothing is granted.
#[test]
fn attempts() {
    let cluster =
        cluster(&grant(&format!("{TO_CODER}, allowedRefs: [main], allowedRepositories: [api]")));
    assert!(cluster.allows(CONTROLLER, &pod("attempt-main", &mounting())));
    assert_eq!(cluster.found(CONTROLLER, &pod("attempt-odd", &mounting())), [TWO]);
}

/// Pods of a stamped ReplicaSet have its run.
#[test]
fn what_is_inherited() {
    let cluster = cluster(&grant(&format!("{TO_CODER}, allowedRefs: [main]")));
    let mut owned = pod("", &mounting());
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "of-main", "uid": "u-rs", "controller": true}]);
    assert!(cluster.allows(REPLICA_SETS, &owned));
    assert_eq!(cluster.found("dev", &owned), [TWO, FOUR]);
    owned["metadata"]["ownerReferences"][0]["uid"] = "u-other".into();
    assert_eq!(cluster.found(REPLICA_SETS, &owned), [TWO, FOUR]);
}

#[test]
fn what_the_work_says_itself_takes_away() {
    let cluster = cluster(&grant(&format!("{TO_CODER}, purpose: model-provider")));
    let with = |annotations: Value, label: Value| {
        let mut pod = pod("run-main", &mounting());
        pod["metadata"]["annotations"] = annotations;
        pod["metadata"]["labels"]["kradle.a5c.ai/agent-stack"] = label;
        pod
    };
    assert!(cluster.allows(
        CONTROLLER,
        &with(json!({"pinfold.dev/purpose": "model-provider"}), "coder".into())
    ));
    assert_eq!(
        cluster
            .found(CONTROLLER, &with(json!({"pinfold.dev/purpose": "write-back"}), "coder".into())),
        [TWO]
    );
    assert_eq!(cluster.found(CONTROLLER, &with(json!({}), "reviewer".into())), [TWO]);
}

/// A record that the view doesn't have yet could make the difference, and is asked for.
#[test]
fn a_live_record_is_asked_for() {
    let cluster = cluster(&grant(TO_CODER));
    let found = cluster.judge(CONTROLLER, &pod("run-new", &mounting()), None);
    assert_eq!(spoken(&found), [FOUR]);
    assert!(!found.questions.is_empty());
}

/// Somebody changes what trusted work runs: the Secret that it has is untrusted work's then.
#[test]
fn changed_work_is_untrusted() {
    let cluster = cluster(&grant(TO_CODER));
    let mut old = pod("run-main", &mounting());
    old["metadata"]["annotations"] = json!({"pinfold.dev/run": "run-main/u-main"});
    let mut new = old.clone();
    new["spec"]["containers"] = json!([{"image": "mine"}]);
    assert_eq!(spoken(&cluster.judge("dev", &new, Some(&old))), [FOUR]);
    assert!(cluster.judge(CONTROLLER, &new, Some(&old)).raw.is_empty());
}

const MARKS: [(&str, &str, &str); 9] = [
    ("labels", "krate.a5c.ai/agent-stack", "coder"),
    ("labels", "krate.a5c.ai/agent-stack", "reviewer"),
    ("labels", "kradle.a5c.ai/service-account", "coder"),
    ("labels", "krate.a5c.ai/repository", "api"),
    ("labels", "krate.a5c.ai/org", "acme"),
    ("labels", "krate.a5c.ai/dispatch-run", "run-main"),
    ("labels", "trusted", "true"),
    ("annotations", "pinfold.dev/purpose", "p"),
    ("annotations", "pinfold.dev/approved", "true"),
];

const FIELDS: [&str; 8] = [
    "subject: {kind: service-account, name: coder}",
    "subject: {kind: agent-stack, name: coder}, allowUntrustedRefs: true",
    "subject: {kind: agent-stack, name: reviewer}, allowUntrustedRefs: true",
    "subject: {kind: service-account, name: coder}, allowUntrustedRefs: true, purpose: p",
    "subject: {kind: service-account, name: coder}, allowUntrustedRefs: true, purpose: q",
    "subject: {kind: repository, name: api}, allowUntrustedRefs: true",
    "subject: {kind: run, name: run-main}, allowUntrustedRefs: true",
    "effect: deny, subject: {kind: agent-stack, name: reviewer}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Nothing that somebody writes onto a pod gives it anything.
    #[test]
    fn no_label_or_annotation_gives_anything(
        grants in subsequence(FIELDS.to_vec(), 0..=3),
        before in subsequence(MARKS.to_vec(), 0..=2),
        extra in select(MARKS.to_vec()),
        user in select(vec!["dev", REPLICA_SETS]),
        place in select(vec!["a", "plain"]),
    ) {
        let lines: Vec<String> = grants
            .iter()
            .enumerate()
            .map(|(number, fields)| grant(fields).replace("name: g,", &format!("name: g{number},")))
            .collect();
        let cluster = cluster(&lines.join("\n"));
        let mut pod = pod("", &mounting());
        pod["metadata"]["namespace"] = place.into();
        for (at, key, value) in before {
            pod["metadata"][at][key] = value.into();
        }
        let mut more = pod.clone();
        more["metadata"][extra.0][extra.1] = extra.2.into();
        // Another value of a mark that it has is no addition.
        prop_assume!(pod["metadata"][extra.0].get(extra.1).is_none());
        let decide = |pod: &Value| {
            let facts = request(user, pod, None);
            crate::organization::fixture::found(super::super::judge, &facts, &cluster.view, &cluster.policy).raw.is_empty()
        };
        prop_assert!(decide(&pod) || !decide(&more), "{more}");
    }
}

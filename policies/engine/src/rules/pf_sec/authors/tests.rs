//! Cases of PF-SEC-006: who may write which grant, and what may always be taken back.

use pinfold_model::facts::{Answers, Operation, Question};
use pinfold_model::finding::RuleId;
use serde_json::Value;

use crate::context::Found;
use crate::organization::fixture::{self, request, spoken, value};

/// ada reads the Secrets of `a`, and one ConfigMap; bob reads nothing; eve reads Secret `s` of `b`.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: a2, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {krate.a5c.ai/org: globex}}}
{apiVersion: v1, kind: Namespace, metadata: {name: free}}
{apiVersion: v1, kind: Namespace, metadata: {name: free2}}
{apiVersion: v1, kind: Namespace, metadata: {name: torn, labels: {krate.a5c.ai/org: acme, kradle.a5c.ai/org: globex}}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader}, rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: one, namespace: a}, rules: [{apiGroups: [''], resources: [configmaps], resourceNames: [c], verbs: [get]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: one, namespace: b}, rules: [{apiGroups: [''], resources: [secrets], resourceNames: [s], verbs: [get]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: ada, namespace: a}, subjects: [{kind: User, name: ada}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: ada, namespace: b}, subjects: [{kind: User, name: ada}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: ada, namespace: free}, subjects: [{kind: User, name: ada}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: config, namespace: a}, subjects: [{kind: User, name: ada}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: agent, namespace: a}, subjects: [{kind: ServiceAccount, name: robot, namespace: a}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: eve, namespace: b}, subjects: [{kind: User, name: eve}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: globex, targetOrg: acme, allowedRefs: [Secret/b/shared]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: robot, namespace: a}, spec: {serviceAccountName: robot}}
";

const POLICY: &str = "
organizations: {platformNamespaces: [krate-system, kube-system]}
trust: {controllers: [{serviceAccount: krate-system/controller}]}
rbac:
  deputies:
  - serviceAccount: krate-system/syncer
    onBehalfOf: {extra: {user: example.com/user}}
";

const OBJECT: &str = "PF-SEC-006 $.spec.secretRef.namespace";
const AUTHOR: &str = "PF-SEC-006 $.spec.secretRef";

fn judge(user: &str, new: &Value, old: Option<&Value>) -> Found {
    let facts = request(user, new, old);
    fixture::found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY))
}

/// A grant in `a` with these fields of its spec.
fn grant(fields: &str) -> Value {
    let (fields, status) = fields.split_once("| ").unwrap_or((fields, ""));
    let kind =
        if fields.contains("configMapRef") { "AgentConfigGrant" } else { "AgentSecretGrant" };
    value(&format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: g, namespace: a}}, spec: {{{fields}}}, status: {{{status}}}}}"
    ))
}

const PLAIN: &str = "subject: {kind: service-account, name: coder}, secretRef: {name: s}";

#[test]
fn who_may_write_which() {
    let to =
        |reference: &str| format!("subject: {{kind: service-account, name: coder}}, {reference}");
    let cases: [(&str, String, &[&str]); 13] = [
        ("ada", PLAIN.to_owned(), &[]),
        ("ada", to("configMapRef: {name: c}"), &[]),
        ("ada", to("configMapRef: {name: d}"), &["PF-SEC-006 $.spec.configMapRef"]),
        ("bob", PLAIN.to_owned(), &[AUTHOR]),
        ("eve", PLAIN.to_owned(), &[AUTHOR]),
        // Of the same organization, where she may not read; of another, where she may; shared; of nobody.
        ("ada", to("secretRef: {namespace: a2, name: s}"), &[AUTHOR]),
        ("ada", to("secretRef: {namespace: b, name: s}"), &[OBJECT]),
        ("eve", to("secretRef: {namespace: b, name: s}"), &[OBJECT]),
        ("ada", to("secretRef: {namespace: b, name: shared}"), &[]),
        ("bob", to("secretRef: {namespace: b, name: shared}"), &[AUTHOR]),
        ("ada", to("secretRef: {namespace: free, name: s}"), &[OBJECT]),
        ("ada", to("secretRef: {namespace: kube-system, name: s}"), &[AUTHOR, OBJECT]),
        ("ada", to("secretRef: {namespace: torn, name: s}"), &[AUTHOR, OBJECT]),
    ];
    for (user, fields, expected) in cases {
        let found = judge(user, &grant(&fields), None);
        assert_eq!(spoken(&found), expected, "{user} {fields}");
    }
    let masters = |groups: &[&str]| {
        let mut facts = request("root", &grant(PLAIN), None);
        let requester = facts.requester.as_mut().expect("somebody");
        requester.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        fixture::found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY))
    };
    assert!(spoken(&masters(&["system:masters"])).is_empty());
    assert_eq!(spoken(&masters(&["admins"])), [AUTHOR]);
    let other = value(
        "{apiVersion: example.com/v1, kind: AgentSecretGrant, metadata: {name: g, namespace: a}, spec: {}}",
    );
    assert!(spoken(&judge("bob", &other, None)).is_empty(), "another group's kind");
}

#[test]
fn agents_write_none() {
    let robot = "system:serviceaccount:a:robot";
    assert_eq!(spoken(&judge(robot, &grant(PLAIN), None)), ["PF-SEC-006 $"]);
    let deny = grant(&format!("effect: deny, {PLAIN}"));
    assert_eq!(spoken(&judge(robot, &deny, None)), ["PF-SEC-006 $"]);
    assert_eq!(
        spoken(&judge("system:serviceaccount:a:default", &grant(PLAIN), None)),
        ["PF-SEC-006 $"]
    );
}

#[test]
fn subjects_of_another_organization() {
    let cases: [(&str, &[&str]); 12] = [
        ("{kind: service-account, name: coder}", &[]),
        ("{kind: service-account, name: a2/coder}", &[]),
        ("{kind: service-account, name: coder, namespace: a2}", &[]),
        ("{kind: service-account, name: b/coder}", &["PF-SEC-006 $.spec.subject.name"]),
        (
            "{kind: service-account, name: coder, namespace: b}",
            &["PF-SEC-006 $.spec.subject.namespace"],
        ),
        (
            "{kind: service-account, name: coder, namespace: unseen}",
            &["PF-SEC-006 $.spec.subject.namespace"],
        ),
        (
            "{kind: agent-stack, name: coder, serviceAccountRef: b/coder}",
            &["PF-SEC-006 $.spec.subject.serviceAccountRef"],
        ),
        (
            "{kind: service-account, name: coder, stackRef: b/coder}",
            &["PF-SEC-006 $.spec.subject.stackRef"],
        ),
        ("{kind: organization, name: acme}", &[]),
        ("{kind: organization, name: globex}", &["PF-SEC-006 $.spec.subject.name"]),
        // The owner of a repository is the forge's.
        ("{kind: repository, name: forge/api}", &[]),
        ("{kind: user, name: b/x}", &[]),
    ];
    for (subject, expected) in cases {
        let found =
            judge("ada", &grant(&format!("subject: {subject}, secretRef: {{name: s}}")), None);
        assert_eq!(spoken(&found), expected, "{subject}");
    }
    let unreadable = grant(&format!("{PLAIN}, expiresAt: soon"));
    assert_eq!(spoken(&judge("ada", &unreadable, None)), ["PF-SEC-006 $.spec"]);
}

/// bob may not read it: what he may do with a grant is to take from it.
#[test]
fn narrowing_and_revoking_is_free() {
    let base = "subject: {kind: service-account, name: coder}";
    let s = "secretRef: {name: s, keys: [k, l]}";
    let old = format!(
        "{base}, {s}, purpose: p, allowedRepositories: [api, web], allowedRefs: {{include: [main, dev], exclude: [x]}}, \
                       allowedTriggerSources: [manual, comment], mountPolicy: [env, file], requiredApproval: on-untrusted-ref, \
                       rotationPolicy: {{maxAgeDays: 30}}, expiresAt: '2027-01-01T00:00:00Z', notBefore: '2026-01-01T00:00:00Z'"
    );
    let cases = [
        ("[k, l]", "[k]", true),
        ("[k, l]", "[]", false),
        ("[k, l]", "[k, m]", false),
        ("name: s,", "name: t,", false),
        ("name: coder", "name: other", false),
        ("[api, web]", "[api]", true),
        ("[api, web]", "[]", false),
        ("[api, web]", "[api, lib]", false),
        ("[main, dev]", "[main]", true),
        ("[main, dev]", "[]", false),
        ("[main, dev]", "['**']", false),
        ("exclude: [x]", "exclude: [x, y]", true),
        ("exclude: [x]", "exclude: []", false),
        ("[manual, comment]", "[manual]", true),
        ("[manual, comment]", "[]", false),
        ("[env, file]", "file", true),
        ("[env, file]", "projected-volume", false),
        ("on-untrusted-ref", "always", true),
        ("on-untrusted-ref", "never", false),
        ("maxAgeDays: 30", "maxAgeDays: 10", true),
        ("maxAgeDays: 30", "maxAgeDays: 60", false),
        ("2027", "2026", true),
        ("2027", "2028", false),
        ("2026-01", "2026-02", true),
        ("2026-01", "2025-01", false),
        ("purpose: p", "purpose: q", false),
        ("purpose: p", "purpose: p, revoked: true", true),
        ("purpose: p", "purpose: p, effect: deny", true),
        ("purpose: p", "purpose: p, allowUntrustedRefs: true", false),
        ("purpose: p", "purpose: p, organizationRef: globex", false),
    ];
    for (from, to, free) in cases {
        let changed = old.replacen(from, to, 1);
        assert_ne!(changed, old, "{from}");
        let found = judge("bob", &grant(&changed), Some(&grant(&old)));
        assert_eq!(found.raw.is_empty(), free, "{from} to {to}: {:?}", spoken(&found));
        if !free && !changed.contains("globex") {
            let by_ada = judge("ada", &grant(&changed), Some(&grant(&old)));
            assert!(by_ada.raw.is_empty(), "{from} to {to}: {:?}", spoken(&by_ada));
        }
    }
    let same = grant(&old);
    assert!(judge("bob", &same, Some(&same)).raw.is_empty());
    // What was wrong from the start can be taken back too, and not given again.
    let foreign = format!("{base}, secretRef: {{namespace: b, name: s}}");
    let revoked = format!("{foreign}, revoked: true");
    assert!(judge("bob", &grant(&revoked), Some(&grant(&foreign))).raw.is_empty());
    assert_eq!(spoken(&judge("bob", &grant(&foreign), Some(&grant(&revoked)))), [AUTHOR, OBJECT]);
}

#[test]
fn what_the_status_gives() {
    let old = format!(
        "{PLAIN}, rotationPolicy: {{maxAgeDays: 30}}| lastRotatedAt: '2026-01-01T00:00:00Z'"
    );
    let rotated = old.replace("2026-01", "2026-11");
    assert_eq!(spoken(&judge("bob", &grant(&rotated), Some(&grant(&old)))), [AUTHOR]);
    let controller = "system:serviceaccount:krate-system:controller";
    assert!(judge(controller, &grant(&rotated), Some(&grant(&old))).raw.is_empty());
    let revoked = format!("{PLAIN}| phase: Revoked");
    assert!(judge("bob", &grant(&revoked), Some(&grant(PLAIN))).raw.is_empty());
    assert_eq!(spoken(&judge("bob", &grant(PLAIN), Some(&grant(&revoked)))), [AUTHOR]);
}

#[test]
fn denials() {
    let deny = format!("effect: deny, {PLAIN}");
    assert!(judge("bob", &grant(&deny), None).raw.is_empty(), "to deny gives nothing");
    assert_eq!(spoken(&judge("bob", &grant(PLAIN), Some(&grant(&deny)))), [AUTHOR]);
    let cases = [
        (format!("{deny}, revoked: true"), false),
        (deny.replace("name: coder", "name: other"), false),
        (deny.replace("name: s}", "name: s, keys: [k]}"), false),
        (deny.replace("name: s}", "name: t}"), false),
        (format!("{deny}, expiresAt: '2027-01-01T00:00:00Z'"), false),
        (format!("{deny}, purpose: because"), true),
    ];
    for (changed, free) in cases {
        let found = judge("bob", &grant(&changed), Some(&grant(&deny)));
        assert_eq!(found.raw.is_empty(), free, "{changed}");
        assert!(judge("ada", &grant(&changed), Some(&grant(&deny))).raw.is_empty(), "{changed}");
    }
    // To delete one is to give what it denied; to delete a grant is to take.
    let remove = |user: &str, fields: &str| {
        let mut facts = request(user, &grant(fields), None);
        facts.operation = Operation::Delete;
        facts.old_object = facts.object.take();
        fixture::found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY))
    };
    assert!(remove("bob", PLAIN).raw.is_empty());
    assert_eq!(spoken(&remove("bob", &deny)), [AUTHOR]);
    assert!(remove("ada", &deny).raw.is_empty());
    assert_eq!(spoken(&remove("system:serviceaccount:a:robot", &deny)), ["PF-SEC-006 $"]);
    assert!(remove("system:serviceaccount:kube-system:namespace-controller", &deny).raw.is_empty());
}

#[test]
fn deputies_and_nobody() {
    let syncer = "system:serviceaccount:krate-system:syncer";
    assert_eq!(spoken(&judge(syncer, &grant(PLAIN), None)), [AUTHOR]);
    for (user, allowed) in [("ada", true), ("bob", false)] {
        let mut facts = request(syncer, &grant(PLAIN), None);
        let requester = facts.requester.as_mut().expect("somebody");
        requester.extra.insert("example.com/user".to_owned(), vec![user.to_owned()]);
        let found =
            fixture::found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY));
        assert_eq!(found.raw.is_empty(), allowed, "{user}: {:?}", spoken(&found));
    }
    assert_eq!(judge("", &grant(PLAIN), None).undecided, [RuleId::SEC_GRANT_AUTHOR]);
}

/// The API server may know of rights that RBAC in the view doesn't show.
#[test]
fn the_api_server_is_asked() {
    let found = judge("bob", &grant(PLAIN), None);
    let [Question::Access(question)] = found.questions.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (question.verb, question.resource.as_str(), question.name.as_str()),
        ("get", "secrets", "s")
    );
    assert_eq!(question.namespace, "a");
    let mut facts = request("bob", &grant(PLAIN), None);
    for (granted, allowed) in [(true, true), (false, false)] {
        facts.answers = Answers { access: vec![(question.clone(), granted)], ..Answers::default() };
        let found =
            fixture::found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY));
        assert_eq!(found.raw.is_empty(), allowed);
        assert!(found.questions.is_empty(), "asked once");
    }
}

/// What an AgentServiceAccount lists for pulling is used without a grant: whoever adds to the list must be able to read it.
#[test]
fn pull_secrets_of_an_agent_service_account() {
    let record = |fields: &str| {
        value(&format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {{name: p, namespace: a}}, spec: {{{fields}}}}}"
        ))
    };
    let pulls = "serviceAccountName: x, imagePullSecretRefs: [s]";
    let denied: &[&str] = &["PF-SEC-006 $.spec.imagePullSecretRefs"];
    let cases: [(&str, &str, Option<&str>, &[&str]); 10] = [
        ("ada", pulls, None, &[]),
        ("bob", pulls, None, denied),
        ("bob", "serviceAccountName: x", None, &[]),
        ("bob", pulls, Some("serviceAccountName: x"), denied),
        ("ada", pulls, Some("serviceAccountName: x"), &[]),
        ("bob", "serviceAccountName: x, imagePullSecretRefs: [s, t]", Some(pulls), denied),
        // What it had it keeps, and may lose; but not for another ServiceAccount.
        (
            "bob",
            "serviceAccountName: x, imagePullSecretRefs: [s], automountServiceAccountToken: true",
            Some(pulls),
            &[],
        ),
        ("bob", "serviceAccountName: x", Some(pulls), &[]),
        ("bob", "serviceAccountName: y, imagePullSecretRefs: [s]", Some(pulls), denied),
        (
            "ada",
            "serviceAccountName: x, namespace: a2, imagePullSecretRefs: [s]",
            Some(pulls),
            denied,
        ),
    ];
    for (user, new, old, expected) in cases {
        let found = judge(user, &record(new), old.map(record).as_ref());
        assert_eq!(spoken(&found), expected, "{user} {new} after {old:?}");
    }
    let names: Vec<String> = (0..65).map(|at| format!("s{at}")).collect();
    let many = format!("serviceAccountName: x, imagePullSecretRefs: [{}]", names.join(", "));
    assert_eq!(spoken(&judge("ada", &record(&many), None)), denied);
}

/// A list that costs every decision about its Secret as much as its writer likes is refused, in a denial too.
#[test]
fn very_long_lists() {
    let keys = |count: usize| (0..count).map(|at| format!("k{at}")).collect::<Vec<_>>().join(", ");
    let of = |count: usize, rest: &str| {
        grant(&format!(
            "subject: {{kind: service-account, name: coder}}, secretRef: {{name: s, keys: [{}]}}{rest}",
            keys(count)
        ))
    };
    let long = ["PF-SEC-006 $.spec.secretRef.keys"];
    assert!(judge("ada", &of(1_024, ""), None).raw.is_empty());
    assert_eq!(spoken(&judge("ada", &of(1_025, ""), None)), long);
    assert_eq!(spoken(&judge("ada", &of(1_025, ", effect: deny"), None)), long);
    assert!(judge("bob", &of(1_025, ", revoked: true"), Some(&of(1_025, ""))).raw.is_empty());
}

//! PF-RBAC-008: what is Pinfold's own, who may change it, and impersonation by agents.

use pinfold_model::facts::{AdmissionFacts, Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Meta, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::context::Found;
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const WEBHOOK: &str = "system:serviceaccount:pinfold-system:pinfold-webhook";
const REPLICASETS: &str = "system:serviceaccount:kube-system:replicaset-controller";

fn settings() -> AdmissionPolicy {
    policy(
        "organizations: {platformAdmins: {users: [root], groups: [system:masters]}}
agents: {serviceAccounts: ['*/agent-*']}
rbac:
  deputies:
  - {user: syncer, onBehalfOf: {annotation: {user: example.org/by, groups: example.org/groups, setByDeputy: true}}}
  - {user: other, onBehalfOf: {annotation: {user: other.org/by, setByDeputy: true}}}
  - user: flux
    onBehalfOf: {annotation: {user: pinfold.dev/vouched-user, signature: pinfold.dev/vouched-signature,
      publicKey: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}}",
    )
}

fn cluster() -> Snapshot {
    view(
        "{apiVersion: v1, kind: Namespace, metadata: {name: acme}}
        {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, namespace: acme, uid: rs-1, labels: {pinfold.dev/own: o}}, spec: {template: {metadata: {labels: {pinfold.dev/tier: a}, annotations: {pinfold.dev/policy: p}}, spec: {containers: []}}}}
        {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: acts-as}, rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]}
        {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: view}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}
        {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: acme}, roleRef: {kind: ClusterRole, name: bound}, subjects: [{kind: ServiceAccount, name: agent-a}]}",
    )
}

fn judged(facts: &AdmissionFacts) -> Found {
    found(super::super::judge, facts, &cluster(), &settings())
}

/// The paths of PF-RBAC-008.
fn told(facts: &AdmissionFacts) -> Vec<String> {
    let own = |line: String| line.strip_prefix("PF-RBAC-008 ").map(str::to_owned);
    spoken(&judged(facts)).into_iter().filter_map(own).collect()
}

fn asks(user: &str, facts: &mut AdmissionFacts) {
    let requester = facts.requester.as_mut().expect("a requester");
    let mut words = user.split(' ').map(str::to_owned);
    requester.name = words.next().expect("a name");
    requester.groups = words.collect();
}

fn create(user: &str, yaml: &str) -> AdmissionFacts {
    let mut facts = request("x", &value(yaml), None);
    asks(user, &mut facts);
    facts
}

fn update(user: &str, old: &str, new: &str) -> AdmissionFacts {
    let mut facts = request("x", &value(new), Some(&value(old)));
    asks(user, &mut facts);
    facts
}

/// Everything that is Pinfold's own, by creation and deletion, and who may.
#[test]
fn its_objects_are_its_administrators() {
    let own = [
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: pinfold-policy, namespace: pinfold-system}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: pinfold-webhook-ca, namespace: pinfold-system}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: pinfold-system}, spec: {containers: []}}",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: pinfold-system}}",
        "{apiVersion: policy/v1, kind: Eviction, metadata: {name: p, namespace: pinfold-system}}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: pinfold-system}}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: pinfold-system}}",
        "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}}",
        "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: p, namespace: acme}}",
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: agentpolicies.pinfold.dev}}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: pinfold-webhook}}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: pinfold-webhook}, roleRef: {kind: ClusterRole, name: view}}",
        "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: pinfold}}",
    ];
    for yaml in own {
        for user in [
            "dev system:authenticated",
            "system:serviceaccount:acme:agent-a system:masters",
            "syncer system:masters",
            "system:serviceaccount:pinfold-system:default",
            "system:serviceaccount:kube-system:default",
            REPLICASETS,
        ] {
            let is_pod = yaml.contains("kind: Pod");
            if user == REPLICASETS && is_pod {
                continue;
            }
            assert_eq!(told(&create(user, yaml)), ["$"], "{user}: {yaml}");
            let mut delete = create(user, yaml);
            delete.operation = Operation::Delete;
            delete.old_object = delete.object.take();
            assert_eq!(told(&delete), ["$"], "{user} deletes: {yaml}");
        }
        for user in ["root", "x system:masters", WEBHOOK] {
            assert!(told(&create(user, yaml)).is_empty(), "{user}: {yaml}");
        }
        let cleaner = "system:serviceaccount:kube-system:generic-garbage-collector";
        let mut collected = create(cleaner, yaml);
        collected.operation = Operation::Delete;
        collected.old_object = collected.object.take();
        assert!(told(&collected).is_empty(), "{yaml}");
        let mut unknown = create("x", yaml);
        unknown.requester = None;
        let found = judged(&unknown);
        assert!(found.undecided.contains(&RuleId::RBAC_OWN), "{yaml}");
    }
    let others = [
        "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: pinfold-system}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: pinfold-policy, namespace: acme}}",
        "{apiVersion: other.dev/v1, kind: AgentPolicy, metadata: {name: p, namespace: acme}}",
        "{apiVersion: notpinfold.dev/v1, kind: AgentPolicy, metadata: {name: p, namespace: acme}}",
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.notpinfold.dev}}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: acme}}",
    ];
    for yaml in others {
        assert!(told(&create("dev", yaml)).is_empty(), "{yaml}");
    }
}

/// What the control plane does for Pinfold's own objects, and nothing beside.
#[test]
fn the_control_plane_works_in_its_namespace() {
    let nodes = "system:node:n1 system:nodes";
    let account = |name: &str| format!("system:serviceaccount:kube-system:{name}");
    let cases = [
        (account("deployment-controller"), Operation::Create, "ReplicaSet", "", true),
        (account("deployment-controller"), Operation::Create, "Secret", "", false),
        (account("replicaset-controller"), Operation::Create, "Pod", "", true),
        (account("replicaset-controller"), Operation::Delete, "Pod", "", true),
        (account("replicaset-controller"), Operation::Connect, "Pod", "exec", false),
        (account("endpointslice-controller"), Operation::Update, "EndpointSlice", "", true),
        (
            account("disruption-controller"),
            Operation::Update,
            "PodDisruptionBudget",
            "status",
            true,
        ),
        (account("namespace-controller"), Operation::Delete, "Secret", "", true),
        (account("generic-garbage-collector"), Operation::Create, "Secret", "", false),
        (account("service-account-controller"), Operation::Create, "ServiceAccount", "", true),
        (account("root-ca-cert-publisher"), Operation::Update, "ConfigMap", "", false),
        (account("unheard-of"), Operation::Create, "Pod", "", false),
        (
            "system:serviceaccount:acme:replicaset-controller".to_owned(),
            Operation::Create,
            "Pod",
            "",
            false,
        ),
        ("system:kube-scheduler".to_owned(), Operation::Create, "Binding", "binding", true),
        ("system:kube-scheduler".to_owned(), Operation::Create, "Pod", "", false),
        ("system:kube-controller-manager".to_owned(), Operation::Create, "Pod", "", true),
        ("system:apiserver".to_owned(), Operation::Update, "Service", "", true),
        (nodes.to_owned(), Operation::Update, "Pod", "status", true),
        (nodes.to_owned(), Operation::Update, "Pod", "", false),
        (nodes.to_owned(), Operation::Delete, "Pod", "", true),
        (nodes.to_owned(), Operation::Create, "TokenRequest", "token", true),
        (nodes.to_owned(), Operation::Create, "Secret", "", false),
        ("system:node:n1".to_owned(), Operation::Delete, "Pod", "", false),
        ("dev".to_owned(), Operation::Create, "TokenRequest", "token", false),
        ("dev".to_owned(), Operation::Connect, "PodExecOptions", "exec", false),
        ("root".to_owned(), Operation::Connect, "PodExecOptions", "exec", true),
    ];
    for (user, operation, kind, subresource, allowed) in cases {
        let mut facts = create(
            &user,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: n, namespace: pinfold-system}}",
        );
        facts.operation = operation;
        subresource.clone_into(&mut facts.subresource);
        facts.target = ObjectKey::new("", kind, "pinfold-system", "n");
        facts.object = Some(Object {
            key: facts.target.clone(),
            meta: Meta::default(),
            facts: pinfold_model::object::Facts::MetaOnly,
        });
        assert_eq!(told(&facts).is_empty(), allowed, "{user} {operation:?} {kind}/{subresource}");
    }
    let root_ca = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: pinfold-system}}";
    assert!(told(&create(&account("root-ca-cert-publisher"), root_ca)).is_empty());
}

/// The guarded label, by any subresource and whatever else changes.
#[test]
fn the_guarded_label() {
    let namespace = |labels: &str| {
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: n, labels: {{{labels}}}}}}}")
    };
    let (guarded, off, plain) = (
        namespace("pinfold.dev/agents: 'true', a: b"),
        namespace("pinfold.dev/agents: 'false'"),
        namespace("a: b"),
    );
    let path = "$.metadata.labels['pinfold.dev/agents']";
    for subresource in ["", "status", "finalize"] {
        for (old, new, refused) in [
            (&plain, &guarded, true),
            (&guarded, &plain, true),
            (&guarded, &off, true),
            (&guarded, &guarded, false),
            (&off, &namespace("pinfold.dev/agents: 'false', more: c"), false),
        ] {
            for (user, may) in [("dev", false), ("x system:masters", true), (REPLICASETS, false)] {
                let mut facts = update(user, old, new);
                subresource.clone_into(&mut facts.subresource);
                let expected: &[&str] = if refused && !may { &[path] } else { &[] };
                assert_eq!(told(&facts), expected, "{user} {subresource}: {old} to {new}");
            }
        }
    }
    assert_eq!(told(&create("dev", &guarded)), [path]);
    assert!(told(&create("dev", &plain)).is_empty());
}

/// Who, metadata before and after, what is refused.
const MARKS: &[(&str, &str, &str, &str)] = &[
    (
        "dev",
        "",
        "annotations: {pinfold.dev/policy: p}",
        "$.metadata.annotations['pinfold.dev/policy']",
    ),
    ("dev", "", "labels: {pinfold.dev/tier: a}", "$.metadata.labels['pinfold.dev/tier']"),
    ("dev", "", "labels: {sub.pinfold.dev/tier: a}", "$.metadata.labels['sub.pinfold.dev/tier']"),
    ("dev", "", "labels: {notpinfold.dev/tier: a, pinfold.dev: b}", ""),
    ("dev", "labels: {pinfold.dev/tier: a}", "", "$.metadata.labels['pinfold.dev/tier']"),
    (
        "dev",
        "labels: {pinfold.dev/tier: a}",
        "labels: {pinfold.dev/tier: b}",
        "$.metadata.labels['pinfold.dev/tier']",
    ),
    ("dev", "labels: {pinfold.dev/tier: a}", "labels: {pinfold.dev/tier: a, b: c}", ""),
    ("root", "", "annotations: {pinfold.dev/policy: p}", ""),
    ("agent system:masters", "", "annotations: {pinfold.dev/policy: p}", ""),
    (
        "system:serviceaccount:acme:agent-a system:masters",
        "",
        "annotations: {pinfold.dev/policy: p}",
        "$.metadata.annotations['pinfold.dev/policy']",
    ),
    (WEBHOOK, "", "annotations: {pinfold.dev/policy: p}", ""),
    // The stamp is PF-TRU-001's.
    ("dev", "", "annotations: {pinfold.dev/run: r/u}", ""),
    ("dev", "", "labels: {pinfold.dev/run: r}", "$.metadata.labels['pinfold.dev/run']"),
    // What a deputy says.
    ("syncer", "", "annotations: {example.org/by: dev, example.org/groups: a}", ""),
    ("dev", "", "annotations: {example.org/by: root}", "$.metadata.annotations['example.org/by']"),
    (
        "root",
        "",
        "annotations: {example.org/groups: a}",
        "$.metadata.annotations['example.org/groups']",
    ),
    (
        "other",
        "",
        "annotations: {example.org/by: root}",
        "$.metadata.annotations['example.org/by']",
    ),
    ("dev", "annotations: {example.org/by: root}", "annotations: {a: b}", ""),
    (
        "dev",
        "annotations: {example.org/by: dev}",
        "annotations: {example.org/by: root}",
        "$.metadata.annotations['example.org/by']",
    ),
    ("dev", "", "labels: {example.org/by: root}", ""),
    // A signed statement proves itself, so anybody may carry it.
    (
        "dev",
        "",
        "annotations: {pinfold.dev/vouched-user: root, pinfold.dev/vouched-signature: AAAA}",
        "",
    ),
];

#[test]
fn labels_and_annotations_of_pinfold() {
    let pod = |meta: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: acme, {meta}}}, spec: {{containers: []}}}}"
        )
    };
    for (user, old, new, expected) in MARKS.iter().copied() {
        let facts = if old.is_empty() {
            create(user, &pod(new))
        } else {
            update(user, &pod(old), &pod(new))
        };
        let expected: Vec<&str> = [expected].into_iter().filter(|path| !path.is_empty()).collect();
        assert_eq!(told(&facts), expected, "{user}: {old} to {new}");
    }
    let template = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: acme}, spec: {template: {metadata: {annotations: {pinfold.dev/policy: p}, labels: {pinfold.dev/tier: a}}, spec: {containers: []}}}}";
    let paths = [
        "$.spec.template.metadata.annotations['pinfold.dev/policy']",
        "$.spec.template.metadata.labels['pinfold.dev/tier']",
    ];
    assert_eq!(told(&create("dev", template)), paths);
    assert!(told(&create("root", template)).is_empty());
}

/// A controller of the API server's passes on what its owner's template has, because that was judged, and nothing else.
#[test]
fn what_a_template_has_its_pods_may_have() {
    let pod = |meta: &str, uid: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: acme, {meta}, ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: {uid}, controller: true}}]}}, spec: {{containers: []}}}}"
        )
    };
    let annotation = "$.metadata.annotations['pinfold.dev/policy']";
    let cases = [
        (
            REPLICASETS,
            "annotations: {pinfold.dev/policy: p}, labels: {pinfold.dev/tier: a}",
            "rs-1",
            "",
        ),
        ("system:kube-controller-manager", "annotations: {pinfold.dev/policy: p}", "rs-1", ""),
        (REPLICASETS, "labels: {pinfold.dev/own: o}", "rs-1", ""),
        (REPLICASETS, "annotations: {pinfold.dev/policy: q}", "rs-1", annotation),
        (
            REPLICASETS,
            "annotations: {pinfold.dev/tier: a}",
            "rs-1",
            "$.metadata.annotations['pinfold.dev/tier']",
        ),
        (REPLICASETS, "annotations: {pinfold.dev/policy: p}", "rs-2", annotation),
        ("dev", "annotations: {pinfold.dev/policy: p}", "rs-1", annotation),
        (
            "system:serviceaccount:kube-system:endpoint-controller",
            "annotations: {pinfold.dev/policy: p}",
            "rs-1",
            annotation,
        ),
    ];
    for (user, meta, uid, expected) in cases {
        let expected: Vec<&str> = [expected].into_iter().filter(|path| !path.is_empty()).collect();
        assert_eq!(told(&create(user, &pod(meta, uid))), expected, "{user} {meta} {uid}");
    }
    let mut late = create(REPLICASETS, &pod("annotations: {pinfold.dev/policy: p}", "rs-9"));
    let key = ObjectKey::new("apps", "ReplicaSet", "acme", "rs");
    assert_eq!(judged(&late).questions, [Question::Object(key.clone())], "the watch may lag");
    let owner = cluster().get(&key).cloned().expect("a set");
    let made_again =
        Object { meta: Meta { uid: "rs-9".to_owned(), ..owner.meta.clone() }, ..owner };
    late.answers.objects = vec![(key, Some(made_again))];
    assert!(told(&late).is_empty());
}

/// Pinfold's account gets no rights from others, and others get none of its role.
#[test]
fn its_account_and_its_role_are_not_for_others() {
    let binding = |role: &str, subject: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: b}}, roleRef: {{kind: ClusterRole, name: {role}}}, subjects: [{subject}]}}"
        )
    };
    let cases = [
        ("view", "{kind: ServiceAccount, name: pinfold-webhook, namespace: pinfold-system}", true),
        (
            "view",
            "{kind: User, name: 'system:serviceaccount:pinfold-system:pinfold-webhook'}",
            true,
        ),
        ("view", "{kind: Group, name: 'system:serviceaccounts:pinfold-system'}", true),
        ("view", "{kind: ServiceAccount, name: pinfold-webhook, namespace: acme}", false),
        ("pinfold-webhook", "{kind: User, name: dev}", true),
        ("view", "{kind: User, name: dev}", false),
    ];
    for (role, subject, refused) in cases {
        let yaml = binding(role, subject);
        assert_eq!(!told(&create("dev", &yaml)).is_empty(), refused, "{yaml}");
        assert!(told(&create("root", &yaml)).is_empty(), "{yaml}");
        assert!(told(&update("dev", &yaml, &yaml)).is_empty(), "nothing new: {yaml}");
    }
    let agents = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: b, namespace: acme}, spec: {subject: {kind: service-account, serviceAccountRef: {namespace: pinfold-system, name: pinfold-webhook}}, scope: {kind: namespace}, roleRef: {kind: ClusterRole, name: view}}}";
    assert_eq!(told(&create("dev", agents)), ["$.spec.subject"]);
}

/// Every form of impersonation, by every way to an agent; whoever gives it.
#[test]
fn no_role_of_an_agent_grows_to_impersonate() {
    let role = |verbs: &str, groups: &str, resources: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: bound}}, rules: [{{verbs: [{verbs}], apiGroups: [{groups}], resources: [{resources}]}}]}}"
        )
    };
    let impersonating = [
        ("impersonate", "''", "users"),
        ("get, impersonate", "''", "groups"),
        ("impersonate", "''", "serviceaccounts"),
        ("impersonate", "authentication.k8s.io", "uids"),
        ("impersonate", "authentication.k8s.io", "userextras/scopes"),
        ("'impersonate:user-info'", "authentication.k8s.io", "users"),
        ("'impersonate:serviceaccount'", "authentication.k8s.io", "serviceaccounts"),
        ("'impersonate:arbitrary-node'", "authentication.k8s.io", "nodes"),
        ("'impersonate-on:user-info:list'", "''", "pods"),
        ("'*'", "''", "users"),
        ("'*'", "'*'", "'*'"),
        ("'*'", "authentication.k8s.io", "userextras/a"),
    ];
    let harmless = [
        ("get", "''", "users"),
        ("'*'", "''", "pods"),
        ("'*'", "apps", "users"),
        ("impersonated", "''", "users"),
    ];
    let empty = role("get", "''", "pods");
    for (rules, refused) in
        impersonating.iter().map(|one| (one, true)).chain(harmless.iter().map(|one| (one, false)))
    {
        let (verbs, groups, resources) = rules;
        let new = role(verbs, groups, resources);
        let expected: &[&str] = if refused { &["$.rules[0].verbs"] } else { &[] };
        assert_eq!(told(&update("x system:masters", &empty, &new)), expected, "{new}");
        assert!(told(&update("x system:masters", &new, &new)).is_empty(), "{new}");
    }
}

#[test]
fn no_agent_is_bound_to_impersonate() {
    let binding = |role: &str, subject: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: b}}, roleRef: {{kind: ClusterRole, name: {role}}}, subjects: [{subject}]}}"
        )
    };
    let subjects = [
        ("{kind: ServiceAccount, name: agent-a, namespace: acme}", true),
        ("{kind: User, name: 'system:serviceaccount:acme:agent-a'}", true),
        ("{kind: Group, name: 'system:serviceaccounts:acme'}", true),
        ("{kind: Group, name: 'system:authenticated'}", true),
        ("{kind: ServiceAccount, name: ci, namespace: acme}", false),
        ("{kind: User, name: ada}", false),
    ];
    for (subject, refused) in subjects {
        let yaml = binding("acts-as", subject);
        let expected: &[&str] = if refused { &["$.roleRef"] } else { &[] };
        assert_eq!(told(&create("x system:masters", &yaml)), expected, "{yaml}");
        assert!(told(&create("x system:masters", &binding("view", subject))).is_empty());
        assert!(told(&update("x system:masters", &yaml, &yaml)).is_empty(), "nothing new: {yaml}");
    }
    let agents = |spec: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {{name: b, namespace: acme}}, spec: {{scope: {{kind: namespace}}, {spec}}}}}"
        )
    };
    let acts = "[{verbs: [get], apiGroups: [''], resources: [pods]}, {verbs: [impersonate], apiGroups: [''], resources: [users]}]";
    for (subject, refused) in [
        ("agent-stack", true),
        ("runner-pool", true),
        ("service-account", true),
        ("user", false),
        ("team", false),
    ] {
        let subject = format!("subject: {{kind: {subject}, name: s}}");
        for (rest, path) in [
            ("roleRef: {kind: ClusterRole, name: acts-as}".to_owned(), "$.spec.roleRef"),
            (format!("resourceRules: {acts}"), "$.spec.resourceRules[1]"),
        ] {
            let yaml = agents(&format!("{subject}, {rest}"));
            let expected: Vec<&str> = [path].into_iter().filter(|_| refused).collect();
            assert_eq!(told(&create("x system:masters", &yaml)), expected, "{yaml}");
        }
    }
}

#[test]
fn messages_say_who_and_what() {
    let message = |facts: &AdmissionFacts| {
        let found = judged(facts);
        found.raw.iter().find(|raw| raw.rule == RuleId::RBAC_OWN).expect("told").message.clone()
    };
    let policy = "{apiVersion: v1, kind: ConfigMap, metadata: {name: pinfold-policy, namespace: pinfold-system}}";
    assert_eq!(
        message(&create("dev", policy)),
        "this makes `ConfigMap/pinfold-policy` in Pinfold's namespace, and `dev` is no platform administrator"
    );
    let agent = "system:serviceaccount:acme:agent-a";
    assert_eq!(
        message(&create(&format!("{agent} system:masters"), policy)),
        format!(
            "this makes `ConfigMap/pinfold-policy` in Pinfold's namespace, and `{agent}`, an agent identity, is no platform administrator"
        )
    );
}

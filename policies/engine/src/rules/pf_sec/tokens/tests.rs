//! Tokens of agent identities: what their AgentServiceAccounts allow, and what nobody does.

mod trust;

use pinfold_model::facts::Requester;
use pinfold_model::object::Change;
use pinfold_model::snapshot::Snapshot;

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const CLUSTER: &str = r#"
    {apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {pinfold.dev/agents: "true"}}}
    {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
    {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: coder, namespace: acme}, spec: {serviceAccountName: coder, tokenAudience: "https://agents.example", tokenExpirationSeconds: 3600}}
    {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: reader, namespace: acme}, spec: {serviceAccountName: reader, automountServiceAccountToken: true}}
    {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: twice-a, namespace: acme}, spec: {serviceAccountName: twice, automountServiceAccountToken: true, tokenExpirationSeconds: 7200}}
    {apiVersion: kradle.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: twice-b, namespace: acme}, spec: {serviceAccountName: twice, tokenExpirationSeconds: 600}}
    {apiVersion: v1, kind: ServiceAccount, metadata: {name: coder, namespace: acme}}
    {apiVersion: v1, kind: ServiceAccount, metadata: {name: twice, namespace: acme}, automountServiceAccountToken: false}
    {apiVersion: v1, kind: Secret, metadata: {name: builder-token, namespace: acme, annotations: {kubernetes.io/service-account.name: builder}}}
    {apiVersion: v1, kind: Secret, metadata: {name: coder-token, namespace: acme, annotations: {kubernetes.io/service-account.name: coder}}}
    {apiVersion: v1, kind: Secret, metadata: {name: plain, namespace: acme}}
    {apiVersion: v1, kind: Secret, metadata: {name: builder-token, namespace: shop, annotations: {kubernetes.io/service-account.name: builder}}}
"#;

fn judged(user: &str, new: &str, old: Option<&str>, change: impl Fn(&mut Requester)) -> Found {
    let (new, old) = (value(new), old.map(value));
    let mut facts = request(user, &new, old.as_ref());
    facts.requester.iter_mut().for_each(&change);
    if new["kind"] == "TokenRequest" {
        facts.subresource = "token".to_owned();
    }
    found(judge, &facts, &cluster(), &policy("agents: {serviceAccounts: ['*/agent-*']}"))
}

fn cluster() -> Snapshot {
    view(CLUSTER)
}

fn told(user: &str, new: &str) -> Vec<String> {
    spoken(&judged(user, new, None, |_| {}))
}

fn token(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}"
    )
}

fn pod(account: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: acme}}, spec: {{serviceAccountName: {account}, containers: [{{name: c}}], {spec}}}}}"
    )
}

#[test]
fn token_requests() {
    let agents = "https://agents.example";
    let cases = [
        ("alice", "coder", format!("{{audiences: ['{agents}'], expirationSeconds: 3600}}"), vec![]),
        ("alice", "coder", format!("{{audiences: ['{agents}'], expirationSeconds: 600}}"), vec![]),
        ("alice", "coder", format!("{{audiences: ['{agents}']}}"), vec![]),
        ("alice", "coder", format!("{{audiences: ['{agents}'], expirationSeconds: 3601}}"), vec!["PF-SEC-008 $.spec.expirationSeconds"]),
        ("alice", "coder", format!("{{audiences: ['{agents}', vault]}}"), vec!["PF-SEC-008 $.spec.audiences[1]"]),
        ("alice", "coder", "{audiences: [vault], expirationSeconds: 86400}".to_owned(), vec!["PF-SEC-008 $.spec.audiences[0]", "PF-SEC-008 $.spec.expirationSeconds"]),
        ("alice", "coder", "{}".to_owned(), vec!["PF-SEC-008 $.spec.audiences"]),
        ("alice", "coder", "{audiences: ['https://kubernetes.default.svc']}".to_owned(), vec!["PF-SEC-008 $.spec.audiences[0]"]),
        ("alice", "reader", "{}".to_owned(), vec![]),
        ("alice", "reader", "{audiences: ['https://kubernetes.default.svc.cluster.local'], expirationSeconds: 3607}".to_owned(), vec![]),
        ("alice", "reader", "{audiences: [vault]}".to_owned(), vec!["PF-SEC-008 $.spec.audiences[0]"]),
        ("alice", "reader", "{expirationSeconds: 7200}".to_owned(), vec!["PF-SEC-008 $.spec.expirationSeconds"]),
        ("alice", "twice", "{expirationSeconds: 601}".to_owned(), vec!["PF-SEC-008 $.spec.expirationSeconds"]),
        ("alice", "twice", "{expirationSeconds: 600}".to_owned(), vec![]),
        ("alice", "builder", "{audiences: [vault], expirationSeconds: 86400}".to_owned(), vec![]),
        ("alice", "agent-x", "{audiences: [vault]}".to_owned(), vec![]),
        ("system:serviceaccount:acme:coder", "builder", "{}".to_owned(), vec!["PF-SEC-008 $.metadata.name"]),
        ("system:serviceaccount:acme:agent-x", "builder", "{}".to_owned(), vec!["PF-SEC-008 $.metadata.name"]),
        ("system:serviceaccount:acme:default", "builder", "{}".to_owned(), vec!["PF-SEC-008 $.metadata.name"]),
        ("system:serviceaccount:acme:coder", "reader", "{}".to_owned(), vec!["PF-SEC-008 $.metadata.name"]),
        ("system:serviceaccount:acme:coder", "coder", format!("{{audiences: ['{agents}']}}"), vec![]),
        ("system:serviceaccount:shop:vault-agent", "builder", "{}".to_owned(), vec![]),
    ];
    for (user, name, spec, expected) in cases {
        assert_eq!(told(user, &token("acme", name, &spec)), expected, "{user} {name} {spec}");
    }
    assert!(
        told("system:serviceaccount:acme:coder", &token("shop", "coder", "{}")).len() == 1,
        "of another namespace"
    );
}

#[test]
fn kubelets_ask_for_the_tokens_of_their_pods() {
    let spec = "{audiences: [vault], boundObjectRef: {kind: Pod, name: p}}";
    let node = judged("system:node:n1", &token("acme", "coder", spec), None, |node| {
        node.groups = vec!["system:nodes".to_owned()];
    });
    assert!(spoken(&node).is_empty());
    assert_eq!(
        told("system:node:n1", &token("acme", "coder", spec)),
        ["PF-SEC-008 $.spec.audiences[0]"]
    );
    let nobody = judged(
        "",
        &token("acme", "coder", "{audiences: ['https://agents.example']}"),
        None,
        |_| {},
    );
    assert_eq!(nobody.undecided.len(), 1);
}

#[test]
fn secrets_with_tokens() {
    let secret = |namespace: &str, account: &str, kind: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: {namespace}, annotations: {{kubernetes.io/service-account.name: {account}}}}}, type: {kind}}}"
        )
    };
    let path = "PF-SEC-008 $.metadata.annotations['kubernetes.io/service-account.name']";
    let kind = "kubernetes.io/service-account-token";
    for (namespace, account, kind, refused) in [
        ("acme", "coder", kind, true),
        ("acme", "agent-x", kind, true),
        ("acme", "default", kind, true),
        ("acme", "builder", kind, false),
        ("shop", "builder", kind, false),
        ("shop", "coder", kind, false),
        ("shop", "default", kind, false),
        ("acme", "coder", "Opaque", false),
    ] {
        let expected = if refused { vec![path] } else { Vec::new() };
        assert_eq!(
            told("alice", &secret(namespace, account, kind)),
            expected,
            "{namespace}/{account} {kind}"
        );
    }
    // An agent would become whoever's token it makes itself.
    let agent = "system:serviceaccount:acme:coder";
    assert_eq!(told(agent, &secret("acme", "builder", kind)), [path]);
    assert!(told("system:serviceaccount:acme:builder", &secret("acme", "web", kind)).is_empty());
    assert!(told("alice", "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: acme}, type: kubernetes.io/service-account-token}").is_empty());
    let there = secret("acme", "coder", kind);
    let filled = there.replace("type:", "data: {token: eA==}, type:");
    assert!(
        spoken(&judged("tokens", &filled, Some(&there), |_| {})).is_empty(),
        "what was there is filled and kept"
    );
    let other = secret("acme", "builder", kind);
    assert_eq!(
        spoken(&judged("alice", &there, Some(&other), |_| {})),
        [path],
        "pointed at an agent"
    );
}

#[test]
fn tokens_that_are_mounted() {
    let mount = "PF-SEC-008 $.spec.automountServiceAccountToken";
    for (account, spec, refused) in [
        ("coder", "automountServiceAccountToken: true", true),
        ("coder", "", true),
        ("coder", "automountServiceAccountToken: false", false),
        ("reader", "automountServiceAccountToken: true", false),
        ("reader", "", false),
        ("twice", "", false),
        ("twice", "automountServiceAccountToken: true", true),
        ("builder", "automountServiceAccountToken: true", false),
        ("agent-x", "automountServiceAccountToken: true", false),
    ] {
        let expected = if refused { vec![mount] } else { Vec::new() };
        assert_eq!(told("alice", &pod(account, spec)), expected, "{account} {spec}");
    }
    let template = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: acme}, spec: {template: {spec: {serviceAccount: coder, containers: []}}}}";
    assert_eq!(
        told("alice", template),
        ["PF-SEC-008 $.spec.template.spec.automountServiceAccountToken"]
    );
    // Somebody else's update of what was there goes through; one that makes it worse doesn't.
    let scaled = template.replace("spec: {template", "spec: {replicas: 0, template");
    assert!(spoken(&judged("alice", &scaled, Some(template), |_| {})).is_empty());
    let said =
        template.replace("containers: []", "automountServiceAccountToken: false, containers: []");
    assert_eq!(spoken(&judged("alice", template, Some(&said), |_| {})).len(), 1);
}

#[test]
fn a_service_account_that_isnt_known_is_asked_about() {
    let view = view(&CLUSTER.replace(
        "kind: ServiceAccount, metadata: {name: coder",
        "kind: ServiceAccount, metadata: {name: gone",
    ));
    let facts = request("alice", &value(&pod("coder", "")), None);
    let found = found(judge, &facts, &view, &policy("{}"));
    assert_eq!((spoken(&found).len(), found.questions.len()), (1, 1));
}

#[test]
fn tokens_that_are_projected() {
    let source = |source: &str| {
        format!(
            "automountServiceAccountToken: false, volumes: [{{name: t, projected: {{sources: [{{serviceAccountToken: {{path: t, {source}}}}}]}}}}]"
        )
    };
    let at = |field: &str| {
        format!("PF-SEC-008 $.spec.volumes[0].projected.sources[0].serviceAccountToken.{field}")
    };
    let (audience, expiration) = (at("audience"), at("expirationSeconds"));
    for (account, token, expected) in [
        ("coder", "audience: 'https://agents.example', expirationSeconds: 3600", vec![]),
        ("coder", "audience: 'https://agents.example'", vec![]),
        ("coder", "audience: vault", vec![audience.as_str()]),
        ("coder", "expirationSeconds: 600", vec![audience.as_str()]),
        (
            "coder",
            "audience: 'https://agents.example', expirationSeconds: 86400",
            vec![expiration.as_str()],
        ),
        ("coder", "expirationSeconds: 3607", vec![audience.as_str(), expiration.as_str()]),
        ("reader", "expirationSeconds: 3607", vec![]),
        ("builder", "audience: vault, expirationSeconds: 86400", vec![]),
    ] {
        assert_eq!(told("alice", &pod(account, &source(token))), expected, "{account} {token}");
    }
    let mounted = "volumes: [{name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}]}}]";
    assert_eq!(
        told("alice", &pod("coder", mounted)),
        ["PF-SEC-008 $.spec.automountServiceAccountToken"],
        "told once"
    );
    assert!(told("alice", &pod("reader", mounted)).is_empty());
}

#[test]
fn secrets_that_hold_a_token() {
    let volume = |name: &str| {
        format!(
            "automountServiceAccountToken: false, volumes: [{{name: v, secret: {{secretName: {name}}}}}]"
        )
    };
    let path = "PF-SEC-008 $.spec.volumes[0].secret.secretName";
    assert_eq!(told("alice", &pod("coder", &volume("builder-token"))), [path]);
    assert_eq!(told("alice", &pod("coder", &volume("coder-token"))), [path]);
    assert!(told("alice", &pod("coder", &volume("plain"))).is_empty());
    assert!(told("alice", &pod("coder", &volume("unknown"))).is_empty());
    let env = "automountServiceAccountToken: false, initContainers: [{name: i, envFrom: [{secretRef: {name: builder-token}}]}]";
    assert_eq!(
        told("alice", &pod("coder", env)),
        ["PF-SEC-008 $.spec.initContainers[0].envFrom[0].secretRef.name"]
    );
    let elsewhere =
        pod("web", &volume("builder-token")).replace("namespace: acme", "namespace: shop");
    assert!(told("alice", &elsewhere).is_empty(), "no agent's");
}

#[test]
fn service_accounts_that_mount() {
    let account = |name: &str, rest: &str| {
        format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: acme}}{rest}}}"
        )
    };
    let path = "PF-SEC-008 $.automountServiceAccountToken";
    let yes = ", automountServiceAccountToken: true";
    assert_eq!(told("alice", &account("coder", yes)), [path]);
    assert_eq!(told("alice", &account("twice", yes)), [path]);
    for (name, rest) in [
        ("coder", ""),
        ("coder", ", automountServiceAccountToken: false"),
        ("reader", yes),
        ("builder", yes),
    ] {
        assert!(told("alice", &account(name, rest)).is_empty(), "{name} {rest}");
    }
    let (new, old) =
        (account("coder", &format!("{yes}, secrets: [{{name: x}}]")), account("coder", yes));
    assert!(spoken(&judged("controller", &new, Some(&old), |_| {})).is_empty(), "as it was");
}

#[test]
fn the_message_says_what_is_allowed() {
    let found = judged(
        "alice",
        &token("acme", "coder", "{audiences: [vault], expirationSeconds: 7200}"),
        None,
        |_| {},
    );
    let messages: Vec<String> =
        found.raw.iter().map(|raw| format!("{}; {}", raw.message, raw.remedy)).collect();
    assert_eq!(
        messages,
        [
            "the token is for `vault`; AgentServiceAccount `acme/coder` allows `https://agents.example` alone; ask for audience `https://agents.example`",
            "the token lives for 7200 seconds; AgentServiceAccount `acme/coder` allows 3600; set `expirationSeconds` to 3600 or less",
        ]
    );
    let mut gone = request("alice", &value(&pod("coder", "")), None);
    gone.change = Change::Garbage;
    gone.operation = pinfold_model::facts::Operation::Update;
    assert!(
        spoken(&crate::organization::fixture::found(judge, &gone, &cluster(), &policy("{}")))
            .is_empty()
    );
}

//! Deputies: for whom they act, what counts then, and what they may give for nobody.

use pinfold_model::facts::{AccessQuestion, AdmissionFacts, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};
use serde_json::{Value, json};

use crate::context::{Context, Found};
use crate::organization::fixture::{self, NOW, policy, request};
use crate::rbac::notation;
use crate::vouch::{DEFAULT_KEYS, Signer};

/// Ed25519 key of these tests (RFC 8032 7.1, test 1), as PKCS#8.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// A GitOps controller that only signatures speak for, a syncer that sets its annotation, a proxy that impersonates, the control plane.
fn deputies() -> AdmissionPolicy {
    policy(&format!(
        "organizations: {{platformAdmins: {{users: [root], groups: [system:masters]}}}}
rbac:
  ceilings:
  - {{name: strict, namespaces: [strict], deny: [{{apiGroups: [''], resources: [pods], verbs: [get]}}]}}
  deputies:
  - serviceAccount: flux/kustomize
    uid: u-flux
    onBehalfOf:
      annotation: {{user: {user}, groups: {groups}, signature: {signature}, publicKey: {PUBLIC_KEY}}}
  - user: syncer
    onBehalfOf:
      annotation: {{user: example.org/by, groups: example.org/groups, setByDeputy: true}}
  - user: proxy
    onBehalfOf: {{extra: {{user: example.org/user, groups: example.org/groups}}}}
  - {{serviceAccount: krate-system/controller}}
  - {{user: bare, onBehalfOf: {{owner: false}}}}",
        user = DEFAULT_KEYS.user,
        groups = DEFAULT_KEYS.groups.expect("groups"),
        signature = DEFAULT_KEYS.signature,
    ))
}

/// dev may view in acme; a deputy holds everything.
const CLUSTER: &str = "
    Namespace acme
    Namespace acme-two
    Namespace strict
    ClusterRole cluster-admin : verbs=* groups=* resources=*; verbs=* urls=*
    ClusterRole view : verbs=get,list,watch resources=pods,services
    ClusterRole view-secrets : verbs=get,list,watch resources=secrets
    ClusterRole admin aggregates=to-admin:yes : resources=pods
    Role acme/reads : resources=pods
    RoleBinding acme/dev : ClusterRole/view to User/dev
    RoleBinding acme/devs : ClusterRole/view-secrets to Group/leads
    RoleBinding acme/robot : ClusterRole/view to Group/system:serviceaccounts:acme
    ClusterRoleBinding deputies : ClusterRole/cluster-admin to ServiceAccount/flux/kustomize User/syncer User/proxy User/bare ServiceAccount/krate-system/controller
    AgentStack acme/fixer : coder
    AgentRoleBinding acme/fixer uid=arb-1 : scope=namespace subject=agent-stack/fixer role=ClusterRole/view-secrets
    AgentRoleBinding acme/rules uid=arb-2 : scope=namespace subject=user/ada role=RoleTemplate/reader | resources=configmaps
    AgentRoleBinding acme/wide uid=arb-3 : scope=cluster subject=group/devs role=ClusterRole/view-secrets
";

const FLUX: &str = "system:serviceaccount:flux:kustomize";
const CONTROLLER: &str = "system:serviceaccount:krate-system:controller";

fn binding(namespace: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "x", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ada"}],
    })
}

fn annotated(mut document: Value, annotations: &[(&str, &str)]) -> Value {
    for (key, text) in annotations {
        document["metadata"]["annotations"][key] = json!(text);
    }
    document
}

fn signed(mut document: Value, user: &str, groups: &[&str]) -> Value {
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let key = pinfold_model::object::from_value(&document).expect("an object").key;
    let signer = Signer::read(KEY.as_bytes()).expect("a key");
    signer.vouch(user, &groups, &key, &mut document).expect("signed");
    document
}

/// A request by a deputy, with its uid.
fn by(user: &str, document: &Value) -> AdmissionFacts {
    let mut facts = request(user, document, None);
    if let Some(requester) = &mut facts.requester {
        requester.uid = if user == FLUX { "u-flux".to_owned() } else { String::new() };
    }
    facts
}

fn judged(facts: &AdmissionFacts) -> Found {
    judged_in(facts, &notation::cluster(CLUSTER))
}

fn judged_in(facts: &AdmissionFacts, view: &Snapshot) -> Found {
    let mut policy = deputies();
    let reader = pinfold_model::policy::rbac::RoleTemplate {
        description: String::new(),
        rules: notation::rules("resources=services").into(),
    };
    policy.rbac.role_templates.insert("reader".to_owned(), reader);
    let mut found = Found::default();
    let context = Context { facts, view, policy: &policy, now: NOW };
    let principal = super::super::deputy::principal(&context);
    super::super::judge_requester(&context, &principal, &mut found);
    found
}

fn told(facts: &AdmissionFacts) -> Vec<String> {
    fixture::spoken(&judged(facts))
}

/// Role, annotations, findings.
type Annotated = (&'static str, &'static [(&'static str, &'static str)], Texts);
/// Users, groups, role, findings.
type Impersonated = (Texts, Texts, &'static str, Texts);
type Texts = &'static [&'static str];

const ROLE: &str = "PF-RBAC-002 $.roleRef";

#[test]
fn a_signature_makes_the_person_the_one_who_is_judged() {
    const USER: &str = "PF-RBAC-002 $.metadata.annotations['pinfold.dev/vouched-user']";
    const SIGNATURE: &str = "PF-RBAC-002 $.metadata.annotations['pinfold.dev/vouched-signature']";
    let (view, secrets) = (|| binding("acme", "view"), || binding("acme", "view-secrets"));
    let moved = |mut document: Value| {
        document["roleRef"]["name"] = json!("cluster-admin");
        document
    };
    let cases: [(&str, Value, &[&str]); 14] = [
        ("the person holds it", signed(view(), "dev", &[]), &[]),
        ("the person doesn't", signed(secrets(), "dev", &[]), &[ROLE]),
        ("a group of the person does", signed(secrets(), "dev", &["leads"]), &[]),
        (
            "masters, signed",
            signed(binding("acme", "cluster-admin"), "root", &["system:masters"]),
            &[],
        ),
        (
            "groups that an account always has",
            signed(view(), "system:serviceaccount:acme:a", &[]),
            &[],
        ),
        ("another content", moved(signed(view(), "dev", &[])), &[SIGNATURE]),
        ("not signed", annotated(view(), &[("pinfold.dev/vouched-user", "dev")]), &[SIGNATURE]),
        ("signed for nobody", signed(view(), "", &[]), &[USER]),
        ("groups alone", annotated(view(), &[("pinfold.dev/vouched-groups", "leads")]), &[USER]),
        (
            "a signature alone",
            annotated(view(), &[("pinfold.dev/vouched-signature", "AAAA")]),
            &[USER],
        ),
        (
            "a group that was added",
            annotated(signed(secrets(), "dev", &[]), &[("pinfold.dev/vouched-groups", "leads")]),
            &[SIGNATURE],
        ),
        (
            "groups with a space",
            annotated(
                view(),
                &[("pinfold.dev/vouched-user", "dev"), ("pinfold.dev/vouched-groups", "a, b")],
            ),
            &[USER],
        ),
        ("for a deputy", signed(view(), CONTROLLER, &[]), &[USER]),
        ("for itself", signed(view(), FLUX, &[]), &[USER]),
    ];
    for (case, document, expected) in cases {
        assert_eq!(told(&by(FLUX, &document)), expected, "{case}");
    }
    let elsewhere = signed(view(), "dev", &[]);
    let mut copied = binding("acme", "view");
    copied["metadata"]["name"] = json!("y");
    copied["metadata"]["annotations"] = elsewhere["metadata"]["annotations"].clone();
    assert_eq!(told(&by(FLUX, &copied)), [SIGNATURE], "another object's signature");
    let mut unread = by(FLUX, &elsewhere);
    unread.document = None;
    assert_eq!(told(&unread), [SIGNATURE], "what can't be told is refused");
}

/// Somebody else gains nothing by annotations, and whoever has only the name of a deputy isn't one.
#[test]
fn annotations_of_others_say_nothing() {
    let admin = || binding("acme", "cluster-admin");
    let masters = signed(admin(), "root", &["system:masters"]);
    assert_eq!(told(&by("dev", &masters)), [ROLE]);
    let set = annotated(admin(), &[("example.org/by", "ops")]);
    assert_eq!(told(&by("dev", &set)), [ROLE]);
    let mut other_uid = by(FLUX, &signed(binding("acme", "view-secrets"), "dev", &[]));
    other_uid.requester.as_mut().expect("a requester").uid = "u-other".to_owned();
    assert_eq!(
        told(&other_uid),
        ["PF-RBAC-002 $.userInfo.uid"],
        "making the account again doesn't free it: it would hold everything"
    );
    let mut extra = by("dev", &admin());
    let requester = extra.requester.as_mut().expect("a requester");
    requester.extra.insert("example.org/user".to_owned(), vec!["ops".to_owned()]);
    assert_eq!(told(&extra), [ROLE]);
}

#[test]
fn what_the_deputy_alone_sets_counts_unsigned_but_never_masters() {
    const PATH: &str = "PF-RBAC-002 $.metadata.annotations['example.org/by']";
    let cases: [Annotated; 6] = [
        ("view", &[("example.org/by", "dev")], &[]),
        ("view-secrets", &[("example.org/by", "dev")], &[ROLE]),
        ("view-secrets", &[("example.org/by", "dev"), ("example.org/groups", "a,leads")], &[]),
        ("view", &[("example.org/by", "dev"), ("example.org/groups", "system:masters")], &[PATH]),
        ("view", &[("example.org/by", "syncer")], &[PATH]),
        ("view", &[("example.org/by", "")], &[PATH]),
    ];
    for (role, annotations, expected) in cases {
        let document = annotated(binding("acme", role), annotations);
        assert_eq!(told(&by("syncer", &document)), expected, "{role} {annotations:?}");
    }
}

#[test]
fn impersonation_extra_names_one_user_exactly() {
    const PATH: &str = "PF-RBAC-002 $.userInfo.extra['example.org/user']";
    let cases: [Impersonated; 7] = [
        (&["dev"], &[], "view", &[]),
        (&["dev"], &[], "view-secrets", &[ROLE]),
        (&["dev"], &["leads", "b"], "view-secrets", &[]),
        (&["dev", "ops"], &[], "view", &[PATH]),
        (&[""], &[], "view", &[PATH]),
        (&[], &["leads"], "view", &[PATH]),
        (&["dev"], &["system:masters"], "view", &[PATH]),
    ];
    for (users, groups, role, expected) in cases {
        let mut facts = by("proxy", &binding("acme", role));
        let requester = facts.requester.as_mut().expect("a requester");
        for (key, values) in [("example.org/user", users), ("example.org/groups", groups)] {
            if !values.is_empty() {
                let values = values.iter().map(|text| (*text).to_owned()).collect();
                requester.extra.insert(key.to_owned(), values);
            }
        }
        assert_eq!(told(&facts), expected, "{users:?} {groups:?} {role}");
    }
}

/// What a deputy may give for nobody, to whomever: nothing that the ceiling denies.
#[test]
fn for_nobody_the_ceiling_of_the_place_counts() {
    let cases = [
        ("RoleBinding acme/x : ClusterRole/view to User/ada", ""),
        ("RoleBinding acme/x : ClusterRole/view-secrets to User/ada", "PF-RBAC-002 $.roleRef"),
        ("RoleBinding strict/x : ClusterRole/view to User/ada", "PF-RBAC-002 $.roleRef"),
        ("RoleBinding strict/x : ClusterRole/view-secrets to User/ada", ""),
        ("ClusterRoleBinding x : ClusterRole/cluster-admin to User/ada", "PF-RBAC-002 $.roleRef"),
        ("RoleBinding acme/x : ClusterRole/absent to User/ada", "PF-RBAC-002 $.roleRef"),
        ("Role acme/x : resources=pods", ""),
        ("Role acme/x : resources=pods; resources=secrets", "PF-RBAC-001 $.rules[1]"),
        ("ClusterRole x : verbs=impersonate resources=users", "PF-RBAC-001 $.rules[0]"),
        ("ClusterRole x aggregates=a:b :", "PF-RBAC-001 $.aggregationRule"),
        ("AgentRoleBinding acme/x : role=ClusterRole/view", ""),
        ("AgentRoleBinding acme/x : role=ClusterRole/view-secrets", "PF-RBAC-003 $.spec.roleRef"),
        ("AgentRoleBinding acme/x : role=RoleTemplate/absent", "PF-RBAC-003 $.spec.roleRef"),
        ("AgentRoleBinding acme/x : | resources=secrets", "PF-RBAC-003 $.spec.resourceRules[0]"),
        (
            "AgentRoleBinding acme/x : subject=robot/x role=ClusterRole/view",
            "PF-RBAC-003 $.spec.subject.kind",
        ),
    ];
    for (line, expected) in cases {
        for deputy in [FLUX, "syncer", "proxy", "bare", CONTROLLER] {
            let mut facts = super::facts(deputy, pinfold_model::facts::Operation::Create, line, "");
            facts.requester.as_mut().expect("a requester").uid = "u-flux".to_owned();
            let expected: Vec<&str> =
                [expected].into_iter().filter(|text| !text.is_empty()).collect();
            assert_eq!(told(&facts), expected, "{deputy}: {line}");
        }
    }
    const SECRETS: &str = "ClusterRole/view-secrets to User/ada";
    let updates = [
        (
            format!("RoleBinding acme/x : {SECRETS}"),
            format!("RoleBinding acme/x : {SECRETS}"),
            false,
        ),
        (
            format!("RoleBinding acme/x labels=a:b : {SECRETS}"),
            format!("RoleBinding acme/x : {SECRETS}"),
            false,
        ),
        (
            format!("RoleBinding acme/x : {SECRETS} User/bob"),
            format!("RoleBinding acme/x : {SECRETS}"),
            true,
        ),
        (
            "ClusterRole x labels=a:b : resources=secrets".into(),
            "ClusterRole x : resources=secrets".into(),
            true,
        ),
        (
            "Role acme/x labels=a:b : resources=secrets".into(),
            "Role acme/x : resources=secrets".into(),
            false,
        ),
    ];
    for (new, old, refused) in updates {
        let update = super::facts("bare", pinfold_model::facts::Operation::Update, &new, &old);
        assert_eq!(!told(&update).is_empty(), refused, "{old} to {new}");
    }
}

/// Bindings that the control plane writes for an AgentRoleBinding.
#[test]
fn an_owner_is_carried_out_and_no_more() {
    let one = |line: &str| {
        let (owner, line) = line.split_once(' ').expect("owner, object");
        let mut object = notation::object(line);
        let (name, uid) = owner.split_once('/').expect("name/uid");
        own(&mut object, name, uid);
        object
    };
    let cases = [
        (
            "fixer/arb-1 RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
            "",
        ),
        (
            "fixer/arb-1 RoleBinding acme/x : ClusterRole/view-secrets to User/system:serviceaccount:acme:coder",
            "",
        ),
        (
            "fixer/arb-1 RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/coder User/ada",
            "$.subjects[1]",
        ),
        (
            "fixer/arb-1 RoleBinding acme/x : ClusterRole/view-secrets to Group/system:serviceaccounts:acme",
            "$.subjects[0]",
        ),
        (
            "fixer/arb-1 RoleBinding acme/x : ClusterRole/cluster-admin to ServiceAccount/acme/coder",
            "$.roleRef",
        ),
        ("fixer/arb-1 RoleBinding acme/x : Role/reads to ServiceAccount/acme/coder", "$.roleRef"),
        (
            "fixer/arb-1 RoleBinding acme-two/x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
            "$.metadata.ownerReferences",
        ),
        (
            "fixer/arb-1 ClusterRoleBinding x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
            "$.metadata.ownerReferences",
        ),
        (
            "fixer/arb-9 RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
            "$.metadata.ownerReferences",
        ),
        (
            "other/arb-1 RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
            "$.metadata.ownerReferences",
        ),
        ("rules/arb-2 Role acme/x : resources=configmaps; resources=services", ""),
        ("rules/arb-2 Role acme/x : resources=configmaps,secrets", "$.rules"),
        ("rules/arb-2 ClusterRole x labels=to-admin:yes : resources=services", "$.metadata.labels"),
        ("rules/arb-2 ClusterRole x aggregates=a:b : resources=services", "$.aggregationRule"),
        ("rules/arb-2 RoleBinding acme/x : Role/reads to User/ada", "$.roleRef"),
        ("wide/arb-3 ClusterRoleBinding x : ClusterRole/view-secrets to Group/devs", ""),
        ("wide/arb-3 RoleBinding acme/x : ClusterRole/view-secrets to Group/devs", ""),
    ];
    for (line, expected) in cases {
        let object = one(line);
        let mut facts = by(CONTROLLER, &binding("acme", "view"));
        facts.target = object.key.clone();
        facts.object = Some(object);
        let told: Vec<String> = judged(&facts).raw.into_iter().map(|raw| raw.path).collect();
        let expected: Vec<&str> = [expected].into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(told, expected, "{line}");
        let mut bare = facts.clone();
        bare.requester = request("bare", &binding("acme", "view"), None).requester;
        if line.contains("view-secrets") {
            assert!(!judged(&bare).raw.is_empty(), "owners don't count for it: {line}");
        }
    }
}

fn own(object: &mut Object, name: &str, uid: &str) {
    object.meta.owners = vec![pinfold_model::object::meta::Owner {
        group: "krate.a5c.ai".to_owned(),
        kind: "AgentRoleBinding".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: true,
    }];
}

/// The AgentRoleBinding is looked at as it is now: one that shrank or went away implies less.
#[test]
fn an_owner_is_confirmed() {
    let mut object = notation::object(
        "RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/coder",
    );
    own(&mut object, "fixer", "arb-1");
    let mut facts = by(CONTROLLER, &binding("acme", "view"));
    facts.target = object.key.clone();
    facts.object = Some(object);
    let key = ObjectKey::new("krate.a5c.ai", "AgentRoleBinding", "acme", "fixer");
    assert_eq!(judged(&facts).confirmations, [Question::Object(key.clone())]);
    let shrunk = "AgentRoleBinding acme/fixer uid=arb-1 : scope=namespace subject=agent-stack/fixer role=ClusterRole/view";
    facts.answers.objects = vec![(key.clone(), Some(notation::object(shrunk)))];
    assert_eq!(told(&facts), ["PF-RBAC-002 $.roleRef"]);
    facts.answers.objects = vec![(key.clone(), None)];
    assert_eq!(told(&facts), ["PF-RBAC-002 $.metadata.ownerReferences"]);
    let mut view = notation::cluster(CLUSTER);
    view.remove(&key);
    facts.answers.objects.clear();
    let found = judged_in(&facts, &view);
    assert_eq!(found.questions, [Question::Object(key.clone())], "the watch may lag");
    let there = "AgentRoleBinding acme/fixer uid=arb-1 : scope=namespace subject=agent-stack/fixer role=ClusterRole/view-secrets";
    facts.answers.objects = vec![(key, Some(notation::object(there)))];
    assert!(judged_in(&facts, &view).raw.is_empty());
}

/// `bind` and `escalate` are asked about the person, never about the deputy; and the role is looked at as it is now.
#[test]
fn questions_are_about_the_person() {
    let mut facts = by(FLUX, &signed(binding("acme", "view-secrets"), "dev", &[]));
    let question = |user: Option<&str>| AccessQuestion {
        user: user.map(|name| {
            let groups = vec!["system:authenticated".to_owned()];
            Box::new(pinfold_model::facts::Requester {
                name: name.to_owned(),
                groups,
                ..Default::default()
            })
        }),
        verb: "bind",
        group: RBAC_GROUP.to_owned(),
        resource: "clusterroles".to_owned(),
        namespace: "acme".to_owned(),
        name: "view-secrets".to_owned(),
    };
    assert_eq!(judged(&facts).questions[0], Question::Access(question(Some("dev"))));
    facts.answers.access = vec![(question(None), true)];
    assert_eq!(told(&facts), [ROLE], "what the deputy may doesn't count");
    facts.answers.access = vec![(question(Some("dev")), true)];
    assert!(told(&facts).is_empty());

    let held = by(FLUX, &signed(binding("acme", "view"), "dev", &[]));
    let role = ObjectKey::new(RBAC_GROUP, "ClusterRole", "", "view");
    assert_eq!(judged(&held).confirmations, [Question::Object(role)]);
    let own = by("dev", &binding("acme", "view"));
    assert!(judged(&own).confirmations.is_empty(), "the API server judged it already");
}

#[test]
fn messages_say_who_acts_for_whom() {
    let message = |facts: &AdmissionFacts| judged(facts).raw[0].message.clone();
    let signed = by(FLUX, &signed(binding("acme", "view-secrets"), "dev", &[]));
    let expected = "`dev`, for whom the deputy acts, does not hold `get,list,watch` on `secrets`";
    assert!(message(&signed).starts_with(expected), "{}", message(&signed));
    let nobody = by(FLUX, &binding("acme", "view-secrets"));
    let expected = format!("deputy `{FLUX}` doesn't say for whom it acts");
    assert!(message(&nobody).starts_with(&expected), "{}", message(&nobody));
    assert_eq!(judged(&nobody).raw[0].rule, RuleId::RBAC_BINDING);
}

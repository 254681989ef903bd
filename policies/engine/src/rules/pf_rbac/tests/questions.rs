//! What is asked of the API server, what its answers change, and what is told.

use crate::organization::fixture::NOW;
use pinfold_model::facts::Operation::{Create, Update};
use pinfold_model::facts::{AccessQuestion, AdmissionFacts, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::snapshot::RBAC_GROUP;
use serde_json::Value;

use super::{CLUSTER, facts, judge, policy};
use crate::admit::admit;
use crate::context::Found;
use crate::rbac::notation::{cluster, object};

fn access(verb: &'static str, resource: &str, namespace: &str, name: &str) -> AccessQuestion {
    AccessQuestion {
        user: None,
        verb,
        group: RBAC_GROUP.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn cluster_role(name: &str) -> ObjectKey {
    ObjectKey::new(RBAC_GROUP, "ClusterRole", "", name)
}

fn create(line: &str) -> AdmissionFacts {
    facts("dev", Create, line, "")
}

fn judged(facts: &AdmissionFacts) -> Found {
    judge(facts, &cluster(CLUSTER))
}

#[test]
fn a_role_asks_for_escalate_as_the_api_server_does() {
    let mut request = create("Role acme/x : resources=secrets");
    let question = access("escalate", "roles", "acme", "");
    assert_eq!(judged(&request).questions, [Question::Access(question.clone())]);
    request.answers.access = vec![(question.clone(), false)];
    let found = judged(&request);
    assert_eq!((found.raw.len(), found.questions.len()), (1, 0), "answered: not asked again");
    request.answers.access = vec![(question, true)];
    assert!(judged(&request).raw.is_empty());

    let update = facts("dev", Update, "ClusterRole x aggregates=a:b :", "ClusterRole x :");
    let named = access("escalate", "clusterroles", "", "x");
    assert_eq!(judged(&update).questions, [Question::Access(named)]);
    assert!(judged(&create("Role acme/x : resources=pods")).questions.is_empty());
}

#[test]
fn a_binding_asks_for_bind_and_for_the_role_alone() {
    let mut request = create("RoleBinding acme/x : ClusterRole/view-secrets to User/a");
    let question = access("bind", "clusterroles", "acme", "view-secrets");
    let key = cluster_role("view-secrets");
    let expected = [Question::Access(question.clone()), Question::Object(key.clone())];
    assert_eq!(judged(&request).questions, expected);

    request.answers.access = vec![(access("bind", "clusterroles", "acme", "other"), true)];
    assert_eq!(judged(&request).raw.len(), 1, "an answer to another question");
    request.answers.access = vec![(access("bind", "clusterroles", "beta", "view-secrets"), true)];
    assert_eq!(judged(&request).raw.len(), 1, "an answer for another namespace");
    request.answers.access = vec![(question, true)];
    assert!(judged(&request).raw.is_empty());
    request.answers.access = vec![(access("bind", "clusterroles", "", "view-secrets"), true)];
    assert!(judged(&request).raw.is_empty(), "allowed in all namespaces");
    request.answers.access.clear();

    let live = object("ClusterRole view-secrets : resources=pods");
    request.answers.objects = vec![(key, Some(live))];
    assert!(judged(&request).raw.is_empty(), "the role has shrunk");
}

#[test]
fn live_roles_win_over_the_view() {
    let mut request = create("RoleBinding acme/x : ClusterRole/absent to User/a");
    let key = cluster_role("absent");
    assert!(judged(&request).questions.contains(&Question::Object(key.clone())));
    request.answers.objects = vec![(key.clone(), None)];
    assert!(!judged(&request).questions.contains(&Question::Object(key.clone())));
    assert_eq!(judged(&request).raw.len(), 1);
    request.answers.objects = vec![(key, Some(object("ClusterRole absent : resources=pods")))];
    assert!(judged(&request).raw.is_empty());

    let mut grown = create("RoleBinding acme/x : ClusterRole/view to User/a");
    let now = object("ClusterRole view : verbs=get,list,watch resources=pods,services,secrets");
    grown.answers.objects = vec![(cluster_role("view"), Some(now))];
    assert!(judged(&grown).raw.is_empty(), "the requester is bound to the same role");
    let mut gone = create("RoleBinding acme/x : ClusterRole/view to User/a");
    gone.answers.objects = vec![(cluster_role("view"), None)];
    assert_eq!(judged(&gone).raw.len(), 1);
}

#[test]
fn an_agent_binding_asks_in_each_place_or_once_for_all() {
    let mut request =
        create("AgentRoleBinding acme/x : scope=organization/acme role=ClusterRole/shell");
    let both = ["acme", "acme-two"].map(|place| access("bind", "clusterroles", place, "shell"));
    let mut view = cluster(CLUSTER);
    view.remove(&ObjectKey::new(RBAC_GROUP, "RoleBinding", "acme", "shell"));
    let asked = judge(&request, &view).questions;
    let [acme, two] = both.clone().map(Question::Access);
    assert_eq!(asked, [acme, two, Question::Object(cluster_role("shell"))]);
    request.answers.access = both.map(|question| (question, true)).to_vec();
    assert!(judge(&request, &view).raw.is_empty());
    request.answers.access.pop();
    assert_eq!(judge(&request, &view).raw.len(), 1, "allowed in one place of two");

    for number in 0..20 {
        view.apply(object(&format!("OrgNamespaceBinding more{number} : acme more-{number}")));
        view.apply(object(&format!("Namespace more-{number}")));
    }
    let wide = access("bind", "clusterroles", "", "shell");
    let questions = judge(&request, &view).questions;
    assert!(questions.contains(&Question::Access(wide.clone())));
    assert_eq!(questions.len(), 2);
    request.answers.access = vec![(wide, true)];
    assert!(judge(&request, &view).raw.is_empty());
}

#[test]
fn too_many_namespaces_are_no_scope() {
    let request =
        create("AgentRoleBinding acme/x : scope=organization/acme role=ClusterRole/nothing");
    let mut view = cluster(CLUSTER);
    assert!(judge(&request, &view).raw.is_empty());
    for number in 0..super::super::scope::MAX_NAMESPACES {
        view.apply(object(&format!("OrgNamespaceBinding more{number} : acme more-{number}")));
    }
    assert_eq!(super::spoken(&judge(&request, &view)), ["PF-RBAC-003 $.spec.scope"]);
}

/// Offline and without a requester, what would need one is undecided and gets no permit; what doesn't is decided.
#[test]
fn without_a_requester() {
    let cases = [
        ("Role acme/x : resources=pods", RuleId::RBAC_ROLE),
        ("RoleBinding acme/x : ClusterRole/view to User/a", RuleId::RBAC_BINDING),
        ("AgentRoleBinding acme/x : role=ClusterRole/view", RuleId::RBAC_AGENT_BINDING),
    ];
    let view = cluster(CLUSTER);
    for (line, rule) in cases {
        let written = |request| AdmissionFacts { document: Some(Value::Null), ..request };
        let request = written(facts("", Create, line, ""));
        let decision = admit(&request, &view, &policy(), NOW);
        assert_eq!(decision.undecided, [rule]);
        assert!(!decision.allowed() && decision.findings.is_empty(), "{line}");
        let unchanged = written(facts("", Update, line, line));
        assert!(admit(&unchanged, &view, &policy(), NOW).allowed(), "{line}");
    }
    let odd = facts("", Create, "AgentRoleBinding acme/x : scope=planet", "");
    assert_eq!(judge(&odd, &view).raw.len(), 2, "what needs no requester is said");
}

/// Messages say who lacks what, where, and who would get it; objects can't break out of them.
#[test]
fn messages() {
    let mut request =
        create("RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/agent");
    let found = judged(&request);
    assert_eq!(
        found.raw[0].message,
        "requester `dev` does not hold `get,list,watch` on `secrets` in namespace `acme`, \
         which role `ClusterRole/view-secrets` would give to `ServiceAccount acme/agent`"
    );
    assert_eq!(
        found.raw[0].remedy,
        "bind a role that `dev` holds, or have someone who holds role `ClusterRole/view-secrets` \
         (or may `bind` it) apply it"
    );
    request.requester = Some(crate::rbac::notation::requester("lost"));
    let message = judged(&request).raw[0].message.clone();
    assert!(
        message.contains("(not counted, because they can't be found: `ClusterRole/gone`"),
        "{message}"
    );

    let many: String =
        (0..300).map(|number| format!("resources=r{number} groups=g{number};")).collect();
    let long = "x`\n".repeat(10_000);
    let mut request = create(&format!("Role acme/x : {many}"));
    request.requester =
        request.requester.map(|who| pinfold_model::facts::Requester { name: long, ..who });
    let found = judged(&request);
    assert_eq!(found.raw.len(), crate::rbac::coverage::MAX_GAPS + 1);
    for raw in &found.raw {
        assert!(raw.message.len() < 1_000, "{}", raw.message);
        assert!(!raw.message.contains('\n'));
    }

    let wide = create(
        "AgentRoleBinding acme/x : role=ClusterRole/cluster-admin | verbs=create,delete groups=apps,batch resources=jobs,jobs/status names=a",
    );
    let messages: Vec<String> = judged(&wide).raw.into_iter().map(|raw| raw.message).collect();
    assert!(
        messages[0].contains("`*` on `*.*`, `*` on URL `*` in namespace `acme`"),
        "{messages:?}"
    );
    let rule =
        "`create,delete` on `jobs.apps,jobs.apps/status,jobs.batch,jobs.batch/status` named `a`";
    assert!(messages[1].contains(rule), "{messages:?}");
}

#[test]
fn an_agent_binding_that_may_pass_is_confirmed_by_the_role_as_it_is_now() {
    let line = "AgentRoleBinding acme/x : scope=namespace/acme role=Role/reads";
    let (mut request, view) = (create(line), cluster(CLUSTER));
    request.document = Some(Value::Null);
    let decide = |request: &AdmissionFacts| admit(request, &view, &policy(), NOW);
    let key = ObjectKey::new(RBAC_GROUP, "Role", "acme", "reads");
    let first = decide(&request);
    assert!(first.allowed(), "offline the view is all there is");
    assert_eq!(first.questions, [Question::Object(key.clone())]);
    let grown = object("Role acme/reads : resources=secrets");
    request.answers.objects = vec![(key.clone(), Some(grown))];
    assert!(!decide(&request).allowed(), "the role grew behind the view's back");
    let same = object("Role acme/reads : resources=pods");
    request.answers.objects = vec![(key, Some(same))];
    let confirmed = decide(&request);
    assert!(confirmed.allowed() && confirmed.questions.is_empty());
}

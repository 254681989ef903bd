//! The requests whose decisions must not depend on how big the cluster is, and the objects that they need.

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::object::{Object, from_value};
use pinfold_model::snapshot::RBAC_GROUP;
use pinfold_review::parse;
use serde_json::{Value, json};

use crate::material::Outcome;
use crate::material::cluster::{self, DEVELOPERS, NAMESPACE};
use crate::material::reviews::{self, Names};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// How often the two edited roles are bound.
const SELDOM: usize = 10;
const OFTEN: usize = 10_000;
/// Groups that a big company's directory puts a person into.
const GROUPS: usize = 200;

/// One request.
pub(crate) struct Probe {
    /// What it does.
    pub(crate) name: &'static str,
    pub(crate) facts: AdmissionFacts,
}

/// What every size holds besides what is generated.
pub(crate) fn objects() -> Outcome<Vec<Object>> {
    let mut objects = Vec::new();
    for value in cluster::objects().into_iter().chain(fixed()) {
        objects.push(from_value(&value)?);
    }
    Ok(objects)
}

/// A role that is bound so often that every look at all its bindings shows; only for the biggest size.
pub(crate) fn often_bound() -> Outcome<Vec<Object>> {
    bound("often", OFTEN).map(|value| Ok(from_value(&value)?)).collect()
}

/// What is not generated, besides the cluster of all benches.
pub(crate) fn fixed() -> impl Iterator<Item = Value> {
    let agent = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentServiceAccount",
        "metadata": {"name": "coder", "namespace": NAMESPACE, "uid": "uid-coder"},
        "spec": {"namespace": NAMESPACE, "serviceAccountName": "agent-coder"}});
    let joins = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "joins", "uid": "uid-joins"}});
    [agent, joins, role("seldom", false), role("often", false)]
        .into_iter()
        .chain(bound("seldom", SELDOM))
}

fn bound(role: &'static str, times: usize) -> impl Iterator<Item = Value> {
    (0..times).map(move |number| {
        let account = json!({"kind": "ServiceAccount", "name": format!("app-{number}"), "namespace": NAMESPACE});
        json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": format!("{role}-{number}"), "namespace": NAMESPACE},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": role}, "subjects": [account]})
    })
}

/// Before and after an edit.
fn role(name: &str, edited: bool) -> Value {
    let mut verbs = vec!["get", "list"];
    verbs.extend(edited.then_some("watch"));
    json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}")},
        "rules": [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": verbs}]})
}

/// All of them, parsed.
pub(crate) fn probes() -> Outcome<Vec<Probe>> {
    let mut groups: Vec<String> =
        (1..GROUPS).map(|at| format!("oidc:example:team-{at}-engineers")).collect();
    groups.push(DEVELOPERS.to_owned());
    let ada = json!({"username": "ada", "groups": [DEVELOPERS, "system:authenticated"]});
    let in_many = json!({"username": "ada", "groups": groups});
    let platform = json!({"username": "root", "groups": ["system:masters"]});
    let account =
        |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE});
    let bind = |name: &str| cluster::binding(NAMESPACE, "new", "admin", &account(name));
    let mut to_agent = bind("agent-coder");
    if let Some(reference) = to_agent.get_mut("roleRef") {
        *reference = json!({"apiGroup": RBAC_GROUP, "kind": "Role", "name": "seldom"});
    }
    let bindings = Names { group: RBAC_GROUP, kind: "RoleBinding", resource: "rolebindings" };
    let roles = Names { group: RBAC_GROUP, kind: "Role", resource: "roles" };
    let accounts = Names { group: "", kind: "ServiceAccount", resource: "serviceaccounts" };
    let namespaces = Names { group: "", kind: "Namespace", resource: "namespaces" };
    let new_account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent-new", "namespace": NAMESPACE}});
    let place = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "joins", "uid": "uid-joins", "labels": labels}});
    let joins = place(json!({"krate.a5c.ai/org": "acme"}));
    Ok(vec![
        Probe { name: "an agent's pod", facts: parse(&reviews::pod()?)?.facts },
        Probe::new(
            "RoleBinding to `admin` by its holder",
            &reviews::review(&bindings, &ada, &bind("deployer")),
        )?,
        Probe::new(
            "the same by somebody in 200 groups",
            &reviews::review(&bindings, &in_many, &bind("deployer")),
        )?,
        Probe::new("RoleBinding to an agent", &reviews::review(&bindings, &ada, &to_agent))?,
        Probe::new(
            "edit of a Role that is bound 10 times",
            &update(&roles, &ada, &role("seldom", true), &role("seldom", false)),
        )?,
        Probe::new("ServiceAccount", &reviews::review(&accounts, &ada, &new_account))?,
        Probe::new(
            "namespace that joins an organization",
            &update(&namespaces, &platform, &joins, &place(json!({}))),
        )?,
    ])
}

/// The edit of the role that is bound often.
pub(crate) fn often_edited() -> Outcome<Probe> {
    let ada = json!({"username": "ada", "groups": [DEVELOPERS, "system:authenticated"]});
    let roles = Names { group: RBAC_GROUP, kind: "Role", resource: "roles" };
    Probe::new(
        "edit of a Role that is bound 10,000 times",
        &update(&roles, &ada, &role("often", true), &role("often", false)),
    )
}

fn update(names: &Names, user: &Value, new: &Value, old: &Value) -> Value {
    let mut review = reviews::review(names, user, new);
    if let Some(Value::Object(request)) = review.get_mut("request") {
        request.insert("operation".to_owned(), "UPDATE".into());
        request.insert("oldObject".to_owned(), old.clone());
        if names.kind == "Namespace" {
            request.insert("namespace".to_owned(), "joins".into());
        }
    }
    review
}

impl Probe {
    fn new(name: &'static str, review: &Value) -> Outcome<Self> {
        Ok(Self { name, facts: parse(&serde_json::to_vec(review)?)?.facts })
    }
}

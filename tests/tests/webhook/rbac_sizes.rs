//! Objects as large as the API server takes them: the one bad line at the end is found, the harmless twin isn't held up.

use serde_json::{Value, json};

use crate::Outcome;
use crate::rbac_client::Person;
use crate::rbac_object::{collection, whole};
use crate::rbac_stage::RbacStage;

const SUBJECTS: usize = 4_000;
const RULES: usize = 3_000;

#[test]
fn the_last_of_thousands_counts() -> Outcome {
    let name = "rbac-sizes";
    let namespace = format!("{name}-acme");
    let agent = json!({"kind": "AgentServiceAccount", "metadata": {"name": "coder", "namespace": namespace},
        "spec": {"namespace": namespace, "serviceAccountName": "agent-coder"}});
    let stage = RbacStage::open(name, &json!({"world": [agent]}))?;
    let coder = json!({"kind": "ServiceAccount", "name": "agent-coder", "namespace": namespace});
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]});
    let configmaps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]});

    stage.store(&role(&namespace, "strong", std::slice::from_ref(&secrets)))?;
    let people = || (0..SUBJECTS).map(|n| json!({"kind": "User", "name": format!("user-{n}")}));
    let crowd: Vec<Value> = people().chain([coder.clone()]).collect();
    refused(&stage, &binding(&namespace, "crowd", &crowd, "strong"), "$.subjects[4000]")?;
    admitted(&stage, &binding(&namespace, "people", &people().collect::<Vec<_>>(), "strong"))?;

    let many = |last: &Value| {
        let rule = |n| json!({"apiGroups": [format!("g{n}.example.com")], "resources": ["widgets"], "verbs": ["get", "list"]});
        (0..RULES).map(rule).chain([last.clone()]).collect::<Vec<_>>()
    };
    stage.store(&role(&namespace, "long", &many(&secrets)))?;
    stage.store(&role(&namespace, "long-twin", &many(&configmaps)))?;
    refused(
        &stage,
        &binding(&namespace, "long", std::slice::from_ref(&coder), "long"),
        "$.subjects[0]",
    )?;
    admitted(&stage, &binding(&namespace, "long-twin", std::slice::from_ref(&coder), "long-twin"))
}

fn refused(stage: &RbacStage, binding: &Value, path: &str) -> Outcome {
    let answer = pinfold_tests::until(crate::stage::SOON, || {
        let answer = create(stage, binding, true).ok()?;
        answer.message().contains(&format!("PF-RBAC-004 {path}:")).then_some(answer)
    });
    answer.map(drop).ok_or_else(|| format!("{:?}", create(stage, binding, true)).into())
}

fn admitted(stage: &RbacStage, binding: &Value) -> Outcome {
    let answer = create(stage, binding, false)?;
    if answer.is_success() { Ok(()) } else { Err(answer.message().into()) }
}

fn create(stage: &RbacStage, binding: &Value, dry: bool) -> Outcome<crate::rbac_client::Answer> {
    let root = Person::new("root", &["acme:admins"]);
    let query = if dry { "?dryRun=All" } else { "" };
    let path = format!("{}{query}", collection(binding)?);
    stage.client.send(&root, ("POST", &path, "application/json", &whole(binding).to_string()))
}

fn role(namespace: &str, name: &str, rules: &[Value]) -> Value {
    json!({"kind": "Role", "metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

fn binding(namespace: &str, name: &str, subjects: &[Value], role: &str) -> Value {
    json!({"kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}})
}

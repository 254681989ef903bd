//! Cases of the snapshot: indexes follow every change.

use super::{RBAC_GROUP, Snapshot, SubjectKey};
use crate::object::rbac::{Binding, Subject};
use crate::object::{Facts, Meta, Object, ObjectKey};

fn binding(namespace: &str, name: &str, users: &[&str]) -> Object {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let subject = |user: &&str| Subject {
        kind: "User".into(),
        api_group: RBAC_GROUP.into(),
        namespace: String::new(),
        name: (*user).into(),
    };
    let subjects = users.iter().map(subject).collect();
    Object {
        key: ObjectKey::new(RBAC_GROUP, kind, namespace, name),
        meta: Meta::default(),
        facts: Facts::Binding(Binding { subjects, ..Binding::default() }),
    }
}

fn user(name: &str) -> SubjectKey {
    SubjectKey::User(name.to_owned())
}

fn names_in(view: &Snapshot, subject: &str, namespace: &str) -> Vec<String> {
    let mut names: Vec<String> =
        view.bindings_in(&user(subject), namespace).map(|(key, _)| key.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn bindings_are_found_by_subject_and_namespace_through_changes() {
    let mut view = Snapshot::of([
        binding("a", "one", &["dev", "ops"]),
        binding("a", "two", &["dev"]),
        binding("b", "three", &["dev"]),
        binding("", "four", &["dev"]),
    ]);
    assert_eq!(names_in(&view, "dev", "a"), ["one", "two"]);
    assert_eq!(names_in(&view, "dev", "b"), ["three"]);
    assert_eq!(names_in(&view, "dev", ""), ["four"]);
    assert!(names_in(&view, "dev", "c").is_empty());
    assert_eq!(view.bindings_of(&user("dev")).count(), 4);

    let earlier = view.clone();
    view.apply(binding("a", "one", &["ops"]));
    view.remove(&ObjectKey::new(RBAC_GROUP, "RoleBinding", "b", "three"));
    assert_eq!(names_in(&view, "dev", "a"), ["two"]);
    assert!(names_in(&view, "dev", "b").is_empty());
    assert_eq!(view.bindings_of(&user("dev")).count(), 2);
    assert_eq!(names_in(&earlier, "dev", "a"), ["one", "two"], "a reader keeps its snapshot");
}

#[test]
fn kinds_and_repositories_are_found_by_place_and_name() {
    let plain = |kind: &str, namespace: &str, name: &str| Object {
        key: ObjectKey::new("krate.a5c.ai", kind, namespace, name),
        meta: Meta::default(),
        facts: Facts::MetaOnly,
    };
    let mut view = Snapshot::of([
        plain("AgentApproval", "a", "yes"),
        plain("AgentApproval", "b", "yes"),
        plain("Repository", "a", "web"),
        plain("Repository", "b", "web"),
        plain("Repository", "b", "api"),
    ]);
    assert_eq!(view.of_kind("AgentApproval").count(), 2);
    assert_eq!(view.of_kind_in("AgentApproval", "a").count(), 1);
    assert_eq!(view.repositories("web").count(), 2);
    view.remove(&ObjectKey::new("krate.a5c.ai", "Repository", "a", "web"));
    let left: Vec<&str> = view.repositories("web").map(|o| o.key.namespace.as_str()).collect();
    assert_eq!(left, ["b"]);
}

#[test]
fn pods_by_claim_and_runs_by_workspace_through_changes() {
    let object =
        |text: &str| crate::object::from_value(&serde_json::from_str(text).unwrap()).unwrap();
    let pod = |namespace: &str, name: &str, claims: &str| {
        object(&format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}", "namespace": "{namespace}"}}, "spec": {{"volumes": [{claims}]}}}}"#
        ))
    };
    let claim = |name: &str| format!(r#"{{"persistentVolumeClaim": {{"claimName": "{name}"}}}}"#);
    let twice = format!("{}, {}", claim("c"), claim("c"));
    let mut view = Snapshot::of([
        pod("a", "one", &twice),
        pod("a", "two", &claim("c")),
        pod("b", "three", &claim("c")),
    ]);
    assert_eq!(view.pods_using("a", "c").count(), 2);
    assert_eq!(view.pods_using("b", "c").count(), 1);
    assert_eq!(view.pods_using("a", "d").count(), 0);
    view.apply(pod("a", "one", &claim("d")));
    view.remove(&ObjectKey::new("", "Pod", "b", "three"));
    let left: Vec<&str> = view.pods_using("a", "c").map(|pod| pod.key.name.as_str()).collect();
    assert_eq!((left, view.pods_using("b", "c").count()), (vec!["two"], 0));
    assert_eq!(view.pods_using("a", "d").count(), 1);
    let template = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "a"}, "spec": {"template": {"spec":
        {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}}}}"#;
    view.apply(object(template));
    assert_eq!(view.pods_using("a", "c").count(), 1, "a template uses nothing yet");

    let run = |kind: &str, name: &str, workspace: &str| {
        object(&format!(
            r#"{{"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "{kind}", "metadata": {{"name": "{name}", "namespace": "a"}}, "spec": {{"workspaceRef": "{workspace}"}}}}"#
        ))
    };
    view.apply(run("AgentDispatchRun", "r", "w"));
    view.apply(run("AgentDispatchAttempt", "t", "w"));
    view.apply(run("AgentDispatchRun", "none", ""));
    assert_eq!((view.runs_in("a", "w").count(), view.runs_in("a", "").count()), (1, 0));
    view.apply(run("AgentDispatchRun", "r", "v"));
    assert_eq!((view.runs_in("a", "w").count(), view.runs_in("a", "v").count()), (0, 1));
    let elsewhere = r#"{"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "metadata": {"name": "far", "namespace": "b"},
        "spec": {"workspaceRef": {"namespace": "a", "name": "v"}}}"#;
    view.apply(object(elsewhere));
    assert_eq!((view.runs_in("a", "v").count(), view.runs_in("b", "v").count()), (2, 0));
}

#[test]
fn pods_with_a_compiled_policy_are_found_by_namespace() {
    let pod = |namespace: &str, name: &str, policy: bool| {
        let mut meta = Meta::default();
        if policy {
            meta.annotations.insert("pinfold.dev/policy".into(), "{}".into());
        }
        let key = ObjectKey::new("", "Pod", namespace, name);
        Object { key, meta, facts: Facts::MetaOnly }
    };
    let mut view =
        Snapshot::of([pod("a", "one", true), pod("a", "two", false), pod("b", "three", true)]);
    let names = |view: &Snapshot, namespace: Option<&str>| {
        let mut names: Vec<_> = view.confined(namespace).map(|pod| pod.key.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&view, None), ["one", "three"]);
    assert_eq!(names(&view, Some("a")), ["one"]);
    view.apply(pod("a", "two", true));
    view.apply(pod("a", "one", false));
    view.remove(&ObjectKey::new("", "Pod", "b", "three"));
    assert_eq!(names(&view, None), ["two"]);
    let template =
        Object { key: ObjectKey::new("apps", "Deployment", "a", "d"), ..pod("a", "d", true) };
    view.apply(template);
    assert_eq!(names(&view, Some("a")), ["two"], "templates run nothing");
}

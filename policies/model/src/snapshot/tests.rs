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

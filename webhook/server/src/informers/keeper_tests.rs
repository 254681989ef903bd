//! Cases of the keeper: lists and changes to one snapshot.

use kube::core::ApiResource;
use pinfold_model::object::{Facts, Meta};

use super::super::kinds::{Depth, built_in};
use super::*;

fn source(kind: &str) -> Source {
    built_in().into_iter().find(|source| source.resource.kind == kind).unwrap()
}

fn object(kind: &str, namespace: &str, name: &str) -> Box<Object> {
    let key = ObjectKey::new("", kind, namespace, name);
    Box::new(Object { key, meta: Meta::default(), facts: Facts::MetaOnly })
}

fn keeper() -> Keeper {
    Keeper::new(Arc::new(View::watched()), Metrics::new().unwrap())
}

fn names(keeper: &Keeper) -> Vec<String> {
    let mut names: Vec<String> =
        keeper.snapshot().iter().map(|object| object.key.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn a_second_list_removes_what_vanished_and_only_of_its_kind() {
    let mut keeper = keeper();
    let accounts = source("ServiceAccount");
    keeper.apply(Change::Applied(object("Pod", "ns", "pod")));
    for change in [
        Change::ListBegins(accounts.clone()),
        Change::Listed(accounts.clone(), object("ServiceAccount", "ns", "old")),
        Change::Listed(accounts.clone(), object("ServiceAccount", "ns", "kept")),
        Change::ListEnds(accounts.clone()),
        Change::ListBegins(accounts.clone()),
        Change::Listed(accounts.clone(), object("ServiceAccount", "ns", "kept")),
    ] {
        keeper.apply(change);
    }
    assert_eq!(names(&keeper), ["kept", "old", "pod"], "nothing vanishes in mid-list");
    keeper.apply(Change::ListEnds(accounts));
    assert_eq!(names(&keeper), ["kept", "pod"]);
    assert_eq!(keeper.counts["ServiceAccount"], 1);
    assert_eq!(keeper.counts["Pod"], 1);
}

#[test]
fn a_kind_that_is_gone_takes_its_objects_along() {
    let mut keeper = keeper();
    let mut pool = source("Pod");
    pool.resource = ApiResource { kind: "RunnerPool".to_owned(), ..pool.resource };
    pool.depth = Depth::Whole;
    keeper.apply(Change::Applied(object("RunnerPool", "ns", "pool")));
    keeper.apply(Change::Applied(object("ServiceAccount", "ns", "account")));
    keeper.apply(Change::KindGone(pool));
    assert_eq!(names(&keeper), ["account"]);
    keeper.apply(Change::Deleted(ObjectKey::new("", "ServiceAccount", "ns", "account")));
    keeper.apply(Change::Deleted(ObjectKey::new("", "ServiceAccount", "ns", "account")));
    assert!(names(&keeper).is_empty());
    assert_eq!(keeper.counts["ServiceAccount"], 0);
}

#[tokio::test]
async fn readers_see_a_batch_as_a_whole() {
    let view = Arc::new(View::watched());
    let (sender, queue) = mpsc::channel(8);
    let (_drain, watch) = crate::drain::Drain::new();
    let before = view.snapshot();
    for name in ["a", "b"] {
        sender.send(Change::Applied(object("ServiceAccount", "ns", name))).await.unwrap();
    }
    drop(sender);
    Keeper::new(Arc::clone(&view), Metrics::new().unwrap()).run(queue, watch).await;
    assert_eq!(before.len(), 0, "a reader keeps what it began with");
    assert_eq!(view.snapshot().len(), 2);
}

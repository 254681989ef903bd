//! Cases of the index: it finds by key and place what was put there, on both sides of the bound between a list and places.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Index, LIST_MAX};
use crate::object::{Facts, Meta, Object, ObjectKey};

fn object(namespace: &str, name: &str) -> Arc<Object> {
    let key = ObjectKey::new("", "ConfigMap", namespace, name);
    Arc::new(Object { key, meta: Meta::default(), facts: Facts::MetaOnly })
}

fn names<'o>(objects: impl Iterator<Item = &'o Object>) -> BTreeSet<String> {
    objects.map(|object| format!("{}/{}", object.key.namespace, object.key.name)).collect()
}

#[test]
fn objects_are_found_by_key_and_place_however_many_there_are() {
    let mut index: Index<String> = Index::by_namespace();
    let all: Vec<_> =
        (0..5 * LIST_MAX).map(|at| object(["a", "b"][at % 2], &at.to_string())).collect();
    for (count, one) in all.iter().enumerate() {
        index.insert("k".to_owned(), one);
        // Once more, as when an object is changed.
        index.insert("k".to_owned(), one);
        assert_eq!(index.of("k").count(), count + 1);
        assert_eq!(index.of_in("k", "a").count(), count / 2 + 1);
        assert_eq!(index.of_in("k", "b").count(), count.div_ceil(2));
    }
    assert!(index.of("other").next().is_none() && index.of_in("k", "c").next().is_none());
    let before = index.clone();
    for (count, one) in all.iter().enumerate() {
        assert_eq!(names(index.of("k")), names(all[count..].iter().map(AsRef::as_ref)));
        index.remove(&"k".to_owned(), one);
        index.remove(&"k".to_owned(), one);
    }
    assert!(index.keys().next().is_none(), "a key without objects is gone");
    assert_eq!(before.of("k").count(), all.len(), "a copy keeps what it had");
}

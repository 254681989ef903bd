//! Objects by something that they say, then by a place, so that what is asked of one place costs nothing for the others.
//!
//! Most subjects and roles have a binding or two: those are a short list. What has many is split by place.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use super::trie::{Keyed, Trie};
use crate::object::{Object, ObjectKey};

/// So many objects are a list; one more and they are split by place.
const LIST_MAX: usize = 8;

/// An object that is found by its key.
#[derive(Debug, Clone)]
pub(super) struct ByKey(pub(super) Arc<Object>);

impl Keyed for ByKey {
    type Key = ObjectKey;

    fn key(&self) -> &ObjectKey {
        &self.0.key
    }
}

/// An object that is found by its uid.
#[derive(Debug, Clone)]
pub(super) struct ByUid(pub(super) Arc<Object>);

impl Keyed for ByUid {
    type Key = String;

    fn key(&self) -> &String {
        &self.0.meta.uid
    }
}

/// Where an object stands in an index below a key; nowhere if it isn't of that index.
type PlaceOf<K> = for<'o> fn(&K, &'o Object) -> Option<&'o str>;

/// Objects by key and place. The same object may be under several keys, but under each in one place only.
#[derive(Debug, Clone)]
pub(super) struct Index<K> {
    rows: Trie<Row<K>>,
    place: PlaceOf<K>,
}

#[derive(Debug, Clone)]
struct Row<K> {
    at: K,
    objects: Objects,
}

#[derive(Debug, Clone)]
enum Objects {
    /// At most [`LIST_MAX`].
    List(Arc<[Arc<Object>]>),
    Places(Box<Trie<Place>>),
}

#[derive(Debug, Clone)]
struct Place {
    name: Arc<str>,
    objects: Trie<ByKey>,
}

impl<K: Hash + Eq + Clone> Keyed for Row<K> {
    type Key = K;

    fn key(&self) -> &K {
        &self.at
    }
}

impl Keyed for Place {
    type Key = str;

    fn key(&self) -> &str {
        &self.name
    }
}

impl<K: Hash + Eq + Clone> Index<K> {
    /// An empty index by namespace.
    pub(super) fn by_namespace() -> Self {
        Self::by(|_, object| Some(&object.key.namespace))
    }

    /// An empty index by places of another kind.
    pub(super) fn by(place: PlaceOf<K>) -> Self {
        Self { rows: Trie::default(), place }
    }

    /// Adds an object under a key, in the place of the one with its own key.
    pub(super) fn insert(&mut self, at: K, object: &Arc<Object>) {
        let objects = match self.rows.get(&at) {
            None => Objects::List(Arc::from([Arc::clone(object)])),
            Some(row) => row.objects.with(object, |object| (self.place)(&at, object)),
        };
        self.rows.insert(Row { at, objects });
    }

    /// Takes an object out from under a key.
    pub(super) fn remove(&mut self, at: &K, object: &Object) {
        let Some(row) = self.rows.get(at) else { return };
        match row.objects.without(object, (self.place)(at, object)) {
            Some(objects) => self.rows.insert(Row { at: at.clone(), objects }),
            None => self.rows.remove(at),
        }
    }

    /// All objects under a key.
    pub(super) fn of<'i, Q>(&'i self, at: &Q) -> impl Iterator<Item = &'i Object> + use<'i, K, Q>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (list, places) = self.rows.get(at).map(|row| row.objects.parts()).unwrap_or_default();
        let split = places.into_iter().flat_map(Trie::iter).flat_map(|place| place.objects.iter());
        list.iter().map(AsRef::as_ref).chain(split.map(|ByKey(object)| object.as_ref()))
    }

    /// The objects under a key in one place.
    pub(super) fn of_in<'i, Q>(
        &'i self,
        at: &Q,
        place: &str,
    ) -> impl Iterator<Item = &'i Object> + use<'i, K, Q>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let row = self.rows.get(at);
        let (list, places) = row.map(|row| row.objects.parts()).unwrap_or_default();
        let split = places.and_then(|places| places.get(place)).into_iter();
        let split =
            split.flat_map(|place| place.objects.iter()).map(|ByKey(object)| object.as_ref());
        let here: Vec<&Object> = match row {
            Some(row) => list
                .iter()
                .filter(|object| (self.place)(&row.at, object) == Some(place))
                .map(AsRef::as_ref)
                .collect(),
            None => Vec::new(),
        };
        here.into_iter().chain(split)
    }

    /// The objects under a key in either of two places, found with one look.
    pub(super) fn of_in_either<'i, Q>(
        &'i self,
        at: &Q,
        places: [&str; 2],
    ) -> impl Iterator<Item = &'i Object> + use<'i, K, Q>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut here: Vec<&Object> = Vec::new();
        if let Some(row) = self.rows.get(at) {
            let (list, split) = row.objects.parts();
            let wanted = |object: &Object| {
                (self.place)(&row.at, object).is_some_and(|place| places.contains(&place))
            };
            here.extend(list.iter().map(AsRef::as_ref).filter(|object| wanted(object)));
            let split = split.into_iter().flat_map(|split| places.map(|place| split.get(place)));
            let split = split.flatten().flat_map(|place| place.objects.iter());
            here.extend(split.map(|ByKey(object)| object.as_ref()));
        }
        here.into_iter()
    }

    /// All keys, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.iter().map(|row| &row.at)
    }
}

impl Objects {
    fn parts(&self) -> (&[Arc<Object>], Option<&Trie<Place>>) {
        match self {
            Self::List(list) => (list, None),
            Self::Places(places) => (&[], Some(places)),
        }
    }

    /// These and one more, in the place of the one with its key.
    fn with(&self, object: &Arc<Object>, place: impl Fn(&Object) -> Option<&str>) -> Self {
        match self {
            Self::List(list) => {
                let others = list.iter().filter(|other| other.key != object.key);
                let all: Vec<Arc<Object>> = others.chain([object]).cloned().collect();
                if all.len() <= LIST_MAX {
                    return Self::List(all.into());
                }
                let mut places = Trie::default();
                all.iter().for_each(|object| put(&mut places, object, place(object)));
                Self::Places(Box::new(places))
            }
            Self::Places(places) => {
                let mut places = places.clone();
                put(&mut places, object, place(object));
                Self::Places(places)
            }
        }
    }

    /// The others; `None` if there are none.
    fn without(&self, object: &Object, place: Option<&str>) -> Option<Self> {
        match self {
            Self::List(list) => {
                let others = list.iter().filter(|other| other.key != object.key);
                let others: Arc<[Arc<Object>]> = others.cloned().collect();
                (!others.is_empty()).then_some(Self::List(others))
            }
            Self::Places(places) => {
                let mut places = places.clone();
                take(&mut places, &object.key, place);
                (!places.is_empty()).then_some(Self::Places(places))
            }
        }
    }
}

fn put(places: &mut Trie<Place>, object: &Arc<Object>, place: Option<&str>) {
    let Some(name) = place else { return };
    let known = places.get(name).cloned();
    let mut place = known.unwrap_or_else(|| Place { name: name.into(), objects: Trie::default() });
    place.objects.insert(ByKey(Arc::clone(object)));
    places.insert(place);
}

fn take(places: &mut Trie<Place>, key: &ObjectKey, place: Option<&str>) {
    let Some(mut place) = place.and_then(|name| places.get(name)).cloned() else { return };
    place.objects.remove(key);
    if place.objects.is_empty() {
        places.remove(place.name.as_ref());
    } else {
        places.insert(place);
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;

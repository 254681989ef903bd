//! What raw structs are made of. `null` is absent, because Go writes it for every nil slice, map and pointer; text borrows from the input;
//! an array is never taken for an object.
//!
//! Nothing here knows a Kubernetes kind.

mod schema;
mod written;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

pub(super) use self::written::{Link, LinkParts, Many, Written};
use crate::json_error;

/// Longest path that an error repeats, in characters: labels and annotations are named by whoever writes them.
const PATH_CHARS_MAX: usize = 300;

/// Where an object is read from.
pub(super) trait Source<'a>: Copy {
    /// Reads a raw struct; the error names the field.
    fn read<T: Deserialize<'a> + Default>(self) -> Result<T, String>;
}

impl<'a> Source<'a> for &'a [u8] {
    fn read<T: Deserialize<'a> + Default>(self) -> Result<T, String> {
        // The path costs time, so it is looked for only once it is needed.
        if let Ok(Block(found)) = serde_json::from_slice::<Block<T>>(self) {
            return Ok(found.unwrap_or_default());
        }
        let mut deserializer = serde_json::Deserializer::from_slice(self);
        let found: Block<T> =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|e| explain(&e))?;
        deserializer.end().map_err(|error| json_error::reason(&error))?;
        Ok(found.0.unwrap_or_default())
    }
}

impl<'a> Source<'a> for &'a Value {
    fn read<T: Deserialize<'a> + Default>(self) -> Result<T, String> {
        if let Ok(Block(found)) = Block::<T>::deserialize(self) {
            return Ok(found.unwrap_or_default());
        }
        let found: Block<T> = serde_path_to_error::deserialize(self).map_err(|e| explain(&e))?;
        Ok(found.0.unwrap_or_default())
    }
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let reason = json_error::reason(error.inner());
    let path: String = error.path().to_string().chars().take(PATH_CHARS_MAX).collect();
    if path == "." { format!("`$`: {reason}") } else { format!("`$.{path}`: {reason}") }
}

/// Text; `null` is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as a `String`.
    pub(super) fn owned(&self) -> String {
        self.0.clone().into_owned()
    }

    /// The text, unless it is empty.
    pub(super) fn some(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.owned())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_str(self)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text)))
    }
}

/// An object that may be absent; `null` is absent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block<T>(pub(super) Option<T>);

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Block<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(BlockVisitor(PhantomData))
    }
}

struct BlockVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BlockVisitor<T> {
    type Value = Block<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Block(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Block(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_map(self)
    }

    // A derived struct would also read an array, field by field; only a map gets there.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|found| Block(Some(found)))
    }
}

/// A list; `null` is empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<Block<T>> {
    /// The items that are there, each with its index.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(index, item)| Some((index, item.get()?)))
    }
}

impl List<Text<'_>> {
    pub(super) fn owned(&self) -> Vec<String> {
        self.0.iter().map(Text::owned).collect()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(List(found))
    }
}

/// A map of text to text; `null` is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pairs<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl Pairs<'_> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(key, value)| (key.owned(), value.owned())).collect()
    }

    pub(super) fn to_map(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let kept = self.0.iter().filter(|(key, _)| wanted(key.as_str()));
        kept.map(|(key, value)| (key.owned(), value.owned())).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of strings")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Pairs::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Pairs::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some((Key(key), value)) = members.next_entry()? {
            found.push((key, value));
        }
        Ok(Pairs(found))
    }
}

/// A member's name; read as plain text, so that an error's path can name it.
struct Key<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Key)
    }
}

/// A reference that some versions write as a name and others as `{name: ...}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Named<'a>(pub(super) Text<'a>);

impl Named<'_> {
    pub(super) fn owned(&self) -> String {
        self.0.owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor)
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name, or an object with a `name`")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Named::default())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Named(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Named(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        #[derive(serde::Deserialize)]
        struct Inner<'a> {
            #[serde(borrow, default)]
            name: Text<'a>,
        }
        let inner = Inner::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Named(inner.name))
    }
}

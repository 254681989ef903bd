//! Fields that are written in one of two ways: as text or as an object, alone or in a list.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{List, Text};

/// Text, or an object; `null` is empty text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::object::decode) enum Written<'a, T> {
    /// The short form.
    Text(Text<'a>),
    /// The long form.
    Parts(T),
}

impl<T> Default for Written<'_, T> {
    fn default() -> Self {
        Self::Text(Text::default())
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Written<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for WrittenVisitor<T> {
    type Value = Written<'de, T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Written::default())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Written::Text(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Written::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Written::Parts)
    }
}

/// One item, written without its list, or a list of them; `null` is none.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::object::decode) struct Many<T>(pub(in crate::object::decode) Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, an object or a list of them")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        T::deserialize(serde::de::value::BorrowedStrDeserializer::new(text))
            .map(|one| Many(vec![one]))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| Many(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(Many)
    }
}

/// Another resource, by name, as `namespace/name`, or as an object. Only for kinds whose names have no slash of their own.
pub(in crate::object::decode) type Link<'a> = Written<'a, LinkParts<'a>>;

/// The long form of a [`Link`].
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct LinkParts<'a> {
    #[serde(borrow)]
    pub(in crate::object::decode) kind: Text<'a>,
    #[serde(borrow)]
    pub(in crate::object::decode) namespace: Text<'a>,
    #[serde(borrow)]
    pub(in crate::object::decode) name: Text<'a>,
}

impl Link<'_> {
    /// Kind, empty unless the field says it; namespace, empty unless it says that; and name.
    pub(in crate::object::decode) fn parts(&self) -> [&str; 3] {
        match self {
            Self::Text(text) => {
                let (namespace, name) =
                    text.as_str().split_once('/').unwrap_or(("", text.as_str()));
                ["", namespace, name]
            }
            Self::Parts(parts) => {
                [parts.kind.as_str(), parts.namespace.as_str(), parts.name.as_str()]
            }
        }
    }

    /// `name`, or `namespace/name` if it is in another namespace than `own`; empty without a name.
    pub(in crate::object::decode) fn placed(&self, own: &str) -> String {
        let [_, namespace, name] = self.parts();
        if namespace.is_empty() || namespace == own || name.is_empty() {
            return name.to_owned();
        }
        format!("{namespace}/{name}")
    }
}

impl List<Link<'_>> {
    /// Each as [`Link::placed`] says it.
    pub(in crate::object::decode) fn placed(&self, own: &str) -> Vec<String> {
        self.0.iter().map(|link| link.placed(own)).filter(|name| !name.is_empty()).collect()
    }
}

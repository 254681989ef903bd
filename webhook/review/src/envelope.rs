//! The outer two levels of an AdmissionReview, split into raw members without looking inside them.
//!
//! Members are kept as they come, so that the uid is known even if the rest is cut off, and skipping a value is iterative: an
//! object that nests 10,000 levels costs no stack.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Most members of one level; the API server writes 15.
const MEMBERS_MAX: usize = 64;

/// The members of one level, in the order in which they came.
#[derive(Default)]
pub(crate) struct Members<'a> {
    list: Vec<(String, &'a RawValue)>,
    /// The name that came twice.
    pub(crate) twice: Option<String>,
    /// Whether there were more than [`MEMBERS_MAX`].
    pub(crate) too_many: bool,
}

impl<'a> Members<'a> {
    /// Splits an object; what was read before an error is kept.
    pub(crate) fn split(text: &'a str) -> (Self, Result<(), serde_json::Error>) {
        let mut members = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Split(&mut members).deserialize(&mut deserializer);
        let result = read.and_then(|()| deserializer.end());
        (members, result)
    }

    /// The raw text of a member; `None` if it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let (_, raw) = self.list.iter().find(|(found, _)| found == name)?;
        (raw.get() != "null").then(|| raw.get())
    }

    /// All members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.list.iter().map(|(name, raw)| (name.as_str(), raw.get()))
    }
}

struct Split<'m, 'a>(&'m mut Members<'a>);

impl<'a> DeserializeSeed<'a> for Split<'_, 'a> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Split<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if self.0.list.iter().any(|(seen, _)| *seen == name) {
                self.0.twice.get_or_insert(name);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if self.0.list.len() >= MEMBERS_MAX {
                self.0.too_many = true;
                return Err(A::Error::custom("too many members"));
            }
            self.0.list.push((name, map.next_value()?));
        }
        Ok(())
    }
}

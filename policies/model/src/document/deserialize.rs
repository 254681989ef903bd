//! Located nodes as a serde source: refuses unknown fields and variants itself, because it knows where they stand.

use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Content, DocumentError, Member, Node, Position, Step, nearest, show_path};

/// What went wrong below some node; its path grows while it passes outwards.
#[derive(Debug)]
pub(super) struct Fault {
    message: String,
    at: Option<Position>,
    steps_reversed: Vec<Step>,
}

impl Fault {
    fn new(at: Position, message: String) -> Self {
        Self { message, at: Some(at), steps_reversed: Vec::new() }
    }

    fn within(mut self, step: Step, at: Position) -> Self {
        self.at.get_or_insert(at);
        self.steps_reversed.push(step);
        self
    }

    pub(super) fn into_error(mut self, file: &str, at: Position) -> DocumentError {
        self.steps_reversed.reverse();
        DocumentError {
            file: file.to_owned(),
            at: self.at.unwrap_or(at),
            path: show_path(&self.steps_reversed),
            message: self.message,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None, steps_reversed: Vec::new() }
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'n> {
    node: &'n Node,
}

impl<'n> NodeDeserializer<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        Self { node }
    }

    fn mismatch(self, expected: &str) -> Fault {
        Fault::new(self.node.at, format!("expected {expected}, found {}", self.node.describe()))
    }

    fn members(self) -> Result<&'n [Member], Fault> {
        match &self.node.content {
            Content::Mapping(members) => Ok(members),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Sequence(_) => Err(self.mismatch("a mapping")),
        }
    }
}

/// The error for a name that isn't among the known ones.
fn unknown(what: &str, found: &str, known: &[&'static str], at: Position) -> Fault {
    let hint = match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "nothing is expected here".to_owned(),
        None => format!("expected one of `{}`", known.join("`, `")),
    };
    Fault::new(at, format!("unknown {what} `{found}`: {hint}"))
}

impl<'n, 'de> Deserializer<'de> for NodeDeserializer<'n> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let at = self.node.at;
        let placed = |mut fault: Fault| {
            fault.at.get_or_insert(at);
            fault
        };
        match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (None, Some(value), _) => visitor.visit_i64(value),
                (None, None, Some(value)) => visitor.visit_f64(value),
                (None, None, None) => Err(self.mismatch("a number")),
            },
            Content::Text(text) => visitor.visit_str(text),
            Content::Sequence(items) => visitor.visit_seq(Items { items: items.iter(), next: 0 }),
            Content::Mapping(members) => {
                visitor.visit_map(Members { members: members.iter(), value: None })
            }
        }
        .map_err(placed)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.content {
            Content::Null => visitor.visit_none(),
            Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Sequence(_)
            | Content::Mapping(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let stranger = self.members()?.iter().find(|member| !fields.contains(&member.key.as_str()));
        if let Some(member) = stranger {
            return Err(unknown("field", &member.key, fields, member.at));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (variant, at, value) = match &self.node.content {
            Content::Text(text) => (text.as_str(), self.node.at, None),
            Content::Mapping(members) => match members.as_slice() {
                [only] => (only.key.as_str(), only.at, Some(&only.value)),
                _ => return Err(self.mismatch("a mapping with one member")),
            },
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Sequence(_) => {
                return Err(self.mismatch(&format!("one of `{}`", variants.join("`, `"))));
            }
        };
        if !variants.contains(&variant) {
            return Err(unknown("value", variant, variants, at));
        }
        visitor.visit_enum(Variant { variant, value, at })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next = self.next.saturating_add(1);
        seed.deserialize(NodeDeserializer::new(node))
            .map(Some)
            .map_err(|fault| fault.within(Step::Item(index), node.at))
    }
}

struct Members<'n> {
    members: std::slice::Iter<'n, Member>,
    value: Option<&'n Member>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(member) = self.members.next() else { return Ok(None) };
        self.value = Some(member);
        let key: StrDeserializer<'_, Fault> = StrDeserializer::new(&member.key);
        seed.deserialize(key).map(Some).map_err(|mut fault| {
            fault.at.get_or_insert(member.at);
            fault
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(member) = self.value.take() else {
            return Err(serde::de::Error::custom("value before key"));
        };
        seed.deserialize(NodeDeserializer::new(&member.value))
            .map_err(|fault| fault.within(Step::Member(member.key.clone()), member.value.at))
    }
}

struct Variant<'n> {
    variant: &'n str,
    value: Option<&'n Node>,
    at: Position,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = StrDeserializer::new(self.variant);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(Fault::new(self.at, format!("`{}` takes no value", self.variant))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let Some(node) = self.value else {
            return Err(Fault::new(self.at, format!("`{}` needs a value", self.variant)));
        };
        seed.deserialize(NodeDeserializer::new(node))
            .map_err(|fault| fault.within(Step::Member(self.variant.to_owned()), node.at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new(self.at, "unexpected list".to_owned()))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Some(node) => NodeDeserializer::new(node).deserialize_struct("", fields, visitor),
            None => Err(Fault::new(self.at, format!("`{}` needs a mapping", self.variant))),
        }
    }
}

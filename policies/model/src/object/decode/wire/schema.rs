//! What the wire types are in a JSON Schema of a CRD: `null` is allowed wherever it is read as absent.
//!
//! A field of two shapes has no type there, because a structural schema knows none; the webhook reads it strictly.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::written::{Many, Written};
use super::{Block, List, Named, Pairs, Text};

/// A field that may have several shapes.
fn any_shape() -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}

macro_rules! schemas {
    ($([$($generic:tt)*] $name:ty, $title:literal: |$generator:ident| $schema:expr;)*) => {
        $(impl<$($generic)*> JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schemas! {
    ['a] Text<'a>, "Text": |_generator| json_schema!({"type": "string", "nullable": true});
    ['a] Named<'a>, "Named": |_generator| any_shape();
    ['a, T] Written<'a, T>, "Written": |_generator| any_shape();
    [T] Many<T>, "Many": |_generator| any_shape();
    ['a] Pairs<'a>, "Pairs": |generator| {
        let value = generator.subschema_for::<Text<'_>>();
        json_schema!({"type": "object", "nullable": true, "additionalProperties": value})
    };
    [T: JsonSchema] List<T>, "List": |generator| {
        let item = generator.subschema_for::<T>();
        json_schema!({"type": "array", "nullable": true, "items": item})
    };
    [T: JsonSchema] Block<T>, "Block": |generator| {
        let mut inner = generator.subschema_for::<T>();
        inner.insert("nullable".to_owned(), true.into());
        inner
    };
}

//! `literals` of an AdmissionPolicy: what looks like a credential, beside the patterns that ship.
//!
//! An `allow` entry is an expression or a digest, so that a policy need not repeat a value to allow it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use regex_automata::Input;
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::document::nearest;
use crate::pattern::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX, Pattern};

/// The patterns that ship: a `CredentialPatterns` document, read by the engine.
pub const SHIPPED: &str = include_str!("../../../library/patterns/credentials.yaml");

/// Ids of what is told from the name of a field, a variable or a key, beside the patterns of [`SHIPPED`].
pub const NAMED: [&str; 2] = ["named-password", "named-secret"];

/// Longest id of a pattern.
const ID_BYTES_MAX: usize = 64;
const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_HEX_DIGITS: usize = 64;

/// Ids of everything that ships.
static SHIPPED_IDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let ids = SHIPPED.lines().filter_map(|line| line.trim().strip_prefix("- {id: "));
    ids.filter_map(|rest| rest.split(',').next()).chain(NAMED).collect()
});

/// What looks like a credential, and what doesn't.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawLiterals {
    /// Patterns of one's own.
    pub patterns: Vec<RawLiteralPattern>,
    /// What isn't a credential: expressions of whole values, or `sha256:` and the digest of one.
    pub allow: Vec<AllowText>,
    /// Ids of shipped patterns that aren't looked for.
    pub off: Vec<ShippedId>,
}

/// A pattern of one's own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawLiteralPattern {
    /// Its id, which findings name.
    pub id: OwnId,
    /// Found anywhere in a value.
    #[serde(rename = "match")]
    pub expression: SearchText,
    /// Looked for only in values that have one of these words, in any case; always, if there are none.
    #[serde(default)]
    pub keywords: Vec<String>,
}

/// What looks like a credential, ready.
#[derive(Debug, Clone, Default)]
pub struct Literals {
    /// Patterns of the policy's own.
    pub patterns: Vec<LiteralPattern>,
    /// What isn't a credential.
    pub allow: Vec<Allowed>,
    /// Ids of shipped patterns that aren't looked for.
    pub off: BTreeSet<String>,
}

/// A pattern of the policy's own, ready.
#[derive(Debug, Clone)]
pub struct LiteralPattern {
    /// Its id.
    pub id: String,
    /// What is found.
    pub search: Search,
    /// In lower case; none means every value.
    pub keywords: Vec<String>,
}

/// A value that isn't a credential.
#[derive(Debug, Clone, PartialEq)]
pub enum Allowed {
    /// Values that match it as a whole.
    Expression(Pattern),
    /// The one value of this digest, as [`Digest`] is written.
    Digest(String),
}

/// An expression that is found anywhere in a text, in linear time.
#[derive(Clone)]
pub struct Search {
    text: String,
    program: PikeVM,
}

impl Search {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A text with the reason.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            let found = text.len();
            return Err(format!("expected at most {PATTERN_BYTES_MAX} bytes, found {found}"));
        }
        let config = thompson::Config::new().nfa_size_limit(Some(PROGRAM_BYTES_MAX));
        let program = PikeVM::builder()
            .syntax(syntax::Config::new().nest_limit(32))
            .thompson(config)
            .build(text)
            .map_err(|error| format!("not a regular expression, or a too large one: {error}"))?;
        if program.is_match(&mut program.create_cache(), "") {
            return Err("it matches the empty text, so it would be found everywhere".to_owned());
        }
        Ok(Self { text: text.to_owned(), program })
    }

    /// Where it is found first: start and end in bytes.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        let found =
            self.program.find_iter(&mut self.program.create_cache(), Input::new(text)).next();
        found.map(|found| (found.start(), found.end()))
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Search({})", self.text)
    }
}

impl Literals {
    pub(super) fn add(&mut self, raw: &RawLiterals) {
        self.patterns.extend(raw.patterns.iter().map(|pattern| LiteralPattern {
            id: pattern.id.0.clone(),
            search: pattern.expression.0.clone(),
            keywords: pattern.keywords.iter().map(|word| word.to_lowercase()).collect(),
        }));
        self.allow.extend(raw.allow.iter().map(|allow| allow.0.clone()));
        self.off.extend(raw.off.iter().map(|id| id.0.clone()));
    }

    /// Whether the policy says that a value is no credential.
    #[must_use]
    pub fn allows(&self, value: &str) -> bool {
        if self.allow.is_empty() {
            return false;
        }
        let digest = Digest::of(value.as_bytes()).to_string();
        self.allow.iter().any(|allowed| match allowed {
            Allowed::Expression(pattern) => pattern.matches(value),
            Allowed::Digest(known) => *known == digest,
        })
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).map(Self).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(
    /// The id of a pattern of one's own.
    OwnId(String), own_id,
    {"type": "string", "maxLength": 64, "description": "Lower-case letters, digits and dashes; not one of the patterns that ship."}
);
text!(
    /// The id of a pattern that ships.
    ShippedId(String), shipped_id,
    {"type": "string", "description": "The id of a pattern that ships, see docs/credentials.md."}
);
text!(
    /// An expression that is found anywhere in a value.
    SearchText(Search), Search::new,
    {"type": "string", "maxLength": 512, "description": "A regular expression, found anywhere in a value; linear time."}
);
text!(
    /// An expression of a whole value, or the digest of one.
    AllowText(Allowed), allowed,
    {"type": "string", "maxLength": 512, "description": "A regular expression of a whole value, or `sha256:` and the digest of a value."}
);

fn own_id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(plain) {
        return Err(format!(
            "expected at most {ID_BYTES_MAX} lower-case letters, digits and dashes, found `{text}`"
        ));
    }
    if SHIPPED_IDS.contains(text) {
        return Err(format!("`{text}` is a pattern that ships; choose another id"));
    }
    Ok(text.to_owned())
}

fn shipped_id(text: &str) -> Result<String, String> {
    if SHIPPED_IDS.contains(text) {
        return Ok(text.to_owned());
    }
    let hint = match nearest(text, SHIPPED_IDS.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "docs/credentials.md lists them".to_owned(),
    };
    Err(format!("no pattern `{text}` ships; {hint}"))
}

/// Never repeats a digest that is wrong: it could be the value itself.
fn allowed(text: &str) -> Result<Allowed, String> {
    let Some(digits) = text.strip_prefix(DIGEST_PREFIX) else {
        return Pattern::expression(text).map(Allowed::Expression);
    };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != DIGEST_HEX_DIGITS || !digits.bytes().all(hex) {
        return Err(format!(
            "expected `{DIGEST_PREFIX}` and {DIGEST_HEX_DIGITS} lower-case hexadecimal digits"
        ));
    }
    Ok(Allowed::Digest(text.to_owned()))
}

#[cfg(test)]
mod tests;

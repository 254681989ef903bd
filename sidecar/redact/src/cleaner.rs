//! Walks JSON and takes credentials out of every string: strings become strings, so that what has a type keeps it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use pinfold_engine::credentials::{self, Scanner};
use pinfold_model::policy::literals::Literals;
use serde_json::{Map, Value};

use crate::CREDENTIAL;
use crate::known::Known;
use crate::marker::{Markers, markers, without_hidden};
use crate::schema::Schema;

/// Members of the protocol by which messages are told apart or continued: their form says nothing, and another one breaks the exchange.
const OPAQUE: &[&str] = &["cursor", "nextCursor", "progressToken", "requestState", "taskId"];
/// Shortest key that could be a credential, in bytes.
const KEY_BYTES_MIN: usize = 16;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What was found: kinds and numbers, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How often each kind of credential was taken out.
    pub redacted: BTreeMap<&'static str, u64>,
    /// What looks like an injection.
    pub markers: Markers,
    /// Listed tools of which hidden text was taken out.
    pub tools_stripped: u64,
    /// Listed tools that were taken out.
    pub tools_dropped: u64,
}

impl Findings {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (kind, times) in &other.redacted {
            self.count(kind, *times);
        }
        self.markers.join(other.markers);
        self.tools_stripped = self.tools_stripped.saturating_add(other.tools_stripped);
        self.tools_dropped = self.tools_dropped.saturating_add(other.tools_dropped);
    }

    /// As records have it: `github-token=2`, `injection-phrase`.
    #[must_use]
    pub fn to_words(&self) -> Vec<String> {
        let redacted = self.redacted.iter().map(|(kind, times)| format!("{kind}={times}"));
        let markers = self.markers.iter().map(|marker| format!("injection-{}", marker.as_str()));
        let tools =
            [("tools-stripped", self.tools_stripped), ("tools-dropped", self.tools_dropped)];
        let tools = tools.into_iter().filter(|(_, times)| *times > 0);
        let tools = tools.map(|(kind, times)| format!("{kind}={times}"));
        redacted.chain(markers).chain(tools).collect()
    }

    fn count(&mut self, kind: &'static str, times: u64) {
        let count = self.redacted.entry(kind).or_default();
        *count = count.saturating_add(times);
    }
}

/// Why a message can't be cleaned, and so must not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncleanable {
    /// More text, or more of what could be credentials, than is looked at.
    #[error("there is more text than is searched for credentials")]
    TooMuch,
    /// A credential where only another type or another form is allowed.
    #[error("a credential stands where the tool's output schema allows no other text")]
    Constrained,
    /// A credential of digits that stands as a number.
    #[error("a number is an injected credential")]
    Number,
    /// What looks like an injection, where policy blocks it.
    #[error("it looks like an injection: {0}")]
    Injection(Markers),
}

/// Cleans the strings of one message.
pub(crate) struct Cleaner<'k> {
    known: Option<&'k Known>,
    scanner: Option<Scanner<'static>>,
    looks_for_markers: bool,
    pub(crate) findings: Findings,
}

/// A value's surroundings.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// The key that it is the value of, or that of the array that it is in.
    pub(crate) name: &'a str,
    pub(crate) schema: Schema<'a>,
}

impl At<'static> {
    /// The beginning, of which nothing is known.
    pub(crate) const TOP: Self = Self { name: "", schema: Schema::Any };
}

impl<'k> Cleaner<'k> {
    pub(crate) fn new(known: Option<&'k Known>, by_form: bool, looks_for_markers: bool) -> Self {
        static NO_LITERALS: LazyLock<Literals> = LazyLock::new(Literals::default);
        let scanner = by_form.then(|| credentials::scanner(&NO_LITERALS));
        Self { known, scanner, looks_for_markers, findings: Findings::default() }
    }

    /// Cleans a value. Recursion is bounded by the depth that messages are read with.
    pub(crate) fn value(&mut self, value: &mut Value, at: At<'_>) -> Result<(), Uncleanable> {
        match value {
            Value::String(text) => {
                if self.text(text, at.name)? && !at.schema.takes_any_string() {
                    return Err(Uncleanable::Constrained);
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
                self.value(item, At { name: at.name, schema: at.schema.item(index) })
            }),
            Value::Object(members) => self.members(members, at.schema),
            Value::Number(number) => {
                let told = self.known.is_some_and(|known| known.is_in_number(&number.to_string()));
                if told { Err(Uncleanable::Number) } else { Ok(()) }
            }
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// Cleans the members of an object, and their names.
    pub(crate) fn members(
        &mut self,
        members: &mut Map<String, Value>,
        schema: Schema<'_>,
    ) -> Result<(), Uncleanable> {
        let encoded = encoded_member(members);
        let mut renamed = Vec::new();
        for (name, value) in members.iter_mut() {
            let schema = schema.member(name);
            match value {
                Value::String(text) if encoded == Some(name.as_str()) => self.encoded(text)?,
                Value::String(text) if OPAQUE.contains(&name.as_str()) => drop(self.exact(text)),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => self.value(value, At { name, schema })?,
            }
            let mut key = name.clone();
            if self.key(&mut key)? {
                renamed.push((name.clone(), key));
            }
        }
        if !renamed.is_empty() && !schema.takes_any_key() {
            return Err(Uncleanable::Constrained);
        }
        for (name, key) in renamed {
            if let Some(value) = members.remove(&name) {
                members.insert(unused(members, key), value);
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &mut String) -> Result<bool, Uncleanable> {
        let exact = self.exact(key);
        Ok(exact | if key.len() >= KEY_BYTES_MIN { self.by_form(key, "")? } else { false })
    }

    /// Cleans a text; whether it is another one now.
    fn text(&mut self, text: &mut String, name: &str) -> Result<bool, Uncleanable> {
        let exact = self.exact(text);
        let changed = self.by_form(text, name)? | exact;
        if self.looks_for_markers {
            self.findings.markers.join(markers(text));
        }
        Ok(changed)
    }

    fn exact(&mut self, text: &mut String) -> bool {
        let Some((cleaned, times)) = self.known.and_then(|known| known.clean_edges(text)) else {
            return false;
        };
        self.findings.count(CREDENTIAL, times);
        *text = cleaned;
        true
    }

    fn by_form(&mut self, text: &mut String, name: &str) -> Result<bool, Uncleanable> {
        let Some(scanner) = &mut self.scanner else { return Ok(false) };
        let found = scanner.scan(name, text).map_err(|_| Uncleanable::TooMuch)?;
        if found.is_empty() {
            return Ok(false);
        }
        let mut cleaned = String::with_capacity(text.len());
        let mut from = 0;
        for one in &found {
            self.findings.count(one.id, 1);
            cleaned.push_str(text.get(from..one.start).unwrap_or_default());
            cleaned.push_str("[redacted:");
            cleaned.push_str(one.id);
            cleaned.push(']');
            from = one.end;
        }
        cleaned.push_str(text.get(from..).unwrap_or_default());
        *text = cleaned;
        Ok(true)
    }

    /// Base64 of an image, a sound or a file: what it holds is looked through for injected credentials alone.
    fn encoded(&mut self, text: &mut String) -> Result<(), Uncleanable> {
        let Ok(bytes) = LENIENT.decode(text.as_bytes()) else {
            return self.text(text, "").map(drop);
        };
        if let Some((cleaned, times)) = self.known.and_then(|known| known.clean_bytes(&bytes)) {
            self.findings.count(CREDENTIAL, times);
            *text = STANDARD.encode(cleaned);
        }
        // A credential that happens to be base64 itself was decoded to noise.
        self.exact(text);
        Ok(())
    }
}

/// The member that is base64 by the protocol: `data` of images and sounds, `blob` of resources.
fn encoded_member(members: &Map<String, Value>) -> Option<&'static str> {
    let kind = members.get("type").and_then(Value::as_str);
    if matches!(kind, Some("image" | "audio")) {
        return Some("data");
    }
    members.get("uri").filter(|uri| uri.is_string()).map(|_| "blob")
}

/// A name that an object doesn't have yet.
fn unused(members: &Map<String, Value>, name: String) -> String {
    if !members.contains_key(&name) {
        return name;
    }
    let more = (2_u64..).map(|number| format!("{name}-{number}"));
    more.into_iter().find(|other| !members.contains_key(other)).unwrap_or(name)
}

/// Takes hidden text out of every string of a value; whether there was any.
pub(crate) fn strip_hidden(value: &mut Value) -> bool {
    match value {
        Value::String(text) => match without_hidden(text) {
            Some(cleaned) => {
                *text = cleaned;
                true
            }
            None => false,
        },
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| strip_hidden(item) | found)
        }
        Value::Object(members) => {
            members.values_mut().fold(false, |found, value| strip_hidden(value) | found)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;

//! Every text of an object's JSON, with its path and the name that it is given.
//!
//! The path is written only once something is found, because nearly always nothing is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_model::json_path::push_member;
use pinfold_model::policy::literals::Literals;
use serde_json::{Map, Value};

use crate::credentials::{Encoding, Exhausted, Match, Scanner};

/// Values that are told of one object; of the others the number is.
const HITS_MAX: usize = 16;
/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 256;
/// `kubectl apply` keeps a copy of the whole object here; that of a Secret holds what the Secret does.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which parts of an object are looked at. Of all metadata that is annotations and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// All there is.
    Everything,
    /// Metadata and data, also what is there in base64.
    ConfigMap,
    /// Metadata and status, which is all that a status update changes.
    Status,
    /// Metadata, and never what the Secret holds.
    Secret,
    /// Metadata.
    Metadata,
}

/// A value that looks like a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit<'p> {
    pub(super) path: String,
    pub(super) id: &'p str,
    pub(super) title: &'p str,
    /// How long what was found is.
    pub(super) bytes: usize,
    /// How many more are in the same value.
    pub(super) others: usize,
    pub(super) encoding: Encoding,
}

/// What was found in an object.
#[derive(Debug, Default)]
pub(super) struct Report<'p> {
    pub(super) hits: Vec<Hit<'p>>,
    /// Values beyond [`HITS_MAX`].
    pub(super) more: usize,
    /// Where looking ended before the object did, and why.
    pub(super) unread: Option<(String, String)>,
}

impl Report<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty() && self.unread.is_none()
    }
}

/// Looks through an object.
pub(super) fn look<'p>(document: &Value, parts: Parts, literals: &'p Literals) -> Report<'p> {
    let mut walk = Walk {
        scanner: Scanner::new(literals),
        report: Report::default(),
        path: Vec::with_capacity(16),
        is_secret: parts == Parts::Secret,
    };
    let Value::Object(members) = document else { return walk.report };
    for (key, value) in members {
        let wanted = match (parts, key.as_str()) {
            (_, "apiVersion" | "kind") => false,
            (_, "metadata") | (Parts::Everything, _) => true,
            (Parts::ConfigMap, "data" | "binaryData") | (Parts::Status, "status") => true,
            (Parts::ConfigMap | Parts::Status | Parts::Secret | Parts::Metadata, _) => false,
        };
        if wanted {
            walk.binary_or(parts, key, value);
        }
    }
    walk.report
}

#[derive(Clone, Copy)]
enum Step<'d> {
    Member(&'d str),
    Item(usize),
}

struct Walk<'d, 'p> {
    scanner: Scanner<'p>,
    report: Report<'p>,
    path: Vec<Step<'d>>,
    is_secret: bool,
}

impl<'d, 'p> Walk<'d, 'p> {
    fn binary_or(&mut self, parts: Parts, key: &'d str, value: &'d Value) {
        let binary = parts == Parts::ConfigMap && key == "binaryData";
        match value.as_object().filter(|_| binary) {
            Some(members) => {
                self.path.push(Step::Member(key));
                self.binary(members);
                self.path.pop();
            }
            None => self.member(key, key, value),
        }
    }

    fn at(&mut self, step: Step<'d>, name: &str, value: &'d Value) {
        self.path.push(step);
        self.value(name, value);
        self.path.pop();
    }

    fn value(&mut self, name: &str, value: &'d Value) {
        if self.report.unread.is_some() {
            return;
        }
        if self.path.len() > DEPTH_MAX {
            self.report.unread =
                Some((self.shown(), format!("it is nested deeper than {DEPTH_MAX} levels")));
            return;
        }
        match value {
            Value::String(text) => self.text(name, text),
            Value::Array(items) => self.items(items),
            Value::Object(members) => self.members(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A flag gives its name to what follows it: `["--token", "..."]`.
    fn items(&mut self, items: &'d [Value]) {
        let mut flag = "";
        for (index, item) in items.iter().enumerate() {
            let text = item.as_str().unwrap_or_default();
            let is_flag = text.starts_with('-') && !text.contains(['=', ' ']);
            self.at(Step::Item(index), if is_flag { "" } else { flag }, item);
            flag = if is_flag { text } else { "" };
        }
    }

    /// Of `{name: DB_PASSWORD, value: ...}` the name is that of the value.
    fn members(&mut self, members: &'d Map<String, Value>) {
        let name = || members.get("name").or_else(|| members.get("key")).and_then(Value::as_str);
        for (key, value) in members {
            let named = if key == "value" { name() } else { None };
            self.member(key, named.unwrap_or(key), value);
        }
    }

    fn member(&mut self, key: &'d str, name: &str, value: &'d Value) {
        match (key, value) {
            ("metadata", Value::Object(members)) => {
                self.path.push(Step::Member(key));
                self.metadata(members);
                self.path.pop();
            }
            _ => self.at(Step::Member(key), name, value),
        }
    }

    fn metadata(&mut self, members: &'d Map<String, Value>) {
        for part in ["annotations", "labels"] {
            let Some((key, Value::Object(pairs))) = members.get_key_value(part) else { continue };
            self.path.push(Step::Member(key));
            for (name, value) in pairs {
                if !(self.is_secret && name == LAST_APPLIED) {
                    self.at(Step::Member(name), name, value);
                }
            }
            self.path.pop();
        }
    }

    /// `binaryData`, as far as it is text.
    fn binary(&mut self, members: &'d Map<String, Value>) {
        for (name, value) in members {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else {
                continue;
            };
            self.path.push(Step::Member(name));
            self.text(name, &text);
            self.path.pop();
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        match self.scanner.scan(name, text) {
            Ok(matches) => self.note(&matches),
            Err(reason) => self.give_up(reason),
        }
    }

    fn note(&mut self, matches: &[Match<'p>]) {
        let Some(first) = matches.first() else { return };
        if self.report.hits.len() >= HITS_MAX {
            self.report.more = self.report.more.saturating_add(1);
            return;
        }
        let Match { id, title, start, end, encoding } = *first;
        let (bytes, others) = (end.saturating_sub(start), matches.len().saturating_sub(1));
        let path = self.shown();
        self.report.hits.push(Hit { path, id, title, bytes, others, encoding });
    }

    fn give_up(&mut self, reason: Exhausted) {
        self.report.unread = Some((self.shown(), reason.to_string()));
    }

    fn shown(&self) -> String {
        let mut path = "$".to_owned();
        for step in &self.path {
            match step {
                Step::Member(key) => push_member(&mut path, key),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

//! The pattern set that ships, from its document to programs and one automaton of all keywords.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use pinfold_model::document::{Dialect, read};
use pinfold_model::policy::literals::SHIPPED;
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;
use serde::Deserialize;

use super::check::Check;
use super::name::WORDS;

/// The group of an expression that is the credential itself.
const SECRET_GROUP: &str = "secret";

/// Begins PEM text in base64, at any offset of three.
pub(super) const ENCODED_PEM: &str = "LS0tLS1CRUdJTi";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "metadata")]
    _metadata: Name,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    #[serde(rename = "name")]
    _name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(rename = "checked")]
    _checked: String,
    patterns: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(rename = "match")]
    expression: String,
    #[serde(default)]
    lead: usize,
    #[serde(default)]
    glued: bool,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    needs: String,
    #[serde(default)]
    check: Check,
    #[serde(rename = "source")]
    _source: String,
}

/// A pattern, ready.
pub(super) struct Shipped {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) program: PikeVM,
    /// The group that is the credential; the whole match without one.
    pub(super) group: usize,
    /// How many bytes of a match may come before its keyword.
    pub(super) lead: usize,
    /// Whether a letter may stand before it.
    pub(super) glued: bool,
    /// Whether it goes on for as long as the token does.
    pub(super) open: bool,
    /// A byte without which no match is possible, so that most texts cost nothing more.
    pub(super) needs: Option<u8>,
    pub(super) check: Check,
}

/// What a keyword leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    /// The pattern of this index begins here.
    Pattern(usize),
    /// A name that may say that what is assigned to it is a credential.
    Name,
    /// PEM in base64.
    EncodedPem,
}

/// All patterns.
pub(super) struct Set {
    pub(super) patterns: Vec<Shipped>,
    /// Name in lower case without separators, and the pattern of its value; sorted.
    pub(super) names: Vec<(String, usize)>,
    pub(super) automaton: AhoCorasick,
    /// What each word of the automaton leads to.
    pub(super) keywords: Vec<Keyword>,
}

/// The set that ships; `None` if it doesn't compile, which a test rules out.
pub(super) fn shipped() -> Option<&'static Set> {
    static SET: LazyLock<Option<Set>> = LazyLock::new(|| build(SHIPPED).ok());
    SET.as_ref()
}

/// Reads and compiles a set.
pub(super) fn build(text: &str) -> Result<Set, String> {
    let mut nodes = read("credentials.yaml", text, Dialect::Policy).map_err(|e| e.to_string())?;
    let node = nodes.pop().ok_or("no document")?;
    let document: Document = node.read("credentials.yaml").map_err(|e| e.to_string())?;
    let mut set = Parts::default();
    for raw in document.spec.patterns {
        set.add(raw)?;
    }
    set.finish()
}

#[derive(Default)]
struct Parts {
    patterns: Vec<Shipped>,
    names: Vec<(String, usize)>,
    words: Vec<String>,
    keywords: Vec<Keyword>,
}

impl Parts {
    fn add(&mut self, raw: Raw) -> Result<(), String> {
        let index = self.patterns.len();
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", raw.id);
        if raw.keywords.is_empty() == raw.names.is_empty() {
            return Err(named(&"expected keywords, or names"));
        }
        let anchor = if raw.names.is_empty() { "" } else { "$" };
        let program = compile(&format!("(?:{}){anchor}", raw.expression));
        let program = program.map_err(|error| named(&error))?;
        let groups = program.get_nfa().group_info();
        let group = groups.to_index(regex_automata::PatternID::ZERO, SECRET_GROUP).unwrap_or(0);
        self.names.extend(raw.names.into_iter().map(|name| (name, index)));
        self.keywords.extend(raw.keywords.iter().map(|_| Keyword::Pattern(index)));
        self.words.extend(raw.keywords);
        let needs = raw.needs.bytes().next();
        let Raw { id, title, lead, glued, open, check, .. } = raw;
        self.patterns.push(Shipped { id, title, program, group, lead, glued, open, needs, check });
        Ok(())
    }

    fn finish(mut self) -> Result<Set, String> {
        for word in WORDS {
            self.words.push(word.to_owned());
            self.keywords.push(Keyword::Name);
        }
        self.words.push(ENCODED_PEM.to_owned());
        self.keywords.push(Keyword::EncodedPem);
        self.names.sort();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&self.words)
            .map_err(|error| error.to_string())?;
        let Self { patterns, names, keywords, .. } = self;
        Ok(Set { patterns, names, automaton, keywords })
    }
}

/// An expression over bytes.
fn compile(expression: &str) -> Result<PikeVM, String> {
    PikeVM::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build(expression)
        .map_err(|error| error.to_string())
}

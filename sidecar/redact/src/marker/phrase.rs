//! Phrases of published attacks, and comments that hide them. Words are compared, so that blanks, case and marks between them don't matter.
//!
//! Sources: tool poisoning with `<IMPORTANT>` (Invariant Labs, 2025), "ignore previous instructions" (Perez and Ribeiro, arXiv:2211.09527),
//! imitated turns of chat templates (`<|im_start|>`, `[INST]`), comments in web pages and issues (Greshake et al., arXiv:2302.12173).

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{Marker, Markers};

/// How far a phrase is read from where it begins, in bytes.
const PHRASE_BYTES_MAX: usize = 160;
/// How far the end of a comment is looked for, in bytes.
const COMMENT_BYTES_MAX: usize = 4096;
/// Beginnings of phrases that are looked at in one text.
const STARTS_MAX: usize = 4096;

/// What begins here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The phrase itself.
    Whole,
    /// A word that takes back, if earlier instructions follow.
    TakesBack,
    /// A word that forbids, if telling the user follows.
    Forbids,
    /// A comment.
    Comment,
}

const STARTS: &[(&str, Start)] = &[
    ("<important>", Start::Whole),
    ("<|im_start|>", Start::Whole),
    ("<|start_header_id|>", Start::Whole),
    ("<<sys>>", Start::Whole),
    ("[/inst]", Start::Whole),
    ("<system_prompt>", Start::Whole),
    ("[system override]", Start::Whole),
    ("new instructions from the user", Start::Whole),
    ("you are now in developer mode", Start::Whole),
    ("ignore", Start::TakesBack),
    ("disregard", Start::TakesBack),
    ("forget", Start::TakesBack),
    ("override", Start::TakesBack),
    ("don't", Start::Forbids),
    ("do not", Start::Forbids),
    ("never", Start::Forbids),
    ("without", Start::Forbids),
    ("<!--", Start::Comment),
];

/// What says that instructions are those from before.
const EARLIER: &[&str] =
    &["above", "earlier", "existing", "foregoing", "preceding", "previous", "prior", "system"];
/// What instructions are called.
const INSTRUCTIONS: &[&str] = &[
    "command",
    "commands",
    "context",
    "directions",
    "directives",
    "guidelines",
    "instruction",
    "instructions",
    "messages",
    "prompt",
    "prompts",
    "rules",
];
/// What telling is called.
const TELLING: &[&str] = &[
    "alert",
    "alerting",
    "inform",
    "informing",
    "mention",
    "mentioning",
    "notify",
    "notifying",
    "reveal",
    "revealing",
    "tell",
    "telling",
    "warn",
    "warning",
];
/// Who reads a comment that people don't see.
const READERS: &[&str] =
    &["agent", "agents", "ai", "assistant", "assistants", "chatbot", "copilot", "llm", "llms"];
/// What such a reader is told to do.
const ORDERS: &[&str] = &[
    "always", "call", "execute", "fetch", "follow", "ignore", "include", "must", "never", "output",
    "post", "read", "reply", "respond", "run", "send", "should", "use", "write",
];

fn automaton() -> Option<&'static AhoCorasick> {
    static AUTOMATON: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let words = STARTS.iter().map(|(text, _)| text);
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).ok()
    });
    AUTOMATON.as_ref()
}

/// Looks for phrases and comments.
pub(super) fn look(text: &str, found: &mut Markers) {
    let Some(automaton) = automaton() else { return };
    for hit in automaton.find_iter(text).take(STARTS_MAX) {
        let Some((_, start)) = STARTS.get(hit.pattern().as_usize()) else { continue };
        let after = |most: usize| bounded(text, hit.end(), most);
        match start {
            Start::Whole => found.add_if(true, Marker::Phrase),
            Start::TakesBack => {
                found.add_if(takes_back(after(PHRASE_BYTES_MAX)), Marker::Phrase);
            }
            Start::Forbids => {
                found.add_if(hides_from_user(after(PHRASE_BYTES_MAX)), Marker::Phrase);
            }
            Start::Comment => {
                let inside = after(COMMENT_BYTES_MAX);
                let inside = inside.split_once("-->").map_or(inside, |(inside, _)| inside);
                found.add_if(speaks_to_model(inside), Marker::Comment);
            }
        }
    }
}

/// At most so many bytes of a text from a place on.
fn bounded(text: &str, from: usize, most: usize) -> &str {
    let rest = text.get(from..).unwrap_or_default();
    let most = most.min(rest.len());
    let end = (most.saturating_sub(3)..=most).rev().find(|at| rest.is_char_boundary(*at));
    rest.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|character: char| !character.is_alphanumeric() && character != '\'');
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_one(word: &str, of: &[&str]) -> bool {
    of.contains(&word)
}

/// Whether "the previous instructions" or the like follow: what is earlier within four words, what it is within three more.
fn takes_back(after: &str) -> bool {
    let mut words = words(after);
    words.by_ref().take(4).any(|word| is_one(&word, EARLIER))
        && words.take(3).any(|word| is_one(&word, INSTRUCTIONS))
}

/// Whether telling the user is what is forbidden: the verb at once, the user within four words.
fn hides_from_user(after: &str) -> bool {
    let mut words = words(after);
    words.by_ref().take(2).any(|word| is_one(&word, TELLING))
        && words.take(4).any(|word| word == "user")
}

/// Whether a comment names a model and tells it to do something, or has a phrase of its own.
fn speaks_to_model(inside: &str) -> bool {
    let mut read = false;
    let mut told = false;
    for word in words(inside) {
        read |= is_one(&word, READERS);
        told |= is_one(&word, ORDERS);
    }
    read && told
}

//! Looks through texts, one after the other, within one budget.

use pinfold_model::policy::literals::Literals;
use regex_automata::nfa::thompson::pikevm::Cache;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};

use super::check::Check;
use super::name::{folded, kind_of};
use super::set::{ENCODED_PEM, Keyword, Set, Shipped, shipped};
use super::value::is_plausible;
use super::{ATTEMPTS_MAX, Encoding, Exhausted, Match, TEXT_BYTES_MAX, assignment, encoded, name};

/// How far a pattern is read from where it begins, in bytes.
const WINDOW_BYTES: usize = 640;
/// Matches of one text that the policy is asked about; an expression of its own costs more than finding them.
const ALLOWED_MAX: usize = 1_024;
/// How many of the last matches are looked at for one that covers what comes next; more can't.
const NEAR_MAX: usize = 4;
/// Slots of the pattern with the most groups; a test holds it.
pub(super) const SLOTS_MAX: usize = 4;
/// Shortest text that holds a credential, in bytes.
const TEXT_BYTES_MIN: usize = 6;
const NAMED_PASSWORD: (&str, &str) = ("named-password", "a password, by its name");
const NAMED_SECRET: (&str, &str) = ("named-secret", "a secret, token or key, by its name");

/// Looks through the texts of one object, or one message.
pub struct Scanner<'p> {
    literals: &'p Literals,
    set: Option<&'static Set>,
    /// A cache for each pattern that was tried.
    caches: Vec<(usize, Cache)>,
    bytes_left: usize,
    attempts_left: usize,
}

/// A text, and what was found in it so far.
struct Found<'p> {
    matches: Vec<Match<'p>>,
    encoding: Encoding,
}

impl<'p> Scanner<'p> {
    /// One with its whole budget.
    #[must_use]
    pub fn new(literals: &'p Literals) -> Self {
        Self {
            literals,
            set: shipped(),
            caches: Vec::new(),
            bytes_left: TEXT_BYTES_MAX,
            attempts_left: ATTEMPTS_MAX,
        }
    }

    /// What looks like a credential in a text, in order and without overlaps. `name` is what the field, variable or key is called whose value the text
    /// is; empty if it has none.
    ///
    /// # Errors
    /// [`Exhausted`] if the budget is used up: nothing is known of the text then.
    pub fn scan(&mut self, name: &str, text: &str) -> Result<Vec<Match<'p>>, Exhausted> {
        let set = self.set.ok_or(Exhausted::Patterns)?;
        self.bytes_left = self.bytes_left.checked_sub(text.len()).ok_or(Exhausted::Text)?;
        if text.len() < TEXT_BYTES_MIN {
            return Ok(Vec::new());
        }
        let mut found = Found { matches: Vec::new(), encoding: Encoding::Plain };
        self.look(set, name, text, &mut found)?;
        if found.matches.is_empty() {
            self.look_inside(set, name, text, &mut found)?;
        }
        self.take_out_allowed(text, &mut found.matches);
        found.matches.sort_by_key(|one| (one.start, std::cmp::Reverse(one.end)));
        let mut free = 0;
        found.matches.retain(|one| {
            let kept = one.start >= free;
            free = if kept { one.end } else { free };
            kept
        });
        Ok(found.matches)
    }

    /// Without what the policy says is no credential: the whole text, or what was found in it.
    fn take_out_allowed(&self, text: &str, matches: &mut Vec<Match<'p>>) {
        if matches.is_empty() || self.literals.allow.is_empty() {
            return;
        }
        if self.literals.allows(text) {
            matches.clear();
        }
        let mut asked: usize = 0;
        matches.retain(|one| {
            asked = asked.saturating_add(1);
            let part = text.get(one.start..one.end).unwrap_or_default();
            asked > ALLOWED_MAX || !self.literals.allows(part)
        });
    }

    fn is_on(&self, id: &str) -> bool {
        !self.literals.off.contains(id)
    }

    /// One level below: base64, percent signs. What is found there is the whole text.
    fn look_inside(
        &mut self,
        set: &'static Set,
        name: &str,
        text: &str,
        found: &mut Found<'p>,
    ) -> Result<(), Exhausted> {
        let inside = [
            (Encoding::Base64, encoded::base64(text)),
            (Encoding::Percent, encoded::percent(text)),
        ];
        for (encoding, decoded) in inside {
            let Some(decoded) = decoded else { continue };
            self.bytes_left = self.bytes_left.checked_sub(decoded.len()).ok_or(Exhausted::Text)?;
            let mut below = Found { matches: Vec::new(), encoding };
            self.look(set, name, &decoded, &mut below)?;
            let whole = |one: Match<'p>| Match { start: 0, end: text.len(), encoding, ..one };
            found.matches.extend(below.matches.into_iter().next().map(whole));
        }
        Ok(())
    }

    /// Everything in a text as it stands.
    fn look(
        &mut self,
        set: &'static Set,
        name: &str,
        text: &str,
        found: &mut Found<'p>,
    ) -> Result<(), Exhausted> {
        self.own(text, found);
        for hit in set.automaton.find_overlapping_iter(text) {
            let Some(keyword) = set.keywords.get(hit.pattern().as_usize()) else { continue };
            let covered = |one: &Match<'_>| {
                !is_named(one) && one.start <= hit.start() && hit.end() <= one.end
            };
            if found.matches.iter().rev().take(NEAR_MAX).any(covered) {
                continue;
            }
            match *keyword {
                Keyword::Pattern(index) => self.attempt(set, index, (text, hit.start()), found)?,
                Keyword::Name => {
                    if let Some(value) = assignment::at(text, hit.start(), hit.end()) {
                        self.named(set, value.name, (text, value.start, value.end), found);
                    }
                }
                Keyword::EncodedPem => self.pem(set, (text, hit.start()), found)?,
            }
        }
        if !name.is_empty() && found.matches.is_empty() {
            let start = text.len().saturating_sub(text.trim_start().len());
            let end = start.saturating_add(text.trim().len());
            self.named(set, name, (text, start, end), found);
        }
        Ok(())
    }

    /// The policy's own patterns.
    fn own(&self, text: &str, found: &mut Found<'p>) {
        if self.literals.patterns.is_empty() {
            return;
        }
        let lower = text.to_lowercase();
        for pattern in &self.literals.patterns {
            let wanted = pattern.keywords.is_empty()
                || pattern.keywords.iter().any(|word| lower.contains(word.as_str()));
            let Some((start, end)) = pattern.search.find(text).filter(|_| wanted) else { continue };
            let title = "a pattern of the policy";
            found.matches.push(Match {
                id: &pattern.id,
                title,
                start,
                end,
                encoding: found.encoding,
            });
        }
    }

    /// Tries a pattern whose keyword begins at `at`.
    fn attempt(
        &mut self,
        set: &'static Set,
        index: usize,
        (text, at): (&str, usize),
        found: &mut Found<'p>,
    ) -> Result<(), Exhausted> {
        let Some(pattern) = set.patterns.get(index) else { return Ok(()) };
        let bytes = text.as_bytes();
        if pattern.lead == 0 && !pattern.glued && is_inside_word(bytes, at) {
            return Ok(());
        }
        if !self.is_on(&pattern.id) {
            return Ok(());
        }
        let from = at.saturating_sub(pattern.lead);
        let to = at.saturating_add(WINDOW_BYTES).min(bytes.len());
        let window = bytes.get(from..to).unwrap_or_default();
        if pattern.needs.is_some_and(|needed| !window.contains(&needed)) {
            return Ok(());
        }
        self.attempts_left = self.attempts_left.checked_sub(1).ok_or(Exhausted::Attempts)?;
        let anchored = if pattern.lead == 0 { Anchored::Yes } else { Anchored::No };
        let input = Input::new(bytes).range(from..to).anchored(anchored);
        let Some((whole, mut secret)) = self.find(pattern, index, &input) else { return Ok(()) };
        let outside = !pattern.open && goes_on(bytes, whole.1);
        if outside || pattern.lead > 0 && is_inside_word(bytes, whole.0) {
            return Ok(());
        }
        secret.1 = extent(pattern, text, secret.1);
        let (Some(value), Some(rest)) = (text.get(secret.0..secret.1), text.get(whole.1..)) else {
            return Ok(());
        };
        if pattern.check.holds(value, rest) {
            let (start, end) = secret;
            let (id, title) = (pattern.id.as_str(), pattern.title.as_str());
            // What is known by its form is told so, rather than by its name.
            let overlaps = |one: &Match<'_>| is_named(one) && one.start < end && start < one.end;
            while found.matches.last().is_some_and(overlaps) {
                found.matches.pop();
            }
            found.matches.push(Match { id, title, start, end, encoding: found.encoding });
        }
        Ok(())
    }

    /// Where a pattern matches, and where the credential in it is.
    fn find(
        &mut self,
        pattern: &'static Shipped,
        index: usize,
        input: &Input<'_>,
    ) -> Option<((usize, usize), (usize, usize))> {
        let known = self.caches.iter().position(|(of, _)| *of == index);
        let place = known.unwrap_or_else(|| {
            self.caches.push((index, pattern.program.create_cache()));
            self.caches.len().saturating_sub(1)
        });
        let (_, cache) = self.caches.get_mut(place)?;
        // Two for each group, and not more than there are: an unanchored search of regex-automata loses the first otherwise.
        let mut slots: [Option<NonMaxUsize>; SLOTS_MAX] = [None; SLOTS_MAX];
        let slots = slots.get_mut(..pattern.program.get_nfa().group_info().slot_len())?;
        pattern.program.search_slots(cache, input, slots)?;
        let span = |group: usize| {
            let first = group.checked_mul(2)?;
            Some((
                slots.get(first)?.as_ref()?.get(),
                slots.get(first.checked_add(1)?)?.as_ref()?.get(),
            ))
        };
        Some((span(0)?, span(pattern.group)?))
    }

    /// Judges a value by the name that it is given.
    fn named(
        &mut self,
        set: &'static Set,
        name: &str,
        (text, start, end): (&str, usize, usize),
        found: &mut Found<'p>,
    ) {
        let Some(value) = text.get(start..end).filter(|value| value.len() >= TEXT_BYTES_MIN) else {
            return;
        };
        let Some(kind) = kind_of(name) else { return };
        let overlaps = |one: &Match<'_>| one.start < end && start < one.end;
        if found.matches.iter().rev().take(NEAR_MAX).any(overlaps) {
            return;
        }
        let by_pattern = self.by_name(set, name, value);
        let by_kind = || is_plausible(kind, value).then_some(of_kind(kind));
        let Some((id, title)) = by_pattern.or_else(by_kind).filter(|(id, _)| self.is_on(id)) else {
            return;
        };
        found.matches.push(Match { id, title, start, end, encoding: found.encoding });
    }

    /// The pattern for the value of a name, if the value is of it.
    fn by_name(
        &mut self,
        set: &'static Set,
        name: &str,
        value: &str,
    ) -> Option<(&'static str, &'static str)> {
        let folded = folded(name);
        for (_, index) in set.names.iter().filter(|(listed, _)| folded.ends_with(listed.as_str())) {
            let pattern = set.patterns.get(*index)?;
            let input = Input::new(value).anchored(Anchored::Yes);
            if self.is_on(&pattern.id)
                && self.find(pattern, *index, &input).is_some()
                && pattern.check.holds(value, "")
            {
                return Some((&pattern.id, &pattern.title));
            }
        }
        None
    }

    /// PEM in base64 in the middle of a text, as in a kubeconfig.
    fn pem(
        &mut self,
        set: &'static Set,
        (text, start): (&str, usize),
        found: &mut Found<'p>,
    ) -> Result<(), Exhausted> {
        let end = encoded::run_end(text, start);
        let run = text.get(start..end).unwrap_or_default();
        // Keywords are found in any case, base64 means one thing in one.
        if !run.starts_with(ENCODED_PEM) {
            return Ok(());
        }
        // Before it is decoded: a text that only repeats the keyword would cost its length for each.
        self.attempts_left = self.attempts_left.checked_sub(1).ok_or(Exhausted::Attempts)?;
        self.bytes_left = self.bytes_left.checked_sub(run.len()).ok_or(Exhausted::Text)?;
        let Some(decoded) = encoded::base64(run) else { return Ok(()) };
        let encoding = Encoding::Base64;
        let mut below = Found { matches: Vec::new(), encoding };
        for hit in set.automaton.find_overlapping_iter(&decoded) {
            if let Some(Keyword::Pattern(index)) = set.keywords.get(hit.pattern().as_usize()) {
                self.attempt(set, *index, (&decoded, hit.start()), &mut below)?;
            }
        }
        let whole = |one: Match<'p>| Match { start, end, encoding, ..one };
        found.matches.extend(below.matches.into_iter().next().map(whole));
        Ok(())
    }
}

fn is_named(one: &Match<'_>) -> bool {
    one.id == NAMED_PASSWORD.0 || one.id == NAMED_SECRET.0
}

fn of_kind(kind: name::Kind) -> (&'static str, &'static str) {
    match kind {
        name::Kind::Password => NAMED_PASSWORD,
        name::Kind::Secret | name::Kind::Key => NAMED_SECRET,
    }
}

/// Whether a letter or digit stands before a token that begins with one. The `n` of a `\n` doesn't count.
fn is_inside_word(bytes: &[u8], at: usize) -> bool {
    let byte = |back: usize| at.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    word(byte(0)) && word(byte(1)) && byte(2) != Some(b'\\')
}

/// Where a credential ends that a pattern has read as far as `end`: a key at its last line, an open token where it is over.
fn extent(pattern: &Shipped, text: &str, end: usize) -> usize {
    let rest = text.get(end..).unwrap_or_default();
    let more = if pattern.check == Check::Pem {
        let last_line = rest.find("-----END ").map(|at| at.saturating_add("-----END ".len()));
        let last_mark =
            |at: usize| Some(at.checked_add(rest.get(at..)?.find("-----")?)?.saturating_add(5));
        last_line.and_then(last_mark).unwrap_or(rest.len())
    } else if pattern.open {
        rest.bytes().take_while(|byte| is_token(*byte)).count()
    } else {
        0
    };
    end.saturating_add(more)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

/// Whether a token goes on behind its end.
fn goes_on(bytes: &[u8], end: usize) -> bool {
    let word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric())
    };
    word(Some(end)) && word(end.checked_sub(1))
}

//! Patterns that policies match text with: globs over names, refs and paths, and anchored regular expressions.
//!
//! All of them run in time linear in the text, whatever a tenant writes: a glob becomes a regular expression of the
//! automata engine, and an expression past [`PROGRAM_BYTES_MAX`] is refused when the policy is read.

use std::collections::BTreeSet;
use std::fmt;

use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;

/// Longest pattern that a policy may write.
pub const PATTERN_BYTES_MAX: usize = 512;
/// Largest compiled program.
pub const PROGRAM_BYTES_MAX: usize = 256 * 1024;

/// A compiled pattern together with the text it was written as.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    program: PikeVM,
}

impl Pattern {
    /// A glob over slash-separated text: `*` any characters but `/`, `**` any characters, `?` one character but `/`.
    ///
    /// # Errors
    /// A text with the reason.
    pub fn path_glob(text: &str) -> Result<Self, String> {
        Self::compile(text, &glob_to_expression(text, "[^/]"))
    }

    /// A glob over a name: `*` any characters, `?` one character.
    ///
    /// # Errors
    /// A text with the reason.
    pub fn name_glob(text: &str) -> Result<Self, String> {
        Self::compile(text, &glob_to_expression(text, "."))
    }

    /// A regular expression that must match the whole text.
    ///
    /// # Errors
    /// A text with the reason.
    pub fn expression(text: &str) -> Result<Self, String> {
        Self::compile(text, text)
    }

    fn compile(text: &str, expression: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "expected at most {PATTERN_BYTES_MAX} bytes, found {}",
                text.len()
            ));
        }
        let config = thompson::Config::new().nfa_size_limit(Some(PROGRAM_BYTES_MAX));
        let program = PikeVM::builder()
            .syntax(syntax::Config::new().dot_matches_new_line(true).nest_limit(32))
            .thompson(config)
            .build(&format!("^(?:{expression})$"))
            .map_err(|error| describe(&error))?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.program.is_match(&mut self.program.create_cache(), text)
    }

    /// Whether some text that begins with `prefix` matches. For a name glob; of other patterns the answer is too generous.
    #[must_use]
    pub fn could_begin(&self, prefix: &str) -> bool {
        let glob: Vec<char> = self.text.chars().collect();
        // Positions in the glob that the prefix read so far can have led to.
        let mut open = past_stars(&glob, std::iter::once(0).collect());
        for character in prefix.chars() {
            let step = |position: usize| match glob.get(position)? {
                '*' => Some(position),
                '?' => position.checked_add(1),
                plain => (*plain == character).then(|| position.checked_add(1))?,
            };
            open = past_stars(&glob, open.into_iter().filter_map(step).collect());
        }
        !open.is_empty()
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// These positions, and those behind stars, which can stand for nothing.
fn past_stars(glob: &[char], mut open: BTreeSet<usize>) -> BTreeSet<usize> {
    let mut new: Vec<usize> = open.iter().copied().collect();
    while let Some(position) = new.pop() {
        let next = position.saturating_add(1);
        if glob.get(position) == Some(&'*') && open.insert(next) {
            new.push(next);
        }
    }
    open
}

fn describe(error: &thompson::BuildError) -> String {
    match error.size_limit() {
        Some(_) => format!("the expression compiles to more than {PROGRAM_BYTES_MAX} bytes"),
        None => format!("not a regular expression: {error}"),
    }
}

fn glob_to_expression(glob: &str, one: &str) -> String {
    let mut expression = String::with_capacity(glob.len().saturating_mul(2));
    let mut rest = glob.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => expression.push_str(".*"),
            '*' => {
                expression.push_str(one);
                expression.push('*');
            }
            '?' => expression.push_str(one),
            plain => {
                if is_special(plain) {
                    expression.push('\\');
                }
                expression.push(plain);
            }
        }
    }
    expression
}

fn is_special(character: char) -> bool {
    "\\.+()|[]{}^$#&-~".contains(character)
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pattern({})", self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn globs() {
        let cases = [
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main2", false),
            ("refs/heads/release/*", "refs/heads/release/1.2", true),
            ("refs/heads/release/*", "refs/heads/release/1/2", false),
            ("refs/pull/**", "refs/pull/7/merge", true),
            ("src/**", "src/a/b", true),
            ("src/**", "srcx", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a.c", "abc", false),
            ("a+(b)[c]{d}^$|\\", "a+(b)[c]{d}^$|\\", true),
            ("*", "", true),
            ("src/*", "src/a\nb", true),
        ];
        for (glob, text, expected) in cases {
            let pattern = Pattern::path_glob(glob).expect("a glob");
            assert_eq!(pattern.matches(text), expected, "{glob} {text:?}");
        }
        assert!(Pattern::name_glob("*/agent-*").expect("a glob").matches("a/b/agent-x"));
    }

    #[test]
    fn expressions_are_anchored_and_bounded() {
        let pattern = Pattern::expression("a|b").expect("an expression");
        assert!(pattern.matches("a") && pattern.matches("b"));
        assert!(!pattern.matches("ab") && !pattern.matches("xb"));
        assert!(!Pattern::expression("a").expect("an expression").matches("a\n"));
        for bad in ["(", "a{1000}{1000}{1000}", "(?:a{500}){500}", r"(a)\1", &"x".repeat(600)] {
            assert!(Pattern::expression(bad).is_err(), "{bad}");
        }
        let slow = Pattern::expression("(a*)*b").expect("an expression");
        assert!(!slow.matches(&"a".repeat(20_000)));
    }

    #[test]
    fn a_glob_says_what_could_begin_a_match() {
        let cases = [
            ("*/agent-*", "acme/", true),
            ("acme/agent-*", "acme/", true),
            ("acme/agent-*", "beta/", false),
            ("acm?/x", "acme/", true),
            ("*agent", "acme/", true),
            ("acme", "acme/", false),
            ("ac*/x", "acme/", true),
            ("bc*/x", "acme/", false),
        ];
        for (glob, prefix, expected) in cases {
            let pattern = Pattern::name_glob(glob).expect("a glob");
            assert_eq!(pattern.could_begin(prefix), expected, "{glob} {prefix}");
        }
    }
}

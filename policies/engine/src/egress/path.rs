//! The path of a request, and whether a rule's list of paths is about it.

use pinfold_model::policy::agent::HttpRule;
use pinfold_model::reason::{Denial, Reason};

use super::quote;

/// The path of a request, without its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a> {
    /// Normalized, or as it was written if it is ambiguous.
    pub text: &'a str,
    /// What in it servers read in several ways, if anything: then no list of paths can match it, because which file is meant is the
    /// server's to say. A rule without such a list allows it all the same.
    pub ambiguity: Option<&'static str>,
}

impl<'a> From<&'a str> for Path<'a> {
    /// A normalized path.
    fn from(text: &'a str) -> Self {
        Self { text, ambiguity: None }
    }
}

/// Whether the paths of a rule cover this one.
pub(super) fn check(rule: &HttpRule, place: &str, path: Path<'_>) -> Result<(), Denial> {
    let Some(paths) = &rule.paths else { return Ok(()) };
    let Path { text, ambiguity } = path;
    if let Some(found) = ambiguity {
        let text = text.escape_debug();
        let message = format!(
            "path `{text}` is ambiguous, servers read {found} in several ways, so `{place}.paths` can't allow it"
        );
        let remedy = "write the path without it, or ask for a rule without `paths` for this host";
        return Err(Denial::new(Reason::Path, place, message, remedy));
    }
    if !paths.iter().any(|allowed| allowed.matches(text)) {
        let message = format!("path `{text}` is not allowed here");
        let texts: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let remedy = format!("use a path like {}, or add it to `{place}.paths`", quote(&texts));
        return Err(Denial::new(Reason::Path, place, message, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

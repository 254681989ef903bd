//! Whether the paths and kinds that are asked of a memory source are within those that it grants, as they are written.
//!
//! Conservative on purpose: a path without wildcards must be matched by a granted glob; one with wildcards must be a granted glob itself, or lie
//! below the literal beginning of one that ends in `**`.

use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::agent::Memory;
use pinfold_model::pattern::Pattern;

use crate::context::Found;
use crate::rbac::describe::{excerpt, list};

const RULE: RuleId = RuleId::ORG_MEMORY;
/// Most paths, or kinds, that are compared on one side.
const COMPARED_MAX: usize = 256;
/// What a source grants that grants all kinds or paths.
const ANY: [&str; 2] = ["*", "**"];

/// What is asked, and the source that is asked.
pub(super) struct Scope<'a> {
    pub(super) asked: &'a Memory,
    /// Whether what is left out is all there is.
    pub(super) asks_all: bool,
    pub(super) grants: &'a Memory,
    pub(super) source: &'a ObjectKey,
}

impl Scope<'_> {
    /// Judges paths, then kinds. A source that says nothing about one of them restricts only the other; one that says nothing grants nothing.
    pub(super) fn judge(&self, found: &mut Found) {
        let (asked, grants) = (self.asked, self.grants);
        if grants.paths.is_empty() && grants.kinds.is_empty() {
            let message =
                format!("{} grants no paths and no kinds", excerpt(&self.source.to_string()));
            let remedy = "have its owner name what it grants: `allowedPaths`, `allowedKinds`";
            return found.add(RULE, "$.spec.sourceRef", message, remedy);
        }
        let lists = [&asked.paths, &asked.kinds, &grants.paths, &grants.kinds];
        if lists.iter().any(|list| list.len() > COMPARED_MAX) {
            let message =
                format!("more than {COMPARED_MAX} paths or kinds are compared with each other");
            return found.add(RULE, "$.spec", message, "name fewer; a glob can stand for many");
        }
        let globs: Vec<Glob<'_>> = grants.paths.iter().map(|text| Glob::new(text)).collect();
        let path = |path: &str| globs.iter().any(|glob| glob.covers(path));
        self.compare(("paths", &asked.paths, &grants.paths), path, found);
        let kind =
            |kind: &str| grants.kinds.iter().any(|granted| granted == kind || granted == "*");
        self.compare(("kinds", &asked.kinds, &grants.kinds), kind, found);
    }

    fn compare(
        &self,
        (field, asked, granted): (&str, &[String], &[String]),
        is_granted: impl Fn(&str) -> bool,
        found: &mut Found,
    ) {
        if granted.is_empty() {
            return;
        }
        let source = excerpt(&self.source.to_string());
        let grants = list(granted.iter().map(String::as_str));
        let remedy = format!("ask within what {source} grants: {grants}");
        if asked.is_empty()
            && self.asks_all
            && !granted.iter().any(|text| ANY.contains(&text.as_str()))
        {
            let message = format!(
                "all {field} are asked for, because none is named; {source} grants {grants}"
            );
            found.add(RULE, format!("$.spec.{field}"), message, remedy.clone());
        }
        for (index, text) in asked
            .iter()
            .enumerate()
            .filter(|(_, text)| !is_granted(text))
            .take(super::reach::MAX_TOLD)
        {
            let message =
                format!("`{}` isn't within what {source} grants: {grants}", excerpt(text));
            found.add(RULE, format!("$.spec.{field}[{index}]"), message, remedy.clone());
        }
    }
}

/// A granted path glob.
struct Glob<'g> {
    text: &'g str,
    /// `None` if it can't be read: it grants nothing but itself.
    pattern: Option<Pattern>,
    /// What everything below begins with, if it ends in `**` and has no other wildcard.
    below: Option<&'g str>,
}

impl<'g> Glob<'g> {
    fn new(text: &'g str) -> Self {
        let plain = !text.contains(BEYOND);
        let pattern = plain.then(|| Pattern::path_glob(text).ok()).flatten();
        let begins =
            text.strip_suffix("**").filter(|begins| begins.is_empty() || begins.ends_with('/'));
        let below = begins.filter(|begins| !begins.contains(WILD));
        Self { text, pattern, below }
    }

    fn covers(&self, path: &str) -> bool {
        if climbs(path) {
            return false;
        }
        if path.contains(WILD) {
            return path == self.text
                || self
                    .below
                    .is_some_and(|begins| path.starts_with(begins) && !path.contains(".."));
        }
        self.pattern.as_ref().is_some_and(|pattern| pattern.matches(path))
    }
}

/// What may stand for something else in some dialect of globs.
const WILD: [char; 7] = ['*', '?', '[', ']', '{', '}', '!'];
/// What our own globs know nothing of: a glob that has any may mean more elsewhere than here.
const BEYOND: [char; 5] = ['[', ']', '{', '}', '!'];

/// Whether a path may lead somewhere else than it says.
fn climbs(path: &str) -> bool {
    // What another reader may take for a separator, or decode to one.
    if path.contains(['%', '\\']) {
        return true;
    }
    let mut segments = path.split('/');
    // An absolute path begins with nothing; nothing further on is a second name for the same path.
    let first = segments.next();
    matches!(first, Some("." | "..")) || segments.any(|segment| matches!(segment, "" | "." | ".."))
}

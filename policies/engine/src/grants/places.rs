//! Repositories and refs as grants name them.

use pinfold_model::object::agent::GrantPattern;

/// Full refs begin so.
const REFS: &str = "refs/";
/// Refs of branches begin so; a pattern that names no kind of ref means a branch.
const BRANCHES: &str = "refs/heads/";

/// A repository with its organization: a bare name is one of the organization's. Compared as a whole, never by its owner alone.
pub(crate) fn qualified(repository: &str, organization: Option<&str>) -> String {
    match organization {
        Some(organization) if !repository.contains('/') => format!("{organization}/{repository}"),
        Some(_) | None => repository.to_owned(),
    }
}

/// Whether a text is a full ref.
pub(super) fn is_full(git_ref: &str) -> bool {
    git_ref.starts_with(REFS)
}

/// Whether a pattern includes a ref. Only full refs can be included: a bare `main` may be a branch or a tag.
pub(super) fn includes(pattern: &GrantPattern, git_ref: &str) -> bool {
    is_full(git_ref) && matches(pattern, git_ref)
}

/// Whether a pattern excludes a ref: itself, what is below it (`refs/pull/*` excludes `refs/pull/7/merge`), and a bare name that could mean it. What
/// can't be read excludes all.
pub(super) fn excludes(pattern: &GrantPattern, git_ref: &str) -> bool {
    if pattern.pattern.is_none() {
        return true;
    }
    let spelled = match is_full(git_ref) {
        true => vec![git_ref.to_owned()],
        false => vec![git_ref.to_owned(), format!("{BRANCHES}{git_ref}")],
    };
    spelled.iter().any(|git_ref| {
        let ends = git_ref.match_indices('/').map(|(at, _)| at).chain([git_ref.len()]);
        let mut above = ends.filter_map(|end| git_ref.get(..end));
        above.any(|above| matches(pattern, above))
    })
}

fn matches(written: &GrantPattern, git_ref: &str) -> bool {
    let Some(pattern) = &written.pattern else { return false };
    if pattern.as_str().starts_with(REFS) {
        return pattern.matches(git_ref);
    }
    git_ref.strip_prefix(BRANCHES).is_some_and(|branch| pattern.matches(branch))
}

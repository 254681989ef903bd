//! What is missing, in words: compact, bounded, and safe to print whatever the objects contain.

use super::coverage::{Gap, Missing};

/// How much of a text from an object is shown, in characters.
const MAX_TEXT: usize = 80;
/// How many blocks of permissions are shown.
const MAX_SHOWN: usize = 4;
/// How many texts of one list are shown.
const MAX_SHOWN_LIST: usize = 6;

/// A text from an object, to stand between backticks: on one line, cut where it is long.
pub(crate) fn excerpt(text: &str) -> String {
    let plain = |c: char| match c {
        '`' => '\'',
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    };
    let mut shown: String = text.chars().take(MAX_TEXT).map(plain).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

/// Characters that show nothing, or turn the text around them: a name must not read as another (CVE-2021-42574).
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Where something holds.
pub(crate) fn place(namespace: &str) -> String {
    match namespace {
        "" => "cluster-wide".to_owned(),
        namespace => format!("in namespace `{}`", excerpt(namespace)),
    }
}

/// Some texts between backticks, a handful, then a count.
pub(crate) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut texts = texts.into_iter();
    let shown: Vec<String> =
        texts.by_ref().take(MAX_SHOWN_LIST).map(|text| format!("`{}`", excerpt(text))).collect();
    match texts.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The missing permissions of some gaps: "`get,list` on `secrets`".
pub(crate) fn permissions<'g, 'w: 'g>(gaps: impl IntoIterator<Item = &'g Gap<'w>>) -> String {
    let mut atoms = 0_u64;
    let mut told = 0_u64;
    let mut shown = Vec::new();
    for gap in gaps {
        atoms = atoms.saturating_add(gap.atoms);
        for missing in &gap.missing {
            if shown.len() < MAX_SHOWN {
                let (text, count) = block(missing);
                shown.push(text);
                told = told.saturating_add(count);
            }
        }
    }
    shown.dedup();
    let shown = shown.join(", ");
    if told < atoms { format!("{shown} and more ({atoms} permissions in all)") } else { shown }
}

/// One block, and how many atoms are in its text.
fn block(missing: &Missing<'_>) -> (String, u64) {
    let verbs = joined(&missing.verbs);
    if !missing.urls.is_empty() {
        let count = product([missing.verbs.len(), missing.urls.len()], missing);
        return (format!("`{verbs}` on URL `{}`", joined(&missing.urls)), count);
    }
    let resources: Vec<String> = missing
        .groups
        .iter()
        .flat_map(|group| missing.resources.iter().map(|resource| qualified(resource, group)))
        .collect();
    let resource_texts: Vec<&str> = resources.iter().map(String::as_str).collect();
    let mut text = format!("`{verbs}` on `{}`", joined(&resource_texts));
    if !missing.names.is_empty() {
        text.push_str(&format!(" named `{}`", joined(&missing.names)));
    }
    let sizes = [missing.verbs.len(), resources.len(), missing.names.len().max(1)];
    (text, product(sizes, missing))
}

/// How many atoms lists of these lengths show: all of the block, if nothing is cut.
fn product<const N: usize>(sizes: [usize; N], missing: &Missing<'_>) -> u64 {
    let shown = |size: usize| u64::try_from(size.min(MAX_SHOWN_LIST)).unwrap_or(u64::MAX);
    let cut = sizes.iter().any(|size| *size > MAX_SHOWN_LIST);
    let atoms = sizes.into_iter().map(shown).fold(1, u64::saturating_mul);
    if cut { atoms } else { missing.atoms }
}

fn joined(texts: &[&str]) -> String {
    let shown: Vec<String> = texts.iter().take(MAX_SHOWN_LIST).map(|text| excerpt(text)).collect();
    let mut joined = shown.join(",");
    if texts.len() > MAX_SHOWN_LIST {
        joined.push_str(",…");
    }
    joined
}

/// `deployments.apps`, as `kubectl` writes it.
fn qualified(resource: &str, group: &str) -> String {
    let (resource, group) = (excerpt(resource), excerpt(group));
    match (resource.split_once('/'), group.as_str()) {
        (_, "") => resource,
        (Some((resource, below)), group) => format!("{resource}.{group}/{below}"),
        (None, group) => format!("{resource}.{group}"),
    }
}

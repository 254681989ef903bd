//! "Did you mean": the nearest of some known names.

/// The known name nearest to `found`, if it is near enough to be a slip.
#[must_use]
pub fn nearest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let found_lower = found.to_lowercase();
    let tolerance = found.len().checked_div(2).unwrap_or(0).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (distance(&found_lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance with one row of memory.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(MEASURED_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left_char) in left.chars().take(MEASURED_CHARS_MAX).enumerate() {
        let mut diagonal =
            std::mem::replace(row.first_mut().unwrap_or(&mut 0), index.saturating_add(1));
        let mut left_cell = index.saturating_add(1);
        for (cell, right_char) in row.iter_mut().skip(1).zip(&right) {
            let substituted = diagonal.saturating_add(usize::from(left_char != *right_char));
            diagonal = *cell;
            *cell = substituted.min(left_cell.saturating_add(1)).min(cell.saturating_add(1));
            left_cell = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

const MEASURED_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_only() {
        let known = ["host", "ports", "protocol", "methods", "cidr"];
        let cases = [
            ("hots", Some("host")),
            ("Host", Some("host")),
            ("protocols", Some("protocol")),
            ("method", Some("methods")),
            ("zzz", None),
            ("", None),
        ];
        for (found, expected) in cases {
            assert_eq!(nearest(found, known), expected, "{found}");
        }
    }
}

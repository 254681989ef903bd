//! `docs/attacks.md` tells every case of the boundary gate under its row.

use std::collections::{BTreeMap, BTreeSet};

use crate::Outcome;
use crate::cases::{self, Exceptions};
use crate::kubernetes::repository;

/// The rows that a name begins with: `T-18 O3 ...`.
fn rows(name: &str) -> Vec<&str> {
    let is_row = |word: &&str| {
        let word = word.trim_end_matches(':');
        let (letters, digits) =
            word.split_at(word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len()));
        let known = ["T-", "O", "P", "D.", "B", "C"].contains(&letters) && !digits.is_empty();
        known || word == "ORG-M"
    };
    name.split(' ').take_while(is_row).collect()
}

#[test]
fn the_page_tells_every_row_with_its_cases() -> Outcome {
    let page = std::fs::read_to_string(repository("docs/attacks.md"))?;
    let (_, section) = page.split_once("# Attacks on the boundary gate").ok_or("no section")?;
    let mut told: BTreeMap<&str, &str> = BTreeMap::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("| ")) {
        if let Some((row, rest)) = line.split_once(" | ") {
            told.entry(row).or_insert(rest);
        }
    }
    let mut counts: BTreeMap<String, (BTreeSet<String>, usize, usize)> = BTreeMap::new();
    for known in cases::all()? {
        let file = known.file.trim_end_matches(".yaml").to_owned();
        let found = rows(known.name());
        assert!(!found.is_empty(), "no row: {}", known.name());
        for row in found {
            let (files, attacks, honest) = counts.entry(row.to_owned()).or_default();
            files.insert(file.clone());
            *(if known.case.expect.allowed { honest } else { attacks }) += 1;
        }
    }
    let mut wrong = Vec::new();
    for (row, (files, attacks, honest)) in &counts {
        let files: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
        let wanted = format!("| {} | {attacks} | {honest} |", files.join(", "));
        if !told.get(row.as_str()).is_some_and(|rest| format!("| {rest}").ends_with(&wanted)) {
            wrong.push(format!("{row}: the row must end with {wanted}"));
        }
    }
    let exceptions = Exceptions::read()?;
    for (name, reason) in exceptions.invalid.iter().chain(&exceptions.unseen) {
        if !section.contains(&format!("| `{name}` | {reason} |")) {
            wrong.push(format!("not told: | `{name}` | {reason} |"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

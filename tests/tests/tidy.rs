//! Holds the habits that no lint knows: every module says what it is for, files stay short, names
//! say something, and a rule id leads to its page and its cases. Each check is tried on a made-up
//! tree with its offence first.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest Rust file, in lines.
const MAX_FILE_LINES: usize = 600;

/// The longest `main.rs`, in lines: arguments in, exit code out.
const MAX_MAIN_LINES: usize = 40;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];

/// Not source of this project: build output and hidden directories are skipped by name.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// A file below the root and what is in it.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn stem(&self) -> &str {
        self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// Code that only tests build, by place.
    fn is_test(&self) -> bool {
        let stem = self.stem();
        stem == "tests"
            || stem.ends_with("_tests")
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The code that ships and the code that tests it; unit tests are the end of a file.
    fn shipped_and_tests(&self) -> (&str, &str) {
        if self.is_test() {
            return ("", &self.text);
        }
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text.split_at(end)
    }
}

/// Every Rust file below `root`, and every directory, in order.
fn read(root: &Path) -> io::Result<(Vec<Source>, Vec<PathBuf>)> {
    let (mut sources, mut directories) = (Vec::new(), Vec::new());
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type()?;
            if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&&*name) {
                directories.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path)?;
                sources
                    .push(Source { path: path.strip_prefix(root).unwrap_or(&path).into(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    directories.sort();
    Ok((sources, directories))
}

fn offences(root: &Path) -> io::Result<Vec<String>> {
    let (sources, directories) = read(root)?;
    let mut found: Vec<_> = sources.iter().flat_map(file_offences).collect();
    for directory in directories {
        if directory.file_name().is_some_and(|name| EMPTY_NAMES.iter().any(|empty| name == *empty))
        {
            found.push(format!("{}: the name says nothing", directory.display()));
        }
    }
    found.extend(rule_offences(root, &sources));
    Ok(found)
}

fn file_offences(source: &Source) -> Vec<String> {
    let path = source.path.display();
    let lines = source.text.lines().count();
    let mut found = Vec::new();
    if !source.text.starts_with("//!") {
        found.push(format!("{path}: does not start with `//!` and what it is for"));
    }
    if lines > MAX_FILE_LINES {
        found.push(format!("{path}: {lines} lines, at most {MAX_FILE_LINES}"));
    }
    if source.path.ends_with("main.rs") && lines > MAX_MAIN_LINES {
        found.push(format!("{path}: {lines} lines, a main.rs has at most {MAX_MAIN_LINES}"));
    }
    if EMPTY_NAMES.contains(&source.stem()) {
        found.push(format!("{path}: the name says nothing"));
    }
    for name in inline_modules(&source.text).filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{path}: the name of `mod {name}` says nothing"));
    }
    found
}

/// The names of the modules that a file opens in braces; `mod x;` is a file and seen as one.
fn inline_modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, rest) = line.split_once("mod ")?;
        let visibility = before.trim();
        let name = rest.strip_suffix('{')?.trim();
        (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
    })
}

/// A rule that the engine's sources name has a page that says it to users, and a case in the
/// engine's tests.
fn rule_offences(root: &Path, sources: &[Source]) -> Vec<String> {
    let (mut named, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for source in sources.iter().filter(|source| source.path.starts_with("policies/engine")) {
        let (shipped, tests) = source.shipped_and_tests();
        named.extend(rule_ids(shipped));
        tried.extend(rule_ids(tests));
    }
    let mut found = Vec::new();
    for rule in named {
        let page = format!("docs/rules/{rule}.md");
        if !fs::read_to_string(root.join(&page)).is_ok_and(|text| text.contains(rule)) {
            found.push(format!("{rule}: no page {page} that names it"));
        }
        if !tried.contains(rule) {
            found.push(format!("{rule}: no case in the tests of policies/engine"));
        }
    }
    found
}

/// Every `PF-XXX-NNN` in a text: two to four capitals, three digits, nothing that goes on.
fn rule_ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("PF-").filter_map(|(start, _)| {
        let rest = text.get(start..)?;
        let mut parts = rest.splitn(3, '-');
        let (_, family, number) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let shaped = (2..=4).contains(&family.len())
            && family.bytes().all(|byte| byte.is_ascii_uppercase())
            && digits == 3;
        let length = "PF--".len().checked_add(family.len())?.checked_add(digits)?;
        rest.get(..length).filter(|_| shaped)
    })
}

#[test]
fn the_repository_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (sources, _) = read(root).unwrap();
    let here = Path::new("tests/tests/tidy.rs");
    assert!(sources.iter().any(|source| source.path == here), "the walk finds this file");
    let found = offences(root).unwrap();
    assert!(found.is_empty(), "{} offences:\n{}", found.len(), found.join("\n"));
}

/// Writes the files, each with its directories, and returns the offences found among them.
fn offences_of(files: &[(&str, &str)]) -> io::Result<Vec<String>> {
    let root = tempfile::TempDir::new()?;
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(root.path()))?;
        fs::write(path, text)?;
    }
    offences(root.path())
}

#[test]
fn each_offence_of_a_file_is_found() {
    let lines = |count: usize| format!("//! Doc.\n{}", "//\n".repeat(count - 1));
    // (path, text, what is said of it; empty: nothing)
    let cases: [(&str, String, &str); 14] = [
        ("a/src/lib.rs", lines(600), ""),
        ("a/src/lib.rs", lines(601), "601 lines"),
        ("a/src/main.rs", lines(40), ""),
        ("a/src/main.rs", lines(41), "a main.rs has at most 40"),
        ("a/src/x.rs", "fn x() {}\n".to_owned(), "does not start with `//!`"),
        ("a/src/x.rs", "\n//! Late.\n".to_owned(), "does not start with `//!`"),
        ("a/src/x.rs", String::new(), "does not start with `//!`"),
        ("a/src/utils.rs", lines(1), "the name says nothing"),
        ("a/helpers/x.rs", lines(1), "a/helpers: the name says nothing"),
        ("a/common/mod.rs", lines(1), "a/common: the name says nothing"),
        ("a/src/x.rs", "//! D.\npub(crate) mod manager {\n}\n".to_owned(), "`mod manager`"),
        ("a/src/x.rs", "//! D.\nmod managers_of_x {\n}\n".to_owned(), ""),
        ("target/debug/x.rs", "no doc".to_owned(), ""),
        (".git/x.rs", "no doc".to_owned(), ""),
    ];
    for (path, text, expected) in cases {
        let found = offences_of(&[(path, &text)]).unwrap();
        assert_eq!(found.len(), usize::from(!expected.is_empty()), "{path}: {found:?}");
        assert!(found.iter().all(|line| line.contains(expected)), "{path}: {found:?}");
    }
}

#[test]
fn a_rule_without_page_or_case_is_found() {
    let engine = "policies/engine/src/x.rs";
    let rule = "//! PF-RBAC-001, and PF-SEC-0012 and PF-RBAC are none.\n";
    let tested = "//! PF-RBAC-001\n#[cfg(test)]\nmod tests { const ID: &str = \"PF-RBAC-001\"; }\n";
    let page = ("docs/rules/PF-RBAC-001.md", "# PF-RBAC-001");
    let no_page = "PF-RBAC-001: no page docs/rules/PF-RBAC-001.md that names it";
    let no_case = "PF-RBAC-001: no case in the tests of policies/engine";
    let tests = "//! PF-RBAC-001 has its rows here.\n";
    assert_eq!(offences_of(&[(engine, rule)]).unwrap(), [no_page, no_case]);
    assert_eq!(offences_of(&[(engine, rule), page]).unwrap(), [no_case]);
    assert_eq!(offences_of(&[(engine, tested)]).unwrap(), [no_page]);
    assert_eq!(offences_of(&[(engine, tested), (page.0, "empty")]).unwrap(), [no_page]);
    let nothing: [&str; 0] = [];
    assert_eq!(offences_of(&[(engine, tested), page]).unwrap(), nothing);
    for place in [
        "policies/engine/src/x/tests.rs",
        "policies/engine/src/x_tests.rs",
        "policies/engine/tests/x.rs",
    ] {
        assert_eq!(offences_of(&[(engine, rule), (place, tests), page]).unwrap(), nothing);
    }
    assert_eq!(
        offences_of(&[(engine, rule), ("webhook/tests/x.rs", tests), page]).unwrap(),
        [no_case]
    );
}

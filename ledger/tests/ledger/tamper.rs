//! Whatever is done to a ledger's files, the verifier says so, and says where.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pinfold_ledger::verify::{Problem, ProblemKind, PublicKey, verify};
use pinfold_ledger::{Ledger, OpenError};
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use tempfile::TempDir;

use crate::support::{check, copy, lines, record, segments, settings, written};

const RECORDS: usize = 20;

static LEDGER: LazyLock<TempDir> = LazyLock::new(|| {
    // Statics are not dropped: what stays behind stays in the target directory.
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    written(directory.path(), RECORDS);
    directory
});

fn fresh() -> TempDir {
    let directory = TempDir::new().unwrap();
    copy(LEDGER.path(), directory.path());
    directory
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).unwrap();
}

fn segment(directory: &Path, index: usize) -> PathBuf {
    segments(directory)[index].clone()
}

/// The line with `from` replaced and its hash made right again, as somebody would who knows the format.
fn forged(line: &str, from: &str, to: &str) -> String {
    let line = line.replacen(from, to, 1);
    let at = line.find("\"entry_hash\"").unwrap();
    let end = line[at..].find(',').unwrap() + at + 1;
    let hash = digest(&SHA256, format!("{}{}", &line[..at], &line[end..]).as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}\"entry_hash\":\"{hash}\",{}", &line[..at], &line[end..])
}

fn hash_of(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value["entry_hash"].as_str().unwrap().to_owned()
}

/// All lines of a file from `first` on, chained anew after an edit there.
fn rechain(lines: &mut [String], first: usize) {
    for index in first + 1..lines.len() {
        let value: serde_json::Value = serde_json::from_str(&lines[index]).unwrap();
        let (old, new) = (value["prev_hash"].as_str().unwrap(), hash_of(&lines[index - 1]));
        lines[index] = forged(&lines[index], old, &new);
    }
}

fn problems(directory: &Path) -> Vec<Problem> {
    check(directory).expect_err("the damage went unnoticed")
}

/// The first problem is of this kind, in this file, at this line.
fn assert_first(directory: &Path, kind: ProblemKind, file: &str, line: Option<u64>) {
    let problems = problems(directory);
    let first = &problems[0];
    let name = first.file.file_name().unwrap().to_str().unwrap();
    assert_eq!((first.kind, name, first.line), (kind, file, line), "{problems:#?}");
}

#[test]
fn an_untouched_ledger_verifies() {
    let report = check(LEDGER.path()).unwrap();
    let [chain] = report.chains.as_slice() else { panic!("{report:?}") };
    assert_eq!(report.records(), RECORDS as u64 + 1);
    assert_eq!((chain.seq, chain.unsigned), (RECORDS as u64 + 1, 0));
    assert_eq!(chain.head, hash_of(lines(LEDGER.path()).last().unwrap()));
    assert_eq!(chain.files, segments(LEDGER.path()).len() as u64);
    assert!(chain.files >= 3, "{chain:?}");
    // One at opening, one each five records; closing had no news.
    assert_eq!(chain.checkpoints, 1 + RECORDS as u64 / 5);
}

type Damage = fn(&mut Vec<String>);

/// What is done to the second log file, what is found first, and at which of its lines.
const DAMAGES: &[(&str, Damage, ProblemKind, u64)] = &[
    ("value", |l| l[1] = l[1].replace("\"deny\"", "\"alow\""), ProblemKind::Edited, 2),
    (
        "digit",
        |l| l[1] = l[1].replace("\"monotonic_ns\":", "\"monotonic_ns\":1"),
        ProblemKind::Edited,
        2,
    ),
    ("key", |l| l[1] = l[1].replace("\"tool\"", "\"tooo\""), ProblemKind::Edited, 2),
    ("hash", |l| l[1] = l[1].replace(&hash_of(&l[1]), &"0".repeat(64)), ProblemKind::Edited, 2),
    ("white space", |l| l[1] = l[1].replacen(':', ": ", 1), ProblemKind::NotCanonical, 2),
    (
        "order of keys",
        |l| {
            l[1] = l[1]
                .replace("{\"decision\":\"deny\",", "{")
                .replace('}', ",\"decision\":\"deny\"}");
        },
        ProblemKind::NotCanonical,
        2,
    ),
    (
        "key twice",
        |l| {
            l[1] = l[1].replace(
                "{\"decision\":\"deny\",",
                "{\"decision\":\"allow\",\"decision\":\"deny\",",
            );
        },
        ProblemKind::NotCanonical,
        2,
    ),
    (
        "escape",
        |l| l[1] = l[1].replace("tool-call", "\\u0074ool-call"),
        ProblemKind::NotCanonical,
        2,
    ),
    (
        "float",
        |l| l[1] = l[1].replace("\"monotonic_ns\":", "\"monotonic_ns\":1.0,\"x\":"),
        ProblemKind::NotCanonical,
        2,
    ),
    ("not an object", |l| l[1] = "[]".to_owned(), ProblemKind::NotJson, 2),
    ("empty line", |l| l.insert(1, String::new()), ProblemKind::NotJson, 2),
    ("garbage", |l| l[1].truncate(40), ProblemKind::NotJson, 2),
    ("too long", |l| l[1] = "x".repeat(3 << 20), ProblemKind::TooLong, 2),
    ("resealed", |l| l[1] = forged(&l[1], "deny", "allow"), ProblemKind::Broken, 3),
    ("dropped", |l| drop(l.remove(1)), ProblemKind::Dropped, 2),
    ("swapped", |l| l.swap(1, 2), ProblemKind::Dropped, 2),
    ("copied", |l| l.insert(2, l[1].clone()), ProblemKind::Repeated, 3),
    ("copied to the end", |l| l.push(l[0].clone()), ProblemKind::Repeated, 7),
    ("second genesis", |l| l[1] = forged(&l[1], "tool-call", "genesis"), ProblemKind::Genesis, 2),
    (
        "rewritten to the end of the file",
        |l| {
            l[1] = forged(&l[1], "deny", "allow");
            rechain(l, 1);
        },
        ProblemKind::CheckpointHead,
        0,
    ),
];

#[test]
fn each_damage_is_named_with_its_place() {
    for (name, damage, kind, line) in DAMAGES {
        let directory = fresh();
        edit(&segment(directory.path(), 1), damage);
        let first = problems(directory.path()).remove(0);
        assert_eq!(first.kind, *kind, "{name}: {first}");
        if *line > 0 {
            assert_eq!(first.line, Some(*line), "{name}: {first}");
            assert!(first.file.ends_with("audit-00000002.jsonl"), "{name}: {first}");
        }
        assert!(!first.expected.is_empty() && !first.found.is_empty(), "{name}: {first}");
    }
}

#[test]
fn the_start_must_be_a_genesis_by_the_key() {
    let directory = fresh();
    edit(&segment(directory.path(), 0), |lines| lines[0] = forged(&lines[0], "genesis", "start"));
    assert_first(directory.path(), ProblemKind::Genesis, "audit-00000001.jsonl", Some(1));

    let directory = fresh();
    edit(&segment(directory.path(), 0), |lines| drop(lines.remove(0)));
    assert_first(directory.path(), ProblemKind::Dropped, "audit-00000001.jsonl", Some(1));

    let directory = fresh();
    edit(&segment(directory.path(), 0), |lines| {
        let signer = lines[0].split("\"signer\":\"").nth(1).unwrap()[..64].to_owned();
        lines[0] = forged(&lines[0], &signer, &"a".repeat(64));
    });
    assert_first(directory.path(), ProblemKind::Key, "audit-00000001.jsonl", Some(1));
}

#[test]
fn missing_and_swapped_files_are_named() {
    for (index, name) in [(0, "audit-00000001.jsonl"), (1, "audit-00000002.jsonl")] {
        let directory = fresh();
        fs::remove_file(segment(directory.path(), index)).unwrap();
        assert_first(directory.path(), ProblemKind::MissingFile, name, None);
    }
    let directory = fresh();
    fs::remove_file(segments(directory.path()).last().unwrap()).unwrap();
    assert_first(directory.path(), ProblemKind::Truncated, "checkpoints", Some(5));

    let directory = fresh();
    let (one, two) = (segment(directory.path(), 0), segment(directory.path(), 1));
    let text = fs::read(&one).unwrap();
    fs::copy(&two, &one).unwrap();
    fs::write(&two, text).unwrap();
    assert_first(directory.path(), ProblemKind::Dropped, "audit-00000001.jsonl", Some(1));

    let directory = fresh();
    for file in segments(directory.path()) {
        fs::remove_file(file).unwrap();
    }
    assert_first(directory.path(), ProblemKind::MissingFile, "audit-00000001.jsonl", None);

    let directory = TempDir::new().unwrap();
    assert!(check(&directory.path().join("absent")).is_err());
    assert!(check(directory.path()).is_err());
    assert!(verify(&[], None).is_err());
}

#[test]
fn every_cut_of_the_tail_below_the_checkpoint_shows() {
    let last = segments(LEDGER.path()).pop().unwrap();
    let text = fs::read(&last).unwrap();
    let directory = fresh();
    let file = directory.path().join(last.file_name().unwrap());
    // Each cut leaves the tail torn but those at a line's end, which are among the lengths below.
    let ends = (0..text.len() - 1).filter(|at| text[*at] == b'\n').map(|at| at + 1);
    for length in (0..text.len()).step_by(7).chain(ends) {
        fs::write(&file, &text[..length]).unwrap();
        let problems = problems(directory.path());
        let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
        assert!(kinds.contains(&ProblemKind::Truncated), "{length}: {problems:#?}");
    }
}

#[test]
fn a_cut_above_the_checkpoint_is_counted_as_unsigned() {
    let directory = fresh();
    let ledger = Ledger::open(settings(directory.path())).unwrap();
    record(&ledger, 0..2);
    let report = check(directory.path()).unwrap();
    assert_eq!(report.chains[0].unsigned, 2);
    ledger.close().unwrap();
    assert_eq!(check(directory.path()).unwrap().chains[0].unsigned, 0);
}

#[test]
fn an_older_file_in_the_place_of_a_newer_shows() {
    let directory = fresh();
    let old = fs::read(segments(directory.path()).last().unwrap()).unwrap();
    let name = segments(directory.path()).pop().unwrap();
    written_on(directory.path());
    fs::write(name, old).unwrap();
    assert!(!problems(directory.path()).is_empty());

    let directory = fresh();
    let old = fs::read(directory.path().join("checkpoints")).unwrap();
    written_on(directory.path());
    fs::write(directory.path().join("checkpoints"), old).unwrap();
    // The records are all there and chained, only fewer are vouched for: that is said, and is no damage.
    assert_eq!(check(directory.path()).unwrap().chains[0].unsigned, 7);
}

fn written_on(directory: &Path) {
    let ledger = Ledger::open(settings(directory)).unwrap();
    record(&ledger, 0..7);
    ledger.close().unwrap();
}

/// What is done to the checkpoints, and what is found first.
const CHECKPOINT_DAMAGES: &[(&str, Damage, ProblemKind)] = &[
    ("seq", |l| l[1] = l[1].replace("\"seq\":6", "\"seq\":5"), ProblemKind::CheckpointSignature),
    ("time", |l| l[1] = l[1].replace("Z\"", "0Z\""), ProblemKind::CheckpointSignature),
    ("head", |l| l[1] = forged_head(&l[1]), ProblemKind::CheckpointSignature),
    (
        "signature",
        |l| l[1] = l[1].replace("\"signature\":\"", "\"signature\":\"00"),
        ProblemKind::CheckpointSignature,
    ),
    (
        "no hexadecimal",
        |l| l[1] = l[1].replace("\"signature\":\"", "\"signature\":\"zz"),
        ProblemKind::CheckpointSignature,
    ),
    ("purpose", |l| l[1] = l[1].replace("checkpoint/1", "checkpoint/2"), ProblemKind::NotCanonical),
    (
        "anchor",
        |l| l[1] = l[1].replace("-checkpoint/1", "-anchor/1"),
        ProblemKind::CheckpointSignature,
    ),
    ("white space", |l| l[1] = l[1].replace(':', ": "), ProblemKind::NotCanonical),
    ("garbage", |l| l[1] = "x".to_owned(), ProblemKind::NotJson),
    ("too long", |l| l[1] = "x".repeat(5000), ProblemKind::TooLong),
    ("swapped", |l| l.swap(1, 2), ProblemKind::CheckpointOrder),
    ("emptied", Vec::clear, ProblemKind::NoCheckpoint),
];

fn forged_head(line: &str) -> String {
    let at = line.find("\"head\":\"").unwrap() + 8;
    format!("{}{}{}", &line[..at], "0".repeat(64), &line[at + 64..])
}

#[test]
fn edited_checkpoints_are_named() {
    for (name, damage, kind) in CHECKPOINT_DAMAGES {
        let directory = fresh();
        let path = directory.path().join("checkpoints");
        edit(&path, damage);
        let problems = problems(directory.path());
        let first = problems.first().unwrap();
        assert_eq!((first.kind, &first.file), (*kind, &path), "{name}: {first}");
    }
    let directory = fresh();
    fs::remove_file(directory.path().join("checkpoints")).unwrap();
    assert_first(directory.path(), ProblemKind::MissingFile, "checkpoints", None);
    let directory = fresh();
    let path = directory.path().join("checkpoints");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    assert_first(directory.path(), ProblemKind::Torn, "checkpoints", Some(5));
}

#[test]
fn a_ledger_made_anew_fails_the_pin_and_another_ledgers_key_the_signatures() {
    let pin = PublicKey::from_file(&LEDGER.path().join("key.pub")).unwrap();
    assert!(verify(&[LEDGER.path().to_owned()], Some(&pin)).is_ok());

    let other = TempDir::new().unwrap();
    written(other.path(), RECORDS);
    assert!(check(other.path()).is_ok());
    let found = verify(&[other.path().to_owned()], Some(&pin)).unwrap_err();
    assert_eq!(found[0].kind, ProblemKind::Key);
    assert!(found.iter().any(|problem| problem.kind == ProblemKind::CheckpointSignature));

    let directory = fresh();
    fs::copy(other.path().join("key.pub"), directory.path().join("key.pub")).unwrap();
    assert_first(directory.path(), ProblemKind::CheckpointSignature, "checkpoints", Some(1));
    fs::write(directory.path().join("key.pub"), "x").unwrap();
    assert_first(directory.path(), ProblemKind::Key, "key.pub", None);
}

#[test]
fn files_given_by_name_are_one_chain_in_their_order() {
    let files = segments(LEDGER.path());
    let report = verify(&files, None).unwrap();
    assert_eq!((report.records(), report.chains[0].signer), (RECORDS as u64 + 1, None));
    assert!(verify(&files[1..], None).is_ok());
    let holed = [files[0].clone(), files[2].clone()];
    assert_eq!(verify(&holed, None).unwrap_err()[0].kind, ProblemKind::Dropped);
}

#[test]
fn the_number_of_problems_is_bounded() {
    let directory = fresh();
    let path = segment(directory.path(), 1);
    edit(&path, |lines| *lines = vec!["x".to_owned(); 5000]);
    assert_eq!(problems(directory.path()).len(), pinfold_ledger::verify::MAX_PROBLEMS);
}

#[test]
fn a_writer_refuses_a_damaged_last_file_and_names_the_line() {
    let last = |directory: &Path| segments(directory).pop().unwrap();
    let cases: [(&str, Damage); 4] = [
        ("edited", |l| l[0] = l[0].replace("\"deny\"", "\"alow\"")),
        ("resealed", |l| l[0] = forged(&l[0], "deny", "allow")),
        ("dropped", |l| drop(l.remove(0))),
        ("garbage", |l| l[0].truncate(9)),
    ];
    for (name, damage) in cases {
        let directory = fresh();
        // Two more, so that the damage is in the middle.
        let ledger = Ledger::open(settings(directory.path())).unwrap();
        record(&ledger, 0..2);
        ledger.close().unwrap();
        edit(&last(directory.path()), damage);
        let error = Ledger::open(settings(directory.path())).unwrap_err();
        let OpenError::Corrupt { file, line, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(file, &last(directory.path()), "{name}: {error}");
        assert!((1..=2).contains(line), "{name}: {error}");
    }
}

/// What is done to a directory.
type Ruin = fn(&Path);

#[test]
fn a_writer_refuses_what_a_checkpoint_contradicts() {
    let damages: [(&str, Ruin); 4] = [
        ("last file gone", |d| fs::remove_file(segments(d).pop().unwrap()).unwrap()),
        ("middle file gone", |d| fs::remove_file(segment(d, 1)).unwrap()),
        ("last record gone", |d| edit(&segments(d).pop().unwrap(), |l| drop(l.pop()))),
        ("checkpoints gone", |d| fs::remove_file(d.join("checkpoints")).unwrap()),
    ];
    for (name, damage) in damages {
        let directory = fresh();
        damage(directory.path());
        let error = Ledger::open(settings(directory.path())).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error}");
    }
    let directory = fresh();
    edit(&segments(directory.path()).pop().unwrap(), |lines| {
        let last = lines.len() - 1;
        lines[last] = forged(&lines[last], "deny", "allow");
    });
    let error = Ledger::open(settings(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("checkpoint"), "{error}");
}

/// For the property alone: it damages one byte, and puts it back.
static SCRATCH: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy(LEDGER.path(), directory.path());
    directory
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// One byte anywhere in any file that is signed or chained, changed to any other value.
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let directory = &*SCRATCH;
        let mut files = segments(directory.path());
        files.push(directory.path().join("checkpoints"));
        let sizes: Vec<_> = files.iter().map(|file| fs::read(file).unwrap().len()).collect();
        let mut at = at.index(sizes.iter().sum());
        let mut file = 0;
        while at >= sizes[file] {
            at -= sizes[file];
            file += 1;
        }
        let intact = fs::read(&files[file]).unwrap();
        let mut text = intact.clone();
        text[at] ^= change;
        fs::write(&files[file], text).unwrap();
        let found = check(directory.path());
        fs::write(&files[file], intact).unwrap();
        prop_assert!(found.is_err(), "{:?} byte {at} ^ {change}", files[file]);
    }
}

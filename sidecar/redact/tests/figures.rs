//! The figures of `docs/results.md`: how often honest text is changed, and what cleaning costs. Ignored: they need material, and a release build.
#![cfg(test)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_model::policy::agent::Injection;
use pinfold_redact::{CleaningRules, Findings, Known, clean_message};
use serde_json::{Map, Value, json};

const TOKEN: &[u8] = b"ghp_a8F3kd92Lq71Zx0PvT4mWc6RbN5yHs000000";
const FILE_BYTES_MAX: usize = 1 << 20;
const RUNS: usize = 2_000;

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

#[derive(Default)]
struct Tally {
    files: usize,
    bytes: usize,
    changed: usize,
    kinds: BTreeMap<String, u64>,
}

/// As a tool that reads files would answer: what isn't text, in base64.
fn answer(bytes: Vec<u8>) -> Map<String, Value> {
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| format!("data:;base64,{}", STANDARD.encode(error.as_bytes())));
    let message = json!({"content": [{"type": "text", "text": text}]});
    message.as_object().expect("an object").clone()
}

fn found(message: &mut Map<String, Value>, known: &Known) -> Findings {
    let rules = CleaningRules { known: Some(known), by_form: true, injection: Injection::Flag };
    clean_message(message, rules, None).expect("within the bounds")
}

#[test]
#[ignore = "needs PINFOLD_CORPUS, a folder of honest files"]
fn corpus() {
    let folder = std::env::var("PINFOLD_CORPUS").expect("PINFOLD_CORPUS");
    let known = Known::new(&[TOKEN]).expect("a value");
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths);
    paths.sort();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for path in paths {
        let bytes = std::fs::read(&path).expect("a file");
        if bytes.len() > FILE_BYTES_MAX {
            continue;
        }
        let extension = path.extension().map(|text| text.to_string_lossy().into_owned());
        let tally = tallies.entry(extension.unwrap_or_default()).or_default();
        tally.files += 1;
        tally.bytes += bytes.len();
        let findings = found(&mut answer(bytes), &known);
        if findings.is_empty() {
            continue;
        }
        tally.changed += 1;
        for word in findings.to_words() {
            let (kind, times) = word.split_once('=').unwrap_or((&word, "1"));
            *tally.kinds.entry(kind.to_owned()).or_default() += times.parse::<u64>().expect("many");
        }
        println!("{} {:?}", path.display(), findings.to_words());
    }
    let mut all = Tally::default();
    for (extension, tally) in &tallies {
        all.files += tally.files;
        all.bytes += tally.bytes;
        all.changed += tally.changed;
        for (kind, times) in &tally.kinds {
            *all.kinds.entry(kind.clone()).or_default() += times;
        }
        if tally.files >= 50 || tally.changed > 0 {
            println!(
                ".{extension}: {} files, {} bytes, {} with findings {:?}",
                tally.files, tally.bytes, tally.changed, tally.kinds
            );
        }
    }
    println!(
        "all: {} files, {} bytes, {} with findings {:?}",
        all.files, all.bytes, all.changed, all.kinds
    );
}

/// A result of about so many bytes: a text of lines as tools print them, and the same as objects.
fn result(bytes: usize) -> Vec<u8> {
    let line = |number: usize| {
        format!(
            "src/lib{number}.rs:{number}: fn handle(request: &Request) -> Result<Reply, Error> {{"
        )
    };
    let rows: Vec<Value> = (0..bytes / 400)
        .map(
            |number| json!({"path": line(number), "line": number, "sha": format!("{number:040x}")}),
        )
        .collect();
    let text: String = (0..bytes / 160).map(|number| line(number) + "\n").collect();
    json!({"content": [{"type": "text", "text": text}], "structuredContent": {"rows": rows}})
        .to_string()
        .into_bytes()
}

fn median(run: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

#[test]
#[ignore = "figures, of a release build"]
fn speed() {
    let known = Known::new(&[TOKEN]).expect("a value");
    let made = median(|| drop(black_box(Known::new(&[TOKEN]))));
    println!("a credential made ready: {made:?}");
    for bytes in [1 << 10, 32 << 10] {
        let text = result(bytes);
        let cases: [(&str, Option<CleaningRules<'_>>); 5] = [
            ("read and written", None),
            (
                "injected credential",
                Some(CleaningRules {
                    known: Some(&known),
                    by_form: false,
                    injection: Injection::Off,
                }),
            ),
            (
                "forms",
                Some(CleaningRules { known: None, by_form: true, injection: Injection::Off }),
            ),
            (
                "markers",
                Some(CleaningRules { known: None, by_form: false, injection: Injection::Flag }),
            ),
            (
                "all",
                Some(CleaningRules {
                    known: Some(&known),
                    by_form: true,
                    injection: Injection::Flag,
                }),
            ),
        ];
        for (name, rules) in cases {
            let time = median(|| {
                let mut members: Map<String, Value> = serde_json::from_slice(&text).expect("JSON");
                if let Some(rules) = rules {
                    let found = clean_message(&mut members, rules, None).expect("cleaned");
                    assert!(found.is_empty());
                }
                drop(black_box(Value::Object(members).to_string()));
            });
            println!("{} bytes, {name}: {time:?}", text.len());
        }
    }
}

//! Replays what fuzzing found worth keeping, on stable and in every test run: see `tests/fuzz/README.md`.

#[path = "../fuzz/properties.rs"]
#[expect(clippy::panic, reason = "a property that doesn't hold ends the run")]
mod properties;

use std::path::Path;

/// A target's name and its property.
type Target = (&'static str, fn(&[u8]));

#[test]
fn every_input_of_the_corpora_keeps_its_property() {
    let targets: [Target; 6] = [
        ("client_hello", properties::client_hello),
        ("dns", properties::dns),
        ("http_head", properties::http_head),
        ("host", properties::host),
        ("redactor", properties::redactor),
        ("socks", properties::socks),
    ];
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, property) in targets {
        let files = std::fs::read_dir(corpora.join(name)).expect("a corpus");
        let inputs: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        assert!(inputs.len() >= 5, "{name} has a corpus");
        for input in inputs {
            let data = std::fs::read(&input).expect("an input");
            println!("{}", input.display());
            property(&data);
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    assert_eq!(std::fs::read_dir(targets).expect("targets").count(), 6);
}

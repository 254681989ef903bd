//! The `pinfold` command on what ships: the demonstration, and the library's own cases.

use std::path::Path;

use clap::Parser as _;

type Said = (pinfold::Outcome, String);

fn run(words: &[&str]) -> Result<Said, clap::Error> {
    let arguments = pinfold::Arguments::try_parse_from(words)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = pinfold::run(&arguments, &mut out, &mut err);
    out.append(&mut err);
    Ok((outcome, String::from_utf8_lossy(&out).into_owned()))
}

#[test]
fn the_demonstration_decides_everything_as_it_should_be() {
    let (outcome, said) = run(&["pinfold", "demo"]).unwrap();
    assert_eq!(outcome, pinfold::Outcome::Passed, "{said}");
    for rule in ["PF-RBAC-003", "PF-SEC-001", "PF-TRU-001"] {
        assert!(said.contains(rule), "{rule} is not shown: {said}");
    }
}

#[test]
fn the_library_passes_its_own_cases() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/library");
    let (outcome, said) = run(&["pinfold", "test", &library.to_string_lossy()]).unwrap();
    assert_eq!(outcome, pinfold::Outcome::Passed, "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}

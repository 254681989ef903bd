//! The CLI in this process, as a user would run it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;

use crate::Outcome;
use crate::cases::{self, Known};
use crate::kubernetes::repository;
use crate::object::{items, text};

/// What `pinfold check` says of one object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) object: String,
    pub(crate) allowed: bool,
    pub(crate) rules: BTreeSet<String>,
    pub(crate) patched: bool,
    /// For a person who looks why.
    pub(crate) said: String,
}

/// Runs the CLI; its standard output as JSON.
pub(crate) fn run(words: &[String]) -> Outcome<Value> {
    let arguments = pinfold::Arguments::try_parse_from(words)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    pinfold::run(&arguments, &mut out, &mut err);
    let said = String::from_utf8_lossy(&err).into_owned();
    serde_json::from_slice(&out).map_err(|error| format!("{error}: {said}").into())
}

/// `pinfold check -o json` with these policies and objects that exist.
pub(crate) fn check(
    (policies, cluster): (&[PathBuf], &Path),
    (user, groups): (&str, &[String]),
    further: &[String],
) -> Outcome<Vec<Checked>> {
    let mut words: Vec<String> = ["pinfold", "check", "-o", "json"].map(str::to_owned).to_vec();
    let file = |path: &Path| path.to_string_lossy().into_owned();
    words.extend(policies.iter().flat_map(|path| ["-p".to_owned(), file(path)]));
    words.extend(["--cluster".to_owned(), file(cluster), "--as".to_owned(), user.to_owned()]);
    words.extend(groups.iter().flat_map(|group| ["--as-group".to_owned(), group.clone()]));
    words.extend(further.iter().cloned());
    let document = run(&words)?;
    Ok(items(&document, "/results").iter().map(checked).collect())
}

fn checked(result: &Value) -> Checked {
    let findings = items(result, "/findings").iter();
    let undecided = items(result, "/undecided").iter().filter_map(Value::as_str);
    let rules = findings.map(|finding| text(finding, "/rule").to_owned());
    let object = |field: &str| text(result, &format!("/object/{field}")).to_owned();
    Checked {
        object: format!("{} {}/{}", object("kind"), object("namespace"), object("name")),
        allowed: result.get("allowed").and_then(Value::as_bool) == Some(true),
        rules: rules.chain(undecided.map(|rule| format!("undecided {rule}"))).collect(),
        patched: !items(result, "/patch").is_empty(),
        said: result.to_string(),
    }
}

/// The policies of the cases.
pub(crate) fn policies() -> Vec<PathBuf> {
    let library = ["baseline.yaml", "references.yaml"];
    let mut policies: Vec<_> =
        library.iter().map(|file| repository("policies/library").join(file)).collect();
    policies.push(cases::folder().join("policy.yaml"));
    policies
}

/// One case as manifests in files. None if `pinfold check` has no way to ask it: a subresource, or a time.
pub(crate) fn check_case(known: &Known, dir: &Path) -> Outcome<Option<Checked>> {
    if !known.subresource().is_empty() || known.has_clock {
        return Ok(None);
    }
    let manifest = dir.join("object.json");
    fs::write(&manifest, known.object().to_string())?;
    let mut words = vec!["--operation".to_owned(), known.operation().to_owned()];
    if let Some(old) = &known.case.old_object {
        let file = dir.join("old.json");
        fs::write(&file, old.to_string())?;
        words.extend(["--old".to_owned(), file.to_string_lossy().into_owned()]);
    }
    words.push(manifest.to_string_lossy().into_owned());
    let user = known.case.user.clone().unwrap_or_default();
    let cluster = cases::folder().join("cluster.yaml");
    let checked = check((&policies(), &cluster), (&user.name, &user.groups), &words)?;
    Ok(checked.into_iter().next())
}

#[test]
fn every_case_is_as_the_engine_says() -> Outcome {
    let folder = cases::folder().to_string_lossy().into_owned();
    let words = ["pinfold", "test", "-o", "json", &folder].map(str::to_owned);
    let document = run(&words)?;
    let told = items(&document, "/cases");
    assert_eq!(told.len(), cases::all()?.len());
    let wrong = told.iter().filter(|case| case.get("passed") != Some(&Value::Bool(true)));
    let wrong: Vec<String> = wrong
        .map(|case| {
            let part = |field: &str| text(case, field).to_owned();
            format!(
                "{}\n  expected {}\n  actual {}",
                part("/name"),
                part("/expected"),
                part("/actual")
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

//! `pinfold explain` as a user calls it: the documentation's examples, broken chains, what is rendered, formats and exit codes.

#![expect(clippy::expect_used, reason = "a test that can't go on stops where it stands")]
#![expect(clippy::panic, reason = "the same, where it says more")]

mod explain_formats;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use pinfold::{Arguments, Outcome, run};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the root")
}

/// Runs a command line; words that name a file below the root are read there, and told as they were written.
fn pinfold(line: &str) -> (Outcome, String, String) {
    let root = root();
    let place = |word: &str| {
        let file = root.join(word);
        let named = word.contains('/') && !word.starts_with('/') && file.exists();
        if named { file.display().to_string() } else { word.to_owned() }
    };
    let words = std::iter::once("pinfold".to_owned()).chain(line.split(' ').map(place));
    let arguments =
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&arguments, &mut out, &mut err);
    let prefix = format!("{}/", root.display());
    let text = |bytes| String::from_utf8(bytes).expect("text").replace(&prefix, "");
    (outcome, text(out), text(err))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder of the tests, in order.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect(folder);
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| Path::new(name).extension().is_some());
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let text = read("docs/explain.md");
    let mut commands = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("a block");
        for example in block.split("$ pinfold ").skip(1) {
            let (line, shown) = example.split_once('\n').expect("a command and what it prints");
            let (_, out, err) = pinfold(line);
            assert_eq!(out.trim_end(), shown.trim_end(), "{line}: {err}\n{out}");
            commands += 1;
        }
    }
    assert_eq!(commands, 8, "examples of docs/explain.md");
}

/// Each file says what is asked, which hop is the first broken one, and how the command ends.
#[test]
fn the_first_broken_hop_is_told() {
    let files = files("cli/tests/explain/broken");
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let text = read(&file);
        let said = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("# {name}: ")));
            line.unwrap_or_else(|| panic!("{file}: no `# {name}: `")).to_owned()
        };
        let line = format!("explain what-can {} --cluster {file}", said("what-can"));
        let (outcome, out, err) = pinfold(&line);
        let first = out.lines().find_map(|line| line.trim_start().strip_prefix("BROKEN "));
        assert_eq!(first, Some(said("broken").as_str()), "{file}: {out}{err}");
        let ended = match outcome {
            Outcome::Passed => "0",
            Outcome::Denied => "1",
            Outcome::Undecided => "2",
        };
        assert_eq!(ended, said("exit"), "{file}");
    }
}

/// What is printed is what is kept beside it; and whoever may apply the binding may apply that, judged by the same webhook.
#[test]
fn what_is_rendered_passes_where_the_binding_does() {
    const FOLDER: &str = "cli/tests/explain/rendered";
    let common = format!("-p {FOLDER}/policy.yaml --cluster {FOLDER}/cluster.yaml");
    let scratch = tempfile::TempDir::new().expect("a folder");
    let mut passed = 0;
    for file in files(FOLDER) {
        if file.ends_with("/cluster.yaml") || file.ends_with("/policy.yaml") {
            continue;
        }
        let (outcome, out, err) = pinfold(&format!("explain binding {file} --render {common}"));
        assert_eq!(outcome, Outcome::Passed, "{file}: {err}");
        let golden = file.replace(FOLDER, &format!("{FOLDER}/golden"));
        assert_eq!(out, read(&golden), "{file}");
        let rendered = scratch.path().join("rendered.yaml");
        fs::write(&rendered, &out).expect("a file");
        for author in ["alice", "bob", "mallory", "root --as-group system:masters"] {
            let check =
                |manifest: &str| pinfold(&format!("check {common} --as {author} {manifest}"));
            let (binding, ..) = check(&file);
            let (objects, out, err) = check(&rendered.display().to_string());
            if binding == Outcome::Passed {
                assert_eq!(objects, Outcome::Passed, "{file} by {author}: {out}{err}");
                passed += 1;
            } else {
                assert_eq!(objects, Outcome::Denied, "{file} by {author}: {out}{err}");
            }
        }
    }
    assert!(passed >= 8, "{passed} bindings passed");
}

#[test]
fn what_a_review_suggests_is_all_that_was_missing() {
    let asked = "explain review --stack acme-agents/triage --repository acme/app --trigger manual \
                 --cluster docs/examples/explain/dispatch.yaml -p docs/examples/explain/dispatch-policy.yaml";
    let (outcome, grants, _) = pinfold(&format!("{asked} --ref main -o yaml"));
    assert_eq!(outcome, Outcome::Denied);
    assert!(grants.contains("kind: AgentSecretGrant"), "{grants}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grants.yaml");
    fs::write(&file, grants).expect("written");
    let granted = format!("{asked} --cluster {}", file.display());
    let (outcome, answer, _) = pinfold(&format!("{granted} --ref main"));
    assert_eq!(outcome, Outcome::Passed, "{answer}");
    // Of the same stack, another ref is not what was granted.
    let (outcome, answer, _) = pinfold(&format!("{granted} --ref feature"));
    assert_eq!(outcome, Outcome::Denied, "{answer}");
}

const DOCS: &str = "--cluster docs/examples/explain/cluster.yaml";

#[test]
fn commands_end_as_documented() {
    let policy = "-p docs/examples/explain/policy.yaml";
    let cases = [
        ("explain what-can acme-agents/coder", Outcome::Passed),
        ("explain what-can coder -n acme-agents", Outcome::Passed),
        ("explain what-can system:serviceaccount:acme-agents:coder", Outcome::Passed),
        ("explain what-can ServiceAccount/acme-agents/coder", Outcome::Passed),
        ("explain what-can AgentStack/acme-agents/reviewer", Outcome::Undecided),
        ("explain what-can --user alice --group devs", Outcome::Passed),
        ("explain what-can --group system:masters", Outcome::Passed),
        ("explain what-can --user nobody", Outcome::Passed),
        ("explain who-can get secrets", Outcome::Passed),
        ("explain who-can get secrets -n all", Outcome::Passed),
        ("explain who-can get secrets -n elsewhere", Outcome::Denied),
        ("explain who-can delete secrets", Outcome::Denied),
        ("explain who-can get nodes", Outcome::Denied),
        ("explain who-can get deployments.apps --agents", Outcome::Passed),
        ("explain who-can create configmaps --agents", Outcome::Denied),
        ("explain binding docs/examples/explain/reader.yaml", Outcome::Undecided),
        ("explain binding docs/examples/explain/reader.yaml --as alice", Outcome::Passed),
        ("explain binding docs/examples/explain/proposed.yaml --as alice", Outcome::Denied),
        ("explain binding docs/examples/explain/proposed.yaml -o yaml", Outcome::Passed),
    ];
    for (line, expected) in cases {
        let (outcome, out, err) = pinfold(&format!("{line} {DOCS} {policy}"));
        assert_eq!(outcome, expected, "{line}: {out}{err}");
    }
}

#[test]
fn bad_input_says_what_is_wrong() {
    let cases = [
        ("explain what-can a/b/c", "can't tell whom `a/b/c` means"),
        ("explain what-can AgentStack/", "can't tell whom"),
        ("explain who-can get /metrics name", "a URL has no object name"),
        ("explain binding docs/examples/explain/policy.yaml", "no RoleBinding"),
        ("explain what-can a/b -p docs/examples/explain/cluster.yaml", "not a policy document"),
        ("explain what-can a/b --cluster no/such/file.yaml", "no/such/file.yaml"),
        (
            "explain binding docs/examples/explain/reader.yaml --render",
            "no role template `repository-reader`",
        ),
    ];
    for (line, expected) in cases {
        let (outcome, out, err) = pinfold(&format!("{line} {DOCS}"));
        assert_eq!(outcome, Outcome::Undecided, "{line}: {out}");
        assert!(err.contains(expected), "{line}: {err}");
    }
    let missing = "explain what-can a/b --kubeconfig no/such/kubeconfig";
    let (outcome, out, err) = pinfold(missing);
    assert_eq!((outcome, out.as_str()), (Outcome::Undecided, ""), "{err}");
    assert!(err.contains("no/such/kubeconfig"), "{err}");
}

/// A binding to a role that isn't there can't be explained, whatever the webhook says.
#[test]
fn a_missing_role_is_undecided() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let file = scratch.path().join("b.yaml");
    let text = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: acme-agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gone}
subjects: [{kind: ServiceAccount, name: coder}]
";
    fs::write(&file, text).expect("a file");
    let line = format!("explain binding {} --as alice {DOCS}", file.display());
    let (outcome, out, _) = pinfold(&line);
    assert_eq!(outcome, Outcome::Undecided, "{out}");
    assert!(out.contains("cannot tell what it gives"), "{out}");
}

#[test]
fn rights_of_one_place_only() {
    let line = format!("explain what-can acme-agents/coder --in elsewhere {DOCS}");
    let (_, out, _) = pinfold(&line);
    assert!(!out.contains("deployments"), "{out}");
}

//! Cases of the extractors that ship, on objects as the runners' controllers write them (sources in docs/provenance.md), and of extractors of one's own.

use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::sources::SourceFile;
use serde_json::{Value, json};

use super::{Origin, TEXT_BYTES_MAX, fault_now, origins};
use crate::organization::fixture::{self, object, value};
use crate::trust::stamp::{provenance_text, read_provenance};

const SITE: &str = "
trust:
  trustedRefs: [refs/heads/main, refs/tags/v*]
  trustedRepositories: [acme/app, 'https://github.com/acme/app', 'https://gitlab.example/acme/app', '42']
";

/// A site's policy with a document of the library.
fn policy(document: &str) -> AdmissionPolicy {
    let site = SITE.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let site = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: site}}\nspec:\n{site}"
    );
    let files = [("preset.yaml", document), ("site.yaml", site.as_str())];
    let files =
        files.map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() });
    let set = pinfold_model::policy::load(&files);
    set.unwrap_or_else(|errors| panic!("{errors:?}")).admission.expect("an AdmissionPolicy")
}

/// What is told of an object: `None` for nothing, empty for trusted, else what speaks against it.
fn told(policy: &AdmissionPolicy, document: &Value) -> Option<String> {
    let found = origins(&policy.trust, &object(document).key, document);
    assert!(found.len() < 2, "{found:?}");
    found.into_iter().next().map(|origin| origin.fault.unwrap_or_default())
}

fn check(policy: &AdmissionPolicy, document: &Value, expected: Option<&str>, row: &str) {
    let found = told(policy, document);
    let holds = match (&found, expected) {
        (None, None) => true,
        (Some(found), Some("")) => found.is_empty(),
        (Some(found), Some(expected)) => found.contains(expected),
        _ => false,
    };
    assert!(holds, "{row}: expected {expected:?}, found {found:?}");
}

const TEKTON: &str = include_str!("../../../../library/provenance/tekton-pipelines-as-code.yaml");
const ARGO: &str = include_str!("../../../../library/provenance/argo-workflows.yaml");
const GITLAB: &str = include_str!("../../../../library/provenance/gitlab-runner.yaml");
const ARC: &str = include_str!("../../../../library/provenance/actions-runner-controller.yaml");

/// A PipelineRun as Pipelines-as-Code makes it (`AddLabelsAndAnnotations`): event, head repository, head branch, base branch.
fn pipeline_run(event: &str, head: &str, branch: &str, base: &str) -> Value {
    let key = |name: &str| format!("pipelinesascode.tekton.dev/{name}");
    json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {
        "generateName": "build-", "namespace": "acme-ci",
        "labels": {"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", key("event-type"): event,
            key("url-org"): "acme", key("url-repository"): "app", key("repository"): "app", key("state"): "started"},
        "annotations": {key("event-type"): event, key("branch"): base, key("source-branch"): branch,
            key("repo-url"): "https://github.com/acme/app", key("source-repo-url"): head, key("url-org"): "acme",
            key("url-repository"): "app", key("sender"): "octocat", key("sha"): "d6cd1e2bd19e03a81132a23b2025920577f84e37",
            key("sha-title"): "merge", key("git-provider"): "github", key("on-event"): "[push]"}},
        "spec": {"pipelineRef": {"name": "build"}}})
}

const BASE: &str = "https://github.com/acme/app";
const FORK: &str = "https://github.com/mallory/app";
const MAIN: &str = "refs/heads/main";

/// What it is, event, head repository, head branch, base branch, and what speaks against it.
const PIPELINE_RUNS: &[(&str, [&str; 4], Option<&str>)] = &[
    ("push to main", ["push", BASE, MAIN, MAIN], Some("")),
    ("a tag that is listed", ["push", BASE, "refs/tags/v1", "refs/tags/v1"], Some("")),
    (
        "a tag that isn't",
        ["push", BASE, "refs/tags/main", "refs/tags/main"],
        Some("ref `refs/tags/main`"),
    ),
    (
        "another branch",
        ["push", BASE, "refs/heads/topic", "refs/heads/topic"],
        Some("ref `refs/heads/topic`"),
    ),
    ("a fork's pull request", ["pull_request", FORK, "main", "main"], Some("ref `main`")),
    (
        "a fork's branch that is named like a ref",
        ["pull_request", FORK, MAIN, "main"],
        Some("its code comes from `https://github.com/mallory/app`"),
    ),
    (
        "a pull request of the repository's own",
        ["pull_request", BASE, "topic", "main"],
        Some("ref `topic`"),
    ),
    (
        "the same, named like a ref",
        ["pull_request", BASE, MAIN, "main"],
        Some("event `pull_request`"),
    ),
    ("a comment", ["on-comment", BASE, MAIN, MAIN], Some("event `on-comment`")),
    ("a retest", ["retest-all-comment", BASE, MAIN, MAIN], Some("event `retest-all-comment`")),
    ("an incoming webhook", ["incoming", BASE, MAIN, MAIN], Some("event `incoming`")),
    ("a check that is run again for a fork", ["push", BASE, "main", "main"], Some("ref `main`")),
    (
        "case folding",
        ["push", "https://github.com/Acme/app", MAIN, MAIN],
        Some("its code comes from `https://github.com/Acme/app`"),
    ),
    (
        "case folding of the ref",
        ["push", BASE, "refs/heads/Main", MAIN],
        Some("ref `refs/heads/Main`"),
    ),
    (
        "hostile text in the branch",
        ["pull_request", FORK, "refs/heads/main\nevent: push", "main"],
        Some("ref `refs/heads/main"),
    ),
    (
        "hostile text in the event",
        ["push pull_request", BASE, MAIN, MAIN],
        Some("event `push pull_request`"),
    ),
];

#[test]
fn tekton_pipelines_as_code() {
    let policy = policy(TEKTON);
    for (row, [event, head, branch, base], expected) in PIPELINE_RUNS {
        check(&policy, &pipeline_run(event, head, branch, base), *expected, row);
    }
    for (missing, expected) in [
        ("event-type", "it doesn't say what set it off"),
        ("source-repo-url", "it doesn't say which repository its code comes from"),
        ("repo-url", "it names no repository"),
        ("source-branch", "it names no ref"),
    ] {
        let mut run = pipeline_run("push", BASE, MAIN, MAIN);
        let annotations = run["metadata"]["annotations"].as_object_mut().expect("annotations");
        annotations.remove(&format!("pipelinesascode.tekton.dev/{missing}"));
        check(&policy, &run, Some(expected), missing);
    }
    // A fork that was renamed to the repository's name in another organization, and an empty head.
    let mut run = pipeline_run("push", "", MAIN, MAIN);
    check(&policy, &run, Some("which repository its code comes from"), "empty head");
    let url = "pipelinesascode.tekton.dev/repo-url";
    for (at, repository) in [(url, FORK), ("pipelinesascode.tekton.dev/source-repo-url", FORK)] {
        run["metadata"]["annotations"][at] = json!(repository);
    }
    check(
        &policy,
        &run,
        Some("repository `https://github.com/mallory/app` isn't in"),
        "a fork with pipelines of its own",
    );
    // Tasks and pods carry annotations that the definition may have written, so they tell nothing.
    let mut task = pipeline_run("push", BASE, MAIN, MAIN);
    task["kind"] = json!("TaskRun");
    check(&policy, &task, None, "a TaskRun");
    check(
        &policy,
        &value("{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: by-hand}}"),
        None,
        "by hand",
    );
    let origin = origins(&policy.trust, &object(&run).key, &run).remove(0).record;
    assert_eq!((origin.actor.as_str(), origin.trigger_source.as_str()), ("octocat", "push"));
    assert_eq!(origin.sha.len(), 40);
}

/// A Workflow that a sensor makes, with parameters.
fn workflow(parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, text)| json!({"name": name, "value": text})).collect();
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "build-", "namespace": "acme-ci",
        "labels": {"events.argoproj.io/sensor": "github", "events.argoproj.io/trigger": "build", "workflows.argoproj.io/creator": "alice"}},
        "spec": {"workflowTemplateRef": {"name": "build"}, "arguments": {"parameters": parameters}}})
}

/// A parameter, and what it says instead; `None` leaves it out.
type Parameter = (&'static str, Option<&'static str>);

/// What it is, the parameters that differ, and what speaks against it.
const WORKFLOWS: &[(&str, &[Parameter], Option<&str>)] = &[
    ("push to main", &[], Some("")),
    ("a tag that is listed", &[("ref", Some("refs/tags/v2"))], Some("")),
    ("a tag that isn't", &[("ref", Some("refs/tags/main"))], Some("ref `refs/tags/main`")),
    (
        "a fork's pull request",
        &[
            ("event", Some("pull_request")),
            ("ref", Some("refs/pull/7/head")),
            ("head-repository", Some("mallory/app")),
        ],
        Some("is in `trust.untrustedRefs`"),
    ),
    (
        "a fork's branch that is named like a ref",
        &[("head-repository", Some("mallory/app"))],
        Some("its code comes from `mallory/app`"),
    ),
    (
        "a pull request of the repository's own",
        &[("event", Some("pull_request"))],
        Some("event `pull_request`"),
    ),
    (
        "a fork that was renamed",
        &[("repository", Some("mallory/renamed")), ("head-repository", Some("mallory/renamed"))],
        Some("repository `mallory/renamed`"),
    ),
    ("no event", &[("event", None)], Some("what set it off")),
    ("no head", &[("head-repository", None)], Some("which repository its code comes from")),
    ("no repository", &[("repository", None)], Some("it names no repository")),
    ("no ref", &[("ref", None)], Some("it names no ref")),
    (
        "hostile text",
        &[("ref", Some("main\nrefs/heads/main"))],
        Some("isn't in `trust.trustedRefs`"),
    ),
];

#[test]
fn argo_workflows() {
    let policy = policy(ARGO);
    let with = |changes: &[(&str, Option<&str>)]| {
        let mut parameters = vec![
            ("repository", "acme/app"),
            ("ref", "refs/heads/main"),
            ("head-repository", "acme/app"),
            ("event", "push"),
            ("sha", "d6cd1e2"),
        ];
        for (name, text) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.extend(text.map(|text| (*name, text)));
        }
        workflow(&parameters)
    };
    for (row, changes, expected) in WORKFLOWS {
        check(&policy, &with(changes), *expected, row);
    }
    // A second parameter of a name: both must hold, in whatever order.
    let mut twice = vec![
        ("repository", "acme/app"),
        ("ref", "refs/heads/main"),
        ("head-repository", "acme/app"),
        ("event", "push"),
    ];
    twice.push(("head-repository", "mallory/app"));
    check(&policy, &workflow(&twice), Some("its code comes from `mallory/app`"), "two heads");
    twice.reverse();
    check(
        &policy,
        &workflow(&twice),
        Some("its code comes from `mallory/app`"),
        "two heads, turned round",
    );
    twice.push(("repository", "acme/other"));
    check(&policy, &workflow(&twice), Some("two repositories"), "two repositories");
    check(&policy, &workflow(&[("message", "hello")]), None, "parameters of its own");
    let mut number = workflow(&[("ref", "refs/heads/main")]);
    number["spec"]["arguments"]["parameters"][0]["value"] = json!(7);
    check(&policy, &number, Some("selects what is no text"), "a number");
}

/// A job's pod as GitLab Runner makes it: number of the project, ref.
fn gitlab_pod(project: &str, git_ref: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "runner-t1-project-42-concurrent-0-", "namespace": "acme-ci",
        "labels": {"pod": "runner-t1-project-42-concurrent-0", "job.runner.gitlab.com/pod": "runner-t1-project-42-concurrent-0",
            "project.runner.gitlab.com/id": project, "project.runner.gitlab.com/name": "app", "project.runner.gitlab.com/namespace": "acme",
            "project.runner.gitlab.com/root-namespace": "acme", "manager.runner.gitlab.com/name": "k8s", "manager.runner.gitlab.com/id-short": "t1"},
        "annotations": {"job.runner.gitlab.com/id": "7", "job.runner.gitlab.com/url": "https://gitlab.example/acme/app/-/jobs/7",
            "job.runner.gitlab.com/ref": git_ref, "job.runner.gitlab.com/sha": "1989c02f32ea5d2a2d06630711c5a3b895e0ad1e",
            "job.runner.gitlab.com/name": "build", "project.runner.gitlab.com/id": project}},
        "spec": {"containers": [{"name": "build", "image": "alpine"}]}})
}

#[test]
fn gitlab_runner() {
    let plain = policy(GITLAB);
    let mut bare = policy(GITLAB);
    // What docs/provenance.md says to add for a protected runner.
    bare.trust
        .trusted_refs
        .push(pinfold_model::pattern::Pattern::path_glob("main").expect("a glob"));
    let rows: &[(&str, [&str; 2], &str, &str)] = &[
        ("a push to main, or a tag of that name", ["42", "main"], "ref `main` isn't in", ""),
        ("a fork's pipeline", ["77", "main"], "ref `main`", "repository `77` isn't in"),
        (
            "a merge request in the parent project",
            ["42", "refs/merge-requests/3/head"],
            "untrustedRefs",
            "untrustedRefs",
        ),
        (
            "its merged result",
            ["42", "refs/merge-requests/3/merge"],
            "untrustedRefs",
            "untrustedRefs",
        ),
        ("another branch", ["42", "topic"], "ref `topic`", "ref `topic`"),
        ("a tag", ["42", "v1"], "ref `v1`", "ref `v1`"),
        (
            "a branch that is named like a ref",
            ["42", "refs/heads/main"],
            "isn\'t as its extractor expects it",
            "isn\'t as its extractor expects it",
        ),
        (
            "a fork's branch that is named like a ref",
            ["77", "refs/heads/main"],
            "isn\'t as its extractor expects it",
            "isn\'t as its extractor expects it",
        ),
        (
            "no ref",
            ["42", ""],
            "isn't as its extractor expects it",
            "isn't as its extractor expects it",
        ),
        ("a branch r", ["42", "r"], "ref `r`", "ref `r`"),
        ("a branch refs", ["42", "refs"], "ref `refs`", "ref `refs`"),
        ("a branch release/1", ["42", "release/1"], "ref `release/1`", "ref `release/1`"),
        (
            "a name instead of a number",
            ["acme", "main"],
            "isn't as its extractor expects it",
            "isn't as its extractor expects it",
        ),
        (
            "hostile text",
            ["42\n", "main"],
            "isn't as its extractor expects it",
            "isn't as its extractor expects it",
        ),
    ];
    for (row, [project, git_ref], full, protected) in rows {
        check(&plain, &gitlab_pod(project, git_ref), Some(full), row);
        check(&bare, &gitlab_pod(project, git_ref), Some(protected), row);
    }
    let mut unlabelled = gitlab_pod("42", "main");
    unlabelled["metadata"]["labels"] = json!({});
    // The annotation of the project may be the job's own, so it tells nothing.
    check(&bare, &unlabelled, Some("it names no repository"), "the label is missing");
    check(&bare, &value("{apiVersion: v1, kind: Pod, metadata: {name: p}}"), None, "another pod");
}

/// An EphemeralRunner whose status is there already: repository and workflow of its job.
fn runner(repository: &str, workflow: &str) -> Value {
    json!({"apiVersion": "actions.github.com/v1alpha1", "kind": "EphemeralRunner", "metadata": {"generateName": "linux-x7-runner-", "namespace": "arc-runners",
        "labels": {"actions.github.com/organization": "acme", "actions.github.com/scale-set-name": "linux", "actions.github.com/scale-set-namespace": "arc-runners"}},
        "spec": {"githubConfigUrl": "https://github.com/acme", "runnerScaleSetId": 1},
        "status": {"jobRequestId": 7, "jobRepositoryName": repository, "jobWorkflowRef": workflow, "workflowRunId": 9, "jobDisplayName": "build"}})
}

#[test]
fn actions_runner_controller() {
    let policy = policy(ARC);
    let rows: &[(&str, [&str; 2], &str)] = &[
        (
            "push to main, or pull_request_target",
            ["acme/app", "acme/app/.github/workflows/x.yml@refs/heads/main"],
            "what set it off",
        ),
        ("a tag", ["acme/app", "acme/app/.github/workflows/x.yml@refs/tags/v1"], "what set it off"),
        (
            "a fork's pull request",
            ["acme/app", "acme/app/.github/workflows/x.yml@refs/pull/7/merge"],
            "untrustedRefs",
        ),
        (
            "a fork with runners of its own",
            ["mallory/app", "mallory/app/.github/workflows/x.yml@refs/heads/main"],
            "repository `mallory/app`",
        ),
        (
            "a fork that calls a trusted workflow",
            ["acme/fork", "acme/app/.github/workflows/x.yml@refs/heads/main"],
            "two repositories",
        ),
        (
            "a branch named like another repository's ref",
            ["acme/app", "acme/app/.github/workflows/x.yml@topic@refs/heads/main"],
            "ref `topic@refs/heads/main`",
        ),
        ("hostile text", ["acme/app", "x"], "isn't as its extractor expects it"),
        ("no workflow", ["acme/app", ""], "isn't as its extractor expects it"),
    ];
    for (row, [repository, workflow], expected) in rows {
        check(&policy, &runner(repository, workflow), Some(expected), row);
    }
    // As it is when it is made, and its pod: nothing is told, and nothing is untrusted's other word.
    let mut fresh = runner("", "");
    fresh.as_object_mut().expect("an object").remove("status");
    check(&policy, &fresh, None, "fresh");
    let pod = value(
        "{apiVersion: v1, kind: Pod, metadata: {name: release-x7-runner-abcde, namespace: acme-release}}",
    );
    check(&policy, &pod, None, "its pod");
    // What the document says to write for a scale set whose runner group is restricted.
    let assumed = ARC.replace(
        "    provenance:\n",
        "    provenance:\n    - match: {apiGroups: [''], kinds: [Pod], namespaces: [acme-release], names: ['release-*-runner-*']}\n      assume: {repository: acme/app, ref: refs/heads/main}\n",
    );
    let assumed = self::policy(&assumed);
    check(&assumed, &pod, Some(""), "the scale set");
    for (namespace, name) in
        [("acme-ci", "release-x7-runner-abcde"), ("acme-release", "linux-x7-runner-abcde")]
    {
        let other = value(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}}}}}"
        ));
        check(&assumed, &other, None, name);
    }
}

#[test]
fn an_extractor_that_cannot_tell_forks_trusts_nothing() {
    for (extractor, expected) in [
        ("ref: $.r, repository: $.p", "doesn't tell a fork's work"),
        ("ref: $.r, repository: $.p, forksRunElsewhere: true", ""),
        ("ref: $.r, repository: $.p, headRepository: $.p", ""),
        ("ref: $.r, repository: $.p, event: $.e, trustedEvents: [push]", ""),
        ("ref: $.r, repository: $.p, event: $.e, trustedEvents: [other]", "event `push`"),
        ("ref: $.r, forksRunElsewhere: true", "it names no repository"),
        ("ref: $.long, repository: $.p, forksRunElsewhere: true", "its ref is over"),
    ] {
        let policy = fixture::policy(&format!(
            "trust: {{trustedRefs: ['**'], trustedRepositories: [acme/app], provenance: [{{match: {{kinds: [Thing]}}, {extractor}}}]}}"
        ));
        let thing = json!({"apiVersion": "x.example/v1", "kind": "Thing", "r": "refs/heads/main", "p": "acme/app", "e": "push", "long": "x".repeat(TEXT_BYTES_MAX + 1)});
        check(&policy, &thing, Some(expected), extractor);
    }
    // Until a repository is listed none is trusted.
    let nobody = fixture::policy(
        "trust: {trustedRefs: [m], provenance: [{match: {kinds: [Thing]}, ref: $.r, repository: $.p, forksRunElsewhere: true}]}",
    );
    let thing = json!({"apiVersion": "x.example/v1", "kind": "Thing", "r": "m", "p": "acme/app"});
    check(&nobody, &thing, Some("isn't in `trust.trustedRepositories`"), "none is listed");
}

#[test]
fn stamps_remember_what_was_told_and_are_judged_by_the_policy_of_now() {
    let policy = policy(TEKTON);
    let main = "refs/heads/main";
    for (run, trusted) in [
        (pipeline_run("push", "https://github.com/acme/app", main, main), true),
        (pipeline_run("pull_request", "https://github.com/acme/app", main, main), false),
    ] {
        let told = origins(&policy.trust, &object(&run).key, &run);
        let text = provenance_text(&told).expect("a stamp");
        let read = read_provenance(&text).expect("it reads");
        assert_eq!(read, told[0]);
        assert_eq!(fault_now(&policy.trust, &read).is_none(), trusted, "{text}");
        // A ref or repository that is no longer listed isn't trusted any more; a fault stays.
        let bare = fixture::policy("{}");
        assert!(fault_now(&bare.trust, &read).is_some());
    }
    let good = Origin { record: pinfold_model::object::agent::RunRecord::default(), fault: None };
    let bad = Origin { fault: Some("bad".to_owned()), ..good.clone() };
    for all in [vec![good.clone(), bad.clone()], vec![bad, good]] {
        assert!(provenance_text(&all).expect("a stamp").contains("bad"));
    }
    assert_eq!(provenance_text(&[]), None);
    for garbled in ["", "trusted", "[]", "{\"ref\": 7}", "{\"trusted\": \"yes\"}"] {
        assert_eq!(read_provenance(garbled), None, "{garbled}");
    }
}

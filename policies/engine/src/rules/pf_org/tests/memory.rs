//! PF-ORG-004: memory of another organization, and what lies beyond the grants of a source.

use super::{DEV, asked, cluster, found, told};
use crate::organization::fixture::{object, value};
use pinfold_model::object::ObjectKey;

const NONE: &[&str] = &[];

const MEMORY: &str = "
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: docs, namespace: acme}, spec: {allowedPaths: [docs/**, README.md, 'notes/*.md'], allowedKinds: [decision, runbook]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: any-kind, namespace: acme}, spec: {paths: [docs/**]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: all, namespace: acme-2}, spec: {allowedPaths: ['**'], allowedKinds: ['*']}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: silent, namespace: acme}, spec: {}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: odd, namespace: acme}, spec: {allowedPaths: ['{docs,src}/**']}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: newer, namespace: acme}, spec: {allowedPaths: [docs/**]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: theirs, namespace: beta}, spec: {allowedPaths: ['**'], allowedKinds: ['*']}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: lent, namespace: beta}, spec: {allowedPaths: [public/**]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySnapshot, metadata: {name: pinned, namespace: acme}, spec: {sourceRef: docs}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySnapshot, metadata: {name: bare, namespace: acme}, spec: {}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: beta, targetOrg: acme, allowedRefs: [AgentMemorySource/beta/lent, AgentDispatchRun/beta/lent]}}
";

fn memory(kind: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: m, namespace: acme}}, spec: {spec}}}"
    )
}

fn query(spec: &str) -> String {
    memory("AgentMemoryQuery", spec)
}

fn hold(cases: &[(String, &[&str])]) {
    let view = cluster(MEMORY);
    for (manifest, expected) in cases {
        assert_eq!(told(&asked(DEV, manifest, None), &view), *expected, "{manifest}");
    }
}

const SOURCE: &str = "PF-ORG-004 $.spec.sourceRef";
const PATH: &str = "PF-ORG-004 $.spec.paths[0]";
const KIND: &str = "PF-ORG-004 $.spec.kinds[0]";

fn asks(paths: &str) -> String {
    query(&format!("{{sourceRef: docs, paths: [{paths}], kinds: [decision]}}"))
}

fn import(spec: &str) -> String {
    memory("AgentRunMemoryImport", spec)
}

#[test]
fn queries_within_what_their_source_grants_pass() {
    hold(&[
        (asks("docs/a.md"), NONE),
        (asks("docs/deep/a.md"), NONE),
        (asks("README.md"), NONE),
        (asks("notes/a.md"), NONE),
        (asks("docs/**"), NONE),
        (asks("'docs/*.md'"), NONE),
        (asks("'docs/api/**'"), NONE),
        (asks("'notes/*.md'"), NONE),
    ]);
}

#[test]
fn paths_beyond_what_is_granted_are_refused() {
    hold(&[
        // Beyond.
        (asks("src/a.rs"), &[PATH]),
        (asks("'**'"), &[PATH]),
        (asks("'*'"), &[PATH]),
        (asks("'docs**'"), &[PATH]),
        (asks("'d*/**'"), &[PATH]),
        (asks("'notes/**'"), &[PATH]),
        (asks("'notes/a*.md'"), &[PATH]),
        (asks("notes/deep/a.md"), &[PATH]),
        (asks("docs"), &[PATH]),
        (asks("Docs/a.md"), &[PATH]),
        (asks("''"), &[PATH]),
        // By a path that leads elsewhere.
        (asks("docs/../secrets/a.md"), &[PATH]),
        (asks("'docs/{a,..}/*.md'"), &[PATH]),
        (asks("'docs/**/../../src/**'"), &[PATH]),
        (asks("docs/%2e%2e/a.md"), &[PATH]),
        (asks("docs//a.md"), &[PATH]),
        (asks("./docs/a.md"), &[PATH]),
    ]);
}

#[test]
fn kinds_and_what_is_left_out_are_granted_too() {
    hold(&[
        // Kinds.
        (query("{sourceRef: docs, paths: [docs/a], kinds: [runbook, decision]}"), NONE),
        (query("{sourceRef: docs, paths: [docs/a], kinds: [Decision]}"), &[KIND]),
        (query("{sourceRef: docs, paths: [docs/a], kinds: ['*']}"), &[KIND]),
        (query("{sourceRef: any-kind, paths: [docs/a], kinds: [secret]}"), NONE),
        // What is left out is all there is.
        (query("{sourceRef: docs}"), &["PF-ORG-004 $.spec.kinds", "PF-ORG-004 $.spec.paths"]),
        (query("{sourceRef: acme-2/all}"), NONE),
        // Sources that say nothing, or what nobody can read.
        (query("{sourceRef: silent, paths: [docs/a]}"), &[SOURCE]),
        (query("{sourceRef: odd, paths: [docs/a]}"), &[PATH]),
        (query("{sourceRef: newer, paths: [docs/a]}"), NONE),
        (query("{paths: [docs/a]}"), &[SOURCE]),
        // Another kind than the field has is no way around its grant, nor a grant.
        (
            query(
                "{sourceRefs: [acme-2/all, {kind: Other, name: docs}], paths: [src/a], kinds: [decision]}",
            ),
            &[PATH],
        ),
        (
            query(
                "{sourceRef: {kind: AgentMemoryQuery, name: docs}, paths: [src/a], kinds: [decision]}",
            ),
            &[PATH],
        ),
        (query("{sourceRef: not-there, paths: [docs/a]}"), &[SOURCE]),
    ]);
}

const RUN: &str = "PF-ORG-004 $.spec.sourceRun";
const ORG: &str = "PF-ORG-004 $.spec.sourceOrg";

#[test]
fn queries_stay_in_their_organization() {
    hold(&[
        (query("{sourceRef: beta/theirs, paths: [a], kinds: [k]}"), &[SOURCE]),
        (query("{sourceRef: {namespace: beta, name: theirs}}"), &[SOURCE]),
        (query("{sourceRef: beta/lent, paths: [public/a]}"), NONE),
        (query("{sourceRef: beta/lent, paths: [private/a]}"), &["PF-ORG-004 $.spec.paths[0]"]),
        (
            query("{sourceRefs: [any-kind, beta/theirs], paths: [docs/a]}"),
            &["PF-ORG-004 $.spec.sourceRefs[1]"],
        ),
        // Every source that is named grants it.
        (query("{sourceRefs: [any-kind, acme-2/all], paths: [docs/a]}"), NONE),
        (
            query("{sourceRefs: [any-kind, acme-2/all], paths: [src/a]}"),
            &["PF-ORG-004 $.spec.paths[0]"],
        ),
        // Through a snapshot.
        (query("{snapshotRef: pinned, paths: [docs/a], kinds: [decision]}"), NONE),
        (
            query("{snapshotRef: pinned, paths: [src/a], kinds: [decision]}"),
            &["PF-ORG-004 $.spec.paths[0]"],
        ),
        (
            query(
                "{snapshotRef: pinned, sourceRef: acme-2/all, paths: [src/a], kinds: [decision]}",
            ),
            &["PF-ORG-004 $.spec.paths[0]"],
        ),
        (query("{snapshotRef: bare, paths: [docs/a]}"), &[SOURCE]),
        (query("{snapshotRef: lost, paths: [docs/a]}"), &["PF-ORG-004 $.spec.snapshotRef"]),
        (query("{snapshotRef: beta/x, paths: [docs/a]}"), &["PF-ORG-004 $.spec.snapshotRef"]),
    ]);
}

#[test]
fn imports_take_from_their_own_organization() {
    hold(&[
        // Imports: whose the run is.
        (import("{sourceRun: r}"), NONE),
        (import("{sourceRun: acme-2/r, sourceOrg: acme}"), NONE),
        (import("{sourceRun: beta/r}"), &[RUN]),
        (import("{sourceRun: absent/r}"), &[RUN]),
        (import("{sourceRun: beta/lent}"), NONE),
        (import("{sourceRun: beta/lent, sourceOrg: beta}"), NONE),
        (import("{sourceRun: r, sourceOrg: beta}"), &[ORG]),
        (import("{sourceRepository: beta/app}"), &["PF-ORG-004 $.spec.sourceRepository"]),
        (
            import("{sourceRepository: app, sourceSession: beta/s}"),
            &["PF-ORG-004 $.spec.sourceSession"],
        ),
        (import("{sourceOrg: acme}"), &[RUN]),
        (
            import("{sourceRun: r, sourceRef: any-kind, paths: [src/a]}"),
            &["PF-ORG-004 $.spec.paths[0]"],
        ),
        (import("{sourceRun: r, sourceRef: any-kind, paths: [docs/a]}"), NONE),
        // Every other kind of memory.
        (memory("AgentMemoryAssociation", "{sourceRef: beta/theirs}"), &[SOURCE]),
    ]);
}

#[test]
fn every_kind_of_memory_stays_in_its_organization() {
    let view = cluster(MEMORY);
    for kind in [
        "AgentMemoryRepository",
        "AgentMemorySource",
        "AgentMemoryOntology",
        "AgentMemorySnapshot",
        "AgentMemoryUpdate",
    ] {
        let crossing = memory(kind, "{memoryRepositoryRef: beta/brain}");
        assert_eq!(
            told(&asked(DEV, &crossing, None), &view),
            ["PF-ORG-004 $.spec.memoryRepositoryRef"],
            "{kind}"
        );
        let own = memory(kind, "{memoryRepositoryRef: brain, repository: app}");
        assert_eq!(told(&asked(DEV, &own, None), &view), NONE, "{kind}");
        let wrong = memory(kind, "{organizationRef: beta}");
        assert_eq!(
            told(&asked(DEV, &wrong, None), &view),
            ["PF-ORG-001 $.spec.organizationRef"],
            "{kind}"
        );
    }
}

#[test]
fn an_unknown_source_is_asked_for() {
    let view = cluster("");
    let mut facts = asked(DEV, &query("{sourceRef: late, paths: [docs/a]}"), None);
    let key = ObjectKey::new("krate.a5c.ai", "AgentMemorySource", "acme", "late");
    let unasked = found(&facts, &view);
    assert_eq!((unasked.raw.len(), unasked.questions.len()), (1, 1));
    let late = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMemorySource, metadata: {name: late, namespace: acme}, spec: {allowedPaths: [docs/**]}}";
    facts.answers.objects.push((key, Some(object(&value(late)))));
    assert_eq!(told(&facts, &view), NONE);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let view = cluster(MEMORY);
    let paths: Vec<String> = (0..300).map(|number| format!("docs/{number}")).collect();
    let facts = asked(
        DEV,
        &query(&format!("{{sourceRef: any-kind, paths: [{}]}}", paths.join(", "))),
        None,
    );
    assert_eq!(told(&facts, &view), ["PF-ORG-004 $.spec"]);
    let sources = vec!["any-kind"; 40].join(", ");
    let facts = asked(DEV, &query(&format!("{{sourceRefs: [{sources}], paths: [docs/a]}}")), None);
    assert_eq!(told(&facts, &view), ["PF-ORG-004 $.spec.sourceRefs"]);
}

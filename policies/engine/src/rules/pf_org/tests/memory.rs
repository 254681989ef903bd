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

#[test]
fn queries_stay_within_what_their_source_grants() {
    let view = cluster(MEMORY);
    let source = "PF-ORG-004 $.spec.sourceRef";
    let (path, kind) = ("PF-ORG-004 $.spec.paths[0]", "PF-ORG-004 $.spec.kinds[0]");
    let asks =
        |paths: &str| query(&format!("{{sourceRef: docs, paths: [{paths}], kinds: [decision]}}"));
    let cases: [(String, &[&str]); 38] = [
        (asks("docs/a.md"), NONE),
        (asks("docs/deep/a.md"), NONE),
        (asks("README.md"), NONE),
        (asks("notes/a.md"), NONE),
        (asks("docs/**"), NONE),
        (asks("'docs/*.md'"), NONE),
        (asks("'docs/api/**'"), NONE),
        (asks("'notes/*.md'"), NONE),
        // Beyond.
        (asks("src/a.rs"), &[path]),
        (asks("'**'"), &[path]),
        (asks("'*'"), &[path]),
        (asks("'docs**'"), &[path]),
        (asks("'d*/**'"), &[path]),
        (asks("'notes/**'"), &[path]),
        (asks("'notes/a*.md'"), &[path]),
        (asks("notes/deep/a.md"), &[path]),
        (asks("docs"), &[path]),
        (asks("Docs/a.md"), &[path]),
        (asks("''"), &[path]),
        // By a path that leads elsewhere.
        (asks("docs/../secrets/a.md"), &[path]),
        (asks("'docs/{a,..}/*.md'"), &[path]),
        (asks("'docs/**/../../src/**'"), &[path]),
        (asks("docs/%2e%2e/a.md"), &[path]),
        (asks("docs//a.md"), &[path]),
        (asks("./docs/a.md"), &[path]),
        // Kinds.
        (query("{sourceRef: docs, paths: [docs/a], kinds: [runbook, decision]}"), NONE),
        (query("{sourceRef: docs, paths: [docs/a], kinds: [Decision]}"), &[kind]),
        (query("{sourceRef: docs, paths: [docs/a], kinds: ['*']}"), &[kind]),
        (query("{sourceRef: any-kind, paths: [docs/a], kinds: [secret]}"), NONE),
        // What is left out is all there is.
        (query("{sourceRef: docs}"), &["PF-ORG-004 $.spec.kinds", "PF-ORG-004 $.spec.paths"]),
        (query("{sourceRef: acme-2/all}"), NONE),
        // Sources that say nothing, or what nobody can read.
        (query("{sourceRef: silent, paths: [docs/a]}"), &[source]),
        (query("{sourceRef: odd, paths: [docs/a]}"), &[path]),
        (query("{sourceRef: newer, paths: [docs/a]}"), NONE),
        (query("{paths: [docs/a]}"), &[source]),
        // Another kind than the field has is no way around its grant, nor a grant.
        (
            query(
                "{sourceRefs: [acme-2/all, {kind: Other, name: docs}], paths: [src/a], kinds: [decision]}",
            ),
            &[path],
        ),
        (
            query(
                "{sourceRef: {kind: AgentMemoryQuery, name: docs}, paths: [src/a], kinds: [decision]}",
            ),
            &[path],
        ),
        (query("{sourceRef: not-there, paths: [docs/a]}"), &[source]),
    ];
    for (manifest, expected) in cases {
        assert_eq!(told(&asked(DEV, &manifest, None), &view), expected, "{manifest}");
    }
}

#[test]
fn memory_stays_in_its_organization() {
    let view = cluster(MEMORY);
    let import = |spec: &str| memory("AgentRunMemoryImport", spec);
    let (source, run, org) = (
        "PF-ORG-004 $.spec.sourceRef",
        "PF-ORG-004 $.spec.sourceRun",
        "PF-ORG-004 $.spec.sourceOrg",
    );
    let cases: [(String, &[&str]); 26] = [
        (query("{sourceRef: beta/theirs, paths: [a], kinds: [k]}"), &[source]),
        (query("{sourceRef: {namespace: beta, name: theirs}}"), &[source]),
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
        (query("{snapshotRef: bare, paths: [docs/a]}"), &[source]),
        (query("{snapshotRef: lost, paths: [docs/a]}"), &["PF-ORG-004 $.spec.snapshotRef"]),
        (query("{snapshotRef: beta/x, paths: [docs/a]}"), &["PF-ORG-004 $.spec.snapshotRef"]),
        // Imports: whose the run is.
        (import("{sourceRun: r}"), NONE),
        (import("{sourceRun: acme-2/r, sourceOrg: acme}"), NONE),
        (import("{sourceRun: beta/r}"), &[run]),
        (import("{sourceRun: absent/r}"), &[run]),
        (import("{sourceRun: beta/lent}"), NONE),
        (import("{sourceRun: beta/lent, sourceOrg: beta}"), NONE),
        (import("{sourceRun: r, sourceOrg: beta}"), &[org]),
        (import("{sourceRepository: beta/app}"), &["PF-ORG-004 $.spec.sourceRepository"]),
        (
            import("{sourceRepository: app, sourceSession: beta/s}"),
            &["PF-ORG-004 $.spec.sourceSession"],
        ),
        (import("{sourceOrg: acme}"), &[run]),
        (
            import("{sourceRun: r, sourceRef: any-kind, paths: [src/a]}"),
            &["PF-ORG-004 $.spec.paths[0]"],
        ),
        (import("{sourceRun: r, sourceRef: any-kind, paths: [docs/a]}"), NONE),
        // Every other kind of memory.
        (memory("AgentMemoryAssociation", "{sourceRef: beta/theirs}"), &[source]),
    ];
    for (manifest, expected) in cases {
        assert_eq!(told(&asked(DEV, &manifest, None), &view), expected, "{manifest}");
    }
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

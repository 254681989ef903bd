//! Cases of PF-TRU-003: what claims trust and what doesn't, who may, and that no word of anybody else's makes untrusted work trusted.

mod monotone;
mod relays;

use pinfold_model::facts::{AdmissionFacts, Operation, Question};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::{Context, Found};
use crate::organization::fixture::{self, NOW, object, spoken, value};
use crate::rules::pf_tru::tests::with;
use crate::trust::standing::{self, Standing};
use crate::trust::work_of;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true', krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate-system}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main, namespace: g, uid: u-main}, spec: {repository: acme/app, ref: refs/heads/main, agentStack: coder}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: kept, namespace: krate-system, uid: u-kept}, spec: {repository: acme/app, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: beta, namespace: krate-system, uid: u-beta}, spec: {organizationRef: beta, repository: beta/app, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork, namespace: g, uid: u-fork}, spec: {repository: acme/app, ref: refs/heads/main, headRepository: evil/app}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt, namespace: g, uid: u-attempt}, spec: {agentDispatchRun: main}}
{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: trusted, namespace: g, uid: p-trusted, annotations: {pinfold.dev/provenance: '{\"ref\":\"refs/heads/main\",\"repository\":\"acme/app\"}'}}}
{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: forked, namespace: g, uid: p-forked, annotations: {pinfold.dev/provenance: '{\"fault\":\"it is a fork\",\"ref\":\"refs/heads/main\",\"repository\":\"acme/app\"}'}}}
{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: unlisted, namespace: g, uid: p-unlisted, annotations: {pinfold.dev/provenance: '{\"ref\":\"refs/heads/main\",\"repository\":\"acme/other\"}'}}}
{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: garbled, namespace: g, uid: p-garbled, annotations: {pinfold.dev/provenance: 'trusted'}}}
{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: plain, namespace: g, uid: p-plain}}
{apiVersion: tekton.dev/v1, kind: TaskRun, metadata: {name: trusted-build, namespace: g, uid: t-trusted, ownerReferences: [{apiVersion: tekton.dev/v1, kind: PipelineRun, name: trusted, uid: p-trusted, controller: true}]}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, namespace: g, uid: rs, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: v1, kind: Pod, metadata: {name: trusted-pod, namespace: g, uid: pod, annotations: {pinfold.dev/run: main/u-main}}}
";

const POLICY: &str = "
trust:
  controllers: [{serviceAccount: krate-system/krate-controller}, {serviceAccount: pac/pac-controller}]
  relays: [{serviceAccount: tekton/tekton-controller}]
  trustedRefs: [refs/heads/main]
  trustedRepositories: [acme/app]
  provenance:
  - match: {apiGroups: [tekton.dev], kinds: [PipelineRun]}
    repository: $.metadata.annotations['ci/repository']
    ref: $.metadata.annotations['ci/ref']
    event: $.metadata.annotations['ci/event']
    trustedEvents: [push]
organizations:
  platformAdmins: {users: [root], groups: [system:masters]}
";

fn user(name: &str) -> &str {
    match name {
        "controller" => "system:serviceaccount:krate-system:krate-controller",
        "pac" => "system:serviceaccount:pac:pac-controller",
        "tekton" => "system:serviceaccount:tekton:tekton-controller",
        "replicasets" => "system:serviceaccount:kube-system:replicaset-controller",
        other => other,
    }
}

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, facts: &AdmissionFacts) -> Found {
        fixture::found(super::judge, facts, &self.view, &self.policy)
    }

    fn expect(&self, facts: &AdmissionFacts, path: &str, row: &str) {
        let found = self.judge(facts);
        let expected: Vec<String> = Some(path)
            .filter(|path| !path.is_empty())
            .map(|path| format!("PF-TRU-003 {path}"))
            .into_iter()
            .collect();
        assert_eq!(spoken(&found), expected, "{row}\n{found:#?}");
    }

    fn context<'c>(&'c self, facts: &'c AdmissionFacts) -> Context<'c> {
        Context { facts, view: &self.view, policy: &self.policy, now: NOW }
    }

    fn standing(&self, facts: &AdmissionFacts) -> Standing {
        let (object, requester) = (facts.object.as_ref(), facts.requester.as_ref());
        let context = self.context(facts);
        standing::of_request(&context, object.expect("an object"), requester.expect("somebody"))
    }
}

fn pod(metadata: &str) -> Value {
    value(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: g, {metadata}}}, spec: {{containers: [{{name: c}}]}}}}"
    ))
}

fn create(name: &str, manifest: &Value) -> AdmissionFacts {
    fixture::request(user(name), manifest, None)
}

const LABEL: &str = "$.metadata.labels['krate.a5c.ai/";

/// `USER METADATA => refused label`; nothing is allowed. Of labels below the agent group.
const WORDS: &[(&str, &str, &str)] = &[
    // T-49 to T-51: a word makes nothing trusted, however it is spelt.
    ("dev", "trust-tier: trusted", "trust-tier"),
    ("dev", "trust-tier: Trusted", "trust-tier"),
    ("dev", "trust-tier: ' TRUSTED '", "trust-tier"),
    ("dev", "trust-tier: untrusted", ""),
    ("dev", "trust-tier: ''", ""),
    ("root", "trust-tier: trusted", "trust-tier"),
    ("controller", "trust-tier: trusted", "trust-tier"),
    ("controller", "trust-tier: trusted, krate.a5c.ai/dispatch-run: main", ""),
    ("controller", "trust-tier: trusted, krate.a5c.ai/dispatch-run: fork", "trust-tier"),
    // A run that one may not claim, or that isn't there.
    ("dev", "dispatch-run: main", "dispatch-run"),
    ("dev", "dispatch-run: attempt", "dispatch-run"),
    ("dev", "dispatch-run: kept", "dispatch-run"),
    ("dev", "dispatch-run: not-there", "dispatch-run"),
    ("dev", "dispatch-run: ''", "dispatch-run"),
    ("root", "dispatch-run: main", "dispatch-run"),
    ("controller", "dispatch-run: main", ""),
    ("controller", "dispatch-run: not-there", "dispatch-run"),
    // To be a fork's work claims no trust.
    ("dev", "dispatch-run: fork", ""),
    ("controller", "dispatch-run: fork", ""),
    // A repository or stack by itself is no claim; against the run that is named it is.
    ("dev", "repository: app", ""),
    ("dev", "repository: anything", ""),
    ("dev", "agent-stack: coder", ""),
    ("dev", "org: beta", ""),
    ("controller", "repository: app, krate.a5c.ai/dispatch-run: main", ""),
    ("controller", "repository: acme-app, krate.a5c.ai/dispatch-run: main", ""),
    ("controller", "repository: other, krate.a5c.ai/dispatch-run: main", "repository"),
    ("controller", "agent-stack: coder, krate.a5c.ai/dispatch-run: main", ""),
    ("controller", "agent-stack: other, krate.a5c.ai/dispatch-run: main", "agent-stack"),
    ("dev", "repository: other, krate.a5c.ai/dispatch-run: fork", "repository"),
    // What the API's controllers make says what its template said, which was judged then.
    ("replicasets", "trust-tier: trusted", ""),
    ("replicasets", "dispatch-run: main", ""),
];

#[test]
fn what_labels_and_annotations_claim() {
    let cluster = cluster();
    for (name, words, refused) in WORDS {
        for list in ["labels", "annotations"] {
            let manifest = pod(&format!("{list}: {{krate.a5c.ai/{words}}}"));
            let path = if refused.is_empty() {
                String::new()
            } else {
                format!("$.metadata.{list}['krate.a5c.ai/{refused}']")
            };
            // Annotations name no run that counts, so what they claim beside it has no record.
            if list == "annotations" && words.contains("tier: trusted, ") {
                continue;
            }
            let facts = create(name, &manifest);
            cluster.expect(&facts, &path, &format!("{name} {list} {words}"));
        }
    }
    for group in ["kradle.a5c.ai", "krate.a5c.ai"] {
        let manifest = pod(&format!("labels: {{{group}/trust-tier: trusted}}"));
        cluster.expect(
            &create("dev", &manifest),
            &format!("$.metadata.labels['{group}/trust-tier']"),
            group,
        );
    }
    cluster.expect(&create("dev", &pod("labels: {example.com/trust-tier: trusted}")), "", "other");
}

#[test]
fn templates_bindings_and_custom_kinds_claim_too_and_other_namespaces_do_not() {
    let cluster = cluster();
    let claim = json!({"krate.a5c.ai/dispatch-run": "main"});
    let of = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "g"}});
    let at = "labels['krate.a5c.ai/dispatch-run']";
    let cases: [(&str, &str, &[&str], String); 7] = [
        (
            "apps/v1",
            "Deployment",
            &["spec", "template", "metadata", "labels"],
            format!("$.spec.template.metadata.{at}"),
        ),
        (
            "batch/v1",
            "CronJob",
            &["spec", "jobTemplate", "spec", "template", "metadata", "labels"],
            format!("$.spec.jobTemplate.spec.template.metadata.{at}"),
        ),
        ("v1", "Binding", &["metadata", "labels"], format!("$.metadata.{at}")),
        ("tekton.dev/v1", "TaskRun", &["metadata", "labels"], format!("$.metadata.{at}")),
        (
            "tekton.dev/v1",
            "PipelineRun",
            &["spec", "taskRunTemplate", "metadata", "labels"],
            format!("$.spec.taskRunTemplate.metadata.{at}"),
        ),
        (
            "extensions.agents.x-k8s.io/v1alpha1",
            "SandboxClaim",
            &["spec", "additionalPodMetadata", "labels"],
            format!("$.spec.additionalPodMetadata.{at}"),
        ),
        (
            "agents.x-k8s.io/v1alpha1",
            "Sandbox",
            &["spec", "podTemplate", "metadata", "labels"],
            format!("$.spec.podTemplate.metadata.{at}"),
        ),
    ];
    for (version, kind, steps, path) in cases {
        let manifest = with(of(version, kind), steps, claim.clone());
        cluster.expect(&create("dev", &manifest), &path, kind);
        cluster.expect(&create("controller", &manifest), "", kind);
        let elsewhere = with(manifest, &["metadata", "namespace"], json!("u"));
        cluster.expect(&create("dev", &elsewhere), "", "elsewhere");
    }
    // A stamp that its controller would write onto a pod is refused to everybody, for it is nobody's but Pinfold's.
    let stamp = json!({"pinfold.dev/run": "main/u-main"});
    let sandbox = with(
        of("extensions.agents.x-k8s.io/v1alpha1", "SandboxClaim"),
        &["spec", "additionalPodMetadata", "annotations"],
        stamp,
    );
    let path = "$.spec.additionalPodMetadata.annotations['pinfold.dev/run']";
    cluster.expect(&create("dev", &sandbox), path, "stamp");
    cluster.expect(&create("controller", &sandbox), path, "stamp");
    // What makes no pods claims nothing.
    for (version, kind) in [("v1", "ConfigMap"), ("krate.a5c.ai/v1alpha1", "AgentStack")] {
        let manifest = with(of(version, kind), &["metadata", "labels"], claim.clone());
        cluster.expect(&create("dev", &manifest), "", kind);
    }
}

#[test]
fn a_run_that_is_not_known_is_asked_for() {
    let cluster = cluster();
    let mut facts = create("controller", &pod("labels: {krate.a5c.ai/dispatch-run: fresh}"));
    let asked =
        |namespace: &str| ObjectKey::new("krate.a5c.ai", "AgentDispatchRun", namespace, "fresh");
    let questions = cluster.judge(&facts).questions;
    for namespace in ["g", "krate-system"] {
        assert!(questions.contains(&Question::Object(asked(namespace))), "{questions:?}");
    }
    let live = value(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fresh, namespace: g, uid: f}, spec: {ref: refs/heads/main}}",
    );
    facts.answers.objects = vec![(asked("g"), Some(object(&live)))];
    cluster.expect(&facts, "", "the live run");
}

#[test]
fn owner_references_to_runs_are_claims() {
    let cluster = cluster();
    let owned = |run: &str, uid: &str| {
        pod(&format!(
            "ownerReferences: [{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, name: {run}, uid: {uid}}}]"
        ))
    };
    let path = "$.metadata.ownerReferences[0]";
    for (name, run, uid, path) in [
        ("dev", "main", "u-main", path),
        ("dev", "main", "u-older", path),
        ("dev", "not-there", "x", path),
        ("dev", "fork", "u-fork", ""),
        ("controller", "main", "u-main", ""),
        ("controller", "main", "u-older", path),
    ] {
        cluster.expect(&create(name, &owned(run, uid)), path, &format!("{name} {run} {uid}"));
        // A field of the garbage collector's, and a claim all the same.
        let later = fixture::request(user(name), &owned(run, uid), Some(&pod("")));
        cluster.expect(&later, path, &format!("later {name} {run} {uid}"));
    }
}

#[test]
fn a_live_pod_keeps_what_it_was_made_for() {
    let cluster = cluster();
    let label = |key: &str, text: &str| {
        if text.is_empty() {
            pod("")
        } else {
            pod(&format!("labels: {{krate.a5c.ai/{key}: {text}}}"))
        }
    };
    // T-19: run, session and organization, by anybody else; and what isn't bound is free.
    for (key, old, new, refused) in [
        ("dispatch-run", "fork", "gone", true),
        ("dispatch-run", "fork", "", true),
        ("session", "one", "two", true),
        ("session", "one", "", true),
        ("session", "one", "one", false),
        ("session", "", "one", false),
        ("org", "acme", "beta", true),
        ("repository", "app", "other", false),
        ("team", "one", "two", false),
    ] {
        for (name, refused) in [("dev", refused), ("controller", false), ("replicasets", false)] {
            // The controller names runs that exist.
            let new = if name == "controller" && new == "gone" { "main" } else { new };
            for subresource in ["", "status"] {
                let mut facts =
                    fixture::request(user(name), &label(key, new), Some(&label(key, old)));
                facts.subresource = subresource.to_owned();
                let found = cluster.judge(&facts);
                assert_eq!(
                    !spoken(&found).is_empty(),
                    refused,
                    "{name} {key} {old} {new}\n{found:#?}"
                );
            }
        }
    }
    // Of work that is stamped, the repository is bound too; a Deployment's own labels are its author's otherwise.
    let deployment = |stamp: &str, repository: &str| {
        value(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, namespace: g, labels: {{krate.a5c.ai/repository: {repository}}}, annotations: {{{stamp}}}}}}}"
        ))
    };
    for (stamp, path) in
        [("pinfold.dev/run: main/u-main", format!("{LABEL}repository']")), ("", String::new())]
    {
        let facts =
            fixture::request("dev", &deployment(stamp, "other"), Some(&deployment(stamp, "app")));
        cluster.expect(&facts, &path, stamp);
    }
    // A label that was there, and that somebody may not claim, stops nobody from writing another.
    let old = pod("labels: {krate.a5c.ai/dispatch-run: main}");
    let new = pod("labels: {krate.a5c.ai/dispatch-run: main, team: x}");
    cluster.expect(&fixture::request("dev", &new, Some(&old)), "", "another label");
}

/// Whoever is an administrator is so as in every other rule: no agent is one by its groups, and a deputy is whom it acts for.
#[test]
fn records_are_no_agents_and_no_tenants_to_write_through_an_administrator() {
    let deputies = "
  deputies:
  - user: syncer
    onBehalfOf: {annotation: {user: example.org/by, groups: example.org/groups, setByDeputy: true}}";
    let policy = POLICY.replace("users: [root]", "users: [root, syncer]");
    let policy = fixture::policy(&format!("{policy}\nrbac:{deputies}\n"));
    let cluster = Cluster { policy, ..cluster() };
    let record = |by: &str| {
        let by = if by.is_empty() {
            String::new()
        } else {
            format!(", annotations: {{example.org/by: {by}}}")
        };
        value(&format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {{name: new, namespace: g{by}}}, spec: {{repository: acme/app, ref: refs/heads/main}}}}"
        ))
    };
    let cases = [
        ("root", "", "", ""),
        ("somebody", "system:masters", "", ""),
        ("system:serviceaccount:g:default", "system:masters", "", "$.spec"),
        ("syncer", "", "root", ""),
        ("syncer", "", "alice", "$.spec"),
        ("syncer", "", "", "$.spec"),
    ];
    for (who, group, by, path) in cases {
        let mut facts = fixture::request(who, &record(by), None);
        if let Some(requester) = facts.requester.as_mut().filter(|_| !group.is_empty()) {
            requester.groups.push(group.to_owned());
        }
        cluster.expect(&facts, path, &format!("{who} {group} for `{by}`"));
    }
}

#[test]
fn records_are_the_controllers_to_write() {
    let cluster = cluster();
    let run = |spec: &str| {
        value(&format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {{name: r, namespace: g}}, spec: {{repository: acme/app, ref: refs/heads/topic, {spec}}}}}"
        ))
    };
    for kind in ["AgentDispatchRun", "AgentDispatchAttempt", "Pipeline", "Job", "PullRequest"] {
        for group in ["krate.a5c.ai", "kradle.a5c.ai"] {
            let record = with(run(""), &["kind"], json!(kind));
            let record = with(record, &["apiVersion"], json!(format!("{group}/v1alpha1")));
            for (name, path) in
                [("dev", "$.spec"), ("tekton", "$.spec"), ("controller", ""), ("root", "")]
            {
                cluster.expect(&create(name, &record), path, &format!("{name} {kind}"));
            }
        }
    }
    let old = run("");
    for (new, path) in [
        (with(old.clone(), &["spec", "ref"], json!("refs/heads/main")), "$.spec.ref"),
        (with(old.clone(), &["spec", "repository"], json!("acme/other")), "$.spec.repository"),
        (run("headRepository: acme/app"), "$.spec.headRepository"),
        (run("trustTier: trusted"), "$.spec.trustTier"),
        (run("fork: true"), "$.spec.fork"),
        (run("sourceRefs: {pipeline: p}"), "$.spec.sourceRefs"),
        (run("agentStack: other"), "$.spec.agentStack"),
        (run("sourceEvent: manual"), "$.spec.sourceEvent"),
        (run("organizationRef: beta"), "$.spec.organizationRef"),
        (run("contextBundleRef: evil"), "$.spec.contextBundleRef"),
        (run("workspaceRef: theirs"), "$.spec.workspaceRef"),
        (with(old.clone(), &["status"], json!({"phase": "Running"})), ""),
        (with(old.clone(), &["metadata", "labels"], json!({"a": "b"})), ""),
    ] {
        cluster.expect(&fixture::request("dev", &new, Some(&old)), path, path);
        cluster.expect(&fixture::request(user("controller"), &new, Some(&old)), "", path);
        cluster.expect(&fixture::request("root", &new, Some(&old)), "", path);
    }
    // Nobody is a controller: nobody writes records, and no label counts.
    let nobody = Cluster { view: fixture::view(CLUSTER), policy: fixture::policy("{}") };
    nobody.expect(&create("controller", &old), "$.spec", "no controllers");
    // Other groups' kinds of these names are none.
    let job = value("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: g}}");
    cluster.expect(&create("dev", &job), "", "a Job of batch");
}

#[test]
fn a_run_of_another_organization_never_counts() {
    let cluster = cluster();
    for (run, reason) in [("kept", ""), ("beta", "is of organization `beta`, not of `acme`")] {
        let facts =
            create("controller", &pod(&format!("labels: {{krate.a5c.ai/dispatch-run: {run}}}")));
        let (object, requester) =
            (facts.object.as_ref().expect("it"), facts.requester.as_ref().expect("who"));
        let work = work_of(&cluster.context(&facts), object, requester);
        let found = match work.standing.clone() {
            Standing::Trusted => String::new(),
            Standing::Untrusted { reason, .. } => reason,
        };
        assert!(found.contains(reason) && found.is_empty() == reason.is_empty(), "{found}");
        assert_eq!(work.runs.len(), usize::from(reason.is_empty()), "{run}");
    }
}

#[test]
fn without_a_requester_only_claims_are_undecided() {
    let cluster = cluster();
    for (metadata, undecided) in [
        ("", 0),
        ("labels: {krate.a5c.ai/agent-stack: coder, krate.a5c.ai/repository: app}", 0),
        ("labels: {krate.a5c.ai/dispatch-run: main}", 1),
        ("labels: {krate.a5c.ai/trust-tier: trusted}", 1),
        ("annotations: {pinfold.dev/run: main/u-main}", 1),
    ] {
        let found = cluster.judge(&create("", &pod(metadata)));
        assert_eq!((found.undecided.len(), found.raw.len()), (undecided, 0), "{metadata}");
    }
}

#[test]
fn deletion_claims_nothing() {
    let mut facts = create("dev", &pod("labels: {krate.a5c.ai/trust-tier: trusted}"));
    facts.operation = Operation::Delete;
    cluster().expect(&facts, "", "deletion");
}

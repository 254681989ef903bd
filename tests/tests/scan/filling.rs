//! One cluster as it fills, scanned at each step.

use std::fmt::Write as _;
use std::fs;

use pinfold::Outcome;
use pinfold_tests::ApiServer;

use crate::command::{Place, Scanned, repository};
use crate::{Answer, reports, rights};

const BAD_BINDINGS: [&str; 5] = [
    "critical bad-1-admin",
    "critical bad-2-group",
    "high bad-3-namespace-group",
    "high bad-4-user",
    "high bad-5-stranger",
];
const BAD_WORKLOADS: [&str; 3] = ["high data", "high reader", "high stolen"];
/// Both.
pub(crate) const BAD: usize = 8;
/// Pods that a ReplicaSet of the Deployment has, and bindings of the long list: more than a page of either.
const PODS: usize = 40;
const LONG: usize = 600;
const LONG_LAST: usize = 599;

/// One server, in the order of a cluster's life.
#[test]
fn a_cluster_is_scanned_as_it_fills() -> Answer {
    let server = ApiServer::start()?;
    let place = Place::new(&server)?;
    nothing_is_found_in_a_new_cluster(&place)?;
    server.apply(include_str!("seeds.yaml"))?;
    nothing_is_found_among_honest_objects(&place)?;
    server.apply(include_str!("bad-bindings.yaml"))?;
    exactly_the_bad_bindings_are_found(&place)?;
    server.apply(include_str!("bad-workloads.yaml"))?;
    make_pods(&server)?;
    workloads_are_told_once(&place)?;
    reports::are_accepted_by_the_server(&place)?;
    rights::documented_ones_are_enough_and_missing_ones_are_said(&place)?;
    a_long_list_is_read_to_its_end(&place)?;
    a_changed_registration_is_told(&place)?;
    Ok(())
}

/// Kubernetes' own roles and bindings, some for groups that every agent is in.
fn nothing_is_found_in_a_new_cluster(place: &Place<'_>) -> Answer {
    for policy in [None, Some("agents: {serviceAccounts: ['*/agent-*']}")] {
        let scanned = place.scan(policy, &[])?;
        assert_eq!(
            (scanned.outcome, scanned.told()?),
            (Outcome::Passed, Vec::new()),
            "{scanned:?}"
        );
        assert!(scanned.number("/summary/objects")? > 100, "the bootstrap objects: {scanned:?}");
    }
    Ok(())
}

fn nothing_is_found_among_honest_objects(place: &Place<'_>) -> Answer {
    let scanned = place.scan(None, &[])?;
    assert_eq!((scanned.outcome, scanned.told()?), (Outcome::Passed, Vec::new()), "{scanned:?}");
    assert!(!scanned.out.contains("canary-value"), "values are never read");
    Ok(())
}

fn exactly_the_bad_bindings_are_found(place: &Place<'_>) -> Answer {
    let scanned = place.scan(None, &[])?;
    assert_eq!(scanned.outcome, Outcome::Denied);
    assert_eq!(scanned.told()?, BAD_BINDINGS, "{}", scanned.out);
    assert_eq!(scanned.number("/summary/refused")?, 5);
    assert_eq!(place.scan(None, &[])?.told()?, BAD_BINDINGS, "the order is stable");
    let critical = place.scan(None, &["--min-danger", "critical"])?;
    assert_eq!(critical.told()?, BAD_BINDINGS.get(..2).unwrap_or_default());
    Ok(())
}

/// The Deployment's ReplicaSet and pods.
fn make_pods(server: &ApiServer) -> Answer {
    let uid = |kind: &str, name: &str| {
        let words = ["get", kind, name, "-n", "acme", "-o", "jsonpath={.metadata.uid}"];
        server.kubectl(&words, "")?.ok()
    };
    server.apply(&include_str!("made.yaml").replace("UID", &uid("deployment", "reader")?))?;
    let replicas = uid("replicaset", "reader-1")?;
    let mut pods = String::new();
    for number in 0..PODS {
        write!(
            pods,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: reader-1-{number}, namespace: acme, ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, \
             name: reader-1, uid: {replicas}, controller: true}}]}}, spec: {{automountServiceAccountToken: false, containers: [{{name: c, image: 'registry.example/a:1', \
             volumeMounts: [{{name: data, mountPath: /data}}]}}], volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]}}}}\n"
        )?;
    }
    server.kubectl(&["create", "-f", "-"], &pods)?.ok()?;
    Ok(())
}

fn workloads_are_told_once(place: &Place<'_>) -> Answer {
    let scanned = place.scan(None, &["--rules", "PF-SEC-001"])?;
    assert_eq!(scanned.outcome, Outcome::Denied);
    assert_eq!(scanned.told()?, BAD_WORKLOADS, "{}", scanned.out);
    let of_deployment = "/objects/1/findings/0/made";
    assert_eq!(scanned.number(&format!("{of_deployment}/Pod"))?, PODS, "{}", scanned.out);
    assert_eq!(scanned.number(&format!("{of_deployment}/ReplicaSet"))?, 1);
    let all = place.scan(None, &[])?;
    assert_eq!(all.told()?.len(), BAD, "{}", all.out);
    // Where the cluster's bindings are not looked at, the agent's record and its ServiceAccount tell what the agent holds, and the guarded
    // namespace what its `default` does.
    let globex = place.scan(None, &["-n", "globex"])?;
    let expected = ["critical worker", "critical worker", "medium globex"];
    assert_eq!(globex.told()?, expected, "{}", globex.out);
    let tools = place.scan(None, &["-n", "tools"])?;
    assert_eq!((tools.outcome, tools.told()?.len()), (Outcome::Passed, 0), "{}", tools.out);
    Ok(())
}

/// More bindings than a page has, the bad one among the last.
fn a_long_list_is_read_to_its_end(place: &Place<'_>) -> Answer {
    let mut long = "---\n{apiVersion: v1, kind: Namespace, metadata: {name: long}}\n".to_owned();
    for number in 0..LONG {
        let (name, subject) = if number == LONG_LAST {
            ("zz-bad".to_owned(), "{kind: ServiceAccount, name: coder, namespace: acme}")
        } else {
            (format!("b{number}"), "{kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}")
        };
        writeln!(
            long,
            "---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {name}, namespace: long}}, subjects: [{subject}], \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: secret-lister}}}}"
        )?;
    }
    place.server.kubectl(&["create", "-f", "-"], &long)?.ok()?;
    let scanned: Scanned = place.scan(None, &["-n", "long"])?;
    assert_eq!(scanned.told()?, ["high zz-bad"], "{}", scanned.out);
    // The namespace itself, and all bindings.
    assert_eq!(scanned.number("/summary/objects")?, LONG.saturating_add(1), "{}", scanned.out);
    Ok(())
}

/// Last, because from here on the API server asks a webhook that isn't there.
fn a_changed_registration_is_told(place: &Place<'_>) -> Answer {
    let file = |name: &str| fs::read_to_string(repository(&format!("manifests/base/{name}")));
    let (validating, mutating) = (file("validating.yaml")?, file("mutating.yaml")?);
    place.server.apply(&validating)?;
    place.server.apply(&mutating)?;
    let own = ["--rules", "PF-RBAC-008", "--min-danger", "critical"];
    let of_registration = |scanned: &Scanned| -> Answer<Vec<String>> {
        Ok(scanned.told()?.into_iter().filter(|told| told == "critical pinfold").collect())
    };
    let shipped = place.scan(None, &own)?;
    assert_eq!(of_registration(&shipped)?, Vec::<String>::new(), "{}", shipped.out);
    let delete = ["delete", "mutatingwebhookconfiguration", "pinfold"];
    place.server.kubectl(&delete, "")?.ok()?;
    place.server.apply(&validating.replacen("failurePolicy: Fail", "failurePolicy: Ignore", 1))?;
    let changed = place.scan(None, &own)?;
    assert_eq!(changed.outcome, Outcome::Denied);
    assert_eq!(of_registration(&changed)?.len(), 2, "{}", changed.out);
    for part in ["$.webhooks[boundary.pinfold.dev].failurePolicy", "this version: deleted"] {
        assert!(changed.out.contains(part), "no {part} in {}", changed.out);
    }
    Ok(())
}

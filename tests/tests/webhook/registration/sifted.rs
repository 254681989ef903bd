//! What is sent although most of its like isn't: statuses that grant, and kinds of other groups that are named as built-in ones.

use pinfold_tests::{KubectlOutput, User, until};

use super::home::{Home, SOON};
use super::own::asks;
use crate::Outcome;
use crate::replica::Replica;

const OBJECTS: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentSecretGrant, metadata: {name: g, namespace: acme}, spec: {organizationRef: acme, secretRef: {name: s}}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentConfigGrant, metadata: {name: g, namespace: acme}, spec: {organizationRef: acme, configMapRef: {name: s}}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentApproval, metadata: {name: a, namespace: acme}, spec: {organizationRef: acme, requestedBy: ada, action: {type: use-secret, target: AgentSecretGrant/g}}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: s, namespace: acme}, spec: {organizationRef: acme}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: statuses}, rules: [{apiGroups: [krate.a5c.ai], resources: ['*'], verbs: [get, patch]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: statuses}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: statuses}, \
     subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dev}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: dana}]}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: services.serving.knative.dev}, spec: {group: serving.knative.dev, \
     names: {kind: Service, plural: services}, scope: Namespaced, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}";
const KNATIVE: &str = "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: s, namespace: acme}, spec: {template: {spec: {containers: [{image: i}]}}}}";
const PLAIN: &str = "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: acme}, spec: {ports: [{port: 80}]}}";

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: acme}, spec: {ports: [{port: 80, targetPort: TARGET}]}}";
const SLICE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, namespace: acme}, addressType: IPv4, \
     endpoints: [{addresses: [10.0.0.1]}], ports: [{name: p, port: TARGET}]}";
const ENDPOINTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: s, namespace: acme}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: TARGET}]}]}";
const NO_PORTS: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: unported, namespace: acme}, addressType: IPv4, endpoints: []}";

const DEV: User<'_> = User { name: "dev", groups: &[] };
const DANA: User<'_> = User { name: "dana", groups: &[] };
const REVOKED: &str = r#"{"status":{"phase":"Revoked"}}"#;
const ACTIVE: &str = r#"{"status":{"phase":"Active"}}"#;
const APPROVED: &str = r#"{"status":{"phase":"Approved","approver":"dana"}}"#;

fn patch(home: &Home, user: Option<User<'_>>, object: &str, text: &str) -> Outcome<KubectlOutput> {
    let arguments =
        ["patch", object, "-n", "acme", "--subresource=status", "--type=merge", "-p", text];
    Ok(match user {
        Some(user) => home.server.kubectl_as(user, &arguments, "")?,
        None => home.server.kubectl(&arguments, "")?,
    })
}

fn prepare() -> Outcome<(Home, Replica)> {
    let home = Home::new()?;
    home.server.apply(OBJECTS)?;
    home.server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
    for grant in ["agentsecretgrants.krate.a5c.ai/g", "agentconfiggrants.krate.a5c.ai/g"] {
        patch(&home, None, grant, REVOKED)?.ok()?;
    }
    let replica = home.open(&home.flags("keep"))?;
    home.enforces()?;
    Ok((home, replica))
}

#[test]
fn statuses_that_grant_are_sent() -> Outcome {
    let (home, replica) = prepare()?;
    for (object, text, rule) in [
        ("agentsecretgrants.krate.a5c.ai/g", ACTIVE, "PF-SEC-006"),
        ("agentconfiggrants.krate.a5c.ai/g", ACTIVE, "PF-SEC-006"),
        ("agentapprovals.krate.a5c.ai/a", APPROVED, "PF-RUN-003"),
    ] {
        let (asked, answer) = asks(&replica, || patch(&home, Some(DEV), object, text))?;
        assert!(asked && answer.stderr.contains(rule), "{object}: {answer:?}");
    }
    let (asked, answer) =
        asks(&replica, || patch(&home, Some(DANA), "agentapprovals.krate.a5c.ai/a", APPROVED))?;
    assert!(asked && answer.success(), "dana approves herself: {answer:?}");
    let (asked, answer) = asks(&replica, || {
        patch(
            &home,
            Some(DEV),
            "agentapprovals.krate.a5c.ai/a",
            r#"{"status":{"phase":"Pending"}}"#,
        )
    })?;
    assert!(asked && answer.stderr.contains("PF-RUN-003"), "decided once: {answer:?}");
    let note = r#"{"status":{"phase":"Ready"}}"#;
    let (asked, answer) =
        asks(&replica, || patch(&home, Some(DEV), "agentstacks.krate.a5c.ai/s", note))?;
    assert!(!asked && answer.success(), "another status: {answer:?}");
    Ok(())
}

#[test]
fn a_kind_that_is_named_as_a_built_in_one_is_sent() -> Outcome {
    let (home, replica) = prepare()?;
    let apply = |object: &str| {
        Ok(home.server.kubectl(&["apply", "--dry-run=server", "-f", "-"], object)?)
    };
    let seen = until(SOON, || asks(&replica, || apply(KNATIVE)).ok()?.0.then_some(()));
    seen.ok_or("a Knative Service isn't sent")?;
    let (asked, answer) = asks(&replica, || apply(PLAIN))?;
    assert!(!asked && answer.success(), "{answer:?}");
    Ok(())
}

/// Services and endpoints that lead to a sidecar are sent, and of all others none.
#[test]
fn what_leads_to_a_sidecar_is_sent() -> Outcome {
    let (home, replica) = prepare()?;
    let create = |object: &str, target: &str| {
        let object = object.replace("TARGET", target);
        Ok(home.server.kubectl(&["create", "--dry-run=server", "-f", "-"], &object)?)
    };
    for (object, target) in [
        (SERVICE, "15080"),
        (SERVICE, "15002"),
        (SERVICE, "pinfold-gateway"),
        (SLICE, "15080"),
        (ENDPOINTS, "15001"),
    ] {
        let (asked, answer) = asks(&replica, || create(object, target))?;
        assert!(asked && answer.stderr.contains("PF-POD-008"), "{target}: {answer:?}");
    }
    for (object, target) in
        [(SERVICE, "8080"), (SERVICE, "http"), (SLICE, "8080"), (ENDPOINTS, "8080"), (NO_PORTS, "")]
    {
        let (asked, answer) = asks(&replica, || create(object, target))?;
        assert!(!asked && answer.success(), "{target}: {answer:?}");
    }
    // The administrator of a cluster is one of the platform too, by the baseline.
    let (asked, answer) = asks(&replica, || create(SERVICE, "15090"))?;
    assert!(asked && answer.success(), "{answer:?}");
    Ok(())
}

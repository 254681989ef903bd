//! A cluster read once, by its administrator and by somebody who may read little: everything is there, page by page, and what may not be
//! read is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use pinfold_model::object::ObjectKey;
use pinfold_tests::{ApiServer, User};
use pinfold_webhook::cluster::{Cluster, Page, View};
use serde_json::Value;

use crate::Outcome;
use crate::kubernetes::{install_resources, webhook_kubeconfig};

/// More than one page of whole objects.
const ROLES: usize = 300;

const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: read}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: read}
stringData: {key: canary-value}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: read}
data: {key: canary-value}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: read}
spec: {tls: [{secretName: s}], defaultBackend: {service: {name: s, port: {number: 80}}}}
---
apiVersion: krate.a5c.ai/v1alpha1
kind: AgentRoleBinding
metadata: {name: b, namespace: read}
spec: {subject: {kind: service-account, name: a}, roleRef: {kind: Role, name: r0}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: pinfold-webhook, namespace: read}
";

fn prepare() -> Outcome<ApiServer> {
    let server = ApiServer::start()?;
    install_resources(&server)?;
    server.apply(OBJECTS)?;
    let mut roles = String::new();
    for number in 0..ROLES {
        writeln!(
            roles,
            "---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: r{number}, namespace: read}}, rules: []}}"
        )?;
    }
    server.kubectl(&["create", "-f", "-"], &roles)?.ok()?;
    Ok(server)
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn the_view_and_whole_objects_are_complete_and_without_values() -> Outcome {
    let server = prepare()?;
    runtime()?.block_on(async {
        let cluster = Cluster::connect(Some(server.kubeconfig()), None).await?;
        let mut shown = Vec::new();
        let view = cluster
            .view(|progress| {
                shown.push((progress.kind.to_owned(), progress.listed, progress.remaining));
            })
            .await?;
        assert!(view.unread.is_empty() && view.unreadable.is_empty(), "{view:?}");
        assert_view(&view);
        let roles: Vec<_> = shown.iter().filter(|(kind, ..)| kind == "Role").collect();
        assert!(roles.len() > 1, "one page: {roles:?}");
        assert!(
            roles.first().is_some_and(|(_, _, remaining)| remaining.is_some_and(|left| left > 0)),
            "{roles:?}"
        );
        assert!(roles.last().is_some_and(|(_, _, remaining)| *remaining == Some(0)), "{roles:?}");

        let mut pages = cluster.whole_objects(&["discovery.k8s.io".to_owned()]).await?;
        let announced: BTreeSet<String> =
            pages.kinds().iter().map(|kind| kind.kind.clone()).collect();
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let Page { kind, objects, .. } = page.map_err(|unread| format!("{unread:?}"))?;
            assert!(objects.len() < ROLES, "{} of {kind:?} at once", objects.len());
            found.entry(kind.kind).or_default().extend(objects);
        }
        assert_eq!(announced, found.keys().cloned().collect());
        assert_whole(&found);
        Ok(())
    })
}

fn assert_view(view: &View) {
    for (group, kind, namespace, name) in [
        ("", "Namespace", "", "read"),
        ("rbac.authorization.k8s.io", "Role", "read", "r299"),
        ("rbac.authorization.k8s.io", "ClusterRole", "", "cluster-admin"),
        ("krate.a5c.ai", "AgentRoleBinding", "read", "b"),
    ] {
        let key = ObjectKey::new(group, kind, namespace, name);
        assert!(view.snapshot.get(&key).is_some(), "no {key}");
    }
    assert!(view.snapshot.of_kind("Secret").next().is_none());
}

fn assert_whole(found: &BTreeMap<String, Vec<Value>>) {
    let named = |kind: &str, name: &str| {
        let objects = found.get(kind).into_iter().flatten();
        let mut named =
            objects.filter(|object| object.pointer("/metadata/name") == Some(&name.into()));
        let found = named.next();
        assert!(found.is_some(), "no {kind} {name}");
        found.unwrap_or(&Value::Null)
    };
    assert_eq!(
        named("Ingress", "i").pointer("/spec/tls/0/secretName"),
        Some(&"s".into()),
        "not the whole object"
    );
    assert_eq!(named("Role", "r0").get("apiVersion"), Some(&"rbac.authorization.k8s.io/v1".into()));
    assert_eq!(named("AgentRoleBinding", "b").pointer("/spec/subject/name"), Some(&"a".into()));
    assert!(named("Secret", "s").get("data").is_none());
    assert!(named("ConfigMap", "c").get("data").is_none());
    assert!(found.contains_key("EndpointSlice"), "the further group");
    assert!(!found.contains_key("Event") && !found.contains_key("Lease"), "what is not sent");
    let text = format!("{found:?}");
    // In base64 too, and in what kubectl remembers in an annotation.
    for canary in ["canary-value", "Y2FuYXJ5LXZhbHVl"] {
        assert!(!text.contains(canary), "{canary}");
    }
    assert!(!text.contains("managedFields"));
}

#[test]
fn what_may_not_be_read_is_said() -> Outcome {
    let server = ApiServer::start()?;
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: pinfold-system}}")?;
    server.apply(
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: pinfold-webhook, namespace: pinfold-system}}",
    )?;
    let reader = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader}, rules: [{apiGroups: [''], resources: [pods, namespaces], verbs: [list]}]}";
    server.apply(reader)?;
    let bind = ["create", "clusterrolebinding", "reader", "--clusterrole=reader"];
    let account = "--serviceaccount=pinfold-system:pinfold-webhook";
    server.kubectl(&[&bind[..], &[account]].concat(), "")?.ok()?;
    let dir = tempfile::tempdir()?;
    let authority = dir.path().join("ca.crt");
    std::fs::write(&authority, server.authority_pem())?;
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, webhook_kubeconfig(&server, server.url(), &authority)?)?;
    let nobody = User { name: "nobody", groups: &[] };
    assert!(!server.kubectl_as(nobody, &["get", "pods", "-A"], "")?.success());

    runtime()?.block_on(async {
        let cluster = Cluster::connect(Some(&kubeconfig), None).await?;
        let view = cluster.view(|_| {}).await?;
        let unread: BTreeSet<&str> =
            view.unread.iter().map(|unread| unread.kind.kind.as_str()).collect();
        assert!(unread.contains("ClusterRole") && unread.contains("RoleBinding"), "{unread:?}");
        assert!(!unread.contains("Pod") && !unread.contains("Namespace"), "{unread:?}");
        assert!(
            view.unread.iter().all(|unread| unread.reason.contains("cannot list")),
            "{:?}",
            view.unread
        );
        assert!(
            view.snapshot.get(&ObjectKey::new("", "Namespace", "", "pinfold-system")).is_some()
        );

        let mut pages = cluster.whole_objects(&[]).await?;
        let (mut read, mut refused) = (BTreeSet::new(), BTreeSet::new());
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => read.insert(page.kind.kind),
                Err(unread) => refused.insert(unread.kind.kind),
            };
        }
        assert!(
            read.contains("Pod") && read.contains("Namespace") && refused.contains("Secret"),
            "{read:?} {refused:?}"
        );
        Ok(())
    })
}

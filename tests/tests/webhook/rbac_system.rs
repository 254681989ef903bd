//! The whole registration on an API server of one's own: rights in the system's namespaces, and the system's own rights when the API server
//! starts, with Pinfold there and away.

use std::time::Duration;

use pinfold_tests::{ApiServer, TestAuthority, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Outcome;
use crate::kubernetes::{install_resources, repository, webhook_kubeconfig};
use crate::rbac_client::{Answer, Client, Person};
use crate::rbac_object::{collection, path, whole};
use crate::registration::leading_to;
use crate::replica::{Flags, Replica};
use crate::service::Service;

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn the_systems_rights_are_its_own_business_and_agents_are_not() -> Outcome {
    let server = ApiServer::start()?;
    install_resources(&server)?;
    for file in ["namespace.yaml", "identity.yaml"] {
        let path = repository("manifests/base").join(file);
        server.kubectl(&["apply", "-f", &path.to_string_lossy()], "")?.ok()?;
    }
    let client = Client::new(&server)?;
    for object in world() {
        assert!(create(&client, &Person::unasked(), &object)?.is_success(), "{object}");
    }
    let service = Service::new()?;
    let dir = tempfile::tempdir()?;
    let replica = open(&server, &service, &dir)?;

    in_system_namespaces(&client, &replica)?;
    damage(&client)?;
    let before = replica.calls("validate")?;
    let second = server.start_beside()?;
    assert_mended(&Client::new(&second)?)?;
    assert_eq!(replica.calls("validate")?, before, "the API server asked about its own roles");

    drop(replica);
    damage(&client)?;
    drop(second);
    let third = server.start_beside()?;
    assert_mended(&Client::new(&third)?)
}

fn open(server: &ApiServer, service: &Service, dir: &TempDir) -> Outcome<Replica> {
    let at = |file: &str| dir.path().join(file);
    std::fs::create_dir(at("policy"))?;
    for file in ["baseline.yaml", "references.yaml"] {
        std::fs::copy(repository("policies/library").join(file), at("policy").join(file))?;
    }
    let authority = TestAuthority::new("rbac-system")?;
    let serving = authority.serving(&["127.0.0.1"])?;
    std::fs::write(at("tls.crt"), serving.certificate_pem)?;
    std::fs::write(at("tls.key"), serving.key_pem)?;
    std::fs::write(at("apiserver-ca.crt"), server.authority_pem())?;
    let kubeconfig = webhook_kubeconfig(server, server.url(), &at("apiserver-ca.crt"))?;
    std::fs::write(at("kubeconfig"), kubeconfig)?;
    let flags = Flags::default()
        .with("--policy", at("policy"))
        .with("--tls-cert", at("tls.crt"))
        .with("--tls-key", at("tls.key"))
        .with("--kubeconfig", at("kubeconfig"))
        .with("--audit", at("audit"));
    let replica = Replica::start(&flags)?;
    service.route_to(&[replica.listen]);
    register(server, service, &authority)?;
    let client = Client::new(server)?;
    let asked = until(WITHIN, || {
        create_dry(&client, &Person::new("root", &[]), &binding("acme", "probe", "view")).ok()?;
        (replica.calls("validate").ok()? > 0.0).then_some(())
    });
    asked.ok_or_else(|| format!("nobody is asked:\n{}", replica.process.log()))?;
    Ok(replica)
}

fn register(server: &ApiServer, service: &Service, authority: &TestAuthority) -> Outcome {
    use base64::Engine as _;
    let bundle = base64::prelude::BASE64_STANDARD.encode(authority.certificate_pem());
    let text = leading_to(server, &format!("https://{}", service.address()))?;
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let mut configuration: Value = serde_json::from_str(document)?;
        let entries = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            let client = entry.get_mut("clientConfig").and_then(Value::as_object_mut);
            client.ok_or("no clientConfig")?.insert("caBundle".to_owned(), json!(bundle));
        }
        server.apply(&configuration.to_string())?;
    }
    Ok(())
}

/// An organization's agent, and two people: root may do everything, ops is an administrator.
fn world() -> Vec<Value> {
    let admin = |name: &str| {
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}})
    };
    vec![
        json!({"kind": "Namespace", "metadata": {"name": "acme", "labels": {"krate.a5c.ai/org": "acme", "pinfold.dev/agents": "true"}}}),
        json!({"kind": "AgentServiceAccount", "metadata": {"name": "coder", "namespace": "acme"}, "spec": {"namespace": "acme", "serviceAccountName": "agent-coder"}}),
        admin("root"),
    ]
}

fn binding(namespace: &str, name: &str, role: &str) -> Value {
    json!({"kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
        "subjects": [{"kind": "ServiceAccount", "name": "agent-coder", "namespace": "acme"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

/// What an agent would get in the namespaces that no other entry asks about.
fn in_system_namespaces(client: &Client, replica: &Replica) -> Outcome {
    let root = Person::new("root", &[]);
    let settled = until(WITHIN, || {
        let answer = create_dry(client, &root, &binding("acme", "a", "edit")).ok()?;
        answer.message().contains("PF-RBAC-004").then_some(())
    });
    settled.ok_or_else(|| format!("agents aren't known:\n{}", replica.process.log()))?;
    for namespace in ["pinfold-system", "kube-system", "kube-public"] {
        let answer = create(client, &root, &binding(namespace, "agents", "edit"))?;
        assert!(answer.message().contains("PF-RBAC-004"), "{namespace}: {}", answer.message());
    }
    // What a controller of somebody's needs there.
    let leader = json!({"kind": "RoleBinding", "metadata": {"name": "leader", "namespace": "kube-system"},
        "subjects": [{"kind": "ServiceAccount", "name": "cert-manager", "namespace": "cert-manager"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "extension-apiserver-authentication-reader"}});
    let answer = create(client, &root, &leader)?;
    assert!(answer.is_success(), "{}", answer.message());
    Ok(())
}

/// Takes what the API server restores when it starts.
fn damage(client: &Client) -> Outcome {
    let gone = json!({"kind": "ClusterRole", "metadata": {"name": "system:discovery"}});
    let answer =
        client.send(&Person::unasked(), ("DELETE", &path(&gone)?, "application/json", ""))?;
    assert!(answer.is_success(), "{}", answer.message());
    let weak = json!({"kind": "ClusterRole", "metadata": {"name": "system:aggregate-to-view"}});
    let call = ("PATCH", &*path(&weak)?, "application/merge-patch+json", "{\"rules\": []}");
    let answer = client.send(&Person::unasked(), call)?;
    assert!(answer.is_success(), "{}", answer.message());
    Ok(())
}

fn assert_mended(client: &Client) -> Outcome {
    for name in ["system:discovery", "system:aggregate-to-view"] {
        let role = json!({"kind": "ClusterRole", "metadata": {"name": name}});
        let path = path(&role)?;
        let mended = until(WITHIN, || {
            let found =
                client.send(&Person::unasked(), ("GET", &path, "application/json", "")).ok()?;
            found.body.pointer("/rules/0").is_some().then_some(())
        });
        mended.ok_or_else(|| format!("{name} is not as it was"))?;
    }
    Ok(())
}

fn create(client: &Client, who: &Person, object: &Value) -> Outcome<Answer> {
    client.send(who, ("POST", &collection(object)?, "application/json", &whole(object).to_string()))
}

fn create_dry(client: &Client, who: &Person, object: &Value) -> Outcome<Answer> {
    let path = format!("{}?dryRun=All", collection(object)?);
    client.send(who, ("POST", &path, "application/json", &whole(object).to_string()))
}

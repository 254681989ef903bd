//! What a signature holds for, and what breaks it.

use pinfold_model::object::from_value;
use ring::rand::SystemRandom;

use super::*;

/// Made for these tests with `openssl genpkey -algorithm ed25519`; guards nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEICcSkEtKiaTYAY/hC+RhMf8n1AjJkNbHWLLbVB/Wali7\n\
-----END PRIVATE KEY-----\n\n";
const PUBLIC_KEY: &str = "3xOqxfSU3RJ3z5V+qXxUfIXM9coHpYhrcGelvESTiTQ=";

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "coder", "namespace": "acme", "labels": {"team": "a"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "acme", "name": "a"},
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}],
    })
}

fn signer() -> Signer {
    Signer::read(KEY.as_bytes()).expect("a key")
}

fn key_of(document: &Value) -> ObjectKey {
    from_value(document).expect("an object").key
}

fn vouched(mut document: Value) -> Value {
    let groups = ["acme:devs".to_owned(), "acme:leads".to_owned()];
    let key = key_of(&document);
    signer().vouch("alice", &groups, &key, &mut document).expect("signed");
    document
}

/// Whether the annotations of a document hold for it.
fn holds(document: &Value) -> bool {
    let annotation = |key: &str| {
        document["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned()
    };
    let [user, groups, signature] =
        [DEFAULT_KEYS.user, GROUPS_KEY, DEFAULT_KEYS.signature].map(annotation);
    let person = Person { user: &user, groups: &groups };
    let text = text(person, &key_of(document), document, DEFAULT_KEYS).expect("a text");
    let public_key = STANDARD.decode(PUBLIC_KEY).expect("base64");
    verify(&public_key.try_into().expect("32 bytes"), &text, &signature)
}

#[test]
fn a_key_of_openssl_is_read() {
    assert_eq!(signer().public_key(), PUBLIC_KEY);
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    assert!(Signer::read(der.as_ref()).is_ok());
    for odd in ["", "key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        let error = Signer::read(odd.as_bytes()).err();
        assert_eq!(error, Some(VouchError::Key), "{odd}");
    }
}

/// The text is a contract with whoever signs by other means.
#[test]
fn the_text_is_the_documented_one() {
    let document = binding();
    let person = Person { user: "alice", groups: "acme:devs" };
    let text = text(person, &key_of(&document), &document, DEFAULT_KEYS).expect("a text");
    let content = r#"{"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"a","namespace":"acme"},{"kind":"User","name":"u"}]}"#;
    let digest = Digest::of(content.as_bytes());
    let expected = format!(
        "pinfold.dev/vouch/v1\n{{\"content\":\"{digest}\",\"group\":\"rbac.authorization.k8s.io\",\"groups\":\"acme:devs\",\
         \"kind\":\"RoleBinding\",\"name\":\"coder\",\"namespace\":\"acme\",\"user\":\"alice\"}}"
    );
    assert_eq!(String::from_utf8(text).expect("text"), expected);
}

#[test]
fn what_the_cluster_and_the_deputy_write_breaks_no_signature() {
    let signed = vouched(binding());
    assert!(holds(&signed));
    let changes = [
        ("/metadata/uid", json!("u-1")),
        ("/metadata/creationTimestamp", json!("2026-11-21T00:00:00Z")),
        ("/metadata/managedFields", json!([{"manager": "flux"}])),
        ("/metadata/labels", json!({"team": "b", "kustomize.toolkit.fluxcd.io/name": "apps"})),
        ("/metadata/annotations/argocd.argoproj.io~1tracking-id", json!("x")),
        ("/status", json!({"phase": "Ready"})),
        ("/subjects/0/apiGroup", json!("")),
        ("/subjects/1/apiGroup", Value::Null),
        ("/roleRef/apiGroup", Value::Null),
        ("/aggregationRule", Value::Null),
    ];
    for (at, value) in changes {
        assert!(holds(&with(&signed, at, value)), "{at}");
    }
}

#[test]
fn everything_else_breaks_it() {
    let signed = vouched(binding());
    let changes = [
        ("/metadata/name", json!("other")),
        ("/metadata/namespace", json!("beta")),
        ("/kind", json!("ClusterRoleBinding")),
        ("/apiVersion", json!("other.io/v1")),
        ("/roleRef/name", json!("cluster-admin")),
        ("/roleRef/kind", json!("Role")),
        ("/roleRef/apiGroup", json!("other.io")),
        ("/subjects/0/name", json!("b")),
        ("/subjects/0/namespace", json!("beta")),
        ("/subjects/1", Value::Null),
        ("/spec", json!({"a": 1})),
        ("/metadata/labels/pinfold.dev~1agents", json!("true")),
        ("/metadata/annotations/pinfold.dev~1policy", json!("p")),
        ("/metadata/annotations/pinfold.dev~1vouched-user", json!("root")),
        ("/metadata/annotations/pinfold.dev~1vouched-groups", json!("system:masters")),
        ("/metadata/annotations/pinfold.dev~1vouched-groups", json!("acme:leads,acme:devs")),
        ("/metadata/annotations/pinfold.dev~1vouched-signature", json!("AAAA")),
        ("/metadata/annotations/pinfold.dev~1vouched-signature", json!("")),
    ];
    for (at, value) in changes {
        assert!(!holds(&with(&signed, at, value)), "{at}");
    }
}

/// Labels of a ClusterRole aggregate, those of a Namespace say whose it is.
#[test]
fn labels_that_give_are_signed() {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    let label = "/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-admin";
    assert!(!holds(&with(&vouched(role.clone()), label, json!("true"))));
    assert!(holds(&vouched(with(&role, label, json!("true")))));
    let group = with(&vouched(role), "/rules/0/apiGroups", json!([]));
    assert!(!holds(&group), "the core group is no empty list");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let signed = vouched(namespace);
    assert!(holds(&with(&signed, "/metadata/labels/kubernetes.io~1metadata.name", json!("n"))));
    assert!(!holds(&with(&signed, "/metadata/labels/krate.a5c.ai~1org", json!("acme"))));
}

#[test]
fn what_cannot_be_signed() {
    let (mut document, key) = (binding(), key_of(&binding()));
    let refused = signer().vouch("a", &["x,y".to_owned()], &key, &mut document);
    assert_eq!(refused, Err(VouchError::Group("x,y".to_owned())));
    let nameless = ObjectKey { name: String::new(), ..key.clone() };
    assert!(signer().vouch("a", &[], &nameless, &mut document).is_err());
    let deep = (0..80).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(signer().vouch("a", &[], &key, &mut with(&document, "/spec", deep)).is_err());
    assert!(signer().vouch("a", &[], &key, &mut json!({"kind": "x"})).is_err());
}

/// A document with one member, or all up to it, written.
fn with(document: &Value, at: &str, value: Value) -> Value {
    let mut changed = document.clone();
    let mut place = &mut changed;
    for part in at.split('/').skip(1) {
        let part = part.replace("~1", "/");
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    *place = value;
    changed
}

//! PF-POD-006.

use pinfold_model::facts::{Operation, Question};
use pinfold_model::object::{Facts, Meta, Object};

use super::{ObjectKey, Snapshot, Value, honest, json, put, spoken, view};
use crate::context::Found;
use crate::organization::fixture::{found, policy, request};

const RULE: &str = "PF-POD-006";
const AGENT: &str = "system:serviceaccount:agents:default";

fn connect(
    user: &str,
    subresource: &str,
    (namespace, name): (&str, &str),
    options: Value,
) -> Found {
    let kind = match subresource {
        "exec" => "PodExecOptions",
        "attach" => "PodAttachOptions",
        "portforward" => "PodPortForwardOptions",
        _ => "PodProxyOptions",
    };
    let mut facts = request(user, &honest(), None);
    facts.operation = Operation::Connect;
    facts.subresource = subresource.to_owned();
    facts.target = ObjectKey::new("", kind, namespace, name);
    facts.object =
        Some(Object { key: facts.target.clone(), meta: Meta::default(), facts: Facts::MetaOnly });
    facts.document = Some(options);
    let pods = format!("{}{}", super::CLUSTER, PODS);
    found(super::judge, &facts, &view(&pods), &policy("mode: enforce"))
}

const PODS: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: stacked, namespace: plain, labels: {krate.a5c.ai/agent-stack: s}}}
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: plain}}
";

#[test]
fn who_gets_in_where() {
    let none = || json!({});
    let container = |name: &str| json!({"container": name, "command": ["sh"]});
    let rows = [
        ("exec", "alice", "p", container("pinfold-sidecar"), "$.container"),
        ("exec", "alice", "p", container("pinfold-guard"), "$.container"),
        ("attach", "alice", "p", container("pinfold-sidecar"), "$.container"),
        ("exec", "alice", "p", container("agent"), ""),
        ("exec", "alice", "p", none(), ""),
        ("attach", "alice", "p", container("agent"), ""),
        ("exec", AGENT, "p", container("agent"), "$"),
        ("attach", AGENT, "p", none(), "$"),
        ("portforward", "alice", "p", none(), "$"),
        ("portforward", "alice", "p", json!({"ports": [8080]}), "$"),
        ("proxy", "alice", "p:15080", none(), "$"),
        ("proxy", "alice", "http:p:15002", none(), "$"),
        ("proxy", "alice", "p:15090", none(), ""),
        ("proxy", "alice", "p:8080", none(), ""),
        ("proxy", "alice", "p:015080", none(), "$"),
        ("proxy", "alice", "p:+15080", none(), "$"),
        ("proxy", "alice", "https:p:0015080", none(), "$"),
        ("proxy", "alice", "p:80616", none(), "$"),
        ("proxy", "alice", "p:onscreen", none(), "$"),
        ("proxy", "alice", "p: 15080", none(), "$"),
        ("proxy", "alice", "p:http", none(), ""),
        ("proxy", "alice", "https:p:https", none(), ""),
        ("proxy", "alice", "http:p:", none(), ""),
        ("proxy", "alice", "15080", none(), ""),
        ("proxy", AGENT, "p:8080", none(), "$"),
    ];
    for (subresource, user, name, options, path) in rows {
        let said = spoken(&connect(user, subresource, ("agents", name), options.clone()));
        let expected = if path.is_empty() { vec![] } else { vec![format!("{RULE} {path}")] };
        assert_eq!(said, expected, "{user} {subresource} {name} {options}");
    }
}

/// A pod that a label makes an agent's is one elsewhere too; other pods are nobody's concern, and an unknown namespace may be guarded.
#[test]
fn which_pods_are_agents() {
    let forward = |namespace, name| connect("alice", "portforward", (namespace, name), json!({}));
    assert_eq!(forward("plain", "stacked").raw.len(), 1);
    assert!(forward("plain", "web").raw.is_empty());
    assert!(forward("plain", "gone").raw.is_empty());
    let unknown = forward("nowhere", "web");
    assert_eq!(unknown.raw.len(), 1);
    assert_eq!(
        unknown.questions,
        [Question::Object(ObjectKey::new("", "Namespace", "", "nowhere"))]
    );
    let proxied = connect("alice", "proxy", ("plain", "https:stacked:15002"), json!({}));
    assert_eq!(proxied.raw.len(), 1);
}

#[test]
fn nobody_is_known_to_ask() {
    let exec = connect("", "exec", ("agents", "p"), json!({"container": "agent"}));
    assert_eq!(exec.undecided.len(), 1);
    assert!(exec.raw.is_empty());
}

/// Who adds an ephemeral container, beside what is in it.
#[test]
fn agents_add_no_containers() {
    let view: Snapshot = view(super::CLUSTER);
    let with = put(honest(), "/spec/ephemeralContainers", json!([super::container("debug")]));
    for (user, expected) in [("alice", vec![]), (AGENT, vec![format!("{RULE} $")])] {
        let mut facts = request(user, &with, Some(&honest()));
        facts.subresource = "ephemeralcontainers".to_owned();
        let found = found(super::judge, &facts, &view, &policy("mode: enforce"));
        assert_eq!(spoken(&found), expected, "{user}");
    }
}

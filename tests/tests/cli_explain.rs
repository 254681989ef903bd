//! `pinfold explain` over a running API server: what it says somebody may do is what the API server says.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use clap::Parser as _;
use pinfold_tests::{ApiServer, User, until};
use serde_json::Value;

type TestResult = Result<(), Box<dyn Error>>;

/// The API server's authorizer watches, so it knows a new binding a little later.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Runs `pinfold explain ...` on the server.
fn explain(
    server: &ApiServer,
    words: &[&str],
) -> Result<(pinfold::Outcome, Value), Box<dyn Error>> {
    let kubeconfig = server.kubeconfig().display().to_string();
    let line = ["pinfold", "explain"].iter().chain(words).copied();
    let line = line.chain(["--kubeconfig", kubeconfig.as_str(), "-o", "json"]);
    let arguments = pinfold::Arguments::try_parse_from(line)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = pinfold::run(&arguments, &mut out, &mut err);
    let answer = serde_json::from_slice(&out);
    Ok((outcome, answer.map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&err)))?))
}

/// One rule, each list sorted.
type Rule = [Vec<String>; 5];

fn rule(value: &Value, lists: [&str; 5]) -> Rule {
    lists.map(|list| {
        let items = value[list].as_array().cloned().unwrap_or_default();
        let mut items: Vec<String> =
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        items.sort();
        items
    })
}

const ON_RESOURCES: [&str; 5] = ["verbs", "apiGroups", "resources", "resourceNames", ""];
const ON_URLS: [&str; 5] = ["verbs", "", "", "", "nonResourceURLs"];

/// What the API server says that somebody may do in a namespace.
fn reviewed(
    server: &ApiServer,
    who: User<'_>,
    namespace: &str,
) -> Result<BTreeSet<Rule>, Box<dyn Error>> {
    let review = format!(
        "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectRulesReview\nspec: {{namespace: {namespace}}}\n"
    );
    let answer = server
        .kubectl_as(who, &["create", "--validate=false", "-f", "-", "-o", "json"], &review)?
        .ok()?;
    let answer: Value = serde_json::from_str(&answer)?;
    let rules = |list: &str, lists| {
        let items = answer.pointer(&format!("/status/{list}")).and_then(Value::as_array);
        let items = items.cloned().unwrap_or_default();
        items.iter().map(|one| rule(one, lists)).collect::<Vec<_>>()
    };
    Ok([rules("resourceRules", ON_RESOURCES), rules("nonResourceRules", ON_URLS)]
        .concat()
        .into_iter()
        .collect())
}

/// What `pinfold explain what-can` says.
fn explained(server: &ApiServer, words: &[&str]) -> Result<BTreeSet<Rule>, Box<dyn Error>> {
    let (_, answer) = explain(server, words)?;
    let mut rules = BTreeSet::new();
    let list = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    for chain in list(&answer, "chains") {
        for right in list(&chain, "rights") {
            let own = right.get("rule").unwrap_or(&Value::Null);
            let (resources, urls) = (rule(own, ON_RESOURCES), rule(own, ON_URLS));
            rules.extend((!resources[2].is_empty()).then_some(resources));
            rules.extend((!urls[4].is_empty()).then_some(urls));
        }
    }
    Ok(rules)
}

fn manifest(namespace: &str) -> String {
    format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: explained, namespace: {namespace}}}
rules:
- {{apiGroups: ['', apps], resources: [pods, pods/log, deployments], verbs: [get, list]}}
- {{apiGroups: [''], resources: [secrets], resourceNames: [release], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: explained-{namespace}}}
rules:
- {{apiGroups: ['*'], resources: ['*/scale'], verbs: [update]}}
- {{nonResourceURLs: [/explained, '/explained/*'], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: explained, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: explained}}
subjects: [{{kind: ServiceAccount, name: default}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: explained-{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: explained-{namespace}}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:{namespace}'}}
- {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: explained-devs}}
"
    )
}

#[test]
fn what_can_is_what_the_api_server_says() -> TestResult {
    let server = ApiServer::shared()?;
    let namespace = server.namespace("explain", &[])?;
    server.apply(&manifest(&namespace))?;
    let account = format!("system:serviceaccount:{namespace}:default");
    let identity = format!("{namespace}/default");
    let account_words = ["what-can", identity.as_str(), "--in", namespace.as_str()];
    let dev_words =
        ["what-can", "--user", "dev", "--group", "explained-devs", "--in", namespace.as_str()];
    let cases = [
        (User { name: &account, groups: &[] }, account_words.as_slice()),
        (User { name: "dev", groups: &["explained-devs"] }, dev_words.as_slice()),
    ];
    for (who, words) in cases {
        let told = explained(server, words)?;
        assert!(told.iter().any(|rule| rule[2] == ["*/scale"]), "{told:?}");
        let same = || reviewed(server, who, &namespace).ok().filter(|reviewed| *reviewed == told);
        let agreed = until(SEEN_WITHIN, same).is_some();
        assert!(
            agreed,
            "{}: {told:#?}\nthe API server: {:#?}",
            who.name,
            reviewed(server, who, &namespace)?
        );
    }
    Ok(())
}

#[test]
fn who_can_is_what_the_api_server_says() -> TestResult {
    let server = ApiServer::shared()?;
    let namespace = server.namespace("explain", &[])?;
    server.apply(&manifest(&namespace))?;
    let account = format!("system:serviceaccount:{namespace}:default");
    let who = User { name: &account, groups: &[] };
    let questions = [
        ("get", "pods", "", true),
        ("get", "deployments.apps", "", true),
        ("delete", "pods", "", false),
        ("get", "secrets", "", false),
        ("get", "secrets", "release", true),
        ("update", "replicasets.apps/scale", "", true),
        ("get", "/explained/x", "", true),
        ("get", "/explainedx", "", false),
    ];
    for (verb, what, name, expected) in questions {
        let (resource, below) = if what.starts_with('/') {
            (what, None)
        } else {
            what.split_once('/').map_or((what, None), |(head, below)| (head, Some(below)))
        };
        let named =
            if name.is_empty() { resource.to_owned() } else { format!("{resource}/{name}") };
        let below = below.map(|below| format!("--subresource={below}"));
        let mut args = vec!["auth", "can-i", verb, named.as_str(), "-n", namespace.as_str()];
        args.extend(below.as_deref());
        let says = || {
            let answer = server.kubectl_as(who, &args, "").ok();
            answer.filter(|answer| answer.success() == expected)
        };
        assert!(until(SEEN_WITHIN, says).is_some(), "kubectl auth can-i {verb} {what} {name}");
        let mut words = vec!["who-can", verb, what];
        words.extend((!name.is_empty()).then_some(name));
        words.extend(["-n", namespace.as_str()]);
        let (_, answer) = explain(server, &words)?;
        let subjects = answer["subjects"].as_array().cloned().unwrap_or_default();
        let group = format!("system:serviceaccounts:{namespace}");
        let means = |subject: &Value| {
            subject["name"] == group.as_str()
                || (subject["name"] == "default" && subject["namespace"] == namespace.as_str())
                || subject["name"] == "system:authenticated"
        };
        let told = subjects.iter().any(|able| means(&able["subject"]));
        assert_eq!(told, expected, "{verb} {what} {name}: {answer:#}");
    }
    Ok(())
}

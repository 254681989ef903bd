//! What an entry and a rule have in common: cases, and a brute-force reading of the definition over a small universe of requests.

use pinfold_model::object::rbac::PolicyRule;
use proptest::prelude::*;
use proptest::sample::select;

use super::{part, text_of};
use crate::rbac::notation::rules;

/// Entry, rule, what both give; empty if nothing.
const CASES: &[(&str, &str, &str)] = &[
    (
        "verbs=list resources=secrets",
        "verbs=get,list resources=pods,secrets",
        "`list` on `secrets`",
    ),
    ("verbs=list resources=secrets", "verbs=get resources=secrets", ""),
    ("verbs=list resources=secrets", "verbs=* groups=* resources=*", "`list` on `secrets`"),
    (
        "verbs=* resources=pods/exec",
        "verbs=get,create resources=pods/exec",
        "`get,create` on `pods/exec`",
    ),
    ("verbs=* resources=pods/exec", "verbs=create resources=*/exec", "`create` on `pods/exec`"),
    ("verbs=* resources=pods/exec", "verbs=create resources=pods", ""),
    ("verbs=* resources=pods", "verbs=create resources=pods/exec", ""),
    ("verbs=* resources=*/exec", "verbs=create resources=pods/exec", "`create` on `pods/exec`"),
    ("verbs=* resources=*/exec", "verbs=create resources=*", "`create` on `*/exec`"),
    ("verbs=* resources=*/exec", "verbs=create resources=*/attach", ""),
    ("verbs=* resources=*/b/c", "verbs=get resources=a/b/c,b/c", "`get` on `a/b/c`"),
    ("verbs=* resources=pods/exec", "verbs=get resources=pods/*", ""),
    ("verbs=get groups=apps resources=*", "verbs=get resources=pods", ""),
    (
        "verbs=get groups=* resources=*",
        "verbs=get groups=apps resources=deployments",
        "`get` on `deployments.apps`",
    ),
    (
        "verbs=get resources=secrets names=a,b",
        "verbs=get resources=secrets",
        "`get` on `secrets` named `a,b`",
    ),
    (
        "verbs=get resources=secrets",
        "verbs=get resources=secrets names=a",
        "`get` on `secrets` named `a`",
    ),
    ("verbs=get resources=secrets names=a", "verbs=get resources=secrets names=b", ""),
    ("verbs=get urls=/metrics", "verbs=get urls=*", "`get` on URL `/metrics`"),
    ("verbs=get urls=/debug/*", "verbs=get urls=/debug/pprof", "`get` on URL `/debug/pprof`"),
    ("verbs=get urls=/debug/*", "verbs=get urls=/d*", "`get` on URL `/debug/*`"),
    ("verbs=get urls=/debug/*", "verbs=get urls=/debug", ""),
    ("verbs=get urls=/a/*/b", "verbs=get urls=/a/x/b", ""),
    ("verbs=get urls=/metrics", "verbs=* groups=* resources=*", ""),
    (
        "verbs=impersonate resources=users",
        "verbs=impersonate resources=users",
        "`impersonate` on `users`",
    ),
    (
        "verbs=impersonate groups=* resources=*",
        "verbs=impersonate:user-info groups=authentication.k8s.io resources=users",
        "`impersonate:user-info` on `users.authentication.k8s.io`",
    ),
    (
        "verbs=impersonate groups=* resources=*",
        "verbs=impersonate-on:arbitrary-node:list resources=pods",
        "`impersonate-on:arbitrary-node:list` on `pods`",
    ),
    (
        "verbs=impersonate:user-info resources=users",
        "verbs=impersonate resources=users",
        "`impersonate` on `users`",
    ),
    ("verbs=impersonate resources=users", "verbs=impersonates resources=users", ""),
    ("verbs=get resources=pods", "verbs=- resources=pods", ""),
    ("verbs=get resources=pods", "groups=- resources=pods", ""),
    ("verbs=get resources=pods", "resources=-", ""),
];

#[test]
fn cases() {
    for (entry, rule, expected) in CASES {
        let (entry_rule, rule_rule) = (one(entry), one(rule));
        let found = part(&entry_rule, &rule_rule).map(|part| text_of(&part));
        assert_eq!(found.unwrap_or_default(), *expected, "{entry} and {rule}");
    }
}

fn one(line: &str) -> PolicyRule {
    rules(line).pop().expect("a rule")
}

/// A request: verb, and group, resource and name or a URL.
#[derive(Debug, Clone, PartialEq)]
enum Request {
    Resource([&'static str; 4]),
    Url([&'static str; 2]),
}

const VERBS: &[&str] = &["get", "list", "create"];
const GROUPS: &[&str] = &["", "apps"];
const RESOURCES: &[&str] =
    &["pods", "secrets", "pods/exec", "secrets/exec", "pods/*", "a/b/c", "x/b/c", "x/c"];
const NAMES: &[&str] = &["", "a", "b", "c"];
const URLS: &[&str] = &["/", "/a", "/ab", "/a/b", "/x", "*"];

fn universe() -> Vec<Request> {
    let mut all = Vec::new();
    for verb in VERBS {
        for group in GROUPS {
            for resource in RESOURCES {
                all.extend(
                    NAMES.iter().map(|name| Request::Resource([verb, group, resource, name])),
                );
            }
        }
        all.extend(URLS.iter().map(|url| Request::Url([verb, url])));
    }
    all
}

/// The RBAC authorizer, read literally (`pkg/apis/rbac/v1/evaluation_helpers.go`).
fn allows(rule: &PolicyRule, request: &Request) -> bool {
    let has = |list: &[String], text: &str| list.iter().any(|own| own == "*" || own == text);
    match request {
        Request::Url([verb, url]) => {
            let matches = |own: &String| {
                own == "*"
                    || own == url
                    || own.ends_with('*') && url.starts_with(own.trim_end_matches('*'))
            };
            has(&rule.verbs, verb) && rule.non_resource_urls.iter().any(matches)
        }
        Request::Resource([verb, group, resource, name]) => {
            let below = resource.split_once('/').map(|(_, below)| format!("*/{below}"));
            let resource = has(&rule.resources, resource)
                || below.is_some_and(|below| rule.resources.contains(&below));
            let names = &rule.resource_names;
            let name = names.is_empty() || names.iter().any(|own| own == name);
            has(&rule.verbs, verb) && has(&rule.api_groups, group) && resource && name
        }
    }
}

fn list(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(of).prop_map(str::to_owned), 0..=most)
}

fn rule() -> impl Strategy<Value = PolicyRule> {
    const SOME_VERBS: &[&str] = &["*", "get", "list", "create", "other"];
    const SOME_GROUPS: &[&str] = &["*", "", "apps"];
    const SOME_RESOURCES: &[&str] =
        &["*", "pods", "secrets", "pods/exec", "*/exec", "pods/*", "*/*", "a/b/c", "*/b/c", "*/c"];
    const SOME_NAMES: &[&str] = &["a", "b"];
    const SOME_URLS: &[&str] = &["*", "/*", "/a", "/a*", "/a**", "/a/*", "/a*/b*", "/ab"];
    let names = prop_oneof![2 => Just(Vec::new()), 1 => list(SOME_NAMES, 2)];
    let urls = prop_oneof![2 => Just(Vec::new()), 1 => list(SOME_URLS, 2)];
    (list(SOME_VERBS, 2), list(SOME_GROUPS, 2), list(SOME_RESOURCES, 3), names, urls).prop_map(
        |(verbs, api_groups, resources, resource_names, non_resource_urls)| PolicyRule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The part gives exactly the requests that both give.
    #[test]
    fn equals_the_definition(entry in rule(), rule in rule()) {
        let found = part(&entry, &rule);
        for request in universe() {
            let expected = allows(&entry, &request) && allows(&rule, &request);
            let given = found.as_ref().is_some_and(|part| allows(part, &request));
            prop_assert_eq!(given, expected, "{:?}: {:?}", request, found);
        }
    }
}

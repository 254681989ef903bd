//! Holds the dependency picture of `ARCHITECTURE.md`: which crate of the workspace may name
//! which, who may reach Kubernetes and who may reach a socket. The checker is tried on made-up
//! graphs first, so that "no violation" means something.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The target that ships. Others would make cargo download crates that no build here needs.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The arrows: a crate and those that it may name, for building and for testing. A crate that is
/// not here is a violation, so a new one comes with its place in the picture.
const PICTURE: [(&str, &[&str]); 12] = [
    ("pinfold-model", &[]),
    ("pinfold-engine", &["pinfold-model"]),
    ("pinfold-review", &["pinfold-model"]),
    ("pinfold-wire", &["pinfold-model"]),
    ("pinfold-guard", &["pinfold-model"]),
    ("pinfold-redact", &["pinfold-model", "pinfold-engine"]),
    ("pinfold-ledger", &["pinfold-model"]),
    ("pinfold-certs", &["pinfold-model"]),
    (
        "pinfold-webhook",
        &["pinfold-model", "pinfold-engine", "pinfold-review", "pinfold-ledger", "pinfold-certs"],
    ),
    (
        "pinfold-sidecar",
        &[
            "pinfold-model",
            "pinfold-engine",
            "pinfold-wire",
            "pinfold-guard",
            "pinfold-redact",
            "pinfold-ledger",
            "pinfold-certs",
        ],
    ),
    ("pinfold", &LIBRARIES),
    ("pinfold-tests", &EVERYTHING_ELSE),
];

const LIBRARIES: [&str; 9] = [
    "pinfold-model",
    "pinfold-engine",
    "pinfold-review",
    "pinfold-wire",
    "pinfold-guard",
    "pinfold-ledger",
    "pinfold-certs",
    "pinfold-webhook",
    "pinfold-sidecar",
];

const EVERYTHING_ELSE: [&str; 11] = [
    "pinfold-model",
    "pinfold-engine",
    "pinfold-review",
    "pinfold-wire",
    "pinfold-guard",
    "pinfold-redact",
    "pinfold-ledger",
    "pinfold-certs",
    "pinfold-webhook",
    "pinfold-sidecar",
    "pinfold",
];

/// A reach that is forbidden: crates, the names (or starts of names, with `*`) that may be
/// nowhere in what they are built from, and why.
struct Ban {
    crates: &'static [&'static str],
    names: &'static [&'static str],
    why: &'static str,
}

const BANS: [Ban; 2] = [
    Ban {
        crates: &[
            "pinfold-model",
            "pinfold-engine",
            "pinfold-review",
            "pinfold-wire",
            "pinfold-guard",
            "pinfold-redact",
            "pinfold-ledger",
            "pinfold-certs",
            "pinfold-sidecar",
        ],
        names: &["kube", "kube-*", "k8s-openapi"],
        why: "only the webhook server, the cli and the tests reach Kubernetes",
    },
    Ban {
        crates: &[
            "pinfold-model",
            "pinfold-engine",
            "pinfold-review",
            "pinfold-wire",
            "pinfold-redact",
        ],
        names: &[
            "tokio",
            "tokio-*",
            "mio",
            "socket2",
            "async-*",
            "smol",
            "hyper",
            "hyper-*",
            "h2",
            "reqwest",
            "ureq",
            "tower",
            "tower-*",
            "hickory-*",
            "rustls",
            "rustls-*",
            "native-tls",
            "openssl",
            "openssl-*",
            "tracing",
            "tracing-*",
        ],
        why: "what decides or decodes cannot do I/O",
    },
];

/// The facts that the picture is held against. Nodes of the resolved graph are `name@version`.
#[derive(Default)]
struct Graph {
    /// Each crate of the workspace and the other members that it names, in any kind of dependency.
    arrows: BTreeMap<String, BTreeSet<String>>,
    /// What each node is built from: normal and build dependencies, features resolved.
    built_from: BTreeMap<String, BTreeSet<String>>,
    /// Packages that come neither from crates.io nor from the workspace.
    foreign: BTreeSet<String>,
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut found: Vec<_> =
        graph.foreign.iter().map(|package| format!("{package} is not from crates.io")).collect();
    found.extend(turned_arrows(graph));
    found.extend(BANS.iter().flat_map(|ban| banned_reaches(graph, ban)));
    found
}

fn turned_arrows(graph: &Graph) -> Vec<String> {
    let picture: BTreeMap<_, _> = PICTURE.into_iter().collect();
    let mut found = Vec::new();
    for (member, named) in &graph.arrows {
        let Some(allowed) = picture.get(member.as_str()) else {
            found.push(format!("{member} is not in the picture"));
            continue;
        };
        let turned = named.iter().filter(|name| !allowed.contains(&name.as_str()));
        found.extend(turned.map(|name| format!("{member} must not name {name}")));
    }
    found
}

fn banned_reaches(graph: &Graph, ban: &Ban) -> Vec<String> {
    let mut found = Vec::new();
    for node in graph.built_from.keys().filter(|node| ban.crates.contains(&name_of(node))) {
        for chain in chains(graph, node) {
            let end = chain.last().copied().unwrap_or_default();
            if ban.names.iter().any(|pattern| matches(pattern, name_of(end))) {
                found.push(format!("{}: {}", chain.join(" -> "), ban.why));
            }
        }
    }
    found
}

/// One shortest chain to everything that `start` is built from.
fn chains<'a>(graph: &'a Graph, start: &'a str) -> Vec<Vec<&'a str>> {
    let mut seen = BTreeSet::from([start]);
    let mut queue = VecDeque::from([vec![start]]);
    let mut found = Vec::new();
    while let Some(chain) = queue.pop_front() {
        let end = chain.last().copied().unwrap_or_default();
        for next in graph.built_from.get(end).into_iter().flatten() {
            if seen.insert(next) {
                let longer = [chain.as_slice(), &[next.as_str()]].concat();
                found.push(longer.clone());
                queue.push_back(longer);
            }
        }
    }
    found
}

fn name_of(node: &str) -> &str {
    node.split('@').next().unwrap_or(node)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn read(metadata: &Metadata) -> Graph {
    let nodes: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, format!("{}@{}", package.name, package.version)))
        .collect();
    let node = |id| nodes.get(id).cloned().unwrap_or_default();
    let members = metadata.workspace_packages();
    let names: BTreeSet<_> = members.iter().map(|member| member.name.to_string()).collect();
    let mut graph = Graph::default();
    for member in &members {
        let named = member.dependencies.iter().map(|dependency| dependency.name.clone());
        let named = named.filter(|name| names.contains(name)).collect();
        graph.arrows.insert(member.name.to_string(), named);
    }
    for package in &metadata.packages {
        let ours = metadata.workspace_members.contains(&package.id);
        let crates_io = package.source.as_ref().is_some_and(|source| source.is_crates_io());
        if !ours && !crates_io {
            graph.foreign.insert(node(&package.id));
        }
    }
    for resolved in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        let built = resolved.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        });
        let built = built.map(|dependency| node(&dependency.pkg)).collect();
        graph.built_from.insert(node(&resolved.id), built);
    }
    graph
}

#[test]
fn the_workspace_keeps_the_picture() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(["--locked", "--filter-platform", TARGET].map(str::to_owned))
        .exec()
        .unwrap();
    let graph = read(&metadata);
    let members: Vec<_> = graph.arrows.keys().map(String::as_str).collect();
    let mut picture: Vec<_> = PICTURE.iter().map(|(member, _)| *member).collect();
    picture.sort_unstable();
    assert_eq!(members, picture, "the crates of the workspace and those of the picture");
    // The checks look at a graph that is really there.
    let reaches = |start: &str, end: &str| {
        graph.built_from.keys().filter(|node| name_of(node) == start).any(|node| {
            chains(&graph, node).iter().any(|chain| chain.iter().any(|node| name_of(node) == end))
        })
    };
    assert!(reaches("pinfold-webhook", "kube-client") && reaches("pinfold-sidecar", "mio"));
    let found = violations(&graph);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The picture as a workspace that uses every arrow, each member built from what it names.
fn made_up() -> Graph {
    let mut graph = Graph::default();
    for (member, named) in PICTURE {
        let named: BTreeSet<_> = named.iter().map(|name| (*name).to_owned()).collect();
        graph.arrows.insert(member.to_owned(), named.clone());
        graph.built_from.insert(member.to_owned(), named);
    }
    graph.built_from.insert("serde@1.0.0".to_owned(), BTreeSet::new());
    graph
}

fn build_from(graph: &mut Graph, node: &str, from: &str) {
    graph.built_from.entry(node.to_owned()).or_default().insert(from.to_owned());
}

#[test]
fn a_workspace_with_every_arrow_is_accepted() {
    let mut graph = made_up();
    build_from(&mut graph, "pinfold-webhook", "kube@5.0.0");
    build_from(&mut graph, "pinfold-sidecar", "tokio@1.0.0");
    build_from(&mut graph, "pinfold-engine", "serde@1.0.0");
    assert_eq!(violations(&graph), Vec::<String>::new());
}

#[test]
fn every_turned_arrow_is_found() {
    for (member, named) in PICTURE {
        for name in named {
            let mut graph = made_up();
            graph.arrows.entry((*name).to_owned()).or_default().insert(member.to_owned());
            assert_eq!(violations(&graph), [format!("{name} must not name {member}")]);
        }
    }
}

#[test]
fn arrows_between_siblings_are_found() {
    let siblings = [
        ("pinfold-engine", "pinfold-ledger"),
        ("pinfold-review", "pinfold-engine"),
        ("pinfold-wire", "pinfold-review"),
        ("pinfold-redact", "pinfold-wire"),
        ("pinfold-sidecar", "pinfold-review"),
        ("pinfold-webhook", "pinfold-wire"),
        ("pinfold-webhook", "pinfold-sidecar"),
    ];
    for (member, name) in siblings {
        let mut graph = made_up();
        graph.arrows.entry(member.to_owned()).or_default().insert(name.to_owned());
        assert_eq!(violations(&graph), [format!("{member} must not name {name}")]);
    }
}

#[test]
fn forbidden_reaches_are_found_however_far() {
    // (crate, what it is built from, whether that is a violation)
    let cases = [
        ("pinfold-sidecar", "kube@5.0.0", true),
        ("pinfold-sidecar", "kube-client@5.0.0", true),
        ("pinfold-sidecar", "k8s-openapi@0.29.0", true),
        ("pinfold-certs", "kube-core@5.0.0", true),
        ("pinfold-sidecar", "kubernetes-names@1.0.0", false),
        ("pinfold-webhook", "kube@5.0.0", false),
        ("pinfold-model", "tokio@1.0.0", true),
        ("pinfold-engine", "mio@1.0.0", true),
        ("pinfold-engine", "tracing-core@0.1.0", true),
        ("pinfold-review", "hyper@1.0.0", true),
        ("pinfold-wire", "rustls@0.23.0", true),
        ("pinfold-wire", "http@1.0.0", false),
        ("pinfold-redact", "tokio@1.0.0", true),
        ("pinfold-ledger", "ring@0.17.0", false),
    ];
    for (member, from, violation) in cases {
        let mut graph = made_up();
        build_from(&mut graph, member, "between@1.0.0");
        build_from(&mut graph, "between@1.0.0", "further@1.0.0");
        build_from(&mut graph, "further@1.0.0", from);
        let found = violations(&graph);
        let chain = format!("{member} -> between@1.0.0 -> further@1.0.0 -> {from}: ");
        assert_eq!(found.iter().any(|line| line.starts_with(&chain)), violation, "{found:?}");
        assert_eq!(found.is_empty(), !violation, "{found:?}");
    }
}

#[test]
fn strangers_are_found() {
    let mut graph = made_up();
    graph.foreign.insert("forked@1.0.0".to_owned());
    graph.arrows.insert("pinfold-new".to_owned(), BTreeSet::new());
    let found = violations(&graph);
    assert_eq!(found, ["forked@1.0.0 is not from crates.io", "pinfold-new is not in the picture"]);
}

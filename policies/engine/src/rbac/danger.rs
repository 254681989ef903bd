//! Rights that end in more rights: the list of PF-RBAC-007, which is the ceiling of every namespace that has no other.
//!
//! One table, each line with what it leads to. What an agent identity may do with such a right is decided nowhere else.

use std::sync::LazyLock;

use pinfold_model::object::rbac::PolicyRule;

use super::rights::part;

/// One kind of dangerous right.
#[derive(Debug)]
pub struct Danger {
    kind: Kind,
    /// What it leads to, to stand after "which".
    pub leads_to: &'static str,
}

#[derive(Debug)]
enum Kind {
    /// A wildcard in this list of a rule.
    Wildcard(List),
    /// Any part of these rights.
    Rights { rights: PolicyRule, scope: Scope },
}

/// Which list of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Verbs,
    Groups,
    Resources,
    Urls,
}

/// Where, and of what, rights are dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Everywhere, named objects included.
    Any,
    /// Everywhere, but not on objects that the rule names.
    Unnamed,
    /// In namespaces of the platform, so also cluster-wide.
    Platform,
}

const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const RUN: &[&str] = &["create", "update", "patch"];
const CHANGE: &[&str] = &["update", "patch"];
const ANY: &[&str] = &["*"];
const CORE: &[&str] = &[""];

/// Every kind of dangerous right.
pub static DANGERS: LazyLock<Vec<Danger>> = LazyLock::new(|| {
    let mut all = wildcards();
    for list in [authority(), credentials(), nodes(), pods(), admission(), boundaries()] {
        all.extend(list);
    }
    all
});

fn wildcards() -> Vec<Danger> {
    let wildcard = |list, leads_to| Danger { kind: Kind::Wildcard(list), leads_to };
    vec![
        wildcard(List::Verbs, "takes in every verb, those of tomorrow too"),
        wildcard(List::Groups, "takes in every API group, those of tomorrow too"),
        wildcard(List::Resources, "takes in every resource or subresource, those of tomorrow too"),
        wildcard(List::Urls, "takes in every URL of the API server"),
    ]
}

/// Rights over rights.
fn authority() -> Vec<Danger> {
    vec![
        any(&["escalate"], ANY, ANY, "lets a role be given rights that nobody here holds"),
        any(&["bind"], ANY, ANY, "lets any role be bound, to anybody"),
        any(&["impersonate"], ANY, ANY, "lets requests be made as somebody else"),
    ]
}

/// Rights to make or read credentials.
fn credentials() -> Vec<Danger> {
    const CERTIFICATES: &[&str] = &["certificates.k8s.io"];
    let approval: &[&str] =
        &["certificatesigningrequests/approval", "certificatesigningrequests/status"];
    vec![
        any(
            &["list", "watch", "deletecollection"],
            CORE,
            &["secrets"],
            "reads or removes every Secret at once, tokens of ServiceAccounts included",
        ),
        scoped(
            Scope::Unnamed,
            &["get"],
            CORE,
            &["secrets"],
            "reads any Secret; name those it is for",
        ),
        any(
            &["create"],
            CORE,
            &["secrets"],
            "mints a lasting token of any ServiceAccount of the namespace, by a Secret of type service-account-token",
        ),
        any(&["create"], CORE, &["serviceaccounts/token"], "mints tokens of other ServiceAccounts"),
        any(CHANGE, CERTIFICATES, approval, "turns a certificate request into an identity"),
        any(
            &["approve", "sign", "attest"],
            CERTIFICATES,
            &["signers"],
            "turns a certificate request into an identity",
        ),
        any(WRITE, CERTIFICATES, &["clustertrustbundles"], "decides which authorities are trusted"),
    ]
}

fn nodes() -> Vec<Danger> {
    vec![
        any(
            ANY,
            CORE,
            &["nodes/proxy"],
            "runs commands in every pod of a node; for the kubelet a `get` that opens a WebSocket is enough",
        ),
        any(
            CHANGE,
            CORE,
            &["nodes", "nodes/status"],
            "moves work between nodes, by their labels, taints and what they say of themselves",
        ),
    ]
}

fn pods() -> Vec<Danger> {
    let into = |resource, leads_to| any(ANY, CORE, resource, leads_to);
    vec![
        into(
            &["pods/exec", "pods/attach"],
            "runs commands as other pods, with their ServiceAccounts",
        ),
        into(
            &["pods/ephemeralcontainers"],
            "runs containers inside other pods, with their ServiceAccounts",
        ),
        into(&["pods/portforward"], "reaches what other pods serve to themselves alone"),
        into(
            &["pods/proxy", "services/proxy"],
            "reaches other pods as the API server, past network policies and the sidecar",
        ),
    ]
}

/// What guards the API, and Pinfold itself.
fn admission() -> Vec<Danger> {
    let configurations: &[&str] = &[
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ];
    vec![
        any(
            WRITE,
            &["admissionregistration.k8s.io"],
            configurations,
            "switches admission off, or reads and rewrites what everybody else sends",
        ),
        any(WRITE, &["pinfold.dev"], ANY, "rewrites the policy that Pinfold decides by"),
    ]
}

fn boundaries() -> Vec<Danger> {
    let workloads: &[&str] = &[
        "pods",
        "replicationcontrollers",
        "replicasets",
        "deployments",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
    ];
    vec![
        any(
            CHANGE,
            CORE,
            &["namespaces", "namespaces/status", "namespaces/finalize"],
            "moves a namespace to another organization or out of its guard, by its labels",
        ),
        scoped(
            Scope::Platform,
            RUN,
            &["", "apps", "batch"],
            workloads,
            "runs pods beside the platform's own, with its ServiceAccounts",
        ),
        scoped(
            Scope::Platform,
            WRITE,
            CORE,
            &["configmaps"],
            "rewrites what the platform is configured by, Pinfold's policy included",
        ),
    ]
}

fn any(verbs: &[&str], groups: &[&str], resources: &[&str], leads_to: &'static str) -> Danger {
    scoped(Scope::Any, verbs, groups, resources, leads_to)
}

fn scoped(
    scope: Scope,
    verbs: &[&str],
    groups: &[&str],
    resources: &[&str],
    leads_to: &'static str,
) -> Danger {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let rights = PolicyRule {
        verbs: own(verbs),
        api_groups: own(groups),
        resources: own(resources),
        ..PolicyRule::default()
    };
    Danger { kind: Kind::Rights { rights, scope }, leads_to }
}

impl Danger {
    /// The part of a rule that is dangerous in this way, where it is given in namespaces of the platform or elsewhere.
    #[must_use]
    pub fn part_of(&self, rule: &PolicyRule, in_platform: bool) -> Option<PolicyRule> {
        match &self.kind {
            Kind::Wildcard(list) => list.wildcards(rule),
            Kind::Rights { scope: Scope::Unnamed, .. } if !rule.resource_names.is_empty() => None,
            Kind::Rights { scope: Scope::Platform, .. } if !in_platform => None,
            Kind::Rights { rights, .. } => part(rights, rule),
        }
    }

    /// Whether it is about a wildcard as such, whatever that stands for today.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self.kind, Kind::Wildcard(_))
    }

    /// The list of a rule that says most about this danger.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match &self.kind {
            Kind::Wildcard(List::Groups) => "apiGroups",
            Kind::Wildcard(List::Urls) => "nonResourceURLs",
            Kind::Wildcard(List::Resources) => "resources",
            Kind::Wildcard(List::Verbs) => "verbs",
            Kind::Rights { rights, .. } if rights.verbs.iter().any(|verb| verb == "*") => {
                "resources"
            }
            Kind::Rights { .. } => "verbs",
        }
    }
}

/// Whether a verb changes nothing.
fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

/// Whether an API group is a product's own. To read all of such a group is what its roles for readers give (`flux-view`, which `view` takes in);
/// the groups of Kubernetes and its distributions hold identities and credentials, and get new ones.
fn is_products_own(group: &str) -> bool {
    const PLATFORMS: [&str; 3] = [".k8s.io", ".openshift.io", ".cattle.io"];
    group.contains('.') && !PLATFORMS.iter().any(|platform| group.ends_with(platform))
}

impl List {
    /// The rule with nothing but wildcards in this list; `None` if it has none there, or gives nothing.
    fn wildcards(self, rule: &PolicyRule) -> Option<PolicyRule> {
        let mut part = rule.clone();
        let kept = match self {
            Self::Verbs => &mut part.verbs,
            Self::Groups => &mut part.api_groups,
            Self::Resources => &mut part.resources,
            Self::Urls => &mut part.non_resource_urls,
        };
        kept.retain(|text| self.is_wildcard(text));
        if kept.is_empty() {
            return None;
        }
        if matches!(self, Self::Resources) && part.verbs.iter().all(|verb| is_read(verb)) {
            part.api_groups.retain(|group| !is_products_own(group));
        }
        match self {
            Self::Groups | Self::Resources => part.non_resource_urls.clear(),
            Self::Urls => part.resources.clear(),
            Self::Verbs => {}
        }
        let on_resources = !part.api_groups.is_empty() && !part.resources.is_empty();
        let some = on_resources || !part.non_resource_urls.is_empty();
        (some && !part.verbs.is_empty()).then_some(part)
    }

    fn is_wildcard(self, text: &str) -> bool {
        match self {
            Self::Verbs | Self::Groups => text == "*",
            // `pods/*` means nothing to the API server today.
            Self::Resources => text == "*" || text.ends_with("/*"),
            Self::Urls => text.ends_with('*') && matches!(text.trim_end_matches('*'), "" | "/"),
        }
    }
}

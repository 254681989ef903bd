//! What is asked about: a verb on a resource or on a URL, as the authorizer would be asked.

use pinfold_model::object::rbac::PolicyRule;

use crate::rbac::resolver::Attributes;

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A verb on a resource.
    Resource {
        /// Verb.
        verb: String,
        /// API group; empty for the core group.
        group: String,
        /// Plural, `resource/subresource` for a subresource.
        resource: String,
        /// Name; empty for all.
        name: String,
    },
    /// A verb on a non-resource URL.
    Url {
        /// Verb.
        verb: String,
        /// Path, such as `/metrics`.
        path: String,
    },
}

/// Where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Wherever somebody can.
    Anywhere,
    /// In one namespace.
    Namespace(String),
}

/// Built-in resources outside of namespaces, for which a RoleBinding gives nothing. A namespace is within itself to the authorizer.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["nodes", "persistentvolumes", "componentstatuses", "users", "groups"]),
    ("authentication.k8s.io", &["userextras", "uids", "tokenreviews", "selfsubjectreviews"]),
    ("rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"]),
    (
        "admissionregistration.k8s.io",
        &[
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("certificates.k8s.io", &["certificatesigningrequests", "signers", "clustertrustbundles"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("node.k8s.io", &["runtimeclasses"]),
    (
        "storage.k8s.io",
        &[
            "storageclasses",
            "volumeattachments",
            "csidrivers",
            "csinodes",
            "volumeattributesclasses",
        ],
    ),
    ("networking.k8s.io", &["ingressclasses", "ipaddresses", "servicecidrs"]),
    ("resource.k8s.io", &["deviceclasses", "resourceslices"]),
    ("authorization.k8s.io", &["subjectaccessreviews", "selfsubjectaccessreviews"]),
    ("flowcontrol.apiserver.k8s.io", &["flowschemas", "prioritylevelconfigurations"]),
];

/// API groups of built-in resources outside of the core group, so that `deployments` needs no group, as with `kubectl`.
const GROUPS: &[(&str, &[&str])] = &[
    ("apps", &["deployments", "replicasets", "daemonsets", "statefulsets", "controllerrevisions"]),
    ("batch", &["jobs", "cronjobs"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("policy", &["poddisruptionbudgets"]),
    ("rbac.authorization.k8s.io", &["roles", "rolebindings"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("coordination.k8s.io", &["leases"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("storage.k8s.io", &["csistoragecapacities"]),
    ("authorization.k8s.io", &["localsubjectaccessreviews"]),
    ("resource.k8s.io", &["resourceclaims", "resourceclaimtemplates"]),
];

impl Asked {
    /// Reads `RESOURCE[.GROUP][/SUB]`, or a URL that begins with a slash. A built-in resource needs no group; `pods.` is of the core group.
    #[must_use]
    pub fn parse(verb: &str, what: &str, name: &str) -> Self {
        let own = str::to_owned;
        if what.starts_with('/') {
            return Self::Url { verb: own(verb), path: own(what) };
        }
        let (head, below) = what.split_once('/').unwrap_or((what, ""));
        let (plural, group) = match head.split_once('.') {
            Some((plural, group)) => (plural, group),
            None => (head, group_of(head)),
        };
        let resource = if below.is_empty() { own(plural) } else { format!("{plural}/{below}") };
        Self::Resource { verb: own(verb), group: own(group), resource, name: own(name) }
    }

    /// Whether a rule of a role allows it where the role is bound: cluster-wide, or in a namespace.
    pub(super) fn allowed_by(&self, rule: &PolicyRule, place: &str) -> bool {
        match self {
            Self::Resource { verb, group, resource, name } => {
                Attributes { verb, group, resource, name }.allowed_by(rule)
            }
            Self::Url { verb, path } => {
                place.is_empty()
                    && rule.verbs.iter().any(|own| own == "*" || own == verb)
                    && rule.non_resource_urls.iter().any(|own| matches_url(own, path))
            }
        }
    }

    /// Whether requests for it have no namespace, so that only ClusterRoleBindings count.
    #[must_use]
    pub fn is_cluster_scoped(&self) -> bool {
        match self {
            Self::Resource { group, resource, .. } => {
                let plural = resource.split('/').next().unwrap_or_default();
                has(CLUSTER_SCOPED, plural).any(|own| own == group)
            }
            Self::Url { .. } => true,
        }
    }
}

/// Exact, or a prefix where the rule ends in a star (component-helpers `NonResourceURLMatches`).
fn matches_url(rule: &str, path: &str) -> bool {
    rule == "*"
        || rule == path
        || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

fn group_of(plural: &str) -> &'static str {
    let core = has(CLUSTER_SCOPED, plural).any(str::is_empty);
    let group = has(GROUPS, plural).chain(has(CLUSTER_SCOPED, plural)).next();
    if core { "" } else { group.unwrap_or_default() }
}

fn has<'p>(
    table: &'static [(&'static str, &'static [&'static str])],
    plural: &'p str,
) -> impl Iterator<Item = &'static str> + use<'p> {
    table.iter().filter(move |(_, plurals)| plurals.contains(&plural)).map(|(group, _)| *group)
}

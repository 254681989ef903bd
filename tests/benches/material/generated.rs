//! A big cluster, made up from a seed: namespaces, roles, bindings and agents in the proportions of real ones.
//!
//! The same seed and size give the same objects, as JSON, so that a snapshot and a real API server can take them. Most roles are a
//! chart's, the same in every namespace but for names; some are written by hand, like no other. Nothing depends on another module.

use serde_json::{Map, Value, json};

/// Where generated bindings may point from outside: every size has this many ordinary users and groups per hundred bindings.
const PEOPLE_PER_HUNDRED: usize = 20;
const GROUPS_PER_HUNDRED: usize = 3;
/// One in so many bindings is cluster-wide, and one in so many roles.
const CLUSTER_WIDE_EVERY: usize = 40;
/// One in so many namespaces holds agents.
const AGENTS_EVERY: usize = 50;
/// Charts, each with a role or more of its own; the rest of the roles are written by hand.
const CHARTS: usize = 150;
const FROM_CHARTS_PERCENT: usize = 75;

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const AGENTS: &str = "krate.a5c.ai/v1alpha1";

/// API groups and their resources, as rules name them.
const VOCABULARY: &[(&str, &[&str])] = &[
    ("", &["pods", "pods/log", "pods/status", "configmaps", "services", "endpoints", "events"]),
    ("", &["persistentvolumeclaims", "serviceaccounts", "replicationcontrollers", "limitranges"]),
    ("", &["resourcequotas", "podtemplates", "pods/eviction", "services/status"]),
    ("apps", &["deployments", "deployments/scale", "deployments/status", "replicasets"]),
    ("apps", &["statefulsets", "statefulsets/scale", "daemonsets", "controllerrevisions"]),
    ("batch", &["jobs", "jobs/status", "cronjobs"]),
    ("autoscaling", &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    ("networking.k8s.io", &["ingresses", "ingresses/status", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    ("coordination.k8s.io", &["leases"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("events.k8s.io", &["events"]),
    ("cert-manager.io", &["certificates", "certificaterequests", "issuers", "issuers/status"]),
    ("monitoring.coreos.com", &["servicemonitors", "podmonitors", "prometheusrules", "probes"]),
    ("argoproj.io", &["applications", "appprojects", "workflows", "workflowtemplates", "rollouts"]),
    ("external-secrets.io", &["externalsecrets", "secretstores", "pushsecrets"]),
    ("gateway.networking.k8s.io", &["gateways", "httproutes", "grpcroutes", "referencegrants"]),
    ("keda.sh", &["scaledobjects", "scaledjobs", "triggerauthentications"]),
    ("serving.knative.dev", &["services", "revisions", "routes", "configurations"]),
    ("kafka.strimzi.io", &["kafkas", "kafkatopics", "kafkausers", "kafkaconnects"]),
    ("postgresql.cnpg.io", &["clusters", "clusters/status", "backups", "scheduledbackups"]),
    ("snapshot.storage.k8s.io", &["volumesnapshots", "volumesnapshots/status"]),
];
const VERBS: &[&[&str]] = &[
    &["get", "list", "watch"],
    &["get", "list", "watch", "create", "update", "patch", "delete"],
    &["get", "list", "watch", "update", "patch"],
    &["create", "patch"],
    &["get"],
    &["get", "update", "patch"],
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
];

/// How big a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Namespaces.
    pub(crate) namespaces: usize,
    /// RoleBindings and ClusterRoleBindings.
    pub(crate) bindings: usize,
    /// Roles and ClusterRoles.
    pub(crate) roles: usize,
}

impl Size {
    /// So many bindings, with a fifth as many roles, and 25 bindings in a namespace.
    pub(crate) fn of_bindings(bindings: usize) -> Self {
        Self { namespaces: bindings.div_ceil(25), bindings, roles: bindings.div_ceil(5) }
    }
}

/// Every object, namespaces first; agents only if `agents`, because a cluster needs their definitions first. Each has a uid.
pub(crate) fn objects(size: Size, agents: bool, seed: u64) -> impl Iterator<Item = Value> {
    let agents = (0..if agents { size.namespaces } else { 0 })
        .step_by(AGENTS_EVERY)
        .flat_map(move |number| agents_in(number, seed));
    let namespaces = (0..size.namespaces).map(namespace);
    namespaces.chain(agents).chain(rights((0, 0), size, seed))
}

/// Its roles and bindings without the first so many of each: what a cluster of that size has more than a smaller one.
pub(crate) fn rights(
    (roles, bindings): (usize, usize),
    size: Size,
    seed: u64,
) -> impl Iterator<Item = Value> {
    let roles = (roles..size.roles).map(move |number| role(number, size, seed));
    roles.chain((bindings..size.bindings).map(move |number| binding(number, size, seed)))
}

/// The same object as somebody changes it: another subject, another label or another rule.
pub(crate) fn changed(number: usize, size: Size, seed: u64) -> Value {
    let mut object = binding(number.checked_rem(size.bindings).unwrap_or_default(), size, seed);
    if let Some(Value::Array(subjects)) = object.get_mut("subjects") {
        subjects.push(user(number));
    }
    object
}

fn namespace(number: usize) -> Value {
    let name = namespace_name(number);
    let mut labels = json!({"kubernetes.io/metadata.name": name, "team": format!("team-{}", number / 4),
        "pod-security.kubernetes.io/enforce": "baseline"});
    if number.is_multiple_of(10) {
        insert(&mut labels, "krate.a5c.ai/org", format!("org-{}", number / 40));
    }
    if number.is_multiple_of(AGENTS_EVERY) {
        insert(&mut labels, "pinfold.dev/agents", "true".to_owned());
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": uid(0, number), "labels": labels}})
}

fn namespace_name(number: usize) -> String {
    let stage = ["dev", "test", "staging", "prod"].get(number % 4).copied().unwrap_or_default();
    format!("team-{:04}-{stage}", number / 4)
}

/// Agents of a namespace: two identities and a pool.
fn agents_in(number: usize, seed: u64) -> [Value; 3] {
    let namespace = namespace_name(number);
    let tier = if Random::of(seed, 7, number).below(2) == 0 { "trusted" } else { "untrusted" };
    let object = |kind: &str, name: &str, at: usize, spec: Value| {
        json!({"apiVersion": AGENTS, "kind": kind, "metadata": {"name": name, "namespace": namespace,
            "uid": uid(3, number.saturating_add(at))}, "spec": spec})
    };
    let identity = |name: &str| json!({"namespace": namespace, "serviceAccountName": name});
    let pool = json!({"organizationRef": format!("org-{}", number / 40), "trustTier": tier,
        "serviceAccountRef": "agent-runner", "nodeSelector": {"pool": tier}});
    [
        object("AgentServiceAccount", "coder", 1, identity("agent-coder")),
        object("AgentServiceAccount", "reviewer", 2, identity("agent-reviewer")),
        object("RunnerPool", "runners", 3, pool),
    ]
}

/// Roles that many clusters have, and the rules that operators aggregate into them.
fn role(number: usize, size: Size, seed: u64) -> Value {
    let mut random = Random::of(seed, 1, number);
    let cluster_wide = number.is_multiple_of(CLUSTER_WIDE_EVERY);
    let release = format!("{}-{}", chart_name(number % CHARTS), number / CHARTS);
    let rules = if random.below(100) < FROM_CHARTS_PERCENT {
        // A chart's rules, the same in every namespace; one of them names the release's own objects.
        rules(&mut Random::of(seed, 2, number % CHARTS), Some(&release))
    } else {
        rules(&mut random, None)
    };
    let mut metadata = metadata(&role_name(number), &release, 1, number);
    let mut object = json!({"apiVersion": RBAC, "kind": if cluster_wide { "ClusterRole" } else { "Role" }, "rules": rules});
    if !cluster_wide {
        insert(&mut metadata, "namespace", namespace_name(role_place(number, size)));
    } else if random.below(4) == 0 {
        let label = format!("rbac.example.com/aggregate-to-{}", number % 5);
        if let Some(labels) = metadata.get_mut("labels") {
            insert(labels, &label, "true".to_owned());
        }
    }
    if let Value::Object(object) = &mut object {
        object.insert("metadata".to_owned(), metadata);
    }
    object
}

fn role_name(number: usize) -> String {
    format!("{}-{number}", chart_name(number % CHARTS))
}

fn role_place(number: usize, size: Size) -> usize {
    number.checked_rem(size.namespaces).unwrap_or_default()
}

fn chart_name(number: usize) -> String {
    const WORDS: [&str; 8] =
        ["web", "queue", "cache", "ledger", "mailer", "search", "metrics", "gateway"];
    const ROLES: [&str; 5] = ["operator", "controller", "worker", "reader", "deployer"];
    let word = WORDS.get(number % 8).copied().unwrap_or_default();
    let role = ROLES.get(number / 8 % 5).copied().unwrap_or_default();
    format!("{word}-{role}-{}", number / 40)
}

/// 2 to 30 rules, small roles being the most.
fn rules(random: &mut Random, release: Option<&str>) -> Vec<Value> {
    let most = if random.below(10) == 0 { 29 } else { 9 };
    let count = random.below(most).saturating_add(2);
    let mut rules: Vec<Value> = (0..count)
        .map(|_| {
            let (group, resources) = random.of_list(VOCABULARY).copied().unwrap_or_default();
            let first = random.below(resources.len());
            let length = random.below(resources.len()).saturating_add(1);
            let resources: Vec<&str> = resources.iter().copied().skip(first).take(length).collect();
            json!({"apiGroups": [group], "resources": resources, "verbs": random.of_list(VERBS)})
        })
        .collect();
    if let Some(release) = release {
        rules.push(
            json!({"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get"],
            "resourceNames": [format!("{release}-config"), format!("{release}-tls")]}),
        );
    }
    rules
}

fn binding(number: usize, size: Size, seed: u64) -> Value {
    let mut random = Random::of(seed, 4, number);
    let cluster_wide = number.is_multiple_of(CLUSTER_WIDE_EVERY);
    let place = number.checked_rem(size.namespaces).unwrap_or_default();
    let namespace = namespace_name(place);
    let release = format!("{}-{}", chart_name(number % CHARTS), number / CHARTS);
    let mut metadata = metadata(&format!("{release}-{number}"), &release, 2, number);
    if !cluster_wide {
        insert(&mut metadata, "namespace", namespace.clone());
    }
    // Ordinary people hold rights in their namespaces; what is cluster-wide is for the platform and for controllers.
    let subjects: Vec<Value> = match random.below(20) {
        11..15 if cluster_wide => vec![platform_group(number)],
        18 if cluster_wide => vec![user(random.below(people(size))), platform_group(number)],
        0..11 => vec![service_account(&release, &namespace)],
        11..15 => vec![group(&mut random, size)],
        15..18 => vec![user(random.below(people(size)))],
        18 => vec![
            user(random.below(people(size))),
            group(&mut random, size),
            service_account("default", &namespace),
        ],
        _ => vec![
            json!({"kind": "Group", "apiGroup": RBAC_GROUP, "name": format!("system:serviceaccounts:{namespace}")}),
        ],
    };
    json!({"apiVersion": RBAC, "kind": if cluster_wide { "ClusterRoleBinding" } else { "RoleBinding" }, "metadata": metadata,
        "roleRef": role_ref(&mut random, place, cluster_wide, size), "subjects": subjects})
}

/// A Role of the namespace if it has one and the binding may name one, else one of the ClusterRoles, of which few are popular.
fn role_ref(random: &mut Random, place: usize, cluster_wide: bool, size: Size) -> Value {
    let per_place = size.roles.checked_div(size.namespaces.max(1)).unwrap_or_default();
    let own = random.below(per_place.max(1)).saturating_mul(size.namespaces).saturating_add(place);
    if !cluster_wide
        && own < size.roles
        && !own.is_multiple_of(CLUSTER_WIDE_EVERY)
        && random.below(10) < 6
    {
        return json!({"apiGroup": RBAC_GROUP, "kind": "Role", "name": role_name(own)});
    }
    let cluster_roles = size.roles.div_ceil(CLUSTER_WIDE_EVERY);
    let few = cluster_roles.min(8);
    let at = if random.below(10) < 7 { random.below(few) } else { random.below(cluster_roles) };
    let name = role_name(at.saturating_mul(CLUSTER_WIDE_EVERY));
    json!({"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name})
}

fn service_account(name: &str, namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

fn user(number: usize) -> Value {
    json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": format!("user-{number}@example.com")})
}

fn platform_group(number: usize) -> Value {
    json!({"kind": "Group", "apiGroup": RBAC_GROUP, "name": format!("oidc:example:platform-{}", number % 50)})
}

fn group(random: &mut Random, size: Size) -> Value {
    let groups = (size.bindings.saturating_mul(GROUPS_PER_HUNDRED) / 100).max(4);
    // Half of the bindings to groups are to few of them.
    let most = if random.below(2) == 0 { groups.min(16) } else { groups };
    json!({"kind": "Group", "apiGroup": RBAC_GROUP, "name": format!("oidc:example:team-{}-engineers", random.below(most))})
}

fn people(size: Size) -> usize {
    (size.bindings.saturating_mul(PEOPLE_PER_HUNDRED) / 100).max(4)
}

/// What Helm and GitOps controllers write on what they apply.
fn metadata(name: &str, release: &str, family: usize, number: usize) -> Value {
    let chart = chart_name(number % CHARTS);
    let mut metadata = json!({"name": name, "uid": uid(family, number),
        "labels": {"app.kubernetes.io/name": chart, "app.kubernetes.io/instance": release,
            "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": format!("{chart}-1.{}.0", number % 7)},
        "annotations": {"meta.helm.sh/release-name": release}});
    if number.is_multiple_of(3) {
        let tracked = format!("{release}:{RBAC_GROUP}/RoleBinding:{name}");
        if let Some(annotations) = metadata.get_mut("annotations") {
            insert(annotations, "argocd.argoproj.io/tracking-id", tracked);
        }
    }
    metadata
}

fn insert(object: &mut Value, name: &str, text: String) {
    let own = Map::new;
    if object.is_null() {
        *object = Value::Object(own());
    }
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), Value::String(text));
    }
}

fn uid(family: usize, number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-{family:012x}")
}

/// SplitMix64, one stream for each object, so that one object does not depend on how many come before it.
struct Random(u64);

impl Random {
    fn of(seed: u64, family: u64, number: usize) -> Self {
        let number = u64::try_from(number).unwrap_or_default();
        let mut random = Self(seed ^ family.rotate_left(56) ^ number.rotate_left(8));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`; 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or_default();
        self.next()
            .checked_rem(limit)
            .and_then(|found| usize::try_from(found).ok())
            .unwrap_or_default()
    }

    fn of_list<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }
}

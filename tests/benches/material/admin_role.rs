//! The rules that `admin` has in a cluster with a few operators: Kubernetes' own, and what each operator aggregates into it.

use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A line of [`OWN`]: groups, resources, verbs.
type Line = (&'static [&'static str], &'static str, &'static [&'static str]);

/// What Kubernetes 1.35 aggregates into `admin` (its `system:aggregate-to-admin`, `-edit` and `-view`).
const OWN: &[Line] = &[
    (&["authorization.k8s.io"], "localsubjectaccessreviews", &["create"]),
    (&["rbac.authorization.k8s.io"], "rolebindings roles", ALL),
    (&[""], "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    (&[""], "serviceaccounts", &["impersonate"]),
    (&[""], "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    (&[""], "pods/eviction", &["create"]),
    (
        &[""],
        "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services \
         services/proxy",
        WRITE,
    ),
    (&[""], "serviceaccounts/token", &["create"]),
    (&["", "events.k8s.io"], "events", WRITE),
    (
        &["apps"],
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale",
        WRITE,
    ),
    (&["autoscaling"], "horizontalpodautoscalers", WRITE),
    (&["batch"], "cronjobs jobs", WRITE),
    (
        &["extensions"],
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale \
         replicationcontrollers/scale",
        WRITE,
    ),
    (&["policy"], "poddisruptionbudgets", WRITE),
    (&["networking.k8s.io"], "ingresses networkpolicies", WRITE),
    (&["coordination.k8s.io"], "leases", ALL),
    (&["resource.k8s.io"], "resourceclaims resourceclaimtemplates", WRITE),
    (
        &[""],
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
         replicationcontrollers/scale serviceaccounts services services/status",
        READ,
    ),
    (
        &[""],
        "bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas \
         resourcequotas/status",
        READ,
    ),
    (&[""], "namespaces", READ),
    (&["", "events.k8s.io"], "events", READ),
    (&["discovery.k8s.io"], "endpointslices", READ),
    (
        &["apps"],
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets \
         replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        READ,
    ),
    (&["autoscaling"], "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    (&["batch"], "cronjobs cronjobs/status jobs jobs/status", READ),
    (
        &["extensions"],
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies \
         replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
        READ,
    ),
    (&["policy"], "poddisruptionbudgets poddisruptionbudgets/status", READ),
    (&["networking.k8s.io"], "ingresses ingresses/status networkpolicies", READ),
    (&["resource.k8s.io"], "resourceclaims resourceclaims/status resourceclaimtemplates", READ),
];

/// Operators; each aggregates a reading and a writing rule.
const OPERATORS: &[(&str, &str)] = &[
    ("acme.cert-manager.io", "challenges orders"),
    (
        "argoproj.io",
        "applications applicationsets appprojects cronworkflows workflows workflowtemplates",
    ),
    ("autoscaling.k8s.io", "verticalpodautoscalers"),
    ("cert-manager.io", "certificaterequests certificates issuers"),
    ("external-secrets.io", "externalsecrets pushsecrets secretstores"),
    ("gateway.networking.k8s.io", "gateways grpcroutes httproutes referencegrants tlsroutes"),
    ("helm.toolkit.fluxcd.io", "helmreleases"),
    ("keda.sh", "scaledjobs scaledobjects triggerauthentications"),
    (
        "krate.a5c.ai",
        "agentdispatchattempts agentdispatchruns agentrolebindings agentsessions agentstacks runnerpools",
    ),
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
    ("metrics.k8s.io", "pods"),
    ("monitoring.coreos.com", "podmonitors probes prometheusrules servicemonitors"),
    ("serving.knative.dev", "configurations revisions routes services"),
    ("source.toolkit.fluxcd.io", "buckets gitrepositories helmcharts helmrepositories"),
    ("tekton.dev", "pipelineruns pipelines taskruns tasks"),
    ("velero.io", "backups restores schedules"),
];

/// The rules, as in a ClusterRole.
pub(crate) fn rules() -> Vec<Value> {
    let own = OWN.iter().map(|(groups, resources, verbs)| rule(groups, resources, verbs));
    let operators = OPERATORS.iter().flat_map(|(group, resources)| {
        [READ, WRITE].map(|verbs| rule(std::slice::from_ref(group), resources, verbs))
    });
    own.chain(operators).collect()
}

fn rule(groups: &[&str], resources: &str, verbs: &[&str]) -> Value {
    let resources: Vec<&str> = resources.split_whitespace().collect();
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

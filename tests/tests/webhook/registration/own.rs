//! What is sent about Pinfold's own objects, and what isn't; and that repair goes on when nobody answers.

use pinfold_tests::{KubectlOutput, User, until};

use super::home::{Home, SOON};
use crate::Outcome;
use crate::replica::Replica;

const SYSTEM: &str = "pinfold-system";
/// A pod that Pinfold's namespace admits.
const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: pinfold-system}, spec: {serviceAccountName: pinfold-webhook, automountServiceAccountToken: false, \
     securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: i, securityContext: \
     {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}";
const ROLE: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: pinfold-system}, rules: []}";
const POLICY_KIND: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.pinfold.dev}, spec: {group: pinfold.dev, \
     names: {kind: Thing, plural: things}, scope: Namespaced, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}";
const OTHER_KIND: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}, spec: {group: example.com, \
     names: {kind: Thing, plural: things}, scope: Namespaced, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}";

/// Name, kubectl's arguments, the object.
pub(super) type Case<'c> = (&'c str, &'c [&'c str], &'c str);

/// What somebody does to what is Pinfold's own. Nothing is stored.
const SENT: &[Case<'_>] = &[
    ("a pod", &["apply", "-f", "-"], POD),
    ("a Role", &["apply", "-f", "-"], ROLE),
    ("a ConfigMap", &["create", "configmap", "c", "-n", SYSTEM], ""),
    ("a Secret", &["create", "secret", "generic", "s", "-n", SYSTEM], ""),
    ("a Deployment", &["create", "deployment", "d", "--image=i", "-n", SYSTEM], ""),
    ("a Job", &["create", "job", "j", "--image=i", "-n", SYSTEM], ""),
    ("a ServiceAccount", &["create", "serviceaccount", "s", "-n", SYSTEM], ""),
    ("its label", &["label", "serviceaccount", "pinfold-webhook", "a=b", "-n", SYSTEM], ""),
    ("the Service", &["delete", "service", "pinfold-webhook", "-n", SYSTEM], ""),
    (
        "a rule of the network",
        &["create", "-f", "-"],
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: network, namespace: pinfold-system}, spec: {podSelector: {}}}",
    ),
    (
        "a budget",
        &[
            "create",
            "poddisruptionbudget",
            "b",
            "--selector=a=b",
            "--min-available=1",
            "-n",
            SYSTEM,
        ],
        "",
    ),
    ("the namespace's label", &["label", "namespace", SYSTEM, "a=b"], ""),
    ("the end of the namespace", &["delete", "namespace", SYSTEM], ""),
    ("its ClusterRole", &["label", "clusterrole", "pinfold-webhook", "a=b"], ""),
    ("the end of its ClusterRoleBinding", &["delete", "clusterrolebinding", "pinfold-webhook"], ""),
    ("a kind of Pinfold's", &["apply", "-f", "-"], POLICY_KIND),
];
/// What is somebody else's.
const NOT_SENT: &[Case<'_>] = &[
    ("another kind", &["apply", "-f", "-"], OTHER_KIND),
    ("the end of another namespace", &["delete", "namespace", "nobodys"], ""),
    ("the end of another ClusterRole", &["delete", "clusterrole", "view"], ""),
    ("a ConfigMap elsewhere", &["create", "configmap", "c", "-n", "nobodys"], ""),
    ("a Secret elsewhere", &["create", "secret", "generic", "c", "-n", "nobodys"], ""),
];

/// The administrator, and the parts of the cluster that work in every namespace.
const CONTROL_PLANE: &[User<'_>] = &[
    User {
        name: "system:serviceaccount:pinfold-system:pinfold-webhook",
        groups: &["system:masters"],
    },
    User {
        name: "system:serviceaccount:kube-system:replicaset-controller",
        groups: &["system:serviceaccounts:kube-system", "system:masters"],
    },
    User { name: "system:kube-controller-manager", groups: &["system:masters"] },
    User { name: "system:node:n1", groups: &["system:nodes", "system:masters"] },
];

pub(super) fn run(
    home: &Home,
    user: Option<User<'_>>,
    (_, arguments, object): &Case<'_>,
) -> Outcome<KubectlOutput> {
    let arguments = [arguments, &["--dry-run=server"][..]].concat();
    Ok(match user {
        Some(user) => home.server.kubectl_as(user, &arguments, object)?,
        None => home.server.kubectl(&arguments, object)?,
    })
}

/// Whether the webhook was asked meanwhile.
pub(super) fn asks(
    replica: &Replica,
    act: impl FnOnce() -> Outcome<KubectlOutput>,
) -> Outcome<(bool, KubectlOutput)> {
    let before = replica.calls("validate")?;
    let answer = act()?;
    Ok((replica.calls("validate")? > before, answer))
}

#[test]
fn what_concerns_pinfold_is_sent_and_repair_waits_for_nobody() -> Outcome {
    let home = Home::new()?;
    let replica = home.open(&home.flags("keep"))?;
    home.enforces()?;
    // The entries of the later kind are seen when this one is.
    let seen = until(SOON, || asks(&replica, || run(&home, None, &SENT[0])).ok()?.0.then_some(()));
    seen.ok_or_else(|| format!("nothing is sent:\n{}", replica.process.log()))?;
    for case in SENT {
        let (asked, answer) = asks(&replica, || run(&home, None, case))?;
        assert!(asked, "{}: nobody was asked: {answer:?}", case.0);
        assert!(answer.success(), "{}: {answer:?}", case.0);
    }
    for case in NOT_SENT {
        let (asked, answer) = asks(&replica, || run(&home, None, case))?;
        assert!(!asked && answer.success(), "{}: {answer:?}", case.0);
    }
    for user in CONTROL_PLANE {
        for case in [&SENT[0], &SENT[3], &SENT[11]] {
            let (asked, answer) = asks(&replica, || run(&home, Some(*user), case))?;
            // Its own ServiceAccount writes annotations of pods, and nothing else of them: the API server says so itself.
            let held = case.0 == SENT[0].0 && user.name == CONTROL_PLANE[0].name;
            let expected =
                if held { answer.stderr.contains("pinfold-own-writes") } else { answer.success() };
            assert!(!asked && expected, "{} by {user:?}: {answer:?}", case.0);
        }
    }
    assert_connections_and_collections(&home, &replica)?;
    assert_accounts(&home, &replica)?;

    drop(replica);
    home.service.route_to(&[]);
    for case in SENT {
        let answer = run(&home, None, case)?;
        assert!(answer.success(), "{} waits for Pinfold: {answer:?}", case.0);
    }
    Ok(())
}

/// What has no dry run, or no object of its own.
fn assert_connections_and_collections(home: &Home, replica: &Replica) -> Outcome {
    home.server.apply(POD)?;
    let raw =
        |path: &str, body: &str| home.server.kubectl(&["create", "--raw", path, "-f", "-"], body);
    let token = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#;
    let of = format!("/api/v1/namespaces/{SYSTEM}");
    for (what, path, body) in [
        ("a shell", format!("{of}/pods/p/exec?command=sh"), "{}"),
        ("a token", format!("{of}/serviceaccounts/pinfold-webhook/token?dryRun=All"), token),
    ] {
        let (asked, answer) = asks(replica, || Ok(raw(&path, body)?))?;
        assert!(asked, "{what}: {answer:?}");
    }
    home.server.kubectl(&["create", "configmap", "made", "-n", SYSTEM], "")?.ok()?;
    for (what, path) in [
        ("all ConfigMaps", format!("{of}/configmaps?dryRun=All")),
        (
            "all ClusterRoles",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles?dryRun=All".to_owned(),
        ),
    ] {
        let (asked, answer) =
            asks(replica, || Ok(home.server.kubectl(&["delete", "--raw", &path], "")?))?;
        assert!(asked, "{what}: {answer:?}");
    }
    Ok(())
}

/// A new ServiceAccount is sent wherever it is, but not `default` of a new namespace, which the control plane makes; and so is a token, but not those of
/// pods, which kubelets fetch.
fn assert_accounts(home: &Home, replica: &Replica) -> Outcome {
    let controller = User {
        name: "system:serviceaccount:kube-system:service-account-controller",
        groups: &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:masters"],
    };
    let made: Case<'_> = ("", &["create", "serviceaccount", "s", "-n", "nobodys"], "");
    let default: Case<'_> = ("", &["create", "serviceaccount", "default", "-n", "nobodys"], "");
    assert!(asks(replica, || run(home, None, &made))?.0);
    assert!(!asks(replica, || run(home, Some(controller), &default))?.0);
    assert_tokens(home, replica, controller)
}

fn assert_tokens(home: &Home, replica: &Replica, controller: User<'_>) -> Outcome {
    home.server
        .kubectl(
            &[
                "create",
                "serviceaccount",
                "runner",
                "-n",
                "nobodys",
                "--as=system:kube-controller-manager",
                "--as-group=system:masters",
            ],
            "",
        )?
        .ok()?;
    // Not named as a node, whose tokens the API server would want bound to a pod.
    let kubelet = User { name: "kubelet", groups: &["system:nodes", "system:masters"] };
    let path = "/api/v1/namespaces/nobodys/serviceaccounts/runner/token?dryRun=All";
    let token = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#;
    let create = ["create", "--raw", path, "-f", "-"];
    let (asked, answer) = asks(replica, || Ok(home.server.kubectl(&create, token)?))?;
    assert!(asked, "{answer:?}");
    for user in [kubelet, controller] {
        let (asked, answer) =
            asks(replica, || Ok(home.server.kubectl_as(user, &create, token)?))?;
        assert!(!asked && answer.success(), "{answer:?}");
    }
    Ok(())
}

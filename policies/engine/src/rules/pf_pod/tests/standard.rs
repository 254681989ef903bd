//! PF-POD-002. That it is the standard, `tests/tests/pod_standard.rs` asks the API server.

use serde_json::{Value, json};

use super::{check, container, honest, judged, put, template, told};
use crate::organization::fixture::{found, policy, request, spoken, view};

const RULE: &str = "PF-POD-002";

#[test]
fn of_the_pod() {
    let rows: Vec<(&str, Value, &[&str])> = vec![
        ("/spec/hostNetwork", json!(true), &["$.spec.hostNetwork"]),
        ("/spec/hostPID", json!(true), &["$.spec.hostPID"]),
        ("/spec/hostIPC", json!(true), &["$.spec.hostIPC"]),
        ("/spec/hostIPC", json!(false), &[]),
        (
            "/spec/securityContext/sysctls",
            json!([{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "kernel.msgmax", "value": "1"}]),
            &["$.spec.securityContext.sysctls[1].name"],
        ),
        (
            "/spec/volumes/0",
            json!({"name": "v", "hostPath": {"path": "/"}}),
            &["$.spec.volumes[0]"],
        ),
        ("/spec/volumes/0", json!({"name": "v", "brandNew": {}}), &["$.spec.volumes[0]"]),
        ("/spec/volumes/0", json!({"name": "v", "csi": {"driver": "d"}}), &[]),
        ("/spec/volumes/0", json!({"name": "v"}), &[]),
        (
            "/spec/securityContext/seccompProfile/type",
            json!("Unconfined"),
            &[
                "$.spec.containers[0].securityContext.seccompProfile.type",
                "$.spec.securityContext.seccompProfile.type",
            ],
        ),
        ("/spec/securityContext/seccompProfile/type", json!("Localhost"), &[]),
        (
            "/spec/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
            &["$.spec.securityContext.appArmorProfile.type"],
        ),
        (
            "/spec/securityContext/runAsNonRoot",
            json!(false),
            &[
                "$.spec.containers[0].securityContext.runAsNonRoot",
                "$.spec.securityContext.runAsNonRoot",
            ],
        ),
        ("/spec/securityContext/runAsUser", json!(0), &["$.spec.securityContext.runAsUser"]),
        (
            "/spec/securityContext/seLinuxOptions",
            json!({"type": "spc_t", "user": "u", "role": "r"}),
            &[
                "$.spec.securityContext.seLinuxOptions.role",
                "$.spec.securityContext.seLinuxOptions.type",
                "$.spec.securityContext.seLinuxOptions.user",
            ],
        ),
        (
            "/spec/securityContext/seLinuxOptions",
            json!({"type": "container_t", "level": "s0"}),
            &[],
        ),
        (
            "/spec/securityContext/windowsOptions",
            json!({"hostProcess": true}),
            &["$.spec.securityContext.windowsOptions.hostProcess"],
        ),
    ];
    check(RULE, &rows);
}

#[test]
fn of_the_annotation_that_came_before_the_field() {
    let path = "$.metadata.annotations['container.apparmor.security.beta.kubernetes.io/agent']";
    for (value, said) in
        [("unconfined", true), ("localhost/mine", false), ("runtime/default", false)]
    {
        let pod = json!({"container.apparmor.security.beta.kubernetes.io/agent": value});
        let pod = put(honest(), "/metadata/annotations", pod);
        let expected = if said { vec![format!("{RULE} {path}")] } else { vec![] };
        assert_eq!(told(&pod), expected, "{value}");
    }
}

#[test]
fn of_containers() {
    let context = |field: &str| format!("/spec/containers/0/securityContext/{field}");
    let at = |field: &str| format!("$.spec.containers[0].{field}");
    let rows = [
        ("privileged", json!(true), "privileged"),
        ("procMount", json!("Unmasked"), "procMount"),
        ("readOnlyRootFilesystem", json!(false), "readOnlyRootFilesystem"),
        ("readOnlyRootFilesystem", json!(null), "readOnlyRootFilesystem"),
        ("allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation"),
        ("allowPrivilegeEscalation", json!(null), "allowPrivilegeEscalation"),
        ("capabilities", json!(null), "capabilities.drop"),
        ("capabilities/drop", json!(["NET_RAW"]), "capabilities.drop"),
        ("capabilities/drop", json!(["all"]), "capabilities.drop"),
        ("capabilities/add", json!(["NET_ADMIN"]), "capabilities.add[0]"),
        ("capabilities/add", json!(["NET_BIND_SERVICE", "SYS_PTRACE"]), "capabilities.add[1]"),
        ("capabilities/add", json!(["NET_BIND_SERVICE"]), ""),
        ("runAsNonRoot", json!(false), "runAsNonRoot"),
        ("runAsUser", json!(0), "runAsUser"),
        ("seccompProfile", json!({"type": "Unconfined"}), "seccompProfile.type"),
        ("appArmorProfile", json!({"type": "Unconfined"}), "appArmorProfile.type"),
        ("seLinuxOptions", json!({"type": "spc_t"}), "seLinuxOptions.type"),
        ("windowsOptions", json!({"hostProcess": true}), "windowsOptions.hostProcess"),
    ];
    for (field, value, path) in rows {
        let path = at(&format!("securityContext.{path}"));
        let paths: &[&str] = if path.ends_with('.') { &[] } else { &[&path] };
        check(RULE, &[(&context(field), value, paths)]);
    }
    let probe = json!({"httpGet": {"host": "169.254.169.254", "port": 80}});
    let hook = json!({"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}});
    let own = json!({"httpGet": {"port": 80}});
    check(
        RULE,
        &[
            ("/spec/containers/0/livenessProbe", probe, &["$.spec.containers[0].livenessProbe"]),
            ("/spec/containers/0/startupProbe", own, &[]),
            ("/spec/containers/0/lifecycle", hook, &["$.spec.containers[0].lifecycle.preStop"]),
            (
                "/spec/containers/0/ports",
                json!([{"containerPort": 80, "hostPort": 80}]),
                &["$.spec.containers[0].ports[0].hostPort"],
            ),
            ("/spec/containers/0/ports", json!([{"containerPort": 80}]), &[]),
        ],
    );
}

#[test]
fn init_and_ephemeral_containers_are_containers() {
    for list in ["initContainers", "ephemeralContainers"] {
        let bad = put(container("other"), "/securityContext/privileged", json!(true));
        let pod = put(honest(), &format!("/spec/{list}"), json!([container("good"), bad]));
        assert_eq!(told(&pod), [format!("{RULE} $.spec.{list}[1].securityContext.privileged")]);
    }
}

/// A user namespace of its own lifts what is said about root (PSS 1.35), and nothing else.
#[test]
fn root_in_a_user_namespace() {
    let pod = put(honest(), "/spec/hostUsers", json!(false));
    let pod = put(
        pod,
        "/spec/securityContext",
        json!({"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}),
    );
    assert!(!told(&pod).iter().any(|line| line.starts_with(RULE)), "{:?}", told(&pod));
    let pod = put(pod, "/spec/containers/0/securityContext/procMount", json!("Unmasked"));
    assert!(told(&pod).contains(&format!("{RULE} $.spec.containers[0].securityContext.procMount")));
}

/// What mutation says for the pods of a template needn't stand in it; what contradicts it is refused where it is written.
#[test]
fn templates_are_judged_as_if_filled_in() {
    let bare = json!({"spec": {"securityContext": {"runAsUser": 1000}, "containers": [{"name": "agent", "image": "i"}]}});
    assert!(told(&template(&bare)).is_empty(), "{:?}", told(&template(&bare)));
    let rows = [
        ("privileged", json!(true)),
        ("allowPrivilegeEscalation", json!(true)),
        ("readOnlyRootFilesystem", json!(false)),
        ("runAsNonRoot", json!(false)),
    ];
    for (field, value) in rows {
        let bad = put(bare.clone(), &format!("/spec/containers/0/securityContext/{field}"), value);
        let path = format!("{RULE} $.spec.template.spec.containers[0].securityContext.{field}");
        assert_eq!(told(&template(&bad)), [path]);
    }
    let pod = put(honest(), "/spec", bare["spec"].clone());
    assert_eq!(told(&pod).len(), 5, "{:?}", told(&pod));
}

/// A name is no exemption unless PF-POD-001 holds its content.
#[test]
fn the_guard_is_let_through_by_name_only_where_its_content_is_judged() {
    let guard = json!({"name": "pinfold-guard", "image": "i", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}});
    let pod = put(honest(), "/spec/initContainers", json!([guard]));
    let said = |policy_text: &str| {
        let said = spoken(&judged(&pod, &policy(policy_text)));
        said.iter().filter(|line| line.starts_with(RULE)).count()
    };
    assert_eq!(said("mode: enforce"), 0);
    assert_eq!(said("mode: warn"), 0);
    for policy_text in [
        "rules: [{id: PF-POD-001, mode: 'off'}]",
        "rules: [{id: PF-POD-001, mode: warn}]",
        "inject: {profile: none}",
        "exceptions: [{rules: [PF-POD-001], match: {namespaces: [agents]}, until: 2999-01-01, owner: o, reason: r}]",
    ] {
        assert!(said(policy_text) > 0, "{policy_text}");
    }
    let elsewhere =
        put(honest(), "/spec/containers/-", json!({"name": "pinfold-guard", "image": "i"}));
    assert!(told(&elsewhere).iter().any(|line| line.starts_with(RULE)));
    let in_template = told(&template(&pod));
    assert!(in_template.iter().any(|line| line.starts_with(RULE)), "{in_template:?}");
}

#[test]
fn nobody_counts_containers_without_end() {
    let many =
        |count: usize| -> Value { (0..count).map(|at| container(&format!("c{at}"))).collect() };
    assert!(told(&put(honest(), "/spec/containers", many(256))).is_empty());
    let told = told(&put(honest(), "/spec/containers", many(257)));
    assert_eq!(told, ["PF-POD-002 $.spec.containers"]);
}

/// A pod that mutation didn't reach is refused for that, and not for each thing that mutation would have said.
#[test]
fn what_mutation_would_have_said_is_told_once() {
    let pod = put(honest(), "/spec/containers/0/securityContext", json!({"privileged": true}));
    let said = |policy_text: &str| {
        let (request, view) = (request("alice", &pod, None), view(super::CLUSTER));
        spoken(&found(super::super::judge, &request, &view, &policy(policy_text)))
    };
    let standard = |said: &[String]| said.iter().filter(|line| line.starts_with(RULE)).count();
    let both = said("mode: enforce");
    assert!(both.iter().any(|line| line.starts_with("PF-POD-001")), "{both:?}");
    assert_eq!(standard(&both), 1, "{both:?}");
    assert_eq!(standard(&said("rules: [{id: PF-POD-001, mode: warn}]")), 4);
}

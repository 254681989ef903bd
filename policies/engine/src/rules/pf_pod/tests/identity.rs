//! PF-POD-003.

use serde_json::json;

use super::{check, honest, judged, put, template, told};
use crate::organization::fixture::{policy, spoken};

const RULE: &str = "PF-POD-003";

#[test]
fn users_and_groups() {
    let container = "/spec/containers/0/securityContext";
    check(
        RULE,
        &[
            (
                "/spec/securityContext/runAsUser",
                json!(null),
                &["$.spec.containers[0].securityContext.runAsUser"],
            ),
            ("/spec/securityContext/runAsUser", json!(0), &["$.spec.securityContext.runAsUser"]),
            (
                "/spec/securityContext/runAsUser",
                json!(64646),
                &["$.spec.securityContext.runAsUser"],
            ),
            ("/spec/securityContext/runAsUser", json!(64645), &[]),
            (
                &format!("{container}/runAsUser"),
                json!(64646),
                &["$.spec.containers[0].securityContext.runAsUser"],
            ),
            (&format!("{container}/runAsUser"), json!(1001), &[]),
            (
                &format!("{container}/runAsGroup"),
                json!(64646),
                &["$.spec.containers[0].securityContext.runAsGroup"],
            ),
            (
                "/spec/securityContext/runAsGroup",
                json!(64646),
                &["$.spec.securityContext.runAsGroup"],
            ),
            ("/spec/securityContext/fsGroup", json!(64646), &["$.spec.securityContext.fsGroup"]),
            ("/spec/securityContext/fsGroup", json!(2000), &[]),
            (
                "/spec/securityContext/supplementalGroups",
                json!([1, 64646]),
                &["$.spec.securityContext.supplementalGroups[1]"],
            ),
            (
                "/spec/securityContext/windowsOptions",
                json!({"runAsUserName": "a"}),
                &["$.spec.securityContext.windowsOptions.runAsUserName"],
            ),
            (
                &format!("{container}/windowsOptions"),
                json!({"runAsUserName": "a"}),
                &["$.spec.containers[0].securityContext.windowsOptions.runAsUserName"],
            ),
        ],
    );
}

/// The number of the pod is that of a container which says none; a container's own wins.
#[test]
fn containers_win_over_their_pod() {
    let pod = put(honest(), "/spec/securityContext/runAsUser", json!(64646));
    let pod = put(pod, "/spec/containers/0/securityContext/runAsUser", json!(1000));
    assert!(told(&pod).is_empty());
    for list in ["initContainers", "ephemeralContainers"] {
        let mut debug = super::container("debug");
        debug["securityContext"]["runAsUser"] = json!(64646);
        let pod = put(honest(), &format!("/spec/{list}"), json!([debug]));
        assert_eq!(told(&pod), [format!("{RULE} $.spec.{list}[0].securityContext.runAsUser")]);
    }
}

/// Root of a user namespace may still become any user of the pod.
#[test]
fn a_user_namespace_is_no_excuse() {
    let pod = put(honest(), "/spec/hostUsers", json!(false));
    let pod = put(pod, "/spec/securityContext/runAsUser", json!(0));
    assert_eq!(told(&pod), ["PF-POD-003 $.spec.securityContext.runAsUser"]);
}

#[test]
fn the_sidecar_is_who_the_policy_says() {
    let pod = put(honest(), "/spec/securityContext/runAsUser", json!(7000));
    let said = |text: &str| spoken(&judged(&pod, &policy(text)));
    assert!(said("inject: {uid: 64646}").is_empty());
    assert_eq!(said("inject: {uid: 7000}"), ["PF-POD-003 $.spec.securityContext.runAsUser"]);
    assert!(said("inject: {uid: 7000, profile: none}").is_empty());
}

/// No mutation can know a user: templates are refused at once.
#[test]
fn templates_say_their_user() {
    let pod = put(honest(), "/spec/securityContext/runAsUser", json!(null));
    assert_eq!(
        told(&template(&pod)),
        ["PF-POD-003 $.spec.template.spec.containers[0].securityContext.runAsUser"]
    );
    assert!(told(&template(&honest())).is_empty());
}

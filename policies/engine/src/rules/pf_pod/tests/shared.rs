//! PF-POD-004.

use serde_json::{Value, json};

use super::{check, container, honest, judged, put, told};
use crate::organization::fixture::{policy, spoken};

const RULE: &str = "PF-POD-004";

#[test]
fn processes() {
    check(
        RULE,
        &[
            ("/spec/shareProcessNamespace", json!(true), &["$.spec.shareProcessNamespace"]),
            ("/spec/shareProcessNamespace", json!(false), &[]),
        ],
    );
}

/// Who mounts what is injected is PF-POD-001's to say, where that is judged.
#[test]
fn volumes_where_nobody_else_looks() {
    let mount = |volume: &str, read_only: bool| json!([{"name": volume, "mountPath": "/x", "readOnly": read_only}]);
    let devices = json!([{"name": "v", "devicePath": "/dev/a"}, {"name": "pinfold-state", "devicePath": "/dev/b"}]);
    let rows: [(&str, Value, &str); 7] = [
        ("volumeMounts", mount("pinfold-secrets", true), "volumeMounts[0]"),
        ("volumeMounts", mount("pinfold-policy", true), "volumeMounts[0]"),
        ("volumeMounts", mount("pinfold-state", true), "volumeMounts[0]"),
        ("volumeMounts", mount("pinfold-trust", false), "volumeMounts[0].readOnly"),
        ("volumeMounts", mount("pinfold-trust", true), ""),
        ("volumeMounts", mount("v", false), ""),
        ("volumeDevices", devices, "volumeDevices[1]"),
    ];
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for (field, value, path) in &rows {
            let other = put(container("other"), &format!("/{field}"), value.clone());
            let pod = put(honest(), &format!("/spec/{list}"), json!([other]));
            let path = format!("{RULE} $.spec.{list}[0].{path}");
            let expected = if path.ends_with('.') { vec![] } else { vec![path] };
            let unheld = policy("rules: [{id: PF-POD-001, mode: 'off'}]");
            assert_eq!(spoken(&judged(&pod, &unheld)), expected, "{list} {field} {value}");
            assert!(told(&pod).is_empty());
        }
    }
}

/// Ephemeral containers come later, and may join the processes of another container.
#[test]
fn ephemeral_containers() {
    for (target, said) in [("pinfold-sidecar", true), ("pinfold-guard", true), ("agent", false)] {
        let debug = put(container("debug"), "/targetContainerName", json!(target));
        let pod = put(honest(), "/spec/ephemeralContainers", json!([debug]));
        let path = format!("{RULE} $.spec.ephemeralContainers[0].targetContainerName");
        let expected = if said { vec![path] } else { vec![] };
        assert_eq!(told(&pod), expected, "{target}");
    }
}

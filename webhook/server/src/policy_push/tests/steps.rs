//! What goes to the API server.

use serde_json::json;

use super::pod;
use crate::policy_push::patch::{Order, steps};

fn order(written: &str) -> Order {
    Order {
        pod: pod("p", "u", "").key,
        uid: "u-1".to_owned(),
        written: written.to_owned(),
        text: "{}".into(),
        digest: "sha256:new".to_owned(),
        none: false,
    }
}

#[test]
fn both_annotations_in_one_patch_that_names_what_it_replaces() {
    let at = |key: &str| format!("/metadata/annotations/pinfold.dev~1{key}");
    let uid = json!({"op": "test", "path": "/metadata/uid", "value": "u-1"});
    let text = json!({"op": "add", "path": at("policy"), "value": "{}"});
    let digest = json!({"op": "add", "path": at("policy-digest"), "value": "sha256:new"});
    let test = json!({"op": "test", "path": at("policy-digest"), "value": "sha256:old"});
    assert_eq!(steps(&order("sha256:old")), json!([uid, test, text, digest]));
    assert_eq!(steps(&order("")), json!([uid, text, digest]));
}

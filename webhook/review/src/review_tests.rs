//! Cases of reading reviews: every part missing, twice, mistyped, cut off or too much.

use pinfold_model::finding::RuleId;
use pinfold_model::object::Facts;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A readable review: a ConfigMap is created.
fn sample() -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "name": "settings", "namespace": "acme", "operation": "CREATE",
        "userInfo": {"username": "ada", "uid": "u-1", "groups": ["devs", "system:authenticated"],
            "extra": {"scopes": ["a", "b"]}},
        "object": {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "acme", "labels": {"a": "b"}},
            "data": {"key": "value"}},
        "oldObject": null, "dryRun": true, "options": {"kind": "CreateOptions"}
    }})
}

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

fn with(pointer: &str, value: Value) -> Value {
    let mut review = sample();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    review.pointer_mut(parent).unwrap()[member] = value;
    review
}

fn without(pointer: &str) -> Value {
    let mut review = sample();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    review.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member);
    review
}

fn parsed(review: &Value) -> Review {
    parse(review.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn refused(body: &[u8], rule: &RuleId, path: &str) -> ReviewError {
    let error = parse(body).unwrap_err();
    assert_eq!(error.fault.rule(), *rule, "{error}");
    assert_eq!(error.fault.path(), path, "{error}");
    assert!(!error.fault.remedy().is_empty());
    error
}

#[test]
fn every_part_arrives() {
    let Review { facts, version } = parsed(&sample());
    assert_eq!(facts.uid, UID);
    let requester = facts.requester.unwrap();
    assert_eq!((requester.name.as_str(), requester.uid.as_str()), ("ada", "u-1"));
    assert_eq!(requester.groups, ["devs", "system:authenticated"]);
    assert_eq!(requester.extra["scopes"], ["a", "b"]);
    assert_eq!(facts.operation, Operation::Create);
    assert_eq!(facts.target.to_string(), "ConfigMap acme/settings");
    assert_eq!(facts.request_name, "", "a POST has no name for the authorizer");
    assert!(facts.dry_run);
    assert_eq!(facts.object.unwrap().key, facts.target);
    assert_eq!(facts.old_object, None);
    assert_eq!(facts.document.unwrap()["data"]["key"], "value");
    assert_eq!(version, "v1");
}

#[test]
fn what_is_no_review_is_refused_with_the_uid_where_it_is_known() {
    let text = sample().to_string();
    let cut = |length: usize| text.as_bytes()[..length].to_vec();
    let deep_top = [b"[".repeat(10 * 1024 * 1024), b"]".repeat(10 * 1024 * 1024)].concat();
    let mut bad_byte = text.clone().into_bytes();
    let at = text.find("settings").unwrap();
    bad_byte[at] = 0xff;
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("nothing", Vec::new(), false),
        ("white space", b" \n\t ".to_vec(), false),
        ("text", b"hello".to_vec(), false),
        ("a list", b"[]".to_vec(), false),
        ("10 MB of nested lists", deep_top, false),
        ("null", b"null".to_vec(), false),
        ("a byte order mark", [b"\xEF\xBB\xBF", text.as_bytes()].concat(), false),
        ("a bad byte", bad_byte, false),
        ("two reviews", text.repeat(2).into_bytes(), true),
        ("rubbish after it", format!("{text}x").into_bytes(), true),
        ("cut in the middle", cut(text.len() / 2), false),
        ("cut at the end", cut(text.len() - 1), true),
        ("another kind", with("/kind", json!("ConversionReview")).to_string().into_bytes(), true),
        (
            "an old version",
            with("/apiVersion", json!("admission.k8s.io/v1beta1")).to_string().into_bytes(),
            true,
        ),
        ("no version", without("/apiVersion").to_string().into_bytes(), true),
        ("kind in capitals", text.replace("\"kind\":\"AdmissionReview\"", "\"Kind\":\"AdmissionReview\"").into_bytes(), true),
        ("no request", without("/request").to_string().into_bytes(), false),
        ("request is a list", with("/request", json!([])).to_string().into_bytes(), false),
        ("an answer", json!({"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": "x", "allowed": true}}).to_string().into_bytes(), false),
    ];
    for (name, body, has_uid) in cases {
        let error = parse(&body).expect_err(name);
        assert_eq!(error.fault.rule(), RuleId::REQ_MALFORMED, "{name}: {error}");
        if has_uid {
            assert_eq!(error.uid.as_deref(), Some(UID), "{name}");
        } else {
            assert!(error.uid.is_none() || error.uid.as_deref() == Some(UID), "{name}");
        }
    }
}

#[test]
fn the_uid_of_a_review_that_is_cut_off_is_found() {
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{UID}","kind":{{"group":""#
    );
    let error = refused(body.as_bytes(), &RuleId::REQ_MALFORMED, "$");
    assert_eq!(error.uid.as_deref(), Some(UID));
}

#[test]
fn missing_and_mistyped_parts_are_named() {
    let malformed = RuleId::REQ_MALFORMED;
    for part in ["uid", "kind", "resource", "operation", "object"] {
        let path = format!("$.request.{part}");
        refused(without(&format!("/request/{part}")).to_string().as_bytes(), &malformed, &path);
        let wrong = with(&format!("/request/{part}"), json!(7));
        refused(wrong.to_string().as_bytes(), &malformed, &path);
    }
    let cases = [
        ("/request/operation", json!("create"), malformed.clone(), "$.request.operation"),
        ("/request/operation", json!("*"), malformed.clone(), "$.request.operation"),
        ("/request/kind/kind", json!(""), malformed.clone(), "$.request.kind.kind"),
        ("/request/resource/resource", json!(""), malformed.clone(), "$.request.resource.resource"),
        ("/request/dryRun", json!("yes"), malformed.clone(), "$.request.dryRun"),
        ("/request/namespace", json!(["acme"]), malformed.clone(), "$.request.namespace"),
        ("/request/userInfo", json!([]), malformed.clone(), "$.request.userInfo"),
        (
            "/request/userInfo",
            json!(["admin", "u", ["system:masters"]]),
            malformed.clone(),
            "$.request.userInfo",
        ),
        ("/request/kind", json!(["", "v1", "Pod"]), malformed.clone(), "$.request.kind"),
        ("/request/resource", json!(["", "pods"]), malformed.clone(), "$.request.resource"),
        ("/request/userInfo/groups", json!("devs"), malformed.clone(), "$.request.userInfo"),
        ("/request/userInfo", json!({}), RuleId::REQ_NO_USER, "$.request.userInfo.username"),
        ("/request/userInfo", Value::Null, RuleId::REQ_NO_USER, "$.request.userInfo.username"),
        (
            "/request/userInfo/username",
            json!(""),
            RuleId::REQ_NO_USER,
            "$.request.userInfo.username",
        ),
        (
            "/request/object/metadata/namespace",
            json!("other"),
            malformed.clone(),
            "$.request.object",
        ),
        ("/request/object/metadata/name", json!("other"), malformed.clone(), "$.request.object"),
        ("/request/object/kind", json!("Secret"), malformed.clone(), "$.request.object"),
        ("/request/object/apiVersion", json!("v2"), malformed, "$.request.object"),
    ];
    for (pointer, value, rule, path) in cases {
        let error = refused(with(pointer, value).to_string().as_bytes(), &rule, path);
        assert_eq!(error.uid.as_deref(), Some(UID), "{pointer}");
    }
    for uid in [json!(""), json!("x".repeat(300)), json!("a\nb"), Value::Null] {
        let error = refused(
            with("/request/uid", uid).to_string().as_bytes(),
            &RuleId::REQ_MALFORMED,
            "$.request.uid",
        );
        assert_eq!(error.uid, None);
    }
}

/// An answer is shown to people and kept in audits: whatever stands where, it is not in there.
#[test]
fn no_value_is_repeated() {
    let canary = "ghp_canary, expected a list";
    for part in [
        "uid",
        "kind",
        "resource",
        "operation",
        "userInfo",
        "dryRun",
        "options",
        "object",
        "oldObject",
        "name",
        "namespace",
        "subResource",
    ] {
        for value in [
            json!(canary),
            json!([canary]),
            json!({"username": [canary], "group": [canary]}),
            json!(5_150_515),
        ] {
            let review = with(&format!("/request/{part}"), value);
            if let Err(error) = parse(review.to_string().as_bytes()) {
                let said = error.to_string();
                // Names are told: they are what the request is about.
                let names = matches!(part, "name" | "namespace");
                assert!(
                    names || !said.contains("canary") && !said.contains("5150"),
                    "{part}: {said}"
                );
            }
        }
    }
    let server = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentMcpServer",
        "metadata": {"name": "settings", "namespace": "acme"}, "spec": {"secretRefs": canary}});
    let mut review = with("/request/object", server);
    review["request"]["kind"] =
        json!({"group": "krate.a5c.ai", "version": "v1alpha1", "kind": "AgentMcpServer"});
    let error = refused(review.to_string().as_bytes(), &RuleId::REQ_OBJECT, "$.request.object");
    assert_eq!(
        error.to_string(),
        "AgentMcpServer: `$.spec.secretRefs`: expected a list, found a string"
    );
}

#[test]
fn members_twice_are_refused_wherever_they_are() {
    let text = sample().to_string();
    let cases = [
        (
            "\"apiVersion\":\"admission",
            "\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission",
            "$",
        ),
        ("\"uid\":\"705", "\"uid\":\"x\",\"uid\":\"705", "$.request"),
        ("\"operation\"", "\"operation\":\"DELETE\",\"operation\"", "$.request"),
        ("\"username\"", "\"username\":\"admin\",\"username\"", "$.request.userInfo"),
        ("\"data\":", "\"data\":{},\"data\":", "$.request.object"),
        ("\"key\":\"value\"", "\"key\":\"a\",\"key\":\"b\"", "$.request.object"),
        ("\"kind\":\"CreateOptions\"", "\"kind\":\"a\",\"kind\":\"b\"", "$.request.options"),
        ("\"dryRun\":true", "\"x\":{\"y\":1,\"y\":2},\"dryRun\":true", "$.request"),
    ];
    for (from, to, path) in cases {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = refused(changed.as_bytes(), &RuleId::REQ_MALFORMED, path);
        assert!(error.to_string().contains("twice"), "{error}");
        assert!(error.uid.is_some(), "{from}");
    }
}

fn nested(depth: usize) -> String {
    let object = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    sample().to_string().replacen(r#""value""#, &object, 1)
}

#[test]
fn depth_and_size_are_refused_with_the_uid() {
    for depth in [125, 127, 128, 1_000, 10_000] {
        let error = refused(nested(depth).as_bytes(), &RuleId::REQ_LIMIT, "$.request.object");
        assert_eq!(error.uid.as_deref(), Some(UID), "{depth}");
        let list = sample().to_string().replacen(
            r#""value""#,
            &format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
            1,
        );
        refused(list.as_bytes(), &RuleId::REQ_LIMIT, "$.request.object");
    }
    let many = with("/request/object/data/key", json!(vec![0; 500_000]));
    refused(many.to_string().as_bytes(), &RuleId::REQ_LIMIT, "$.request.object");
    let members: Vec<String> = (0..100).map(|index| format!("\"m{index}\":1")).collect();
    let crowd = sample().to_string().replacen(
        "\"dryRun\"",
        &format!("{},\"dryRun\"", members.join(",")),
        1,
    );
    refused(crowd.as_bytes(), &RuleId::REQ_LIMIT, "$.request");
}

#[test]
fn depth_needs_no_stack() {
    let body = nested(10_000);
    // Half of what a thread of the server has, in a debug build: enough for the levels that are allowed, not for 10,000.
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let error = small.spawn(move || parse(body.as_bytes()).unwrap_err()).unwrap().join().unwrap();
    assert_eq!(error.uid.as_deref(), Some(UID));
}

#[test]
fn what_the_api_server_may_send_is_read() {
    let big_list = with("/request/object/data/key", json!(vec![1; 100_000]));
    let long_text = with("/request/object/data/key", json!("x".repeat(1_500_000)));
    for review in [big_list, long_text] {
        parsed(&review);
    }
    let text = sample().to_string();
    for number in ["9007199254740993", "18446744073709551616", "-1e300", "1.5"] {
        parse(text.replacen(r#""value""#, number, 1).as_bytes()).unwrap();
    }
    for bad in [r#""\ud800""#, "1e999", "01", "NaN", r#""\x""#, "'a'", "tru"] {
        let error = parse(text.replacen(r#""value""#, bad, 1).as_bytes()).expect_err(bad);
        assert_eq!(error.fault.rule(), RuleId::REQ_MALFORMED, "{bad}");
    }
}

#[test]
fn field_names_have_one_spelling() {
    let text = sample().to_string();
    let error = parse(text.replacen("\"userInfo\"", "\"UserInfo\"", 1).as_bytes()).unwrap_err();
    assert_eq!(error.fault.rule(), RuleId::REQ_NO_USER);
    let with_shadow = text.replacen("\"dryRun\"", "\"Object\":{\"kind\":\"Pod\"},\"dryRun\"", 1);
    let review = parse(with_shadow.as_bytes()).unwrap();
    assert_eq!(review.facts.target.kind, "ConfigMap", "a member of another spelling is unknown");
}

/// Resource with subresource, operation, group and kind, object; an UPDATE has the object as its past too.
fn subresources() -> Vec<(&'static str, &'static str, &'static str, &'static str, Value)> {
    let meta = json!({"name": "settings", "namespace": "acme"});
    let object = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec});
    let pod = object("v1", "Pod", json!({"containers": []}));
    let scale = object("autoscaling/v1", "Scale", json!({"replicas": 2}));
    let node = json!({"apiVersion": "v1", "kind": "Binding", "metadata": meta,
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"}});
    let exec = json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]});
    let proxy = json!({"apiVersion": "v1", "kind": "NodeProxyOptions", "path": "/run"});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {}, "spec": {"audiences": ["x"]}});
    vec![
        ("pods/ephemeralcontainers", "UPDATE", "", "Pod", pod.clone()),
        ("pods/status", "UPDATE", "", "Pod", pod.clone()),
        ("pods/resize", "UPDATE", "", "Pod", pod),
        ("pods/binding", "CREATE", "", "Binding", node.clone()),
        ("bindings/", "CREATE", "", "Binding", node),
        ("deployments/scale", "UPDATE", "autoscaling", "Scale", scale),
        ("serviceaccounts/token", "CREATE", "authentication.k8s.io", "TokenRequest", token),
        ("pods/exec", "CONNECT", "", "PodExecOptions", exec),
        ("pods/attach", "CONNECT", "", "PodAttachOptions", Value::Null),
        ("pods/portforward", "CONNECT", "", "PodPortForwardOptions", Value::Null),
        ("nodes/proxy", "CONNECT", "", "NodeProxyOptions", proxy),
    ]
}

#[test]
fn every_subresource_is_about_the_kind_that_was_sent() {
    for (name, operation, group, kind, object) in subresources() {
        let (resource, subresource) = name.split_once('/').unwrap();
        let mut review = sample();
        let request = &mut review["request"];
        request["kind"] = json!({"group": group, "version": "v1", "kind": kind});
        request["resource"] = json!({"group": "", "version": "v1", "resource": resource});
        request["subResource"] = json!(subresource);
        request["operation"] = json!(operation);
        request["oldObject"] = if operation == "UPDATE" { object.clone() } else { Value::Null };
        request["object"] = object;
        let Review { facts, .. } = parsed(&review);
        assert_eq!((facts.target.group.as_str(), facts.target.kind.as_str()), (group, kind));
        assert_eq!(facts.target.namespace, "acme", "{name}");
        assert_eq!(facts.target.name, "settings", "{name}");
        assert_eq!(facts.subresource, subresource);
        let object = facts.object.unwrap();
        assert_eq!(object.key, facts.target, "{name}");
        if operation == "CONNECT" {
            assert_eq!(object.facts, Facts::MetaOnly, "{name}");
        }
        assert_eq!(facts.request_name, if subresource.is_empty() { "" } else { "settings" });
    }
}

#[test]
fn a_namespace_is_not_in_itself() {
    for (subresource, operation) in [("", "UPDATE"), ("status", "UPDATE"), ("finalize", "UPDATE")] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "acme", "labels": {"org": "x"}}});
        let mut review = sample();
        let request = &mut review["request"];
        request["kind"]["kind"] = json!("Namespace");
        request["resource"]["resource"] = json!("namespaces");
        request["subResource"] = json!(subresource);
        request["operation"] = json!(operation);
        request["name"] = json!("acme");
        request["object"] = namespace.clone();
        request["oldObject"] = namespace;
        let Review { facts, .. } = parsed(&review);
        assert_eq!(facts.target.to_string(), "Namespace acme");
        assert_eq!(facts.old_object.unwrap().key, facts.target);
    }
}

#[test]
fn updates_and_deletions_carry_the_old_object() {
    let mut review = sample();
    review["request"]["operation"] = json!("UPDATE");
    let error = parse(review.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.fault.path(), "$.request.oldObject", "an update without its past");
    review["request"]["oldObject"] = review["request"]["object"].clone();
    let Review { facts, .. } = parsed(&review);
    assert_eq!(facts.request_name, "settings");
    assert!(facts.object.is_some() && facts.old_object.is_some());
    review["request"]["operation"] = json!("DELETE");
    review["request"]["object"] = Value::Null;
    let Review { facts, .. } = parsed(&review);
    assert_eq!((facts.object, facts.document), (None, None));
    assert_eq!(facts.old_object.unwrap().key, facts.target);
    review["request"]["oldObject"] = Value::Null;
    let error = parse(review.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.fault.path(), "$.request.oldObject");
}

#[test]
fn an_object_in_deletion_is_read_like_any_other() {
    let mut review = sample();
    review["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    review["request"]["object"]["metadata"]["finalizers"] = json!(["held.example/forever"]);
    assert_eq!(parsed(&review).facts.target.name, "settings");
}

#[test]
fn a_generated_name_stays_open() {
    let mut review = without("/request/name");
    review["request"]["object"]["metadata"] = json!({"generateName": "settings-"});
    let Review { facts, .. } = parsed(&review);
    assert_eq!(facts.target.to_string(), "ConfigMap acme/");
}

/// What may be done to a review's bytes.
#[derive(Debug, Clone)]
enum Edit {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Drop(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn edits() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Edit::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Flip(at, byte)),
        (at(), 1..40_usize).prop_map(|(at, length)| Edit::Drop(at, length)),
        (at(), 1..40_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        (
            at(),
            prop::sample::select(vec![
                "{", "}", "[", "]", "\"", ",", ":", "null", "\\u0000", "\u{202e}"
            ])
        )
            .prop_map(|(at, text)| Edit::Insert(at, text.as_bytes().to_vec())),
    ]
}

fn edit(body: &mut Vec<u8>, edit: &Edit) {
    if body.is_empty() {
        return;
    }
    match edit {
        Edit::Cut(at) => body.truncate(at.index(body.len())),
        Edit::Flip(at, byte) => {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        Edit::Drop(at, length) => {
            let from = at.index(body.len());
            let to = from.saturating_add(*length).min(body.len());
            body.drain(from..to);
        }
        Edit::Repeat(at, length) => {
            let from = at.index(body.len());
            let to = from.saturating_add(*length).min(body.len());
            let part = body[from..to].to_vec();
            body.splice(to..to, part);
        }
        Edit::Insert(at, bytes) => {
            let at = at.index(body.len());
            body.splice(at..at, bytes.iter().copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_reviews_never_panic_nor_lose_the_uid(damage in prop::collection::vec(edits(), 1..6)) {
        let mut body = sample().to_string().into_bytes();
        damage.iter().for_each(|step| edit(&mut body, step));
        match parse(&body) {
            Ok(review) => {
                prop_assert!(!review.facts.uid.is_empty());
                prop_assert!(review.facts.requester.is_some_and(|user| !user.name.is_empty()));
                // Whoever else reads these bytes sees the same uid.
                let seen: Value = serde_json::from_slice(&body).unwrap();
                prop_assert_eq!(seen["request"]["uid"].as_str(), Some(review.facts.uid.as_str()));
            }
            Err(error) => {
                prop_assert!(error.uid.as_ref().is_none_or(|uid| !uid.is_empty()));
                prop_assert!(error.to_string().len() < 4096);
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&body).is_err());
    }
}

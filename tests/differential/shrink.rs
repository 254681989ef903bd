//! Makes a case smaller while it still shows the difference: whole objects first, then parts of what is left.

use pinfold_model::facts::AccessQuestion;
use serde_json::Value;

use crate::Outcome;
use crate::kinds::text;
use crate::requests::Request;
use crate::world::{LABEL, User};

/// What is put to both sides.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A write.
    Write(Request),
    /// A SubjectAccessReview.
    Access(User, AccessQuestion),
}

/// A cluster and a question to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) objects: Vec<Value>,
    pub(crate) probe: Probe,
}

impl Case {
    /// Whether the request, or the object that it changes, names such a role.
    pub(crate) fn is_about(&self, role: impl Fn(&str) -> bool) -> bool {
        let Probe::Write(request) = &self.probe else { return false };
        let named = |value: &Value| {
            value.pointer("/roleRef/name").and_then(Value::as_str).is_some_and(&role)
        };
        let steps = request.body.as_array().into_iter().flatten();
        let patched =
            |step: &Value| step.pointer("/value/name").and_then(Value::as_str).is_some_and(&role);
        let old = |object: &Value| text(object, "/metadata/name") == request.name && named(object);
        named(&request.body) || steps.into_iter().any(patched) || self.objects.iter().any(old)
    }
}

/// How often both sides are asked again at most.
pub(crate) const ATTEMPTS_MAX: usize = 1_000;

/// The smallest case found that differs; `differs` asks both sides, and says no to a case that can't be put.
pub(crate) fn shrink(
    mut case: Case,
    mut differs: impl FnMut(&Case) -> Outcome<bool>,
) -> Outcome<Case> {
    let mut left = ATTEMPTS_MAX;
    let mut chunk = case.objects.len();
    while chunk > 0 {
        let mut at = 0;
        while at < case.objects.len() && left > 0 {
            let mut smaller = case.clone();
            let end = at.saturating_add(chunk).min(case.objects.len());
            smaller.objects.drain(at..end);
            left = left.saturating_sub(1);
            if differs(&smaller)? { case = smaller } else { at = end }
        }
        chunk = chunk.checked_div(2).unwrap_or(0);
    }
    let mut number = 0;
    let mut since_success = 0_usize;
    while left > 0 {
        let parts = parts(&case);
        if since_success >= parts.len() {
            break;
        }
        // After a success the same number is the next part; at the end it starts over.
        number = if number < parts.len() { number } else { 0 };
        let Some(part) = parts.get(number) else { break };
        let smaller = without(&case, part);
        left = left.saturating_sub(1);
        if differs(&smaller)? {
            (case, since_success) = (smaller, 0);
        } else {
            number = number.saturating_add(1);
            since_success = since_success.saturating_add(1);
        }
    }
    Ok(case)
}

/// Something that can be left out.
#[derive(Debug, Clone)]
enum Part {
    /// Of an object, or of the body if there is no number: the member or item below a pointer.
    Of(Option<usize>, String, String),
    Group(usize),
}

fn parts(case: &Case) -> Vec<Part> {
    let mut found = Vec::new();
    let (user, body) = match &case.probe {
        Probe::Write(request) => (&request.user, Some(&request.body)),
        Probe::Access(user, _) => (user, None),
    };
    found.extend((0..user.groups.len()).map(Part::Group));
    let objects = case.objects.iter().enumerate().map(|(number, object)| (Some(number), object));
    for (of, object) in objects.chain(body.map(|body| (None, body))) {
        let mut below = Vec::new();
        walk(object, "", &mut below);
        found.extend(below.into_iter().map(|(at, name)| Part::Of(of, at, name)));
    }
    found
}

/// Items of lists and members of maps, large ones first.
fn walk(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                found.push((at.to_owned(), number.to_string()));
                walk(item, &format!("{at}/{number}"), found);
            }
        }
        Value::Object(members) => {
            let fixed = [
                "apiVersion",
                "kind",
                "metadata",
                "labels",
                "name",
                "namespace",
                "op",
                "path",
                LABEL,
            ];
            for (name, member) in members {
                if !fixed.contains(&name.as_str()) && at != "/roleRef" {
                    found.push((at.to_owned(), name.clone()));
                }
                walk(
                    member,
                    &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without(case: &Case, part: &Part) -> Case {
    let mut case = case.clone();
    let (user, body) = match &mut case.probe {
        Probe::Write(request) => (&mut request.user, Some(&mut request.body)),
        Probe::Access(user, _) => (user, None),
    };
    match part {
        Part::Group(number) => _ = user.groups.remove(*number),
        Part::Of(of, at, name) => {
            let object = match of {
                Some(number) => case.objects.get_mut(*number),
                None => body,
            };
            let Some(within) = object.and_then(|object| object.pointer_mut(at)) else {
                return case;
            };
            if let Some(members) = within.as_object_mut() {
                members.remove(name);
            } else if let (Some(items), Ok(number)) = (within.as_array_mut(), name.parse()) {
                items.remove(number);
            }
        }
    }
    case
}

/// The case as YAML: the cluster, then who asks what.
pub(crate) fn yaml(case: &Case) -> String {
    let mut lines = String::new();
    for object in &case.objects {
        block(object, 0, &mut lines);
        lines.push_str("---\n");
    }
    let question = match &case.probe {
        Probe::Write(request) => {
            serde_json::json!({"user": request.user.name, "groups": request.user.groups,
            "send": format!("{:?} {} {}", request.verb, request.kind.path(&request.namespace), request.name), "body": request.body})
        }
        Probe::Access(user, question) => crate::access::spec(user, question),
    };
    block(&question, 0, &mut lines);
    lines
}

/// Block style, every text quoted as in JSON, which YAML reads as well.
fn block(value: &Value, depth: usize, lines: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                lines.push_str(&format!("{indent}{name}:"));
                nested(member, depth, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                lines.push_str(&format!("{indent}-"));
                nested(item, depth, lines);
            }
        }
        flat @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => lines.push_str(&format!("{indent}{flat}\n")),
    }
}

fn nested(value: &Value, depth: usize, lines: &mut String) {
    let is_flat = match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => !items.iter().any(Value::is_object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    if is_flat {
        lines.push_str(&format!(" {value}\n"));
    } else {
        lines.push('\n');
        block(value, depth.saturating_add(1), lines);
    }
}

#[test]
fn what_does_not_matter_goes() {
    use serde_json::json;

    use crate::kinds::RbacKind;
    use crate::requests::Verb;

    let role = |name: &str, resources: &[&str]| {
        json!({"kind": "ClusterRole", "metadata": {"name": name, "labels": {LABEL: "w", "x": "y"}},
            "rules": [{"verbs": ["list"]}, {"verbs": ["get", "list"], "resources": resources}]})
    };
    let mut objects: Vec<Value> =
        (0..40).map(|number| role(&format!("r{number}"), &["pods"])).collect();
    objects.insert(17, role("needed", &["pods", "*/exec"]));
    let request = Request {
        user: User { name: "u".to_owned(), groups: vec!["a".to_owned(), "b".to_owned()] },
        kind: RbacKind::ClusterRole,
        namespace: String::new(),
        name: String::new(),
        verb: Verb::Post,
        body: role("new", &["secrets", "pods/exec"]),
        creates: true,
        tag: "",
    };
    // An artificial difference: group `b`, and rules that hold these two texts.
    let differs = |case: &Case| {
        let Probe::Write(request) = &case.probe else { return Ok(false) };
        let needed = case.objects.iter().find(|object| text(object, "/metadata/name") == "needed");
        let held = needed.is_some_and(|object| object["rules"].to_string().contains("*/exec"));
        let wanted = request.body["rules"].to_string().contains("pods/exec");
        Ok(held && wanted && request.user.groups.contains(&"b".to_owned()))
    };
    let small = shrink(Case { objects, probe: Probe::Write(request) }, differs).expect("no error");
    let expected = "kind: \"ClusterRole\"\nmetadata:\n  labels:\n    pinfold.test/world: \"w\"\n  name: \"needed\"\nrules:\n  -\n    resources: [\"*/exec\"]\n\
        ---\nbody:\n  kind: \"ClusterRole\"\n  metadata:\n    labels:\n      pinfold.test/world: \"w\"\n    name: \"new\"\n  rules:\n    -\n      resources: [\"pods/exec\"]\n\
        groups: [\"b\"]\nsend: \"Post /apis/rbac.authorization.k8s.io/v1/clusterroles \"\nuser: \"u\"\n";
    assert_eq!(yaml(&small), expected);
}

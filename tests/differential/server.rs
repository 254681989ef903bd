//! The API server's side: worlds are put into it, requests are put to it, and its answers are read strictly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use pinfold_tests::ApiServer;
use serde_json::{Value, json};

use crate::Outcome;
use crate::connection::{Call, Connections, Reply};
use crate::kinds::{API_VERSION, GROUP, Identity, RbacKind, identity, set, text};
use crate::recorder::{Recorder, Reviews};
use crate::requests::{Request, Verb};
use crate::world::{LABEL, User};

/// How long the API server may take to see what was written.
const SOON: Duration = Duration::from_secs(60);
const BASE: &str = "pinfold-differential-base";

/// What the API server says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Allowed and valid.
    Allowed,
    /// The check refused it.
    Denied(String),
    /// The check let it by and validation refused it, for these fields.
    Invalid(Vec<String>),
}

impl Verdict {
    pub(crate) fn passed(&self) -> bool {
        match self {
            Self::Allowed | Self::Invalid(_) => true,
            Self::Denied(_) => false,
        }
    }

    /// Whether validation refused one of these fields.
    pub(crate) fn refused_for(&self, fields: &[&str]) -> bool {
        match self {
            Self::Invalid(refused) => refused.iter().any(|field| fields.contains(&field.as_str())),
            Self::Allowed | Self::Denied(_) => false,
        }
    }
}

/// One answered request.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) verdict: Verdict,
    pub(crate) reviews: Reviews,
}

/// The objects that the API server has, with all that it added.
pub(crate) struct Stored {
    pub(crate) objects: Vec<Value>,
    by_identity: BTreeMap<Identity, usize>,
}

impl Stored {
    pub(crate) fn object(&self, of: &Identity) -> Option<&Value> {
        self.objects.get(*self.by_identity.get(of)?)
    }
}

/// The API server, and the webhook that listens.
pub(crate) struct Server {
    pub(crate) connections: Connections,
    recorder: Recorder,
    next_case: AtomicU64,
}

impl Server {
    pub(crate) async fn open(server: &ApiServer) -> Outcome<Self> {
        let (connections, recorder) = (Connections::new(server)?, Recorder::start().await?);
        let opened = Self { connections, recorder, next_case: AtomicU64::new(1) };
        let mut calls: Vec<Call> = opened
            .recorder
            .registrations()
            .iter()
            .map(|(plural, object)| {
                Call::new(
                    Method::POST,
                    format!("/apis/admissionregistration.k8s.io/v1/{plural}"),
                    Some(object),
                )
            })
            .collect();
        calls.extend(base_right().iter().filter_map(creation));
        opened.create(calls).await?;
        opened.fill_bootstrap_aggregates().await?;
        opened.wait_for_recorder().await?;
        Ok(opened)
    }

    /// Writes the rules of `view`, `edit` and `admin`, as the controller that isn't here would; each aggregates the one before it.
    async fn fill_bootstrap_aggregates(&self) -> Outcome {
        for name in ["view", "edit", "admin"] {
            let stored = self.stored().await?;
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
            let selected = stored.objects.iter().filter(|object| {
                let labels = object.pointer("/metadata/labels");
                labels.and_then(|labels| labels.get(&label)).is_some_and(|value| value == "true")
            });
            let mut rules: Vec<&Value> = Vec::new();
            for rule in selected.filter_map(|role| role.get("rules")?.as_array()).flatten() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
            let path = format!("{}/{name}", RbacKind::ClusterRole.path(""));
            let mut call = Call::new(Method::PATCH, path, Some(&json!({"rules": rules})));
            call.content_type = "application/merge-patch+json";
            let reply = self.connections.send(call).await?;
            if reply.status != 200 || rules.is_empty() {
                return Err(format!("`{name}` is not filled: {}", reply.body).into());
            }
        }
        Ok(())
    }

    async fn create(&self, calls: Vec<Call>) -> Outcome {
        let sent = calls.clone();
        for (call, reply) in sent.iter().zip(self.connections.send_all(calls).await?) {
            if reply.status != 201 {
                let body = String::from_utf8_lossy(&call.body);
                return Err(format!("not created: {} {body}: {}", call.target, reply.body).into());
            }
        }
        Ok(())
    }

    /// Until both webhooks are asked: a request that the check lets by has both reviews.
    async fn wait_for_recorder(&self) -> Outcome {
        let user = User { name: "nobody".to_owned(), groups: Vec::new() };
        let body = RbacKind::ClusterRole.object("", "probe");
        let probe = Request {
            user,
            kind: RbacKind::ClusterRole,
            namespace: String::new(),
            name: String::new(),
            verb: Verb::Post,
            body,
            creates: true,
            tag: "",
        };
        let began = Instant::now();
        while began.elapsed() < SOON {
            let stored = Stored { objects: Vec::new(), by_identity: BTreeMap::new() };
            let (call, case) = self.call(&probe, &stored);
            let reply = self.connections.send(call).await?;
            let reviews = self.recorder.take(case);
            if reply.status == 201 && reviews.mutating.is_some() && reviews.validating.is_some() {
                return Ok(());
            }
        }
        Err("the webhook that records is never asked".into())
    }

    /// Makes namespaces.
    pub(crate) async fn make_namespaces(&self, namespaces: &[String]) -> Outcome {
        let namespace = |name: &String| {
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            Call::new(Method::POST, "/api/v1/namespaces", Some(&object))
        };
        self.create(namespaces.iter().map(namespace).collect()).await
    }

    /// Makes objects, and waits until the authorizer has seen them.
    pub(crate) async fn put(&self, objects: &[Value]) -> Outcome {
        self.create(objects.iter().filter_map(creation).collect()).await?;
        let number = self.next_case.fetch_add(1, Ordering::Relaxed);
        let (canaries, questions) = canaries(number, "default");
        // One after the other: each is the last of its kind, and what the authorizer reads of a kind comes in order.
        for canary in &canaries {
            self.create(creation(canary).into_iter().collect()).await?;
        }
        for question in questions {
            self.until_allowed(&question).await?;
        }
        let paths = canaries.iter().filter_map(path_of);
        let removals = paths.map(|path| Call::new(Method::DELETE, path, None)).collect();
        self.connections.send_all(removals).await?;
        Ok(())
    }

    async fn until_allowed(&self, question: &Value) -> Outcome {
        let began = Instant::now();
        while began.elapsed() < SOON {
            if self.may(std::slice::from_ref(question)).await? == [true] {
                return Ok(());
            }
        }
        Err(format!("the authorizer never saw what allows {question}").into())
    }

    /// Puts SubjectAccessReviews.
    pub(crate) async fn may(&self, questions: &[Value]) -> Outcome<Vec<bool>> {
        let call = |spec: &Value| {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
            Call::new(
                Method::POST,
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                Some(&review),
            )
        };
        let replies = self.connections.send_all(questions.iter().map(call).collect()).await?;
        let allowed =
            |reply: &Reply| reply.body.pointer("/status/allowed").and_then(Value::as_bool);
        let answers = replies
            .iter()
            .map(|reply| allowed(reply).ok_or_else(|| format!("no answer: {reply:?}").into()));
        answers.collect()
    }

    /// Everything of the four kinds, as the API server has it.
    pub(crate) async fn stored(&self) -> Outcome<Stored> {
        let lists = RbacKind::ALL.map(|kind| Call::new(Method::GET, kind.path(""), None));
        let mut objects = Vec::new();
        for reply in self.connections.send_all(lists.to_vec()).await? {
            let items = pinfold_model::object::items(&reply.body).ok_or("not a list")?;
            objects.extend(items.into_iter().map(std::borrow::Cow::into_owned));
        }
        let by_identity =
            objects.iter().enumerate().map(|(place, object)| (identity(object), place)).collect();
        Ok(Stored { objects, by_identity })
    }

    /// Removes a world's objects; the namespaces stay, empty.
    pub(crate) async fn clear(&self, world: &str, namespaces: &[String]) -> Outcome {
        let everywhere = String::new();
        let mut calls = Vec::new();
        for kind in RbacKind::ALL {
            let places =
                if kind.is_namespaced() { namespaces } else { std::slice::from_ref(&everywhere) };
            for place in places {
                let target = format!(
                    "{}?labelSelector={}",
                    kind.path(place),
                    format_args!("{LABEL}%3D{world}")
                );
                calls.push(Call::new(Method::DELETE, target, None));
            }
        }
        for reply in self.connections.send_all(calls).await? {
            if reply.status != 200 {
                return Err(format!("not removed: {}", reply.body).into());
            }
        }
        Ok(())
    }

    /// Puts requests, dry, and reads the answers.
    pub(crate) async fn ask(
        &self,
        requests: &[Request],
        stored: &Stored,
    ) -> Outcome<Vec<Result<Answered, String>>> {
        let (calls, cases): (Vec<Call>, Vec<u64>) =
            requests.iter().map(|request| self.call(request, stored)).unzip();
        let replies = self.connections.send_all(calls).await?;
        let read = |((request, case), reply): ((&Request, u64), &Reply)| {
            let reviews = self.recorder.take(case);
            let verdict = verdict(request, reply, stored)?;
            if reviews.mutating.is_none()
                || reviews.validating.is_some() != (verdict == Verdict::Allowed)
            {
                return Err(format!("reviews don't fit the answer {reply:?}: {reviews:?}"));
            }
            Ok(Answered { verdict, reviews })
        };
        Ok(requests.iter().zip(cases).zip(&replies).map(read).collect())
    }

    fn call(&self, request: &Request, stored: &Stored) -> (Call, u64) {
        let case = self.next_case.fetch_add(1, Ordering::Relaxed);
        let collection = request.kind.path(&request.namespace);
        let path = if request.name.is_empty() {
            collection
        } else {
            format!("{collection}/{}", request.name)
        };
        let (method, content_type, query) = match request.verb {
            Verb::Post => (Method::POST, "application/json", ""),
            Verb::Put | Verb::PutBare => (Method::PUT, "application/json", ""),
            Verb::MergePatch => (Method::PATCH, "application/merge-patch+json", ""),
            Verb::StrategicPatch => (Method::PATCH, "application/strategic-merge-patch+json", ""),
            Verb::JsonPatch => (Method::PATCH, "application/json-patch+json", ""),
            Verb::Apply => (
                Method::PATCH,
                "application/apply-patch+yaml",
                "&fieldManager=differential&force=true",
            ),
        };
        let mut body = request.body.clone();
        if request.verb == Verb::Put
            && let Some(object) = stored.object(&identity(&body))
        {
            for field in ["uid", "resourceVersion", "creationTimestamp"] {
                let value = object.pointer("/metadata").and_then(|metadata| metadata.get(field));
                let value = value.cloned().unwrap_or_default();
                set(&mut body, "/metadata", field, value);
            }
        }
        if request.verb == Verb::Apply {
            without_nulls(&mut body);
        }
        let mut call = Call::new(method, format!("{path}?dryRun=All{query}"), Some(&body));
        call.content_type = content_type;
        call.on_behalf = Some((request.user.clone(), case));
        (call, case)
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
    }
}

/// Reads an answer. What is neither the check's refusal nor what comes after it is an error of the test.
fn verdict(request: &Request, reply: &Reply, stored: &Stored) -> Result<Verdict, String> {
    let message = text(&reply.body, "/message");
    let refused = || Ok(Verdict::Denied(message.to_owned()));
    match reply.status {
        200 | 201 => Ok(Verdict::Allowed),
        403 if message.contains("is attempting to grant RBAC permissions not currently held:") => {
            refused()
        }
        403 if message
            .ends_with("must have cluster-admin privileges to use the aggregationRule") =>
        {
            refused()
        }
        404 if names_the_role(request, reply, stored) => refused(),
        // A Role is looked up where a ClusterRoleBinding is: nowhere.
        400 if request.kind == RbacKind::ClusterRoleBinding
            && message == "Namespace parameter required." =>
        {
            refused()
        }
        500 if !request.kind.is_role() && message.contains("unsupported role reference kind") => {
            refused()
        }
        422 if text(&reply.body, "/reason") == "Invalid" => {
            let causes = reply.body.pointer("/details/causes").and_then(Value::as_array);
            let fields = causes.into_iter().flatten().map(|cause| text(cause, "/field").to_owned());
            Ok(Verdict::Invalid(fields.collect()))
        }
        _ => Err(format!("unexpected answer: {reply:?}")),
    }
}

/// Whether what is not found is the role of a binding. Where an update looks for it, the store calls it by the binding's kind.
fn names_the_role(request: &Request, reply: &Reply, stored: &Stored) -> bool {
    let Some(reference) = request.role_ref(stored) else { return false };
    let detail = |name| text(&reply.body, name);
    let kinds = ["roles", "clusterroles", request.kind.resource()];
    detail("/details/group") == GROUP
        && kinds.contains(&detail("/details/kind"))
        && detail("/details/name") == text(&reference, "/name")
        && detail("/details/name") != request.name
}

fn path_of(object: &Value) -> Option<String> {
    let kind = RbacKind::of(object)?;
    Some(format!(
        "{}/{}",
        kind.path(text(object, "/metadata/namespace")),
        text(object, "/metadata/name")
    ))
}

fn creation(object: &Value) -> Option<Call> {
    let kind = RbacKind::of(object)?;
    Some(Call::new(Method::POST, kind.path(text(object, "/metadata/namespace")), Some(object)))
}

/// The right to write RBAC objects, for everybody, so that the check of escalation decides and nothing before it.
fn base_right() -> [Value; 2] {
    let mut role = RbacKind::ClusterRole.object("", BASE);
    let resources = RbacKind::ALL.map(RbacKind::resource);
    set(
        &mut role,
        "",
        "rules",
        json!([{"apiGroups": [GROUP], "resources": resources, "verbs": ["create", "update", "patch", "get"]}]),
    );
    let mut binding = RbacKind::ClusterRoleBinding.object("", BASE);
    set(
        &mut binding,
        "",
        "roleRef",
        json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": BASE}),
    );
    let group = |name: &str| json!({"apiGroup": GROUP, "kind": "Group", "name": name});
    set(
        &mut binding,
        "",
        "subjects",
        json!([group("system:authenticated"), group("system:unauthenticated")]),
    );
    [role, binding]
}

/// Objects of the four kinds, and the questions that are allowed only once the authorizer has seen them.
fn canaries(number: u64, namespace: &str) -> ([Value; 4], [Value; 2]) {
    let name = format!("canary-{number}");
    let of = |kind: RbacKind| kind.object(namespace, &name);
    let rules = json!([{"apiGroups": [""], "resources": ["canaries"], "verbs": ["get"]}]);
    let role = |mut object: Value| {
        set(&mut object, "", "rules", rules.clone());
        object
    };
    let binding = |mut object: Value, role: &str, user: &str| {
        set(&mut object, "", "roleRef", json!({"apiGroup": GROUP, "kind": role, "name": name}));
        set(
            &mut object,
            "",
            "subjects",
            json!([{"apiGroup": GROUP, "kind": "User", "name": user}]),
        );
        object
    };
    let (here, everywhere) = (format!("{name}-here"), format!("{name}-everywhere"));
    let question = |user: &str| json!({"user": user, "resourceAttributes": {"namespace": namespace, "verb": "get", "version": "v1", "resource": "canaries"}});
    let objects = [
        role(of(RbacKind::ClusterRole)),
        role(of(RbacKind::Role)),
        binding(of(RbacKind::RoleBinding), "Role", &here),
        binding(of(RbacKind::ClusterRoleBinding), "ClusterRole", &everywhere),
    ];
    debug_assert!(objects.iter().all(|object| text(object, "/apiVersion") == API_VERSION));
    (objects, [question(&here), question(&everywhere)])
}

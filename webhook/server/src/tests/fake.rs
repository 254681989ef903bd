//! As much of an API server as the webhook uses, in this process: objects, watches, access reviews, and outages on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where an object is: `api/v1` or `apis/GROUP/VERSION`, plural, namespace, name.
type At = (String, String, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<At, Value>,
    version: u64,
    /// Watches can't begin at this version or before: what happened then is forgotten.
    compacted: u64,
    watches: Vec<(String, String, mpsc::UnboundedSender<Bytes>)>,
    groups: Vec<Value>,
    resources: BTreeMap<String, Value>,
    /// What an access review answers.
    grants: bool,
    access_review: Option<Value>,
    down: bool,
    forbidden: Vec<String>,
    /// Method, path and `accept` of every request.
    seen: Vec<(String, String, String)>,
    /// How many writes are still answered with a conflict.
    conflicts: u32,
}

#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self { state: Arc::default(), address };
        let served = fake.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let fake = served.clone();
                let service = service_fn(move |request| {
                    let fake = fake.clone();
                    async move { Ok::<_, Infallible>(fake.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        fake
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub(crate) fn kubeconfig(&self, dir: &Path) -> PathBuf {
        let path = dir.join("kubeconfig");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]});
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    pub(super) fn put(&self, plural: &str, object: Value) {
        let at = at(plural, &object);
        self.with(|state| state.put(at, object));
    }

    pub(super) fn remove(&self, plural: &str, object: &Value) {
        self.with(|state| state.remove(&at(plural, object)));
    }

    /// Forgets an object without telling any watch, as if that happened during an outage.
    pub(super) fn forget(&self, plural: &str, object: &Value) {
        self.with(|state| state.objects.remove(&at(plural, object)));
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        let at = parse(path).unwrap();
        self.with(|state| state.objects.get(&at).cloned())
    }

    /// All objects of a plural.
    pub(super) fn all(&self, plural: &str) -> Vec<Value> {
        let of = |state: &mut State| {
            let found = state.objects.iter().filter(|((_, found, ..), _)| found == plural);
            found.map(|(_, object)| object.clone()).collect()
        };
        self.with(of)
    }

    pub(crate) fn grant(&self, grants: bool) {
        self.with(|state| state.grants = grants);
    }

    pub(crate) fn last_access_review(&self) -> Option<Value> {
        self.with(|state| state.access_review.clone())
    }

    pub(super) fn forbid(&self, plural: &str) {
        self.with(|state| state.forbidden.push(plural.to_owned()));
    }

    pub(super) fn permit_all(&self) {
        self.with(|state| state.forbidden.clear());
    }

    /// Ends every watch and refuses everything, or comes back.
    pub(crate) fn set_down(&self, down: bool) {
        self.with(|state| {
            state.down = down;
            state.watches.clear();
            state.compacted = state.version.max(1);
            state.version = state.compacted.saturating_add(1);
        });
    }

    pub(super) fn conflict(&self, writes: u32) {
        self.with(|state| state.conflicts = writes);
    }

    pub(crate) fn seen(&self) -> Vec<(String, String, String)> {
        self.with(|state| state.seen.clone())
    }

    /// Serves a resource of an agent group, or takes the group away.
    pub(super) fn crd(&self, group: &str, plural: &str, kind: &str) {
        let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
        let found = json!({"name": group, "versions": [version], "preferredVersion": version});
        let resource = json!({"name": plural, "singularName": "", "namespaced": true,
            "kind": kind, "verbs": ["get", "list", "watch"]});
        let list = json!({"kind": "APIResourceList", "groupVersion": format!("{group}/v1"),
            "resources": [resource]});
        self.with(|state| {
            state.groups.push(found);
            state.resources.insert(format!("apis/{group}/v1"), list);
        });
    }

    pub(super) fn no_crds(&self) {
        self.with(|state| {
            state.groups.clear();
            state.resources.clear();
            state.watches.retain(|(group, ..)| !group.contains("a5c.ai"));
        });
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().trim_start_matches('/').to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let header = |name: &str| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let accept = header("accept").to_owned();
        let patch = header("content-type").contains("merge-patch");
        self.with(|state| {
            state.seen.push((parts.method.to_string(), path.clone(), accept.clone()));
            if state.down {
                return status(StatusCode::SERVICE_UNAVAILABLE);
            }
            let meta_only = accept.contains("as=PartialObjectMetadata");
            match parts.method {
                Method::GET if query.contains("watch=true") => state.watch(&path, &query),
                Method::GET => state.read(&path, meta_only),
                Method::POST => state.create(&path, &body),
                Method::PUT => state.replace(&path, &body),
                Method::PATCH if patch => state.merge(&path, &body),
                _ => status(StatusCode::METHOD_NOT_ALLOWED),
            }
        })
    }
}

fn prefix(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") }
}

fn at(plural: &str, object: &Value) -> At {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (prefix(object), plural.to_owned(), text("namespace"), text("name"))
}

/// A path of a collection (empty name) or an object.
fn parse(path: &str) -> Option<At> {
    let parts: Vec<&str> = path.split('/').collect();
    let head = if parts.first() == Some(&"api") { 2 } else { 3 };
    let own = |part: &&str| (*part).to_owned();
    let prefix = parts.get(..head)?.join("/");
    let (plural, namespace, name) = match parts.get(head..)? {
        [plural] => (own(plural), String::new(), String::new()),
        [plural, name] => (own(plural), String::new(), own(name)),
        ["namespaces", namespace, plural] => (own(plural), own(namespace), String::new()),
        ["namespaces", namespace, plural, name] => (own(plural), own(namespace), own(name)),
        _ => return None,
    };
    Some((prefix, plural, namespace, name))
}

impl State {
    fn put(&mut self, at: At, mut object: Value) {
        self.version = self.version.saturating_add(1);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let kind = if self.objects.contains_key(&at) { "MODIFIED" } else { "ADDED" };
        self.tell(&at, kind, &object);
        self.objects.insert(at, object);
    }

    fn remove(&mut self, at: &At) {
        self.version = self.version.saturating_add(1);
        let Some(object) = self.objects.remove(at) else { return };
        self.tell(at, "DELETED", &object);
    }

    fn tell(&mut self, at: &At, kind: &str, object: &Value) {
        // In the order of the real one, which a sorted `json!` would turn around.
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.watches.retain(|(group, plural, sender)| {
            let wanted = (group, plural) == (&at.0, &at.1);
            !wanted || sender.send(line.clone().into()).is_ok()
        });
    }

    fn watch(&mut self, path: &str, query: &str) -> Response<Body> {
        let mut parts = query.split('&');
        let from = parts.find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok());
        if from.unwrap_or(0_u64) <= self.compacted {
            let gone = json!({"kind": "Status", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version"});
            return answer(StatusCode::OK, &json!({"type": "ERROR", "object": gone}));
        }
        let Some((group, plural, ..)) = parse(path) else { return status(StatusCode::NOT_FOUND) };
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watches.push((group, plural, sender));
        let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
            let line = receiver.recv().await?;
            Some((Ok(Frame::data(line)), receiver))
        });
        Response::new(StreamBody::new(lines.boxed()).boxed_unsync())
    }

    fn read(&mut self, path: &str, meta_only: bool) -> Response<Body> {
        match path {
            "version" => {
                let parts =
                    ["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
                let mut version = json!({"major": "1", "minor": "35", "gitVersion": "v1.35.0"});
                parts.iter().for_each(|part| version[part] = "x".into());
                return answer(StatusCode::OK, &version);
            }
            "apis" => {
                let groups = json!({"kind": "APIGroupList", "groups": self.groups});
                return answer(StatusCode::OK, &groups);
            }
            _ => {}
        }
        if let Some(resources) = self.resources.get(path) {
            return answer(StatusCode::OK, resources);
        }
        let Some(at) = parse(path) else { return status(StatusCode::NOT_FOUND) };
        if self.forbidden.contains(&at.1) {
            return status(StatusCode::FORBIDDEN);
        }
        let shown = |object: &Value| {
            if meta_only { json!({"metadata": object["metadata"]}) } else { object.clone() }
        };
        if !at.3.is_empty() {
            return match self.objects.get(&at) {
                Some(object) => answer(StatusCode::OK, &shown(object)),
                None => status(StatusCode::NOT_FOUND),
            };
        }
        let of = |(found, _): &(&At, &Value)| (&found.0, &found.1) == (&at.0, &at.1);
        let items: Vec<Value> =
            self.objects.iter().filter(of).map(|(_, object)| shown(object)).collect();
        let known = !at.0.contains("a5c.ai") || self.resources.contains_key(&at.0);
        if !known {
            return status(StatusCode::NOT_FOUND);
        }
        let list = json!({"kind": "List", "apiVersion": "v1", "items": items,
            "metadata": {"resourceVersion": self.version.max(1).to_string()}});
        answer(StatusCode::OK, &list)
    }

    fn create(&mut self, path: &str, body: &[u8]) -> Response<Body> {
        let mut object: Value = serde_json::from_slice(body).unwrap();
        if path.ends_with("subjectaccessreviews") {
            object["status"] = json!({"allowed": self.grants});
            self.access_review = Some(object.clone());
            return answer(StatusCode::CREATED, &object);
        }
        let (group, plural, namespace, _) = parse(path).unwrap();
        if let Some(generated) = object["metadata"]["generateName"].as_str() {
            object["metadata"]["name"] = format!("{generated}{}", self.version).into();
        }
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let at = (group, plural, namespace, name);
        if self.objects.contains_key(&at) {
            return status(StatusCode::CONFLICT);
        }
        self.put(at.clone(), object);
        answer(StatusCode::CREATED, &self.objects[&at])
    }

    /// Whether a write of that version would undo somebody else's.
    fn is_stale(&mut self, at: &At, written: &Value) -> bool {
        if self.conflicts > 0 {
            self.conflicts = self.conflicts.saturating_sub(1);
            return true;
        }
        let version = &written["metadata"]["resourceVersion"];
        self.objects.get(at).is_none_or(|found| &found["metadata"]["resourceVersion"] != version)
    }

    fn replace(&mut self, path: &str, body: &[u8]) -> Response<Body> {
        let (at, object): (At, Value) =
            (parse(path).unwrap(), serde_json::from_slice(body).unwrap());
        if self.is_stale(&at, &object) {
            return status(StatusCode::CONFLICT);
        }
        self.put(at.clone(), object);
        answer(StatusCode::OK, &self.objects[&at])
    }

    /// A merge patch of top-level members.
    fn merge(&mut self, path: &str, body: &[u8]) -> Response<Body> {
        let (at, patch): (At, Value) =
            (parse(path).unwrap(), serde_json::from_slice(body).unwrap());
        if self.is_stale(&at, &patch) {
            return status(StatusCode::CONFLICT);
        }
        let mut object = self.objects[&at].clone();
        for (name, value) in patch.as_object().unwrap() {
            if name != "metadata" {
                object[name] = value.clone();
            }
        }
        self.put(at.clone(), object);
        answer(StatusCode::OK, &self.objects[&at])
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let reason = match code {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::FORBIDDEN => "Forbidden",
        _ => "Unknown",
    };
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": reason}),
    )
}

fn answer(code: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(value.to_string()).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

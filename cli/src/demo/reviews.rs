//! The webhook's half: real AdmissionReviews over TLS, mutation first, then validation, as the API server does it.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use pinfold_model::document::{self, Dialect};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::client::{fail, send_tls};
use super::row::{ALLOWED, Row};
use crate::CliError;

const REVIEWS: &str = include_str!("files/reviews.yaml");

/// One request, and the rule that must deny it.
#[derive(Debug, Deserialize)]
struct Review {
    title: String,
    user: String,
    #[serde(default)]
    rule: Option<String>,
    object: Value,
}

/// Where the webhook is.
pub(crate) struct Webhook {
    pub(crate) connector: TlsConnector,
    pub(crate) address: SocketAddr,
    pub(crate) name: String,
}

/// Plays every review.
pub(crate) async fn play(webhook: &Webhook) -> Result<Vec<Row>, CliError> {
    let nodes = document::read("reviews.yaml", REVIEWS, Dialect::Manifest)
        .map_err(|error| fail("the reviews")(&error))?;
    let reviews: Vec<Review> = match nodes.first() {
        Some(node) => node.read("reviews.yaml").map_err(|error| fail("the reviews")(&error))?,
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    for (index, review) in reviews.into_iter().enumerate() {
        rows.push(play_one(webhook, index, review).await?);
    }
    rows.push(
        malformed(webhook, "a review that ends in the middle", |text| {
            text.get(..text.len().saturating_sub(20)).unwrap_or_default().to_owned()
        })
        .await?,
    );
    rows.push(
        malformed(webhook, "a review that names its object twice", |text| {
            text.replacen("\"object\":", "\"object\":{},\"object\":", 1)
        })
        .await?,
    );
    Ok(rows)
}

async fn play_one(webhook: &Webhook, index: usize, review: Review) -> Result<Row, CliError> {
    let Review { title, user, rule, mut object } = review;
    let uid = format!("demo-{index}");
    let mutation = ask(webhook, "/mutate", &envelope(&uid, &user, &object)).await?;
    apply(&mutation, &mut object)?;
    let answer = ask(webhook, "/validate", &envelope(&uid, &user, &object)).await?;
    Ok(row(title, rule.unwrap_or_else(|| ALLOWED.to_owned()), &uid, &answer))
}

async fn malformed(
    webhook: &Webhook,
    title: &str,
    spoil: impl Fn(&str) -> String,
) -> Result<Row, CliError> {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "acme"}, "spec": {"containers": []}});
    let text = spoil(&envelope("demo-bad", "dev", &object).to_string());
    let answer = post(webhook, "/validate", text).await?;
    Ok(row(title.to_owned(), "PF-REQ-001".to_owned(), "demo-bad", &answer))
}

fn row(title: String, expected: String, uid: &str, answer: &Value) -> Row {
    let response = answer.get("response").unwrap_or(&Value::Null);
    let allowed = response.get("allowed").and_then(Value::as_bool);
    let echoed = response.get("uid").and_then(Value::as_str).unwrap_or_default();
    let why = response.pointer("/status/message").and_then(Value::as_str).unwrap_or_default();
    let answered = match allowed {
        Some(true) if echoed == uid => ALLOWED.to_owned(),
        Some(true) => "allowed for another uid".to_owned(),
        Some(false) | None => {
            why.split_whitespace().find(|word| word.starts_with("PF-")).unwrap_or("?").to_owned()
        }
    };
    Row { gate: "webhook", title, expected, answered, why: why.to_owned() }
}

/// The AdmissionReview that the API server would send.
fn envelope(uid: &str, user: &str, object: &Value) -> Value {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    let kind = text("/kind");
    let user_info = match user {
        "controller" => json!({
            "username": "system:serviceaccount:krate-system:krate-controller",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:krate-system", "system:authenticated"],
        }),
        name => json!({"username": name, "groups": ["acme:devs", "system:authenticated"]}),
    };
    let resource = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "namespace": text("/metadata/namespace"),
            "operation": "CREATE",
            "userInfo": user_info,
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

async fn ask(webhook: &Webhook, path: &str, review: &Value) -> Result<Value, CliError> {
    post(webhook, path, review.to_string()).await
}

async fn post(webhook: &Webhook, path: &str, body: String) -> Result<Value, CliError> {
    let fail = fail("a review");
    let request = Request::post(path)
        .header("host", &webhook.name)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| fail(&error))?;
    let answer = send_tls(&webhook.connector, webhook.address, &webhook.name, request).await?;
    serde_json::from_slice(&answer.body).map_err(|error| {
        let status = answer.status;
        fail(&format_args!("the answer ({status}) isn't JSON: {error}"))
    })
}

/// Applies the patch of a mutation, if there is one.
fn apply(answer: &Value, object: &mut Value) -> Result<(), CliError> {
    let fail = fail("a patch");
    let Some(encoded) = answer.pointer("/response/patch").and_then(Value::as_str) else {
        return Ok(());
    };
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)
        .map_err(|error| fail(&error))?;
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).map_err(|error| fail(&error))?;
    json_patch::patch(object, &patch).map_err(|error| fail(&error))
}

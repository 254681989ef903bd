//! An API server with the whole of `manifests/base` in front of it, and a webhook process behind that.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pinfold_tests::{ApiServer, TestAuthority, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Outcome;
use crate::kubernetes::{repository, webhook_kubeconfig};
use crate::object::{items, text};
use crate::rbac_client::{Answer, Client, Person};
use crate::replica::{Flags, Replica};
use crate::resources::{self, Resources};

pub(crate) const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// How long the API server may take to ask a webhook that was just registered.
const SOON: Duration = Duration::from_secs(60);

/// A server, the kinds that it has, a webhook.
pub(crate) struct Gate {
    _server: ApiServer,
    pub(crate) client: Client,
    pub(crate) resources: Resources,
    pub(crate) replica: Replica,
    _dir: TempDir,
    /// One at a time: each server takes a core while it starts.
    _turn: MutexGuard<'static, ()>,
}

impl Gate {
    /// `objects` exist before the webhook is there.
    pub(crate) fn open(policies: &[PathBuf], objects: &[Value]) -> Outcome<Self> {
        Self::open_narrowed(policies, objects, None)
    }

    /// With another condition of what could name a trusted pool.
    pub(crate) fn open_narrowed(
        policies: &[PathBuf],
        objects: &[Value],
        condition: Option<&str>,
    ) -> Outcome<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = ApiServer::start()?;
        resources::install(&server)?;
        for file in ["namespace.yaml", "identity.yaml"] {
            let path = repository("manifests/base").join(file);
            server.kubectl(&["apply", "-f", &path.to_string_lossy()], "")?.ok()?;
        }
        let client = Client::new(&server)?;
        let resources = Resources::discover(&client)?;
        for object in objects {
            store(&client, &resources, object)?;
        }
        let dir = tempfile::tempdir()?;
        let authority = TestAuthority::new("boundary")?;
        let replica = start(&server, &authority, (policies, &dir))?;
        register(&server, (&replica, &authority.certificate_pem()), condition)?;
        let gate = Self { _server: server, client, resources, replica, _dir: dir, _turn: turn };
        gate.wait_until_asked()?;
        Ok(gate)
    }

    /// One call.
    pub(crate) fn send(&self, who: &Person, call: (&str, &str, &str)) -> Outcome<Answer> {
        let (method, path, body) = call;
        let media = if method == "PATCH" { MERGE } else { JSON };
        self.client.send(who, (method, path, media, body))
    }

    /// Every entry has to be known to the API server: it asks about a namespace.
    fn wait_until_asked(&self) -> Outcome {
        let who = Person::new("probe", &["system:masters"]);
        let probe = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "probe"}});
        let asked = until(SOON, || {
            self.send(&who, ("POST", "/api/v1/namespaces?dryRun=All", &probe.to_string())).ok()?;
            (self.replica.calls("validate").ok()? > 0.0).then_some(())
        });
        asked.ok_or_else(|| format!("nobody asks: {}", self.replica.process.log()).into())
    }
}

/// Makes an object that the webhook isn't asked about, with its status.
pub(crate) fn store(client: &Client, resources: &Resources, object: &Value) -> Outcome<Value> {
    let who = Person::unasked();
    let path = resources.path(object)?;
    let query = "?fieldManager=given&force=true";
    let call = ("PATCH", &*format!("{path}{query}"), "application/apply-patch+yaml");
    let answer = client.send(&who, (call.0, call.1, call.2, &object.to_string()))?;
    if !answer.is_success() {
        return Err(format!("not stored: {}: {object}", answer.message()).into());
    }
    if let Some(status) = object.get("status").filter(|status| status.is_object()) {
        let body = json!({ "status": status }).to_string();
        let answer = client.send(&who, ("PATCH", &format!("{path}/status"), MERGE, &body))?;
        if !answer.is_success() {
            return Err(format!("no status: {}: {object}", answer.message()).into());
        }
    }
    Ok(answer.body)
}

fn start(
    server: &ApiServer,
    authority: &TestAuthority,
    (policies, dir): (&[PathBuf], &TempDir),
) -> Outcome<Replica> {
    let path = |file: &str| dir.path().join(file);
    let serving = authority.serving(&["127.0.0.1"])?;
    fs::write(path("tls.crt"), serving.certificate_pem)?;
    fs::write(path("tls.key"), serving.key_pem)?;
    fs::write(path("ca.crt"), server.authority_pem())?;
    fs::write(path("kubeconfig"), webhook_kubeconfig(server, &path("ca.crt"))?)?;
    let mut flags = Flags::default();
    for policy in policies {
        flags = flags.with("--policy", policy);
    }
    let flags = flags
        .with("--tls-cert", path("tls.crt"))
        .with("--tls-key", path("tls.key"))
        .with("--kubeconfig", path("kubeconfig"));
    Replica::start(&flags)
}

/// The configurations of `manifests/base`, but for where they lead, and for the condition of `pools` if another is given.
fn register(
    server: &ApiServer,
    (replica, authority_pem): (&Replica, &str),
    condition: Option<&str>,
) -> Outcome {
    for (file, path) in [("validating.yaml", "validate"), ("mutating.yaml", "mutate")] {
        let source = repository("manifests/base").join(file);
        let read = ["create", "--dry-run=client", "-o", "json", "-f", &source.to_string_lossy()];
        let mut configuration: Value = serde_json::from_str(&server.kubectl(&read, "")?.ok()?)?;
        let entries = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
        for entry in entries.ok_or("no webhooks")? {
            let client = json!({
                "url": format!("https://{}/{path}", replica.listen),
                "caBundle": BASE64_STANDARD.encode(authority_pem),
            });
            let entry = entry.as_object_mut().ok_or("an entry that is no object")?;
            entry.insert("clientConfig".to_owned(), client);
            let conditions = entry.get_mut("matchConditions").and_then(Value::as_array_mut);
            for known in conditions.into_iter().flatten() {
                if let (Some(condition), "could-name-a-trusted-pool") =
                    (condition, text(known, "/name"))
                {
                    *known = json!({"name": "could-name-a-trusted-pool", "expression": condition});
                }
            }
        }
        server.apply(&configuration.to_string())?;
    }
    Ok(())
}

/// The objects of a file, `List`s opened.
pub(crate) fn objects(file: &std::path::Path) -> Outcome<Vec<Value>> {
    let name = file.to_string_lossy().into_owned();
    let nodes = pinfold_model::document::read(
        &name,
        &fs::read_to_string(file)?,
        pinfold_model::document::Dialect::Manifest,
    )?;
    let mut found = Vec::new();
    for node in nodes {
        let value = node.to_json();
        if text(&value, "/kind") == "List" {
            found.extend(items(&value, "/items").iter().cloned());
        } else {
            found.push(value);
        }
    }
    Ok(found)
}

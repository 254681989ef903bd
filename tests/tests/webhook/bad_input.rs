//! Bytes that no API server would send, straight to the webhook: each gets a clear answer, none is admitted, the process lives on.

use std::fs;
use std::path::Path;

use pinfold_tests::TestAuthority;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Outcome;
use crate::kubernetes::repository;
use crate::replica::{Flags, Replica};
use crate::tls_client::{Answer, head, review, send};

/// More than any object in a cluster is, and less than the most that is read.
const LARGE_BYTES: usize = 6_000_000;
/// More than is read.
const HUGE_BYTES: usize = 10_000_000;

/// A webhook that judges by files, without a cluster.
struct Alone {
    replica: Replica,
    authority_pem: String,
    _dir: TempDir,
}

/// Certificate, key and policy in a folder, and the flags that name them.
pub(crate) fn files(dir: &Path, authority: &TestAuthority) -> Outcome<Flags> {
    let serving = authority.serving(&["127.0.0.1"])?;
    fs::write(dir.join("tls.crt"), serving.certificate_pem)?;
    fs::write(dir.join("tls.key"), serving.key_pem)?;
    let library = repository("policies/library");
    let baseline = fs::read_to_string(library.join("baseline.yaml"))?;
    let unconfined = fs::read_to_string(library.join("tests/policies/unconfined.yaml"))?;
    fs::write(dir.join("policy.yaml"), format!("{baseline}\n---\n{unconfined}"))?;
    fs::write(
        dir.join("cluster.yaml"),
        "{apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}\n",
    )?;
    Ok(Flags::default()
        .with("--policy", dir.join("policy.yaml"))
        .with("--cluster", dir.join("cluster.yaml"))
        .with("--tls-cert", dir.join("tls.crt"))
        .with("--tls-key", dir.join("tls.key")))
}

impl Alone {
    fn start() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let authority = TestAuthority::new("bad input")?;
        let replica = Replica::start(&files(dir.path(), &authority)?)?;
        Ok(Self { replica, authority_pem: authority.certificate_pem(), _dir: dir })
    }

    fn ask(&self, body: &[u8]) -> Outcome<Answer> {
        review(self.replica.listen, &self.authority_pem, body)
    }

    /// The process is the same, lives, and admits what is honest.
    fn assert_unharmed(&self) -> Outcome {
        let answer = self.ask(honest().to_string().as_bytes())?;
        assert!(allowed(&answer), "{answer:?}");
        assert!(self.replica.is_alive() && self.replica.process.exit_code().is_none());
        assert_eq!(self.replica.count("pinfold_panics_total", &[])?, 0.0);
        Ok(())
    }
}

/// A review of a pod that may pass.
fn honest() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "p", "namespace": "acme", "operation": "CREATE", "dryRun": false,
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "acme"},
                "spec": {"automountServiceAccountToken": false,
                    "containers": [{"name": "c", "image": "registry.example/a:1"}]},
            },
            "oldObject": null,
        },
    })
}

fn response(answer: &Answer) -> Value {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body.get("response").cloned().unwrap_or_default()
}

fn allowed(answer: &Answer) -> bool {
    answer.status == 200 && response(answer).get("allowed") == Some(&json!(true))
}

/// The honest review with `from` replaced once.
fn with(from: &str, to: &str) -> Vec<u8> {
    let text = honest().to_string();
    assert!(text.contains(from), "no {from} in {text}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn reviews_that_are_none_are_denied_with_a_reason() -> Outcome {
    let alone = Alone::start()?;
    alone.assert_unharmed()?;
    let whole = honest().to_string().into_bytes();
    let deep = |bytes: usize| {
        let nested =
            format!("\"extra\":{}{},\"metadata\"", "[".repeat(bytes / 2), "]".repeat(bytes / 2));
        with("\"metadata\"", &nested)
    };
    // (what, bytes, what the message says)
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("cut off", whole[..whole.len() / 2].to_vec(), "PF-REQ"),
        ("one byte short", whole[..whole.len() - 1].to_vec(), "PF-REQ"),
        ("nothing", Vec::new(), "PF-REQ"),
        ("no JSON", b"apiVersion: v1".to_vec(), "PF-REQ"),
        (
            "a key twice in the object",
            with("\"name\":\"p\"", "\"name\":\"p\",\"name\":\"q\""),
            "twice",
        ),
        ("a key twice in the review", with("\"dryRun\"", "\"dryRun\":true,\"dryRun\""), "twice"),
        (
            "a key twice in the object's spec",
            with("\"containers\"", "\"containers\":[],\"containers\""),
            "twice",
        ),
        ("arrays in arrays, 6 MB", deep(LARGE_BYTES), "nested"),
        ("nobody asks", with("\"username\"", "\"name\""), "user"),
    ];
    for (what, bytes, said) in cases {
        let answer = alone.ask(&bytes)?;
        assert!(!answer.body.contains("\"allowed\":true"), "{what}: admitted");
        let message = response(&answer).pointer("/status/message").cloned().unwrap_or_default();
        let message = message.as_str().unwrap_or_default();
        assert!(message.contains("PF-REQ") && message.contains("; fix: "), "{what}: {answer:?}");
        assert!(message.contains(said), "{what}: expected `{said}` in {message}");
        alone.assert_unharmed()?;
    }
    let counted = alone.replica.count("pinfold_admission_denials_total", &[("mode", "enforce")])?;
    assert_eq!(counted, 9.0, "each is counted");
    Ok(())
}

/// Ten megabytes are refused by their announced length, and cut off where they announce none.
#[test]
fn ten_megabytes_of_arrays_are_refused() -> Outcome {
    let alone = Alone::start()?;
    let announced = head(HUGE_BYTES, "Expect: 100-continue\r\n");
    let answer = send(alone.replica.listen, &alone.authority_pem, &announced, b"")?;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(answer.body.contains("7 MiB"), "says how much is read: {answer:?}");

    let arrays = "[".repeat(HUGE_BYTES);
    // The webhook hangs up in the middle; whether its answer survives that is the network's business.
    match alone.ask(arrays.as_bytes()) {
        Ok(answer) => assert_eq!(answer.status, 413, "{answer:?}"),
        Err(error) => assert!(!error.to_string().contains("200"), "{error}"),
    }
    let chunked = format!(
        "POST /validate HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{HUGE_BYTES:x}\r\n"
    );
    match send(alone.replica.listen, &alone.authority_pem, &chunked, arrays.as_bytes()) {
        Ok(answer) => assert_eq!(answer.status, 413, "{answer:?}"),
        Err(error) => assert!(!error.to_string().contains("200"), "{error}"),
    }
    let refused = alone.replica.count("pinfold_http_refusals_total", &[("reason", "too-large")])?;
    assert_eq!(refused, 3.0, "each is counted");
    alone.assert_unharmed()
}

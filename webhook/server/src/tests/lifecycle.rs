//! Start, stop, and what is wrong with a configuration.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bench::{Bench, PATIENCE, harmless, review};
use crate::config::{ServingSource, ViewSource};
use crate::drain::Phase;
use crate::server::start_with;

#[tokio::test]
async fn the_chosen_addresses_are_in_the_ready_file() {
    let server = Bench::new().start().await;
    let text = std::fs::read_to_string(server.bench.path("ready.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let addresses = server.running.addresses;
    assert_ne!(addresses.listen.port(), 0);
    assert_eq!(
        written,
        json!({
            "listen": addresses.listen.to_string(), "metrics": addresses.metrics.to_string()
        })
    );
}

type Spoil = Box<dyn Fn(&mut Bench)>;

/// What is spoilt, how, and what the error must name.
fn spoilt(address: SocketAddr) -> Vec<(&'static str, Spoil, Vec<String>)> {
    vec![
        (
            "a typo in the policy",
            Box::new(|bench| {
                let text = super::bench::POLICY.replace("spec: {}", "spec:\n  orgnizations: {}");
                std::fs::write(bench.path("policy/policy.yaml"), text).unwrap();
            }),
            vec!["policy.yaml:5:3: ".to_owned(), "orgnizations".to_owned()],
        ),
        (
            "no policy there",
            Box::new(|bench| bench.config.policy = vec![bench.path("nowhere")]),
            vec!["nowhere`".to_owned()],
        ),
        (
            "no certificate there",
            Box::new(|bench| std::fs::remove_file(bench.path("tls.crt")).unwrap()),
            vec!["tls.crt`".to_owned()],
        ),
        (
            "no key in the key",
            Box::new(|bench| std::fs::write(bench.path("tls.key"), "secret canary").unwrap()),
            vec!["tls.key`".to_owned()],
        ),
        (
            "no clients' authority",
            Box::new(|bench| bench.config.client_ca = Some(bench.path("client-ca.crt"))),
            vec!["client-ca.crt`".to_owned()],
        ),
        (
            "the port is taken",
            Box::new(move |bench| bench.config.listen = address),
            vec![format!("`{address}`"), "admission reviews".to_owned()],
        ),
        (
            "the metrics port is taken",
            Box::new(move |bench| bench.config.metrics = address),
            vec![format!("`{address}`"), "metrics".to_owned()],
        ),
        (
            "no object in the cluster files",
            Box::new(|bench| std::fs::write(bench.path("cluster/bad.yaml"), "a: 1\n").unwrap()),
            vec!["bad.yaml:1:1: ".to_owned()],
        ),
        (
            "no kubeconfig there",
            Box::new(|bench| {
                bench.config.view = ViewSource::Kubeconfig(bench.path("kubeconfig"));
            }),
            vec!["kubeconfig`".to_owned()],
        ),
        (
            "the audit directory is a file",
            Box::new(|bench| std::fs::write(bench.path("audit"), "").unwrap()),
            vec!["audit".to_owned()],
        ),
    ]
}

#[tokio::test]
async fn a_bad_configuration_names_its_file_and_exits_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, spoil, wanted) in spoilt(taken.local_addr().unwrap()) {
        let mut bench = Bench::new();
        spoil(&mut bench);
        let error = start_with(bench.config.clone(), bench.judge).await.expect_err(name);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{name}: {text}");
        assert!(!text.contains("canary"), "{text}");
        for part in wanted {
            assert!(text.contains(&part), "{name}: no {part} in {text}");
        }
    }
}

/// Drain time of the test below.
const DRAIN: Duration = Duration::from_millis(300);

#[tokio::test]
async fn draining_serves_on_says_so_and_ends() {
    let mut bench = Bench::new();
    bench.config.drain = DRAIN;
    let server = bench.start().await;
    let mut idle = server.http1().await;
    assert!(idle.post("/validate", harmless("u-1").to_string()).await.allowed());
    let mut second = server.http2().await;
    assert!(second.post("/validate", harmless("u-1").to_string()).await.allowed());
    server.running.drain.enter(Phase::Draining);
    let ready = server.page("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (503, "shutting down\n"));
    assert_eq!(ready.headers["connection"], "close");
    let reply = idle.post("/validate", harmless("u-2").to_string()).await;
    assert!(reply.allowed(), "an idle connection is served while draining");
    assert_eq!(reply.headers["connection"], "close");
    let mut late = server.http1().await;
    let reply = late.post("/validate", harmless("u-3").to_string()).await;
    assert!(reply.allowed(), "and so is a new one");
    assert_eq!(reply.headers["connection"], "close");
    // GOAWAY: the client can't use the connection any more, and learns so without losing a request.
    let gone = async {
        while let super::bench::Client::Http2(sender) = &mut second {
            if sender.is_closed() || sender.ready().await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    let begin = Instant::now();
    drop((idle, late, second));
    tokio::time::timeout(PATIENCE, server.running.shutdown()).await.unwrap();
    assert!(
        begin.elapsed() >= DRAIN,
        "somebody may still be sent here, so nobody being here isn't the end"
    );
}

#[tokio::test]
async fn a_running_request_is_answered_at_the_end() {
    let mut bench = Bench::new();
    bench.config.drain = Duration::ZERO;
    let server = bench.start().await;
    let body = harmless("u-last").to_string();
    let mut stream = server.stream(&["http/1.1"]).await;
    let head = format!(
        "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.unwrap();
    let address = server.running.addresses.listen;
    let stopping = tokio::spawn(server.running.shutdown());
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("\"uid\":\"u-last\""), "{text}");
    assert!(text.to_lowercase().contains("connection: close"));
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let server = Bench::new().start().await;
    let shown = async || {
        let stream = server.stream(&["http/1.1"]).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown().await;
    let next = server
        .bench
        .authority
        .issue_serving(&["localhost"], server.bench.authority.validity())
        .unwrap();
    std::fs::write(server.bench.path("tls.crt"), &next.certificate).unwrap();
    std::fs::write(server.bench.path("tls.key"), next.key.expose()).unwrap();
    let swapped = async { while shown().await == before {} };
    tokio::time::timeout(PATIENCE, swapped).await.unwrap();
}

#[tokio::test]
async fn a_self_managed_certificate_is_trusted_through_the_written_ca() {
    let mut bench = Bench::new();
    let path = bench.path("ca.crt");
    bench.config.serving = ServingSource::SelfManaged { ca_out: Some(path.clone()) };
    let server = bench.start().await;
    assert!(server.try_stream(&["h2"], false).await.is_err(), "not the bench's CA");
    let written = std::fs::read_to_string(path).unwrap();
    let connector = super::bench::trusting(&written);
    let tcp = tokio::net::TcpStream::connect(server.running.addresses.listen).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("pinfold-webhook.pinfold-system.svc");
    let stream = connector.connect(name.unwrap(), tcp).await.unwrap();
    let mut client = super::bench::http1(stream).await;
    assert!(client.post("/validate", harmless("u-1").to_string()).await.allowed());
}

#[tokio::test]
async fn nothing_passes_that_cannot_be_recorded() {
    let server = Bench::new().start().await;
    let ledger = server.running.ledger.clone().unwrap();
    ledger.close().unwrap();
    let mut client = server.http1().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "none", "namespace": "plain"}, "rules": []});
    let reply = client.post("/validate", review("u-1", "CREATE", "plain", &role).to_string()).await;
    assert!(!reply.allowed(), "a Role bears rights");
    assert!(reply.message().starts_with("PF-REQ-005 $: audit record refused"));
    let reply = client.post("/validate", harmless("u-2").to_string()).await;
    assert!(reply.allowed(), "a ConfigMap in a plain namespace is only counted");
}

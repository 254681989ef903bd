//! Start, limits, health, records and stop.

use pinfold_sidecar::{Config, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::egress::{policy, setup};
use super::support::{Raw, Setup, Upstream};

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let limited = policy(port).replace("    allow:", "    limits: {connections: 2}\n    allow:");
    let setup = Setup::new(&limited).await.name("raw.internal", &["127.0.0.1"]);
    let sidecar = setup.start().await;
    let authority = format!("raw.internal:{port}");
    let _first = Raw::tunnel(sidecar.proxy(), &authority).await;
    let second = Raw::tunnel(sidecar.proxy(), &authority).await;
    assert_eq!(sidecar.metric("pinfold_egress_open_connections").await, 2.0);
    let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let reply = Raw::connect(sidecar.proxy()).await.ask(&connect).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "limit"));
    assert_eq!(upstream.connections(), 2);
    drop(second);
    sidecar.until_metric("pinfold_egress_open_connections", 1.0).await;
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(&connect).await.status, 200);
}

#[tokio::test]
async fn health_and_metrics() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = setup(upstream.port()).await.audited().start().await;
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/metrics/../x", 404)]
    {
        assert_eq!(Raw::connect(sidecar.admin()).await.get(path).await.status, status, "{path}");
    }
    let mut agent = Raw::connect(sidecar.admin()).await;
    let reply = agent.ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(reply.status, 405);
    assert_eq!(sidecar.metric("pinfold_ready").await, 1.0);
    assert_eq!(sidecar.metric("pinfold_audit_failures_total").await, 0.0);
    assert!(sidecar.metric("pinfold_audit_records_total").await >= 2.0);
}

#[tokio::test]
async fn decisions_are_recorded_and_hold_no_query() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(port).await.audited().start().await;
    let host = format!("pypi.internal:{port}");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let ask = |path: &str| {
        format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\ntraceparent: {trace}\r\n\r\n")
    };
    assert_eq!(agent.ask(ask("/simple/?token=hunter2")).await.status, 200);
    let denied = agent.ask(ask("/admin?token=hunter2")).await;
    let id = denied.json()["id"].as_str().expect("an id").to_owned();
    let policy_name = denied.json()["policy"].clone();
    agent.send("BAD\r\n\r\n").await;
    agent.rest().await;
    let records = sidecar.verified_records().await;
    let outcomes: Vec<_> = records
        .iter()
        .map(|record| (record["decision"].as_str(), record["reason"].as_str()))
        .collect();
    let expected =
        [(Some("allow"), None), (Some("deny"), Some("path")), (Some("deny"), Some("malformed"))];
    assert_eq!(outcomes, expected);
    assert!(!serde_json::to_string(&records).expect("JSON").contains("hunter2"));
    let [allowed, denied, _] = records.as_slice() else { panic!("three") };
    assert_eq!(allowed["method"], "GET");
    assert_eq!(allowed["traceparent"], trace);
    assert_eq!(allowed["agent"], policy_name);
    assert!(allowed["policy_digest"].as_str().is_some_and(|text| text.starts_with("sha256:")));
    assert_eq!(denied["correlation_id"], id);
    assert_eq!(denied["rules"][0], "spec.egress.allow[0]");
}

#[tokio::test]
async fn what_is_wrong_at_start_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address");
    let files = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let good = write("good.yaml", &policy(80));
    let other = write("other.yaml", &policy(80).replace("name: tester", "name: other"));
    let typo = write("typo.yaml", &policy(80).replace("ports", "prots"));
    let junk = write("junk.pem", "junk");
    let base = |paths: &[&std::path::PathBuf]| {
        Config::on_loopback(paths.iter().map(|path| (*path).clone()).collect())
    };
    let cases = [
        (base(&[&typo]), "typo.yaml:8:"),
        (base(&[&files.path().join("none.yaml")]), "none.yaml"),
        (
            Config { agent: Some("nobody".to_owned()), ..base(&[&good, &other]) },
            "no AgentPolicy `nobody`: there are `tester`, `other`",
        ),
        (base(&[&good, &other]), "say which with `--agent`: `tester`, `other`"),
        (
            Config { proxy: vec![address], ..base(&[&good]) },
            &*format!("can't listen on `{address}` for the proxy"),
        ),
        (Config { upstream_ca: Some(junk), ..base(&[&good]) }, "junk.pem"),
    ];
    for (config, expected) in cases {
        let error = start(config).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    let running = start(Config { agent: Some("other".to_owned()), ..base(&[&good, &other]) }).await;
    running.expect("a sidecar").shutdown().await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_cuts_what_does_not_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let sidecar = setup(port).await.audited().start().await;
    let proxy = sidecar.proxy();
    let mut idle = Raw::connect(proxy).await;
    let mut tunnel = Raw::tunnel(proxy, &format!("raw.internal:{port}")).await;
    let (mut tunnel_far, _) = listener.accept().await.expect("a connection");
    let mut request = Raw::connect(proxy).await;
    let host = format!("pypi.internal:{port}");
    request.send(format!("GET http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    let mut head = [0; 20];
    far.read_exact(&mut head).await.expect("the request");
    let stopping = tokio::spawn(sidecar.running.shutdown());
    assert_eq!(idle.rest().await, b"", "idle connections end first");
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.expect("sent");
    let last = request.reply().await;
    assert_eq!((last.headers["connection"].as_str(), last.text().as_str()), ("close", "hello"));
    assert_eq!(tunnel.rest().await, b"");
    assert_eq!(tunnel_far.read(&mut [0]).await.unwrap_or(0), 0);
    stopping.await.expect("stopped");
    assert!(tokio::net::TcpStream::connect(proxy).await.is_err());
}

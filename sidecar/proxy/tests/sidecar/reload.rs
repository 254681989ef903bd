//! A changed policy counts at once, for open tunnels too; a bad one changes nothing.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::egress::{policy, setup};
use super::support::{Raw, Sidecar, Upstream};

const LOADED: &str = r#"pinfold_policy_reloads_total{result="success"}"#;
const REFUSED: &str = r#"pinfold_policy_reloads_total{result="error"}"#;

fn get(port: u16) -> String {
    let host = format!("pypi.internal:{port}");
    format!("GET http://{host}/simple/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

async fn digest(sidecar: &Sidecar) -> String {
    let text = Raw::connect(sidecar.admin()).await.get("/metrics").await.text();
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("pinfold_policy_info")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].to_owned()
}

#[tokio::test]
async fn kept_connections_are_judged_by_the_new_policy() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let before = digest(&sidecar).await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    assert_eq!(agent.ask(get(port)).await.status, 200);
    sidecar.rewrite(&policy(port).replace("/simple/**", "/other/**"));
    sidecar.until_metric(LOADED, 1.0).await;
    assert_eq!(agent.ask(get(port)).await.reason(), "path");
    assert_ne!(digest(&sidecar).await, before);
}

#[tokio::test]
async fn a_bad_policy_is_refused_and_the_old_one_stays() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let before = digest(&sidecar).await;
    let bad = [
        policy(port).replace("egress:", "egres:"),
        policy(port)
            .replace("kind: AgentPolicy", "kind: PolicyTest")
            .replace("spec:", "spec: {policies: []}\nx:"),
        String::new(),
        policy(port).replace("paths:", "protocol: tcp, paths:"),
    ];
    for (text, count) in bad.iter().zip(1_u32..) {
        sidecar.rewrite(text);
        sidecar.until_metric(REFUSED, f64::from(count)).await;
        let reply = Raw::connect(sidecar.proxy()).await.ask(get(port)).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(digest(&sidecar).await, before);
    assert_eq!(sidecar.metric(LOADED).await, 0.0);
    sidecar.rewrite(&policy(port).replace("/simple/**", "/other/**"));
    sidecar.until_metric(LOADED, 1.0).await;
}

#[tokio::test]
async fn the_symlink_swap_of_a_mounted_configmap_is_seen() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let setup = setup(port).await;
    let mount = setup.files.path().join("mount");
    let write = |version: &str, text: &str| {
        let folder = mount.join(version);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("policy.yaml"), text).expect("a policy");
    };
    write("..1", &policy(port));
    std::os::unix::fs::symlink("..1", mount.join("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/policy.yaml", mount.join("policy.yaml")).expect("a link");
    let paths = vec![mount.clone()];
    let sidecar = setup.with(|config| config.policy = paths).start().await;
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.status, 200);
    write("..2", &policy(port).replace("/simple/**", "/other/**"));
    std::os::unix::fs::symlink("..2", mount.join("..data_tmp")).expect("a link");
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the swap");
    std::fs::remove_dir_all(mount.join("..1")).expect("gone");
    sidecar.until_metric(LOADED, 1.0).await;
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.reason(), "path");
}

#[tokio::test]
async fn row_81_open_tunnels_are_cut_when_the_policy_no_longer_allows_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let sidecar = setup(port).await.audited().start().await;
    let mut cut = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let (mut cut_far, _) = listener.accept().await.expect("a connection");
    let mut stays = Raw::connect(sidecar.proxy()).await;
    stays
        .send(format!(
            "GET http://a.any.internal:{port}/ HTTP/1.1\r\nHost: a.any.internal:{port}\r\n\r\n"
        ))
        .await;
    let (mut stays_far, _) = listener.accept().await.expect("a connection");
    stays_far.read_exact(&mut [0; 20]).await.expect("the request");
    stays_far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await.expect("sent");
    assert_eq!(stays.head().await.status, 200);
    sidecar.rewrite(&policy(port).replace("host: raw.internal", "host: raws.internal"));
    assert_eq!(cut.rest().await, b"");
    assert_eq!(cut_far.read(&mut [0]).await.unwrap_or(0), 0);
    stays_far.write_all(b"world").await.expect("sent");
    assert_eq!(stays.exactly(10).await, b"helloworld");
    sidecar.rewrite(&policy(port).replace("any.internal", "none.internal"));
    sidecar.until_metric(LOADED, 2.0).await;
    let records = sidecar.verified_records().await;
    let outcomes: Vec<_> = records
        .iter()
        .map(|record| (record["host"].as_str(), record["decision"].as_str()))
        .collect();
    let expected = [
        (Some("raw.internal"), Some("allow")),
        (Some("a.any.internal"), Some("allow")),
        (Some("raw.internal"), Some("deny")),
    ];
    assert_eq!(outcomes, expected);
}

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

/// Tunnels that are open when the policy changes.
const OPEN: usize = 2_000;

#[tokio::test]
async fn row_81_of_two_thousand_tunnels_exactly_the_refused_half_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let roomy = policy(port).replace("    allow:", "    limits: {connections: 4000}\n    allow:");
    let setup = setup(port).await.audited();
    std::fs::write(setup.files.path().join("policy.yaml"), &roomy).expect("a policy");
    let sidecar = setup.start().await;
    let (mut stays, mut goes) = (Vec::new(), Vec::new());
    for at in 0..OPEN {
        let host = if at % 2 == 0 { "127.0.0.1" } else { "raw.internal" };
        let agent = Raw::tunnel(sidecar.proxy(), &format!("{host}:{port}")).await;
        let (far, _) = listener.accept().await.expect("a connection");
        if at % 2 == 0 { stays.push((agent, far)) } else { goes.push((agent, far)) }
    }
    sidecar.rewrite(&roomy.replace("host: raw.internal", "host: raws.internal"));
    for (agent, far) in &mut goes {
        assert_eq!(agent.rest().await, b"");
        assert_eq!(far.read(&mut [0]).await.unwrap_or(0), 0);
    }
    for (agent, far) in &mut stays {
        agent.send("ping").await;
        far.read_exact(&mut [0; 4]).await.expect("what was sent");
        far.write_all(b"pong").await.expect("sent");
        assert_eq!(agent.exactly(4).await, b"pong");
    }
    let half = f64::from(u32::try_from(OPEN / 2).expect("small"));
    sidecar.until_metric("pinfold_egress_open_connections", half).await;
    let records = sidecar.verified_records().await;
    let denied = records.iter().filter(|record| record["decision"] == "deny");
    assert_eq!(denied.count(), OPEN / 2, "each is recorded once");
}

/// How a policy is taken away, by name.
type Removal = (&'static str, fn(&std::path::Path));

#[tokio::test]
async fn a_policy_that_is_taken_away_ends_everything_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let removals: [Removal; 3] = [
        ("no file", |path| std::fs::remove_file(path).expect("removed")),
        ("an empty file", |path| std::fs::write(path, "").expect("emptied")),
        ("another agent's", |path| {
            let text = std::fs::read_to_string(path).expect("a policy");
            std::fs::write(path, text.replace("name: tester", "name: other")).expect("a policy");
        }),
    ];
    for (name, remove) in removals {
        let setup = setup(port).await.audited().with(|config| {
            config.agent = Some("tester".to_owned());
            config.limits.policy_gone_max = std::time::Duration::from_millis(300);
        });
        let sidecar = setup.start().await;
        let path = sidecar.files.path().join("policy.yaml");
        let text = std::fs::read_to_string(&path).expect("a policy");
        let before = digest(&sidecar).await;
        let mut agent = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
        let (_far, _) = listener.accept().await.expect("a connection");
        remove(&path);
        assert_eq!(agent.rest().await, b"", "{name}");
        let host = format!("raw.internal:{port}");
        let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = Raw::connect(sidecar.proxy()).await.ask(&request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (503, "no-policy"), "{name}");
        let reply = Raw::connect(sidecar.proxy()).await.ask(get(port)).await;
        assert_eq!(reply.reason(), "no-policy", "{name}");
        let ready = Raw::connect(sidecar.admin()).await.get("/readyz").await;
        assert_eq!((ready.status, ready.text().as_str()), (503, "there is no policy\n"), "{name}");
        assert_eq!(digest(&sidecar).await, r#"pinfold_policy_info{digest="none"} 1"#, "{name}");
        assert_eq!(sidecar.metric(REFUSED).await, 1.0, "{name}");
        std::fs::write(&path, text).expect("the policy");
        sidecar.until_metric(LOADED, 1.0).await;
        assert_eq!(digest(&sidecar).await, before, "{name}");
        assert_eq!(Raw::connect(sidecar.admin()).await.get("/readyz").await.status, 200, "{name}");
        assert_eq!(Raw::connect(sidecar.proxy()).await.ask(&request).await.status, 200, "{name}");
        let records = sidecar.verified_records().await;
        let reasons: Vec<_> =
            records.iter().map(|record| record["reason"].as_str().unwrap_or("")).collect();
        assert_eq!(reasons, ["", "no-policy", "no-policy", "no-policy", ""], "{name}");
    }
}

#[tokio::test]
async fn a_policy_that_is_away_for_a_moment_stays_in_force() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = setup(port).await.start().await;
    let path = sidecar.files.path().join("policy.yaml");
    let text = std::fs::read_to_string(&path).expect("a policy");
    std::fs::remove_file(&path).expect("removed");
    sidecar.until_metric(REFUSED, 1.0).await;
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.status, 200);
    std::fs::write(&path, text.replace("/simple/**", "/other/**")).expect("a policy");
    sidecar.until_metric(LOADED, 1.0).await;
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.reason(), "path");
}

#[tokio::test]
async fn a_policy_with_another_digest_than_announced_is_not_put_in_force() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    // The digest is what `/metrics` says of a sidecar that nobody announced one to.
    let plain = setup(port).await.start().await;
    let of = |line: &str| line.split('"').nth(1).expect("a digest").to_owned();
    let first = of(&digest(&plain).await);
    let changed = policy(port).replace("/simple/**", "/other/**");
    plain.rewrite(&changed);
    plain.until_metric(LOADED, 1.0).await;
    let second = of(&digest(&plain).await);

    let setup = setup(port).await;
    let announced = setup.files.path().join("digest");
    std::fs::write(&announced, format!("{first}\n")).expect("a digest");
    let sidecar = setup
        .with(|config| {
            config.policy_digest = Some(announced.clone());
            config.limits.policy_digest_max = std::time::Duration::from_millis(200);
        })
        .start()
        .await;
    let tampered = [changed.clone(), changed.replace("/other/**", "/**")];
    for text in &tampered {
        sidecar.rewrite(text);
        sidecar.until_metric(REFUSED, 1.0).await;
        assert_eq!(of(&digest(&sidecar).await), first);
        assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.status, 200);
    }
    sidecar.rewrite(&changed);
    std::fs::write(&announced, &second).expect("a digest");
    sidecar.until_metric(LOADED, 1.0).await;
    assert_eq!(of(&digest(&sidecar).await), second);
    assert_eq!(Raw::connect(sidecar.proxy()).await.ask(get(port)).await.reason(), "path");
}

#[tokio::test]
async fn a_sidecar_does_not_start_with_a_policy_that_was_not_announced() {
    for (announced, expected) in [
        (Some("sha256:0000"), "but `sha256:0000` was announced"),
        (Some(""), "but `` was announced"),
        (None, "can't read"),
    ] {
        let setup = setup(80).await;
        let path = setup.files.path().join("digest");
        announced.iter().for_each(|text| std::fs::write(&path, text).expect("a digest"));
        let mut config = setup.config;
        config.policy_digest = Some(path);
        config.limits.policy_digest_max = std::time::Duration::from_millis(50);
        let error = pinfold_sidecar::start(config).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

//! The program itself: exit codes, log, ready file and signals.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::support::{PATIENCE, Raw};

const POLICY: &str = "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {name: a}\nspec: {egress: {allow: []}}\n";

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pinfold-sidecar"));
    program.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program().args(arguments).output().expect("a run");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[test]
fn bad_configurations_are_exit_code_2_with_the_place() {
    let files = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let good = write("good.yaml", POLICY);
    let typo = write("typo.yaml", &POLICY.replace("egress", "egres"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address").to_string();
    let cases: &[(&[&str], &str)] = &[
        (&["run", "--policy", &typo], "typo.yaml:4:8"),
        (&["run", "--policy", &good, "--agent", "b"], "no AgentPolicy `b`: there are `a`"),
        (&["run", "--policy", &good, "--proxy", &address], &address),
        (&["run", "--policy", &good, "--proxy", "off", "--dns", &address], &address),
        (&["run", "--policy", &good, "--proxy", "off", "--transparent", &address], &address),
        (&["run", "--policy", &good, "--guard", "required"], "--transparent"),
        // Never without a flag that is wrong: loaded as root, the rules would be the machine's.
        (&["guard", "--uid", "nobody"], "--uid"),
        (&["guard", "--dry-run", "--loopback-port", "15090"], "15090"),
        (&["run"], "--policy"),
        (&["walk"], "walk"),
    ];
    for (arguments, expected) in cases {
        let (code, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn read_when_written(path: &Path) -> String {
    let read = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(path) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the ready file")
}

#[tokio::test]
async fn it_runs_from_the_environment_until_it_is_told_to_stop() {
    let files = tempfile::tempdir().expect("a directory");
    let policy = files.path().join("policy.yaml");
    std::fs::write(&policy, POLICY).expect("a policy");
    let ready = files.path().join("ready.json");
    let audit = files.path().join("audit");
    let child = program()
        .args([
            "run",
            "--proxy",
            "127.0.0.1:0",
            "--gateway",
            "off",
            "--admin",
            "127.0.0.1:0",
            "--drain",
            "0",
        ])
        .env("PINFOLD_POLICY", &policy)
        .env("PINFOLD_READY_FILE", &ready)
        .env("PINFOLD_AUDIT", &audit)
        .env("PINFOLD_RESOLVER", "127.0.0.1:1")
        .spawn()
        .expect("a child");
    let mut running = Running(child);
    let addresses: serde_json::Value =
        serde_json::from_str(&read_when_written(&ready).await).expect("JSON");
    assert_eq!(addresses["gateway"], serde_json::json!([]));
    let proxy = addresses["proxy"][0].as_str().expect("an address").parse().expect("an address");
    let reply = Raw::connect(proxy)
        .await
        .ask("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await;
    assert_eq!(reply.reason(), "host");
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().expect("kill").success());
    let status = running.0.wait().expect("an end");
    assert_eq!(status.code(), Some(0));
    pinfold_ledger::verify::verify(&[audit], None).expect("an intact ledger");
    let mut log = String::new();
    let stderr = running.0.stderr.as_mut().expect("a pipe");
    std::io::Read::read_to_string(stderr, &mut log).expect("text");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert!(lines.iter().any(|line| line["message"] == "listening"), "{log}");
}

#[tokio::test]
async fn the_kill_switch_is_set_by_a_signal_or_a_command_and_taken_off_by_a_command() {
    let files = tempfile::tempdir().expect("a directory");
    let policy = files.path().join("policy.yaml");
    std::fs::write(&policy, POLICY).expect("a policy");
    let (ready, socket) = (files.path().join("ready.json"), files.path().join("a.sock"));
    let off = ["--gateway", "off", "--proxy", "off", "--admin", "127.0.0.1:0", "--drain", "0"];
    let child = program()
        .arg("run")
        .args(off)
        .env("PINFOLD_POLICY", &policy)
        .env("PINFOLD_READY_FILE", &ready)
        .env("PINFOLD_ADMIN_SOCKET", &socket)
        .env("PINFOLD_RESOLVER", "127.0.0.1:1")
        .spawn()
        .expect("a child");
    let running = Running(child);
    read_when_written(&ready).await;
    let ask = |arguments: &[&str]| {
        let Output { status, stdout, stderr } =
            program().args(arguments).env("PINFOLD_ADMIN_SOCKET", &socket).output().expect("a run");
        let text = String::from_utf8([stdout, stderr].concat()).expect("text");
        (status.code(), text)
    };
    let nothing = (Some(0), "nothing is set\n".to_owned());
    assert_eq!(ask(&["switches"]), nothing);
    let (code, text) = ask(&["kill", "--server", "s", "--tool", "t"]);
    assert_eq!((code, text.as_str()), (Some(0), "set for tool `t` of `s`, by the admin socket\n"));
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-USR1", &pid]).status().expect("kill").success());
    let until_set = async {
        while !ask(&["switches"]).1.contains("set for everything, by a signal") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, until_set).await.expect("it is set");
    assert_eq!(ask(&["release"]), nothing);
    drop(running);
    let (code, text) = ask(&["kill"]);
    assert!(code == Some(1) && text.contains("can't ask the sidecar"), "{text}");
    assert_eq!(ask(&["kill", "--tool", "t"]).0, Some(2));
}

//! However a tunnel ends, nothing of it stays: neither descriptors nor entries. The sidecar is a process of its own, whose descriptors are counted.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::support::{PATIENCE, Raw};

/// Tunnels of each ending.
const EACH: usize = 125;

struct Program {
    child: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
    _files: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    async fn start(port: u16, gone: u16) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let policy = format!(
            "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a}}\nspec:\n  egress:\n    \
             limits: {{bytesPerConnection: 4Mi}}\n    allow:\n    - {{cidr: 127.0.0.1/32, ports: [{port}, {gone}], protocol: tcp}}\n"
        );
        let (path, ready) = (files.path().join("policy.yaml"), files.path().join("ready"));
        std::fs::write(&path, policy).expect("a policy");
        let child = Command::new(env!("CARGO_BIN_EXE_pinfold-sidecar"))
            .args(["run", "--proxy", "127.0.0.1:0", "--gateway", "off", "--admin", "127.0.0.1:0"])
            .arg("--policy")
            .arg(&path)
            .arg("--ready-file")
            .arg(&ready)
            .env("RUST_LOG", "error")
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let chosen = tokio::time::timeout(PATIENCE, written(&ready)).await.expect("ready");
        let address = |name: &str| {
            chosen[name][0].as_str().and_then(|text| text.parse().ok()).expect("an address")
        };
        Self { child, proxy: address("proxy"), admin: address("admin"), _files: files }
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("descriptors").count()
    }

    /// Until no tunnel is open.
    async fn quiet(&self) {
        let none = async {
            loop {
                let text = Raw::connect(self.admin).await.get("/metrics").await.text();
                if text.contains("pinfold_egress_open_connections 0\n") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, none).await.expect("no tunnel left");
    }
}

async fn written(path: &Path) -> serde_json::Value {
    loop {
        if let Ok(text) = std::fs::read(path) {
            return serde_json::from_slice(&text).expect("JSON");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    AgentCloses,
    AgentResets,
    UpstreamCloses,
    UpstreamResets,
    HalfCloses,
    OverLimit,
    ResetWithBytesOnTheWay,
    NobodyThere,
}

const ENDINGS: [Ending; 8] = [
    Ending::AgentCloses,
    Ending::AgentResets,
    Ending::UpstreamCloses,
    Ending::UpstreamResets,
    Ending::HalfCloses,
    Ending::OverLimit,
    Ending::ResetWithBytesOnTheWay,
    Ending::NobodyThere,
];

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(stream);
}

async fn play(program: &Program, listener: &TcpListener, gone: u16, ending: Ending) {
    let port = listener.local_addr().expect("an address").port();
    if matches!(ending, Ending::NobodyThere) {
        let authority = format!("127.0.0.1:{gone}");
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        assert_eq!(Raw::connect(program.proxy).await.ask(request).await.status, 502);
        return;
    }
    let mut agent = Raw::tunnel(program.proxy, &format!("127.0.0.1:{port}")).await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    agent.send("hello").await;
    far.read_exact(&mut [0; 5]).await.expect("a greeting");
    match ending {
        Ending::AgentCloses => {
            drop(agent);
            assert_eq!(far.read(&mut [0]).await.expect("an end"), 0);
        }
        Ending::AgentResets => {
            reset(agent.stream);
            far.read(&mut [0]).await.expect_err("a reset");
        }
        Ending::UpstreamCloses => {
            drop(far);
            assert_eq!(agent.stream.read(&mut [0]).await.expect("an end"), 0);
        }
        Ending::UpstreamResets => {
            reset(far);
            agent.stream.read(&mut [0]).await.expect_err("a reset");
        }
        Ending::HalfCloses => {
            far.shutdown().await.expect("half a close");
            assert_eq!(agent.stream.read(&mut [0]).await.expect("an end"), 0);
            agent.send("still").await;
            agent.stream.shutdown().await.expect("the other half");
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.expect("all of it");
            assert_eq!(rest, b"still");
        }
        Ending::OverLimit => {
            let sent = tokio::spawn(async move { far.write_all(&vec![b'i'; 32 << 20]).await });
            assert!(agent.rest().await.len() < 4 << 20);
            sent.await.expect("no panic").expect_err("a reset");
        }
        Ending::ResetWithBytesOnTheWay => {
            // The agent reads nothing, so that buffers and pipes are full when it goes.
            let bytes = vec![b'i'; 3 << 20];
            let full = tokio::time::timeout(Duration::from_millis(20), far.write_all(&bytes));
            let _ = full.await;
            reset(agent.stream);
            let _ = tokio::time::timeout(PATIENCE, far.read_to_end(&mut Vec::new())).await;
        }
        Ending::NobodyThere => {}
    }
}

#[tokio::test]
async fn a_thousand_tunnels_leave_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    // Bound and not listening: nobody else gets the port, and who connects is refused.
    let unused = TcpSocket::new_v4().expect("a socket");
    unused.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let gone = unused.local_addr().expect("an address").port();
    let program = Program::start(port, gone).await;
    let around = || async {
        for ending in ENDINGS {
            play(&program, &listener, gone, ending).await;
        }
        program.quiet().await;
    };
    // The first of each may leave what all share: pipes that are kept, threads' own descriptors.
    around().await;
    let before = program.descriptors();
    for _ in 0..EACH {
        around().await;
    }
    let kept_pipes = 2 * 8;
    assert!(program.descriptors() <= before + kept_pipes, "{before} -> {}", program.descriptors());
}

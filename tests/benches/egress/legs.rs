//! The proxies that are compared, each with a configuration that does as little as it can, and allows any tunnel to the server.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::Way;

/// How long a proxy may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// One of the compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// No proxy.
    Direct,
    /// The sidecar, asked by CONNECT, by a `tcp` rule.
    Sidecar,
    /// The same with its audit ledger.
    Audited,
    /// haproxy in TCP mode: no CONNECT, one server.
    Haproxy,
    /// squid, asked by CONNECT.
    Squid,
    /// tinyproxy, asked by CONNECT.
    Tinyproxy,
}

impl Leg {
    pub(crate) const ALL: [Self; 6] =
        [Self::Direct, Self::Sidecar, Self::Audited, Self::Haproxy, Self::Squid, Self::Tinyproxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Sidecar => "sidecar",
            Self::Audited => "sidecar with audit",
            Self::Haproxy => "haproxy (TCP mode)",
            Self::Squid => "squid",
            Self::Tinyproxy => "tinyproxy",
        }
    }
}

/// A leg that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) leg: Leg,
    pub(crate) way: Way,
    process: Option<Child>,
}

impl Running {
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts a leg whose files are in a folder of their own.
pub(crate) fn start(
    leg: Leg,
    (sidecar, folder): (&Path, &Path),
    server: SocketAddr,
) -> Outcome<Running> {
    let folder = folder.join(format!("{leg:?}"));
    fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let first = SocketAddr::from(([127, 0, 0, 1], port));
    let command = match leg {
        Leg::Direct => {
            let way = Way { first: server, connect: None };
            return Ok(Running { leg, way, process: None });
        }
        Leg::Sidecar => self::sidecar(sidecar, &folder, (first, server), false)?,
        Leg::Audited => self::sidecar(sidecar, &folder, (first, server), true)?,
        Leg::Haproxy => haproxy(&folder, (first, server))?,
        Leg::Squid => squid(&folder, first)?,
        Leg::Tinyproxy => tinyproxy(&folder, first)?,
    };
    let connect = (leg != Leg::Haproxy).then_some(server);
    let process = Some(spawned(command, &folder)?);
    let running = Running { leg, way: Way { first, connect }, process };
    let give_up = Instant::now().checked_add(START_MAX).ok_or("too long")?;
    while std::net::TcpStream::connect(first).is_err() {
        if Instant::now() > give_up {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("{} didn't start: {log}", leg.name()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// A port that was free a moment ago.
fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn spawned(mut command: Command, folder: &Path) -> Outcome<Child> {
    let log = fs::File::create(folder.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().map_err(|error| format!("{command:?}: {error}").into())
}

fn written(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn sidecar(
    program: &Path,
    folder: &Path,
    (first, server): (SocketAddr, SocketAddr),
    audit: bool,
) -> Outcome<Command> {
    let policy = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: bench}}\nspec:\n  egress:\n    \
         limits: {{connections: 20000}}\n    allow:\n    - {{cidr: {}/32, ports: [{}], protocol: tcp}}\n",
        server.ip(),
        server.port()
    );
    let policy = written(folder, "policy.yaml", &policy)?;
    let mut command = Command::new(program);
    command.arg("run").arg("--policy").arg(policy).arg("--proxy").arg(first.to_string());
    command.args(["--gateway", "off", "--admin", "127.0.0.1:0"]).env("RUST_LOG", "warn");
    if audit {
        command.arg("--audit").arg(folder.join("audit"));
    }
    Ok(command)
}

fn haproxy(folder: &Path, (first, server): (SocketAddr, SocketAddr)) -> Outcome<Command> {
    let text = format!(
        "global\n  maxconn 9800\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n\
         frontend in\n  bind {first}\n  default_backend out\nbackend out\n  server one {server}\n"
    );
    let path = written(folder, "haproxy.cfg", &text)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}

fn squid(folder: &Path, first: SocketAddr) -> Outcome<Command> {
    let text = format!(
        "http_port {first}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\ncache_mem 8 MB\n\
         pid_filename none\nmax_filedescriptors 20000\ncoredump_dir /\npinger_enable off\n\
         shutdown_lifetime 0 seconds\n"
    );
    let path = written(folder, "squid.conf", &text)?;
    let mut command = Command::new("squid");
    // By this name it calls its shared memory, which it leaves behind when it is killed; `run.sh` clears it away.
    command.arg("-N").arg("-n").arg(format!("pinfoldbench{}", first.port())).arg("-f").arg(path);
    Ok(command)
}

fn tinyproxy(folder: &Path, first: SocketAddr) -> Outcome<Command> {
    let text = format!(
        "Port {}\nListen {}\nTimeout 600\nMaxClients 20000\nLogLevel Critical\n",
        first.port(),
        first.ip()
    );
    let path = written(folder, "tinyproxy.conf", &text)?;
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(path);
    Ok(command)
}

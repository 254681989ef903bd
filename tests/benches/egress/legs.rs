//! The proxies that are compared, each with a configuration that does as little as it can, and allows any tunnel to the server.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Outcome;
use crate::client::{Task, Way};

/// How long a proxy may take to start.
const START_MAX: Duration = Duration::from_secs(20);
/// Between two tries to get through it.
const START_PAUSE: Duration = Duration::from_millis(50);
/// Whom the guard lets out.
const SIDECAR_UID: &str = "64646";
/// Where the guard redirects to.
const TRANSPARENT: &str = "127.0.0.1:15001";

/// One of the compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// No proxy.
    Direct,
    /// The sidecar, asked by CONNECT, by a `tcp` rule.
    Sidecar,
    /// The same with its audit ledger.
    Audited,
    /// The sidecar with connections that the guard's rules redirect to it.
    Transparent,
    /// haproxy in TCP mode: no CONNECT, one server.
    Haproxy,
    /// squid, asked by CONNECT.
    Squid,
    /// tinyproxy, asked by CONNECT.
    Tinyproxy,
}

impl Leg {
    pub(crate) const ALL: [Self; 7] = [
        Self::Direct,
        Self::Sidecar,
        Self::Audited,
        Self::Transparent,
        Self::Haproxy,
        Self::Squid,
        Self::Tinyproxy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Sidecar => "sidecar, CONNECT",
            Self::Audited => "sidecar, CONNECT, audit",
            Self::Transparent => "sidecar, redirected",
            Self::Haproxy => "haproxy (TCP mode)",
            Self::Squid => "squid",
            Self::Tinyproxy => "tinyproxy",
        }
    }

    fn is_asked(self) -> bool {
        !matches!(self, Self::Direct | Self::Transparent | Self::Haproxy)
    }
}

/// What all legs share: the server runs as long as this is there.
pub(crate) struct Setting {
    sidecar: PathBuf,
    folder: TempDir,
    /// The namespaces' common beginning; none means all on loopback.
    places: Option<String>,
    server: SocketAddr,
    _server: Ended,
}

/// A process that ends with its owner.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Setting {
    /// Starts the server. `places` is the beginning of the names of the namespaces, or `-`.
    pub(crate) fn new(sidecar: &Path, places: &str, server: SocketAddr) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        // The redirected sidecar has a user of its own.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let places = (places != "-").then(|| places.to_owned());
        let mut command = inside(places.as_deref().map(|places| format!("{places}-out")));
        command.arg(std::env::current_exe()?).args(["server", &server.to_string()]);
        let process = Ended(spawned(command, folder.path())?);
        Ok(Self { sidecar: sidecar.to_owned(), folder, places, server, _server: process })
    }

    /// Whether a leg can run here.
    pub(crate) fn has(&self, leg: Leg) -> bool {
        leg != Leg::Transparent || self.places.is_some()
    }

    /// A command where the leg's agent is.
    fn command(&self, leg: Leg) -> Command {
        let kind = if leg == Leg::Transparent { "guarded" } else { "pod" };
        inside(self.places.as_ref().map(|places| format!("{places}-{kind}")))
    }

    fn client(&self, leg: Leg, way: Way) -> Outcome<Client> {
        let mut command = self.command(leg);
        let connect = way.connect.map_or_else(|| "-".to_owned(), |address| address.to_string());
        command.arg(std::env::current_exe()?).args(["client", &way.first.to_string(), &connect]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn()?;
        let to = process.stdin.take().ok_or("no stdin")?;
        let from = process.stdout.take().map(BufReader::new).ok_or("no stdout")?;
        Ok(Client { to, from, _process: Ended(process) })
    }

    /// Starts a leg, and waits until somebody gets through.
    pub(crate) fn start(&self, leg: Leg) -> Outcome<Running> {
        let folder = self.folder.path().join(format!("{leg:?}"));
        fs::create_dir_all(&folder)?;
        let proxy = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let server = self.server;
        let command = match leg {
            Leg::Direct => None,
            Leg::Sidecar | Leg::Audited | Leg::Transparent => {
                Some(self.sidecar(leg, &folder, proxy)?)
            }
            Leg::Haproxy => Some(haproxy(self.command(leg), &folder, (proxy, server))?),
            Leg::Squid => Some(squid(self.command(leg), &folder, proxy)?),
            Leg::Tinyproxy => Some(tinyproxy(self.command(leg), &folder, proxy)?),
        };
        let spawn = |command| spawned(command, &folder).map(Ended);
        let process = command.map(spawn).transpose()?;
        let through = matches!(leg, Leg::Direct | Leg::Transparent);
        let first = if through { server } else { proxy };
        let way = Way { first, connect: leg.is_asked().then_some(server) };
        let give_up = Instant::now().checked_add(START_MAX).ok_or("too long")?;
        while self.client(leg, way)?.ask(Task::Hold { tunnels: 1 }).is_err() {
            if Instant::now() > give_up {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("nobody gets through {}: {log}", leg.name()).into());
            }
            std::thread::sleep(START_PAUSE);
        }
        Ok(Running { leg, client: self.client(leg, way)?, process })
    }

    fn sidecar(&self, leg: Leg, folder: &Path, proxy: SocketAddr) -> Outcome<Command> {
        let policy = format!(
            "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: bench}}\nspec:\n  egress:\n    \
             limits: {{connections: 20000}}\n    allow:\n    - {{cidr: {}/32, ports: [{}], protocol: tcp}}\n",
            self.server.ip(),
            self.server.port()
        );
        let policy = written(folder, "policy.yaml", &policy)?;
        let mut command = self.command(leg);
        if leg == Leg::Transparent {
            command.args(["setpriv", "--reuid", SIDECAR_UID, "--regid", SIDECAR_UID]);
            command.args(["--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
            command.arg("--inh-caps=-all");
        }
        command.arg(&self.sidecar).arg("run").arg("--policy").arg(policy);
        command.args(["--gateway", "off", "--admin", "127.0.0.1:0"]).env("RUST_LOG", "warn");
        if leg == Leg::Transparent {
            command.args(["--guard", "required", "--transparent", TRANSPARENT, "--proxy", "off"]);
        } else {
            command.args(["--proxy", &proxy.to_string()]);
        }
        if leg == Leg::Audited {
            command.arg("--audit").arg(folder.join("audit"));
        }
        Ok(command)
    }
}

/// A client that does what it is told.
#[derive(Debug)]
pub(crate) struct Client {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _process: Ended,
}

impl Client {
    /// Has it do something, and returns its figures.
    pub(crate) fn ask(&mut self, task: Task) -> Outcome<Vec<u64>> {
        writeln!(self.to, "{task}")?;
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err("the client ended".into());
        }
        line.split_whitespace().map(|number| Ok(number.parse()?)).collect()
    }
}

/// A leg that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) leg: Leg,
    pub(crate) client: Client,
    process: Option<Ended>,
}

impl Running {
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }
}

/// A command in a namespace, if there is one.
fn inside(namespace: Option<String>) -> Command {
    match namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &namespace]);
            command
        }
        // `env` runs what follows, as `ip netns exec` does.
        None => Command::new("env"),
    }
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

fn haproxy(
    mut command: Command,
    folder: &Path,
    (first, server): (SocketAddr, SocketAddr),
) -> Outcome<Command> {
    let text = format!(
        "global\n  maxconn 9900\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n\
         frontend in\n  bind {first}\n  default_backend out\nbackend out\n  server one {server}\n"
    );
    let path = written(folder, "haproxy.cfg", &text)?;
    command.args(["haproxy", "-db", "-f"]).arg(path);
    Ok(command)
}

fn squid(mut command: Command, folder: &Path, first: SocketAddr) -> Outcome<Command> {
    let text = format!(
        "http_port {first}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\ncache_mem 8 MB\n\
         pid_filename none\nmax_filedescriptors 20000\ncoredump_dir /\npinger_enable off\n\
         shutdown_lifetime 0 seconds\n"
    );
    let path = written(folder, "squid.conf", &text)?;
    // By this name it calls its shared memory, which it leaves behind when it is killed; `run.sh` clears it away.
    let name = format!("pinfoldbench{}", first.port());
    command.args(["squid", "-N", "-n", &name, "-f"]).arg(path);
    Ok(command)
}

fn tinyproxy(mut command: Command, folder: &Path, first: SocketAddr) -> Outcome<Command> {
    let text = format!(
        "Port {}\nListen {}\nTimeout 600\nMaxClients 20000\nLogLevel Critical\n",
        first.port(),
        first.ip()
    );
    let path = written(folder, "tinyproxy.conf", &text)?;
    command.args(["tinyproxy", "-d", "-c"]).arg(path);
    Ok(command)
}

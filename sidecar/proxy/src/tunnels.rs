//! What is open right now, and how to end it: after a reload every tunnel and request is judged again by the new policy.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinfold_engine::egress::{self, Asked, Attempt, Channel, DialPermit, Hello, Path};
use pinfold_engine::tool;
use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::path::RequestPath;
use tokio::sync::Notify;

use crate::gate::Gate;
use crate::record::Case;

/// The path of a request, as it was judged.
#[derive(Debug, Clone)]
pub(crate) struct JudgedPath {
    text: String,
    ambiguity: Option<&'static str>,
}

impl From<&RequestPath> for JudgedPath {
    fn from(path: &RequestPath) -> Self {
        Self { text: path.decoded().to_owned(), ambiguity: path.ambiguity() }
    }
}

impl<'a> From<&'a JudgedPath> for Path<'a> {
    fn from(path: &'a JudgedPath) -> Self {
        Self { text: &path.text, ambiguity: path.ambiguity }
    }
}

/// What the engine judges of a path.
pub(crate) fn judged(path: &RequestPath) -> Path<'_> {
    Path { text: path.decoded(), ambiguity: path.ambiguity() }
}

/// The path that a proposal may be made of; one that is ambiguous can't be in a rule.
pub(crate) fn learned(path: &RequestPath) -> Option<String> {
    path.ambiguity().is_none().then(|| path.decoded().to_owned())
}

/// What flows through an open connection.
#[derive(Debug, Clone)]
pub(crate) enum Spoken {
    /// Anything.
    Opaque,
    /// TLS of this server name.
    Tls {
        /// The name, if there was one.
        name: Option<DnsName>,
        /// Whether the hello carried an encrypted one.
        has_ech: bool,
    },
    /// A request in the clear.
    Http {
        /// Its method.
        method: String,
        /// Its path.
        path: JudgedPath,
    },
    /// A request inside TLS that the sidecar ended.
    Https {
        /// Its method.
        method: String,
        /// Its path.
        path: JudgedPath,
        /// Whether it changed to WebSocket.
        websocket: bool,
    },
    /// A request in the clear that changed to WebSocket.
    WebSocket {
        /// Its path.
        path: JudgedPath,
    },
    /// A request to a named upstream.
    Upstream {
        /// The upstream.
        name: String,
        /// Its method.
        method: String,
        /// Its normalized path.
        path: String,
    },
    /// A message to an MCP server, whose reply may be a stream.
    Mcp {
        /// The server.
        server: String,
        /// The tool, of a call.
        tool: Option<String>,
    },
}

/// One open connection.
#[derive(Debug, Clone)]
pub(crate) struct Tunnel {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Where it was dialled; unspecified if only the proxy of `egress.via` knows.
    pub(crate) address: SocketAddr,
    pub(crate) spoken: Spoken,
}

impl Tunnel {
    /// Judges again what was judged by another policy, and opened on the way out that it had.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(crate) fn judge_again(
        &self,
        case: &Case,
        policy: &AgentPolicy,
        own: &[SocketAddr],
    ) -> Result<(), Denial> {
        let named = matches!(self.spoken, Spoken::Upstream { .. } | Spoken::Mcp { .. });
        if !named && case.published.policy.via != policy.via {
            let message = "the new policy has another way out";
            return Err(Denial::new(Reason::Upstream, "spec.egress.via", message, "connect again"));
        }
        self.judge(policy, own)
    }

    /// Judges again, without asking a resolver: by the address that is in use.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(crate) fn judge(&self, policy: &AgentPolicy, own: &[SocketAddr]) -> Result<(), Denial> {
        let upstream = |name: &str, method: &str, path: &str| {
            let upstream = policy.upstream(name).filter(|upstream| self.goes_to(upstream));
            let upstream = upstream.ok_or_else(|| gone(name))?;
            let permit = egress::judge_upstream(upstream, method, path)?;
            permit.addresses(&[self.address.ip()], own)?.opaque()
        };
        let permit: DialPermit = match &self.spoken {
            Spoken::Opaque => self.tunnel(policy, own)?.opaque()?,
            Spoken::Tls { name, has_ech } => {
                let hello = Hello { server_name: name.as_ref(), has_ech: *has_ech };
                self.tunnel(policy, own)?.tls(hello)?
            }
            Spoken::Http { method, path } => self.tunnel(policy, own)?.http(method, path)?,
            Spoken::Https { method, path, websocket } => self
                .tunnel(policy, own)?
                .https(Asked { method, path: path.into(), websocket: *websocket })?,
            Spoken::WebSocket { path } => self.tunnel(policy, own)?.websocket("GET", path)?,
            Spoken::Upstream { name, method, path } => {
                let permit = upstream(name, method, path)?;
                policy.upstream(name).map_or(Ok(()), |named| egress::check_plain(policy, named))?;
                permit
            }
            Spoken::Mcp { server, tool } => {
                let listed = policy.server(server).ok_or_else(|| gone(server))?;
                if let Some(tool) = tool.as_deref().filter(|tool| !tool::sees(policy, server, tool))
                {
                    return Err(gone(tool));
                }
                upstream(&listed.upstream, "POST", "/")?
            }
        };
        let _ = permit;
        Ok(())
    }

    fn tunnel(
        &self,
        policy: &AgentPolicy,
        own: &[SocketAddr],
    ) -> Result<egress::AddressPermit, Denial> {
        let attempt = Attempt { host: &self.host, port: self.port, channel: Channel::Tunnel };
        let address = self.address.ip();
        let found: &[IpAddr] = if address.is_unspecified() { &[] } else { &[address] };
        egress::judge(policy, &attempt)?.addresses(found, own)
    }

    fn goes_to(&self, upstream: &pinfold_model::policy::agent::Upstream) -> bool {
        upstream.host == self.host && upstream.port == self.port
    }
}

fn gone(name: &str) -> Denial {
    let message = format!("the new policy has no `{name}` any more");
    Denial::new(Reason::Server, "spec", message, "ask for it in the policy")
}

/// Every open connection.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    open: Mutex<HashMap<u64, Arc<Entry>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    tunnel: Tunnel,
    case: Case,
    cut: AtomicBool,
    told: Notify,
}

impl Entry {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        // All that wait now; who comes later sees the flag.
        self.told.notify_waiters();
    }
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// To end.
    Cut,
    /// That the policy's limits may have changed.
    Look,
}

/// A connection's place in the registry, for as long as it is open.
#[derive(Debug)]
pub(crate) struct Registered {
    tunnels: Arc<Tunnels>,
    id: u64,
    entry: Arc<Entry>,
}

impl Tunnels {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection.
    pub(crate) fn enter(self: &Arc<Self>, tunnel: Tunnel, case: Case) -> Registered {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (cut, told) = (AtomicBool::new(false), Notify::new());
        let entry = Arc::new(Entry { tunnel, case, cut, told });
        self.lock().insert(id, Arc::clone(&entry));
        Registered { tunnels: Arc::clone(self), id, entry }
    }

    fn open(&self) -> Vec<Arc<Entry>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Cuts what is refused by its case alone; returns what was cut, and why.
    pub(crate) fn end(&self, judge: impl Fn(&Case) -> Result<(), Denial>) -> Vec<(Case, Denial)> {
        let ended = |entry: Arc<Entry>| {
            let denial = judge(&entry.case).err()?;
            entry.cut();
            Some((entry.case.clone(), denial))
        };
        self.open().into_iter().filter_map(ended).collect()
    }

    /// Cuts what a policy refuses, and has the others look at its limits; returns what was cut, and why. New connections don't wait for it:
    /// they enter under the new policy.
    pub(crate) fn judge(&self, policy: &AgentPolicy, own: &[SocketAddr]) -> Vec<(Case, Denial)> {
        let mut cut = Vec::new();
        for entry in self.open() {
            match entry.tunnel.judge_again(&entry.case, policy, own) {
                Ok(()) => entry.told.notify_one(),
                Err(denial) => {
                    entry.cut();
                    cut.push((entry.case.clone(), denial));
                }
            }
        }
        cut
    }
}

impl Registered {
    /// What the connection is about.
    pub(crate) fn case(&self) -> &Case {
        &self.entry.case
    }

    /// Judges another hello of the same connection as the first one was.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(crate) fn judge_hello(
        &self,
        name: Option<DnsName>,
        has_ech: bool,
        gate: &Gate,
    ) -> Result<(), Denial> {
        let Entry { tunnel, case, .. } = self.entry.as_ref();
        let tunnel = Tunnel { spoken: Spoken::Tls { name, has_ech }, ..tunnel.clone() };
        tunnel.judge_again(case, &gate.policy.load().policy, &gate.own)
    }

    /// Resolves when the connection must end, or look again.
    pub(crate) async fn told(&self) -> Told {
        // Before the flag is read: of a cut in between it hears too.
        let told = self.entry.told.notified();
        if self.entry.cut.load(Ordering::Acquire) {
            return Told::Cut;
        }
        told.await;
        if self.entry.cut.load(Ordering::Acquire) { Told::Cut } else { Told::Look }
    }

    /// Resolves when the connection must end.
    pub(crate) async fn cut(&self) {
        while self.told().await == Told::Look {}
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.tunnels.lock().remove(&self.id);
    }
}

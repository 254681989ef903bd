//! A connection on its way out once its host and port are known, however it came in: opened, or refused in the words of its protocol.
//!
//! CONNECT, SOCKS5 and redirected connections all end here, so that none of them has a judgement of its own.

use std::sync::Arc;

use pinfold_engine::egress::{AddressPermit, DialPermit, Hello};
use pinfold_model::host::Host;
use pinfold_model::reason::Denial;
use pinfold_wire::client_hello::ClientHello;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::dial::dial;
use crate::drain::DrainWatch;
use crate::forward::{Inside, Route};
use crate::gate::Gate;
use crate::peek::alert_for;
use crate::proxy;
use crate::record::Case;
use crate::relay::Established;
use crate::terminate::{self, Ending};
use crate::tunnels::{Registered, Spoken, Tunnel};

/// A connection on its way out.
pub(crate) struct Passage<'g> {
    pub(crate) gate: &'g Arc<Gate>,
    pub(crate) case: Case,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) drain: DrainWatch,
}

/// Its far side.
pub(crate) struct Open {
    stream: TcpStream,
    registered: Registered,
}

/// How a refused client is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With a TLS alert.
    Alert(u8),
    /// With an end: it was told before that the tunnel is open.
    End,
    /// With a reset, as a closed port would.
    Reset,
}

impl Passage<'_> {
    /// Records, dials and enters the connection. Nothing of the client is sent yet.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(crate) async fn open(&self, permit: &DialPermit, spoken: Spoken) -> Result<Open, Denial> {
        self.gate.quota.connect(&self.case.published.policy)?;
        self.gate.allowed(&self.case, permit.rule(), permit).await?;
        let dialled = dial(self.gate, permit).await?;
        let (host, address) = (self.host.clone(), dialled.address);
        let tunnel = Tunnel { host, port: self.port, address, spoken };
        Ok(Open { stream: dialled.stream, registered: self.gate.enter(&tunnel, &self.case)? })
    }

    /// What is left to do: to relay. `hello` are the bytes of the ClientHello that let it through, if one did.
    pub(crate) fn established(
        client: Client,
        open: Open,
        hello: Option<usize>,
    ) -> Option<Established> {
        // What comes out of TLS that the sidecar ended is never a tunnel.
        let (agent, early) = client.into_socket()?;
        let Open { stream: upstream, registered } = open;
        Some(Established { agent, early, hello, upstream, registered })
    }

    /// Judges a hello; then passes the connection on as it is, or ends its TLS.
    pub(crate) async fn tls(
        mut self,
        client: Client,
        permit: &AddressPermit,
        inside: Inside,
        hello: ClientHello,
    ) -> Option<Established> {
        self.case.protocol = "tls";
        let said = Hello { server_name: hello.sni.as_ref(), has_ech: hello.has_ech };
        if permit.is_terminated() {
            self.case.protocol = "https";
            let permit = match permit.end_tls(said) {
                Ok(permit) => permit,
                Err(denial) => return self.cut_tls(client, denial).await,
            };
            let ending = Ending { inside, permit, hello, case: self.case };
            Box::pin(terminate::serve(self.gate, client, ending, self.drain)).await;
            return None;
        }
        let length = hello.length;
        let opened = match permit.tls(said) {
            Ok(permit) => {
                let spoken = Spoken::Tls { name: hello.sni, has_ech: hello.has_ech };
                self.open(&permit, spoken).await
            }
            Err(denial) => Err(denial),
        };
        match opened {
            Ok(open) => Self::established(client, open, Some(length)),
            Err(denial) => self.cut_tls(client, denial).await,
        }
    }

    /// Serves requests in the clear, each judged by itself.
    pub(crate) async fn http(self, client: Client, route: Route) -> Option<Established> {
        Box::pin(proxy::requests(self.gate, client, route, self.drain)).await;
        None
    }

    /// Refuses a client that speaks TLS.
    async fn cut_tls(&self, client: Client, denial: Denial) -> Option<Established> {
        let alert = Farewell::Alert(alert_for(denial.reason));
        self.cut(client, denial, alert).await
    }

    /// Refuses a client that can't be told why.
    pub(crate) async fn cut(
        &self,
        client: Client,
        denial: Denial,
        farewell: Farewell,
    ) -> Option<Established> {
        self.gate.refused(&self.case, denial).await;
        let_go(self.gate, client, farewell).await;
        None
    }
}

/// Ends a refused connection.
pub(crate) async fn let_go(gate: &Gate, mut client: Client, farewell: Farewell) {
    match farewell {
        Farewell::Alert(alert) => {
            let record = [21, 3, 3, 0, 2, 2, alert];
            if client.write(&record, gate.limits.write_max).await.is_ok() {
                client.close().await;
            }
        }
        Farewell::End => client.close().await,
        Farewell::Reset => client.reset(),
    }
}

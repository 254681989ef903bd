//! One HTTP/1.1 connection to an upstream, over TCP or TLS. It ends with its owner.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pinfold_model::reason::Denial;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::dial::unreachable;
use crate::out_body::OutBody;

/// Bytes of a reply's head, and of what is read ahead of its body.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a kept connection may take to be ready again; one that still sends is no use.
const READY_MAX: Duration = Duration::from_millis(100);
/// Fields of a reply's head.
const HEADERS_MAX: usize = 128;

/// A connection.
#[derive(Debug)]
pub(crate) struct HttpUpstream {
    sender: SendRequest<OutBody>,
    /// Where it was dialled.
    pub(crate) address: SocketAddr,
    driver: JoinHandle<()>,
}

impl Drop for HttpUpstream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpUpstream {
    /// Speaks HTTP over a connection.
    ///
    /// # Errors
    /// A denial of reason `upstream`.
    pub(crate) async fn over<S>(stream: S, address: SocketAddr, rule: &str) -> Result<Self, Denial>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder.max_buf_size(BUFFER_BYTES_MAX).max_headers(HEADERS_MAX);
        let handshake = builder.handshake::<_, OutBody>(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|error| unreachable(rule, &error.to_string()))?;
        let driver = tokio::spawn(async move {
            // The request that uses it gets the same error.
            let _ = connection.await;
        });
        Ok(Self { sender, address, driver })
    }

    /// Whether another request can be sent.
    pub(crate) async fn is_usable(&mut self) -> bool {
        matches!(tokio::time::timeout(READY_MAX, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Sends a request and waits for the head of the reply.
    ///
    /// # Errors
    /// [`SendFailed`]; the connection is of no use any more.
    pub(crate) async fn send(
        &mut self,
        request: Request<OutBody>,
        rule: &str,
        reply_max: Duration,
    ) -> Result<Response<Incoming>, SendFailed> {
        match tokio::time::timeout(reply_max, self.sender.try_send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err(SendFailed { denial: unreachable(rule, &with_cause(error.error())), unsent })
            }
            Err(_) => {
                let denial = unreachable(rule, &format!("no reply within {reply_max:?}"));
                Err(SendFailed { denial, unsent: None })
            }
        }
    }
}

/// A request without a reply.
#[derive(Debug)]
pub(crate) struct SendFailed {
    /// Of reason `upstream`.
    pub(crate) denial: Denial,
    /// The request, if nothing of it was sent.
    pub(crate) unsent: Option<Box<Request<OutBody>>>,
}

fn with_cause(error: &hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

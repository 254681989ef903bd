//! The beginning of a tunnel that its ClientHello let through: until the server has answered, nothing else of the client passes, because a
//! HelloRetryRequest brings a second hello in the clear, which may name another host. That one is judged as the first was.
//!
//! A server's bytes are never held, so that whatever it says, in whatever pieces, neither side waits for the other here. What a client
//! sends meanwhile waits in its socket beyond a bound. The tunnel's own times hold here too.

use std::future::poll_fn;

use bytes::BytesMut;
use pinfold_model::reason::Denial;
use pinfold_wire::client_hello::{ClientHello, HelloError};
use pinfold_wire::second_hello::{Answer, AnswerReader, Part, SecondHelloReader};
use tokio::net::TcpStream;

use super::sockets::Direction;
use super::{Broken, Flow};
use crate::client::read_socket;
use crate::peek;
use crate::tunnels::Registered;

/// Bytes of the client that are read before the server's answer; ordinary clients send none.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Bytes read at once from the client.
const READ_BYTES: usize = 4096;

/// What is waited for.
enum Awaited {
    /// The server's answer to the first hello.
    Answer,
    /// The client's second hello.
    Hello(Box<SecondHelloReader>),
    /// The server's answer to that one.
    LastAnswer,
}

struct Beginning<'f> {
    out: Direction<'f>,
    back: Direction<'f>,
    registered: &'f Registered,
    /// What the client said, and what didn't pass yet.
    held: BytesMut,
    answers: AnswerReader,
    awaited: Awaited,
}

/// Passes on the hello of `length` bytes, with which `early` begins, and what belongs to the server's answer. What comes back is of the client,
/// and may pass.
pub(super) async fn pass(
    flow: &Flow<'_>,
    (agent, early): (&TcpStream, BytesMut),
    upstream: &TcpStream,
    length: usize,
    registered: &Registered,
) -> Result<BytesMut, Broken> {
    let (out, back) = Direction::both(flow, agent, upstream);
    let (answers, awaited) = (AnswerReader::default(), Awaited::Answer);
    let mut beginning = Beginning { out, back, registered, held: early, answers, awaited };
    beginning.forward(length).await?;
    beginning.run().await?;
    Ok(beginning.held)
}

impl Beginning<'_> {
    /// Until what is held may pass.
    async fn run(&mut self) -> Result<(), Broken> {
        let mut ended = false;
        loop {
            self.second_hello().await?;
            let reads = !ended && self.takes_more();
            let mut answer = None;
            let seen = &mut |bytes: &[u8]| answer = self.answers.feed(bytes);
            // What isn't written yet must not be lost with a future that is dropped: it comes out of here.
            let step = tokio::select! {
                step = poll_fn(|context| self.back.step(context, seen)) => Some(step?),
                read = read_socket(self.out.from, &mut self.held, READ_BYTES), if reads => {
                    ended = read? == 0;
                    None
                }
            };
            match step {
                // A server that has ended answers nothing more.
                Some(step) if step.read == 0 => return self.server_ended(),
                Some(step) => self.back.pass_on(step).await?,
                None if ended && self.nothing_to_judge() => {
                    self.held.clear();
                    return Ok(());
                }
                None => {}
            }
            if let Some(answer) = answer
                && self.answered(answer)?
            {
                return Ok(());
            }
        }
    }

    fn takes_more(&self) -> bool {
        match &self.awaited {
            Awaited::Answer | Awaited::LastAnswer => self.held.len() < HELD_BYTES_MAX,
            // Its reader has a bound.
            Awaited::Hello(_) => true,
        }
    }

    /// Of a client that has ended: whether what is held could still matter.
    fn nothing_to_judge(&self) -> bool {
        self.held.is_empty() || matches!(self.awaited, Awaited::Hello(_))
    }

    fn server_ended(&self) -> Result<(), Broken> {
        match self.awaited {
            Awaited::Answer | Awaited::LastAnswer => Ok(()),
            Awaited::Hello(_) => Err(Broken::Failed),
        }
    }

    /// Whether all may pass now.
    fn answered(&mut self, answer: Answer) -> Result<bool, Broken> {
        match (&self.awaited, answer) {
            (Awaited::Answer, Answer::Retry) => {
                self.awaited = Awaited::Hello(Box::default());
                Ok(false)
            }
            (Awaited::Answer | Awaited::LastAnswer, Answer::Other) => Ok(true),
            // The client must end the connection then, so none that is honest goes on (RFC 8446 section 4.1.4).
            (Awaited::Hello(_) | Awaited::LastAnswer, Answer::Retry) => {
                Err(unreadable(HelloError::Malformed("the server asked for a third one")))
            }
            // An alert, or another server than one of TLS: a hello is judged all the same.
            (Awaited::Hello(_), Answer::Other) => Ok(false),
        }
    }

    /// Passes on what is held up to the second hello, and that once it is judged.
    async fn second_hello(&mut self) -> Result<(), Broken> {
        while let Awaited::Hello(reader) = &mut self.awaited {
            match reader.read(&self.held).map_err(unreadable)? {
                Part::NeedMore => return Ok(()),
                Part::Pass(length) => self.forward(length).await?,
                Part::Hello(hello) => {
                    let ClientHello { sni, has_ech, length, .. } = hello;
                    self.registered.judge_hello(sni, has_ech, self.out.flow.gate)?;
                    self.forward(length).await?;
                    self.awaited = Awaited::LastAnswer;
                }
            }
        }
        Ok(())
    }

    async fn forward(&mut self, length: usize) -> Result<(), Broken> {
        let bytes = self.held.split_to(length.min(self.held.len()));
        self.out.forward(&bytes).await
    }
}

fn unreadable(error: HelloError) -> Broken {
    Broken::Refused(peek::unreadable(&error.to_string()))
}

impl From<Denial> for Broken {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

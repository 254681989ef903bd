//! Bytes between two sockets: copied at first, since most tunnels say little; spliced once a direction shows that it moves a lot.

use std::cell::RefCell;
use std::ffi::c_int;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use pinfold_model::reason::Denial;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::pipe::{Lent, PIPE_BYTES};
use super::{Broken, Flow};
use crate::quota::Way;

/// Bytes read at once when copying, into a buffer of the thread.
pub(super) const COPY_BYTES: usize = 64 * 1024;
/// After so many reads in a row that filled the buffer, a direction is spliced.
const SPLICE_AFTER: u32 = 4;
/// A splice that moves less shows that copying is as good.
const SPLICE_BYTES_MIN: usize = 16 * 1024;
/// More follows at once (`MSG_MORE`, send(2)): here the end, in one packet with the last bytes.
const MORE: c_int = 0x8000;
/// After so many bytes without a pause the thread is somebody else's turn.
const TURN_BYTES: usize = 1024 * 1024;

thread_local! {
    /// What is read here is passed on or put aside before anything else runs on the thread.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; COPY_BYTES]);
}

/// Runs with the thread's buffer.
pub(super) fn with_scratch<T>(run: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| run(scratch))
}

/// Both directions, until both have ended or one can't go on.
pub(super) async fn both(
    flow: &Flow<'_>,
    (agent, early): (&TcpStream, BytesMut),
    upstream: &TcpStream,
) -> Result<(), Broken> {
    let (out, back) = Direction::both(flow, agent, upstream);
    tokio::try_join!(out.run(early), back.run(BytesMut::new())).map(|_| ())
}

pub(super) struct Direction<'f> {
    pub(super) flow: &'f Flow<'f>,
    pub(super) from: &'f TcpStream,
    to: &'f TcpStream,
    way: Way,
}

/// What one step did.
pub(super) struct Step {
    /// Bytes read; 0 at the end.
    pub(super) read: usize,
    /// Of what may pass, what didn't go at once.
    left: Vec<u8>,
    /// Why nothing more may.
    denial: Option<Denial>,
}

/// How splicing stopped.
enum Spliced {
    /// There is nothing to read at present, or little.
    Paused { little: bool },
    /// The direction has ended.
    Ended,
    /// These sockets can't be spliced.
    Unsuited,
}

impl<'f> Direction<'f> {
    /// Out and back.
    pub(super) fn both(
        flow: &'f Flow<'f>,
        agent: &'f TcpStream,
        upstream: &'f TcpStream,
    ) -> (Self, Self) {
        let out = Self { flow, from: agent, to: upstream, way: Way::Out };
        (out, Self { flow, from: upstream, to: agent, way: Way::In })
    }

    /// Passes on bytes that were read before.
    pub(super) async fn forward(&self, early: &[u8]) -> Result<(), Broken> {
        let (granted, denial) = self.flow.count(self.way, early.len());
        self.write_all(early.get(..granted).unwrap_or_default()).await?;
        check(denial)
    }

    async fn run(&self, early: BytesMut) -> Result<(), Broken> {
        if !early.is_empty() {
            self.forward(&early).await?;
        }
        drop(early);
        let (mut full, mut turn) = (0_u32, 0_usize);
        let mut may_splice = true;
        loop {
            if may_splice && full >= SPLICE_AFTER {
                poll_fn(|context| self.from.poll_read_ready(context)).await?;
                if let Some(lent) = self.flow.gate.pipes.take() {
                    match self.splice(lent).await? {
                        Spliced::Ended => return self.end(),
                        Spliced::Paused { little: false } => {}
                        Spliced::Paused { little: true } => full = 0,
                        Spliced::Unsuited => may_splice = false,
                    }
                    continue;
                }
            }
            let step = poll_fn(|context| self.step(context, &mut |_| {})).await?;
            let read = step.read;
            if read == 0 {
                return self.end();
            }
            self.pass_on(step).await?;
            full = if read == COPY_BYTES { full.saturating_add(1) } else { 0 };
            turn = self.give_way(turn, read).await;
        }
    }

    /// Passes the end on; the other direction goes on. The second one's end is passed on by closing, which follows at once.
    fn end(&self) -> Result<(), Broken> {
        if self.flow.one_ended.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        Ok(SockRef::from(self.to).shutdown(std::net::Shutdown::Write)?)
    }

    /// Lets others run after a megabyte; how much of the turn is used.
    async fn give_way(&self, turn: usize, moved: usize) -> usize {
        let turn = turn.saturating_add(moved);
        if turn < TURN_BYTES {
            return turn;
        }
        tokio::task::yield_now().await;
        0
    }

    /// Passes on what a step put aside.
    pub(super) async fn pass_on(&self, step: Step) -> Result<(), Broken> {
        if !step.left.is_empty() {
            self.write_all(&step.left).await?;
        }
        check(step.denial)
    }

    /// Reads what there is into the thread's buffer, shows it, and writes it at once; only what the other side doesn't take is put aside.
    pub(super) fn step(
        &self,
        context: &mut Context<'_>,
        seen: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<Step>> {
        with_scratch(|scratch| {
            let read = ready!(receive(self.from, context, scratch))?;
            if read == 0 {
                return Poll::Ready(Ok(Step { read, left: Vec::new(), denial: None }));
            }
            let (granted, denial) = self.flow.count(self.way, read);
            let granted = scratch.get(..granted).unwrap_or_default();
            seen(granted);
            let written = match self.write(granted) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let left = granted.get(written..).unwrap_or_default().to_vec();
            Poll::Ready(Ok(Step { read, left, denial }))
        })
    }

    /// Writes what was just read. Its end will be read next where the side it came from has said so already.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !has_ended(self.from) {
            return self.to.try_write(bytes);
        }
        let send = || SockRef::from(self.to).send_with_flags(bytes, MORE);
        self.to.try_io(Interest::WRITABLE, send)
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.to.writable().await?;
            match self.to.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.flow.pulse.beat();
        Ok(())
    }

    /// Moves bytes through a pipe until there is nothing to read.
    async fn splice(&self, mut lent: Lent<'_>) -> Result<Spliced, Broken> {
        let mut turn = 0;
        loop {
            let fill = || lent.fill(self.from, PIPE_BYTES);
            let moved = match self.from.try_io(Interest::READABLE, fill) {
                Ok(0) => return Ok(Spliced::Ended),
                Ok(moved) => moved,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Spliced::Paused { little: false });
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Ok(Spliced::Unsuited);
                }
                Err(error) => return Err(error.into()),
            };
            let (granted, denial) = self.flow.count(self.way, moved);
            self.empty(&mut lent, granted).await?;
            check(denial)?;
            if moved < SPLICE_BYTES_MIN {
                return Ok(Spliced::Paused { little: true });
            }
            turn = self.give_way(turn, moved).await;
        }
    }

    /// Moves so many bytes out of the pipe, as fast as the other side takes them.
    async fn empty(&self, lent: &mut Lent<'_>, mut left: usize) -> io::Result<()> {
        while left > 0 {
            match self.to.try_io(Interest::WRITABLE, || lent.empty(self.to, left)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => left = left.saturating_sub(moved),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|context| self.to.poll_write_ready(context)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.flow.pulse.beat();
        Ok(())
    }
}

fn check(denial: Option<Denial>) -> Result<(), Broken> {
    denial.map_or(Ok(()), |denial| Err(Broken::Limit(denial)))
}

/// Whether the other end of a socket sends nothing any more; bytes that it sent before may still be there.
fn has_ended(socket: &TcpStream) -> bool {
    let ready = pin!(socket.ready(Interest::READABLE));
    let now = ready.poll(&mut Context::from_waker(Waker::noop()));
    matches!(now, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

/// Reads once. A read that doesn't fill the buffer took all there was, so that the next one waits without asking the system.
fn receive(
    from: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(from.poll_read_ready(context))?;
        let mut taken = None;
        let result = from.try_io(Interest::READABLE, || {
            let read = rustix::io::read(from, &mut *buffer)?;
            if read == 0 || read == buffer.len() {
                return Ok(read);
            }
            taken = Some(read);
            // Within this call, and only here, tokio can tell this state from one that came later.
            Err(io::ErrorKind::WouldBlock.into())
        });
        match (taken, result) {
            (Some(read), _) => return Poll::Ready(Ok(read)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, result) => return Poll::Ready(result),
        }
    }
}

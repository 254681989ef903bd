//! Kernel pipes for splice(2), shared by all tunnels: bytes go from socket to socket without a copy into this process.
//!
//! A pipe is held only while bytes are in it. There are a bounded number; a direction that gets none copies instead.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Pipes in use at once, each two descriptors.
const PIPES_MAX: usize = 64;
/// Pipes kept for the next tunnel.
const KEPT_MAX: usize = 8;
/// Bytes that a pipe is to hold; the system may give less.
pub(super) const PIPE_BYTES: usize = 512 * 1024;

/// All pipes of the process.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    kept: Mutex<Vec<Pipe>>,
    lent: AtomicUsize,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe while a direction has it. Dropped with bytes in it, it is closed instead of given back.
pub(super) struct Lent<'p> {
    pipes: &'p Pipes,
    pipe: Option<Pipe>,
    inside: usize,
}

impl Pipes {
    /// An empty pipe, or none if all are in use or the system has no more.
    pub(super) fn take(&self) -> Option<Lent<'_>> {
        let free = |lent: usize| (lent < PIPES_MAX).then(|| lent.saturating_add(1));
        self.lent.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lent = Lent { pipes: self, pipe: kept, inside: 0 };
        if lent.pipe.is_none() {
            lent.pipe = Some(Pipe::new().ok()?);
        }
        Some(lent)
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond the user's share of pipe memory this is refused, and the pipe stays at its default size.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }
}

impl Lent<'_> {
    /// Moves what there is into the empty pipe, at most `most` bytes; 0 at the end.
    pub(super) fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let moved = splice(from, None, &pipe.write, None, most, flags())?;
        self.inside = self.inside.saturating_add(moved);
        Ok(moved)
    }

    /// Moves at most `most` bytes on.
    pub(super) fn empty(&mut self, to: impl AsFd, most: usize) -> io::Result<usize> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let moved = splice(&pipe.read, None, to, None, most, flags())?;
        self.inside = self.inside.saturating_sub(moved);
        Ok(moved)
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let clean = self.pipe.take().filter(|_| self.inside == 0);
        if let Some(pipe) = clean {
            let mut kept = self.pipes.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_MAX {
                kept.push(pipe);
            }
        }
        self.pipes.lent.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn pipes_are_bounded_and_come_back() {
        let pipes = Pipes::default();
        let all: Vec<_> = (0..PIPES_MAX).map(|_| pipes.take().expect("a pipe")).collect();
        assert!(pipes.take().is_none());
        drop(all);
        assert_eq!(pipes.lent.load(Ordering::Acquire), 0);
        assert_eq!(pipes.kept.lock().expect("not poisoned").len(), KEPT_MAX);
        assert!(pipes.take().is_some());
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_not_used_again() {
        let pipes = Pipes::default();
        let (mut agent, near) = UnixStream::pair().expect("sockets");
        let (far, mut upstream) = UnixStream::pair().expect("sockets");
        agent.write_all(b"of one tunnel").expect("sent");
        let mut lent = pipes.take().expect("a pipe");
        assert_eq!(lent.fill(&near, PIPE_BYTES).expect("moved"), 13);
        assert_eq!(lent.empty(&far, 6).expect("moved"), 6);
        drop(lent);
        assert!(pipes.kept.lock().expect("not poisoned").is_empty());
        let mut lent = pipes.take().expect("a pipe");
        agent.write_all(b" another").expect("sent");
        assert_eq!(lent.fill(&near, PIPE_BYTES).expect("moved"), 8);
        assert_eq!(lent.empty(&far, PIPE_BYTES).expect("moved"), 8);
        drop(lent);
        assert_eq!(pipes.kept.lock().expect("not poisoned").len(), 1);
        let mut seen = [0; 14];
        upstream.read_exact(&mut seen).expect("bytes");
        assert_eq!(&seen, b"of one another");
    }
}

//! Work at a fixed rate, whatever the answers do. A latency begins when the work was due, so that a pause of the proxy counts for everything
//! that it held up; where nothing was held up and only this process woke up late, it begins when the work did.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::{ANSWER_MAX, Way, allowed, nanos, request};
use crate::Outcome;

/// Threads that share a rate, each with one thing under way.
const THREADS: u32 = 8;

/// Round trips of 32 bytes through tunnels that are open already.
pub(super) fn echoes(way: Way, per_second: u64, ms: u64) -> Outcome<Vec<u64>> {
    let opened = move || {
        let mut stream = open(way)?;
        stream.write_all(b"e")?;
        Ok(stream)
    };
    let work = |stream: &mut TcpStream| {
        let mut buffer = [b'.'; 32];
        stream.write_all(&buffer)?;
        Ok(stream.read_exact(&mut buffer)?)
    };
    all(per_second, ms, opened, work)
}

/// New tunnels, each from its beginning to the byte that came back through it.
pub(super) fn opens(way: Way, per_second: u64, ms: u64) -> Outcome<Vec<u64>> {
    let work = move |(): &mut ()| {
        let mut stream = open(way)?;
        stream.write_all(b"1")?;
        Ok(stream.read_exact(&mut [0])?)
    };
    all(per_second, ms, || Ok(()), work)
}

/// A tunnel without tokio, for a thread of its own.
fn open(way: Way) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(way.first)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let Some(target) = way.connect else { return Ok(stream) };
    stream.write_all(request(target).as_bytes())?;
    let (mut head, mut piece) = (Vec::with_capacity(256), [0; 256]);
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err("the proxy closed before it answered".into());
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    allowed(&head).map(|()| stream)
}

fn all<S>(
    per_second: u64,
    ms: u64,
    opened: impl Fn() -> Outcome<S> + Copy + Send + 'static,
    work: impl Fn(&mut S) -> Outcome<()> + Copy + Send + 'static,
) -> Outcome<Vec<u64>> {
    let between = Duration::from_secs(1).div_f64(f64::from(u32::try_from(per_second)?));
    let every = between.saturating_mul(THREADS);
    let ready = Arc::new(Barrier::new(usize::try_from(THREADS)?));
    let threads: Vec<_> = (0..THREADS)
        .map(|at| {
            let (ready, shift) = (Arc::clone(&ready), between.saturating_mul(at));
            std::thread::spawn(move || {
                let state = opened();
                ready.wait();
                let first = Instant::now().checked_add(shift).ok_or("too late")?;
                paced(state?, (first, every), Duration::from_millis(ms), work)
            })
        })
        .collect();
    let mut found = Vec::new();
    for thread in threads {
        found.extend(thread.join().map_err(|_| "a client's thread panicked")??);
    }
    Ok(found)
}

fn paced<S>(
    mut state: S,
    (first, every): (Instant, Duration),
    time: Duration,
    work: impl Fn(&mut S) -> Outcome<()>,
) -> Outcome<Vec<u64>> {
    let (mut due, mut found) = (first, Vec::new());
    while due.saturating_duration_since(first) < time {
        let early = due.saturating_duration_since(Instant::now());
        std::thread::sleep(early);
        let began = if early.is_zero() { due } else { Instant::now() };
        work(&mut state)?;
        found.push(nanos(began.elapsed()));
        due = due.checked_add(every).ok_or("too late")?;
    }
    Ok(found)
}

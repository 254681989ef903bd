//! The client of every leg: opens tunnels, pulls bytes, and sends at a fixed rate, measured from when it should have sent.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Longest wait for an answer to CONNECT.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How the server is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Where to connect.
    pub(crate) first: SocketAddr,
    /// Whom to ask for by CONNECT, if it is a proxy that wants to be asked.
    pub(crate) connect: Option<SocketAddr>,
}

impl Way {
    /// A tunnel to the server.
    pub(crate) async fn open(self) -> Outcome<TcpStream> {
        tokio::time::timeout(ANSWER_MAX, self.opened()).await?
    }

    async fn opened(self) -> Outcome<TcpStream> {
        let mut stream = TcpStream::connect(self.first).await?;
        stream.set_nodelay(true)?;
        let Some(target) = self.connect else { return Ok(stream) };
        stream.write_all(request(target).as_bytes()).await?;
        let mut head = Vec::with_capacity(256);
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Err("the proxy closed before it answered".into());
            }
        }
        allowed(&head).map(|()| stream)
    }

    /// The same without tokio, for a thread of its own.
    fn open_here(self) -> Outcome<std::net::TcpStream> {
        let mut stream = std::net::TcpStream::connect(self.first)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let Some(target) = self.connect else { return Ok(stream) };
        stream.write_all(request(target).as_bytes())?;
        let mut head = Vec::with_capacity(256);
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        allowed(&head).map(|()| stream)
    }
}

fn request(target: SocketAddr) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

fn allowed(head: &[u8]) -> Outcome<()> {
    if head.get(8..12) == Some(b" 200") {
        return Ok(());
    }
    Err(format!("CONNECT was answered with `{}`", head.escape_ascii()).into())
}

/// Tunnels opened, used for one byte each way and ended, by so many workers for so long.
pub(crate) async fn new_tunnels(way: Way, workers: usize, time: Duration) -> Outcome<u64> {
    let until = Instant::now().checked_add(time).ok_or("too long")?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(async move {
            let mut opened = 0_u64;
            while Instant::now() < until {
                let mut stream = way.open().await?;
                stream.write_all(b"1").await?;
                let mut rest = Vec::with_capacity(8);
                stream.read_to_end(&mut rest).await?;
                if rest != b"1" {
                    return Err("the tunnel lost its byte".into());
                }
                opened = opened.saturating_add(1);
            }
            Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(opened)
        });
    }
    let mut sum = 0_u64;
    while let Some(done) = tasks.join_next().await {
        sum = sum.saturating_add(done??);
    }
    Ok(sum)
}

/// Bytes that come through so many tunnels in so long.
pub(crate) async fn bytes(way: Way, tunnels: usize, time: Duration) -> Outcome<u64> {
    let (stop, sum) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..tunnels {
        let mut stream = way.open().await?;
        let (stop, sum) = (Arc::clone(&stop), Arc::clone(&sum));
        tasks.spawn(async move {
            stream.write_all(b"s").await?;
            let mut buffer = vec![0; PIECE_BYTES];
            while !stop.load(Ordering::Relaxed) {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                sum.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
            }
            Ok::<(), std::io::Error>(())
        });
    }
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(sum.load(Ordering::Relaxed))
}

/// Open tunnels that said one byte and are silent now.
pub(crate) async fn idle(way: Way, count: usize) -> Outcome<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = way.open().await?;
        stream.write_all(b"eE").await?;
        stream.read_u8().await?;
        open.push(stream);
    }
    Ok(open)
}

/// Round trips of 32 bytes through tunnels that are open already, each from the moment when it should have begun, so that a pause of the
/// proxy counts for every request that it held up.
pub(crate) fn latencies(
    way: Way,
    threads: u32,
    every: Duration,
    time: Duration,
) -> Outcome<Vec<Duration>> {
    let ready = Arc::new(std::sync::Barrier::new(usize::try_from(threads)?));
    let handles: Vec<_> = (0..threads)
        .map(|at| {
            let (ready, shift) = (Arc::clone(&ready), every.checked_div(threads).unwrap_or(every));
            let shift = shift.saturating_mul(at);
            std::thread::spawn(move || paced(way, &ready, (shift, every), time))
        })
        .collect();
    let mut all = Vec::new();
    for handle in handles {
        all.extend(handle.join().map_err(|_| "a client's thread panicked")??);
    }
    all.sort_unstable();
    Ok(all)
}

fn paced(
    way: Way,
    ready: &std::sync::Barrier,
    (shift, every): (Duration, Duration),
    time: Duration,
) -> Outcome<Vec<Duration>> {
    let mut stream = way.open_here()?;
    stream.write_all(b"e")?;
    ready.wait();
    let start = Instant::now().checked_add(shift).ok_or("too late")?;
    let mut buffer = [b'.'; 32];
    let mut found = Vec::new();
    let mut due = start;
    while due.saturating_duration_since(start) < time {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        found.push(due.elapsed());
        due = due.checked_add(every).ok_or("too late")?;
    }
    Ok(found)
}

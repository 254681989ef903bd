//! The client of a leg, a process of its own where that leg's agent would be. It does what it is told on stdin, line by line, and answers each
//! with a line of numbers: opens tunnels, pulls bytes, sends at a fixed rate, holds tunnels open.

mod paced;

use std::fmt;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Longest wait for an answer to CONNECT.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Tunnels that are opened at the same time.
const WORKERS: usize = 16;

/// What a client is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Opens tunnels one after the other for so many milliseconds; answers how many, and how many nanoseconds it took.
    New { ms: u64 },
    /// Pulls bytes through so many tunnels for so many milliseconds; answers how many, and nanoseconds.
    Bytes { tunnels: u64, ms: u64 },
    /// Sends through open tunnels at a fixed rate; answers the nanoseconds of each round trip.
    Echo { per_second: u64, ms: u64 },
    /// Opens tunnels at a fixed rate; answers the nanoseconds of each.
    Open { per_second: u64, ms: u64 },
    /// Has so many silent tunnels open from now on; answers how many.
    Hold { tunnels: u64 },
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { ms } => write!(formatter, "new {ms} 0"),
            Self::Bytes { tunnels, ms } => write!(formatter, "bytes {ms} {tunnels}"),
            Self::Echo { per_second, ms } => write!(formatter, "echo {ms} {per_second}"),
            Self::Open { per_second, ms } => write!(formatter, "open {ms} {per_second}"),
            Self::Hold { tunnels } => write!(formatter, "hold 0 {tunnels}"),
        }
    }
}

impl Task {
    fn parse(line: &str) -> Outcome<Self> {
        let [name, ms, count] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("no task: `{line}`").into());
        };
        let (ms, count) = (ms.parse()?, count.parse()?);
        Ok(match name {
            "new" => Self::New { ms },
            "bytes" => Self::Bytes { tunnels: count, ms },
            "echo" => Self::Echo { per_second: count, ms },
            "open" => Self::Open { per_second: count, ms },
            "hold" => Self::Hold { tunnels: count },
            _ => return Err(format!("no task: `{line}`").into()),
        })
    }
}

/// Does what stdin says until it ends.
pub(crate) fn run(way: Way) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut held = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let answer = match Task::parse(&line?)? {
            Task::New { ms } => runtime.block_on(new_tunnels(way, Duration::from_millis(ms)))?,
            Task::Bytes { tunnels, ms } => {
                runtime.block_on(bytes(way, tunnels, Duration::from_millis(ms)))?
            }
            Task::Echo { per_second, ms } => paced::echoes(way, per_second, ms)?,
            Task::Open { per_second, ms } => paced::opens(way, per_second, ms)?,
            Task::Hold { tunnels } => runtime.block_on(hold(way, &mut held, tunnels))?,
        };
        let answer: Vec<String> = answer.iter().map(ToString::to_string).collect();
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", answer.join(" "))?;
        stdout.flush()?;
    }
    Ok(())
}

/// How the server is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Where to connect.
    pub(crate) first: SocketAddr,
    /// Whom to ask for by CONNECT, if it is a proxy that wants to be asked.
    pub(crate) connect: Option<SocketAddr>,
}

impl Way {
    /// As a client's arguments say it; `-` asks for nobody.
    pub(crate) fn parse(first: &str, connect: &str) -> Outcome<Self> {
        let connect = if connect == "-" { None } else { Some(connect.parse()?) };
        Ok(Self { first: first.parse()?, connect })
    }

    /// A tunnel to the server.
    async fn open(self) -> Outcome<TcpStream> {
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

/// Tunnels opened, used for one byte each way and ended.
async fn new_tunnels(way: Way, time: Duration) -> Outcome<Vec<u64>> {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        tasks.spawn(async move {
            let mut opened = 0_u64;
            while started.elapsed() < time {
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
    Ok(vec![sum, nanos(started.elapsed())])
}

/// Bytes that come through so many tunnels.
async fn bytes(way: Way, tunnels: u64, time: Duration) -> Outcome<Vec<u64>> {
    let shared = std::sync::Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    let mut open = Vec::new();
    for _ in 0..tunnels {
        open.push(way.open().await?);
    }
    let started = Instant::now();
    for mut stream in open {
        let shared = std::sync::Arc::clone(&shared);
        tasks.spawn(async move {
            stream.write_all(b"s").await?;
            let mut buffer = vec![0; PIECE_BYTES];
            while !shared.0.load(Ordering::Relaxed) {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                shared.1.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
            }
            Ok::<(), std::io::Error>(())
        });
    }
    tokio::time::sleep(time).await;
    let (sum, took) = (shared.1.load(Ordering::Relaxed), started.elapsed());
    shared.0.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(vec![sum, nanos(took)])
}

/// Opens tunnels that say one byte and are silent then, until there are so many.
async fn hold(way: Way, held: &mut Vec<TcpStream>, tunnels: u64) -> Outcome<Vec<u64>> {
    while u64::try_from(held.len())? < tunnels {
        let missing = usize::try_from(tunnels)?.saturating_sub(held.len());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..missing.min(WORKERS) {
            tasks.spawn(silent(way));
        }
        while let Some(done) = tasks.join_next().await {
            held.push(done??);
        }
    }
    Ok(vec![tunnels])
}

async fn silent(way: Way) -> Outcome<TcpStream> {
    let mut stream = way.open().await?;
    stream.write_all(b"eE").await?;
    stream.read_u8().await?;
    Ok(stream)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

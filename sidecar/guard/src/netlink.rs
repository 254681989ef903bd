//! Netlink: messages as bytes, one socket, requests with their answers.
//!
//! A socket that was never bound or connected sends to the kernel (port 0), and only the kernel, or a process with NET_ADMIN in this
//! network namespace, can send to it: so answers need no check of their sender.

use std::io::{self, Read as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::GuardError;

/// `AF_NETLINK`.
const AF_NETLINK: i32 = 16;
/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE_BYTES: usize = 4;
/// The largest datagram that the kernel puts together for a dump is 32 KiB; an error repeats its request.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Datagrams that are read for one request.
const DATAGRAMS_MAX: usize = 1024;
/// The kernel answers while it takes the request; this is for a kernel that doesn't.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Flags of requests (`linux/netlink.h`).
pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACKNOWLEDGE: u16 = 0x4;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;
/// Kinds of answers.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Set on attributes that hold attributes.
const NESTED: u16 = 0x8000;

/// Which part of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Route,
    Netfilter,
}

/// A run of attributes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // One that is too long for its length field is refused by the kernel, as it ought to be.
        let length = u16::try_from(value.len().saturating_add(ATTRIBUTE_BYTES)).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        pad(&mut self.0);
        self
    }

    /// As nf_tables writes numbers.
    pub(crate) fn big(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// As rtnetlink writes numbers.
    pub(crate) fn native(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(crate) fn nested(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }
}

fn pad(bytes: &mut Vec<u8>) {
    let padded = bytes.len().next_multiple_of(4);
    bytes.resize(padded, 0);
}

/// One request, and what to say if the kernel refuses it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    /// The fixed part of its kind.
    pub(crate) header: Vec<u8>,
    pub(crate) attributes: Attributes,
    /// What it is about, for errors.
    pub(crate) what: String,
    /// Kernel options without which it fails.
    pub(crate) needs: &'static str,
}

impl Request {
    /// Its bytes.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let mut body = self.header.clone();
        pad(&mut body);
        body.extend(&self.attributes.0);
        let length = u32::try_from(body.len().saturating_add(HEADER_BYTES)).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((self.flags | REQUEST).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        // The sender's port: the kernel knows it.
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn refused(&self, errno: i32, remedy: &'static str) -> GuardError {
        let (what, source) = (self.what.clone(), io::Error::from_raw_os_error(errno));
        if source.kind() == io::ErrorKind::PermissionDenied {
            return GuardError::NoRight { what, source };
        }
        GuardError::Refused { what, needs: self.needs, remedy, source }
    }
}

/// A message from the kernel.
#[derive(Debug)]
pub(crate) struct Message {
    kind: u16,
    sequence: u32,
    /// What follows the header.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// 0 is an acknowledgement.
    fn error(&self) -> Option<i32> {
        let errno = i32::from_ne_bytes(*self.body.first_chunk()?);
        (self.kind == ERROR).then(|| errno.saturating_neg())
    }

    /// The attributes after a fixed part of so many bytes.
    pub(crate) fn attributes(&self, header: usize) -> Vec<(u16, &[u8])> {
        let mut left = self.body.get(header.next_multiple_of(4)..).unwrap_or_default();
        let mut found = Vec::new();
        while let Some((length, kind)) = left.first_chunk().zip(left.get(2..)).and_then(|(a, b)| {
            Some((usize::from(u16::from_ne_bytes(*a)), u16::from_ne_bytes(*b.first_chunk()?)))
        }) {
            let Some(value) = left.get(ATTRIBUTE_BYTES..length) else { break };
            found.push((kind & !NESTED, value));
            left = left.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        found
    }
}

/// A socket to the kernel.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// A socket to a part of the kernel.
    ///
    /// # Errors
    /// The kernel hasn't it.
    pub(crate) fn open(family: Family) -> Result<Self, GuardError> {
        let (number, name, needs) = match family {
            Family::Route => (0, "rtnetlink", "CONFIG_NET"),
            Family::Netfilter => {
                (12, "netfilter netlink", "CONFIG_NETFILTER_NETLINK and CONFIG_NF_TABLES")
            }
        };
        let missing = |source| GuardError::NoFamily { family: name, needs, source };
        let (domain, protocol) = (Domain::from(AF_NETLINK), Protocol::from(number));
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(missing)?;
        socket.set_read_timeout(Some(ANSWER_MAX)).map_err(failed("set up"))?;
        Ok(Self { socket, sequence: 0 })
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends requests as one transaction: all or none.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub(crate) fn batch(&mut self, requests: &[Request]) -> Result<(), GuardError> {
        let mut bytes = Vec::new();
        let mut waiting: Vec<(u32, &Request)> = Vec::new();
        for request in requests {
            let sequence = self.next();
            bytes.extend(request.bytes(sequence));
            waiting.push((sequence, request));
        }
        self.send(&bytes)?;
        // Only those are acknowledged that ask for it; an error comes for any.
        let mut left = requests.iter().filter(|request| request.flags & ACKNOWLEDGE != 0).count();
        for _ in 0..DATAGRAMS_MAX {
            for message in self.receive()? {
                let about = waiting.iter().find(|(sequence, _)| *sequence == message.sequence);
                match (about, message.error()) {
                    (Some(_), Some(0)) => left = left.saturating_sub(1),
                    (Some((_, request)), Some(errno)) => return Err(request.refused(errno, "")),
                    (None, _) | (Some(_), None) => {}
                }
            }
            if left == 0 {
                return Ok(());
            }
        }
        Err(failed("read to the end")(io::ErrorKind::TimedOut.into()))
    }

    /// One change; 0, or the number of the error.
    ///
    /// # Errors
    /// Netlink itself failed.
    pub(crate) fn change(&mut self, request: &Request) -> Result<i32, GuardError> {
        let sequence = self.next();
        self.send(&request.bytes(sequence))?;
        for _ in 0..DATAGRAMS_MAX {
            let messages = self.receive()?;
            let own = messages.iter().filter(|message| message.sequence == sequence);
            if let Some(errno) = own.filter_map(Message::error).next() {
                return Ok(errno);
            }
        }
        Err(failed("read to the end")(io::ErrorKind::TimedOut.into()))
    }

    /// One change that must go well.
    ///
    /// # Errors
    /// The kernel refused it.
    pub(crate) fn must(
        &mut self,
        request: &Request,
        remedy: &'static str,
    ) -> Result<(), GuardError> {
        match self.change(request)? {
            0 => Ok(()),
            errno => Err(request.refused(errno, remedy)),
        }
    }

    /// What the kernel answers to a question: messages, or the number of an error.
    ///
    /// # Errors
    /// Netlink itself failed.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
    ) -> Result<Result<Vec<Message>, i32>, GuardError> {
        let sequence = self.next();
        self.send(&request.bytes(sequence))?;
        let mut found = Vec::new();
        for _ in 0..DATAGRAMS_MAX {
            for message in self.receive()? {
                if message.sequence != sequence {
                    continue;
                }
                match message.error() {
                    Some(0) => return Ok(Ok(found)),
                    Some(errno) => return Ok(Err(errno)),
                    None if message.kind == DONE => return Ok(Ok(found)),
                    None => found.push(message),
                }
            }
            // A question about one thing has one answer, a dump goes on until it says that it is done.
            if request.flags & DUMP != DUMP && !found.is_empty() {
                return Ok(Ok(found));
            }
        }
        Err(failed("read to the end")(io::ErrorKind::TimedOut.into()))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), GuardError> {
        match self.socket.send(bytes).map_err(failed("sent"))? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(failed("sent whole")(io::ErrorKind::WriteZero.into())),
        }
    }

    fn receive(&self) -> Result<Vec<Message>, GuardError> {
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        let length = (&self.socket).read(&mut buffer).map_err(failed("read"))?;
        Ok(messages(buffer.get(..length).unwrap_or_default()))
    }
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> GuardError {
    move |source| GuardError::Netlink { action, source }
}

/// The messages of a datagram.
fn messages(mut left: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    while let Some((header, _)) = left.split_first_chunk::<HEADER_BYTES>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(body) = left.get(HEADER_BYTES..length) else { break };
        found.push(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body: body.to_vec(),
        });
        left = left.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests;

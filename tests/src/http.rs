//! A GET over a plain socket, for metrics and readiness. HTTP/1.0, so that the answer ends with
//! the connection and has no chunks.

use crate::HarnessError;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long to wait for the connection, and for each read or write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// No answer that a test reads is longer, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
}

/// GETs `path` (with its leading slash) from a loopback server without TLS.
pub fn get(address: SocketAddr, path: &str) -> Result<HttpResponse, HarnessError> {
    let fail = |reason: String| HarnessError::Http {
        address: address.to_string(),
        path: path.to_owned(),
        reason,
    };
    let answer = exchange(address, path).map_err(|error| fail(error.to_string()))?;
    parse(&String::from_utf8_lossy(&answer)).map_err(fail)
}

fn exchange(address: SocketAddr, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &str) -> Result<HttpResponse, String> {
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| format!("no head in `{answer}`"))?;
    let line = head.lines().next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| format!("no status in `{line}`"))?;
    Ok(HttpResponse { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{HttpResponse, get};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn reads_status_and_body_or_says_what_came() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nx 1\r\n\r\n", Ok((200, "x 1\r\n\r\n"))),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\n", Ok((503, ""))),
            ("SSH-2.0-x\r\n\r\n", Err("no status")),
            ("", Err("no head")),
        ];
        for (answer, expected) in cases {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            let got = get(address, "/metrics");
            assert!(server.join().unwrap().starts_with("GET /metrics HTTP/1.0\r\n"));
            match expected {
                Ok((status, body)) => {
                    assert_eq!(got.unwrap(), HttpResponse { status, body: body.to_owned() });
                }
                Err(reason) => assert!(got.unwrap_err().to_string().contains(reason)),
            }
        }
    }
}

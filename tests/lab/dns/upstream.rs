//! A DNS server for measurements: 192.0.2.0/24's neighbour 93.184.216.34 for every A question, nothing for others, held for a minute. It counts what
//! it is asked; a query for the name `count.test` is answered with the count as an address. Build: `rustc -O upstream.rs`.

use std::net::UdpSocket;

fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.2:53".to_owned());
    let socket = UdpSocket::bind(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let mut count: u32 = 0;
    let mut buffer = [0; 2048];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let Some(end) = question_end(&buffer[..length]) else { continue };
        let mut reply = buffer[..end].to_vec();
        let asks_count = buffer[12..end].starts_with(b"\x05count\x04test");
        let is_a = buffer[end - 4..end] == [0, 1, 0, 1];
        count += u32::from(!asks_count);
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        if is_a {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            let address = if asks_count { count.to_be_bytes() } else { [93, 184, 216, 34] };
            reply.extend(address);
        }
        let _ = socket.send_to(&reply, peer);
    }
}

/// Where the first question ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += length + 1;
        if length == 0 {
            return (at + 4 <= message.len()).then_some(at + 4);
        }
    }
}

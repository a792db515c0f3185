//! Just enough SIP over UDP to ask whether somebody is there and to throw bytes at them: strings, not a stack.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use crate::clock;

/// Value of the first header `name` of a message (long form, any case).
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// All values of header `name`, in order.
pub fn headers<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let same = |line: &&'a str| {
        line.split_once(':').is_some_and(|(found, _)| found.trim().eq_ignore_ascii_case(name))
    };
    message
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(same)
        .filter_map(|line| line.split_once(':').map(|(_, value)| value.trim()))
        .collect()
}

/// The status of a response, `None` for a request.
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The method of a request, `None` for a response.
pub fn method(message: &str) -> Option<&str> {
    let first = message.lines().next()?;
    (!first.starts_with("SIP/")).then(|| first.split(' ').next()).flatten()
}

/// A socket that sends SIP and listens for what comes back.
pub struct Prober {
    socket: UdpSocket,
    sent: u32,
}

impl Prober {
    /// On a free port of the loopback.
    pub fn new() -> Self {
        Self::new_on(Ipv4Addr::LOCALHOST.into())
    }

    /// On a free port of one of the machine's addresses.
    pub fn new_on(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a free UDP port on an address of this machine");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a read timeout above zero");
        Self { socket, sent: 0 }
    }

    /// Throws any bytes at `to`.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        // A refused datagram shows as an error of a later call on Linux; whether anybody answers is asked for apart.
        let _ = self.socket.send_to(bytes, to);
    }

    /// Everything that arrives within `time`.
    pub fn receive(&self, time: Duration) -> Vec<String> {
        let until = clock::now() + time;
        let mut messages = Vec::new();
        let mut buffer = [0; 65_536];
        while clock::now() < until {
            if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
                messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        messages
    }

    /// Asks with OPTIONS, again every 500 ms, until an answer to it comes or `limit` is over; gives its status.
    pub fn options(&mut self, to: SocketAddr, limit: Duration) -> Option<u16> {
        let until = clock::now() + limit;
        self.sent += 1;
        let local = self.socket.local_addr().expect("a bound socket has an address");
        let id = format!("{}-{}-{}", std::process::id(), local.port(), self.sent);
        let request = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{id}\r\nMax-Forwards: 70\r\n\
             From: <sip:prober@{local}>;tag={id}\r\nTo: <sip:{to}>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\n\
             Contact: <sip:prober@{local}>\r\nContent-Length: 0\r\n\r\n"
        );
        let mut buffer = [0; 65_536];
        let mut resend = clock::now();
        while clock::now() < until {
            if clock::now() >= resend {
                self.send(to, request.as_bytes());
                resend = clock::now() + Duration::from_millis(500);
            }
            if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
                let answer = String::from_utf8_lossy(&buffer[..length]);
                if header(&answer, "Call-ID") == Some(&id) {
                    return status(&answer);
                }
            }
        }
        None
    }
}

impl Default for Prober {
    fn default() -> Self {
        Self::new()
    }
}

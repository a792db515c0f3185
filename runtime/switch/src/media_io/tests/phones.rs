//! Far ends made of plain sockets, which see packets as they are.

use std::io::ErrorKind;

use super::*;

/// The next packet, by its length. A wait that the system broke off, because the process was stopped meanwhile, goes on.
pub(super) fn receive(socket: &UdpSocket, packet: &mut [u8]) -> usize {
    loop {
        match socket.recv(packet) {
            Ok(len) => return len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no packet within 10 s: {error}"),
        }
    }
}

/// One that is asked packet by packet.
pub(super) struct Phone {
    pub(super) socket: UdpSocket,
    target: SocketAddr,
    sequence: u16,
}

impl Phone {
    pub(super) fn new(target: SocketAddr) -> Self {
        let socket = UdpSocket::bind((HERE, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Self { socket, target, sequence: 7 }
    }

    pub(super) fn send(&mut self, payload_type: u8, marker: bool, payload: &[u8]) {
        let timestamp = u32::from(self.sequence) * 160;
        let header = Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: 5 };
        self.sequence += 1;
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        self.socket.send_to(&packet, self.target).expect("sent");
    }

    pub(super) fn key(&mut self, code: u8) {
        self.send(101, true, &[code, 10, 0, 160]);
    }

    /// The next packet: when, its header, and the pitch of its sound.
    pub(super) fn receive(&self) -> (Instant, Header, f32) {
        let mut packet = [0; 2000];
        let len = receive(&self.socket, &mut packet);
        let at = clock::now();
        let (header, payload) = Header::parse(&packet[..len]).expect("RTP");
        let mut samples = [0; 160];
        g711::decode(Codec::Pcma, &packet[payload], &mut samples);
        (at, header, pitch_hz(&samples))
    }
}

/// A telephone that sends a tone, 20 ms a packet, and keeps all that it hears.
pub(super) struct Telephone {
    pub(super) socket: UdpSocket,
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    pub(super) heard: Vec<(Header, Vec<u8>)>,
}

impl Telephone {
    pub(super) fn new(codec: Codec, ssrc: u32) -> Self {
        let socket = UdpSocket::bind((HERE, 0)).expect("a socket");
        socket.set_nonblocking(true).expect("an option");
        Self { socket, codec, ssrc, sequence: 0, heard: Vec::new() }
    }

    pub(super) fn plan(&self) -> MediaPlan {
        MediaPlan { codec: self.codec, ..plan(self.socket.local_addr().expect("bound")) }
    }

    pub(super) fn header(&mut self, payload_type: u8) -> Header {
        let sequence = self.sequence;
        self.sequence += 1;
        let timestamp = 1_000_000 + u32::from(sequence) * 160;
        Header { marker: sequence == 0, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    pub(super) fn send(&mut self, target: SocketAddr, header: Header, payload: &[u8]) {
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        self.socket.send_to(&packet, target).expect("sent");
    }

    pub(super) fn say(&mut self, target: SocketAddr, hz: f32) {
        let header = self.header(self.codec.payload_type());
        let first = u32::from(header.sequence) * 160;
        let sound: Vec<u8> = (first..first + 160)
            .map(|n| g711::encode(self.codec, ((n as f32 * hz / 8000.0 * TAU).sin() * 13_000.0) as i16))
            .collect();
        self.send(target, header, &sound);
    }

    pub(super) fn take(&mut self) {
        let mut packet = [0; 2000];
        while let Ok(len) = self.socket.recv(&mut packet) {
            let (header, payload) = Header::parse(&packet[..len]).expect("RTP");
            self.heard.push((header, packet[payload].to_vec()));
        }
    }

    /// Waits until it has heard so many packets since the last time.
    pub(super) async fn hears(&mut self, packets: usize) {
        comes("what it should hear", || {
            self.take();
            self.heard.len() >= packets
        })
        .await;
    }

    /// The sound of what was heard since the last time.
    pub(super) fn sound(&mut self) -> Vec<i16> {
        self.take();
        let table = g711::table(self.codec);
        let heard = std::mem::take(&mut self.heard);
        let sound = heard.iter().filter(|(header, _)| header.payload_type == self.codec.payload_type());
        sound.flat_map(|(_, payload)| payload.iter().map(|byte| table[usize::from(*byte)])).collect()
    }
}

//! What crosses the wire, kept by dumpcap and read by tshark: a judge of SIP and RTP who has nothing of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{machine, process::Process, project::Config};

const LIMIT: Duration = Duration::from_secs(60);
/// How long after the answer to a BYE the last packet may leave, in seconds: on a busy machine those of the media thread that
/// were due before it. A stream that nobody closes goes on for longer.
const CLOSING: f64 = 1.0;
/// How far the time of a stream's packets and the clock may be apart in the end, in seconds: a telephone that the machine stops
/// for a moment takes its time to begin, or to go on. Wrong timestamps go on drifting.
const ADRIFT: f64 = 1.5;

/// A capture in progress.
pub struct Capture {
    process: Process,
    file: PathBuf,
    sip_port: u16,
    media_ports: (u16, u16),
}

/// A capture that is over.
pub struct Captured {
    file: PathBuf,
    sip_port: u16,
    media_ports: (u16, u16),
}

/// One SIP message, as tshark reads it.
#[derive(Debug, Clone)]
pub struct Message {
    /// Seconds since the capture's start.
    pub at: f64,
    /// From the host under test.
    pub ours: bool,
    /// The dialog's.
    pub call_id: String,
    /// Of `CSeq`.
    pub sequence: u32,
    /// Of `CSeq`.
    pub method: String,
    /// Of a response.
    pub status: Option<u16>,
    /// The port that an SDP in it names for audio.
    pub audio: Option<u16>,
}

/// One RTP packet, as tshark reads it.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// Seconds since the capture's start.
    pub at: f64,
    /// The sender's port.
    pub from: u16,
    /// The receiver's port.
    pub to: u16,
    /// The stream's.
    pub ssrc: u32,
    /// The number.
    pub sequence: u16,
    /// In samples.
    pub timestamp: u32,
    /// Whether it says that something begins.
    pub marker: bool,
    /// The key, if it is of a telephone event.
    pub key: Option<u8>,
}

impl Capture {
    /// Starts to keep what the host of `config` sends and gets. `Ok(None)`: that cannot be done here, which has been said
    /// aloud.
    pub fn start(config: &Config, folder: &Path) -> Result<Option<Self>, String> {
        let (Some(dumpcap), Some(_)) = (machine::program("dumpcap"), machine::program("tshark")) else {
            machine::skip("tshark is not installed (Debian: tshark)");
            return Ok(None);
        };
        let Some(mut command) = machine::with_raw_sockets(&dumpcap) else {
            machine::skip("dumpcap may not capture: neither root nor a sudo that asks nothing");
            return Ok(None);
        };
        let (sip_port, media_ports) = (config.listen.port(), config.media_ports);
        let file = folder.join("capture.pcapng");
        let (ip, (first, last)) = (config.listen.ip(), media_ports);
        let filter = format!("host {ip} and udp and (port {sip_port} or portrange {first}-{last})");
        // What a machine sends to itself passes its loopback interface, whatever the address.
        command.args(["-q", "-i", "lo", "-B", "32", "-f", &filter, "-w"]).arg(&file);
        let mut process = Process::spawn("dumpcap", &mut command)?;
        match process.wait_for_line("File:", Duration::from_secs(20)) {
            Ok(_) => Ok(Some(Self { process, file, sip_port, media_ports })),
            Err(why) => {
                machine::skip(&format!("dumpcap does not capture here: {why}"));
                Ok(None)
            }
        }
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<Captured, String> {
        // The kernel hands packets over in blocks.
        std::thread::sleep(Duration::from_millis(300));
        self.process.terminate(LIMIT)?;
        let said = self.process.output();
        let dropped = said.lines().find(|line| line.contains("dropped"));
        if let Some(line) = dropped.filter(|line| !line.contains("received/dropped on interface")) {
            return Err(format!("the capture is not whole: {line}"));
        }
        Ok(Captured { file: self.file, sip_port: self.sip_port, media_ports: self.media_ports })
    }
}

impl Captured {
    fn tshark(&self, arguments: &[&str]) -> Result<String, String> {
        let program = machine::program("tshark").ok_or("tshark has gone")?;
        let mut command = Command::new(program);
        command.arg("-n").arg("-r").arg(&self.file).args(["-d", &format!("udp.port=={},sip", self.sip_port)]);
        command.args(arguments);
        let mut process = Process::spawn("tshark", &mut command)?;
        process.succeed(LIMIT)
    }

    fn fields(&self, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let mut arguments = vec!["-Y", filter, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f"];
        arguments.extend(fields.iter().flat_map(|field| ["-e", *field]));
        let text = self.tshark(&arguments)?;
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// What tshark finds malformed, or an error of protocol, in SIP, SDP, RTP and RTCP.
    pub fn faults(&self) -> Result<Vec<String>, String> {
        let found = self.fields(
            "_ws.malformed || (_ws.expert.severity >= \"Error\" && (sip || rtp || rtcp || sdp))",
            &["frame.number", "_ws.col.Protocol", "_ws.col.Info", "_ws.expert.message"],
        )?;
        Ok(found.into_iter().map(|fault| fault.join(" ")).collect())
    }

    /// The SIP messages, in order.
    pub fn messages(&self) -> Result<Vec<Message>, String> {
        let rows = self.fields(
            "sip",
            &[
                "frame.time_relative",
                "udp.srcport",
                "sip.Call-ID",
                "sip.CSeq.seq",
                "sip.CSeq.method",
                "sip.Status-Code",
                "sdp.media.port",
            ],
        )?;
        rows.iter()
            .map(|row| {
                let [at, from, call_id, sequence, method, status, audio] = row.as_slice() else {
                    return Err(format!("tshark gave {row:?}"));
                };
                Ok(Message {
                    at: number(at)?,
                    ours: number::<u16>(from)? == self.sip_port,
                    call_id: call_id.clone(),
                    sequence: number(sequence)?,
                    method: method.clone(),
                    status: status.parse().ok(),
                    audio: audio.parse().ok(),
                })
            })
            .collect()
    }

    /// The RTP packets that the host sent, in order.
    pub fn sent(&self) -> Result<Vec<Packet>, String> {
        let (first, last) = self.media_ports;
        let rows = self.fields(
            &format!("rtp && udp.srcport >= {first} && udp.srcport <= {last}"),
            &[
                "frame.time_relative",
                "udp.srcport",
                "udp.dstport",
                "rtp.ssrc",
                "rtp.seq",
                "rtp.timestamp",
                "rtp.marker",
                "rtpevent.event_id",
            ],
        )?;
        rows.iter()
            .map(|row| {
                let [at, from, to, ssrc, sequence, timestamp, marker, key] = row.as_slice() else {
                    return Err(format!("tshark gave {row:?}"));
                };
                let ssrc = u32::from_str_radix(ssrc.trim_start_matches("0x"), 16);
                Ok(Packet {
                    at: number(at)?,
                    from: number(from)?,
                    to: number(to)?,
                    ssrc: ssrc.map_err(|why| format!("{why} in {row:?}"))?,
                    sequence: number(sequence)?,
                    timestamp: number(timestamp)?,
                    marker: marker == "1" || marker == "True",
                    key: key.parse().ok(),
                })
            })
            .collect()
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("tshark gave `{text}` where a number should be"))
}

/// What is against the rules of SIP: an INVITE without a final answer or an ACK to it, a dialog without a BYE that is
/// answered.
pub fn sip_faults(messages: &[Message]) -> Vec<String> {
    let mut faults = Vec::new();
    let invites: BTreeSet<(&str, u32)> = messages
        .iter()
        .filter(|message| message.method == "INVITE" && message.status.is_none())
        .map(|message| (message.call_id.as_str(), message.sequence))
        .collect();
    let mut answered = BTreeSet::new();
    for (call_id, sequence) in invites {
        let of = |method: &str| {
            let (method, of) = (method.to_owned(), messages.iter());
            of.filter(move |m| m.call_id == call_id && m.sequence == sequence && m.method == method)
        };
        match of("INVITE").find_map(|message| message.status.filter(|status| *status >= 200)) {
            None => faults.push(format!("{call_id}: INVITE {sequence} got no final answer")),
            Some(_) if of("ACK").next().is_none() => {
                faults.push(format!("{call_id}: the answer to INVITE {sequence} got no ACK"));
            }
            Some(200..300) => {
                answered.insert(call_id);
            }
            Some(_) => {}
        }
    }
    for call_id in answered {
        let byes = || messages.iter().filter(|m| m.call_id == call_id && m.method == "BYE");
        if byes().all(|bye| bye.status.is_some()) {
            faults.push(format!("{call_id}: nobody sent a BYE"));
        } else if !byes().any(|bye| bye.status == Some(200)) {
            faults.push(format!("{call_id}: the BYE got no 200"));
        }
    }
    faults
}

/// What is against the rules of RTP in what the host sent, stream by stream (a stream goes from one port to another): more
/// than one SSRC, a gap in the numbers, a timestamp that does not go with its number or with the time.
pub fn rtp_faults(packets: &[Packet]) -> Vec<String> {
    let mut streams: BTreeMap<(u16, u16), Vec<&Packet>> = BTreeMap::new();
    for packet in packets {
        streams.entry((packet.from, packet.to)).or_default().push(packet);
    }
    let mut faults = Vec::new();
    for ((from, to), stream) in streams {
        for pair in stream.windows(2) {
            let [before, packet] = [pair[0], pair[1]];
            let mut fault =
                |what: String| faults.push(format!("{from} to {to} at {:.3} s: {what}", packet.at));
            if packet.ssrc != before.ssrc {
                fault(format!("another SSRC, {:08x} after {:08x}", packet.ssrc, before.ssrc));
            }
            if packet.sequence != before.sequence.wrapping_add(1) {
                fault(format!("packet {} comes after {}", packet.sequence, before.sequence));
            }
        }
        let sound: Vec<&&Packet> = stream.iter().filter(|packet| packet.key.is_none()).collect();
        for pair in sound.windows(2) {
            let [before, packet] = [pair[0], pair[1]];
            let step = packet.timestamp.wrapping_sub(before.timestamp) as i32;
            // What begins anew begins when it does, and says so by its marker; all else is 20 ms after 20 ms.
            if step <= 0 || step % 160 != 0 && !packet.marker {
                faults.push(format!(
                    "{from} to {to}: the timestamp steps by {step} from {before:?} to {packet:?}"
                ));
            }
        }
        for event in stream.iter().filter(|packet| packet.key.is_some()) {
            // All packets of an event carry the time of its begin (RFC 4733, 2.5.1), whatever sound is sent beside it.
            let near = sound.iter().filter(|packet| (packet.at - event.at).abs() < 0.5);
            let far =
                |packet: &&&&Packet| (packet.timestamp.wrapping_sub(event.timestamp) as i32).abs() > 8_000;
            if near.clone().count() > 0 && near.filter(far).count() > 0 {
                faults.push(format!("{from} to {to}: an event is not of its time: {event:?}"));
            }
        }
        // Time by the packets' own measure and by the clock: what a listener's buffer has to make up for.
        if let [first, .., last] = sound.as_slice() {
            let measured = f64::from(last.timestamp.wrapping_sub(first.timestamp)) / 8000.0;
            let drift = (last.at - first.at) - measured;
            if drift.abs() > ADRIFT {
                faults.push(format!(
                    "{from} to {to}: timestamps and the clock are {drift:.3} s apart in the end"
                ));
            }
        }
    }
    faults
}

/// Packets that left when the call of theirs was over: after the answer to the BYE.
pub fn after_the_end(messages: &[Message], packets: &[Packet]) -> Vec<String> {
    let mut faults = Vec::new();
    for bye in messages.iter().filter(|m| m.method == "BYE" && m.status == Some(200)) {
        let of = |ours: bool| {
            let mut of =
                messages.iter().filter(|m| m.call_id == bye.call_id && m.ours == ours && m.at <= bye.at);
            of.find_map(|message| message.audio)
        };
        let (Some(from), Some(to)) = (of(true), of(false)) else { continue };
        let late = packets.iter().filter(|p| p.from == from && p.to == to && p.at > bye.at + CLOSING).count();
        if late > 0 {
            faults.push(format!("{}: {late} packets after the BYE was answered", bye.call_id));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(at: f64, ours: bool, method: &str, status: Option<u16>) -> Message {
        let audio =
            matches!((method, status), ("INVITE", None | Some(200))).then_some(if ours { 10 } else { 20 });
        Message {
            at,
            ours,
            call_id: "one".into(),
            sequence: 1 + u32::from(method == "BYE"),
            method: method.into(),
            status,
            audio,
        }
    }

    /// A call of ours that is answered, and ended by the far end.
    fn call() -> Vec<Message> {
        [
            (0.0, true, "INVITE", None),
            (0.1, false, "INVITE", Some(180)),
            (0.2, false, "INVITE", Some(200)),
            (0.3, true, "ACK", None),
            (1.0, false, "BYE", None),
            (1.0, true, "BYE", Some(200)),
        ]
        .map(|(at, ours, method, status)| message(at, ours, method, status))
        .into()
    }

    /// So much sound of ours in it.
    fn sound(packets: u16) -> Vec<Packet> {
        let packet = |index: u16| Packet {
            at: 0.3 + f64::from(index) * 0.02,
            from: 10,
            to: 20,
            ssrc: 7,
            sequence: index.wrapping_sub(5),
            timestamp: u32::from(index) * 160,
            marker: index == 0,
            key: None,
        };
        (0..packets).map(packet).collect()
    }

    #[test]
    fn a_call_without_fault_has_none() {
        assert_eq!(sip_faults(&call()), [] as [String; 0]);
        assert_eq!(rtp_faults(&sound(35)), [] as [String; 0]);
        assert_eq!(after_the_end(&call(), &sound(35)), [] as [String; 0]);
        assert_eq!(after_the_end(&call(), &sound(60)), [] as [String; 0], "the last of it left late");
    }

    #[test]
    fn each_message_that_is_missing_is_found() {
        for (missing, word) in [(2, "final answer"), (3, "no ACK"), (4, "no 200"), (5, "no 200")] {
            let mut messages = call();
            // Without the BYE its answer would be one to nothing.
            messages.drain(missing..if missing == 4 { 6 } else { missing + 1 });
            let faults = sip_faults(&messages).join("; ");
            assert!(
                faults.contains(if missing == 4 { "nobody sent a BYE" } else { word }),
                "{missing}: {faults}"
            );
        }
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_stream_is_found() {
        let found = |change: fn(&mut Packet), word: &str| {
            let mut packets = sound(35);
            change(&mut packets[20]);
            let faults = rtp_faults(&packets).join("; ");
            assert!(faults.contains(word), "{word}: {faults}");
        };
        found(|packet| packet.ssrc = 8, "another SSRC");
        found(|packet| packet.sequence += 1, "comes after");
        found(|packet| packet.timestamp += 80, "steps by");
        found(|packet| packet.timestamp -= 320, "steps by");
        found(|packet| (packet.key, packet.timestamp) = (Some(5), 90_000), "not of its time");
        let mut slow = sound(100);
        slow.iter_mut().for_each(|packet| packet.at *= 2.0);
        assert!(rtp_faults(&slow).join("; ").contains("apart in the end"));
        assert_eq!(after_the_end(&call(), &sound(90)).len(), 1);
    }
}

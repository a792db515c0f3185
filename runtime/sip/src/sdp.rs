//! Session descriptions (RFC 8866), read in place and printed.
//!
//! Only what offers and answers of sound need is looked at; other lines are passed over. What an offer means for a call
//! is worked out by whoever owns the media.

use std::{fmt, net::IpAddr};

/// More media lines are refused.
pub const MAX_MEDIA: usize = 16;
/// More formats in one media line are refused.
pub const MAX_FORMATS: usize = 64;

/// Which way a stream flows, as its sender sees it (RFC 3264 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways: what no attribute means.
    SendReceive,
    /// The sender of the description sends only: hold with music.
    SendOnly,
    /// The sender of the description receives only.
    ReceiveOnly,
    /// Neither: hold.
    Inactive,
}

impl Direction {
    /// From two wishes.
    pub fn of(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::SendReceive,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the sender of the description sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Whether the sender of the description receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }

    /// The attribute's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::SendReceive, Self::SendOnly, Self::ReceiveOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.text() == text)
    }
}

/// Why a body is no session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It does not start with `v=0`.
    #[error("the session description does not start with v=0")]
    Version,
    /// A line that matters is not what it has to be.
    #[error("the {0}= line of the session description is malformed")]
    Line(char),
    /// [`MAX_MEDIA`] or [`MAX_FORMATS`].
    #[error("the session description has too many media or formats")]
    TooLong,
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdp<'a> {
    /// The `o=` line without its name; empty if there is none.
    pub origin: &'a str,
    /// The address for media that name none.
    pub connection: Option<&'a str>,
    /// The direction for media that name none.
    pub direction: Option<Direction>,
    /// In the order of the offer, which an answer has to keep.
    pub media: Vec<Media<'a>>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, …
    pub kind: &'a str,
    /// 0: refused, or not wanted.
    pub port: u16,
    /// `RTP/AVP`, …
    pub protocol: &'a str,
    /// Payload types in the order of preference, for RTP.
    pub formats: Vec<&'a str>,
    /// The address, if it is not the session's.
    pub connection: Option<&'a str>,
    /// The direction, if it is not the session's.
    pub direction: Option<Direction>,
    /// `a=rtpmap`: payload type, encoding name, clock rate.
    pub maps: Vec<(u8, &'a str, u32)>,
    /// `a=fmtp`: payload type and its parameters.
    pub parameters: Vec<(u8, &'a str)>,
    /// `a=ptime`, in milliseconds.
    pub packet_ms: Option<u16>,
}

impl<'a> Sdp<'a> {
    /// Reads one. Line ends may be bare line feeds.
    ///
    /// # Errors
    ///
    /// [`SdpError`] when a line that decides where sound flows can't be understood.
    pub fn parse(text: &'a str) -> Result<Self, SdpError> {
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        if lines.next() != Some("v=0") {
            return Err(SdpError::Version);
        }
        let mut sdp = Self { origin: "", connection: None, direction: None, media: Vec::new() };
        for line in lines {
            let Some((name, value)) = line.split_once('=') else { continue };
            match name {
                "o" => sdp.origin = value,
                "c" => {
                    let address = connection(value).ok_or(SdpError::Line('c'))?;
                    match sdp.media.last_mut() {
                        Some(media) => media.connection = Some(address),
                        None => sdp.connection = Some(address),
                    }
                }
                "m" => {
                    if sdp.media.len() == MAX_MEDIA {
                        return Err(SdpError::TooLong);
                    }
                    sdp.media.push(Media::parse(value)?);
                }
                "a" => match sdp.media.last_mut() {
                    Some(media) => media.attribute(value),
                    None => sdp.direction = Direction::parse(value).or(sdp.direction),
                },
                _ => {}
            }
        }
        Ok(sdp)
    }

    /// Where a stream wants its packets: an address, or a name to be looked up.
    pub fn address(&self, media: &Media<'a>) -> Option<&'a str> {
        media.connection.or(self.connection)
    }

    /// Which way a stream flows.
    pub fn direction(&self, media: &Media<'a>) -> Direction {
        media.direction.or(self.direction).unwrap_or(Direction::SendReceive)
    }
}

/// `IN IP4 192.0.2.1` → the address, without a time to live.
fn connection(value: &str) -> Option<&str> {
    let mut words = value.split_ascii_whitespace();
    if words.next()? != "IN" || !matches!(words.next()?, "IP4" | "IP6") {
        return None;
    }
    words.next()?.split('/').next().filter(|address| !address.is_empty())
}

impl<'a> Media<'a> {
    fn parse(value: &'a str) -> Result<Self, SdpError> {
        let mut words = value.split_ascii_whitespace();
        let mut word = || words.next().ok_or(SdpError::Line('m'));
        let (kind, port, protocol) = (word()?, word()?, word()?);
        let port = port.split('/').next().unwrap_or("").parse().map_err(|_| SdpError::Line('m'))?;
        let formats: Vec<_> = words.by_ref().take(MAX_FORMATS + 1).collect();
        if formats.is_empty() {
            return Err(SdpError::Line('m'));
        }
        if formats.len() > MAX_FORMATS {
            return Err(SdpError::TooLong);
        }
        Ok(Self {
            kind,
            port,
            protocol,
            formats,
            connection: None,
            direction: None,
            maps: Vec::new(),
            parameters: Vec::new(),
            packet_ms: None,
        })
    }

    /// One that can't be understood is passed over, as RFC 8866 §5.13 wants it.
    fn attribute(&mut self, value: &'a str) {
        if let Some(direction) = Direction::parse(value) {
            self.direction = Some(direction);
            return;
        }
        let Some((name, value)) = value.split_once(':') else { return };
        match name {
            "rtpmap" if self.maps.len() < MAX_FORMATS => {
                let Some((payload_type, encoding)) = value.trim().split_once(' ') else { return };
                let mut parts = encoding.trim().split('/');
                let (Some(name), Some(rate)) = (parts.next(), parts.next()) else { return };
                if let (Ok(payload_type), Ok(rate)) = (payload_type.parse(), rate.trim().parse()) {
                    self.maps.push((payload_type, name, rate));
                }
            }
            "fmtp" if self.parameters.len() < MAX_FORMATS => {
                let Some((payload_type, parameters)) = value.trim().split_once(' ') else { return };
                if let Ok(payload_type) = payload_type.parse() {
                    self.parameters.push((payload_type, parameters.trim()));
                }
            }
            "ptime" => self.packet_ms = value.trim().parse().ok().or(self.packet_ms),
            _ => {}
        }
    }

    /// Whether it is sound over plain RTP.
    pub fn is_plain_audio(&self) -> bool {
        self.kind == "audio" && self.protocol == "RTP/AVP"
    }

    /// The encoding behind a payload type, if the description says it.
    pub fn encoding(&self, payload_type: u8) -> Option<(&'a str, u32)> {
        self.maps.iter().find(|(found, ..)| *found == payload_type).map(|(_, name, rate)| (*name, *rate))
    }
}

/// The family word and the address for `o=` and `c=` lines.
pub fn network(ip: IpAddr) -> impl fmt::Display {
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {family} {ip}")
}

impl fmt::Display for Sdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=0\r\n")?;
        if !self.origin.is_empty() {
            write!(f, "o={}\r\n", self.origin)?;
        }
        f.write_str("s=-\r\n")?;
        print_connection(f, self.connection)?;
        f.write_str("t=0 0\r\n")?;
        if let Some(direction) = self.direction {
            write!(f, "a={}\r\n", direction.text())?;
        }
        for media in &self.media {
            write!(f, "m={} {} {}", media.kind, media.port, media.protocol)?;
            for format in &media.formats {
                write!(f, " {format}")?;
            }
            f.write_str("\r\n")?;
            print_connection(f, media.connection)?;
            for (payload_type, name, rate) in &media.maps {
                write!(f, "a=rtpmap:{payload_type} {name}/{rate}\r\n")?;
            }
            for (payload_type, parameters) in &media.parameters {
                write!(f, "a=fmtp:{payload_type} {parameters}\r\n")?;
            }
            if let Some(packet_ms) = media.packet_ms {
                write!(f, "a=ptime:{packet_ms}\r\n")?;
            }
            if let Some(direction) = media.direction {
                write!(f, "a={}\r\n", direction.text())?;
            }
        }
        Ok(())
    }
}

fn print_connection(f: &mut fmt::Formatter<'_>, address: Option<&str>) -> fmt::Result {
    match address {
        Some(address) => {
            let family = if address.contains(':') { "IP6" } else { "IP4" };
            write!(f, "c=IN {family} {address}\r\n")
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5/127\r\nt=0 0\r\na=sendonly\r\n\
        m=audio 49217/2 RTP/AVP 0 101 12\r\na=rtpmap:101 telephone-event/8000/1\r\na=fmtp:101 0-15\r\na=ptime:20\r\n\
        m=video 3227 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:31 LPC/8000\r\na=inactive\r\n";

    #[test]
    fn streams_inherit_what_they_do_not_say() {
        let sdp = Sdp::parse(OFFER).unwrap();
        let [audio, video] = &sdp.media[..] else { panic!("{sdp:?}") };
        assert_eq!((sdp.address(audio), sdp.direction(audio)), (Some("192.0.2.5"), Direction::SendOnly));
        assert_eq!((sdp.address(video), sdp.direction(video)), (Some("2001:db8::1"), Direction::Inactive));
        assert_eq!(
            (audio.port, audio.encoding(101), audio.packet_ms),
            (49217, Some(("telephone-event", 8000)), Some(20))
        );
    }

    #[test]
    fn a_printed_description_reads_the_same() {
        let sdp = Sdp::parse(OFFER).unwrap();
        let printed = sdp.to_string();
        assert_eq!(Sdp::parse(&printed).unwrap(), sdp);
        assert_eq!(Sdp::parse(&printed.replace("\r\n", "\n")).unwrap(), sdp);
    }

    #[test]
    fn broken_descriptions_are_refused_and_odd_ones_are_not() {
        let many = format!("v=0\n{}", "m=audio 1 RTP/AVP 0\n".repeat(MAX_MEDIA + 1));
        let long = format!("v=0\nm=audio 1 RTP/AVP {}\n", "0 ".repeat(MAX_FORMATS + 1));
        let table = [
            ("", SdpError::Version),
            ("v=1\n", SdpError::Version),
            ("v=0\nc=IN IP5 x\n", SdpError::Line('c')),
            ("v=0\nm=audio x RTP/AVP 0\n", SdpError::Line('m')),
            ("v=0\nm=audio 70000 RTP/AVP 0\n", SdpError::Line('m')),
            ("v=0\nm=audio 1 RTP/AVP\n", SdpError::Line('m')),
            (&many, SdpError::TooLong),
            (&long, SdpError::TooLong),
        ];
        for (text, error) in table {
            assert_eq!(Sdp::parse(text), Err(error), "{text}");
        }
        let odd = Sdp::parse("v=0\nm=audio 1 RTP/AVP 0\na=rtpmap:x\na=rtpmap:300 a/1\nnonsense\na=ptime:x\n")
            .unwrap();
        assert_eq!((odd.media[0].maps.len(), odd.media[0].packet_ms), (0, None));
    }
}

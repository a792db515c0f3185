//! Offers and answers (RFC 3264) of one audio stream, and the [`MediaPlan`] that comes of them.
//!
//! One plain G.711 stream with telephone events is all we offer and take; every other stream of an offer is refused in
//! the answer, which keeps the order of its lines. Of several codecs the far end's preference decides.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use zvonar_media::{Codec, MediaPlan};
use zvonar_sip::sdp::{Direction, Media, Sdp, network};

/// The payload type that we offer for telephone events (RFC 4733): what most of the world uses.
const EVENTS: u8 = 101;

/// Our half of the agreement, and what both halves came to.
#[derive(Debug, Clone)]
pub(crate) struct Negotiation {
    codecs: Vec<Codec>,
    /// Where an address that is a name, or none at all, is taken to be: the source of the signalling.
    fallback: IpAddr,
    /// The number of our session in `o=`.
    session: u64,
    /// Counts our descriptions.
    version: u64,
}

/// There is no stream that both ends can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no common codec")]
pub(crate) struct NoCommonCodec;

/// What an offer has for us.
struct Choice {
    index: usize,
    codec: Codec,
    events: Option<u8>,
    remote: SocketAddr,
    send: bool,
    receive: bool,
}

impl Negotiation {
    pub(crate) fn new(codecs: Vec<Codec>, fallback: IpAddr, seed: u64) -> Self {
        // Some readers keep it in 32 bits with a sign.
        Self { codecs, fallback, session: seed >> 33, version: 0 }
    }

    /// Our offer: also the one that repeats what we do already.
    pub(crate) fn offer(&mut self, local: SocketAddr) -> String {
        let mut sdp = self.head(local);
        let _ = write!(sdp, "m=audio {} RTP/AVP", local.port());
        for codec in &self.codecs {
            let _ = write!(sdp, " {}", codec.payload_type());
        }
        let _ = write!(sdp, " {EVENTS}\r\n");
        for codec in &self.codecs {
            map(&mut sdp, *codec);
        }
        map_events(&mut sdp, EVENTS);
        sdp.push_str("a=ptime:20\r\na=sendrecv\r\n");
        sdp
    }

    /// What the answer to our offer means.
    pub(crate) fn take_answer(&self, answer: &Bytes, local: SocketAddr) -> Result<MediaPlan, NoCommonCodec> {
        let text = String::from_utf8_lossy(answer);
        let sdp = Sdp::parse(&text).map_err(|_| NoCommonCodec)?;
        // The answer has our streams in our order: the first is ours.
        let choice = self.look_at(&sdp, 0, local.is_ipv4()).ok_or(NoCommonCodec)?;
        Ok(MediaPlan {
            remote: choice.remote,
            codec: choice.codec,
            event_send: choice.events,
            event_receive: choice.events.map(|_| EVENTS),
            send: choice.send,
            receive: choice.receive,
        })
    }

    /// Whether an offer has anything for us.
    pub(crate) fn can_answer(&self, offer: &Bytes, is_ipv4: bool) -> bool {
        let text = String::from_utf8_lossy(offer);
        Sdp::parse(&text).is_ok_and(|sdp| self.choose(&sdp, is_ipv4).is_some())
    }

    /// Our answer to an offer, and what the two mean.
    pub(crate) fn answer(
        &mut self,
        offer: &Bytes,
        local: SocketAddr,
    ) -> Result<(String, MediaPlan), NoCommonCodec> {
        let text = String::from_utf8_lossy(offer);
        let sdp = Sdp::parse(&text).map_err(|_| NoCommonCodec)?;
        let choice = self.choose(&sdp, local.is_ipv4()).ok_or(NoCommonCodec)?;
        let mut out = self.head(local);
        for (index, media) in sdp.media.iter().enumerate() {
            if index != choice.index {
                let (kind, protocol) = (media.kind, media.protocol);
                let _ = write!(out, "m={kind} 0 {protocol} {}\r\n", media.formats[0]);
                continue;
            }
            let _ = write!(out, "m=audio {} RTP/AVP {}", local.port(), choice.codec.payload_type());
            if let Some(events) = choice.events {
                let _ = write!(out, " {events}");
            }
            out.push_str("\r\n");
            map(&mut out, choice.codec);
            if let Some(events) = choice.events {
                map_events(&mut out, events);
            }
            let direction = Direction::of(choice.send, choice.receive).text();
            let _ = write!(out, "a=ptime:20\r\na={direction}\r\n");
        }
        let plan = MediaPlan {
            remote: choice.remote,
            codec: choice.codec,
            event_send: choice.events,
            event_receive: choice.events,
            send: choice.send,
            receive: choice.receive,
        };
        Ok((out, plan))
    }

    fn head(&mut self, local: SocketAddr) -> String {
        self.version += 1;
        let (session, version, network) = (self.session, self.version, network(local.ip()));
        format!("v=0\r\no=- {session} {version} {network}\r\ns=-\r\nc={network}\r\nt=0 0\r\n")
    }

    fn choose(&self, sdp: &Sdp<'_>, is_ipv4: bool) -> Option<Choice> {
        (0..sdp.media.len()).find_map(|index| self.look_at(sdp, index, is_ipv4))
    }

    fn look_at(&self, sdp: &Sdp<'_>, index: usize, is_ipv4: bool) -> Option<Choice> {
        let media = sdp.media.get(index)?;
        if !media.is_plain_audio() || media.port == 0 {
            return None;
        }
        let codec = media.formats.iter().find_map(|format| self.codec(media, format.parse().ok()?))?;
        let events = media
            .formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .find(|format| {
                media
                    .encoding(*format)
                    .is_some_and(|(name, rate)| name.eq_ignore_ascii_case("telephone-event") && rate == 8000)
            })
            .filter(|events| *events < 128);
        let ip = sdp.address(media).and_then(|address| address.parse().ok()).unwrap_or(self.fallback);
        if ip.is_ipv4() != is_ipv4 || ip.is_multicast() {
            return None;
        }
        let direction = sdp.direction(media);
        // The hold of old: an address of zeros (RFC 2543).
        let send = direction.receives() && !ip.is_unspecified();
        Some(Choice {
            index,
            codec,
            events,
            remote: SocketAddr::new(ip, media.port),
            send,
            receive: direction.sends(),
        })
    }

    /// The codec of ours that a payload type stands for. Only the static types are taken: a plan names no others.
    fn codec(&self, media: &Media<'_>, payload_type: u8) -> Option<Codec> {
        let codec = self.codecs.iter().copied().find(|codec| codec.payload_type() == payload_type)?;
        match media.encoding(payload_type) {
            Some((name, rate)) if !name.eq_ignore_ascii_case(codec.name()) || rate != 8000 => None,
            _ => Some(codec),
        }
    }
}

fn map(sdp: &mut String, codec: Codec) {
    let _ = write!(sdp, "a=rtpmap:{} {}/8000\r\n", codec.payload_type(), codec.name());
}

fn map_events(sdp: &mut String, payload_type: u8) {
    let _ = write!(sdp, "a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-15\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Negotiation {
        Negotiation::new(Codec::ALL.to_vec(), "198.51.100.9".parse().unwrap(), 1 << 40)
    }

    fn local() -> SocketAddr {
        "192.0.2.1:40000".parse().unwrap()
    }

    fn sdp(lines: &str) -> Bytes {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nt=0 0\r\n{}", lines.replace('\n', "\r\n")).into()
    }

    /// What an offer of these lines comes to, and the lines of our answer below `t=`.
    #[track_caller]
    fn check(offer: &str, expected_plan: &str, expected_answer: &str) {
        let (answer, plan) = ours().answer(&sdp(offer), local()).expect("a codec of ours");
        let MediaPlan { remote, codec, event_send, event_receive, send, receive } = plan;
        let plan = format!("{remote} {codec:?} {event_send:?} {event_receive:?} {send} {receive}");
        assert_eq!(plan, expected_plan);
        let (head, lines) = answer.split_once("t=0 0\r\n").unwrap();
        assert!(head.contains("c=IN IP4 192.0.2.1\r\n"), "{head}");
        assert_eq!(lines.replace("\r\n", "\n"), expected_answer);
    }

    #[test]
    fn the_far_ends_first_codec_that_we_speak_is_taken() {
        check(
            "c=IN IP4 192.0.2.5\nm=audio 5004 RTP/AVP 18 0 8 96\na=rtpmap:96 telephone-event/8000\n",
            "192.0.2.5:5004 Pcmu Some(96) Some(96) true true",
            "m=audio 40000 RTP/AVP 0 96\na=rtpmap:0 PCMU/8000\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0-15\n\
             a=ptime:20\na=sendrecv\n",
        );
    }

    #[test]
    fn other_streams_are_refused_in_their_places() {
        check(
            "c=IN IP4 192.0.2.5\nm=video 3227 RTP/AVP 31 32\nm=audio 5004 RTP/SAVP 8\nm=audio 5006 RTP/AVP 8\nm=audio 5008 RTP/AVP 0\n",
            "192.0.2.5:5006 Pcma None None true true",
            "m=video 0 RTP/AVP 31\nm=audio 0 RTP/SAVP 8\nm=audio 40000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:20\n\
             a=sendrecv\nm=audio 0 RTP/AVP 0\n",
        );
    }

    #[test]
    fn hold_is_answered_in_kind() {
        for (line, plan, direction) in [
            ("a=sendonly", "192.0.2.5:5004 Pcma None None false true", "recvonly"),
            ("a=inactive", "192.0.2.5:5004 Pcma None None false false", "inactive"),
            ("a=recvonly", "192.0.2.5:5004 Pcma None None true false", "sendonly"),
            ("c=IN IP4 0.0.0.0", "0.0.0.0:5004 Pcma None None false true", "recvonly"),
        ] {
            check(
                &format!("c=IN IP4 192.0.2.5\nm=audio 5004 RTP/AVP 8\n{line}\n"),
                plan,
                &format!("m=audio 40000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:20\na={direction}\n"),
            );
        }
    }

    #[test]
    fn a_name_instead_of_an_address_means_where_the_signalling_comes_from() {
        check(
            "c=IN IP4 media.example.com\nm=audio 5004 RTP/AVP 8\n",
            "198.51.100.9:5004 Pcma None None true true",
            "m=audio 40000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:20\na=sendrecv\n",
        );
    }

    #[test]
    fn offers_with_nothing_for_us_are_refused() {
        for lines in [
            "",
            "c=IN IP4 192.0.2.5\nm=audio 5004 RTP/AVP 18 101\n",
            "c=IN IP4 192.0.2.5\nm=audio 0 RTP/AVP 8\n",
            "c=IN IP4 192.0.2.5\nm=audio 5004 RTP/SAVP 8\n",
            "c=IN IP4 192.0.2.5\nm=audio 5004 RTP/AVP 8\na=rtpmap:8 opus/48000\n",
            "c=IN IP6 2001:db8::1\nm=audio 5004 RTP/AVP 8\n",
            "c=IN IP4 239.1.1.1\nm=audio 5004 RTP/AVP 8\n",
            "m=audio x RTP/AVP 8\n",
        ] {
            assert!(!ours().can_answer(&sdp(lines), true), "{lines}");
            assert_eq!(ours().answer(&sdp(lines), local()).err(), Some(NoCommonCodec), "{lines}");
        }
        assert_eq!(ours().answer(&Bytes::from_static(b"\xff\xfe"), local()).err(), Some(NoCommonCodec));
    }

    /// Two of us agree, and each learns the other's address.
    #[test]
    fn our_offer_and_our_answer_fit_together() {
        let far: SocketAddr = "192.0.2.77:50000".parse().unwrap();
        let mut caller = ours();
        let offer = Bytes::from(caller.offer(local()));
        assert!(ours().can_answer(&offer, true));
        let (answer, callee_plan) = ours().answer(&offer, far).unwrap();
        let caller_plan = caller.take_answer(&answer.into(), local()).unwrap();
        assert_eq!((caller_plan.remote, callee_plan.remote), (far, local()));
        assert_eq!((caller_plan.codec, callee_plan.codec), (Codec::Pcma, Codec::Pcma));
        assert_eq!((caller_plan.event_send, caller_plan.event_receive), (Some(101), Some(101)));
    }

    /// RFC 3264 §6.1 lets the answerer number its events as it likes.
    #[test]
    fn an_answer_may_number_its_events_its_own_way() {
        let answer =
            sdp("c=IN IP4 192.0.2.5\nm=audio 5004 RTP/AVP 0 100\na=rtpmap:100 telephone-event/8000\n");
        let plan = ours().take_answer(&answer, local()).unwrap();
        assert_eq!((plan.codec, plan.event_send, plan.event_receive), (Codec::Pcmu, Some(100), Some(101)));
        let refused = sdp("c=IN IP4 192.0.2.5\nm=audio 0 RTP/AVP 0\n");
        assert_eq!(ours().take_answer(&refused, local()), Err(NoCommonCodec));
    }

    #[test]
    fn each_description_of_ours_has_a_newer_version() {
        let mut ours = ours();
        let (first, second) = (ours.offer(local()), ours.offer(local()));
        assert!(
            first.contains("o=- 128 1 IN IP4 192.0.2.1\r\n") && second.contains("o=- 128 2 IN IP4"),
            "{first}{second}"
        );
    }
}

use proptest::prelude::*;

use super::*;
use crate::{Flow, Transport};

fn sound(text: &str) -> Message {
    let bytes = text.replace('\n', "\r\n");
    read(bytes.as_bytes(), Transport::Udp).unwrap_or_else(|error| panic!("{error:?}: {text}"))
}

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\n\
    Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKb\nMax-Forwards: 70\nFrom: \"A\" <sip:a@x>;tag=1\nTo: <sip:bob@example.com>\n\
    Call-ID: c@x\nCSeq: 7 INVITE\nContact: <sip:a@192.0.2.1:5060>\nContent-Type: application/sdp\nContent-Length: 5\n\n\
    v=0\n";

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".parse().unwrap(),
        remote: "198.51.100.1:1024".parse().unwrap(),
    }
}

/// What two readings have in common when they mean the same.
fn meaning(message: &Message) -> (String, Vec<(String, String)>, Bytes) {
    let start = if message.is_request() {
        format!("{} {}", message.method(), message.uri())
    } else {
        format!("{} {}", message.code(), message.reason())
    };
    let headers = message
        .all_headers()
        .filter(|(name, _)| Name::of(name) != Name::ContentLength)
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    (start, headers.collect(), message.body().clone())
}

#[test]
fn a_response_names_the_way_the_request_really_came() {
    let bytes = Writer::response_to(&sound(INVITE), &flow(), 180, "", Some("t")).finish();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(
        text,
        "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;received=198.51.100.1;rport=1024\r\n\
         Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKb\r\nFrom: \"A\" <sip:a@x>;tag=1\r\n\
         To: <sip:bob@example.com>;tag=t\r\nCall-ID: c@x\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    // Who asks for no port is told the address alone, and only if it differs from the one that he named.
    let plain = INVITE.replace(";rport", "");
    let bytes = Writer::response_to(&sound(&plain), &flow(), 180, "", None).finish();
    assert!(String::from_utf8_lossy(&bytes).contains("branch=z9hG4bKa;received=198.51.100.1\r\n"));
    let honest = Flow { remote: "192.0.2.1:5060".parse().unwrap(), ..flow() };
    let bytes = Writer::response_to(&sound(&plain), &honest, 180, "", None).finish();
    assert!(!String::from_utf8_lossy(&bytes).contains("received"));
}

#[test]
fn no_value_can_start_a_header_of_its_own() {
    let mut writer = Writer::response(486, "Busy\r\nX-Reason: 1");
    writer
        .header(Name::Server, "a\r\nX-Server: 1")
        .header_named("X-A", "b\nX-Named: 1")
        .header_named("X B: 1\r\nX", "c");
    let text = String::from_utf8(writer.finish().to_vec()).unwrap();
    assert_eq!(text.matches("\r\n").count(), 5, "{text}");
    assert!(!text.contains("\nX-") || text.contains("\r\nX-A: b X-Named: 1\r\n"), "{text}");
}

#[test]
fn bytes_that_are_no_utf8_lose_no_header() {
    let mut bytes = INVITE.replace('\n', "\r\n").replace("\"A\"", "\"#\"").into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'#').unwrap();
    bytes.splice(at..=at, [0xc8, 0xe2, 0xe0]);
    let message = read(&bytes, Transport::Udp).unwrap();
    assert_eq!(message.from().unwrap().display(), "\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!((message.call_id(), message.all_headers().count()), ("c@x", 10));
}

#[test]
fn the_body_ends_where_its_length_says() {
    let longer = sound(&format!("{INVITE}INVITE sip:x SIP/2.0\n"));
    assert_eq!(longer.body().as_ref(), b"v=0\r\n");
    let unsaid = INVITE.replace("Content-Length: 5\n", "").replace('\n', "\r\n");
    assert_eq!(read(unsaid.as_bytes(), Transport::Udp).unwrap().body().as_ref(), b"v=0\r\n");
    assert!(read(unsaid.as_bytes(), Transport::Tcp).is_err(), "on a stream the length is all there is");
}

#[test]
fn too_long_a_head_is_refused_with_513() {
    let padding = format!("X: {}\n", "a".repeat(MAX_HEAD));
    let many = "X: a\n".repeat(MAX_HEADERS);
    for extra in [padding, many] {
        let text = INVITE.replace("Content-Length: 5\n", &extra).replace('\n', "\r\n");
        match read(text.as_bytes(), Transport::Udp) {
            Err(Unreadable::Answer(bad)) => assert_eq!((bad.code, bad.request.call_id()), (513, "c@x")),
            other => panic!("{other:?}"),
        }
    }
}

/// `rsip` knows nothing of how we print: what it understands, others will.
#[test]
fn another_reader_understands_what_we_print() {
    use rsip::{
        headers::ToTypedHeader as _,
        message::{HasHeaders as _, HeadersExt as _},
    };

    let request = sound(INVITE);
    let printed = rsip::SipMessage::try_from(request.to_bytes()).expect("rsip reads our request");
    assert_eq!(printed.call_id_header().unwrap().to_string(), "Call-ID: c@x");
    assert_eq!(printed.headers().iter().count(), 10);
    assert_eq!(printed.body(), b"v=0\r\n");
    let answer = Writer::response_to(&request, &flow(), 200, "", Some("t"))
        .finish_typed("application/sdp", b"v=0\r\n");
    let printed = rsip::SipMessage::try_from(answer).expect("rsip reads our response");
    assert_eq!(printed.to_header().unwrap().to_string(), "To: <sip:bob@example.com>;tag=t");
    assert_eq!(printed.via_header().unwrap().typed().unwrap().branch().unwrap().to_string(), "z9hG4bKa");
    assert_eq!(printed.body(), b"v=0\r\n");
}

/// Pieces of messages, so that random ones get past the first checks.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(INVITE.split_inclusive(['\n', ';', ' ', ':', '<', '>', '"']).collect::<Vec<_>>())
            .prop_map(|piece| piece.replace('\n', "\r\n").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => prop::sample::select(vec!["\r\n ", "\"", "<", ">", ";;", ",", "\r\n\r\n", "%", "[", "]:", "\\", "SIP/2.0 200 OK\r\n"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A sound message with a few bytes changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    prop::collection::vec(change, 0..8).prop_map(|changes| {
        let mut bytes = INVITE.replace('\n', "\r\n").into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        bytes
    })
}

/// Reads, asks everything, prints, reads again.
fn look_closely(bytes: &[u8]) -> Result<(), TestCaseError> {
    for transport in [Transport::Udp, Transport::Tcp] {
        let message = match read(bytes, transport) {
            Ok(message) => message,
            Err(Unreadable::Answer(bad)) => {
                let _ = Writer::response_to(&bad.request, &flow(), bad.code, bad.reason, Some("t")).finish();
                continue;
            }
            Err(Unreadable::Silent(_)) => continue,
        };
        let _ = (message.contact(), message.sdp(), message.content_type(), message.from());
        prop_assert!(message.via().is_some() && !message.call_id().is_empty());
        if let Some(uri) = crate::uri::Uri::parse(message.uri()) {
            let _ = (uri.user(), uri.param("lr"), uri.ip());
        }
        let again = read(&message.to_bytes(), transport);
        prop_assert!(again.is_ok(), "{again:?}");
        prop_assert_eq!(meaning(&message), meaning(&again.unwrap()));
        let response = Writer::response_to(&message, &flow(), 200, "", Some("t")).finish();
        let _ = read(&response, transport);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        look_closely(&bytes)?;
    }

    #[test]
    fn no_pieces_make_the_reader_panic(bytes in pieces()) {
        look_closely(&bytes)?;
    }

    #[test]
    fn a_printed_message_reads_the_same(bytes in damaged()) {
        look_closely(&bytes)?;
    }

    #[test]
    fn what_is_written_is_read(
        values in prop::collection::vec("[ -~\u{430}-\u{44f}]{0,40}", 0..10),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut writer = Writer::request("INVITE", "sip:b@h");
        writer
            .header(Name::Via, "SIP/2.0/UDP h;branch=z9hG4bKx")
            .header(Name::From, "<sip:a@h>;tag=1")
            .header(Name::To, "<sip:b@h>")
            .header(Name::CallId, "c")
            .header(Name::CSeq, "1 INVITE");
        for value in &values {
            writer.header_named("X-Value", value);
        }
        let message = read(&writer.finish_typed("application/octet-stream", &body), Transport::Udp).unwrap();
        let found: Vec<_> = message.all_headers().filter(|(name, _)| *name == "X-Value").map(|(_, value)| value).collect();
        let expected: Vec<_> = values.iter().map(|value| value.trim()).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(message.body().as_ref(), &body[..]);
    }

    #[test]
    fn no_text_makes_the_small_readers_panic(text in "[ -~\u{7f}\u{430}\"<>;,=%\\[\\]:@]{0,80}") {
        let _ = (Via::parse(&text), NameAddr::parse(&text), crate::uri::Uri::parse(&text));
        let _ = (crate::digest::Challenge::parse(&text), crate::digest::Challenge::parse(&format!("Digest {text}")));
        if let Ok(sdp) = crate::sdp::Sdp::parse(&format!("v=0\n{}", text.replace(';', "\n"))) {
            let printed = sdp.to_string();
            prop_assert_eq!(crate::sdp::Sdp::parse(&printed).map(|again| again.media), Ok(sdp.media.clone()));
        }
    }
}

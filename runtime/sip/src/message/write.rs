//! Writing messages.

use std::fmt::{self, Write as _};

use bytes::Bytes;

use super::{Message, Name, reason_phrase};
use crate::Flow;

/// A message in the making: start line, headers in the order of the calls, body last.
///
/// Line breaks inside values become spaces, so no value can start a header of its own.
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts a request.
    pub fn request(method: &str, uri: &str) -> Self {
        let mut writer = Self { out: Vec::with_capacity(1024) };
        writer.push(method);
        writer.out.push(b' ');
        writer.push(uri);
        writer.out.extend_from_slice(b" SIP/2.0\r\n");
        writer
    }

    /// Starts a response; an empty reason becomes the usual phrase of the code.
    pub fn response(code: u16, reason: &str) -> Self {
        let mut writer = Self { out: Vec::with_capacity(1024) };
        let _ = write!(writer, "SIP/2.0 {code:03} ");
        if reason.is_empty() {
            writer.push(&reason_phrase(code));
        } else {
            writer.push(reason);
        }
        writer.out.extend_from_slice(b"\r\n");
        writer
    }

    /// Starts the response to a request (RFC 3261 §8.2.6): `Via` with where the request really came from (RFC 3581),
    /// `From`, `To` with our tag, `Call-ID`, `CSeq`.
    pub fn response_to(
        request: &Message,
        flow: &Flow,
        code: u16,
        reason: &str,
        to_tag: Option<&str>,
    ) -> Self {
        let mut writer = Self::response(code, reason);
        let mut is_top = true;
        for value in request.headers(Name::Via) {
            if is_top {
                writer.top_via(value, flow);
                is_top = false;
            } else {
                writer.header(Name::Via, value);
            }
        }
        if let Some(from) = request.header(Name::From) {
            writer.header(Name::From, from);
        }
        if let Some(to) = request.header(Name::To) {
            match to_tag.filter(|_| request.to_tag().is_none()) {
                Some(tag) => writer.header(Name::To, format_args!("{to};tag={tag}")),
                None => writer.header(Name::To, to),
            };
        }
        for name in [Name::CallId, Name::CSeq] {
            if let Some(value) = request.header(name) {
                writer.header(name, value);
            }
        }
        writer
    }

    /// The first `Via` line, its first value marked with the source of the request.
    fn top_via(&mut self, line: &str, flow: &Flow) {
        let (first, rest) = super::text::split_outside(line, b',').unwrap_or((line, None));
        let first = first.trim();
        let Some(via) = super::Via::parse(first) else {
            self.header(Name::Via, line);
            return;
        };
        self.push("Via: ");
        let source = flow.remote;
        if via.param("rport").is_some() && !first.contains('"') {
            // The value goes where the flag stands; a value that came with the request was not the sender's to give.
            let mut pieces = first.split(';');
            self.push(pieces.next().unwrap_or("").trim_end());
            for piece in pieces {
                let name = piece.split('=').next().unwrap_or("").trim();
                if name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received") {
                    continue;
                }
                self.out.push(b';');
                self.push(piece.trim());
            }
            let _ = write!(self, ";received={};rport={}", source.ip(), source.port());
        } else {
            self.push(first);
            let is_named = crate::uri::parse_ip(via.host) == Some(source.ip());
            if !is_named && via.param("received").is_none() {
                let _ = write!(self, ";received={}", source.ip());
            }
        }
        if let Some(rest) = rest {
            self.push(", ");
            self.push(rest.trim());
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Adds a header.
    pub fn header(&mut self, name: Name, value: impl fmt::Display) -> &mut Self {
        self.push(name.text());
        self.out.extend_from_slice(b": ");
        let _ = write!(self, "{value}");
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a header by any name. A name that is no token is left out with its value.
    pub fn header_named(&mut self, name: &str, value: &str) -> &mut Self {
        if super::text::is_token(name) {
            self.push(name);
            self.out.extend_from_slice(b": ");
            self.push(value);
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Ends the message without a body.
    pub fn finish(self) -> Bytes {
        self.finish_with(&[])
    }

    /// Ends the message with a body of the type given.
    pub fn finish_typed(mut self, content_type: &str, body: &[u8]) -> Bytes {
        self.header(Name::ContentType, content_type);
        self.finish_with(body)
    }

    /// Ends the message with a body whose `Content-Type` was added already, if it is not empty.
    pub fn finish_with(mut self, body: &[u8]) -> Bytes {
        let _ = write!(self, "Content-Length: {}", body.len());
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out.extend_from_slice(body);
        Bytes::from(self.out)
    }

    fn push(&mut self, text: &str) {
        let start = self.out.len();
        self.out.extend_from_slice(text.as_bytes());
        for byte in &mut self.out[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

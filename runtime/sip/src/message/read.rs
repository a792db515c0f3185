//! Bytes become a message, or a reason why not.

use bytes::Bytes;

use super::{
    Field, Message, Method, Name, NameAddr, Span, Start, Via,
    text::{is_token, list, split_outside},
};
use crate::{Transport, uri::Uri};

/// Start line and headers together may not be longer, in bytes: more is answered 513.
pub const MAX_HEAD: usize = 16 * 1024;
/// More header lines are answered 513.
pub const MAX_HEADERS: usize = 200;
/// `CSeq` stays below this (RFC 3261 §8.1.1.5).
const CSEQ_LIMIT: u32 = 1 << 31;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing to answer: a keep-alive, noise, an unsound response, a request so broken that it names no way back.
    Silent(&'static str),
    /// A request that is wrong in a way that its sender should know.
    Answer(Box<BadRequest>),
}

/// A request that cannot be served, and how to say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// 400, 505 or 513.
    pub code: u16,
    /// What is wrong.
    pub reason: &'static str,
    /// As much of the request as could be read: good for echoing `Via`, `From`, `To`, `Call-ID` and `CSeq`.
    pub request: Message,
}

/// Reads one datagram, or one framed message of a stream.
///
/// # Errors
///
/// [`Unreadable`]: unsound responses are silent, unsound requests mostly to be answered.
pub fn read(bytes: &[u8], transport: Transport) -> Result<Message, Unreadable> {
    // Empty lines before the start line are to be skipped (RFC 3261 §7.5).
    let skip = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0 | b' ' | b'\t')).count();
    let bytes = &bytes[skip..];
    if bytes.is_empty() {
        return Err(Unreadable::Silent("a keep-alive"));
    }
    let regular = Regular::of(bytes);
    let (start, mut fault) = start_line(&regular)?;
    let is_request = matches!(start, Start::Request { .. });
    let mut message = Message {
        start,
        head: String::new(),
        fields: Vec::new(),
        body: Bytes::new(),
        cseq: 0,
        from_tag: None,
        to_tag: None,
    };
    fields(&regular, &mut message.fields, &mut fault);
    fault.note(!regular.is_complete, 400, "no empty line after the headers");
    fault.note(regular.is_cut, 513, "headers too long");
    message.head = regular.head;
    check(&mut message, &mut fault);
    match body_length(&message, bytes.len() - regular.length, transport) {
        Ok(length) => message.body = Bytes::copy_from_slice(&bytes[regular.length..regular.length + length]),
        Err(reason) => fault.note(true, 400, reason),
    }
    match fault.0 {
        None => Ok(message),
        Some((_, reason)) if !is_request => Err(Unreadable::Silent(reason)),
        // Without the sender's `Via` an answer could not be told from any other.
        Some(_) if message.header(Name::Via).is_none() => {
            Err(Unreadable::Silent("a broken request without Via"))
        }
        Some((code, reason)) => {
            Err(Unreadable::Answer(Box::new(BadRequest { code, reason, request: message })))
        }
    }
}

/// The first thing found wrong.
#[derive(Default)]
struct Fault(Option<(u16, &'static str)>);

impl Fault {
    fn note(&mut self, is_wrong: bool, code: u16, reason: &'static str) {
        if is_wrong && self.0.is_none() {
            self.0 = Some((code, reason));
        }
    }
}

/// The head made regular: UTF-8, one line a header, lines ended by `\n` alone.
struct Regular {
    head: String,
    /// Bytes of the input that the head took, the empty line included.
    length: usize,
    /// Whether there was an empty line.
    is_complete: bool,
    /// Whether it was cut at [`MAX_HEAD`].
    is_cut: bool,
}

impl Regular {
    fn of(bytes: &[u8]) -> Self {
        let mut head = Vec::with_capacity(bytes.len().min(MAX_HEAD));
        let (mut at, mut is_complete, mut is_cut) = (0, false, false);
        while at < bytes.len() {
            let end = bytes[at..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |found| at + found + 1);
            let mut line = &bytes[at..end];
            at = end;
            line = line.strip_suffix(b"\n").unwrap_or(line);
            line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                is_complete = true;
                break;
            }
            if is_cut || head.len() + line.len() > MAX_HEAD {
                // Go on to the end of the head for its length, but keep no more of it.
                is_cut = true;
                continue;
            }
            if matches!(line[0], b' ' | b'\t') && !head.is_empty() {
                // A folded line is one with the line before; the fold counts as one space (RFC 3261 §7.3.1).
                head.pop();
                head.push(b' ');
                while let [b' ' | b'\t', rest @ ..] = line {
                    line = rest;
                }
            }
            head.extend_from_slice(line);
            head.push(b'\n');
        }
        // A lone carriage return would end a line for some readers of what we echo.
        head.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
        let head = String::from_utf8(head)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self { head, length: at, is_complete, is_cut }
    }

    fn span(&self, part: &str) -> Span {
        span_of(&self.head, part)
    }
}

/// Where a part of a text stands in it.
fn span_of(whole: &str, part: &str) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    Span { start: start as u32, end: (start + part.len()) as u32 }
}

fn start_line(regular: &Regular) -> Result<(Start, Fault), Unreadable> {
    let line = regular.head.lines().next().unwrap_or("");
    let mut fault = Fault::default();
    if let Some(rest) = line.strip_prefix("SIP/") {
        let Some(rest) = rest.strip_prefix("2.0 ") else {
            return Err(Unreadable::Silent("a response of another version"));
        };
        let (code, reason) =
            rest.split_at_checked(3).ok_or(Unreadable::Silent("a response without a code"))?;
        let sound = code.bytes().all(|byte| byte.is_ascii_digit())
            && (reason.is_empty() || reason.starts_with(' '))
            && (b'1'..=b'6').contains(&code.as_bytes()[0]);
        if !sound {
            return Err(Unreadable::Silent("a response with an impossible code"));
        }
        let code = code.parse().expect("three digits fit");
        let reason = regular.span(reason.trim());
        return Ok((Start::Response { code, reason, cseq_method: Method::Other("".into()) }, fault));
    }
    if !line.contains(" SIP/") {
        return Err(Unreadable::Silent("not SIP"));
    }
    // The name of the method is needed for the answer even when the rest of the line is not sound.
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (uri, version) = rest.split_once(' ').unwrap_or((rest, ""));
    if !is_token(method) {
        return Err(Unreadable::Silent("not SIP"));
    }
    let version = version.trim();
    let other_version = version.strip_prefix("SIP/").is_some_and(|version| {
        version != "2.0" && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    fault.note(other_version, 505, "Version Not Supported");
    let sound_line = !uri.is_empty() && line.len() == method.len() + uri.len() + 9 && version == "SIP/2.0";
    fault.note(!sound_line, 400, "malformed request line");
    match Uri::parse(uri) {
        None => fault.note(true, 400, "malformed request URI"),
        Some(parsed) => fault.note(parsed.headers.is_some(), 400, "headers in the request URI"),
    }
    Ok((Start::Request { method: Method::of(method), uri: regular.span(uri) }, fault))
}

fn fields(regular: &Regular, fields: &mut Vec<Field>, fault: &mut Fault) {
    fields.reserve(16);
    for line in regular.head.lines().skip(1) {
        if fields.len() == MAX_HEADERS {
            fault.note(true, 513, "too many headers");
            return;
        }
        let Some((text, value)) = line.split_once(':') else {
            fault.note(true, 400, "a header line without a colon");
            continue;
        };
        let text = text.trim_end_matches([' ', '\t']);
        if !is_token(text) {
            fault.note(true, 400, "a header name that is no token");
            continue;
        }
        let value = value.trim_matches([' ', '\t']);
        fields.push(Field { name: Name::of(text), text: regular.span(text), value: regular.span(value) });
    }
}

/// What must hold for every message.
fn check(message: &mut Message, fault: &mut Fault) {
    const SINGLE: [(Name, &str, &str); 7] = [
        (Name::From, "no From", "more than one From"),
        (Name::To, "no To", "more than one To"),
        (Name::CallId, "no Call-ID", "more than one Call-ID"),
        (Name::CSeq, "no CSeq", "more than one CSeq"),
        (Name::MaxForwards, "", "more than one Max-Forwards"),
        (Name::ContentLength, "", "more than one Content-Length"),
        (Name::ContentType, "", "more than one Content-Type"),
    ];
    let mut counts = [0_usize; SINGLE.len()];
    let mut vias = 0;
    for field in &message.fields {
        if field.name == Name::Via {
            vias += 1;
        } else if let Some(at) = SINGLE.iter().position(|(name, ..)| *name == field.name) {
            counts[at] += 1;
        }
    }
    fault.note(vias == 0, 400, "no Via");
    for ((_, missing, repeated), count) in SINGLE.iter().zip(counts) {
        fault.note(count == 0 && !missing.is_empty(), 400, missing);
        fault.note(count > 1, 400, repeated);
    }
    fault.note(message.call_id().is_empty() && counts[2] > 0, 400, "an empty Call-ID");

    check_via(message, fault);
    check_cseq(message, fault);
    for (name, wrong) in [(Name::From, "malformed From"), (Name::To, "malformed To")] {
        let Some(value) = message.header(name) else { continue };
        match NameAddr::parse(value) {
            None => fault.note(true, 400, wrong),
            Some(parsed) => {
                let tag = parsed.tag();
                fault.note(parsed.param("tag").is_some() && tag.is_none(), 400, wrong);
                let span = tag.map(|tag| span_of(&message.head, tag));
                if name == Name::From { message.from_tag = span } else { message.to_tag = span }
            }
        }
    }
    if !message.is_request() {
        return;
    }
    if let Some(value) = message.header(Name::MaxForwards) {
        let sound = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        fault.note(
            !sound || value.parse::<u32>().map_or(true, |hops| hops > 255),
            400,
            "malformed Max-Forwards",
        );
    }
    // `*` is what REGISTER may say.
    for value in message.headers(Name::Contact) {
        let sound = value == "*" || list(value).next().is_some_and(|first| NameAddr::parse(first).is_some());
        fault.note(!sound, 400, "malformed Contact");
    }
    if let Some(date) = message.header(Name::Date) {
        fault.note(!date.ends_with("GMT"), 400, "a Date that is not GMT");
    }
}

/// The topmost value has to be sound, and of a response also the only one: we answer nobody but ourselves.
fn check_via(message: &Message, fault: &mut Fault) {
    let mut lines = message.headers(Name::Via);
    let Some(line) = lines.next() else { return };
    match split_outside(line, b',') {
        Some((first, rest)) => {
            fault.note(Via::parse(first.trim()).is_none(), 400, "malformed Via");
            let is_alone = rest.is_none() && lines.next().is_none();
            fault.note(!message.is_request() && !is_alone, 400, "a response for somebody else");
        }
        None => fault.note(true, 400, "malformed Via"),
    }
}

fn check_cseq(message: &mut Message, fault: &mut Fault) {
    let Some(value) = message.header(Name::CSeq) else { return };
    let (number, method) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let (number, method) = (number, method.trim());
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = number.parse::<u32>().ok().filter(|number| digits && *number < CSEQ_LIMIT);
    fault.note(parsed.is_none() || !is_token(method), 400, "malformed CSeq");
    let method_differs = match &message.start {
        Start::Request { method: asked, .. } => asked.text() != method,
        Start::Response { .. } => false,
    };
    fault.note(method_differs, 400, "CSeq names another method");
    let answered = Method::of(method);
    message.cseq = parsed.unwrap_or(0);
    if let Start::Response { cseq_method, .. } = &mut message.start {
        *cseq_method = answered;
    }
}

/// How much of what follows the head is the body (RFC 3261 §18.3).
fn body_length(message: &Message, available: usize, transport: Transport) -> Result<usize, &'static str> {
    let Some(value) = message.header(Name::ContentLength) else {
        return if transport.is_reliable() && available > 0 {
            Err("no Content-Length on a stream")
        } else {
            Ok(available)
        };
    };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("malformed Content-Length");
    }
    match value.parse::<usize>() {
        Ok(length) if length <= available => Ok(length),
        _ => Err("Content-Length exceeds the message"),
    }
}

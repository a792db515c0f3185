//! SIP messages: reading them from hostile bytes, asking them questions, writing new ones.
//!
//! [`read`] first makes the bytes regular (header lines unfolded, bytes that are no UTF-8 replaced, the body cut to its
//! length), then checks what RFC 3261 wants of every message, and keeps the rest for whoever asks: a value is parsed when
//! it is read. Nothing is dropped: a header that nobody here knows is kept and can be echoed.
//!
//! Syntax is ours, the vocabulary is that of `rsip`, which no other module knows; see [`vocabulary`] for why.

mod multipart;
mod name;
mod name_addr;
mod read;
pub(crate) mod text;
mod via;
pub mod vocabulary;
mod write;

use bytes::Bytes;

pub use name::Name;
pub use name_addr::NameAddr;
pub use read::{BadRequest, MAX_HEAD, MAX_HEADERS, Unreadable, read};
pub use text::quote;
pub use via::{MAGIC_COOKIE, Via};
pub use vocabulary::{Method, reason_phrase};
pub use write::Writer;

/// A part of [`Message::head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// One header line, unfolded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: Name,
    text: Span,
    value: Span,
}

/// A request or a response as it came, made regular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    start: Start,
    /// The start line and the header lines: the one copy of the text that all spans point into.
    head: String,
    fields: Vec<Field>,
    body: Bytes,
    cseq: u32,
    from_tag: Option<Span>,
    to_tag: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    Request { method: Method, uri: Span },
    Response { code: u16, reason: Span, cseq_method: Method },
}

impl Message {
    fn at(&self, span: Span) -> &str {
        &self.head[span.start as usize..span.end as usize]
    }

    /// Whether it asks rather than answers.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// Of a request its method, of a response the method that it answers.
    pub fn method(&self) -> &Method {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { cseq_method, .. } => cseq_method,
        }
    }

    /// The request URI; empty for a response.
    pub fn uri(&self) -> &str {
        match &self.start {
            Start::Request { uri, .. } => self.at(*uri),
            Start::Response { .. } => "",
        }
    }

    /// The status code, 100–699; 0 for a request.
    pub fn code(&self) -> u16 {
        match self.start {
            Start::Response { code, .. } => code,
            Start::Request { .. } => 0,
        }
    }

    /// The phrase beside the status code.
    pub fn reason(&self) -> &str {
        match &self.start {
            Start::Response { reason, .. } => self.at(*reason),
            Start::Request { .. } => "",
        }
    }

    /// The body, cut to its length.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The first header of this name, unfolded and trimmed.
    pub fn header(&self, name: Name) -> Option<&str> {
        self.headers(name).next()
    }

    /// All headers of this name, in order: one line each.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.name == name).map(|field| self.at(field.value))
    }

    /// All headers in order, with their names as they stand.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.at(field.text), self.at(field.value)))
    }

    /// The values of all headers of this name, in order, lists taken apart.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.headers(name).flat_map(text::list)
    }

    /// The topmost `Via`; every sound message has one.
    pub fn via(&self) -> Option<Via<'_>> {
        self.values(Name::Via).next().and_then(Via::parse)
    }

    /// Empty only in an unsound message.
    pub fn call_id(&self) -> &str {
        self.header(Name::CallId).unwrap_or("")
    }

    /// The number of `CSeq`.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// The tag of `From`; old senders (RFC 2543) have none.
    pub fn from_tag(&self) -> Option<&str> {
        self.from_tag.map(|span| self.at(span))
    }

    /// The tag of `To`: there is one in every message inside a dialog.
    pub fn to_tag(&self) -> Option<&str> {
        self.to_tag.map(|span| self.at(span))
    }

    /// `From`, taken apart.
    pub fn from(&self) -> Option<NameAddr<'_>> {
        self.header(Name::From).and_then(NameAddr::parse)
    }

    /// The first `Contact`, taken apart.
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        self.values(Name::Contact).next().and_then(NameAddr::parse)
    }

    /// Whether the list in headers of this name holds a token, without case.
    pub fn lists(&self, name: Name, token: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// The media type of the body, in lower case and without parameters; `None` without a `Content-Type`.
    pub fn content_type(&self) -> Option<String> {
        let value = self.header(Name::ContentType)?;
        Some(value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
    }

    /// The session description in the body, if there is one: the body itself, or the part of a `multipart/*` body (trunks
    /// that carry ISUP send it so).
    pub fn sdp(&self) -> Option<Bytes> {
        let (media_type, params) = self
            .header(Name::ContentType)?
            .split_once(';')
            .unwrap_or_else(|| (self.header(Name::ContentType).unwrap_or(""), ""));
        let media_type = media_type.trim();
        if media_type.eq_ignore_ascii_case("application/sdp") {
            return (!self.body.is_empty()).then(|| self.body.clone());
        }
        let is_multipart = media_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
        let boundary = text::unquote(text::param(params, "boundary").filter(|_| is_multipart)?);
        multipart::find(&self.body, &boundary, "application/sdp")
    }

    /// The message as bytes again: regular, and with a `Content-Length` that is right.
    pub fn to_bytes(&self) -> Bytes {
        let mut writer = match &self.start {
            Start::Request { method, uri } => Writer::request(method.text(), self.at(*uri)),
            Start::Response { code, reason, .. } => Writer::response(*code, self.at(*reason)),
        };
        for field in &self.fields {
            if field.name != Name::ContentLength {
                writer.header_named(self.at(field.text), self.at(field.value));
            }
        }
        writer.finish_with(&self.body)
    }
}

#[cfg(test)]
mod tests;

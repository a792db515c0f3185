//! Dialogs (RFC 3261 §12): who the two ends are to each other once a request was answered.

use std::net::SocketAddr;

use crate::{
    Flow, Transport,
    message::{Message, Method, Name, NameAddr, Writer},
    uri::Uri,
};

/// More `Record-Route` values than any honest path has are cut off.
const MAX_ROUTES: usize = 20;

/// One end's view of a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    call_id: Box<str>,
    /// `From` of what we send, with our tag.
    local: Box<str>,
    /// `To` of what we send, with their tag.
    remote: Box<str>,
    /// Old ends (RFC 2543) have none.
    remote_tag: Option<Box<str>>,
    /// Their `Contact`.
    target: Box<str>,
    /// The proxies that want to see what we send, in the order of the way there.
    routes: Vec<Box<str>>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// Requests go the way that the dialog was made on, and nowhere else.
    keeps_flow: bool,
}

/// How the two ends of a dialog name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogId {
    /// The SIP `Call-ID`.
    pub call_id: String,
    /// The tag that we gave.
    pub local_tag: String,
    /// The tag that they gave; empty if they gave none (RFC 2543).
    pub remote_tag: String,
}

/// What a dialog takes from our INVITE.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The SIP `Call-ID`.
    pub call_id: &'a str,
    /// The whole `From`, with our tag.
    pub from: &'a str,
    /// The request URI.
    pub uri: &'a str,
    /// The number of `CSeq`.
    pub cseq: u32,
}

impl Dialog {
    /// From our INVITE and a response to it with a tag: 101–299.
    pub fn from_response(invite: Caller<'_>, response: &Message) -> Self {
        let mut routes: Vec<Box<str>> =
            response.values(Name::RecordRoute).take(MAX_ROUTES).map(Into::into).collect();
        routes.reverse();
        Self {
            call_id: invite.call_id.into(),
            local: invite.from.into(),
            remote: response.header(Name::To).unwrap_or("").into(),
            remote_tag: response.to_tag().map(Into::into),
            target: response.contact().map_or(invite.uri, |contact| contact.uri).into(),
            routes,
            local_cseq: invite.cseq,
            remote_cseq: None,
            keeps_flow: false,
        }
    }

    /// From their INVITE, and the tag that our responses carry.
    pub fn from_request(invite: &Message, local_tag: &str) -> Self {
        let from = invite.header(Name::From).unwrap_or("");
        let from_uri = NameAddr::parse(from).map_or("", |from| from.uri);
        Self {
            call_id: invite.call_id().into(),
            local: format!("{};tag={local_tag}", invite.header(Name::To).unwrap_or("")).into(),
            remote: from.into(),
            remote_tag: invite.from_tag().map(Into::into),
            target: invite.contact().map_or(from_uri, |contact| contact.uri).into(),
            routes: invite.values(Name::RecordRoute).take(MAX_ROUTES).map(Into::into).collect(),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq()),
            keeps_flow: false,
        }
    }

    /// From now on [`Self::next_hop`] is the way that the dialog was made on, whatever the far end says of itself.
    pub fn keep_to_flow(&mut self) {
        self.keeps_flow = true;
    }

    /// Whether a request or response of the far end belongs here (our tag is compared by whoever looked us up).
    pub fn matches(&self, message: &Message) -> bool {
        let theirs = if message.is_request() { message.from_tag() } else { message.to_tag() };
        self.call_id.as_ref() == message.call_id() && self.remote_tag.as_deref() == theirs
    }

    /// The far end's tag.
    pub fn remote_tag(&self) -> Option<&str> {
        self.remote_tag.as_deref()
    }

    /// The SIP `Call-ID`.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes the number of a request; `false`: it came out of order (RFC 3261 §12.2.2).
    pub fn accept_cseq(&mut self, cseq: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| cseq > last);
        if in_order {
            self.remote_cseq = Some(cseq);
        }
        in_order
    }

    /// Takes the new `Contact` of a request or response that refreshes the target (re-INVITE, UPDATE).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(contact) = message.contact() {
            self.target = contact.uri.into();
        }
    }

    /// Counts up: the number for the next request of ours.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// Goes on counting from a number that another request of this call had (one sent before the dialog was made).
    pub fn count_from(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// The request URI of what we send: the far end, unless the first proxy is a strict router (RFC 3261 §12.2.1.1).
    pub fn request_uri(&self) -> &str {
        match self.strict_router() {
            Some(router) => router,
            None => &self.target,
        }
    }

    fn strict_router(&self) -> Option<&str> {
        let first = NameAddr::parse(self.routes.first()?)?;
        let is_loose = Uri::parse(first.uri).is_none_or(|uri| uri.param("lr").is_some());
        (!is_loose).then_some(first.uri)
    }

    /// Starts a request: request line, `Via`, `Max-Forwards`, `Route`, `From`, `To`, `Call-ID`, `CSeq`. `cseq` is that of
    /// the INVITE for its ACK, else [`Self::next_cseq`].
    pub fn request(&self, method: &Method, cseq: u32, via: &str) -> Writer {
        let mut writer = Writer::request(method.text(), self.request_uri());
        writer.header(Name::Via, via).header(Name::MaxForwards, 70);
        if self.strict_router().is_some() {
            for route in &self.routes[1..] {
                writer.header(Name::Route, route);
            }
            writer.header(Name::Route, format_args!("<{}>", self.target));
        } else {
            for route in &self.routes {
                writer.header(Name::Route, route);
            }
        }
        writer
            .header(Name::From, &self.local)
            .header(Name::To, &self.remote)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{cseq} {method}"));
        writer
    }

    /// Where requests go: the first proxy or the target, if it is named by an address, else the way that the dialog was
    /// made on. Names are not looked up here, and streams are kept: what came by one is answered by it.
    ///
    /// A private address behind a public one is that of a phone behind an address translator: its packets come back only
    /// by the way they went.
    pub fn next_hop(&self, flow: Flow) -> Flow {
        if flow.transport != Transport::Udp || self.keeps_flow {
            return flow;
        }
        let uri = match self.routes.first() {
            Some(route) => NameAddr::parse(route).map(|route| route.uri),
            None => Some(self.target.as_ref()),
        };
        let Some(uri) = uri.and_then(Uri::parse).filter(Uri::is_sip) else { return flow };
        let other_transport =
            uri.param("transport").is_some_and(|transport| !transport.eq_ignore_ascii_case("udp"));
        let Some(ip) = uri.ip().filter(|_| !other_transport && uri.scheme.len() == 3) else { return flow };
        let is_reachable = ip.is_ipv4() == flow.local.is_ipv4()
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && (is_private(flow.remote) || !is_private(SocketAddr::new(ip, 0)));
        if !is_reachable {
            return flow;
        }
        let port = uri.port.unwrap_or(Transport::Udp.default_port());
        Flow { remote: SocketAddr::new(ip, port), ..flow }
    }
}

fn is_private(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(address) => {
            let ip = *address.ip();
            // 100.64.0.0/10 is the shared space of carriers (RFC 6598).
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        SocketAddr::V6(address) => {
            let ip = *address.ip();
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::read;

    fn message(text: &str) -> Message {
        let text = text.replace('\n', "\r\n");
        read(text.as_bytes(), Transport::Udp).expect("a sound message")
    }

    fn invite() -> Message {
        message(
            "INVITE sip:bob@trunk.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\nFrom: <sip:a@x>;tag=1\n\
             To: <sip:bob@trunk.example>\nCall-ID: c\nCSeq: 5 INVITE\nContact: <sip:a@192.0.2.1:5062>\n\
             Record-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>\n\n",
        )
    }

    /// The same INVITE, as its sender knows it.
    fn caller() -> Caller<'static> {
        Caller { call_id: "c", from: "<sip:a@x>;tag=1", uri: "sip:bob@trunk.example", cseq: 5 }
    }

    fn answer(extra: &str) -> Message {
        message(&format!(
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\nFrom: <sip:a@x>;tag=1\n\
             To: <sip:bob@trunk.example>;tag=2\nCall-ID: c\nCSeq: 5 INVITE\n{extra}\n"
        ))
    }

    fn flow(remote: &str) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    fn text(dialog: &mut Dialog) -> String {
        let cseq = dialog.next_cseq();
        let bytes = dialog.request(&Method::Bye, cseq, "SIP/2.0/UDP v;branch=z9hG4bKb").finish();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn the_caller_goes_back_through_the_proxies_in_reverse() {
        let answer = answer(
            "Contact: <sip:bob@203.0.113.7:5070>\nRecord-Route: <sip:p1;lr>,<sip:p2;lr>\nRecord-Route: <sip:p3;lr>\n",
        );
        let mut dialog = Dialog::from_response(caller(), &answer);
        let text = text(&mut dialog);
        assert!(text.starts_with("BYE sip:bob@203.0.113.7:5070 SIP/2.0\r\n"), "{text}");
        assert!(
            text.contains("Route: <sip:p3;lr>\r\nRoute: <sip:p2;lr>\r\nRoute: <sip:p1;lr>\r\n"),
            "{text}"
        );
        assert!(
            text.contains("To: <sip:bob@trunk.example>;tag=2\r\n") && text.contains("CSeq: 6 BYE\r\n"),
            "{text}"
        );
    }

    #[test]
    fn the_callee_keeps_the_order_and_swaps_the_ends() {
        let mut dialog = Dialog::from_request(&invite(), "99");
        let text = text(&mut dialog);
        assert!(text.starts_with("BYE sip:a@192.0.2.1:5062 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("Route: <sip:192.0.2.8;lr>\r\nRoute: <sip:192.0.2.9;lr>\r\n"), "{text}");
        assert!(text.contains("From: <sip:bob@trunk.example>;tag=99\r\nTo: <sip:a@x>;tag=1\r\n"), "{text}");
        assert!(!dialog.accept_cseq(5) && dialog.accept_cseq(6) && !dialog.accept_cseq(6));
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri() {
        let answer = answer("Contact: <sip:bob@h>\nRecord-Route: <sip:p1;lr>,<sip:p2>\n");
        let mut dialog = Dialog::from_response(caller(), &answer);
        let text = text(&mut dialog);
        assert!(text.starts_with("BYE sip:p2 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("Route: <sip:p1;lr>\r\nRoute: <sip:bob@h>\r\n"), "{text}");
    }

    #[test]
    fn requests_go_to_addresses_that_can_be_reached() {
        let hop = |contact: &str, remote: &str| {
            let answer = answer(&format!("Contact: <{contact}>\n"));
            Dialog::from_response(caller(), &answer).next_hop(flow(remote)).remote.to_string()
        };
        assert_eq!(hop("sip:b@203.0.113.7:5070", "203.0.113.9:5060"), "203.0.113.7:5070");
        assert_eq!(hop("sip:b@203.0.113.7", "203.0.113.9:5061"), "203.0.113.7:5060");
        assert_eq!(hop("sip:b@host.example", "203.0.113.9:5061"), "203.0.113.9:5061");
        assert_eq!(hop("sip:b@10.0.0.7:5060", "203.0.113.9:5061"), "203.0.113.9:5061");
        assert_eq!(hop("sip:b@10.0.0.7:5060", "10.0.0.1:5061"), "10.0.0.7:5060");
        assert_eq!(hop("sip:b@0.0.0.0:5060", "10.0.0.1:5061"), "10.0.0.1:5061");
        assert_eq!(hop("sip:b@203.0.113.7;transport=tcp", "203.0.113.9:5061"), "203.0.113.9:5061");
        assert_eq!(hop("sip:b@[2001:db8::1]", "203.0.113.9:5061"), "203.0.113.9:5061");
        let routed = answer("Contact: <sip:b@203.0.113.7>\nRecord-Route: <sip:203.0.113.5:5065;lr>\n");
        let hop = Dialog::from_response(caller(), &routed).next_hop(flow("203.0.113.9:5061"));
        assert_eq!(hop.remote.to_string(), "203.0.113.5:5065");
    }
}

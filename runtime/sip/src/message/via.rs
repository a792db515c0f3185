//! One value of `Via` (RFC 3261 §20.42), read in place.

use crate::{
    message::text::{are_params, is_token, param},
    uri::split_host_port,
};

/// Who sent a message, and by which transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …
    pub transport: &'a str,
    /// `host[:port]` as it stands.
    pub sent_by: &'a str,
    /// The host of `sent_by`.
    pub host: &'a str,
    /// The port of `sent_by`.
    pub port: Option<u16>,
    /// From the first `;` on, or empty.
    params: &'a str,
}

/// What a branch of RFC 3261 starts with; one without it, or with nothing behind it, names no transaction.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

impl<'a> Via<'a> {
    /// Reads one value; `None` if it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start();
        let (transport, rest) = rest.split_once([' ', '\t'])?;
        let (sent_by, params) = match rest.find(';') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let sent_by = sent_by.trim();
        let (host, port) = split_host_port(sent_by)?;
        (is_token(transport) && are_params(params)).then_some(Self { transport, sent_by, host, port, params })
    }

    /// A parameter; a flag has the value "".
    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(self.params, name)
    }

    /// The branch, if it names a transaction as RFC 3261 §17 wants it.
    pub fn branch(&self) -> Option<&'a str> {
        let branch = self.param("branch")?;
        let has_cookie = branch.get(..7).is_some_and(|cookie| cookie.eq_ignore_ascii_case(MAGIC_COOKIE));
        (has_cookie && branch.len() > 7).then_some(branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn via_is_read_with_all_the_space_it_may_have() {
        let via = Via::parse("SIP  / 2.0  / TCP     spindle.example.com : 5070  ; branch  =   z9hG4bK9ikj8 ")
            .unwrap();
        assert_eq!(
            (via.transport, via.host, via.port, via.branch()),
            ("TCP", "spindle.example.com", Some(5070), Some("z9hG4bK9ikj8"))
        );
        let via = Via::parse("SIP/2.0/UDP [2001:db8::1]:5060;rport;branch=z9hG4bK").unwrap();
        assert_eq!((via.host, via.port, via.param("rport")), ("[2001:db8::1]", Some(5060), Some("")));
        assert_eq!(via.branch(), None, "the cookie alone names nothing");
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for text in
            ["", "SIP/2.0/UDP", "SIP/2.0/UDP ;branch=1", "SIP/3.0/UDP h", "SIP/2.0/UDP h;;,;", "SIP/2.0/ h"]
        {
            assert_eq!(Via::parse(text), None, "{text}");
        }
    }
}

//! SIP URIs (RFC 3261 §19.1), read in place.

use std::net::IpAddr;

use crate::message::text::{escape_user, param, params, unescape};

/// A URI, split. Everything but `sip:` and `sips:` stays opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// As it stands: compare without case.
    pub scheme: &'a str,
    /// Before the `@`, escapes and password included.
    user_info: Option<&'a str>,
    /// A name, an IPv4 address, or an IPv6 address in brackets; for opaque URIs all that follows the scheme.
    pub host: &'a str,
    /// After the host.
    pub port: Option<u16>,
    /// From the first `;` on, or empty.
    params: &'a str,
    /// After the `?`.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads one; `None` if it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let sound_scheme = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        // Spaces and brackets never stand bare in a URI of any scheme.
        let sound_rest = !rest.is_empty()
            && rest.bytes().all(|byte| byte > b' ' && !matches!(byte, b'<' | b'>' | b'"' | 0x7f));
        if !sound_scheme || !sound_rest {
            return None;
        }
        if !is_sip(scheme) {
            return Some(Self { scheme, user_info: None, host: rest, port: None, params: "", headers: None });
        }
        // The user part may hold `;`, `?` and `:` in the clear, but no `@`.
        let (user_info, rest) = match rest.split_once('@') {
            Some(("", _)) => return None,
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (rest, headers) =
            rest.split_once('?').map_or((rest, None), |(rest, headers)| (rest, Some(headers)));
        let (host_port, params) = match rest.find(';') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = split_host_port(host_port)?;
        Some(Self { scheme, user_info, host, port, params, headers })
    }

    /// Whether it is `sip:` or `sips:`.
    pub fn is_sip(&self) -> bool {
        is_sip(self.scheme)
    }

    /// Whether it is a telephone number (RFC 3966).
    pub fn is_tel(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("tel")
    }

    /// The user part without password and escapes; of a `tel:` URI the number, without its parameters and separators.
    pub fn user(&self) -> String {
        if self.is_tel() {
            let number = self.host.split(';').next().unwrap_or("");
            return number.chars().filter(|letter| !matches!(letter, '-' | '.' | '(' | ')')).collect();
        }
        unescape(self.user_info.unwrap_or("").split(':').next().unwrap_or(""))
    }

    /// A parameter; a flag (`;lr`) has the value "".
    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(self.params, name)
    }

    /// A header that whoever follows the URI is to send (RFC 3261 §19.1.1), without escapes; compared without case.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut pairs = self.headers?.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(found, _)| unescape(found).eq_ignore_ascii_case(name))?;
        Some(unescape(value))
    }

    /// Whether two URIs mean the same (RFC 3261 §19.1.4), except that a port that is left out is the usual one of `sip:`:
    /// the same phone writes it now and leaves it out then.
    pub fn is_same(&self, other: &Self) -> bool {
        let user = |uri: &Self| uri.user_info.map(unescape);
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && user(self) == user(other)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(5060) == other.port.unwrap_or(5060)
            && agree(self.params, other.params)
            && agree(other.params, self.params)
            && self.headers == other.headers
    }

    /// The host, if it is an address.
    pub fn ip(&self) -> Option<IpAddr> {
        parse_ip(self.host)
    }
}

/// Parameters that make another URI of it by being there; of others only those count that both have.
const TELLING: [&str; 5] = ["transport", "user", "ttl", "method", "maddr"];

/// Whether no parameter of one URI speaks against another.
fn agree(ours: &str, theirs: &str) -> bool {
    params(ours).all(|(name, value)| match param(theirs, name) {
        Some(their) => unescape(value.unwrap_or("")).eq_ignore_ascii_case(&unescape(their)),
        None => !TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(name)),
    })
}

fn is_sip(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
}

/// An address, in brackets or not.
pub(crate) fn parse_ip(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// `host`, `host:port`, `[v6]:port`; whitespace around the colon is allowed, as in `Via`.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let text = text.trim();
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => {
            let end = inside.find(']')? + 2;
            parse_ip(&text[..end]).filter(IpAddr::is_ipv6)?;
            text.split_at(end)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, rest) = text.split_at(end);
            let host = host.trim_end();
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if host.is_empty() || !host.bytes().all(sound) {
                return None;
            }
            (host, rest)
        }
    };
    match rest.trim() {
        "" => Some((host, None)),
        rest => {
            let port = rest.strip_prefix(':')?.trim();
            if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some((host, Some(port.parse().ok()?)))
        }
    }
}

/// `sip:user@host`, the user escaped where it has to be.
pub fn sip_uri(user: &str, host: &str) -> String {
    if user.is_empty() { format!("sip:{host}") } else { format!("sip:{}@{host}", escape_user(user)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_split_where_the_grammar_says() {
        let uri = Uri::parse("sip:alice:secret@[2001:db8::1]:5070;transport=tcp;lr?Subject=x").unwrap();
        assert_eq!((uri.user().as_str(), uri.host, uri.port), ("alice", "[2001:db8::1]", Some(5070)));
        assert_eq!(
            (uri.param("LR"), uri.param("transport"), uri.headers),
            (Some(""), Some("tcp"), Some("Subject=x"))
        );
        assert_eq!(uri.ip(), Some("2001:db8::1".parse().unwrap()));
        let uri = Uri::parse("sip:user;par=u%40example.net@example.com").unwrap();
        assert_eq!((uri.user().as_str(), uri.host), ("user;par=u@example.net", "example.com"));
        let uri = Uri::parse("tel:+7(916)123-45-67;phone-context=x").unwrap();
        assert_eq!(uri.user(), "+79161234567");
        let uri = Uri::parse("sip:b@h?Subject=x&Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2").unwrap();
        assert_eq!(uri.header("replaces").as_deref(), Some("a@b;to-tag=1;from-tag=2"));
        assert_eq!((uri.header("x"), Uri::parse("sip:b@h").unwrap().header("Replaces")), (None, None));
        let uri = Uri::parse("soap.beep://192.0.2.103:3002").unwrap();
        assert!(!uri.is_sip());
    }

    /// The examples of RFC 3261 §19.1.4, but for the port.
    #[test]
    fn uris_mean_the_same_where_the_standard_says() {
        for (one, other, expected) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com:5060", true),
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
            ("sip:bob@biloxi.com;rinstance=1", "sip:bob@biloxi.com;rinstance=2", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000", false),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next", false),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
        ] {
            let [one, other] = [one, other].map(|text| Uri::parse(text).unwrap());
            assert_eq!((one.is_same(&other), other.is_same(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            ":a",
            "1:a",
            "<sip:a@b>",
            "sip:a@",
            "sip:@b",
            "sip:a@b@c",
            "sip:a@b:x",
            "sip:a@b:",
            "sip:a@b:70000",
            "sip:a b@c",
            "sip:a@[::1",
            "sip:a@[zz]",
            "sip:a@b; lr",
        ] {
            assert_eq!(Uri::parse(text), None, "{text}");
        }
    }
}

//! A value of `From`, `To`, `Contact`, `Route` and their kin: a URI, perhaps with a name, perhaps with parameters.

use crate::{
    message::text::{are_params, is_token, param, split_outside, unquote},
    uri::Uri,
};

/// `"Name" <uri>;params`, read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// As it stands, quotes included.
    display: &'a str,
    /// Between the brackets, or all up to the parameters.
    pub uri: &'a str,
    /// From the first `;` after the URI on, or empty.
    params: &'a str,
}

impl<'a> NameAddr<'a> {
    /// Reads one value; `None` if it is none, or not soundly one: open quotes, space inside the brackets, a comma or a
    /// question mark in a bare URI, a name that would need quotes.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        // An open quote hides the bracket: then there is no URI either.
        let (display, uri, params) = match split_bracket(text)? {
            Some((display, rest)) => {
                let (uri, params) = rest.split_once('>')?;
                (display.trim(), uri, params.trim())
            }
            None => {
                let at = text.find(';').unwrap_or(text.len());
                let (uri, params) = text.split_at(at);
                let uri = uri.trim_end();
                // Bare, these would belong to the header and not to the URI (RFC 3261 §20).
                if uri.contains([',', '?']) {
                    return None;
                }
                ("", uri, params)
            }
        };
        let sound_name = if display.starts_with('"') {
            display.len() >= 2 && display.ends_with('"')
        } else {
            // Tokens, says the grammar. Letters of the world are let pass, as people do send them; what could be taken
            // for another piece of the header is not.
            !display.contains(['"', ',', ';', ':', '<', '>', '@', '\\'])
        };
        (sound_name && are_lax_params(params) && Uri::parse(uri).is_some()).then_some(Self {
            display,
            uri,
            params,
        })
    }

    /// The name beside the URI, without quotes.
    pub fn display(&self) -> String {
        unquote(self.display)
    }

    /// A parameter of the header (not of the URI); a flag has the value "".
    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(self.params, name)
    }

    /// The tag, if there is a usable one.
    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| is_token(tag))
    }
}

/// Splits at the bracket outside quotes; `None` for an open quote.
fn split_bracket(text: &str) -> Option<Option<(&str, &str)>> {
    let bytes = text.as_bytes();
    let (mut quoted, mut at) = (false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'<' if !quoted => return Some(Some((&text[..at], &text[at + 1..]))),
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(None)
}

/// Sound parameters, or at least ones whose quotes are closed: names and values are not looked into.
fn are_lax_params(params: &str) -> bool {
    are_params(params)
        || (params.starts_with(';') && split_outside(params, 0).is_some() && !params.contains(";;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_uris_and_params_come_apart() {
        let value =
            NameAddr::parse(r#""J Rosenberg \"" <sip:jdrosen@example.com;lr> ; tag = 98asjd8"#).unwrap();
        assert_eq!(
            (value.display().as_str(), value.uri, value.tag()),
            ("J Rosenberg \"", "sip:jdrosen@example.com;lr", Some("98asjd8"))
        );
        let value = NameAddr::parse("caller<sip:caller@example.com>;tag=323").unwrap();
        assert_eq!((value.display().as_str(), value.tag()), ("caller", Some("323")));
        let value = NameAddr::parse("sip:+1650@gw.example.net;user=phone").unwrap();
        assert_eq!((value.uri, value.param("user")), ("sip:+1650@gw.example.net", Some("phone")));
        let value = NameAddr::parse("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>").unwrap();
        assert_eq!(value.uri, "sip:user@example.com?Route=%3Csip:sip.example.com%3E");
    }

    #[test]
    fn unsound_values_are_refused() {
        for text in [
            "",
            r#""Mr. J. User <sip:j.user@example.com>"#,
            r#""Watson, Thomas" < sip:t.watson@example.org >"#,
            "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "<sip:a@b",
            "<sip:a@b>x",
            "\"Joe\" <sip:joe@example.org>;;;;",
        ] {
            assert_eq!(NameAddr::parse(text), None, "{text}");
        }
    }
}

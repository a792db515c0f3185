//! The small pieces of the grammar (RFC 3261 §25.1): tokens, quoted strings, parameters, lists. All work on unfolded text
//! and never copy.

/// Whether a byte may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether the whole text is one token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Splits at the first `stop` outside quotes and angle brackets; `None` when a quote or a bracket stays open.
pub(crate) fn split_outside(text: &str, stop: u8) -> Option<(&str, Option<&str>)> {
    let bytes = text.as_bytes();
    let (mut quoted, mut bracketed, mut at) = (false, false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' if !bracketed => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            byte if byte == stop && !quoted && !bracketed => {
                return Some((&text[..at], Some(&text[at + 1..])));
            }
            _ => {}
        }
        at += 1;
    }
    (!quoted && !bracketed).then_some((text, None))
}

/// The values of a list header, trimmed. A value with an open quote ends the list with what is left of it.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (head, tail) = split_outside(rest?, b',').unwrap_or((rest?, None));
        rest = tail;
        Some(head.trim())
    })
    .filter(|value| !value.is_empty())
}

/// The parameters in `;name=value;name`: names and values trimmed, quotes kept.
pub(crate) fn params(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (head, tail) = split_outside(rest?, b';').unwrap_or((rest?, None));
        rest = tail;
        Some(head)
    })
    .filter(|param| !param.trim().is_empty())
    .map(|param| match param.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (param.trim(), None),
    })
}

/// A parameter by its name, without case; a flag has the value "".
pub(crate) fn param<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    params(text).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or(""))
}

/// Whether the text is empty or `;` followed by sound parameters, none of them empty.
pub(crate) fn are_params(text: &str) -> bool {
    let text = text.trim();
    let Some(mut rest) = text.strip_prefix(';') else { return text.is_empty() };
    loop {
        let Some((head, tail)) = split_outside(rest, b';') else { return false };
        let (name, value) = head.split_once('=').map_or((head, None), |(name, value)| (name, Some(value)));
        if !is_token(name.trim()) || value.is_some_and(|value| value.trim().is_empty()) {
            return false;
        }
        match tail {
            Some(tail) => rest = tail,
            None => return true,
        }
    }
}

/// The inside of a quoted string with its escapes resolved; other text as it is.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inside) = text.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.trim().to_owned();
    };
    let mut out = String::with_capacity(inside.len());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            letter => out.push(letter),
        }
    }
    out
}

/// Text as a quoted string. Control characters, which none may hold, become spaces.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Resolves `%41`. A broken escape stays as it is; what does not become UTF-8 is replaced.
pub(crate) fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Text as the user part of a URI (RFC 3261 §25.1): whatever may not stand there is escaped.
pub(crate) fn escape_user(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
            || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b'/');
        if plain {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_params_know_quotes_and_brackets() {
        let values: Vec<_> = list(r#""a,b" <sip:x;y,z>;q=1 , <sip:c>"#).collect();
        assert_eq!(values, [r#""a,b" <sip:x;y,z>;q=1"#, "<sip:c>"]);
        let values: Vec<_> = params(r#" ; tag = 1 ;x;q="a;\";b""#).collect();
        assert_eq!(values, [("tag", Some("1")), ("x", None), ("q", Some(r#""a;\";b""#))]);
        assert_eq!(split_outside(r#""open"#, b','), None);
        assert_eq!(param(";LR;q=2", "lr"), Some(""));
    }

    #[test]
    fn empty_params_are_unsound() {
        for sound in ["", ";a", "; a = b ;c", ";x=\"a;b\"", ";received=[::1]"] {
            assert!(are_params(sound), "{sound}");
        }
        for unsound in [";", ";;a", ";a;", ";a=", ";=b", "a", ";a=\"b"] {
            assert!(!are_params(unsound), "{unsound}");
        }
    }

    #[test]
    fn quoting_and_escaping_come_back() {
        for text in ["", "a", "a\"b\\c", "Иван"] {
            assert_eq!(unquote(&quote(text)), text);
            assert_eq!(unescape(&escape_user(text)), text);
        }
        assert_eq!(unescape("%75se%72%"), "user%");
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }
}

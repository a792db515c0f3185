//! Keys told by SIP INFO.

use std::time::Duration;

/// Reads a body of `application/dtmf-relay` or `application/dtmf`; `None` if it names no key.
pub(crate) fn read(content_type: &str, body: &[u8]) -> Option<(char, Option<Duration>)> {
    let text = std::str::from_utf8(body).ok()?;
    match content_type {
        "application/dtmf-relay" => {
            let find = |wanted: &str| {
                text.lines()
                    .filter_map(|line| line.split_once('='))
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.trim())
            };
            let held = find("Duration").and_then(|value| value.parse().ok()).map(Duration::from_millis);
            Some((key(find("Signal")?)?, held))
        }
        "application/dtmf" => Some((key(text.trim())?, None)),
        _ => None,
    }
}

/// `5`, `*`, `#`, `A`; some senders write the number of the event instead (10 for `*`).
fn key(text: &str) -> Option<char> {
    let mut letters = text.chars();
    match (letters.next()?.to_ascii_uppercase(), letters.next()) {
        (letter @ ('0'..='9' | '*' | '#' | 'A'..='D'), None) => Some(letter),
        _ => match text {
            "10" => Some('*'),
            "11" => Some('#'),
            "12" => Some('A'),
            "13" => Some('B'),
            "14" => Some('C'),
            "15" => Some('D'),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_either_form() {
        let relay = |body: &str| read("application/dtmf-relay", body.as_bytes());
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), Some(('5', Some(Duration::from_millis(160)))));
        assert_eq!(relay("Signal= #\n"), Some(('#', None)));
        assert_eq!(relay("signal=10\n"), Some(('*', None)));
        assert_eq!(read("application/dtmf", b"d"), Some(('D', None)));
        for none in ["", "Signal=\n", "Signal=55", "Signal=E", "Duration=1"] {
            assert_eq!(relay(none), None, "{none}");
        }
        assert_eq!(read("text/plain", b"5"), None);
        assert_eq!(read("application/dtmf", &[0xff]), None);
    }
}

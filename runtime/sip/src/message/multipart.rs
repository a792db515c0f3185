//! Bodies of several parts (RFC 2046 §5.1): only what it takes to find the session description in one.

use bytes::Bytes;

/// More parts are not looked at.
const MAX_PARTS: usize = 16;

/// The first part of a media type.
pub(super) fn find(body: &Bytes, boundary: &str, media_type: &str) -> Option<Bytes> {
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let mut from = position(body, delimiter.as_bytes())? + delimiter.len();
    for _ in 0..MAX_PARTS {
        let rest = &body[from..];
        if rest.starts_with(b"--") {
            return None;
        }
        let length = position(rest, delimiter.as_bytes())?;
        let part = &rest[..length];
        if let Some(head) = position(part, b"\r\n\r\n") {
            let is_wanted = String::from_utf8_lossy(&part[..head]).lines().any(|line| {
                line.split_once(':').is_some_and(|(name, value)| {
                    let value = value.split(';').next().unwrap_or("").trim();
                    name.trim().eq_ignore_ascii_case("Content-Type") && value.eq_ignore_ascii_case(media_type)
                })
            });
            if is_wanted {
                // The line break before the delimiter belongs to the delimiter.
                let end = if part.ends_with(b"\r\n") { length - 2 } else { length };
                let start = head + 4;
                return (start < end).then(|| body.slice(from + start..from + end));
            }
        }
        from += length + delimiter.len();
    }
    None
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_found_between_other_parts() {
        let body = Bytes::from_static(
            b"--b\r\nContent-Type: application/ISUP;version=x\r\n\r\n\x01\x02\r\n\r\n\x03\r\n\
              --b\r\nContent-Disposition: session\r\ncontent-type: Application/SDP\r\n\r\nv=0\r\ns=-\r\n\r\n--b--\r\n",
        );
        assert_eq!(find(&body, "b", "application/sdp").as_deref(), Some(&b"v=0\r\ns=-\r\n"[..]));
        assert_eq!(find(&body, "b", "text/plain"), None);
        assert_eq!(find(&body, "other", "application/sdp"), None);
        assert_eq!(find(&body.slice(..60), "b", "application/sdp"), None);
    }
}

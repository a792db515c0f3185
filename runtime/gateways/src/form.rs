//! Forms as browsers send them (`application/x-www-form-urlencoded`), out and in.

/// The most fields that are read of a form; what is beyond is left.
const MOST_FIELDS: usize = 100;

/// Writes a form.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        escape(name, &mut form);
        form.push('=');
        escape(value, &mut form);
    }
    form
}

fn escape(text: &str, form: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                form.push(char::from(byte))
            }
            b' ' => form.push('+'),
            other => form.push_str(&format!("%{other:02X}")),
        }
    }
}

/// Reads a form. Values are bytes: which letters they are is said by a field of the form itself, or by nobody.
pub(crate) fn decode(form: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fields = form.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).take(MOST_FIELDS);
    fields
        .map(|field| {
            let mut halves = field.splitn(2, |byte| *byte == b'=');
            let name = unescape(halves.next().unwrap_or_default());
            (String::from_utf8_lossy(&name).into_owned(), unescape(halves.next().unwrap_or_default()))
        })
        .collect()
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            (other, ..) => bytes.push(other),
        }
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_that_is_none_is_read_as_far_as_it_goes() {
        assert_eq!(
            decode(b"a=1&&b=%zz%4&c&=x&d=a%20b+c"),
            [
                ("a".to_owned(), b"1".to_vec()),
                ("b".to_owned(), b"%zz%4".to_vec()),
                ("c".to_owned(), Vec::new()),
                (String::new(), b"x".to_vec()),
                ("d".to_owned(), b"a b c".to_vec()),
            ]
        );
        assert_eq!(decode(&b"a=1&".repeat(1_000)).len(), MOST_FIELDS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(fields in prop::collection::vec((".{1,9}", ".{0,30}"), 0..9)) {
            let given: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let read: Vec<(String, String)> = decode(encode(&given).as_bytes())
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
                .collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn any_bytes_are_read(form: Vec<u8>) {
            decode(&form);
        }
    }
}

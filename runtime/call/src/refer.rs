//! What a phone says when it hands a call on: REFER (RFC 3515) and `Replaces` (RFC 3891), read.

use zvonar_sip::{
    dialog::DialogId,
    message::{Message, Name, NameAddr},
    uri::Uri,
};

/// Longer targets are refused.
const MAX_TARGET: usize = 1000;

/// The far end wants its peer to talk to somebody else. Whom it may name, and whether that is a loop, is for the call's
/// owner to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferRequest {
    /// The user part of the target, unescaped, or the digits of a `tel:` URI: a colleague's name or extension, a number.
    pub to_user: String,
    /// The target, without its headers.
    pub to_uri: String,
    /// The call of the target that ours is to take the place of: an attended transfer.
    pub replaces: Option<Replaces>,
    /// Who the far end says it is: a claim.
    pub referred_by: Option<String>,
}

/// A call that another is to take the place of, named by whoever is called: `to_tag` is the tag that *he* gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The SIP `Call-ID`.
    pub call_id: String,
    /// The tag of whoever reads this.
    pub to_tag: String,
    /// The tag of his peer.
    pub from_tag: String,
}

impl ReferRequest {
    /// Reads a REFER; `None`: it names nobody whom one could call (400).
    pub(crate) fn read(refer: &Message) -> Option<Self> {
        let mut targets = refer.headers(Name::ReferTo);
        let (Some(target), None) = (targets.next(), targets.next()) else { return None };
        let target = NameAddr::parse(target).filter(|target| target.uri.len() <= MAX_TARGET)?.uri;
        let uri = Uri::parse(target).filter(|uri| uri.is_sip() || uri.is_tel())?;
        if uri.param("method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return None;
        }
        let replaces = match uri.header("Replaces") {
            Some(text) => Some(Replaces::parse(&text)?),
            None => None,
        };
        let to_user = uri.user();
        if to_user.is_empty() {
            return None;
        }
        Some(Self {
            to_user,
            to_uri: target.split('?').next().unwrap_or(target).to_owned(),
            replaces,
            referred_by: refer.header(Name::ReferredBy).map(str::to_owned),
        })
    }
}

impl Replaces {
    /// Reads the value of the header; `None`: a part is missing, or it is for calls that only ring (`early-only`), of
    /// which there are none here that could be picked up.
    pub fn parse(text: &str) -> Option<Self> {
        let (call_id, params) = text.split_once(';')?;
        let mut tags = (None, None);
        for param in params.split(';') {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "to-tag" => tags.0 = Some(value.trim()),
                "from-tag" => tags.1 = Some(value.trim()),
                "early-only" => return None,
                _ => {}
            }
        }
        let (call_id, to_tag, from_tag) = (call_id.trim(), tags.0?, tags.1?);
        let is_whole = !call_id.is_empty() && !to_tag.is_empty() && !from_tag.is_empty();
        is_whole.then(|| Self {
            call_id: call_id.to_owned(),
            to_tag: to_tag.to_owned(),
            from_tag: from_tag.to_owned(),
        })
    }

    /// Whether it names this call of ours.
    pub fn names(&self, dialog: &DialogId) -> bool {
        // The tag 0 stands for none at all (RFC 3891 §4).
        let theirs = if dialog.remote_tag.is_empty() { "0" } else { &dialog.remote_tag };
        self.call_id == dialog.call_id && self.to_tag == dialog.local_tag && self.from_tag == theirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zvonar_sip::{Transport, message::read};

    fn refer(lines: &str) -> Option<ReferRequest> {
        let text = format!(
            "REFER sip:zvonar@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>;tag=2\r\nCall-ID: c\r\nCSeq: 2 REFER\r\n{lines}\r\n\r\n"
        );
        ReferRequest::read(&read(text.as_bytes(), Transport::Udp).expect("a sound message"))
    }

    #[test]
    fn targets_are_read_with_the_call_that_they_replace() {
        let request =
            refer("Refer-To: <sip:102@zvonar;transport=udp>\r\nReferred-By: <sip:north.anna@zvonar>")
                .unwrap();
        assert_eq!(
            (request.to_user.as_str(), request.to_uri.as_str()),
            ("102", "sip:102@zvonar;transport=udp")
        );
        assert_eq!(
            (request.replaces, request.referred_by.as_deref()),
            (None, Some("<sip:north.anna@zvonar>"))
        );
        let request =
            refer("r: \"Boris\" <sip:102@h?Replaces=a%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy&Subject=z>").unwrap();
        let expected = Replaces { call_id: "a@b".into(), to_tag: "x".into(), from_tag: "y".into() };
        assert_eq!((request.to_uri.as_str(), request.replaces), ("sip:102@h", Some(expected)));
        assert_eq!(refer("Refer-To: <tel:+7-916-123-45-67>").unwrap().to_user, "+79161234567");
    }

    #[test]
    fn what_names_nobody_to_call_is_refused() {
        for lines in [
            "X: y",
            "Refer-To: ",
            "Refer-To: <sip:zvonar>",
            "Refer-To: <http://example.com>",
            "Refer-To: sip:b@h?Replaces=x",
            "Refer-To: <sip:b@h;method=BYE>",
            "Refer-To: <sip:b@h?Replaces=x>",
            "Refer-To: <sip:b@h?Replaces=x%3Bto-tag%3D1>",
            "Refer-To: <sip:b@h?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only>",
            "Refer-To: <sip:b@h>\r\nRefer-To: <sip:c@h>",
            "Refer-To: \"b <sip:b@h>",
        ] {
            assert_eq!(refer(lines), None, "{lines}");
        }
        assert_eq!(refer(&format!("Refer-To: <sip:{}@h>", "b".repeat(1000))), None);
    }

    #[test]
    fn a_call_is_named_by_all_three_of_its_parts() {
        let dialog = DialogId { call_id: "c".into(), local_tag: "l".into(), remote_tag: "r".into() };
        let names = |text: &str| Replaces::parse(text).unwrap().names(&dialog);
        assert!(names("c;to-tag=l;from-tag=r") && names("c;from-tag=r;x=y;to-tag=l"));
        assert!(
            !names("c;to-tag=r;from-tag=l")
                && !names("d;to-tag=l;from-tag=r")
                && !names("c;to-tag=l;from-tag=x")
        );
    }
}

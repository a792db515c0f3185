//! What SMSC tells by itself: it calls an address of ours when a message's status changes.
//!
//! Anybody can call that address, so nothing is believed that is not signed. Whoever keeps messages stores the news
//! first, and answers 200 even to a message that nobody knows: otherwise it is told again and again. [`Delivery::after`] says what late news changes. Its price is not signed, and is therefore not read.

use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::Secret;
use super::answer::delivery;
use crate::form;
use crate::gateway::{Delivery, SmsId};

/// News of a message, signed by SMSC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Our number of it; `None`: it is none that we give, so the message is somebody else's.
    pub id: Option<SmsId>,
    /// To whom it went, in digits.
    pub phone: String,
    /// Where it is; `None`: SMSC has no message of this number any more.
    pub delivery: Option<Delivery>,
    /// SMSC's own number of that.
    pub status: i32,
}

/// Why news is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    /// A field is not there.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field makes no sense.
    #[error("the field `{0}` is none of SMSC's")]
    Strange(&'static str),
    /// No signature.
    #[error("it is not signed: set a secret word for callbacks in the account at SMSC, the same as here")]
    Unsigned,
    /// A signature of somebody else's.
    #[error(
        "the signature is wrong: the secret word in the account at SMSC differs from the one here, or it is not from SMSC"
    )]
    Signature,
}

impl Callback {
    /// Reads the form, or the query of a URL, that SMSC sent.
    ///
    /// # Errors
    ///
    /// It is not complete, or not signed with this secret.
    pub fn read(sent: &[u8], secret: &Secret) -> Result<Self, CallbackFault> {
        let fields = form::decode(sent);
        let field = |wanted: &str| {
            let found = fields
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| String::from_utf8_lossy(value));
            found.map(std::borrow::Cow::into_owned).filter(|value| !value.is_empty())
        };
        let need = |wanted: &'static str| field(wanted).ok_or(CallbackFault::Missing(wanted));
        let (id, phone, status) = (need("id")?, need("phone")?, need("status")?);
        let signed = format!("{id}:{phone}:{status}:{}", secret.reveal());
        let md5 = field("md5").map(|given| same(&given, &hex::encode(Md5::digest(&signed))));
        let sha1 = field("sha1").map(|given| same(&given, &hex::encode(Sha1::digest(&signed))));
        match (md5, sha1) {
            (None, None) => return Err(CallbackFault::Unsigned),
            (md5, sha1) if !(md5.unwrap_or(true) & sha1.unwrap_or(true)) => {
                return Err(CallbackFault::Signature);
            }
            _ => {}
        }
        let status: i32 = status.parse().map_err(|_| CallbackFault::Strange("status"))?;
        let phone: String = phone.chars().filter(char::is_ascii_digit).collect();
        Ok(Self { id: id.parse().ok().and_then(SmsId::new), phone, delivery: delivery(status), status })
    }
}

/// What SMSC signs news with, both ways.
pub(crate) fn signatures(id: &str, phone: &str, status: i32, secret: &Secret) -> [(&'static str, String); 2] {
    let signed = format!("{id}:{phone}:{status}:{}", secret.reveal());
    [("md5", hex::encode(Md5::digest(&signed))), ("sha1", hex::encode(Sha1::digest(&signed)))]
}

/// Whether two signatures are the same, in a time that does not tell how much of them is.
fn same(given: &str, ours: &str) -> bool {
    let given = given.to_ascii_lowercase();
    given.as_bytes().ct_eq(ours.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // md5 and sha1 of `7:79001234567:1:слово`, by other programs.
    const MD5: &str = "39ac0862d30b05d9494e2a7594b5dd17";
    const SHA1: &str = "29741dd937951545abfe46d8013396e15019d174";

    fn read(form: &str) -> Result<Callback, CallbackFault> {
        Callback::read(form.as_bytes(), &Secret::new("слово").unwrap())
    }

    #[test]
    fn news_is_believed_by_either_signature_and_not_with_a_wrong_one() {
        let base = "id=7&phone=79001234567&status=1&time=1.3.2026&ts=1772355600&err=0&cost=1.80&cnt=1&type=0";
        let upper = MD5.to_uppercase();
        for signed in [
            format!("&md5={MD5}"),
            format!("&md5={upper}"),
            format!("&sha1={SHA1}"),
            format!("&crc32=1&md5={MD5}&sha1={SHA1}"),
        ] {
            let news = read(&format!("{base}{signed}")).unwrap();
            assert_eq!((news.id, &news.phone[..], news.status), (SmsId::new(7), "79001234567", 1));
            assert_eq!(news.delivery, Some(Delivery::Delivered));
        }
        let wrong = "0".repeat(32);
        for (form, fault) in [
            (base.to_owned(), CallbackFault::Unsigned),
            (format!("{base}&md5="), CallbackFault::Unsigned),
            (format!("{base}&md5={wrong}"), CallbackFault::Signature),
            (format!("{base}&md5={}", &MD5[1..]), CallbackFault::Signature),
            (format!("{base}&md5={MD5}&sha1={wrong}"), CallbackFault::Signature),
            (format!("{base}&md5={wrong}&sha1={SHA1}"), CallbackFault::Signature),
            (format!("{}&md5={MD5}", base.replace("status=1", "status=20")), CallbackFault::Signature),
            (format!("id=7&status=1&md5={MD5}"), CallbackFault::Missing("phone")),
        ] {
            assert_eq!(read(&form), Err(fault), "{form}");
        }
    }

    #[test]
    fn a_number_with_signs_is_signed_as_it_came_and_kept_as_digits() {
        let secret = Secret::new("слово").unwrap();
        let [(_, md5), _] = signatures("7", "+7 900 123-45-67", -3, &secret);
        let news = read(&format!("id=7&phone=%2B7+900+123-45-67&status=-3&md5={md5}")).unwrap();
        assert_eq!((&news.phone[..], news.delivery), ("79001234567", None));
        // It is signed, so it is told until somebody takes it.
        for foreign in ["0", "2147483648", "7a"] {
            let [(_, md5), _] = signatures(foreign, "7", 1, &secret);
            let news = read(&format!("id={foreign}&phone=7&status=1&md5={md5}")).unwrap();
            assert_eq!((news.id, news.delivery), (None, Some(Delivery::Delivered)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_believed(form: Vec<u8>) {
            prop_assert!(Callback::read(&form, &Secret::new("слово").unwrap()).is_err());
        }
    }
}

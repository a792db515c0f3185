//! Which header fields we know by name.

macro_rules! names {
    ($($variant:ident $text:literal $(= $compact:literal)?),* $(,)?) => {
        /// A header field that something here reads or writes. Names are compared without case; the compact forms of
        /// RFC 3261 §7.3.3 mean the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is named as its standard names it")]
        pub enum Name {
            $($variant,)*
            /// Any other: kept, found by its text.
            Other,
        }

        impl Name {
            /// The usual spelling; empty for [`Name::Other`].
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// The meaning of a name as it stands in a message.
            pub fn of(text: &str) -> Self {
                if text.len() == 1 {
                    let letter = text.as_bytes()[0].to_ascii_lowercase();
                    $($(if letter == $compact { return Self::$variant; })?)*
                    return Self::Other;
                }
                $(if text.len() == $text.len() && text.eq_ignore_ascii_case($text) { return Self::$variant; })*
                Self::Other
            }

            /// All but [`Name::Other`].
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

// The order is the order of the search: the fields that every message has stand first.
names! {
    Via "Via" = b'v',
    From "From" = b'f',
    To "To" = b't',
    CallId "Call-ID" = b'i',
    CSeq "CSeq",
    Contact "Contact" = b'm',
    MaxForwards "Max-Forwards",
    ContentLength "Content-Length" = b'l',
    ContentType "Content-Type" = b'c',
    Route "Route",
    RecordRoute "Record-Route",
    Allow "Allow",
    Supported "Supported" = b'k',
    UserAgent "User-Agent",
    Server "Server",
    Require "Require",
    ProxyRequire "Proxy-Require",
    Unsupported "Unsupported",
    Accept "Accept",
    ContentEncoding "Content-Encoding" = b'e',
    ContentDisposition "Content-Disposition",
    WwwAuthenticate "WWW-Authenticate",
    ProxyAuthenticate "Proxy-Authenticate",
    Authorization "Authorization",
    ProxyAuthorization "Proxy-Authorization",
    PAssertedIdentity "P-Asserted-Identity",
    Date "Date",
    Expires "Expires",
    RetryAfter "Retry-After",
    Reason "Reason",
    Warning "Warning",
    RSeq "RSeq",
    RAck "RAck",
    SessionExpires "Session-Expires" = b'x',
    MinSe "Min-SE",
    Subject "Subject" = b's',
    ReferTo "Refer-To" = b'r',
    ReferredBy "Referred-By" = b'b',
    Event "Event" = b'o',
    SubscriptionState "Subscription-State",
    Replaces "Replaces",
    MinExpires "Min-Expires",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again_in_any_case() {
        for name in Name::ALL {
            assert_eq!(Name::of(name.text()), *name);
            assert_eq!(Name::of(&name.text().to_ascii_uppercase()), *name);
        }
        assert_eq!((Name::of("i"), Name::of("I"), Name::of("z")), (Name::CallId, Name::CallId, Name::Other));
        assert_eq!(Name::of("C%6Fntact"), Name::Other);
    }
}

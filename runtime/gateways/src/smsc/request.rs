//! What SMSC is asked, as forms.
//!
//! Always by POST, so that neither texts nor passwords get into the logs of what lies between; always in UTF-8, since
//! SMSC reads windows-1251 otherwise; always with the answer as JSON.

use zvonar_model::PhoneNumber;

use super::Account;
use crate::form;
use crate::gateway::{Sms, SmsId};

/// A question: where, and the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: &'static str,
    pub(crate) form: String,
}

impl Request {
    fn new(path: &'static str, account: &Account, fields: &[(&'static str, &str)]) -> Self {
        let account = account.fields();
        let mut all: Vec<(&str, &str)> =
            account.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend([("fmt", "3"), ("charset", "utf-8")]);
        all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
        Self { path, form: form::encode(&all) }
    }

    /// Sends, and is told the price and the balance.
    pub(crate) fn send(account: &Account, sender: &str, sms: &Sms) -> Self {
        let id = sms.id.to_string();
        let fields = [
            ("id", &id[..]),
            ("phones", sms.to.digits()),
            ("mes", &sms.text),
            ("sender", sender),
            ("cost", "3"),
        ];
        Self::new("/sys/send.php", account, &fields)
    }

    /// Only asks for the price.
    pub(crate) fn price(account: &Account, sender: &str, to: &PhoneNumber, text: &str) -> Self {
        let fields = [("phones", to.digits()), ("mes", text), ("sender", sender), ("cost", "1")];
        Self::new("/sys/send.php", account, &fields)
    }

    /// What became of a message; all of it, for its price.
    pub(crate) fn status(account: &Account, id: SmsId, to: &PhoneNumber) -> Self {
        Self::new(
            "/sys/status.php",
            account,
            &[("phone", to.digits()), ("id", &id.to_string()), ("all", "1")],
        )
    }

    pub(crate) fn balance(account: &Account) -> Self {
        Self::new("/sys/balance.php", account, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn sms() -> Sms {
        let (id, to) = (SmsId::new(7).unwrap(), PhoneNumber::parse("+79001234567").unwrap());
        Sms { id, to, text: "Ждём вас в 10:00".into() }
    }

    #[test]
    fn a_request_carries_our_number_the_charset_and_no_password() {
        let login = Account::Login { login: "zvonar".into(), password: Secret::new("пароль").unwrap() };
        let send = Request::send(&login, "Zvonar", &sms());
        assert_eq!(send.path, "/sys/send.php");
        assert_eq!(
            send.form,
            "login=zvonar&psw=e242f36f4f95f12966da8fa2efd59992&fmt=3&charset=utf-8&id=7&phones=79001234567\
             &mes=%D0%96%D0%B4%D1%91%D0%BC+%D0%B2%D0%B0%D1%81+%D0%B2+10%3A00&sender=Zvonar&cost=3"
        );
        let key = Account::Key(Secret::new("k1").unwrap());
        assert_eq!(
            Request::price(&key, "", &sms().to, "a&b").form,
            "apikey=k1&fmt=3&charset=utf-8&phones=79001234567&mes=a%26b&cost=1"
        );
        let status = Request::status(&key, sms().id, &sms().to);
        assert_eq!(status.form, "apikey=k1&fmt=3&charset=utf-8&phone=79001234567&id=7&all=1");
        assert_eq!(Request::balance(&key).form, "apikey=k1&fmt=3&charset=utf-8");
        assert!(!format!("{login:?} {key:?}").contains("пароль"));
        assert!(Secret::new(" ").is_err());
    }
}

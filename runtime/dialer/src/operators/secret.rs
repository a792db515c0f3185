//! How an operator's telephone proves whose it is, and the name that it registers by.

use std::fmt;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use zvonar_model::{OperatorId, TenantId};
use zvonar_switch::PhoneSecret;

/// A password is at least so long.
const SHORTEST: usize = 8;

/// And at most.
const LONGEST: usize = 128;

/// A password that is made by us: twenty of these letters, about a hundred bits. None is taken for another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const MADE: usize = 20;

/// The digests of a password (RFC 7616: A1 without what changes from challenge to challenge). Whoever has them can
/// register as the operator, so they are shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The realm that they were made for: in another one they prove nothing.
    pub realm: String,
    /// By MD5.
    pub md5: String,
    /// By SHA-256.
    pub sha256: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// Why a password is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too easy to guess.
    #[error("a password has at least {SHORTEST} characters; leave it out to be given one")]
    TooShort,
    /// Longer than telephones take.
    #[error("a password has at most {LONGEST} characters")]
    TooLong,
    /// Something that telephones cannot send.
    #[error("a password is one line of text without control characters")]
    Control,
}

impl Secret {
    /// The digests of a password of this telephone.
    ///
    /// # Errors
    /// [`BadPassword`], a sentence.
    pub fn of(user: &str, realm: &str, password: &str) -> Result<Self, BadPassword> {
        let length = password.chars().count();
        if length < SHORTEST {
            return Err(BadPassword::TooShort);
        }
        if length > LONGEST {
            return Err(BadPassword::TooLong);
        }
        if password.chars().any(char::is_control) {
            return Err(BadPassword::Control);
        }
        let PhoneSecret { md5, sha256 } = PhoneSecret::of(user, realm, password);
        Ok(Self { realm: realm.to_owned(), md5, sha256 })
    }
}

/// A password that nobody guesses.
pub fn generate_password(chance: &mut impl Rng) -> String {
    (0..MADE).map(|_| char::from(LETTERS[chance.random_range(0..LETTERS.len())])).collect()
}

/// The name by which an operator's telephone registers. No id has a dot.
pub fn sip_user(tenant: &TenantId, operator: &OperatorId) -> String {
    format!("{tenant}.{operator}")
}

/// Whose telephone has this name.
pub fn operator_of_user(user: &str) -> Option<(TenantId, OperatorId)> {
    let (tenant, operator) = user.split_once('.')?;
    Some((TenantId::new(tenant).ok()?, OperatorId::new(operator).ok()?))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_digests_are_those_that_telephones_compute() {
        // `printf 'demo.anna:zvonar:secret-word' | md5sum`, and the same with sha256sum.
        let secret = Secret::of("demo.anna", "zvonar", "secret-word").unwrap();
        assert_eq!(secret.md5, "f6e43cad580e91553ab78f9b730229d0");
        assert_eq!(secret.sha256, "8d265c7f3e872c357a1414108119151309aa7a4c7bfff50ff8f7ce645d9caea7");
        let shown = format!("{secret:?}");
        assert!(!shown.contains(&secret.md5) && !shown.contains(&secret.sha256), "{shown}");
    }

    #[test]
    fn a_password_that_is_easily_guessed_or_cannot_be_typed_is_refused() {
        for (password, why) in [
            ("1234567", BadPassword::TooShort),
            ("два слова\nв две строки", BadPassword::Control),
            (&"x".repeat(129), BadPassword::TooLong),
        ] {
            assert_eq!(Secret::of("a.b", "zvonar", password), Err(why));
        }
        assert!(Secret::of("a.b", "zvonar", "пароль-1").is_ok(), "characters count, not bytes");
    }

    #[test]
    fn made_passwords_are_good_ones_and_differ() {
        let mut chance = StdRng::seed_from_u64(1);
        let (one, other) = (generate_password(&mut chance), generate_password(&mut chance));
        assert_ne!(one, other);
        assert!(Secret::of("a.b", "zvonar", &one).is_ok() && one.len() == MADE, "{one}");
    }

    #[test]
    fn a_telephones_name_tells_whose_it_is() {
        let (tenant, operator) = (TenantId::new("demo").unwrap(), OperatorId::new("anna-2").unwrap());
        let user = sip_user(&tenant, &operator);
        assert_eq!(user, "demo.anna-2");
        assert_eq!(operator_of_user(&user), Some((tenant, operator)));
        for none in ["demo", "demo.", ".anna", "demo.anna.2", "a b.c", ""] {
            assert_eq!(operator_of_user(none), None, "{none}");
        }
    }
}

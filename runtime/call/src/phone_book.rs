//! The accounts of telephones that may register here, shared with whoever adds and removes them while calls go on.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use zvonar_sip::digest::Hash;

use crate::Contact;

/// What a password leaves behind: H(user:realm:password). The password itself is never stored. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneSecret {
    /// By MD5, in lower-case hex: most phones know nothing else.
    pub md5: String,
    /// By SHA-256.
    pub sha256: String,
}

impl PhoneSecret {
    /// The secret of a user in a realm: it is of no use under another name or in another realm.
    pub fn of(user: &str, realm: &str, password: &str) -> Self {
        let text = format!("{user}:{realm}:{password}");
        Self { md5: Hash::Md5.hex(text.as_bytes()), sha256: Hash::Sha256.hex(text.as_bytes()) }
    }
}

impl fmt::Debug for PhoneSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneSecret")
    }
}

/// Somebody whose phones may register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneAccount {
    /// The user name: of the registration, and of its proof.
    pub user: String,
    /// What his password is held against.
    pub secret: PhoneSecret,
}

/// How registrations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneSettings {
    /// The longest time that a registration is granted for; phones that ask for more get this.
    pub longest: Duration,
    /// The shortest time; phones that ask for less are told so (423).
    pub shortest: Duration,
    /// Phones of one account at once; with one more the oldest goes.
    pub contacts: usize,
    /// How often each phone is asked whether it is there, which also keeps address translators awake.
    pub keep_alive: Duration,
    /// After so many questions without an answer a phone counts as gone.
    pub missed: u32,
    /// Wrong passwords from one address within `shut_out`, after which nothing more is heard from there for as long. Some
    /// phones try the same one a dozen times in a row.
    pub failures: u32,
    /// How long that lasts. Phones that are registered there already go on, each as the account that it is registered for.
    pub shut_out: Duration,
}

impl Default for PhoneSettings {
    fn default() -> Self {
        Self {
            longest: Duration::from_secs(300),
            shortest: Duration::from_secs(60),
            contacts: 5,
            keep_alive: Duration::from_secs(30),
            missed: 3,
            failures: 30,
            shut_out: Duration::from_secs(600),
        }
    }
}

/// All accounts of one realm. Whatever is set or removed counts at once: phones of an account that was removed, or that
/// registered with a password that was changed since, are not rung any more, and their next request needs the new one. A
/// talk goes on to its end.
#[derive(Debug)]
pub struct PhoneBook {
    realm: String,
    settings: PhoneSettings,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    by_user: HashMap<String, Entry>,
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    secret: PhoneSecret,
    /// Another number once the secret is another.
    revision: u64,
}

impl PhoneBook {
    /// An empty one. The realm is part of every secret: with another realm all passwords have to be set again.
    pub fn new(realm: &str) -> Self {
        Self::with_settings(realm, PhoneSettings::default())
    }

    /// The same, with settings of one's own.
    pub fn with_settings(realm: &str, settings: PhoneSettings) -> Self {
        Self { realm: realm.to_owned(), settings, accounts: Mutex::default() }
    }

    /// Whose passwords are asked for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// How registrations are kept.
    pub fn settings(&self) -> &PhoneSettings {
        &self.settings
    }

    /// Adds an account, or gives it another secret.
    pub fn set(&self, account: PhoneAccount) {
        let PhoneAccount { user, secret } = account;
        let mut accounts = self.lock();
        if accounts.by_user.get(&user).is_some_and(|entry| entry.secret == secret) {
            return;
        }
        accounts.changes += 1;
        let revision = accounts.changes;
        accounts.by_user.insert(user, Entry { secret, revision });
    }

    /// Removes an account, if there is one of this name.
    pub fn remove(&self, user: &str) {
        self.lock().by_user.remove(user);
    }

    /// Whether there is an account of this name.
    pub fn knows(&self, user: &str) -> bool {
        self.lock().by_user.contains_key(user)
    }

    /// Whether a phone of this account registered with the secret that the account has now.
    pub fn is_current(&self, user: &str, contact: &Contact) -> bool {
        self.revision(user) == Some(contact.revision)
    }

    /// The digest that a proof is held against.
    pub(crate) fn digest(&self, user: &str, hash: Hash) -> Option<String> {
        let accounts = self.lock();
        let secret = &accounts.by_user.get(user)?.secret;
        Some(match hash {
            Hash::Md5 => secret.md5.clone(),
            Hash::Sha256 => secret.sha256.clone(),
        })
    }

    /// A number that stays as long as the account has the same secret.
    pub(crate) fn revision(&self, user: &str) -> Option<u64> {
        self.lock().by_user.get(user).map(|entry| entry.revision)
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_bound_to_its_user_and_realm_and_is_not_printed() {
        let secret = PhoneSecret::of("north.anna", "zvonar", "pass");
        assert_eq!(secret.md5, "33addc07db197533d9e6e6fd2ed74b7c");
        assert_ne!(secret, PhoneSecret::of("north.anna", "other", "pass"));
        assert_ne!(secret, PhoneSecret::of("north.boris", "zvonar", "pass"));
        assert!(!format!("{secret:?}").contains(&secret.md5));
    }

    #[test]
    fn a_revision_lasts_as_long_as_the_secret() {
        let book = PhoneBook::new("zvonar");
        let account = |password| PhoneAccount {
            user: "north.anna".into(),
            secret: PhoneSecret::of("north.anna", "zvonar", password),
        };
        assert_eq!(book.revision("north.anna"), None);
        book.set(account("one"));
        let first = book.revision("north.anna");
        book.set(account("one"));
        assert_eq!(book.revision("north.anna"), first);
        book.set(account("two"));
        assert_ne!(book.revision("north.anna"), first);
        book.remove("north.anna");
        book.set(account("one"));
        assert_ne!(book.revision("north.anna"), first, "an account that was removed is another one");
    }
}

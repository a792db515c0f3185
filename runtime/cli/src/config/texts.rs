//! `[tenant.sms]`: the account at SMSC, and what a tenant may send.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zvonar_dialer::TextRules;
use zvonar_gateways::smsc::{Account, HOSTS, Secret, Smsc, SmscSettings};

use super::reader::Section;

/// How a tenant sends text messages.
#[derive(Debug, Clone)]
pub(crate) struct Sms {
    /// Who asks, and whom.
    pub(crate) settings: SmscSettings,
    /// What may be sent, and how much.
    pub(crate) rules: TextRules,
    /// The word that SMSC signs its news with; `None`: its news is not believed.
    pub(crate) callback_secret: Option<Secret>,
}

/// A secret: itself, the file that holds it, or the variable of the environment that does.
struct Kept {
    plain: &'static str,
    file: &'static str,
    variable: &'static str,
}

const PASSWORD: Kept = Kept { plain: "password", file: "password_file", variable: "password_env" };
const KEY: Kept = Kept { plain: "key", file: "key_file", variable: "key_env" };
const CALLBACK: Kept =
    Kept { plain: "callback_secret", file: "callback_secret_file", variable: "callback_secret_env" };

impl Kept {
    fn names(&self) -> [&'static str; 3] {
        [self.plain, self.file, self.variable]
    }

    /// Which of its keys stands there, if one does.
    fn stands(&self, section: &Section<'_>) -> Option<&'static str> {
        self.names().into_iter().find(|name| section.has(name))
    }

    /// The secret, wherever it is kept. A fault is written down.
    fn read(&self, section: &Section<'_>, folder: &Path) -> Option<Secret> {
        let plain: Option<String> = section.text(self.plain, "a text");
        let file: Option<PathBuf> = section.text(self.file, "the path of a file that holds nothing else");
        let variable: Option<String> = section.text(self.variable, "the name of an environment variable");
        let standing = self.names().into_iter().filter(|name| section.has(name)).count();
        let at = self.stands(section)?;
        if standing > 1 {
            section.fault(at, format!("one of {} is enough; leave the others out", self.names().join(", ")));
            return None;
        }
        let read = match (plain, file, variable) {
            (Some(plain), ..) => Ok(plain),
            (_, Some(file), _) => {
                let path = folder.join(file);
                let read = std::fs::read_to_string(&path);
                read.map_err(|why| format!("the file {} cannot be read: {why}", path.display()))
            }
            (.., Some(name)) => {
                let unset = |_| format!("the environment variable `{name}` is not set, or no text");
                std::env::var(&name).map_err(unset)
            }
            _ => return None,
        };
        // Editors end files with a line break.
        let secret = read.and_then(|text| Secret::new(text.trim()).map_err(|why| why.to_string()));
        secret.map_err(|why| section.fault(at, why)).ok()
    }
}

pub(super) fn sms(section: Section<'_>, folder: &Path) -> Option<Sms> {
    let login: Option<String> = section.text("login", "the login of the account at SMSC");
    let (password, key) = (PASSWORD.read(&section, folder), KEY.read(&section, folder));
    let callback_secret = CALLBACK.read(&section, folder);
    let (has_password, has_key) = (PASSWORD.stands(&section), KEY.stands(&section));
    let account = match (login, has_password, has_key) {
        (None, None, Some(_)) => key.map(Account::Key),
        (Some(login), Some(_), None) => password.map(|password| Account::Login { login, password }),
        (None, None, None) => {
            section
                .fault("key", "say the account at SMSC: login and password, or the key that was made in it");
            None
        }
        (_, _, Some(key)) => {
            section.fault(key, "a key goes alone, instead of login and password");
            None
        }
        (Some(_), None, None) => {
            section.fault(
                "login",
                "login and password go together; say password, password_file or password_env",
            );
            None
        }
        (None, Some(at), None) => {
            section.fault(at, "login and password go together; the login is missing");
            None
        }
    };
    let sender: Option<String> = section.text("sender", "the name that messages come from, as registered");
    let hosts: Vec<String> = section.texts("hosts", "an address as https://smsc.ru");
    let (usual, most) = (TextRules::default(), i64::from(u32::MAX));
    let number =
        |key, range, usual: u32| u32::try_from(section.number(key, range, usual.into())).unwrap_or(usual);
    let most_parts = number("parts", 1..=15, usual.most_parts);
    let per_minute = number("per_minute", 1..=6_000, usual.per_minute);
    let per_day = number("per_day", 1..=most, usual.per_day);
    let per_person = number("per_person", 1..=1_000, usual.per_person);
    let hours = section.number("useful_h", 1..=72, 24).unsigned_abs();
    let first_number = number("first_number", 1..=i64::from(i32::MAX), usual.first_number);
    let account = account.inspect(|account| {
        let settings = SmscSettings { hosts: hosts.clone(), ..SmscSettings::new(account.clone()) };
        if section.has("hosts")
            && let Err(why) = Smsc::new(settings)
        {
            section.fault("hosts", why);
        }
    });
    section.finish();
    let account = account?;
    let rules = TextRules {
        most_parts,
        per_minute,
        per_day,
        per_person,
        useful: Duration::from_secs(hours * 3_600),
        account: account.identity(),
        first_number,
    };
    let hosts = if hosts.is_empty() { HOSTS.map(str::to_owned).into() } else { hosts };
    let settings = SmscSettings { sender, hosts, ..SmscSettings::new(account) };
    Some(Sms { settings, rules, callback_secret })
}

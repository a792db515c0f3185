//! A pretend SMSC: it takes messages and money like the real one, and sends nothing.
//!
//! [`Stand`] is its books, without sockets and with the time passed in; [`serve`] puts it behind HTTP. What is known of
//! the real one and easily missed is here: without `charset=utf-8` a text is read as windows-1251, and the same text to
//! the same number is refused for a minute. A number (`id`) that it has is refused as well, so nothing is sent twice; how
//! often somebody tried is counted ([`Taken::offered_again`]), since nobody should.
//!
//! What becomes of a message is said by the last two digits of its number: `07` and `08` are refused (errors 7 and 8),
//! `03` expires, `20` cannot be delivered, all others are delivered.

mod direct;
mod server;

pub use direct::Direct;
pub use server::{Running, StandFault, serve};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use encoding_rs::{Encoding, KOI8_R, UTF_8, WINDOWS_1251};
use md5::{Digest, Md5};
use serde::Serialize;
use serde_json::{Value, json};
use zvonar_model::{Kopecks, UnixMillis};

use crate::form;
use crate::segments::segments;
use crate::smsc::{Account, Secret, signatures};

/// The most messages that are remembered; the oldest are forgotten.
const REMEMBERED: usize = 100_000;

/// For so long the same text to the same number is refused.
const SAME_AGAIN: Duration = Duration::from_secs(60);

/// The most telephones that are treated in a way of their own.
const PHONES: usize = 100;

/// Where messages are given, and their prices asked for.
const SEND: &str = "/sys/send.php";

/// What a stand is like.
#[derive(Debug, Clone)]
pub struct StandSettings {
    /// Who may ask; `None`: whoever says who he is.
    pub account: Option<Account>,
    /// What is on the account in the beginning.
    pub balance: Kopecks,
    /// The price of a part.
    pub price: Kopecks,
    /// How long a message waits before the carrier has it.
    pub sent_after: Duration,
    /// How long it takes from then on.
    pub done_after: Duration,
    /// How long an answer takes, once the question was heard.
    pub answers_after: Duration,
    /// News is signed with it.
    pub secret: Option<Secret>,
}

impl Default for StandSettings {
    fn default() -> Self {
        Self {
            account: None,
            balance: Kopecks(10_000),
            price: Kopecks(180),
            sent_after: Duration::from_secs(1),
            done_after: Duration::from_secs(3),
            answers_after: Duration::ZERO,
            secret: None,
        }
    }
}

/// How the stand treats questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// As it should.
    #[default]
    Answers,
    /// With this error.
    Refuses(u32),
    /// With words alone, and no error's number.
    RefusesInWords,
    /// Takes the message, and does not answer.
    LosesTheAnswer,
    /// Takes the message, and answers half.
    AnswersHalf,
    /// Takes no message and answers something else.
    Babbles,
    /// Takes no message and never answers.
    IsSilent,
    /// Takes no message and fails (HTTP 500).
    Fails,
}

impl Manner {
    /// The names of all but [`Manner::Refuses`], as people write them.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("answers", Self::Answers),
        ("refuses-in-words", Self::RefusesInWords),
        ("loses-the-answer", Self::LosesTheAnswer),
        ("answers-half", Self::AnswersHalf),
        ("babbles", Self::Babbles),
        ("is-silent", Self::IsSilent),
        ("fails", Self::Fails),
    ];

    /// By its name, or the number of an error.
    ///
    /// # Errors
    ///
    /// Says which there are.
    pub fn named(text: &str) -> Result<Self, String> {
        if let Some((_, manner)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*manner);
        }
        match text.parse() {
            Ok(code @ 1..=99) => Ok(Self::Refuses(code)),
            _ => Err(format!(
                "`{text}` is no manner: say an error from 1 to 9 (or up to 99, which SMSC does not have), or {}",
                Self::NAMES.map(|(name, _)| name).join(", ")
            )),
        }
    }
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its number: the sender's own, or one that was given to it.
    pub id: u32,
    /// To whom, in digits.
    pub phone: String,
    /// What would have been sent: mojibake, if the letters were not said.
    pub text: String,
    /// The sender's name that was asked for.
    pub sender: String,
    /// In how many parts.
    pub parts: u32,
    /// What it cost.
    pub cost: Kopecks,
    /// When it came.
    pub taken_at: UnixMillis,
    /// SMSC's number of where it is.
    pub status: i32,
    /// Since when.
    pub since: UnixMillis,
    /// How often it was offered once more, whatever was answered. Whoever does not know whether it was taken asks for its
    /// status: each time is a mistake, which only our memory has made harmless.
    pub offered_again: u32,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// All of it.
    Whole(Vec<u8>),
    /// The connection breaks in the middle.
    Half(Vec<u8>),
    /// HTTP 500.
    Failure,
    /// None.
    Silence,
}

/// News of a message, as a signed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News(pub String);

/// The books.
#[derive(Debug)]
pub struct Stand {
    settings: StandSettings,
    balance: Kopecks,
    taken: BTreeMap<u32, Taken>,
    /// In the order of their coming.
    order: VecDeque<u32>,
    forgotten: u64,
    /// Those whose status will still change, by when.
    moving: BTreeSet<(UnixMillis, u32)>,
    numbered: u32,
    manner: Manner,
    /// For so many questions more; `None`: for all.
    times: Option<u32>,
    /// Messages to these numbers are treated so, whatever becomes of others.
    phones: BTreeMap<String, Manner>,
    questions: u64,
}

impl Stand {
    /// Empty books.
    pub fn new(settings: StandSettings) -> Self {
        Self {
            balance: settings.balance,
            settings,
            taken: BTreeMap::new(),
            order: VecDeque::new(),
            forgotten: 0,
            moving: BTreeSet::new(),
            numbered: 2_000_000_000,
            manner: Manner::Answers,
            times: None,
            phones: BTreeMap::new(),
            questions: 0,
        }
    }

    /// From now on, for so many questions or for all.
    pub fn treat(&mut self, manner: Manner, times: Option<u32>) {
        (self.manner, self.times) = (manner, times);
    }

    /// From now on, messages to this number alone; [`Manner::Answers`] ends it. A hundred telephones
    /// at most; those that come then are treated like all.
    pub fn treat_phone(&mut self, phone: &str, manner: Manner) {
        let phone = digits(phone);
        if manner == Manner::Answers {
            self.phones.remove(&phone);
        } else if self.phones.len() < PHONES || self.phones.contains_key(&phone) {
            self.phones.insert(phone, manner);
        }
    }

    /// All messages that were taken, in the order of their coming.
    pub fn taken(&self) -> impl Iterator<Item = &Taken> {
        self.order.iter().filter_map(|id| self.taken.get(id))
    }

    /// Those that came after so many others.
    pub fn taken_after(&self, others: u64) -> impl Iterator<Item = &Taken> {
        let known = usize::try_from(others.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.order.iter().skip(known).filter_map(|id| self.taken.get(id))
    }

    /// What is left on the account.
    pub fn balance(&self) -> Kopecks {
        self.balance
    }

    /// Somebody has paid.
    pub fn pay(&mut self, sum: Kopecks) {
        self.balance += sum;
    }

    /// How long an answer takes.
    pub fn answers_after(&self) -> Duration {
        self.settings.answers_after
    }

    /// How many questions were asked, whatever was answered.
    pub fn questions(&self) -> u64 {
        self.questions
    }

    /// Answers a form, or the query of a URL.
    pub fn answer(&mut self, now: UnixMillis, path: &str, sent: &[u8]) -> Reply {
        self.questions += 1;
        let form = Form::read(sent);
        if path == SEND && form.number("cost") != Some(1) {
            let known = form.number("id").and_then(|id| self.taken.get_mut(&id));
            known.into_iter().for_each(|taken| taken.offered_again += 1);
        }
        let own = self.phones.get(&digits(&form.text("phones"))).filter(|_| path == SEND).copied();
        let manner = own.unwrap_or(self.manner);
        match &mut self.times {
            _ if own.is_some() => {}
            Some(1) => (self.manner, self.times) = (Manner::Answers, None),
            Some(times) => *times = times.saturating_sub(1),
            None => {}
        }
        match manner {
            Manner::Refuses(code) => return Reply::Whole(form.write(&refusal(code, form.number("id")))),
            Manner::RefusesInWords => {
                return Reply::Whole(form.write(&json!({ "error": "try another time" })));
            }
            Manner::Babbles => return Reply::Whole(b"<html><body>502 Bad Gateway</body></html>".to_vec()),
            Manner::IsSilent => return Reply::Silence,
            Manner::Fails => return Reply::Failure,
            Manner::Answers | Manner::LosesTheAnswer | Manner::AnswersHalf => {}
        }
        let answer = match path {
            _ if !self.knows(&form) => refusal(2, form.number("id")),
            SEND => self.send(now, &form),
            "/sys/status.php" => self.status(&form),
            "/sys/balance.php" => json!({ "balance": roubles(self.balance) }),
            _ => refusal(1, None),
        };
        let body = form.write(&answer);
        match manner {
            Manner::LosesTheAnswer => Reply::Silence,
            Manner::AnswersHalf => Reply::Half(body),
            _ => Reply::Whole(body),
        }
    }

    /// When [`Stand::advance`] has something to do.
    pub fn due(&self) -> Option<UnixMillis> {
        self.moving.first().map(|(at, _)| *at)
    }

    /// Lets time pass: messages move on, and what has changed is news.
    pub fn advance(&mut self, now: UnixMillis) -> Vec<News> {
        let mut news = Vec::new();
        while let Some((at, id)) = self.moving.first().copied().filter(|(at, _)| *at <= now) {
            self.moving.remove(&(at, id));
            let Some(message) = self.taken.get_mut(&id) else { continue };
            (message.status, message.since) = match message.status {
                -1 => (0, at),
                _ if message.phone.ends_with("03") => (3, at),
                _ if message.phone.ends_with("20") => (20, at),
                _ => (1, at),
            };
            if message.status == 0 {
                self.moving.insert((at.plus(self.settings.done_after), id));
            } else if let Some(secret) = &self.settings.secret {
                // SMSC tells of what is final.
                news.push(told(message, secret));
            }
        }
        news
    }

    fn knows(&self, form: &Form) -> bool {
        match &self.settings.account {
            None => form.has("apikey") || (form.has("login") && form.has("psw")),
            Some(Account::Key(key)) => form.text("apikey") == key.reveal(),
            Some(Account::Login { login, password }) => {
                let psw = form.text("psw");
                let digest = hex::encode(Md5::digest(password.reveal()));
                form.text("login") == *login && (psw == password.reveal() || psw == digest)
            }
        }
    }

    fn send(&mut self, now: UnixMillis, form: &Form) -> Value {
        let (phone, text) = (digits(&form.text("phones")), form.text("mes"));
        let id = form.number("id");
        if text.is_empty() || text.chars().count() > 1_000 || (form.has("id") && id.is_none()) {
            return refusal(1, id);
        }
        if phone.len() != 11 || !phone.starts_with('7') || phone.ends_with("07") {
            return refusal(7, id);
        }
        let parts = segments(&text).parts;
        let cost = self.settings.price.times(u64::from(parts));
        let wants = form.number("cost").unwrap_or(0);
        if wants == 1 {
            return json!({ "cnt": parts, "cost": roubles(cost) });
        }
        if phone.ends_with("08") {
            return refusal(8, id);
        }
        let minute_ago = UnixMillis(now.0 - SAME_AGAIN.as_millis() as i64);
        let mut latest = self.order.iter().rev().filter_map(|id| self.taken.get(id));
        let again = latest
            .by_ref()
            .take_while(|message| message.taken_at > minute_ago)
            .any(|message| message.phone == phone && message.text == text);
        if again || id.is_some_and(|id| self.taken.contains_key(&id)) {
            return refusal(9, id);
        }
        if self.balance < cost {
            return refusal(3, id);
        }
        let id = id.unwrap_or_else(|| {
            self.numbered += 1;
            self.numbered
        });
        self.balance = self.balance - cost;
        let sender = form.text("sender");
        let (status, taken_at, since) = (-1, now, now);
        let offered_again = 0;
        let message = Taken { id, phone, text, sender, parts, cost, taken_at, status, since, offered_again };
        self.taken.insert(id, message);
        self.order.push_back(id);
        self.moving.insert((now.plus(self.settings.sent_after), id));
        if self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.taken.remove(&oldest));
            self.forgotten += 1;
        }
        let mut answer = json!({ "id": id, "cnt": parts });
        if wants >= 2 {
            answer["cost"] = roubles(cost).into();
        }
        if wants >= 3 {
            answer["balance"] = roubles(self.balance).into();
        }
        answer
    }

    fn status(&self, form: &Form) -> Value {
        let (Some(id), phone) = (form.number("id"), digits(&form.text("phone"))) else {
            return refusal(1, form.number("id"));
        };
        let Some(message) = self.taken.get(&id).filter(|message| message.phone == phone) else {
            // As SMSC answers a question about one message; a status of -3 is for questions about several.
            return json!({ "error": "message not found", "error_code": 3 });
        };
        let mut answer = json!({
            "status": message.status,
            "last_timestamp": message.since.0 / 1_000,
            "err": i32::from(message.status == 20),
        });
        if form.number("all").unwrap_or(0) >= 1 {
            answer["send_timestamp"] = (message.taken_at.0 / 1_000).into();
            answer["phone"] = message.phone.clone().into();
            answer["cost"] = roubles(message.cost).into();
            answer["sender_id"] = message.sender.clone().into();
            answer["message"] = message.text.clone().into();
        }
        answer
    }
}

fn told(message: &Taken, secret: &Secret) -> News {
    let (id, status) = (message.id.to_string(), message.status.to_string());
    let (stamp, cost) = ((message.since.0 / 1_000).to_string(), roubles(message.cost));
    let [md5, sha1] = signatures(&id, &message.phone, message.status, secret);
    let err = if message.status == 20 { "1" } else { "0" };
    News(form::encode(&[
        ("id", &id),
        ("phone", &message.phone),
        ("status", &status),
        ("ts", &stamp),
        ("err", err),
        ("cnt", &message.parts.to_string()),
        ("cost", &cost),
        ("type", "0"),
        (md5.0, &md5.1),
        (sha1.0, &sha1.1),
    ]))
}

fn refusal(code: u32, id: Option<u32>) -> Value {
    let text = match code {
        1 => "parameters error",
        2 => "authorise error",
        3 => "no money",
        4 => "ip blocked",
        5 => "date format error",
        6 => "message is denied",
        7 => "invalid number",
        8 => "can not deliver",
        9 => "duplicate request, wait a minute",
        _ => "error",
    };
    match id {
        Some(id) => json!({ "error": text, "error_code": code, "id": id }),
        None => json!({ "error": text, "error_code": code }),
    }
}

fn roubles(sum: Kopecks) -> String {
    let sign = if sum.0 < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", sum.0.unsigned_abs() / 100, sum.0.unsigned_abs() % 100)
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// A form, in the letters that it says.
struct Form {
    fields: Vec<(String, Vec<u8>)>,
    letters: &'static Encoding,
}

impl Form {
    fn read(sent: &[u8]) -> Self {
        let fields = form::decode(sent);
        let letters = fields.iter().find(|(name, _)| name == "charset").map(|(_, value)| value.as_slice());
        let letters = match letters {
            Some(b"utf-8") => UTF_8,
            Some(b"koi8-r") => KOI8_R,
            _ => WINDOWS_1251,
        };
        Self { fields, letters }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, value)| field == name && !value.is_empty())
    }

    fn text(&self, name: &str) -> String {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map_or(String::new(), |(_, value)| {
            self.letters.decode_without_bom_handling(value).0.into_owned()
        })
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name).parse().ok().filter(|number| *number <= crate::SmsId::MAX)
    }

    /// An answer in the form that was asked for: JSON, or words.
    fn write(&self, answer: &Value) -> Vec<u8> {
        let words = match (answer["error_code"].as_u64(), self.number("fmt").unwrap_or(0)) {
            (_, 3) => answer.to_string(),
            (Some(code), 1) => format!("0,-{code}"),
            (Some(code), _) => format!("ERROR = {code} ({})", answer["error"].as_str().unwrap_or("")),
            (None, format) => {
                let named = |name: &str| match &answer[name] {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                let all = ["id", "status", "last_timestamp", "err", "cnt", "cost", "balance"];
                match (format, named("id"), named("cnt")) {
                    (0, Some(id), Some(count)) => format!("OK - {count} SMS, ID - {id}"),
                    _ => all.into_iter().filter_map(named).collect::<Vec<_>>().join(","),
                }
            }
        };
        self.letters.encode(&words).0.into_owned()
    }
}

#[cfg(test)]
mod tests;

//! Phones of ours through all of [`Calls`], in simulated time: one of them, played by hand.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use zvonar_sip::{
    digest::{Answer, Challenge},
    message::{Message, Name, Writer, read},
};

use super::world::dial;
use crate::{
    Calls, CallsConfig, Command, Credentials, Dial, Event, Flow, Output, PhoneAccount, PhoneBook,
    PhoneSecret, PhonesConfig, Transport,
};

struct House {
    calls: Calls,
    now: Instant,
    flow: Flow,
    book: Arc<PhoneBook>,
    answer: Option<Answer>,
    cseq: u32,
    messages: Vec<Message>,
    events: Vec<Event>,
    /// Whether a phone came or went, as it was told.
    told: Vec<bool>,
    /// Whether somebody who guesses passwords is shut out, as it was told.
    guessing: Vec<bool>,
    /// Whose phone speaks, and its password.
    credentials: Credentials,
    /// The configuration lets it in.
    is_let_in: bool,
}

impl House {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        let book = Arc::new(PhoneBook::new("zvonar"));
        for user in ["anna", "boris"] {
            book.set(PhoneAccount { user: user.into(), secret: PhoneSecret::of(user, "zvonar", "right") });
        }
        let phones = Some(PhonesConfig { book: Arc::clone(&book), key: [7; 32] });
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "198.51.100.7:40123".parse().unwrap(),
        };
        let calls = Calls::new(CallsConfig { phones, ..CallsConfig::default() }, 1);
        Self {
            calls,
            now,
            flow,
            book,
            answer: None,
            cseq: 0,
            messages: vec![],
            events: vec![],
            told: vec![],
            guessing: vec![],
            credentials: Credentials { username: "anna".into(), password: "right".into() },
            is_let_in: false,
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.calls.poll_output() {
            match output {
                Output::Send { bytes, .. } if &bytes[..] == b"\r\n" => {}
                Output::Send { bytes, flow } => {
                    assert_eq!(flow, self.flow, "to where the phone is");
                    self.messages.push(read(&bytes, Transport::Udp).unwrap());
                }
                Output::Event { event, .. } => self.events.push(event),
                Output::Registered { came_or_went, .. } => self.told.push(came_or_went),
                Output::Guessing { is_shut_out, .. } => self.guessing.push(is_shut_out),
            }
        }
    }

    /// The clock jumps from one timer to the next; `answers`: the phone answers what it is asked.
    fn pass(&mut self, secs: u64, answers: bool) {
        let until = self.now + Duration::from_secs(secs);
        while let Some(at) = self.calls.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.calls.handle_timeout(at);
            self.drain();
            for message in std::mem::take(&mut self.messages) {
                if answers && message.is_request() {
                    let bytes = Writer::response_to(&message, &self.flow, 200, "", Some("t")).finish();
                    self.calls.handle_guest_bytes(at, self.flow, &bytes);
                    self.drain();
                }
            }
        }
        self.now = until;
    }

    /// The phone's request, with a proof if it was asked for one; gives the code of the answer.
    fn say(&mut self, method: &str, cseq: u32, call_id: &str, extra: &str, body: &str) -> u16 {
        let uri = "sip:zvonar";
        let user = self.credentials.username.clone();
        let mut writer = Writer::request(method, uri);
        writer
            .header(Name::Via, format_args!("SIP/2.0/UDP 10.0.0.9;rport;branch=z9hG4bK{call_id}{cseq}"))
            .header(Name::From, format_args!("<sip:{user}@zvonar>;tag=1"))
            .header(Name::To, format_args!("<sip:{user}@zvonar>"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, format_args!("{cseq} {method}"))
            .header(Name::Contact, format_args!("<sip:{user}@10.0.0.9>{extra}"));
        if let Some(answer) = &mut self.answer {
            writer.header(Name::Authorization, answer.header(&self.credentials, method, uri, b""));
        }
        let bytes = if body.is_empty() {
            writer.finish()
        } else {
            writer.finish_typed("application/sdp", body.as_bytes())
        };
        if self.is_let_in {
            self.calls.handle_bytes(self.now, self.flow, &bytes);
        } else if self.calls.admits(self.now, self.flow.remote.ip(), &bytes) {
            self.calls.handle_guest_bytes(self.now, self.flow, &bytes);
        }
        self.drain();
        self.messages.last().map_or(0, Message::code)
    }

    /// Registers as somebody; gives the last answer. `None`: there was none.
    fn register_as(&mut self, username: &str, password: &str) -> Option<u16> {
        self.credentials = Credentials { username: username.into(), password: password.into() };
        self.answer = None;
        for _ in 0..2 {
            self.messages.clear();
            self.cseq += 1;
            self.say("REGISTER", self.cseq, username, ";expires=300", "");
            let challenge = Challenge::first(self.messages.last()?.headers(Name::WwwAuthenticate));
            self.answer = challenge.map(|challenge| Answer::new(challenge, "c".into()));
        }
        Some(self.messages.last()?.code())
    }

    fn register(&mut self, cseq: u32, expires: u32) {
        let extra = format!(";expires={expires}");
        if self.say("REGISTER", cseq, "reg", &extra, "") == 401 {
            let asked = self.messages.last().unwrap().clone();
            let challenge = Challenge::first(asked.headers(Name::WwwAuthenticate)).unwrap();
            self.answer = Some(Answer::new(challenge, "c".into()));
            assert_eq!(self.say("REGISTER", cseq + 1, "reg", &extra, ""), 200);
        }
        self.messages.clear();
    }
}

#[test]
fn a_phone_that_answers_stays_until_its_time_is_up() {
    let mut house = House::new();
    house.register(1, 100);
    assert_eq!((house.calls.registrations(), house.told.as_slice()), (1, &[true][..]));
    house.pass(99, true);
    assert_eq!(house.calls.registrations(), 1);
    house.pass(2, true);
    assert_eq!((house.calls.registrations(), house.told.as_slice()), (0, &[true, true][..]));
    house.pass(100, true);
    assert_eq!((house.calls.remembered(), house.calls.poll_timeout()), (0, None), "nothing is left of it");
}

#[test]
fn a_phone_that_lost_its_power_is_forgotten_before_its_time_is_up() {
    let mut house = House::new();
    house.register(1, 300);
    house.pass(29, false);
    assert_eq!(house.calls.registrations(), 1);
    house.pass(30 + 3 * 32 - 29, false);
    assert_eq!((house.calls.registrations(), house.told.as_slice()), (0, &[true, true][..]));
}

#[test]
fn an_account_that_is_removed_loses_its_phones() {
    let mut house = House::new();
    house.register(1, 300);
    house.book.remove("anna");
    house.pass(30, true);
    assert_eq!(house.calls.registrations(), 0);
}

#[test]
fn who_has_no_registration_any_more_is_heard_to_the_end_of_his_call() {
    let mut house = House::new();
    let source = house.flow.remote.ip();
    assert_eq!(house.say("OPTIONS", 1, "o", "", ""), 0, "a stranger is not heard");
    house.register(1, 60);
    let to = Dial { flow: house.flow, is_phone: true, ..dial(Duration::from_secs(20)) };
    let call = house.calls.dial(house.now, to);
    house.drain();
    let invite = house.messages.pop().expect("an INVITE");
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
    let mut writer = Writer::response_to(&invite, &house.flow, 200, "", Some("t"));
    writer.header(Name::Contact, "<sip:anna@10.0.0.9>");
    let ok = writer.finish_typed("application/sdp", sdp.as_bytes());
    house.calls.handle_guest_bytes(house.now, house.flow, &ok);
    house.drain();
    assert!(matches!(&house.events[..], [Event::Answered { dialog, .. }] if dialog.remote_tag == "t"));
    house.pass(61, true);
    assert_eq!(house.calls.registrations(), 0);
    assert!(house.calls.knows(house.now, source), "he talks");
    house.calls.command(house.now, call, Command::Hangup);
    house.drain();
    assert!(house.calls.knows(house.now, source), "for the answer to our BYE");
    house.pass(60, true);
    assert!(!house.calls.knows(house.now, source));
    assert_eq!(house.calls.remembered(), 0);
}

/// Whoever had one account could try the passwords of all the others, as often as he liked: he was never shut out, since
/// his phone was registered.
#[test]
fn a_phone_that_is_registered_may_not_guess_the_passwords_of_others() {
    let mut house = House::new();
    assert_eq!(house.register_as("anna", "right"), Some(200));
    for n in 1..=30 {
        assert_eq!(house.register_as("boris", "wrong"), Some(403));
        assert_eq!(house.guessing.len(), usize::from(n == 30));
    }
    assert_eq!(house.guessing, [true]);
    assert_eq!(house.register_as("boris", "right"), Some(401), "not judged any more");
    assert_eq!(house.register_as("anna", "right"), Some(200), "she goes on");
    // With another password her phone is as unknown there as everybody's.
    let secret = PhoneSecret::of("anna", "zvonar", "new");
    house.book.set(PhoneAccount { user: "anna".into(), secret });
    assert_eq!(house.register_as("anna", "new"), Some(401));
    let registered = house.flow;
    house.flow.remote.set_port(9);
    assert_eq!(house.register_as("anna", "right"), None, "from anywhere else nothing is heard");
    house.flow = registered;
    house.now += Duration::from_secs(600);
    assert_eq!(house.register_as("boris", "right"), Some(200), "his time is up");
}

/// From a network of the configuration passwords could be guessed, and nobody heard of it.
#[test]
fn who_is_let_in_and_guesses_is_told_of_and_heard() {
    let mut house = House::new();
    house.is_let_in = true;
    for _ in 0..40 {
        assert_eq!(house.register_as("boris", "wrong"), Some(403));
    }
    assert_eq!(house.guessing, [false], "once for all of them");
    assert_eq!(house.register_as("boris", "right"), Some(200));
    house.now += Duration::from_secs(600);
    for _ in 0..30 {
        house.register_as("boris", "wrong");
    }
    assert_eq!(house.guessing, [false, false]);
}

/// An INVITE without a proof was remembered for half a minute, and its refusal sent again and again.
#[test]
fn whoever_only_calls_without_a_proof_costs_nothing() {
    let mut house = House::new();
    house.register(1, 300);
    house.answer = None;
    let before = house.calls.remembered();
    for n in 0..100 {
        assert_eq!(house.say("INVITE", 1, &format!("call{n}"), "", ""), 401);
    }
    assert_eq!((house.calls.remembered(), house.calls.unconfirmed(), house.messages.len()), (before, 0, 100));
}

#[test]
fn an_invite_is_no_ones_until_it_is_proved() {
    let mut house = House::new();
    house.register(1, 300);
    house.answer = None;
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
    // Also from where everybody is let in: the address is that of a phone.
    for _ in 0..2 {
        assert_eq!(house.say("INVITE", 1, "call", "", sdp), 401);
        assert_eq!(house.events, []);
    }
    let challenge = Challenge::first(house.messages.last().unwrap().headers(Name::WwwAuthenticate)).unwrap();
    house.answer = Some(Answer::new(challenge, "c".into()));
    house.say("INVITE", 2, "call", "", sdp);
    let [Event::Incoming(incoming)] = &house.events[..] else { panic!("{:?}", house.events) };
    assert_eq!(incoming.account.as_deref(), Some("anna"));
}

/// From an address that is let in: a phone that goes by an account's name proves it, a carrier's call does not have to.
#[test]
fn who_is_let_in_and_goes_by_an_accounts_name_is_asked_too() {
    let mut house = House::new();
    let invite = |name: &str| {
        format!(
            "INVITE sip:1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;rport;branch=z9hG4bK{name}\r\n\
             From: <sip:{name}@x>;tag=1\r\nTo: <sip:1@x>\r\nCall-ID: {name}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{name}@10.0.0.9>\r\n\r\n"
        )
    };
    house.calls.handle_bytes(house.now, house.flow, invite("anna").as_bytes());
    house.drain();
    assert_eq!((house.messages.last().map(Message::code), house.events.len()), (Some(401), 0));
    house.calls.handle_bytes(house.now, house.flow, invite("79161234567").as_bytes());
    house.drain();
    assert!(matches!(&house.events[..], [Event::Incoming(incoming)] if incoming.account.is_none()));
}

use zvonar_sip::{Transport, message::read};

use super::*;

const ANNA: (&str, u64) = ("anna", 1);

struct Office {
    registrar: Registrar,
    now: Instant,
    cseq: u32,
}

fn flow(port: u16) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: SocketAddr::new("198.51.100.7".parse().unwrap(), port),
    }
}

fn message(cseq: u32, call_id: &str, lines: &str) -> Message {
    let text = format!(
        "REGISTER sip:zvonar SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{cseq}\r\nFrom: <sip:anna@zvonar>;tag=1\r\n\
         To: <sip:anna@zvonar>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n{lines}\r\n"
    );
    read(text.as_bytes(), Transport::Udp).expect("a sound message")
}

impl Office {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        Self { registrar: Registrar::new(PhoneSettings::default()), now, cseq: 0 }
    }

    /// One REGISTER of Anna's, from a port of her address; what came of it, short.
    fn say(&mut self, port: u16, lines: &str) -> String {
        self.cseq += 1;
        let lines = lines.replace('\n', "\r\n") + if lines.is_empty() { "" } else { "\r\n" };
        let reply = self.registrar.register(self.now, ANNA, flow(port), &message(self.cseq, "c", &lines));
        self.check_counts();
        let said: Vec<String> = reply
            .headers
            .iter()
            .map(|(name, value)| match name {
                Name::Contact => value.clone(),
                Name::Warning => "why".into(),
                name => format!("{}: {value}", name.text()),
            })
            .collect();
        format!("{} {:?} {}", reply.code, reply.change, said.join(", ")).trim().to_owned()
    }

    fn pass(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    fn due(&mut self) -> Option<Due> {
        let due = self.registrar.next_due(self.now, |_| Some(1));
        self.check_counts();
        due
    }

    /// What is counted apart has to be what is there.
    fn check_counts(&self) {
        let Registrar { bindings, by_user, due, addresses, ports, .. } = &self.registrar;
        assert_eq!(by_user.values().map(Vec::len).sum::<usize>(), bindings.len());
        assert_eq!(due.len(), bindings.len());
        assert_eq!(addresses.values().sum::<usize>(), bindings.len());
        assert_eq!(ports.values().sum::<usize>(), bindings.len());
        assert!(by_user.values().all(|all| !all.is_empty() && all.len() <= 5));
    }
}

#[test]
fn a_phone_is_listed_until_its_time_is_up() {
    let mut office = Office::new();
    assert_eq!(
        office.say(5061, "Contact: <sip:anna@10.0.0.9>\nExpires: 90"),
        "200 CameOrWent <sip:anna@10.0.0.9>;expires=90"
    );
    assert_eq!(office.registrar.contacts("anna")[0].flow, flow(5061));
    assert_eq!(
        office.say(5061, ""),
        "200 Nothing <sip:anna@10.0.0.9>;expires=90",
        "a question changes nothing"
    );
    office.pass(60);
    assert_eq!(
        office.say(5062, "Contact: <sip:anna@10.0.0.9>;expires=120"),
        "200 Renewed <sip:anna@10.0.0.9>;expires=120"
    );
    assert_eq!(office.registrar.contacts("anna")[0].flow, flow(5062), "it moved");
    assert!(
        office.registrar.has_source(flow(5062).remote) && !office.registrar.has_source(flow(5061).remote)
    );
    office.pass(120);
    assert_eq!(office.due(), Some(Due::Expired { user: "anna".into() }));
    assert_eq!(
        (office.due(), office.registrar.contacts("anna"), office.registrar.poll_timeout()),
        (None, vec![], None)
    );
    assert!(!office.registrar.has_address(flow(1).remote.ip()));
}

#[test]
fn times_are_kept_between_the_shortest_and_the_longest() {
    let mut office = Office::new();
    for (lines, expected) in [
        ("Contact: <sip:a@h>;expires=3600", "200 CameOrWent <sip:a@h>;expires=300"),
        ("Contact: <sip:a@h>", "200 Renewed <sip:a@h>;expires=300"),
        ("Contact: <sip:a@h>;expires=soon", "200 Renewed <sip:a@h>;expires=300"),
        ("Contact: <sip:a@h>;expires=4294967295", "200 Renewed <sip:a@h>;expires=300"),
        ("Contact: <sip:a@h>;expires=99999999999", "200 Renewed <sip:a@h>;expires=300"),
        ("Contact: <sip:a@h>;expires=60", "200 Renewed <sip:a@h>;expires=60"),
        ("Contact: <sip:a@h>;expires=59", "423 Nothing Min-Expires: 60"),
        ("Contact: <sip:a@h>\nExpires: 1", "423 Nothing Min-Expires: 60"),
        ("Contact: <sip:a@h>;expires=61, <sip:b@h>;expires=5", "423 Nothing Min-Expires: 60"),
        ("", "200 Nothing <sip:a@h>;expires=60"),
        ("Contact: <sip:a@h>;expires=0", "200 CameOrWent"),
        ("Contact: <sip:a@h>;expires=0", "200 Nothing"),
    ] {
        assert_eq!(office.say(5061, lines), expected, "{lines}");
    }
}

#[test]
fn bad_requests_change_nothing() {
    let mut office = Office::new();
    office.say(5061, "Contact: <sip:a@h>");
    let many: String = (0..11).map(|n| format!("Contact: <sip:{n}@h>\n")).collect();
    let long = format!("Contact: <sip:{}@h>", "a".repeat(600));
    for (lines, expected) in [
        ("Contact: *", "400 Nothing why"),
        ("Contact: *\nExpires: 60", "400 Nothing why"),
        ("Contact: *\nContact: <sip:a@h>\nExpires: 0", "400 Nothing why"),
        ("Contact: <sips:a@h>", "400 Nothing why"),
        ("Contact: <tel:+79161234567>", "400 Nothing why"),
        ("Contact: <sip:a@h?Subject=x>", "400 Nothing why"),
        ("Contact: <sip:b@h>, nonsense", "400 Nothing why"),
        (many.trim_end(), "400 Nothing why"),
        (&long, "400 Nothing why"),
    ] {
        assert_eq!(office.say(5061, lines), expected, "{lines}");
    }
    assert_eq!(office.say(5061, ""), "200 Nothing <sip:a@h>;expires=300");
    // Somebody else's name in To, though the password is right.
    let other = office.registrar.register(
        office.now,
        ("boris", 1),
        flow(5061),
        &message(99, "d", "Contact: <sip:b@h>\r\n"),
    );
    assert_eq!((other.code, office.registrar.len()), (403, 1));
}

#[test]
fn a_late_request_does_not_undo_a_newer_one() {
    let mut office = Office::new();
    let mut say = |cseq, call_id: &str, lines: &str| {
        let message = message(cseq, call_id, &format!("{lines}\r\n"));
        office.registrar.register(office.now, ANNA, flow(5061), &message).code
    };
    assert_eq!(say(5, "c", "Contact: <sip:a@h>"), 200);
    assert_eq!(say(4, "c", "Contact: <sip:a@h>;expires=0"), 500);
    assert_eq!(say(5, "c", "Contact: *\r\nExpires: 0"), 500);
    assert_eq!(say(5, "c", "Contact: <sip:b@h>, <sip:a@h>"), 500, "as a whole or not at all");
    assert_eq!(say(1, "d", "Contact: <sip:a@h>"), 200, "a phone that was started again");
    assert_eq!(say(2, "d", "Contact: *\r\nExpires: 0"), 200);
    assert_eq!(office.registrar.len(), 0);
}

#[test]
fn an_account_has_so_many_phones_and_the_oldest_goes() {
    let mut office = Office::new();
    for n in 0..5 {
        office.say(5061 + n, &format!("Contact: <sip:{n}@h>"));
    }
    office.say(5061, "Contact: <sip:0@h>");
    office.say(6000, "Contact: <sip:new@h>");
    let uris: Vec<String> =
        office.registrar.contacts("anna").into_iter().map(|contact| contact.uri).collect();
    assert_eq!(
        uris,
        ["sip:2@h", "sip:3@h", "sip:4@h", "sip:0@h", "sip:new@h"],
        "1 was not heard of for longest"
    );
    let all: String = (10..20).map(|n| format!("Contact: <sip:{n}@h>\n")).collect();
    office.say(6000, all.trim_end());
    assert_eq!(office.registrar.len(), 5);
}

#[test]
fn a_phone_with_a_name_of_its_own_is_the_same_at_another_address() {
    let mut office = Office::new();
    let instance = "+sip.instance=\"<urn:uuid:f81d4fae>\"";
    office.say(5061, &format!("Contact: <sip:a@10.0.0.9:5061>;{instance}"));
    office.say(5062, &format!("Contact: <sip:a@10.0.0.9:49152>;{instance}"));
    office.say(5062, "Contact: <sip:a@10.0.0.9:5070>;+sip.instance=\"<urn:uuid:other>\"");
    let uris: Vec<String> =
        office.registrar.contacts("anna").into_iter().map(|contact| contact.uri).collect();
    assert_eq!(uris, ["sip:a@10.0.0.9:49152", "sip:a@10.0.0.9:5070"]);
    // Without one, the address is the name: without case, with the usual port.
    office.say(5063, "Contact: <sip:b@HOST>");
    office.say(5063, "Contact: <sip:b@host:5060>");
    office.say(5063, "Contact: <sip:b@host:5060>, <sip:b@host>");
    assert_eq!(office.registrar.len(), 3);
}

#[test]
fn phones_are_asked_and_those_that_stay_silent_are_forgotten() {
    let mut office = Office::new();
    office.say(5061, "Contact: <sip:a@h>");
    assert_eq!(office.due(), None);
    office.pass(30);
    let Some(Due::Probe { binding, flow: way, uri }) = office.due() else { panic!("it is time to ask") };
    assert_eq!((way, uri.as_str(), office.due()), (flow(5061), "sip:a@h", None));
    let answer = |office: &mut Office, binding, is_there| {
        let gone = office.registrar.probed(office.now, binding, is_there);
        office.check_counts();
        gone
    };
    assert_eq!(answer(&mut office, binding, Some(true)), None);
    assert_eq!(office.due(), None, "not at once again");
    for round in 0..3 {
        office.pass(30);
        let Some(Due::Probe { binding, .. }) = office.due() else { panic!("round {round}") };
        assert_eq!(answer(&mut office, binding, None), None, "we could not ask: not its fault");
        office.pass(30);
        let Some(Due::Probe { binding, .. }) = office.due() else { panic!("round {round}") };
        assert_eq!(answer(&mut office, binding, Some(false)), (round == 2).then(|| "anna".to_owned()));
        if round < 2 {
            office.say(6000, "");
        }
    }
    assert_eq!((office.registrar.len(), answer(&mut office, binding, Some(false))), (0, None));
}

#[test]
fn with_another_password_the_phones_of_the_old_one_are_gone() {
    let mut office = Office::new();
    office.say(5061, "Contact: <sip:a@h>");
    let reply = office.registrar.register(
        office.now,
        ("anna", 2),
        flow(5062),
        &message(50, "x", "Contact: <sip:b@h>\r\n"),
    );
    assert_eq!((reply.code, office.registrar.len()), (200, 1));
    office.pass(30);
    assert_eq!(office.registrar.next_due(office.now, |_| None), Some(Due::Expired { user: "anna".into() }));
}

/// A question with the new password once forgot the old one's telephones in silence: they were rung for ever after.
#[test]
fn that_the_phones_of_an_old_password_are_gone_is_told_whatever_the_request_was() {
    for (lines, code) in
        [("", 200), ("Contact: *\r\nExpires: 0\r\n", 200), ("Contact: <sip:c@h>\r\nExpires: 1\r\n", 423)]
    {
        let mut office = Office::new();
        office.say(5061, "Contact: <sip:a@h>");
        let request = message(50, "x", lines);
        let reply = office.registrar.register(office.now, ("anna", 2), flow(5062), &request);
        assert_eq!((reply.code, reply.change), (code, Change::CameOrWent), "{lines}");
        office.check_counts();
    }
}

/// Many requests at random: never more contacts than there may be, and all counts stay true.
#[test]
fn whatever_phones_say_the_counts_stay_true() {
    for seed in 0..200_u64 {
        let mut office = Office::new();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        for _ in 0..60 {
            match below(10) {
                0 => drop(office.say(5061, "Contact: *\nExpires: 0")),
                1..=6 => {
                    let contacts: Vec<String> = (0..=below(3))
                        .map(|_| {
                            format!(
                                "Contact: <sip:{}@h>;expires={}",
                                below(7),
                                [0, 60, 90, 300][below(4) as usize]
                            )
                        })
                        .collect();
                    office.say(5000 + below(3) as u16, &contacts.join("\n"));
                }
                7 => {
                    office.pass(below(100));
                    while let Some(due) = office.due() {
                        if let Due::Probe { binding, .. } = due {
                            let is_there = [None, Some(true), Some(false)][below(3) as usize];
                            office.registrar.probed(office.now, binding, is_there);
                            office.check_counts();
                        }
                    }
                }
                _ => office.pass(below(30)),
            }
        }
    }
}

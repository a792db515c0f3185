//! Telephones of operators over real sockets: registered, rung, held, handed on. Nobody but they may speak to the host.

mod baresip;
mod handset;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use handset::{Handset, SOON};
use tokio::time::timeout;
use zvonar_call::Ended;
use zvonar_sip::message::Name;
use zvonar_switch::{
    Call, CallEvent, Doorway, MediaConfig, PhoneAccount, PhoneBook, PhoneRing, PhoneSecret, PhoneSettings,
    RingEnd, RingError, RingEvent, Ringing, Switch, SwitchConfig,
};

const ANNA: &str = "north.anna";

struct House {
    switch: Switch,
    door: Doorway,
    book: Arc<PhoneBook>,
}

/// A host that lets nobody in but phones of its own.
async fn house() -> House {
    house_with(PhoneSettings::default()).await
}

async fn house_with(settings: PhoneSettings) -> House {
    house_on(IpAddr::V4(Ipv4Addr::LOCALHOST), settings).await
}

async fn house_on(here: IpAddr, settings: PhoneSettings) -> House {
    let book = Arc::new(PhoneBook::with_settings("zvonar", settings));
    for user in [ANNA, "north.boris"] {
        let secret = PhoneSecret::of(user, "zvonar", "right");
        book.set(PhoneAccount { user: user.into(), secret });
    }
    let config = SwitchConfig {
        listen: SocketAddr::new(here, 0),
        advertise: None,
        allow: Vec::new(),
        per_source: 1000,
        trunks: Vec::new(),
        // The even ports that are free are found by trying; tests of one binary share the range.
        media: MediaConfig { ports: 31_000..=31_999, threads: 1, ..MediaConfig::new(here) },
        calls: 100,
        phones: Some(Arc::clone(&book)),
        seed: 7,
    };
    let (switch, door) = Switch::start(config).await.expect("the switch starts");
    House { switch, door, book }
}

impl House {
    async fn handset(&self, user: &str) -> Handset {
        Handset::new(self.switch.local_addr(), user, "right").await
    }

    async fn registered(&self, user: &str) -> Handset {
        let mut handset = self.handset(user).await;
        assert_eq!(handset.register(300).await.code(), 200);
        handset
    }

    fn ring(&self, ring: Duration) -> Ringing {
        let ring = PhoneRing {
            user: ANNA.into(),
            display: "Иван \"Ваня\" Петров".into(),
            number: "+79161234567".into(),
            ring,
            beside: None,
        };
        self.switch.ring(ring).expect("a phone is registered")
    }
}

async fn next(ringing: &mut Ringing) -> RingEvent {
    timeout(SOON, ringing.next()).await.expect("something happens")
}

async fn answered(ringing: &mut Ringing) -> Call {
    loop {
        match next(ringing).await {
            RingEvent::Answered(call) => return call,
            RingEvent::Rings => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn ended(ringing: &mut Ringing) -> RingEnd {
    loop {
        match next(ringing).await {
            RingEvent::Ended(end) => return end,
            RingEvent::Rings => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next event of a call that is not about sound.
async fn event(call: &mut Call) -> CallEvent {
    loop {
        match timeout(SOON, call.next()).await.expect("something happens") {
            CallEvent::Media(_) => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_phone_registers_with_its_password_and_is_listed_by_where_it_really_is() {
    let house = house().await;
    let mut changes = house.switch.registrations();
    let mut handset = house.handset(ANNA).await;
    let ok = handset.register(3600).await;
    assert_eq!(ok.code(), 200);
    assert_eq!(
        ok.header(Name::Contact),
        Some("<sip:north.anna@10.255.0.1:5999>;expires=300"),
        "what is granted"
    );
    let via = ok.header(Name::Via).unwrap();
    assert!(via.contains(&format!("rport={}", handset.socket.local_addr().unwrap().port())), "{via}");
    timeout(SOON, changes.changed()).await.unwrap().unwrap();
    let contacts = house.switch.contacts(ANNA);
    assert_eq!(contacts[0].flow.remote, handset.socket.local_addr().unwrap());
    assert_eq!((contacts.len(), contacts[0].user_agent.as_str()), (1, "Handset/1"));
    // Renewed it is the same phone; taken back it is gone.
    assert_eq!(handset.register(300).await.code(), 200);
    assert_eq!(house.switch.contacts(ANNA).len(), 1);
    assert_eq!(handset.register(0).await.code(), 200);
    timeout(SOON, changes.changed()).await.unwrap().unwrap();
    assert_eq!(house.switch.contacts(ANNA), []);
}

#[tokio::test]
async fn wrong_passwords_and_names_that_do_not_exist_are_refused_alike_and_then_not_heard() {
    let settings = PhoneSettings { failures: 3, ..PhoneSettings::default() };
    let house = house_with(settings).await;
    let registered = house.registered("north.boris").await;
    let mut wrong = Handset::new(house.switch.local_addr(), ANNA, "wrong").await;
    let refused = wrong.register(300).await;
    let mut nobody = Handset::new(house.switch.local_addr(), "north.nobody", "right").await;
    let unknown = nobody.register(300).await;
    let shape = |message: &zvonar_sip::message::Message| {
        let names: Vec<String> = message.all_headers().map(|(name, _)| name.to_owned()).collect();
        (message.code(), message.reason().to_owned(), names)
    };
    assert_eq!(shape(&refused), shape(&unknown));
    assert_eq!(refused.code(), 403);
    assert_eq!(wrong.register(300).await.code(), 403, "the third failure");
    wrong.send(b"REGISTER sip:zvonar SIP/2.0\r\n\r\n").await;
    assert!(wrong.hear_within(Duration::from_millis(300)).await.is_none(), "shut out");
    assert_eq!(house.switch.contacts(ANNA), []);
    // Whoever is registered at the same address goes on.
    let mut registered = registered;
    assert_eq!(registered.register(300).await.code(), 200);
}

#[tokio::test]
async fn strangers_hear_nothing_but_the_question_for_a_password() {
    let house = house().await;
    let stranger = house.handset(ANNA).await;
    for method in ["OPTIONS", "INVITE", "REFER", "SUBSCRIBE"] {
        let text = format!(
            "{method} sip:zvonar SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{method}\r\n\
             From: <sip:{ANNA}@zvonar>;tag=1\r\nTo: <sip:zvonar>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
        );
        stranger.send(text.as_bytes()).await;
    }
    assert!(stranger.hear_within(Duration::from_millis(300)).await.is_none());
}

#[tokio::test]
async fn nobody_is_rung_who_does_not_exist_or_is_not_there() {
    let house = house().await;
    let ring = |user: &str| {
        let user = user.to_owned();
        house.switch.ring(PhoneRing {
            user,
            display: String::new(),
            number: String::new(),
            ring: SOON,
            beside: None,
        })
    };
    assert!(matches!(ring("north.nobody"), Err(RingError::NoSuchUser(_))));
    assert!(matches!(ring(ANNA), Err(RingError::NotRegistered(_))));
    let handset = house.registered(ANNA).await;
    drop(ring(ANNA).expect("now it can be rung"));
    house.book.remove(ANNA);
    assert!(matches!(ring(ANNA), Err(RingError::NoSuchUser(_))), "an account that was removed");
    drop(handset);
}

#[tokio::test]
async fn a_phone_that_rings_shows_the_leads_name_and_is_talked_to_where_it_is() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let mut ringing = house.ring(SOON);
    let invite = handset.hear("INVITE").await;
    assert_eq!(invite.uri(), "sip:north.anna@10.255.0.1:5999");
    let from = invite.from().unwrap();
    assert_eq!(from.display(), "Иван \"Ваня\" Петров");
    assert!(from.uri.starts_with("sip:+79161234567@127.0.0.1"), "{}", from.uri);
    handset.reply(&invite, 180, "").await;
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings));
    handset.reply(&invite, 180, "").await;
    let mut talk = handset.pick_up(&invite).await;
    let mut call = answered(&mut ringing).await;
    assert_eq!(call.call_id(), invite.call_id());
    // Both ends may hang up; here the phone does.
    handset.request(&mut talk, "BYE", &[], "", "").await;
    assert_eq!(handset.response("BYE").await.code(), 200);
    assert!(matches!(event(&mut call).await, CallEvent::Ended { how: Ended::HungUp { .. }, .. }));
}

#[tokio::test]
async fn all_phones_ring_and_the_first_to_answer_has_the_call() {
    let house = house().await;
    let (desk, pocket) = (house.registered(ANNA).await, house.handset(ANNA).await);
    let mut pocket = pocket;
    // Another phone calls itself something else.
    let contact = vec![(Name::Contact, "<sip:pocket@10.255.0.2>".to_owned())];
    assert_eq!(pocket.register_as(&contact).await.code(), 200);
    assert_eq!(house.switch.contacts(ANNA).len(), 2);
    let mut ringing = house.ring(SOON);
    let (first, second) = (desk.hear("INVITE").await, pocket.hear("INVITE").await);
    assert_ne!(first.call_id(), second.call_id());
    desk.reply(&first, 180, "").await;
    pocket.reply(&second, 180, "").await;
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings), "once for both");
    pocket.pick_up(&second).await;
    let call = answered(&mut ringing).await;
    assert_eq!(call.call_id(), second.call_id());
    let cancel = desk.hear("CANCEL").await;
    desk.reply(&cancel, 200, "").await;
    desk.reply(&first, 487, "").await;
    desk.hear("ACK").await;
    drop(call);
    let bye = pocket.hear("BYE").await;
    pocket.reply(&bye, 200, "").await;
}

/// Both pressed the key in the same moment: one of them heard silence until he hung up himself.
#[tokio::test]
async fn of_two_phones_that_answer_at_once_the_later_is_acknowledged_and_closed() {
    let house = house().await;
    let (desk, mut pocket) = (house.registered(ANNA).await, house.handset(ANNA).await);
    let contact = vec![(Name::Contact, "<sip:pocket@10.255.0.2>".to_owned())];
    pocket.register_as(&contact).await;
    let mut ringing = house.ring(SOON);
    let (first, second) = (desk.hear("INVITE").await, pocket.hear("INVITE").await);
    desk.reply(&first, 200, &desk.sdp("")).await;
    pocket.reply(&second, 200, &pocket.sdp("")).await;
    let call = answered(&mut ringing).await;
    desk.hear("ACK").await;
    pocket.hear("ACK").await;
    let (winner, loser) = if call.call_id() == first.call_id() { (&desk, &pocket) } else { (&pocket, &desk) };
    let bye = loser.hear("BYE").await;
    loser.reply(&bye, 200, "").await;
    assert!(winner.hear_within(Duration::from_millis(300)).await.is_none(), "the winner talks on");
    drop(call);
    winner.hear("BYE").await;
}

#[tokio::test]
async fn every_way_not_to_answer_has_its_name() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let unreachable = |code: &str| RingEnd::Unreachable(format!("the phone said {code}"));
    for (code, expected) in [
        (486, RingEnd::Busy),
        (600, RingEnd::Busy),
        (603, RingEnd::Declined),
        (403, RingEnd::Declined),
        (480, RingEnd::NoAnswer),
        (408, RingEnd::NoAnswer),
        (487, RingEnd::NoAnswer),
        (404, unreachable("404 Not Found")),
        (500, unreachable("500 Server Internal Error")),
    ] {
        let mut ringing = house.ring(SOON);
        let invite = handset.hear("INVITE").await;
        handset.reply(&invite, code, "").await;
        assert_eq!(ended(&mut ringing).await, expected, "{code}");
        handset.hear("ACK").await;
    }
    let mut ringing = house.ring(Duration::from_millis(300));
    let invite = handset.hear("INVITE").await;
    handset.reply(&invite, 180, "").await;
    let cancel = handset.hear("CANCEL").await;
    handset.reply(&cancel, 200, "").await;
    handset.reply(&invite, 487, "").await;
    assert_eq!(ended(&mut ringing).await, RingEnd::NoAnswer, "it rang out");
}

#[tokio::test]
async fn of_several_phones_the_most_telling_end_counts_and_a_no_speaks_for_all() {
    let house = house().await;
    let (desk, mut pocket) = (house.registered(ANNA).await, house.handset(ANNA).await);
    let contact = vec![(Name::Contact, "<sip:pocket@10.255.0.2>".to_owned())];
    pocket.register_as(&contact).await;
    let mut ringing = house.ring(SOON);
    let (first, second) = (desk.hear("INVITE").await, pocket.hear("INVITE").await);
    desk.reply(&first, 486, "").await;
    pocket.reply(&second, 404, "").await;
    assert_eq!(ended(&mut ringing).await, RingEnd::Busy);
    let mut ringing = house.ring(SOON);
    let (first, second) = (desk.hear("INVITE").await, pocket.hear("INVITE").await);
    pocket.reply(&second, 180, "").await;
    desk.reply(&first, 603, "").await;
    assert_eq!(ended(&mut ringing).await, RingEnd::Declined);
    pocket.hear("CANCEL").await;
}

/// A phone that had lost its power was still registered: the caller waited half a minute for it.
#[tokio::test]
async fn a_phone_that_says_nothing_at_all_holds_nobody_for_long() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let mut ringing = house.ring(Duration::from_secs(60));
    let end = timeout(Duration::from_secs(10), ringing.next()).await.expect("long before the minute is over");
    assert!(matches!(end, RingEvent::Ended(RingEnd::Unreachable(_))), "{end:?}");
    drop(handset);
}

/// A softphone that has to be woken says 100 at once, and rings when it is awake.
#[tokio::test]
async fn a_phone_that_has_the_call_and_rings_late_is_waited_for() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let mut ringing = house.ring(Duration::from_secs(60));
    let invite = handset.hear("INVITE").await;
    handset.reply(&invite, 100, "").await;
    assert!(
        timeout(Duration::from_secs(7), ringing.next()).await.is_err(),
        "it neither rings nor is given up"
    );
    handset.reply(&invite, 180, "").await;
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings));
}

/// The phone on the desk was busy, and the caller waited half a minute, until SIP gave up, for one without power.
#[tokio::test]
async fn a_phone_that_says_nothing_is_not_waited_for_because_another_did() {
    let house = house().await;
    let (desk, mut dead) = (house.registered(ANNA).await, house.handset(ANNA).await);
    let contact = vec![(Name::Contact, "<sip:pocket@10.255.0.2>".to_owned())];
    dead.register_as(&contact).await;
    let mut ringing = house.ring(Duration::from_secs(600));
    let invite = desk.hear("INVITE").await;
    desk.reply(&invite, 180, "").await;
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings));
    desk.reply(&invite, 486, "").await;
    let end = timeout(Duration::from_secs(20), ringing.next()).await.expect("long before SIP gives up");
    assert!(matches!(end, RingEvent::Ended(RingEnd::Busy)), "{end:?}");
}

/// What was given up on was the silent phone alone.
#[tokio::test]
async fn a_phone_that_rings_goes_on_when_a_silent_one_is_given_up_on() {
    let house = house().await;
    let (desk, mut dead) = (house.registered(ANNA).await, house.handset(ANNA).await);
    let contact = vec![(Name::Contact, "<sip:pocket@10.255.0.2>".to_owned())];
    dead.register_as(&contact).await;
    let mut ringing = house.ring(Duration::from_secs(600));
    let (invite, late) = (desk.hear("INVITE").await, dead.hear("INVITE").await);
    desk.reply(&invite, 180, "").await;
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings));
    // Nothing tells from outside that it was given up on, except that its late word is answered by a CANCEL.
    assert!(timeout(Duration::from_secs(7), ringing.next()).await.is_err(), "the other rings");
    dead.reply(&late, 180, "").await;
    dead.hear("CANCEL").await;
    desk.pick_up(&invite).await;
    assert_eq!(answered(&mut ringing).await.call_id(), invite.call_id());
}

/// The telephone of somebody who had left was given another password, and rang on.
#[tokio::test]
async fn with_another_password_the_phones_of_the_old_one_are_not_rung() {
    let house = house().await;
    let mut old = house.registered(ANNA).await;
    let account =
        |password| PhoneAccount { user: ANNA.into(), secret: PhoneSecret::of(ANNA, "zvonar", password) };
    house.book.set(account("new"));
    assert_eq!(house.switch.contacts(ANNA), []);
    let ring = PhoneRing {
        user: ANNA.into(),
        display: String::new(),
        number: String::new(),
        ring: SOON,
        beside: None,
    };
    assert!(matches!(house.switch.ring(ring), Err(RingError::NotRegistered(_))));
    assert_eq!(old.register(300).await.code(), 403);
    let mut new = Handset::new(house.switch.local_addr(), ANNA, "new").await;
    assert_eq!(new.register(300).await.code(), 200);
    let contacts = house.switch.contacts(ANNA);
    assert_eq!((contacts.len(), contacts[0].flow.remote), (1, new.socket.local_addr().unwrap()));
}

#[tokio::test]
async fn a_phone_that_rings_on_after_its_time_is_given_up_on() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let mut ringing = house.ring(Duration::from_secs(1));
    let invite = handset.hear("INVITE").await;
    handset.reply(&invite, 180, "").await;
    handset.hear("CANCEL").await;
    assert_eq!(ended(&mut ringing).await, RingEnd::NoAnswer, "though nothing was answered to the CANCEL");
    // Whoever picks up now is not left on a silent line.
    handset.pick_up(&invite).await;
    let bye = handset.hear("BYE").await;
    handset.reply(&bye, 200, "").await;
}

#[tokio::test]
async fn phones_stop_ringing_when_nobody_waits_any_more() {
    let house = house().await;
    let handset = house.registered(ANNA).await;
    let ringing = house.ring(SOON);
    let invite = handset.hear("INVITE").await;
    handset.reply(&invite, 180, "").await;
    drop(ringing);
    handset.hear("CANCEL").await;
}

#[tokio::test]
async fn who_calls_is_who_knows_the_password_and_never_who_says_so() {
    let mut house = house().await;
    let mut anna = house.registered(ANNA).await;
    let (talk, call) = tokio::join!(anna.call("sip:*21@zvonar", &[]), async {
        let incoming = timeout(SOON, house.door.next()).await.unwrap().expect("a call");
        assert_eq!(incoming.about.account.as_deref(), Some(ANNA));
        assert_eq!(incoming.about.to_user, "*21");
        incoming.answer().await.expect("a port")
    });
    let description = talk.expect("it was answered").description;
    assert!(description.contains(&format!("m=audio {} ", call.media().local_addr().port())), "{description}");
    drop(call);
    anna.hear("BYE").await;
    // The same address, another name, and no password for it.
    anna.credentials.password = "wrong".into();
    assert_eq!(anna.call("sip:*21@zvonar", &[]).await.err(), Some(403));
}

/// Both of a phone's calls say that we carry out `Replaces`, or it does not offer its owner to hand the caller on into
/// the talk with a colleague; it asks for that by REFER. Whoever wants to take a call's place by himself is refused.
#[tokio::test]
async fn a_phone_may_hand_a_call_on_into_another_and_takes_the_place_of_none() {
    let mut house = house().await;
    let (anna, mut boris) = (house.registered(ANNA).await, house.registered("north.boris").await);
    let mut ringing = house.ring(SOON);
    let invite = anna.hear("INVITE").await;
    assert_eq!(invite.header(Name::Supported), Some("replaces"));
    let mut talk = anna.pick_up(&invite).await;
    let mut call = answered(&mut ringing).await;
    let replaces = vec![(Name::Replaces, talk.replaces())];
    assert_eq!(boris.call("sip:anna@zvonar", &replaces).await.err(), Some(481));
    let required = vec![replaces[0].clone(), (Name::Require, "replaces".to_owned())];
    assert_eq!(boris.call("sip:anna@zvonar", &required).await.err(), Some(420));

    let (other, incoming) = tokio::join!(boris.call("sip:anna@zvonar", &[]), async {
        let incoming = timeout(SOON, house.door.next()).await.unwrap().expect("a call");
        incoming.answer().await.expect("a port")
    });
    let (other, mut incoming) = (other.expect("it was answered"), incoming);
    assert!(matches!(event(&mut incoming).await, CallEvent::Answered { .. }));
    let named = other.replaces().replace(';', "%3B").replace('=', "%3D");
    let target = format!("<sip:anna@zvonar?Replaces={named}>");
    anna.request(&mut talk, "REFER", &[(Name::ReferTo, target)], "", "").await;
    let CallEvent::Refer(request) = event(&mut call).await else { panic!("no REFER was told") };
    let replaces = request.replaces.expect("it names a call");
    assert!(incoming.matches(&replaces) && !call.matches(&replaces));
}

#[tokio::test]
async fn hold_and_back_are_told_and_answered() {
    let house = house().await;
    let anna = house.registered(ANNA).await;
    let mut ringing = house.ring(SOON);
    let invite = anna.hear("INVITE").await;
    let mut talk = anna.pick_up(&invite).await;
    let mut call = answered(&mut ringing).await;
    for (line, held) in [("a=sendonly\r\n", true), ("a=inactive\r\n", true), ("a=sendrecv\r\n", false)] {
        let was = call.is_held();
        let ok = anna.offer(&mut talk, line).await;
        assert_eq!(ok.code(), 200);
        if was != held {
            assert!(
                matches!(event(&mut call).await, CallEvent::Held { held: said } if said == held),
                "{line}"
            );
        }
    }
    let zeros = anna.sdp("").replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0");
    anna.request(&mut talk, "UPDATE", &[], "application/sdp", &zeros).await;
    assert_eq!(anna.response("UPDATE").await.code(), 200);
    assert!(matches!(event(&mut call).await, CallEvent::Held { held: true }), "as it was done of old");
}

#[tokio::test]
async fn a_phone_hands_its_call_on_and_hears_how_it_goes() {
    let house = house().await;
    let anna = house.registered(ANNA).await;
    let mut ringing = house.ring(SOON);
    let invite = anna.hear("INVITE").await;
    let mut talk = anna.pick_up(&invite).await;
    let mut call = answered(&mut ringing).await;

    anna.request(&mut talk, "REFER", &[(Name::ReferTo, "http://example.com".into())], "", "").await;
    assert_eq!(anna.response("REFER").await.code(), 400);

    let target = (Name::ReferTo, "<sip:102@zvonar>".to_owned());
    anna.request(&mut talk, "REFER", std::slice::from_ref(&target), "", "").await;
    let CallEvent::Refer(request) = event(&mut call).await else { panic!("no REFER was told") };
    assert_eq!((request.to_user.as_str(), request.replaces), ("102", None));
    call.answer_refer(false).await;
    assert_eq!(anna.response("REFER").await.code(), 603);

    anna.request(&mut talk, "REFER", &[target], "", "").await;
    assert!(matches!(event(&mut call).await, CallEvent::Refer(_)));
    call.answer_refer(true).await;
    assert_eq!(anna.response("REFER").await.code(), 202);
    let heard = async |expected: &str, state: &str| {
        let notify = anna.hear("NOTIFY").await;
        assert_eq!(String::from_utf8_lossy(notify.body()), format!("SIP/2.0 {expected}\r\n"));
        assert_eq!(notify.content_type().as_deref(), Some("message/sipfrag"));
        assert!(notify.header(Name::Event).unwrap().starts_with("refer"), "{:?}", notify.header(Name::Event));
        assert!(notify.header(Name::SubscriptionState).unwrap().starts_with(state));
        anna.reply(&notify, 200, "").await;
    };
    heard("100 Trying", "active").await;
    call.refer_progress(180, "").await;
    heard("180 Ringing", "active").await;
    call.refer_progress(200, "").await;
    heard("200 OK", "terminated").await;
    call.refer_progress(200, "").await;
    assert!(anna.hear_within(Duration::from_millis(200)).await.is_none(), "the last news was the last");

    // A request that nobody answered before the call ended.
    anna.request(&mut talk, "REFER", &[(Name::ReferTo, "<sip:103@zvonar>".into())], "", "").await;
    assert!(matches!(event(&mut call).await, CallEvent::Refer(_)));
    call.hang_up().await;
    assert_eq!(anna.response("REFER").await.code(), 603);
}

#[tokio::test]
async fn what_was_asked_of_a_call_is_done_before_its_going_hangs_it_up() {
    // Often enough that it is no luck.
    for _ in 0..12 {
        let house = house().await;
        let anna = house.registered(ANNA).await;
        let mut ringing = house.ring(SOON);
        let invite = anna.hear("INVITE").await;
        let mut talk = anna.pick_up(&invite).await;
        let mut call = answered(&mut ringing).await;
        let target = (Name::ReferTo, "<sip:102@zvonar>".to_owned());
        anna.request(&mut talk, "REFER", &[target], "", "").await;
        assert!(matches!(event(&mut call).await, CallEvent::Refer(_)));
        call.answer_refer(true).await;
        call.refer_progress(200, "").await;
        drop(call);
        assert_eq!(anna.response("REFER").await.code(), 202);
        for said in ["SIP/2.0 100 Trying\r\n", "SIP/2.0 200 OK\r\n"] {
            let notify = anna.hear("NOTIFY").await;
            assert_eq!(String::from_utf8_lossy(notify.body()), said);
            anna.reply(&notify, 200, "").await;
        }
        let bye = anna.hear("BYE").await;
        anna.reply(&bye, 200, "").await;
    }
}

#[tokio::test]
async fn phones_are_asked_whether_they_are_there_and_their_own_pings_are_answered() {
    let settings = PhoneSettings { keep_alive: Duration::from_millis(200), ..PhoneSettings::default() };
    let house = house_with(settings).await;
    let handset = house.registered(ANNA).await;
    for _ in 0..3 {
        let asked = handset.hear("OPTIONS").await;
        assert_eq!(asked.uri(), "sip:north.anna@10.255.0.1:5999");
        handset.reply(&asked, 404, "").await;
    }
    assert_eq!(house.switch.contacts(ANNA).len(), 1, "any answer will do");
    let mut buffer = [0; 2000];
    handset.send(b"\r\n\r\n").await;
    let pong = async { while handset.socket.recv(&mut buffer).await.expect("received") != 2 {} };
    timeout(SOON, pong).await.expect("an answer to the ping");
    assert_eq!(&buffer[..2], b"\r\n");
}

//! Telephones that say nothing: which are gone, when, and what becomes of the caller.

use zvonar_dialer::conversation::Pulse;
use zvonar_dialer::desks::SilenceRules;
use zvonar_media::{Clip, Heard, Prompt, tones};
use zvonar_sip::message::Name;
use zvonar_switch::MediaEvent;

use super::*;
use crate::handset::{Handset, Talk};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// What happens to a leg. Times are in seconds since the pick-up.
enum Step {
    Silent { since: u64, heard: Heard },
    Back,
    Held(bool),
}
use Step::{Back, Held, Silent};

/// When the telephone is hung up after these, and whether the talk was none.
fn gone(at_desk: bool, steps: &[(u64, Step)]) -> Option<(u64, bool)> {
    let (rules, picked_up) = (SilenceRules::default(), clock::now());
    let at = |seconds| picked_up + Duration::from_secs(seconds);
    let mut pulse = Pulse::new(picked_up, false, at_desk);
    for (seconds, step) in steps {
        let event = match *step {
            Silent { since, heard } => CallEvent::Media(MediaEvent::SilentWire { since: at(since), heard }),
            Back => CallEvent::Media(MediaEvent::WireBack),
            Held(held) => CallEvent::Held { held },
        };
        pulse.handle(at(*seconds), &event);
    }
    let timeout = pulse.poll_timeout(&rules)?;
    Some((timeout.duration_since(picked_up).as_secs(), pulse.is_no_talk(&rules)))
}

fn silent(since: u64) -> (u64, Step) {
    (since + 10, Silent { since, heard: Heard::Sound })
}

/// The sound begins a moment after the pick-up: the two are told by threads of their own.
fn says_nothing() -> (u64, Step) {
    (12, Silent { since: 2, heard: Heard::Nothing })
}

fn listens(since: u64) -> (u64, Step) {
    (since + 10, Silent { since, heard: Heard::Pauses })
}

#[test]
fn a_telephone_that_never_said_a_packet_is_gone_after_ten_seconds() {
    assert_eq!(gone(true, &[says_nothing()]), Some((12, true)));
    assert_eq!(gone(false, &[says_nothing()]), Some((12, true)));
    // What sounded before the answer does not count.
    assert_eq!(gone(true, &[silent(0)]), Some((10, true)));
    assert_eq!(gone(false, &[silent(0)]), Some((10, true)));
    assert_eq!(gone(true, &[silent(0), (11, Back)]), None);
}

#[test]
fn whoever_has_talked_may_listen_for_a_minute() {
    // An operator's telephone that breaks off at once: somebody else takes the caller.
    assert_eq!(gone(true, &[silent(5)]), Some((15, true)));
    assert_eq!(gone(true, &[silent(29)]), Some((39, true)));
    assert_eq!(gone(true, &[silent(30)]), Some((90, false)));
    assert_eq!(gone(true, &[silent(300)]), Some((360, false)));
    // Outside there is nobody else.
    assert_eq!(gone(false, &[silent(5)]).map(|(at, _)| at), Some(65));
    // It leaves silence out: he listens.
    assert_eq!(gone(true, &[listens(5)]), Some((65, true)));
    assert_eq!(gone(true, &[listens(0)]), Some((60, true)));
    assert_eq!(gone(true, &[listens(5), (20, Back)]), None);
    assert_eq!(gone(true, &[listens(5), (20, Back), listens(40)]), Some((100, false)));
}

#[test]
fn on_hold_a_telephone_may_be_silent_but_not_for_ever() {
    assert_eq!(gone(true, &[(100, Held(true)), silent(100)]), Some((700, false)));
    assert_eq!(gone(true, &[(100, Held(true)), (150, Held(true))]), Some((700, false)));
    assert_eq!(gone(true, &[(5, Held(true))]), Some((605, true)), "nobody has talked with the caller yet");
    // Taken back: it has its time to begin again, and is told to be silent anew or not.
    assert_eq!(gone(true, &[(100, Held(true)), silent(100), (400, Held(false))]), Some((460, false)));
    let back = [(100, Held(true)), silent(100), (400, Held(false)), (401, Back)];
    assert_eq!(gone(true, &back), None);
    assert_eq!(gone(true, &[(100, Held(true)), (400, Held(false))]), None);
    // One that has never said anything is no better for having held.
    assert_eq!(gone(true, &[(5, Held(true)), says_nothing(), (20, Held(false))]), Some((30, true)));
}

#[test]
fn a_telephone_that_holds_from_the_first_moment_is_known_to() {
    let (rules, picked_up) = (SilenceRules::default(), clock::now());
    let pulse = Pulse::new(picked_up, true, true);
    assert!(pulse.is_held());
    assert_eq!(pulse.poll_timeout(&rules), Some(picked_up + rules.longest_hold));
}

/// Anna, whose telephone is registered here and never says a packet, and Boris at the far switch.
async fn pair(silence: SilenceRules) -> (World, Handset) {
    let world = World::with(&["anna", "boris"], silence, Duration::from_secs(1)).await;
    let mut anna = Handset::new(world.ours.local_addr(), "acme.anna", PASSWORD).await;
    assert_eq!(anna.register(300).await.code(), 200);
    (world, anna)
}

async fn is_hung_up(anna: &Handset) {
    let bye = anna.hear("BYE").await;
    anna.reply(&bye, 200, "").await;
}

async fn picks_up(anna: &Handset) -> Talk {
    let invite = anna.hear("INVITE").await;
    anna.pick_up(&invite).await
}

/// Nobody hangs up for so long.
async fn stays(anna: &Handset, time: Duration) {
    let until = clock::now() + time;
    while let Some(message) = anna.hear_within(until.saturating_duration_since(clock::now())).await {
        assert!(!message.is_request() || message.method().text() != "BYE", "she is hung up");
    }
}

/// Boris takes the caller, says something, and hangs up.
async fn boris_talks(far: &mut mpsc::Receiver<IncomingCall>, desks: &Desks) {
    let mut boris = takes(far, "boris").await;
    boris.media().play_loop(tones::ring_back());
    they_talk(desks).await;
    tokio::time::sleep(TALK).await;
    boris.hang_up().await;
    ended(&mut boris).await;
}

/// That he has, and nobody before him.
fn boris_has(came: &Came) {
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
    let [transfer] = &came.transfers[..] else { panic!("{:?}", came.transfers) };
    assert_eq!(transfer.operator.as_ref().map(OperatorId::as_str), Some("boris"));
    assert!(transfer.connected, "{transfer:?}");
}

#[tokio::test]
async fn who_picks_up_and_says_no_packet_loses_the_caller_to_a_colleague() {
    // However long those may be silent who have said something, and whenever it is noticed.
    let rules = SilenceRules { start: NEVER, short: Duration::ZERO, long: NEVER, longest_hold: NEVER };
    let (world, anna) = pair(rules).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, desks| {
            picks_up(&anna).await;
            is_hung_up(&anna).await;
            boris_talks(far, desks).await;
        })
        .await;
    boris_has(&came);
}

/// However young the talk is, two seconds of silence are enough.
const AFTER_TWO_SECONDS: SilenceRules =
    SilenceRules { start: Duration::ZERO, short: Duration::from_secs(2), long: NEVER, longest_hold: NEVER };

/// Silence was told once, while she held, and then never again: the caller had music until the longest call.
#[tokio::test]
async fn a_telephone_that_died_on_hold_is_hung_up_once_it_has_the_caller_back() {
    let (world, anna) = pair(AFTER_TWO_SECONDS).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, _| {
            let mut talk = picks_up(&anna).await;
            assert_eq!(anna.offer(&mut talk, "a=sendonly\r\n").await.code(), 200);
            stays(&anna, Duration::from_secs(3)).await;
            assert_eq!(anna.offer(&mut talk, "").await.code(), 200);
            is_hung_up(&anna).await;
            assert!(far.try_recv().is_err(), "the talk was one, and is over");
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
}

#[tokio::test]
async fn nobody_is_held_for_ever() {
    let longest_hold = Duration::from_secs(1);
    let (world, anna) = pair(SilenceRules { start: NEVER, short: NEVER, long: NEVER, longest_hold }).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, desks| {
            let mut talk = picks_up(&anna).await;
            assert_eq!(anna.offer(&mut talk, "a=inactive\r\n").await.code(), 200);
            is_hung_up(&anna).await;
            boris_talks(far, desks).await;
        })
        .await;
    boris_has(&came);
}

/// It was told while the colleague's telephone rang, where nobody listened.
#[tokio::test]
async fn a_telephone_that_dies_while_it_hands_on_is_hung_up_when_nobody_takes_the_caller() {
    let (world, anna) = pair(AFTER_TWO_SECONDS).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, _| {
            let mut talk = picks_up(&anna).await;
            let to = [(Name::ReferTo, "<sip:boris@zvonar>".to_owned())];
            anna.request(&mut talk, "REFER", &to, "", "").await;
            assert_eq!(anna.response("REFER").await.code(), 202);
            let rings = far.recv().await.unwrap();
            rings.ring().await;
            stays(&anna, Duration::from_secs(3)).await;
            rings.reject(603, "Decline").await;
            is_hung_up(&anna).await;
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
    assert_eq!(came.transfers.len(), 2, "{:?}", came.transfers);
    assert_eq!(came.transfers[1].missed.as_deref(), Some(Miss::Declined.title()));
}

/// A packet of sound and no more.
fn packet() -> Prompt {
    Prompt::from(Arc::new(Clip::from_samples(&[1000; 160])))
}

#[tokio::test]
async fn a_telephone_that_leaves_silence_out_is_not_taken_for_dead() {
    let told = Duration::from_secs(2);
    let rules = SilenceRules { start: NEVER, short: Duration::ZERO, long: NEVER, longest_hold: NEVER };
    let world = World::with(&["anna", "boris"], rules, told).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, _| {
            let mut anna = takes(far, "anna").await;
            // The first may come before this side listens.
            for _ in 0..3 {
                anna.media().play(packet(), false);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            tokio::time::sleep(told * 2).await;
            assert!(far.try_recv().is_err(), "she only listens");
            anna.hang_up().await;
            ended(&mut anna).await;
        })
        .await;
    let [transfer] = &came.transfers[..] else { panic!("{:?}", came.transfers) };
    assert_eq!(transfer.operator.as_ref().map(OperatorId::as_str), Some("anna"));
    assert!(transfer.connected && transfer.talk >= Millis::from(told), "{transfer:?}");

    // One that breaks off in the middle of a word shows nothing of the kind.
    let world = World::with(&["anna", "boris"], rules, told).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, desks| {
            let mut anna = takes(far, "anna").await;
            anna.media().play(packet(), false);
            ended(&mut anna).await;
            boris_talks(far, desks).await;
        })
        .await;
    boris_has(&came);
}

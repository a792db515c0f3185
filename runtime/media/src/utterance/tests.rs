use proptest::prelude::*;

use super::*;
use crate::FRAME;
use crate::testing::{Noise, recorded, tone};

const CLIPS: [&str; 4] = ["goodbye", "moment", "keys", "queue"];

/// What a line sounds like while nobody speaks.
fn hush(ms: usize, seed: u64) -> Vec<i16> {
    let mut noise = Noise(seed);
    (0..ms * 8).map(|_| (noise.unit() * 40.0) as i16).collect()
}

fn all(parts: &[&[i16]]) -> Vec<i16> {
    parts.concat()
}

/// Plays sound in frames of 20 ms, as it comes over the wire; each event with the millisecond at which it was told.
fn listen(settings: Settings, sound: &[i16]) -> (Listener, Vec<(usize, Event)>) {
    let mut listener = Listener::new(settings);
    let room = listener.sound.capacity();
    let mut events = Vec::new();
    for (n, frame) in sound.chunks(FRAME).enumerate() {
        listener.handle(frame);
        while let Some(event) = listener.poll_event() {
            events.push(((n + 1) * 20, event));
        }
    }
    assert_eq!(listener.sound.capacity(), room, "nothing is allocated while listening");
    (listener, events)
}

/// The trace of an answer as words; parts in milliseconds.
fn trace(events: &[(usize, Event)]) -> String {
    let part = |part: &Range<usize>| format!("{}-{}", part.start / 8, part.end / 8);
    let told = |(at, event): &(usize, Event)| match event {
        Event::Began => format!("{at} began"),
        Event::Piece(range) => format!("{at} piece {}", part(range)),
        Event::Pause(range) => format!("{at} pause {}", part(range)),
        Event::WentOn => format!("{at} went on"),
        Event::Nothing => format!("{at} nothing"),
        Event::Ended { voiced, last, by } => {
            format!(
                "{at} {by:?} after {} last {}",
                voiced.as_millis(),
                last.as_ref().map_or("none".into(), part)
            )
        }
    };
    events.iter().map(told).collect::<Vec<_>>().join(" | ")
}

fn ended(events: &[(usize, Event)]) -> Option<(usize, Duration)> {
    events.iter().find_map(|(at, event)| match event {
        Event::Ended { voiced, .. } => Some((*at, *voiced)),
        _ => None,
    })
}

#[test]
fn an_answer_is_found_between_silences_whole_and_without_delay() {
    for name in CLIPS {
        for before in [0, 333, 4000] {
            let clip = recorded(name);
            let sound = all(&[&hush(before, 1), &clip, &hush(2000, 2)]);
            let (listener, events) = listen(Settings::default(), &sound);
            let trace = trace(&events);
            let last_word = before + clip.len() / 8;
            let (at, voiced) = ended(&events).unwrap_or_else(|| panic!("{name}: {trace}"));
            assert!(
                (400..=700).contains(&(at.saturating_sub(last_word))),
                "{name} until {last_word}: {trace}"
            );
            assert!(voiced.as_millis() as usize <= clip.len() / 8 + 100, "{name}: {trace}");
            assert!(voiced.as_millis() as usize + 250 >= clip.len() / 8, "{name}: {trace}");
            // The whole of the clip is in the parts: nothing is cut off.
            let Some((_, Event::Ended { last: Some(part), .. })) = events.last() else { panic!("{trace}") };
            let kept = &listener.sound()[part.clone()];
            let loudest = clip.iter().map(|sample| sample.unsigned_abs()).max();
            assert_eq!(kept.iter().map(|sample| sample.unsigned_abs()).max(), loudest, "{name}: {trace}");
            assert!(
                kept.len() + 800 >= clip.len(),
                "{name}: {} of {} samples, {trace}",
                kept.len(),
                clip.len()
            );
            assert_eq!(
                events.iter().filter(|(_, event)| *event == Event::Began).count(),
                1,
                "{name}: {trace}"
            );
        }
    }
}

#[test]
fn recognition_may_start_at_a_pause_and_what_it_did_is_void_when_the_caller_goes_on() {
    let clip = recorded("goodbye");
    let sound = all(&[&hush(500, 1), &clip, &hush(380, 2), &clip, &hush(1500, 3)]);
    let (_, events) = listen(Settings::default(), &sound);
    let kinds: Vec<&str> = events
        .iter()
        .map(|(_, event)| match event {
            Event::Began => "began",
            Event::Piece(_) => "piece",
            Event::Pause(_) => "pause",
            Event::WentOn => "went on",
            Event::Nothing => "nothing",
            Event::Ended { .. } => "ended",
        })
        .collect();
    assert_eq!(kinds, ["began", "pause", "went on", "pause", "ended"], "{}", trace(&events));
    let (Event::Pause(paused), Event::Ended { last: Some(last), .. }) = (&events[3].1, &events[4].1) else {
        panic!("{}", trace(&events))
    };
    assert_eq!(paused, last, "what was begun at the pause is the answer");
    assert!(
        events[4].0 - events[3].0 >= 200,
        "there is time to recognise before the end: {}",
        trace(&events)
    );
}

#[test]
fn noise_tones_keys_and_clicks_begin_nothing_or_end_as_nothing() {
    let mut noise = Noise(4);
    let loud: Vec<i16> = (0..40_000).map(|_| (noise.unit() * 12_000.0) as i16).collect();
    let busy: Vec<i16> = (0..10).flat_map(|_| all(&[&tone(&[425.0], 350), &hush(350, 1)])).collect();
    let keys: Vec<i16> = [(697.0, 1209.0), (770.0, 1336.0), (941.0, 1477.0)]
        .iter()
        .cycle()
        .take(12)
        .flat_map(|(row, column)| all(&[&tone(&[*row, *column], 120), &hush(150, 2)]))
        .collect();
    let clicks: Vec<i16> = (0..20)
        .flat_map(|n| all(&[&[if n % 2 == 0 { 20_000 } else { -20_000 }; 40], &hush(300, 3)]))
        .collect();
    for (name, sound) in
        [("noise", loud), ("busy tone", busy), ("keys", keys), ("clicks", clicks), ("hush", hush(5000, 9))]
    {
        let (_, events) = listen(Settings::default(), &all(&[&sound, &hush(1000, 5)]));
        assert_eq!(ended(&events), None, "{name}: {}", trace(&events));
    }
}

#[test]
fn an_answer_after_a_cough_is_heard() {
    let clip = recorded("moment");
    let cough = &recorded("goodbye")[..900];
    let sound = all(&[&hush(400, 1), cough, &hush(900, 2), &clip, &hush(1500, 3)]);
    let (_, events) = listen(Settings::default(), &sound);
    assert!(ended(&events).is_some(), "{}", trace(&events));
}

/// Somebody who does not stop: pieces come while he speaks, and the answer is cut at 30 s.
#[test]
fn a_long_answer_comes_in_pieces_that_are_cut_where_it_is_quiet() {
    let clips: Vec<Vec<i16>> = CLIPS.iter().map(|name| recorded(name)).collect();
    let mut sound = hush(300, 1);
    let mut gaps = Vec::new();
    for n in 0..12 {
        sound.extend(&clips[n % 4]);
        gaps.push(sound.len()..sound.len() + 240 * 8);
        sound.extend(hush(240, n as u64));
    }
    let (listener, events) = listen(Settings::default(), &sound);
    let trace = trace(&events);
    let mut at = None;
    let mut pieces = 0;
    for (_, event) in &events {
        let part = match event {
            Event::Piece(part) => {
                pieces += 1;
                part.clone()
            }
            Event::Ended { last, by, voiced } => {
                assert_eq!((*by, voiced.as_secs()), (EndedBy::Longest, 30), "{trace}");
                last.clone().expect("a last part")
            }
            _ => continue,
        };
        assert!(at.is_none_or(|at| at == part.start), "parts follow each other: {trace}");
        assert!(part.len() <= 8 * 8000 + 2 * BLOCK, "{trace}");
        at = Some(part.end);
    }
    assert!(pieces >= 3, "{trace}");
    assert!(at.is_some_and(|at| at <= listener.sound().len()), "{trace}");
    // Where a piece is cut, 100 ms either way are quiet.
    for (_, event) in &events {
        if let Event::Piece(part) = event {
            let around = &listener.sound()[part.end - 400..part.end + 400];
            assert!(level::dbfs(around) < -35.0, "{} dBFS at {}: {trace}", level::dbfs(around), part.end / 8);
        }
    }
}

#[test]
fn whoever_hangs_up_has_said_what_he_said() {
    let clip = recorded("moment");
    let mut listener = Listener::new(Settings::default());
    listener.handle(&all(&[&hush(200, 1), &clip]));
    listener.finish();
    let events: Vec<(usize, Event)> =
        std::iter::from_fn(|| listener.poll_event()).map(|event| (0, event)).collect();
    assert!(
        matches!(&events.last(), Some((_, Event::Ended { by: EndedBy::Finish, last: Some(_), .. }))),
        "{}",
        trace(&events)
    );
    listener.handle(&clip);
    assert_eq!(listener.poll_event(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes: the events keep their order, parts join, and hold every voiced block.
    #[test]
    fn events_keep_their_promises(
        script in prop::collection::vec((0usize..6, 20usize..1200), 1..14),
        chunk in 1usize..400,
        seed in 0u64..1000,
    ) {
        let clips: Vec<Vec<i16>> = CLIPS.iter().map(|name| recorded(name)).collect();
        let mut sound = Vec::new();
        for (kind, ms) in script {
            match kind {
                0..4 => sound.extend(clips[kind].iter().take(ms * 8 * 4)),
                4 => sound.extend(tone(&[425.0], ms)),
                _ => sound.extend(hush(ms, seed)),
            }
        }
        let settings = Settings { longest: Duration::from_secs(12), piece: Duration::from_secs(4), ..Settings::default() };
        let mut listener = Listener::new(settings);
        let mut events = Vec::new();
        for part in sound.chunks(chunk) {
            listener.handle(part);
            events.extend(std::iter::from_fn(|| listener.poll_event()));
        }
        listener.finish();
        events.extend(std::iter::from_fn(|| listener.poll_event()));
        let (mut open, mut over, mut paused) = (false, false, None);
        let mut at: Option<usize> = None;
        for event in &events {
            prop_assert!(!over, "nothing comes after the end: {events:?}");
            match event {
                Event::Began => {
                    prop_assert!(!open);
                    (open, paused, at) = (true, None, None);
                }
                Event::Pause(part) => {
                    prop_assert!(open && paused.is_none());
                    prop_assert!(at.is_none_or(|at| at == part.start));
                    paused = Some(part.clone());
                }
                Event::WentOn => {
                    prop_assert!(paused.take().is_some(), "{events:?}");
                }
                Event::Piece(part) => {
                    prop_assert!(open && at.is_none_or(|at| at == part.start) && !part.is_empty());
                    prop_assert!(part.len() <= 4 * 8000);
                    at = Some(part.end);
                }
                Event::Nothing => {
                    prop_assert!(open);
                    open = false;
                }
                Event::Ended { last, voiced, .. } => {
                    prop_assert!(open);
                    (open, over) = (false, true);
                    prop_assert!(voiced.as_millis() >= 200 && *voiced <= settings.longest);
                    if let Some(part) = &last {
                        prop_assert!(at.is_none_or(|at| at == part.start));
                        prop_assert!(part.end <= listener.sound().len());
                    }
                    if paused.is_some() {
                        prop_assert_eq!(last, &paused);
                    }
                }
            }
        }
        prop_assert!(!open, "what begins has an end: {events:?}");
    }
}

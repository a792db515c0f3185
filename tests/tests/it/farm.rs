//! The farm's callees that speak: when they do, and that it is heard.

use std::path::Path;

use zvonar_tests::{
    audio::{self, Recording},
    host::{self, Farm},
    machine,
};

use crate::calls::{call, recording};

/// How long the menu's prompt lasts.
const MENU_MS: i64 = 10_250;
/// So long a silence is its end.
const SILENCE_MS: i64 = 1_200;

#[test]
fn callees_answer_aloud_when_the_robot_has_fallen_silent_or_over_its_voice() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join("answers");
    std::fs::create_dir(&answers).unwrap();
    // What only these two can be saying. The second of them would be busy, had it nothing to say.
    for (ending, hz) in [("21", 600.0), ("05", 1100.0)] {
        audio::write_wav(&answers.join(format!("{ending}.wav")), &audio::tone(hz, 1.0, 0.5, 16_000), 16_000)
            .unwrap();
    }
    let farm = Farm::start_with(folder.path(), &["--answers", &answers.display().to_string()]).unwrap();

    let numbers = ["79000000021", "79000000005", "79000000013", "79000000018", "79000000003"];
    let calls = numbers.map(|number| {
        let folder = folder.path().join(number);
        std::fs::create_dir(&folder).unwrap();
        call(number, farm.address, &["--set", "repeats=0", "--record", &recording(&folder)]).unwrap()
    });
    let called = calls.map(|call| call.ended().unwrap());

    let events = farm.events().unwrap();
    // What a callee has said and when, in milliseconds since he picked up.
    let said = |number: &str| {
        let of = |name: &str| {
            let of = events.iter().filter(move |event| event["number"] == number && event["event"] == name);
            of.map(|event| (event["at"].as_i64().unwrap(), event["words"].as_str().unwrap_or("")))
                .collect::<Vec<_>>()
        };
        let answer = of("answer")[0].0;
        of("said").iter().map(|(at, words)| (at - answer, (*words).to_owned())).collect::<Vec<_>>()
    };
    for (number, words) in
        [("79000000021", "21.wav"), ("79000000005", "05.wav"), ("79000000013", "Перезвоните позже.")]
    {
        let said = said(number);
        assert_eq!(said[0].1, words, "{number}: {said:?}");
        let after = MENU_MS + SILENCE_MS;
        assert!((after - 300..after + 5_000).contains(&said[0].0), "{number}: {said:?}");
    }
    let over = said("79000000018");
    assert_eq!(over[0].1, "Да, конечно.");
    // Long before the prompt is over.
    assert!((3_900..8_000).contains(&over[0].0), "{over:?}");
    assert_eq!(said("79000000003"), []);

    for (called, number) in called.iter().zip(numbers) {
        assert_eq!(called.result, "Не дослушал до конца", "{number}: {called:?}");
    }
    let heard = |number: &str, hz| far_end(&folder.path().join(number).join("call.wav")).tone_level(hz);
    for (number, own, other) in [("79000000021", 600.0, 1100.0), ("79000000005", 1100.0, 600.0)] {
        let (own, other) = (heard(number, own), heard(number, other));
        assert!(own > 0.01 && own > 10.0 * other, "{number}: {own} against {other}");
    }
    // Once the hello is over, words are heard of the one and nothing of the other.
    for (number, speaks) in [("79000000013", true), ("79000000003", false)] {
        let mut sound = far_end(&folder.path().join(number).join("call.wav"));
        sound.channels[0].drain(..3 * 8000);
        assert_eq!(sound.loudest() > 0.02, speaks, "{number}: {}", sound.loudest());
    }
}

/// The left channel of a recorded call.
fn far_end(file: &Path) -> Recording {
    let mut recording = Recording::read(file).unwrap();
    recording.channels.truncate(1);
    recording
}

#[test]
fn a_farm_with_answers_that_nobody_would_say_does_not_start_and_says_why() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let refused = || {
        let mut farm = host::zvonar(["farm", "--listen", "127.0.0.1:0", "--answers"]);
        let output = farm.arg(folder.path()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused().contains("has no file as 21.wav"), "{}", refused());
    audio::write_wav(&folder.path().join("yes.wav"), &[0.0; 800], 8000).unwrap();
    assert!(refused().contains("nobody would say"), "{}", refused());
}

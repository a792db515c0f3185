//! Everything that a guest must not do, one thing at a time, by the setting `deed`. The host's tests run it beside
//! well-behaved neighbours.

mod bindings;

use std::hint::black_box;

use bindings::Guest;
use bindings::zvonar::scenario::line::{self, Destination, KeysWanted, LineError, Part, Question, TransferOptions};
use bindings::zvonar::scenario::{host, lead, outcome, settings, sms};

struct Naughty;

bindings::export!(Naughty with_types_in bindings);

impl Guest for Naughty {
    fn run() -> Result<(), String> {
        match settings::get("deed").as_deref() {
            Some("loop") => spin(),
            Some("memory") => eat_memory(),
            Some("panic") => panic!("on purpose"),
            Some("recursion") => drop(black_box(recurse(0))),
            Some("host-calls") => flood_host(),
            Some("log") => flood_log(),
            Some("large-call") => host::log(host::Level::Info, &"x".repeat(1 << 20)),
            Some("notes") => flood_notes(),
            Some("error") => return Err("I give up".into()),
            Some("wrong-result") => return wrong_result(),
            Some("wrong-asks") => return wrong_asks(),
            Some("after-hangup") => after_hangup(),
            Some("short-waits") => short_waits(),
            Some("sms") => flood_sms(),
            Some("long-texts") => flood_long_texts(),
            Some("zero-asks") => ask_without_waiting(),
            Some("zero-waits") => wait_without_waiting(),
            Some("zero-plays") => play_nothing(),
            Some("refusals") => flood_refusals(),
            Some("behave") => return behave(),
            Some("everything") => everything(),
            other => return Err(format!("there is no deed {other:?}")),
        }
        Ok(())
    }
}

/// Computes for ever.
#[inline(never)]
fn spin() {
    let mut n = 0u64;
    while black_box(n) < u64::MAX {
        n += 1;
    }
}

/// Allocates for ever.
#[inline(never)]
fn eat_memory() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

/// Calls itself for ever.
#[inline(never)]
#[allow(unconditional_recursion, reason = "on purpose")]
fn recurse(depth: u64) -> u64 {
    // Small frames: large ones would leave the guest's own stack in linear memory first, which is an ordinary trap.
    recurse(black_box(depth) + 1).wrapping_add(depth)
}

/// Calls the host for ever.
#[inline(never)]
fn flood_host() {
    loop {
        black_box(host::random());
    }
}

/// Logs for ever.
#[inline(never)]
fn flood_log() {
    loop {
        host::log(host::Level::Info, "and another thing");
    }
}

/// Writes to the card for ever.
#[inline(never)]
fn flood_notes() {
    let text = "?".repeat(10_000);
    loop {
        lead::note(&text);
    }
}

/// Sets a result that the manifest does not declare, and hands the host's words on.
fn wrong_result() -> Result<(), String> {
    outcome::set_result("Такого нет")
}

/// Asks the line for what does not exist, and gathers the host's words.
fn wrong_asks() -> Result<(), String> {
    let prompts = [
        vec![Part::Clip("no-such-clip".into())],
        vec![Part::Say("привет".into())],
        vec![Part::Number(5)],
        vec![Part::Digits("12".into())],
        vec![Part::Pause(1); 65],
    ];
    let mut words = Vec::new();
    for prompt in prompts {
        match line::play(&prompt) {
            Err(LineError::Refused(why)) => words.push(why),
            other => words.push(format!("{other:?}")),
        }
    }
    Err(words.join("\n"))
}

/// Goes on talking to a dead line.
#[inline(never)]
fn after_hangup() {
    line::hangup();
    loop {
        let _ = black_box(line::wait(1_000));
    }
}

/// Computes all the time and waits a moment now and then, to look as if it talked.
#[inline(never)]
fn short_waits() {
    loop {
        let mut n = 0u64;
        while black_box(n) < 3_000_000 {
            n += 1;
        }
        if line::wait(1).is_err() {
            return;
        }
    }
}

/// Sends texts for ever.
#[inline(never)]
fn flood_sms() {
    loop {
        let _ = black_box(sms::send(None, "Купите ещё"));
    }
}

/// Makes the host copy and look at texts that are as long as it takes, for ever.
#[inline(never)]
fn flood_long_texts() {
    let text = "ы".repeat(60 << 10);
    loop {
        let _ = black_box(lead::set_field(&text, ""));
        let _ = black_box(outcome::set_result(&text));
        black_box(lead::field(&text));
        lead::note(&text);
        let _ = black_box(sms::send(Some(&text), &text[..1024]));
    }
}

/// Asks, and waits for no answer, for ever.
#[inline(never)]
fn ask_without_waiting() {
    let keys = KeysWanted { max: 1, finish: None, first: 0, between: 0 };
    let question = Question {
        prompt: Vec::new(),
        keys: Some(keys),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    };
    while line::ask(&question).is_ok() {}
}

/// Waits for no time, for ever.
#[inline(never)]
fn wait_without_waiting() {
    while line::wait(0).is_ok() {}
}

/// Plays nothing, for ever.
#[inline(never)]
fn play_nothing() {
    while line::play(&[]).is_ok() {}
}

/// Asks for what there is not, for ever.
#[inline(never)]
fn flood_refusals() {
    loop {
        let _ = black_box(line::play(&[Part::Say("привет".into())]));
        let _ = black_box(line::record_voice(0, 0));
    }
}

/// What a neighbour does.
fn behave() -> Result<(), String> {
    for _ in 0..5 {
        match line::wait(20) {
            Ok(()) => {}
            Err(_) => return Ok(()),
        }
    }
    outcome::set_result("Хорошо")
}

/// Not naughty: calls whatever else there is once, for the trace.
fn everything() {
    line::about();
    host::now();
    host::random();
    host::log(host::Level::Warn, "a line");
    lead::field("Имя");
    let _ = lead::set_field("Имя", "Пётр");
    lead::field("Имя");
    let _ = lead::set_field("", "nobody");
    lead::note("хочет перезвонить");
    lead::block("просил не звонить");
    let _ = sms::send(None, "Ждём вас");
    let options = TransferOptions { longest_wait: 1_000, music: None, call_back_project: None };
    let _ = line::transfer(&Destination::Operator(None), &options);
    let _ = line::record_voice(1_000, 500);
    let _ = line::play(&[Part::Pause(300)]);
    let _ = line::wait(200);
}

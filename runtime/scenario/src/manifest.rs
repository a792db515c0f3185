//! `scenario.toml`: what a package says about itself.
//!
//! ```toml
//! name = "menu"                 # letters, digits, - and _
//! version = "0.1.0"
//! title = "Запись по кнопке"    # for people; the name if absent
//! language = "rust"             # which toolchain `zvonar build` runs
//! source = "../../guest-examples/rust-menu"   # where the code is; absent: beside this file
//! component = "menu.wasm"       # what is run
//! prompts = "prompts"           # a folder of *.wav
//! speech = "ru"                 # the language of its questions in words; absent: it asks for keys alone
//! speech-needed = false         # a host that recognises no speech may run it too: there it asks for keys alone
//! hours = "ru-default"          # when it may call: any, ru-default (9–21 there) or fz230 (debts); absent: any
//! operator-script = "Клиент просил перезвонить"   # what an operator reads when a call is handed to him
//!
//! [texts]                       # what the prompts say; one without a sound is spoken by `zvonar build`
//! menu = "Здравствуйте! Нажмите один, чтобы записаться."
//!
//! [[results]]                   # every result that the scenario may set
//! name = "Записаться"
//! group = "success"             # success, refusal or neutral
//!
//! [[settings]]                  # the form that a project's owner fills in
//! name = "repeats"
//! type = "number"               # text, number, yes-no, choice, or sms: the text of a message
//! default = "1"
//! help = "Сколько раз повторить меню"
//!
//! [limits]                      # absent: what the tenant grants
//! memory-mib = 4                # absent: 32, or twice what it begins with; the tenant's grant is the ceiling
//! cpu-ms = 50
//! call-seconds = 120
//! host-calls = 500
//! log-lines = 50
//! sms = 1
//!
//! [fallback]                    # what a caller hears when the scenario fails; then the call is hung up
//! prompt = "fallback"
//! ```
//!
//! Reading finds every fault, not the first one, and names its line. A key that is not in the list above is a fault: it
//! is usually a misspelt one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use crate::WantedLimits;

/// Spanned as in `toml`'s own documents.
type Spanned<T> = toml::Spanned<T>;

/// What a package says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The scenario's name, 1 to 64 of `[A-Za-z0-9_-]`.
    pub name: String,
    /// Its version, as the author counts.
    pub version: String,
    /// What people read.
    pub title: String,
    /// Which toolchain builds it.
    pub language: Option<String>,
    /// Where its source is, relative to the package.
    pub source: Option<PathBuf>,
    /// The component, relative to the package and inside it.
    pub component: PathBuf,
    /// The folder of prompts, relative to the package and inside it.
    pub prompts: PathBuf,
    /// What it needs to hear; `None`: keys alone.
    pub speech: Option<Speech>,
    /// When it may call.
    pub hours: Hours,
    /// What an operator reads when a call is handed to him.
    pub operator_script: Option<String>,
    /// What the prompts say, by name. One that has no sound yet is enough to try the scenario in the terminal.
    pub texts: BTreeMap<Arc<str>, String>,
    /// The results it may set, in the order of the reports.
    pub results: Vec<ResultName>,
    /// The form of a project's settings, in the order of the screen.
    pub settings: Vec<Setting>,
    /// The limits it asks for.
    pub limits: WantedLimits,
    /// What a caller hears when it fails.
    pub fallback: Fallback,
}

/// That a scenario asks questions in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// The language of the answers, as `ru`.
    pub language: String,
    /// Whether it is of no use without: `false` if it asks for keys alone where its question is refused.
    pub needed: bool,
}

impl Manifest {
    /// Whether a host can hear what the scenario listens for. `hears`: the language that the host recognises, if any.
    ///
    /// # Errors
    ///
    /// A sentence that says what to do.
    pub fn check_speech(&self, hears: Option<&str>) -> Result<(), String> {
        let Some(Speech { language, needed: true }) = &self.speech else { return Ok(()) };
        match hears {
            Some(hears) if hears == language => Ok(()),
            Some(hears) => Err(format!(
                "scenario {} listens for words in `{language}`, and this host recognises `{hears}`: deploy it where \
                 [speech] has `language = \"{language}\"`",
                self.name
            )),
            None => Err(format!(
                "scenario {} listens for words (`speech = \"{language}\"`), and this host recognises none: fetch a model \
                 (`zvonar model fetch base`) and name it in [speech] of the host's configuration; or, if keys alone will \
                 do, write `speech-needed = false` into scenario.toml",
                self.name
            )),
        }
    }
}

/// A result that a scenario may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultName {
    /// As the reports show it.
    pub name: String,
    /// What kind of end it is.
    pub group: ResultGroup,
}

/// What kind of end a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResultGroup {
    /// What the project was made for.
    Success,
    /// A no.
    Refusal,
    /// Anything else.
    Neutral,
}

/// A field of the settings form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// By which the scenario asks for it.
    pub name: String,
    /// What may be filled in.
    pub kind: SettingKind,
    /// The value when nothing is filled in.
    pub default: Option<String>,
    /// A sentence beside the field.
    pub help: String,
}

/// What may be filled into a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// `yes` or `no`.
    YesNo,
    /// One of these.
    Choice(Vec<String>),
    /// The text of a message, ten segments at most.
    Sms,
}

/// A preset of calling hours, in the time of the person who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hours {
    /// Whenever the project says.
    #[default]
    Any,
    /// 9 to 21.
    RuDefault,
    /// What 230-ФЗ allows for debts: workdays 8 to 22, weekends and holidays 9 to 20.
    Fz230,
}

/// What a caller hears when the scenario traps, spends a limit or returns an error. Then the call is hung up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fallback {
    /// The clip; `None`: hang up at once.
    pub prompt: Option<Arc<str>>,
}

/// Ten segments of 67 characters, as Cyrillic has them.
const SMS_CHARACTERS: usize = 670;
/// The longest text of a prompt, in bytes: two minutes of speech.
const TEXT_BYTES: usize = 4096;

impl Setting {
    /// Whether the text fits the field; the error is a sentence.
    fn check(&self, value: &str) -> Result<(), String> {
        let fits = match &self.kind {
            SettingKind::Text => return Ok(()),
            SettingKind::Sms if value.chars().count() <= SMS_CHARACTERS => return Ok(()),
            SettingKind::Sms => {
                return Err(format!(
                    "setting `{}` is a message of at most {SMS_CHARACTERS} characters (ten segments), not {}",
                    self.name,
                    value.chars().count()
                ));
            }
            SettingKind::Number if value.parse::<i64>().is_ok() => return Ok(()),
            SettingKind::YesNo if matches!(value, "yes" | "no") => return Ok(()),
            SettingKind::Choice(options) if options.iter().any(|option| option == value) => return Ok(()),
            SettingKind::Number => "a whole number".to_owned(),
            SettingKind::YesNo => "`yes` or `no`".to_owned(),
            SettingKind::Choice(options) => format!("one of `{}`", options.join("`, `")),
        };
        Err(format!("setting `{}` must be {fits}, not `{value}`", self.name))
    }
}

impl Manifest {
    /// The settings of a project: what was filled in, checked, with the defaults for the rest. The error has a sentence
    /// for each value that does not fit and each name that the form does not have.
    pub fn fill_settings(
        &self,
        filled: &BTreeMap<String, String>,
    ) -> Result<Arc<BTreeMap<String, String>>, Vec<String>> {
        let mut faults: Vec<String> = filled
            .keys()
            .filter(|name| !self.settings.iter().any(|setting| setting.name == **name))
            .map(|name| {
                let known: Vec<&str> = self.settings.iter().map(|setting| &*setting.name).collect();
                let hint = near(name, &known).map(|near| format!(", do you mean `{near}`?"));
                format!("scenario {} has no setting `{name}`{}", self.name, hint.unwrap_or_default())
            })
            .collect();
        let mut values = BTreeMap::new();
        for setting in &self.settings {
            let Some(value) = filled.get(&setting.name).or(setting.default.as_ref()) else { continue };
            match setting.check(value) {
                Ok(()) => drop(values.insert(setting.name.clone(), value.clone())),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Arc::new(values)) } else { Err(faults) }
    }

    /// Reads a manifest; every fault with its line (counted from 1).
    pub(crate) fn read(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut reader = Reader { text, faults: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.fault(error.span().map_or(0, |span| span.start), error.message().to_owned());
        }
        let manifest = reader.manifest(root.get_ref());
        match (reader.faults.is_empty(), manifest) {
            (true, Some(manifest)) => Ok(manifest),
            _ => {
                reader.faults.sort();
                reader.faults.dedup();
                Err(reader.faults)
            }
        }
    }
}

/// The known word that this one was probably meant to be.
fn near<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |other: &str| strsim::jaro_winkler(other, word);
    let nearest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    nearest.filter(|nearest| likeness(nearest) > 0.75)
}

/// Walks the document and gathers faults. A value that is missing or wrong becomes `None` after its fault is noted.
struct Reader<'t> {
    text: &'t str,
    faults: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn fault(&mut self, byte: usize, what: String) {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        self.faults.push((1 + before.iter().filter(|b| **b == b'\n').count(), what));
    }

    fn manifest(&mut self, root: &DeTable<'_>) -> Option<Manifest> {
        let known = [
            "name",
            "version",
            "title",
            "language",
            "source",
            "component",
            "prompts",
            "speech",
            "speech-needed",
            "hours",
            "operator-script",
            "texts",
            "results",
            "settings",
            "limits",
            "fallback",
        ];
        self.known_keys(root, "", &known);
        let name = self.required(root, "name", 0);
        if let Some(name) = &name {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
                self.fault_at(
                    root,
                    "name",
                    format!("`name` is 1 to 64 letters a-z A-Z, digits, `-` and `_`, not `{name}`"),
                );
            }
        }
        let version = self.required(root, "version", 0);
        let title = self.text_of(root, "title");
        let language = self.text_of(root, "language");
        let source = self.text_of(root, "source").map(PathBuf::from);
        let component =
            self.required(root, "component", 0).and_then(|path| self.inside(root, "component", path));
        let prompts = self.text_of(root, "prompts").unwrap_or_else(|| "prompts".into());
        let prompts = self.inside(root, "prompts", prompts);
        let speech = self.speech(root);
        let hours = match self.text_of(root, "hours").as_deref() {
            None | Some("any") => Hours::Any,
            Some("ru-default") => Hours::RuDefault,
            Some("fz230") => Hours::Fz230,
            Some(other) => {
                let fault = format!("`hours` is `any`, `ru-default` or `fz230`, not `{other}`");
                self.fault_at(root, "hours", fault);
                Hours::Any
            }
        };
        let operator_script = self.text_of(root, "operator-script");
        let texts = self.prompt_texts(root);
        let results = self.results(root);
        let settings = self.settings(root);
        let limits = self.limits(root);
        let fallback = self.fallback(root);
        Some(Manifest {
            title: title.or_else(|| name.clone())?,
            name: name?,
            version: version?,
            language,
            source,
            component: component?,
            prompts: prompts?,
            speech,
            hours,
            operator_script,
            texts,
            results,
            settings,
            limits,
            fallback,
        })
    }

    fn speech(&mut self, root: &DeTable<'_>) -> Option<Speech> {
        let needed = root
            .get("speech-needed")
            .and_then(|value| self.expect("speech-needed", value, "true or false", |value| value.as_bool()));
        let Some(language) = self.text_of(root, "speech") else {
            if needed.is_some() && !root.contains_key("speech") {
                let fault = "`speech-needed` says nothing without `speech`, the language of the answers";
                self.fault_at(root, "speech-needed", fault.into());
            }
            return None;
        };
        if language.len() != 2 || !language.chars().all(|c| c.is_ascii_lowercase()) {
            let fault = format!("`speech` is a language of two letters as `ru` or `en`, not `{language}`");
            self.fault_at(root, "speech", fault);
        }
        Some(Speech { language, needed: needed.unwrap_or(true) })
    }

    fn prompt_texts(&mut self, root: &DeTable<'_>) -> BTreeMap<Arc<str>, String> {
        let mut texts = BTreeMap::new();
        let Some(table) = self.table(root, "texts") else { return texts };
        for (key, value) in table {
            let (name, start) = (key.get_ref(), key.span().start);
            let Some(text) =
                self.expect(name, value, "a text in quotes", |value| value.as_str().map(str::to_owned))
            else {
                continue;
            };
            // It becomes the name of a file.
            if !name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') {
                self.fault(
                    start,
                    format!("a prompt's name is made of letters, digits, - and _, not `{name}`"),
                );
            } else if text.trim().is_empty() || text.len() > TEXT_BYTES {
                self.fault(start, format!("the text of prompt `{name}` must have 1 to {TEXT_BYTES} bytes"));
            } else {
                texts.insert(Arc::from(name.as_ref()), text);
            }
        }
        texts
    }

    fn results(&mut self, root: &DeTable<'_>) -> Vec<ResultName> {
        let mut results: Vec<ResultName> = Vec::new();
        for (start, table) in self.tables(root, "results") {
            self.known_keys(table, "[[results]] ", &["name", "group"]);
            let group = match self.text_of(table, "group").as_deref() {
                Some("success") => ResultGroup::Success,
                Some("refusal") => ResultGroup::Refusal,
                Some("neutral") | None => ResultGroup::Neutral,
                Some(other) => {
                    let fault =
                        format!("`group` of a result is `success`, `refusal` or `neutral`, not `{other}`");
                    self.fault_at(table, "group", fault);
                    ResultGroup::Neutral
                }
            };
            let Some(name) = self.required(table, "name", start) else { continue };
            if name.trim().is_empty() {
                self.fault_at(table, "name", "a result's `name` must not be empty".into());
            } else if results.iter().any(|result| result.name == name) {
                self.fault_at(table, "name", format!("result `{name}` is declared twice"));
            } else {
                results.push(ResultName { name, group });
            }
        }
        results
    }

    fn settings(&mut self, root: &DeTable<'_>) -> Vec<Setting> {
        let mut settings: Vec<Setting> = Vec::new();
        for (start, table) in self.tables(root, "settings") {
            self.known_keys(table, "[[settings]] ", &["name", "type", "options", "default", "help"]);
            let options = self.texts(table, "options");
            let kind = match (self.text_of(table, "type").as_deref(), options) {
                (Some("text") | None, None) => SettingKind::Text,
                (Some("number"), None) => SettingKind::Number,
                (Some("yes-no"), None) => SettingKind::YesNo,
                (Some("sms"), None) => SettingKind::Sms,
                (Some("choice"), Some(options)) if !options.is_empty() => SettingKind::Choice(options),
                (Some("choice"), _) => {
                    let fault = "a setting of type `choice` needs `options`, a list of texts".to_owned();
                    self.fault(start, fault);
                    SettingKind::Text
                }
                (Some("text" | "number" | "yes-no" | "sms") | None, Some(_)) => {
                    self.fault_at(table, "options", "only a setting of type `choice` has `options`".into());
                    SettingKind::Text
                }
                (Some(other), _) => {
                    let fault = format!(
                        "`type` of a setting is `text`, `number`, `yes-no`, `choice` or `sms`, not `{other}`"
                    );
                    self.fault_at(table, "type", fault);
                    SettingKind::Text
                }
            };
            let default = self.text_of(table, "default");
            let help = self.text_of(table, "help").unwrap_or_default();
            let Some(name) = self.required(table, "name", start) else { continue };
            let setting = Setting { name, kind, default, help };
            if let Some(Err(fault)) = setting.default.as_deref().map(|value| setting.check(value)) {
                self.fault_at(table, "default", fault);
            }
            if settings.iter().any(|other| other.name == setting.name) {
                self.fault_at(table, "name", format!("setting `{}` is declared twice", setting.name));
            } else {
                settings.push(setting);
            }
        }
        settings
    }

    fn limits(&mut self, root: &DeTable<'_>) -> WantedLimits {
        let Some(table) = self.table(root, "limits") else { return WantedLimits::default() };
        let known = ["memory-mib", "cpu-ms", "call-seconds", "host-calls", "log-lines", "sms"];
        self.known_keys(table, "[limits] ", &known);
        WantedLimits {
            memory_bytes: self.number(table, "memory-mib").map(|mib| u64::from(mib) << 20),
            cpu: self.number(table, "cpu-ms").map(|ms| Duration::from_millis(ms.into())),
            call: self.number(table, "call-seconds").map(|s| Duration::from_secs(s.into())),
            host_calls: self.number(table, "host-calls"),
            log_lines: self.number(table, "log-lines"),
            sms: self.number(table, "sms"),
        }
    }

    fn fallback(&mut self, root: &DeTable<'_>) -> Fallback {
        let Some(table) = self.table(root, "fallback") else { return Fallback::default() };
        self.known_keys(table, "[fallback] ", &["prompt"]);
        Fallback { prompt: self.text_of(table, "prompt").map(Arc::from) }
    }

    /// A path that stays in the package: packages come from uploads.
    fn inside(&mut self, table: &DeTable<'_>, key: &str, path: String) -> Option<PathBuf> {
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.is_empty() && Path::new(&path).components().all(plain) {
            return Some(path.into());
        }
        self.fault_at(table, key, format!("`{key}` must be a path inside the package, not `{path}`"));
        None
    }

    fn known_keys(&mut self, table: &DeTable<'_>, of: &str, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let of = if of.is_empty() { "a manifest " } else { of };
                let hint = match near(key.get_ref(), known) {
                    Some(near) => format!(", do you mean `{near}`?"),
                    None => format!("; there are `{}`", known.join("`, `")),
                };
                self.fault(key.span().start, format!("{of}has no key `{}`{hint}", key.get_ref()));
            }
        }
    }

    fn fault_at(&mut self, table: &DeTable<'_>, key: &str, what: String) {
        let byte = table.get(key).map_or(0, |value| value.span().start);
        self.fault(byte, what);
    }

    fn required(&mut self, table: &DeTable<'_>, key: &str, start: usize) -> Option<String> {
        if table.get(key).is_none() {
            self.fault(start, format!("`{key}` is missing"));
        }
        self.text_of(table, key)
    }

    fn text_of(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        self.expect(key, value, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    fn number(&mut self, table: &DeTable<'_>, key: &str) -> Option<u32> {
        let value = table.get(key)?;
        self.expect(key, value, "a whole number from 1 to 4294967295", |value| {
            let number = value.as_integer()?;
            u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| *n > 0)
        })
    }

    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<String>> {
        let value = table.get(key)?;
        self.expect(key, value, "a list of different texts", |value| {
            let array: &DeArray<'_> = value.as_array()?;
            let texts: Option<Vec<String>> =
                array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.filter(|texts| texts.iter().collect::<BTreeSet<_>>().len() == texts.len())
        })
    }

    fn table<'d, 'i>(&mut self, root: &'d DeTable<'i>, key: &str) -> Option<&'d DeTable<'i>> {
        let value = root.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.fault(value.span().start, format!("`{key}` must be a table: write `[{key}]`"));
        }
        table
    }

    /// The tables of `[[key]]`, each with where it begins.
    fn tables<'d, 'i>(&mut self, root: &'d DeTable<'i>, key: &str) -> Vec<(usize, &'d DeTable<'i>)> {
        let Some(value) = root.get(key) else { return Vec::new() };
        let read = || {
            let items = value.get_ref().as_array()?.iter();
            items.map(|item| Some((item.span().start, item.get_ref().as_table()?))).collect()
        };
        let tables: Option<Vec<_>> = read();
        if tables.is_none() {
            self.fault(value.span().start, format!("`{key}` must be a list of tables: write `[[{key}]]`"));
        }
        tables.unwrap_or_default()
    }

    fn expect<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        let got = read(value.get_ref());
        if got.is_none() {
            self.fault(value.span().start, format!("`{key}` must be {wanted}"));
        }
        got
    }
}

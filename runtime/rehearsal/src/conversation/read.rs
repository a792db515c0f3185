//! Reading one file: every fault, with its line and what would be right.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use zvonar_model::{Direction, Kopecks};
use zvonar_scenario::PackageFault;
use zvonar_scenario::ports::{Destination, TransferEnd};
use zvonar_scenario::question::is_key;

use super::yaml::{self, Node, Value};
use super::{At, Conversation, Expect};
use crate::clock::read_now;
use crate::gateway::GatewayManner;
use crate::line::Hearing;
use crate::script::{Expected, Step};
use crate::stage::Setup;
use crate::timeline::Side;

/// The largest file that is read: a mistaken one should be said to be one.
const LARGEST: u64 = 256 << 10;
/// The longest time that a step may take.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

const STEPS: [&str; 7] = ["hears", "press", "says", "silence", "hangs-up", "transfer", "machine"];

/// Reads a file of a package.
pub(super) fn file(path: &Path) -> Result<Conversation, Vec<PackageFault>> {
    let fault = |line, what| PackageFault { file: path.to_owned(), line, what };
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    if size > LARGEST {
        let what = format!("a conversation has at most {LARGEST} bytes, this one has {size}");
        return Err(vec![fault(None, what)]);
    }
    let text = fs::read_to_string(path)
        .map_err(|why| vec![fault(None, format!("the conversation cannot be read: {why}"))])?;
    conversation(path, &text)
        .map_err(|faults| faults.into_iter().map(|(line, what)| fault(Some(line), what)).collect())
}

/// Reads the text of a file.
pub(super) fn conversation(path: &Path, text: &str) -> Result<Conversation, Vec<yaml::Fault>> {
    let root = yaml::read(text).map_err(|fault| vec![fault])?;
    let mut reader = Reader::default();
    let conversation = reader.conversation(path, &root);
    reader.faults.sort();
    if reader.faults.is_empty() { Ok(conversation) } else { Err(reader.faults) }
}

/// Reads one step as a program writes it: `{"press": "1", "after": "3s"}`, or `"machine"`. JSON is YAML.
pub(crate) fn step_of_json(text: &str) -> Result<Step, String> {
    let node = yaml::read(text).map_err(|(_, what)| what)?;
    let mut reader = Reader::default();
    let step = reader.step(&node);
    match (step, reader.faults.into_iter().next()) {
        (Some(step), None) => Ok(step),
        (_, Some((_, what))) => Err(what),
        (None, None) => Err("this is no step".into()),
    }
}

/// The known word that was probably meant.
pub(super) fn near<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |other: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    let (nearest, distance) =
        known.into_iter().map(|other| (other, distance(other))).min_by_key(|(_, d)| *d)?;
    (distance <= 1 + word.chars().count() / 4).then_some(nearest)
}

/// Gathers faults. A value that is missing or wrong becomes `None`, or the usual, after its fault is noted.
#[derive(Default)]
struct Reader {
    faults: Vec<yaml::Fault>,
}

impl Reader {
    fn fault(&mut self, line: usize, what: impl Display) {
        self.faults.push((line, what.to_string()));
    }

    fn wrong(&mut self, node: &Node, name: &str, wanted: &str) {
        self.fault(node.line, format!("`{name}` is {wanted}, not {}", node.kind()));
    }

    fn conversation(&mut self, path: &Path, root: &Node) -> Conversation {
        let known =
            ["title", "call", "now", "seed", "fields", "settings", "host", "tariff", "talk", "expect"];
        let fields = self.map(root, "a conversation", &known);
        let get = |name: &str| fields.iter().find(|(key, ..)| key == name).map(|(_, _, node)| node);
        let mut setup = Setup::default();
        self.call(get("call"), &mut setup);
        if let Some(now) = get("now").and_then(|node| self.text(node, "now")) {
            match read_now(&now.value) {
                Ok(time) => setup.now = Some(time),
                Err(why) => self.fault(now.line, format!("`now`: {why}")),
            }
        }
        if let Some(seed) = get("seed") {
            setup.seed = self.number(seed, "seed").unwrap_or_default();
        }
        setup.fields = get("fields").map(|node| self.texts_by_name(node, "fields")).unwrap_or_default();
        self.host(get("host"), &mut setup);
        let settings =
            get("settings").map(|node| At { line: node.line, value: self.texts_by_name(node, "settings") });
        let title = get("title").and_then(|node| self.text(node, "title")).map(|title| title.value);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let tariff = get("tariff").and_then(|node| self.inside(node));
        let talk = match get("talk").map(|node| (&node.value, node)) {
            None | Some((Value::Null, _)) => VecDeque::new(),
            Some((Value::List(steps), _)) => {
                steps.iter().filter_map(|node| Some((node.line, self.step(node)?))).collect()
            }
            Some((_, node)) => {
                self.wrong(node, "talk", "a list of steps: write `- press: \"1\"`");
                VecDeque::new()
            }
        };
        if let Some((line, _)) = talk.iter().skip(1).find(|(_, step)| *step == Step::Machine) {
            self.fault(*line, "`machine` is the first step, or none");
        }
        let expect = get("expect").map(|node| self.expect(node)).unwrap_or_default();
        Conversation {
            file: path.to_owned(),
            title: title.or(stem).unwrap_or_default(),
            setup,
            settings: settings.unwrap_or(At { line: 1, value: BTreeMap::new() }),
            tariff,
            prices: None,
            talk,
            expect,
        }
    }

    fn call(&mut self, node: Option<&Node>, setup: &mut Setup) {
        let Some(node) = node else { return };
        for (key, _, value) in self.map(node, "`call`", &["direction", "caller", "callee", "attempt"]) {
            match key.as_str() {
                "direction" => match value.text() {
                    Some("outbound") => setup.direction = Direction::Outbound,
                    Some("inbound") => setup.direction = Direction::Inbound,
                    _ => self.wrong(value, "direction", "`outbound` or `inbound`"),
                },
                "caller" => self.set_text(value, key, &mut setup.caller),
                "callee" => self.set_text(value, key, &mut setup.callee),
                _ => setup.attempt = self.number(value, key).unwrap_or(1),
            }
        }
    }

    fn host(&mut self, node: Option<&Node>, setup: &mut Setup) {
        let Some(node) = node else { return };
        for (key, _, value) in self.map(node, "`host`", &["speech", "transfers", "recordings", "sms"]) {
            match (key.as_str(), value.text()) {
                ("speech", Some("busy")) => setup.abilities.speech = Hearing::Busy,
                ("speech", _) => {
                    if self.yes(value, key, "`yes`, `no` or `busy`") == Some(false) {
                        setup.abilities.speech = Hearing::Deaf;
                    }
                }
                ("transfers", _) => {
                    setup.abilities.transfers = self.yes(value, key, "`yes` or `no`").unwrap_or(true);
                }
                ("recordings", _) => {
                    setup.abilities.recordings = self.yes(value, key, "`yes` or `no`").unwrap_or(true);
                }
                _ if matches!(value.value, Value::Map(_)) => {
                    for (key, _, value) in self.map(value, "`sms`", &["refuses", "price"]) {
                        if key == "refuses" {
                            let why = self.text(value, key).map(|why| why.value).unwrap_or_default();
                            setup.gateway = GatewayManner::Refuses(why);
                        } else {
                            setup.sms_price = Kopecks(self.number(value, key).unwrap_or(0));
                        }
                    }
                }
                _ => {
                    let wanted = "`yes`, `no`, `{ refuses: \"…\" }` or `{ price: 350 }`";
                    if self.yes(value, key, wanted) == Some(false) {
                        setup.gateway = GatewayManner::Absent;
                    }
                }
            }
        }
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        let fields = match &node.value {
            Value::Text(word) => {
                return match word.as_str() {
                    "silence" => Some(Step::Silence(None)),
                    "hangs-up" => Some(Step::HangsUp { after: None }),
                    "machine" => Some(Step::Machine),
                    _ => {
                        self.fault(node.line, unknown_step(word));
                        None
                    }
                };
            }
            Value::Map(fields) => fields,
            Value::Null | Value::List(_) => {
                self.wrong(node, "talk", "a list of steps: write `- press: \"1\"`");
                return None;
            }
        };
        let mut after = None;
        let mut step = None;
        for (key, line, value) in fields {
            match key.as_str() {
                "after" => after = Some((*line, self.time(value, key))),
                key if !STEPS.contains(&key) => self.fault(*line, unknown_step(key)),
                key if step.is_some() => {
                    self.fault(*line, format!("one step does one thing; begin a new one: `- {key}: …`"));
                }
                _ => step = Some((key.as_str(), value)),
            }
        }
        let Some((name, value)) = step else {
            if fields.iter().all(|(key, ..)| key == "after") {
                let there = STEPS.join("`, `");
                self.fault(
                    node.line,
                    format!("a step says what happens, not only when; there are `{there}`"),
                );
            }
            return None;
        };
        let late = after.and_then(|(_, time)| time);
        let read = match name {
            "hears" => self.expected(value).map(Step::Hears),
            "press" => self.keys(value).map(|keys| Step::Press { keys, after: late }),
            "says" => {
                let said = self.text(value, "says");
                said.map(|text| Step::Says { text: text.value, after: late })
            }
            "silence" if value.value == Value::Null => Some(Step::Silence(None)),
            "silence" => self.time(value, "silence").map(|time| Step::Silence(Some(time))),
            "hangs-up" => self.hangs_up(value, late),
            "transfer" => self.transfer_end(value).map(|end| Step::Transfer { end, after: late }),
            _ => Some(Step::Machine),
        };
        let takes_after = matches!(name, "press" | "says" | "hangs-up" | "transfer");
        if let Some((line, _)) = after.filter(|_| !takes_after) {
            self.fault(line, format!("`{name}` has no `after`; put a `- silence: …` before it"));
        }
        read
    }

    fn expected(&mut self, node: &Node) -> Option<Expected> {
        match &node.value {
            Value::Text(text) if text.contains(char::is_whitespace) => Some(Expected::Words(text.clone())),
            Value::Text(clip) => Some(Expected::Clips(vec![clip.clone()])),
            Value::List(items) if !items.is_empty() => {
                let clips: Option<Vec<String>> =
                    items.iter().map(|item| item.text().map(str::to_owned)).collect();
                if clips.is_none() {
                    self.wrong(node, "hears", "a clip, a list of clips, or words of a prompt's text");
                }
                clips.map(Expected::Clips)
            }
            _ => {
                self.wrong(node, "hears", "a clip, a list of clips, or words of a prompt's text");
                None
            }
        }
    }

    fn keys(&mut self, node: &Node) -> Option<String> {
        let keys = node.text().filter(|keys| !keys.is_empty() && keys.chars().all(is_key));
        if keys.is_none() {
            self.wrong(node, "press", "one or more keys: 0 to 9, *, # and A to D, in quotes");
        }
        keys.map(str::to_owned)
    }

    fn hangs_up(&mut self, node: &Node, after: Option<Duration>) -> Option<Step> {
        match &node.value {
            Value::Null => Some(Step::HangsUp { after }),
            Value::Map(_) => {
                let fields = self.map(node, "`hangs-up`", &["after"]);
                let inner = fields.first().and_then(|(key, _, value)| self.time(value, key));
                Some(Step::HangsUp { after: inner.or(after) })
            }
            _ => {
                self.wrong(node, "hangs-up", "alone, or `{ after: 2s }`");
                None
            }
        }
    }

    fn transfer_end(&mut self, node: &Node) -> Option<TransferEnd> {
        let wanted = "`busy`, `no-answer`, `rejected`, `nobody`, `{ talked: 30s }` or `{ failed: \"…\" }`";
        match &node.value {
            Value::Text(word) => match word.as_str() {
                "busy" => return Some(TransferEnd::Busy),
                "no-answer" => return Some(TransferEnd::NoAnswer),
                "rejected" => return Some(TransferEnd::Rejected),
                "nobody" => return Some(TransferEnd::Nobody),
                _ => {}
            },
            Value::Map(fields) => match fields.as_slice() {
                [(key, _, value)] if key == "talked" => {
                    return self.time(value, key).map(TransferEnd::Talked);
                }
                [(key, _, value)] if key == "failed" => {
                    return self.text(value, key).map(|why| TransferEnd::Failed(why.value));
                }
                _ => {}
            },
            _ => {}
        }
        self.wrong(node, "transfer", wanted);
        None
    }

    fn expect(&mut self, node: &Node) -> Expect {
        let known = [
            "result", "hangs-up", "transfer", "sms", "fields", "notes", "blocked", "kopecks", "seconds",
            "fault",
        ];
        let mut expect = Expect::default();
        for (key, _, value) in self.map(node, "`expect`", &known) {
            let line = value.line;
            match key.as_str() {
                "result" => expect.result = self.text(value, key),
                "hangs-up" => match value.text() {
                    Some("robot") => expect.hangs_up = Some(At { line, value: Side::Robot }),
                    Some("caller") => expect.hangs_up = Some(At { line, value: Side::Caller }),
                    _ => self.wrong(value, key, "`robot` or `caller`"),
                },
                "transfer" => {
                    expect.transfer = self.destination(value).map(|value| At { line, value });
                }
                "sms" => expect.sms = self.texts_to(value).map(|value| At { line, value }),
                "fields" => {
                    for (name, _, value) in self.map(value, "`fields`", &[]) {
                        if let Some(value) = self.text(value, name) {
                            expect.fields.insert(name.clone(), value);
                        }
                    }
                }
                "notes" => expect.notes = self.list_of_texts(value, key).map(|value| At { line, value }),
                "blocked" => expect.blocked = self.text_or_none(value, key),
                "fault" => expect.fault = self.text_or_none(value, key),
                "kopecks" => expect.kopecks = self.number(value, key).map(|value| At { line, value }),
                _ => expect.seconds = self.number(value, key).map(|value| At { line, value }),
            }
        }
        expect
    }

    fn destination(&mut self, node: &Node) -> Option<Option<Destination>> {
        match &node.value {
            Value::Text(word) if word == "none" => return Some(None),
            Value::Map(fields) => match fields.as_slice() {
                [(key, _, value)] if key == "operator" => {
                    let group = value.text().map(str::to_owned);
                    if group.is_some() || value.value == Value::Null {
                        return Some(Some(Destination::Operator(group)));
                    }
                }
                [(key, _, value)] if key == "number" => {
                    return self.text(value, key).map(|number| Some(Destination::Number(number.value)));
                }
                _ => {}
            },
            _ => {}
        }
        self.wrong(
            node,
            "transfer",
            "`none`, `{ operator: null }`, `{ operator: group }` or `{ number: \"+7…\" }`",
        );
        None
    }

    fn texts_to(&mut self, node: &Node) -> Option<Vec<(Option<String>, String)>> {
        let items = match &node.value {
            Value::List(items) => items,
            Value::Text(word) if word == "none" => return Some(Vec::new()),
            Value::Null => return Some(Vec::new()),
            _ => {
                self.wrong(node, "sms", "a list of texts, or of `{ to: \"+7…\", text: \"…\" }`");
                return None;
            }
        };
        let mut texts = Vec::new();
        for item in items {
            if let Some(text) = item.text() {
                texts.push((None, text.to_owned()));
                continue;
            }
            let (mut to, mut text) = (None, None);
            for (key, _, value) in self.map(item, "a text message", &["to", "text"]) {
                let value = self.text(value, key).map(|text| text.value);
                if key == "to" { to = value } else { text = value }
            }
            match text {
                Some(text) => texts.push((to, text)),
                None => self.fault(item.line, "a text message needs its `text`"),
            }
        }
        Some(texts)
    }

    fn text_or_none(&mut self, node: &Node, name: &str) -> Option<At<Option<String>>> {
        match &node.value {
            Value::Null => Some(At { line: node.line, value: None }),
            _ => self
                .text(node, name)
                .map(|text| At { line: text.line, value: Some(text.value).filter(|text| text != "none") }),
        }
    }

    fn list_of_texts(&mut self, node: &Node, name: &str) -> Option<Vec<String>> {
        let texts = match &node.value {
            Value::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            Value::Text(word) if word == "none" => Some(Vec::new()),
            _ => None,
        };
        if texts.is_none() {
            self.wrong(node, name, "a list of texts");
        }
        texts
    }

    fn texts_by_name(&mut self, node: &Node, name: &str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, _, value) in self.map(node, &format!("`{name}`"), &[]) {
            if let Some(text) = self.text(value, key) {
                texts.insert(key.clone(), text.value);
            }
        }
        texts
    }

    fn inside(&mut self, node: &Node) -> Option<At<PathBuf>> {
        let path = self.text(node, "tariff")?;
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if Path::new(&path.value).components().all(plain) {
            return Some(At { line: path.line, value: path.value.into() });
        }
        self.fault(path.line, format!("`tariff` must be a path inside the package, not `{}`", path.value));
        None
    }

    /// The fields of a map that are known; no list of them: all are.
    fn map<'n>(&mut self, node: &'n Node, of: &str, known: &[&str]) -> Vec<&'n (String, usize, Node)> {
        let fields = match &node.value {
            Value::Map(fields) => fields.as_slice(),
            Value::Null => &[],
            _ => {
                self.fault(node.line, format!("{of} is a table of keys, `name: value`, not {}", node.kind()));
                &[]
            }
        };
        let (good, unknown): (Vec<_>, Vec<_>) =
            fields.iter().partition(|(key, ..)| known.is_empty() || known.contains(&key.as_str()));
        for (key, line, _) in unknown {
            let meant = near(key, known.iter().copied()).map(|near| format!(", do you mean `{near}`?"));
            let meant = meant.unwrap_or_else(|| format!("; there are `{}`", known.join("`, `")));
            self.fault(*line, format!("{of} has no key `{key}`{meant}"));
        }
        good
    }

    fn text(&mut self, node: &Node, name: &str) -> Option<At<String>> {
        match node.text() {
            Some(text) => Some(At { line: node.line, value: text.to_owned() }),
            None => {
                self.wrong(node, name, "a text");
                None
            }
        }
    }

    fn set_text(&mut self, node: &Node, name: &str, text: &mut String) {
        if let Some(read) = self.text(node, name) {
            *text = read.value;
        }
    }

    fn number<N: std::str::FromStr>(&mut self, node: &Node, name: &str) -> Option<N> {
        let number = node.text().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.wrong(node, name, "a whole number");
        }
        number
    }

    fn yes(&mut self, node: &Node, name: &str, wanted: &str) -> Option<bool> {
        match node.text() {
            Some("yes" | "true") => Some(true),
            Some("no" | "false" | "none") => Some(false),
            _ => {
                self.wrong(node, name, wanted);
                None
            }
        }
    }

    fn time(&mut self, node: &Node, name: &str) -> Option<Duration> {
        let time = node.text().and_then(time);
        if time.is_none() {
            self.wrong(node, name, "a time as `3s`, `1.5s`, `500ms` or `2m`");
        }
        time
    }
}

/// Reads `3s`, `1.5s`, `500ms`, `2m`.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let (number, unit_ms) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1000.0)
    } else {
        (text.strip_suffix('m')?, 60_000.0)
    };
    let number = number.trim_end();
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let millis = number.parse::<f64>().ok().filter(|_| plain)? * unit_ms;
    let time = Duration::try_from_secs_f64((millis / 1000.0 * 1e6).round() / 1e6).ok()?;
    (time <= LONGEST).then_some(time)
}

fn unknown_step(word: &str) -> String {
    let meant = near(word, STEPS.into_iter().chain(["after"])).map(|near| format!(", do you mean `{near}`?"));
    let meant = meant.unwrap_or_else(|| format!("; there are `{}`", STEPS.join("`, `")));
    format!("there is no step `{word}`{meant}")
}

//! The part of the demonstration in which callers are handed on: to operators with real telephones, to an external number,
//! and by text message.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use zvonar_tests::{
    baresip::{self, Account, Baresip},
    host::{self, Host, Report, Row, TransferRow},
    process::Process,
    project::{Config, Lead, Project},
};

use crate::{
    apt::{self, Package},
    guest,
    shell::step,
    table::{self, Side},
};

/// The project whose callers are handed on.
const PROJECT: &str = "operators";
/// Where those are put who left before anybody took them.
const CALL_BACK: &str = "callback";
/// An external number; its last two digits make the farm's callee pick up, talk and hang up.
const EXTERNAL: &str = "+74951234522";
/// How long an operator talks, in seconds; then he hangs up.
const TALK_S: f64 = 7.0;
/// The operators: id, name, the pitch that their telephones say.
const OPERATORS: [(&str, &str, f64); 2] = [("anna", "Анна", 500.0), ("boris", "Борис", 700.0)];
/// What a part of a text costs at the stand, in kopecks.
const SMS_PART: i64 = 180;
/// What a second of talk with an external number costs, in kopecks.
const EXTERNAL_S: i64 = 3;
/// What a second with the robot costs, in kopecks.
const ROBOT_S: i64 = 4;
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The talk: a table that people fill in who do not program.
const TABLE: &str = "1, оператор, соедините | | say: connecting; transfer:\n\
                     3 | | say: connecting; transfer: +74951234522\n\
                     4 | Согласен | sms: Ждём вас на дне открытых дверей в субботу! Вход свободный, начало в полдень, улица Ленина, дом 1.; say: thanks\n";

/// What a caller wants, and what must come of it.
enum Want {
    /// To be given this operator.
    Operator(&'static str),
    /// The same, said in words.
    InWords(&'static str),
    /// An operator, but not for long.
    NotForLong,
    /// The external number.
    External,
    /// A text message.
    Text,
}

/// Those who are called, in this order: both operators are idle, and the one who has been so for longer comes first; the
/// third caller waits for the first who is free again, the fourth does not wait.
const CALLERS: [(&str, Want); 7] = [
    ("+79161110001", Want::Operator("anna")),
    ("+79161110101", Want::Operator("boris")),
    ("+79161110201", Want::Operator("anna")),
    ("+79161110319", Want::NotForLong),
    ("+79161110420", Want::External),
    ("+79161110521", Want::Text),
    ("+79161110614", Want::InWords("boris")),
];

/// What this part needs, once it is there.
pub(super) struct Ready {
    /// The address on which the telephones work, and everybody who talks to them.
    pub(super) ip: IpAddr,
}

/// Installs and builds what this part needs. A machine that cannot have it is told why, and sees the rest.
pub(super) fn prepare() -> Option<Ready> {
    let ready = apt::ensure(&[Package { name: "baresip-core", program: "baresip" }])
        .and_then(|()| guest::build_handing_on())
        .and_then(|()| {
            baresip::address().ok_or_else(|| "baresip does not work here: see the line above".into())
        });
    match ready {
        Ok(ip) => Some(Ready { ip }),
        Err(why) => {
            eprintln!("zv: the callers that are handed to operators are left out: {why}");
            None
        }
    }
}

/// The pretend SMSC.
pub(super) struct Stand {
    process: Process,
    url: String,
}

impl Stand {
    /// Starts it on a free port.
    pub(super) fn start() -> Result<Self, String> {
        let price = SMS_PART.to_string();
        let arguments = [
            "smsc-stand",
            "--listen",
            "127.0.0.1:0",
            "--login",
            "demo",
            "--password",
            "secret",
            "--price",
            &price,
        ];
        let mut process = Process::spawn("zvonar smsc-stand", &mut host::zvonar(arguments))?;
        let ready = process.wait_for_line("listening on http://", LIMIT)?;
        let url = ready.split_once("http://").map(|(_, address)| format!("http://{}", address.trim()));
        Ok(Self { process, url: url.ok_or("the stand did not tell its address")? })
    }

    /// Stops it, and gives what was sent: to whom, and what.
    fn finish(mut self) -> Result<Vec<(String, String)>, String> {
        self.process.terminate(LIMIT)?;
        let sent = self.process.stdout();
        let text = |sent: &Value, name: &str| sent[name].as_str().unwrap_or_default().to_owned();
        let sent = sent.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(sent.map(|sent| (text(&sent, "phone"), text(&sent, "text"))).collect())
    }
}

/// The contacts; without a recogniser nobody speaks.
pub(super) fn leads(first: usize, hears: bool) -> Vec<Lead> {
    let callers = CALLERS.iter().filter(|(_, want)| hears || !matches!(want, Want::InWords(_)));
    super::leads(first, callers.map(|(phone, _)| *phone))
}

/// Adds this part to the configuration.
pub(super) fn configure(config: Config, ready: &Ready, stand: &Stand, leads: &[Lead]) -> Config {
    let mut config = config.scenario("table");
    config.listen = SocketAddr::new(ready.ip, config.listen.port());
    config.allow.push(format!("{}/32", ready.ip));
    config.tenant += &format!(
        "\n[tenant.desk]\nring_s = 10\nwrap_up_s = 0\n\n\
         [tenant.sms]\nlogin = \"demo\"\npassword = \"secret\"\nhosts = [\"{}\"]\n",
        stand.url
    );
    let project = |id: &str, scenario: &str, leads: &[Lead], settings| Project {
        id: id.into(),
        scenario: scenario.into(),
        lines: 10,
        ring_s: 8,
        max_calls: 1,
        leads: leads.to_vec(),
        settings,
    };
    let settings = [("table", TABLE), ("music", "music"), ("call-back-project", CALL_BACK), ("repeats", "2")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    config.projects.push(project(PROJECT, "table", leads, settings));
    config.projects.push(project(CALL_BACK, "menu", &[], Vec::new()));
    config
}

/// Makes the operators, in the store of a host that does not run yet; gives their telephones' passwords.
pub(super) fn make_operators(config: &Path) -> Result<BTreeMap<&'static str, String>, String> {
    let mut passwords = BTreeMap::new();
    for (id, name, _) in OPERATORS {
        let mut command = host::zvonar(["operator", "add", id, "--name", name, "--json", "--config"]);
        command.arg(config);
        let made = Process::spawn("zvonar operator add", &mut command)?.succeed(LIMIT)?;
        let made: Value = serde_json::from_str(made.trim()).map_err(|why| format!("{why} in {made}"))?;
        let password = made["phone"]["password"].as_str().ok_or_else(|| format!("no password in {made}"))?;
        passwords.insert(id, password.to_owned());
    }
    Ok(passwords)
}

/// Registers the operators' telephones at a host that runs; each dials `*71`: «Доступен».
pub(super) fn pick_up(
    host: &Host,
    folder: &Path,
    passwords: &BTreeMap<&'static str, String>,
) -> Result<Vec<Baresip>, String> {
    step("two operators register their telephones (baresip) and dial *71: «Доступен»");
    let mut telephones = Vec::new();
    for (id, _, voice_hz) in OPERATORS {
        let account = Account {
            user: format!("demo.{id}"),
            password: passwords[id].clone(),
            registrar: host.address,
            answers: true,
            voice_hz,
            voice_s: TALK_S,
        };
        let telephone = Baresip::register(folder, &account)?.ok_or("baresip has gone")?;
        telephone.tell("dial", "*71")?;
        telephones.push(telephone);
    }
    Ok(telephones)
}

/// Prints the rows, checks what came of each caller, and the kopecks of every phase.
pub(super) fn show(
    config: &Path,
    report: &Report,
    leads: &[Lead],
    stand: Stand,
    json: bool,
) -> Result<(), String> {
    let mut lines = vec![
        [
            "контакт",
            "чего хотел",
            "чем кончилось",
            "кто",
            "робот и ожидание, с",
            "из них ждал",
            "разговор, с",
            "за слова",
            "SMS",
            "копейки",
        ]
        .map(str::to_owned),
    ];
    let mut faults = Vec::new();
    for lead in leads {
        let want = &CALLERS.iter().find(|(phone, _)| *phone == lead.phone).expect("it is a list of them").1;
        // Whoever left before he was taken is called a second time, by the project for missed callers.
        super::row(report, lead)?;
        let rows = report.of_lead(lead);
        if let Err(why) = check(rows[0], want) {
            faults.push(format!("{}: {why}", lead.id));
        }
        lines.push(line(rows[0], &wanted(want)));
        lines.extend(rows[1..].iter().map(|row| line(row, "(перезвонили)")));
    }
    lines.push(sums(report, leads));
    if !json {
        println!(
            "Хотят оператора, другой номер или сообщение (scenarios/table; телефоны операторов: baresip)"
        );
        let (left, right) = (Side::Left, Side::Right);
        table::print([left, left, left, left, right, right, right, right, right, right], &lines);
    }
    let sent = stand.finish()?;
    let texts = leads.iter().filter(|lead| lead.phone.ends_with("21"));
    let expected: Vec<&str> = texts.map(|lead| lead.phone.as_str()).collect();
    let got: Vec<String> = sent.iter().map(|(to, _)| format!("+{}", to.trim_start_matches('+'))).collect();
    if got != expected {
        faults.push(format!("texts went to {got:?} instead of {expected:?}"));
    } else if !json {
        for (_, text) in &sent {
            println!("SMS через SMSC (стенд): «{text}»");
        }
    }
    let missed = leads.iter().find(|lead| lead.phone.ends_with("19")).expect("one of them does not wait");
    if !is_called_back(config, missed)? {
        faults.push(format!("{} is not in the project {CALL_BACK}", missed.id));
    } else if !json {
        println!("{} не дождался, добавлен в проект «{CALL_BACK}», и ему перезвонили\n", missed.id);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// What came of a caller, and what each part of it costs.
fn check(row: &Row, want: &Want) -> Result<(), String> {
    let transfer = row.transfers.first();
    match want {
        Want::Operator(operator) | Want::InWords(operator) => {
            let transfer = transfer.ok_or("nobody was asked to take him")?;
            if !transfer.connected || transfer.operator.as_deref() != Some(operator) {
                return Err(format!("{transfer:?} instead of a talk with {operator}"));
            }
            talked(row, TALK_S)?;
        }
        Want::External => {
            let transfer = transfer.ok_or("the external number was not called")?;
            if !transfer.connected || transfer.operator.is_some() {
                return Err(format!("{transfer:?} instead of a talk with the external number"));
            }
            talked(row, 6.0)?;
        }
        Want::NotForLong => {
            if row.result != "Потерян" || transfer.is_none_or(|transfer| transfer.connected) {
                return Err(format!("«{}», {transfer:?} instead of «Потерян»", row.result));
            }
        }
        Want::Text => {
            if row.result != "Согласен" || row.sms_kopecks == 0 {
                return Err(format!("«{}», texts for {}", row.result, row.sms_kopecks));
            }
        }
    }
    let spoke = matches!(want, Want::InWords(_));
    if (row.recognition_kopecks > 0) != spoke {
        return Err(format!("charged {} kopecks for words, and spoke: {spoke}", row.recognition_kopecks));
    }
    let external = if matches!(want, Want::External) { EXTERNAL_S * row.talk_s as i64 } else { 0 };
    let due = ROBOT_S * row.robot_s as i64 + external + row.recognition_kopecks + row.sms_kopecks;
    if row.kopecks != due {
        return Err(format!("{} kopecks were charged, and the tariff gives {due}", row.kopecks));
    }
    Ok(())
}

/// The talk took about so many seconds: from the pick-up until the other side hung up.
fn talked(row: &Row, seconds: f64) -> Result<(), String> {
    let about = seconds - 1.0..=seconds + 2.5;
    if about.contains(&(row.talk_s as f64)) {
        Ok(())
    } else {
        Err(format!("the talk took {} s instead of {seconds}", row.talk_s))
    }
}

fn wanted(want: &Want) -> String {
    match want {
        Want::Operator(_) => "оператора (1)".to_owned(),
        Want::InWords(_) => "оператора (словами)".to_owned(),
        Want::NotForLong => "оператора, не дождался".to_owned(),
        Want::External => format!("{EXTERNAL} (3)"),
        Want::Text => "SMS (4)".to_owned(),
    }
}

fn line(row: &Row, wanted: &str) -> [String; 10] {
    let name = |transfer: &TransferRow| match transfer.operator.as_deref() {
        Some(id) => {
            OPERATORS.iter().find(|(known, ..)| *known == id).map_or(id, |(_, name, _)| *name).to_owned()
        }
        None if transfer.connected => "внешний номер".into(),
        None => "без ответственного".into(),
    };
    [
        row.lead.clone().unwrap_or_default(),
        wanted.to_owned(),
        row.result.clone(),
        row.transfers.first().map_or_else(|| "–".into(), name),
        row.robot_s.to_string(),
        row.wait_s.to_string(),
        row.talk_s.to_string(),
        row.recognition_kopecks.to_string(),
        row.sms_kopecks.to_string(),
        row.kopecks.to_string(),
    ]
}

fn sums(report: &Report, leads: &[Lead]) -> [String; 10] {
    let rows: Vec<&Row> = leads.iter().flat_map(|lead| report.of_lead(lead)).collect();
    let seconds = |of: fn(&Row) -> u64| rows.iter().map(|row| of(row)).sum::<u64>().to_string();
    let kopecks = |of: fn(&Row) -> i64| rows.iter().map(|row| of(row)).sum::<i64>().to_string();
    [
        "итого".into(),
        String::new(),
        String::new(),
        String::new(),
        seconds(|row| row.robot_s),
        seconds(|row| row.wait_s),
        seconds(|row| row.talk_s),
        kopecks(|row| row.recognition_kopecks),
        kopecks(|row| row.sms_kopecks),
        kopecks(|row| row.kopecks),
    ]
}

/// Whether this person is in the call-back project.
fn is_called_back(config: &Path, missed: &Lead) -> Result<bool, String> {
    let mut command = host::zvonar([
        "lead",
        "list",
        "--project",
        CALL_BACK,
        "--text",
        missed.phone.trim_start_matches('+'),
        "--json",
        "--config",
    ]);
    command.arg(config);
    let listed = Process::spawn("zvonar lead list", &mut command)?.succeed(LIMIT)?;
    Ok(listed
        .lines()
        .any(|line| serde_json::from_str::<Value>(line).is_ok_and(|lead| lead["id"] == missed.id.as_str())))
}

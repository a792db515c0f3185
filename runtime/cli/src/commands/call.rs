//! `zvonar call`: one call by hand, with a scenario on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use zvonar_dialer::conversation::{Brief, Conversations, Listening, Outbound, machine_settings};
use zvonar_dialer::{CallReport, rate_report};
use zvonar_ledger::Tariff;
use zvonar_model::{AttemptId, RecognisedAnswer, ScenarioName, TenantId, TrunkId};
use zvonar_scenario::Limits;
use zvonar_switch::{MediaConfig, Switch, SwitchConfig, Target, TrunkConfig, clock};

use super::{Failure, pair};
use crate::config::Speech;
use crate::{host, listening};

/// What `zvonar call` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Whom to call: sip:USER@HOST or sip:USER@HOST:PORT.
    #[arg(long, value_name = "SIP-ADDRESS")]
    to: String,
    /// The package of the scenario to run once somebody picks up.
    #[arg(long, value_name = "FOLDER")]
    scenario: PathBuf,
    /// Print one JSON object instead of lines for people.
    #[arg(long)]
    json: bool,
    /// Record the call: left the far end, right the robot.
    #[arg(long, value_name = "FILE.wav")]
    record: Option<PathBuf>,
    /// Where to send SIP from. Usual: the address of this machine that reaches the far end, any free port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The number or name that the far end sees.
    #[arg(long, default_value = "zvonar")]
    caller: String,
    /// The login for far ends that ask for one (401, 407).
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// The password for it.
    #[arg(long, requires = "username", env = "ZVONAR_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A setting of the scenario; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// A field of the person who is called; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    field: Vec<(String, String)>,
    /// Recognise what is said, with this model (`zvonar model list`).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The language that is spoken, as ru, en.
    #[arg(long, default_value = "ru")]
    language: String,
    /// Hang up when an answering machine picks up.
    #[arg(long)]
    detect_machine: bool,
    /// How long it may ring, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    ring: u64,
}

/// What came of the call, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Told {
    result: String,
    /// Why, when it failed on our side.
    why: Option<String>,
    keys: String,
    sip_code: Option<u16>,
    packets_sent: u64,
    packets_heard: u64,
    packets_lost: u64,
    post_dial_delay_ms: Option<u64>,
    robot_s: u64,
    kopecks: i64,
    recording: Option<PathBuf>,
    answers: Vec<RecognisedAnswer>,
    notes: Vec<String>,
    fields: BTreeMap<String, String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let remote = resolve(&arguments.to)?;
    if arguments.listen.is_some_and(|listen| listen.ip().is_unspecified()) {
        return Err(
            "--listen: give the address that the far end can reach; 0.0.0.0 would stand in our SIP and SDP"
                .into(),
        );
    }
    let package = host::open_package(&arguments.scenario)?;
    let name = ScenarioName::new(&package.manifest.name)?;
    let heard = tempfile::tempdir()?;
    let listening = match &arguments.model {
        None => None,
        Some(model) => {
            let (model, language) = (model.clone(), arguments.language.clone());
            let recogniser = listening::recogniser(&Speech { model, language, workers: 1, queue: 4 })?;
            Some(Listening { recogniser, answers: heard.path().to_owned() })
        }
    };
    package.manifest.check_speech(listening.as_ref().map(|listening| listening.recogniser.language()))?;
    let recordings = arguments.record.as_ref().map(|_| tempfile::tempdir()).transpose()?;
    let told = super::runtime(2)?.block_on(async {
        let listen = match arguments.listen {
            Some(listen) => listen,
            None => SocketAddr::new(way_to(remote)?, 0),
        };
        let trunk = TrunkId::new("by-hand")?;
        let tenant = TenantId::new("by-hand")?;
        let config = SwitchConfig {
            listen,
            advertise: None,
            allow: Vec::new(),
            per_source: 10_000,
            trunks: vec![TrunkConfig {
                id: trunk.clone(),
                address: remote,
                lines: 1,
                calls_per_second: 100,
                caller: arguments.caller.clone(),
                login: arguments.username.clone().zip(arguments.password.clone()),
                tenants: None,
            }],
            media: MediaConfig { threads: 1, ..MediaConfig::new(listen.ip()) },
            calls: 10,
            phones: None,
            seed: rand::random(),
        };
        let engine = host::engine(&host::module_cache()?, 4)?;
        let (switch, doorway) = Switch::start(config).await?;
        let machines = arguments.detect_machine.then(machine_settings);
        let folder = recordings.as_ref().map(|folder| folder.path().to_owned());
        let conversations =
            Conversations::new(switch, Limits::default(), folder, machines).listening(listening);
        conversations.publish(&tenant, host::scene(&engine, &package)?);
        let attempt = AttemptId::fresh(clock::wall(), rand::random());
        let order = Outbound {
            brief: Brief {
                attempt,
                tenant,
                project: None,
                lead: None,
                scenario: name,
                settings: arguments.set.iter().cloned().collect(),
                fields: arguments.field.iter().cloned().collect(),
                attempt_number: 1,
                number: None,
            },
            trunk,
            target: Target::Uri(arguments.to.clone()),
            ring: Duration::from_secs(arguments.ring),
        };
        let report = tokio::select! {
            report = conversations.outbound(order) => Ok(report),
            // Dropped, the call hangs up; the BYE leaves with the shutdown below.
            signal = super::stop_signal() => {
                signal?;
                Err(Failure::from("stopped; the call was hung up"))
            }
        };
        drop(conversations);
        doorway.shutdown().await?;
        report
    })?;
    let kept = match (&arguments.record, &recordings, &told.recording) {
        // Across file systems a rename fails, so the file is copied.
        (Some(wanted), Some(folder), Some(made)) => std::fs::copy(folder.path().join(made), wanted)
            .map(|_| Some(wanted.clone()))
            .map_err(|why| format!("cannot write the recording {}: {why}", wanted.display())),
        (Some(_), Some(_), None) if told.answered_at.is_some() => {
            Err("the recording failed; the log says why".into())
        }
        _ => Ok(None),
    };
    // What came of the call is told first: it was made, whatever became of its recording.
    print(&tell(told, kept.clone().unwrap_or_default()), arguments.json)?;
    kept.map(|_| ()).map_err(Into::into)
}

fn tell(report: CallReport, recording: Option<PathBuf>) -> Told {
    let kopecks = rate_report(&Tariff::standard(), &report).0;
    let why = match &report.outcome {
        zvonar_model::Outcome::SystemError { why } => Some(why.clone()),
        _ => report.trace.fault.clone(),
    };
    Told {
        result: report.outcome.title().to_owned(),
        why,
        keys: report.keys,
        sip_code: report.sip_code,
        packets_sent: report.media.packets_sent,
        packets_heard: report.media.packets_heard,
        packets_lost: report.media.packets_lost,
        post_dial_delay_ms: report.post_dial_delay.map(|delay| delay.0),
        robot_s: report.phases.robot.seconds_up(),
        kopecks,
        recording,
        answers: report
            .answers
            .into_iter()
            .map(|answer| RecognisedAnswer { sound: None, ..answer })
            .collect(),
        notes: report.effects.notes,
        fields: report.effects.set_fields,
    }
}

fn print(told: &Told, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string(told)?);
        return Ok(());
    }
    println!("Результат: {}", told.result);
    if let Some(why) = &told.why {
        println!("Причина: {why}");
    }
    if !told.keys.is_empty() {
        println!("Нажато: {}", told.keys);
    }
    for answer in &told.answers {
        let phrase = answer.phrase.as_deref().unwrap_or("—");
        println!("Сказано: «{}» [{phrase} {:.2}]", answer.text, answer.score);
    }
    if let Some(delay) = told.post_dial_delay_ms {
        println!("До гудка: {delay} мс");
    }
    println!("Робот: {} с, {} коп.", told.robot_s, told.kopecks);
    println!(
        "Пакетов отправлено {}, услышано {}, потеряно {}",
        told.packets_sent, told.packets_heard, told.packets_lost
    );
    if let Some(recording) = &told.recording {
        println!("Запись: {}", recording.display());
    }
    Ok(())
}

/// The address behind `sip:user@host:port`.
fn resolve(to: &str) -> Result<SocketAddr, Failure> {
    let wrong = || format!("--to: `{to}` is no SIP address; write it as sip:USER@HOST or sip:USER@HOST:PORT");
    let rest = to.strip_prefix("sip:").ok_or_else(wrong)?;
    let (_, host) = rest.rsplit_once('@').ok_or_else(wrong)?;
    let host = host.split([';', '?']).next().unwrap_or(host);
    let with_port = if host.rsplit_once(':').is_some_and(|(name, port)| {
        port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']'))
    }) {
        host.to_owned()
    } else {
        format!("{host}:5060")
    };
    let mut found = std::net::ToSocketAddrs::to_socket_addrs(&with_port)
        .map_err(|why| format!("--to: the host of `{to}` was not found: {why}"))?;
    found.next().ok_or_else(|| format!("--to: the host of `{to}` has no address").into())
}

/// The address of this machine that packets to the far end leave from: what our SDP must name.
fn way_to(remote: SocketAddr) -> Result<IpAddr, Failure> {
    let any: SocketAddr = if remote.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
    let socket = UdpSocket::bind(any)?;
    socket.connect(remote).map_err(|why| format!("there is no way to {remote}: {why}"))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_sip_address_may_be_left_out() {
        assert_eq!(resolve("sip:anna@127.0.0.1").unwrap().to_string(), "127.0.0.1:5060");
        assert_eq!(resolve("sip:anna@127.0.0.1:5070;transport=udp").unwrap().to_string(), "127.0.0.1:5070");
        assert_eq!(resolve("sip:anna@[::1]:5070").unwrap().to_string(), "[::1]:5070");
        assert_eq!(resolve("sip:anna@[::1]").unwrap().to_string(), "[::1]:5060");
        for wrong in ["anna@127.0.0.1", "sip:anna", "tel:+79000000001"] {
            assert!(resolve(wrong).unwrap_err().to_string().contains("no SIP address"), "{wrong}");
        }
    }
}

//! `zvonar farm`: callees for demonstrations and tests.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use zvonar_rehearsal::{Behaviour, Voices};
use zvonar_switch::{MediaConfig, Network, Switch, SwitchConfig};

use super::Failure;

/// What `zvonar farm` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to take calls by SIP over UDP; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5070")]
    listen: SocketAddr,
    /// Write what happened to each callee, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A folder of WAV files that callees say: 21.wav by those whose number ends in 21, whatever the table below says.
    #[arg(long, value_name = "FOLDER")]
    answers: Option<PathBuf>,
    /// The ports for sound.
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-39998", value_parser = crate::config::parse_ports)]
    media_ports: std::ops::RangeInclusive<u16>,
}

/// The table of behaviours, for the help.
pub(crate) fn table() -> String {
    format!(
        "The last two digits of the number that is called choose what its callee does:\n{}",
        Behaviour::help()
    )
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let log = match &arguments.log {
        Some(path) => {
            let file = File::create(path)
                .map_err(|why| format!("cannot write the log {}: {why}", path.display()))?;
            Some(Mutex::new(BufWriter::new(file)))
        }
        None => None,
    };
    if arguments.listen.ip().is_unspecified() {
        return Err(
            "--listen: give an address that callers can reach; 0.0.0.0 would stand in our SIP and SDP".into(),
        );
    }
    let mut voices = Voices::load()?;
    if let Some(folder) = &arguments.answers {
        voices = voices.with_answers(folder)?;
    }
    super::runtime(2)?.block_on(async {
        let config = SwitchConfig {
            listen: arguments.listen,
            advertise: None,
            // A farm has no secrets and no money: whoever reaches its address may call.
            allow: vec![Network::everyone_v4(), Network::everyone_v6()],
            per_source: 100_000,
            trunks: Vec::new(),
            media: MediaConfig { ports: arguments.media_ports, ..MediaConfig::new(arguments.listen.ip()) },
            calls: 10_000,
            phones: None,
            seed: rand::random(),
        };
        let (switch, mut doorway) = Switch::start(config).await?;
        eprintln!("the farm is listening on {}", switch.local_addr());
        let write = move |sighting: zvonar_rehearsal::Sighting| {
            tracing::info!(?sighting, "seen");
            if let Some(log) = &log {
                let mut log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let line = serde_json::to_string(&sighting).expect("a sighting has only strings and numbers");
                // Each line is flushed: whoever reads the log may kill us at any moment.
                if let Err(why) = writeln!(log, "{line}").and_then(|()| log.flush()) {
                    tracing::error!(%why, "the log of the farm cannot be written");
                }
            }
        };
        tokio::select! {
            () = zvonar_rehearsal::run(&mut doorway, voices, write) => {}
            signal = super::stop_signal() => signal?,
        }
        doorway.shutdown().await?;
        Ok(())
    })
}

//! SIPp (Debian: sip-tester) as the far end, with scenarios of our own from `tests/data/sipp`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{clock, machine, ports, process::Process};

/// A running SIPp.
pub struct Sipp {
    process: Process,
    /// Where it takes SIP.
    pub address: SocketAddr,
    messages: PathBuf,
}

impl Sipp {
    /// Answers one call as `tests/data/sipp/NAME.xml` says, then ends. In the XML each `{key}` of `values` is
    /// replaced. `raw_sockets`: the scenario plays a capture, for which SIPp needs them.
    ///
    /// `Ok(None)`: SIPp is not installed, or may not open raw sockets here; that has been said aloud.
    pub fn answer(
        folder: &Path,
        name: &str,
        values: &[(&str, &str)],
        raw_sockets: bool,
    ) -> Result<Option<Self>, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        Self::answer_at(address, folder, name, values, raw_sockets)
    }

    /// The same at an address of the caller's choice.
    pub fn answer_at(
        address: SocketAddr,
        folder: &Path,
        name: &str,
        values: &[(&str, &str)],
        raw_sockets: bool,
    ) -> Result<Option<Self>, String> {
        let Some(mut sipp) = Self::start(address, None, folder, name, values, raw_sockets)? else {
            return Ok(None);
        };
        // SIPp says nothing of use when it listens. It is not asked by binding its port: that could be in its way.
        let listens =
            clock::within(Duration::from_secs(30), || !sipp.process.is_running() || ports::is_bound(address));
        if !listens || !sipp.process.is_running() {
            return Err(format!("sipp does not listen on {address}\n{}", sipp.process.output()));
        }
        Ok(Some(sipp))
    }

    /// Calls `remote` once, or asks it for something else, as `tests/data/sipp/NAME.xml` says. `Ok(None)`: as
    /// [`answer`](Self::answer).
    pub fn call(
        address: SocketAddr,
        remote: SocketAddr,
        folder: &Path,
        name: &str,
        values: &[(&str, &str)],
        raw_sockets: bool,
    ) -> Result<Option<Self>, String> {
        Self::start(address, Some(remote), folder, name, values, raw_sockets)
    }

    fn start(
        address: SocketAddr,
        remote: Option<SocketAddr>,
        folder: &Path,
        name: &str,
        values: &[(&str, &str)],
        raw_sockets: bool,
    ) -> Result<Option<Self>, String> {
        let Some(program) = machine::program("sipp") else {
            machine::skip("SIPp is not installed (Debian: sip-tester)");
            return Ok(None);
        };
        let mut command = if raw_sockets {
            let Some(command) = machine::with_raw_sockets(&program) else {
                machine::skip("SIPp may not open raw sockets: neither root nor a sudo that asks nothing");
                return Ok(None);
            };
            command
        } else {
            Command::new(program)
        };
        let source = machine::root().join(format!("tests/data/sipp/{name}.xml"));
        let mut xml =
            fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        for (key, value) in values {
            xml = xml.replace(&format!("{{{key}}}"), value);
        }
        let scenario = folder.join(format!("{name}.xml"));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&scenario, xml))
            .map_err(|error| format!("{}: {error}", scenario.display()))?;
        let messages = folder.join(format!("{name}.messages.log"));
        let ip = address.ip().to_string();
        command
            .current_dir(folder)
            .arg("-sf")
            .arg(&scenario)
            .args(["-i", &ip, "-p", &address.port().to_string(), "-m", "1", "-nostdin"])
            .args(["-mi", &ip, "-mp", &ports::media_range(20).0.to_string()])
            .args(["-timeout", "60s", "-timeout_error", "-trace_msg", "-message_file"])
            .arg(&messages)
            .args(["-trace_err", "-error_file"])
            .arg(folder.join(format!("{name}.errors.log")))
            .args(remote.map(|remote| remote.to_string()));
        let process = Process::spawn("sipp", &mut command)?;
        Ok(Some(Self { process, address, messages }))
    }

    /// Waits for its end. Gives every SIP message that it saw, as in its log, if its scenario went to the end.
    pub fn finish(mut self, limit: Duration) -> Result<String, String> {
        let ended = self.process.wait(limit);
        let messages = self.messages();
        let status = ended.map_err(|why| format!("{why}\n{messages}"))?;
        if status.success() {
            Ok(messages)
        } else {
            Err(format!(
                "sipp's scenario did not go to its end ({status})\n{}\n{messages}",
                self.process.stderr()
            ))
        }
    }

    /// Every SIP message that it saw so far.
    pub fn messages(&self) -> String {
        fs::read(&self.messages).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}

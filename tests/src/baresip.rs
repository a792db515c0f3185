//! baresip (Debian: baresip-core), a user agent that owes us nothing: it answers by itself, says a tone, presses keys
//! on command, and keeps what it hears.
//!
//! Traps that shaped this file: it ends the call at the end of its WAV, so the tone is a minute long; it refuses to
//! work on the loopback interface alone, so it takes the machine's first address and everybody else goes there too;
//! its fixed jitter buffer drops much of a clean stream, so it has none.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    audio::{self, Recording},
    clock, machine, ports,
    process::Process,
    sip::Prober,
};

/// The pitch that it says all the time.
pub const VOICE_HZ: f64 = 425.0;

/// A running baresip that answers every call.
pub struct Baresip {
    process: Process,
    /// Where it takes SIP; the user is `uas`.
    pub address: SocketAddr,
    control: SocketAddr,
    heard: PathBuf,
}

impl Baresip {
    /// Starts it and waits until it answers.
    ///
    /// `Ok(None)`: it is not installed, or the machine has no address but the loopback's; that has been said aloud.
    pub fn start(folder: &Path) -> Result<Option<Self>, String> {
        let Some(program) = machine::program("baresip") else {
            machine::skip("baresip is not installed (Debian: baresip-core)");
            return Ok(None);
        };
        let Some(modules) = modules() else {
            machine::skip("baresip's modules are not where Debian puts them");
            return Ok(None);
        };
        let Some(ip) = own_address() else {
            machine::skip("baresip needs a network interface besides the loopback");
            return Ok(None);
        };
        let sip = UdpSocket::bind((ip, 0)).and_then(|s| s.local_addr()).map_err(|e| format!("{ip}: {e}"))?;
        let control =
            TcpListener::bind("127.0.0.1:0").and_then(|s| s.local_addr()).map_err(|e| e.to_string())?;
        let home = folder.join("baresip");
        let heard = home.join("heard");
        let voice = home.join("voice.wav");
        let (first, last) = ports::media_range(20);
        let config = format!(
            "sip_listen {sip}\naudio_source aufile,{}\naudio_channels 1\nrtp_ports {first}-{last}\n\
             jitter_buffer_type off\nmodule_path {}\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen {control}\nsnd_path {}\n",
            voice.display(),
            modules.display(),
            heard.display()
        );
        let account = format!("<sip:uas@{sip}>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1\n");
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&heard)?;
            fs::write(home.join("config"), config)?;
            fs::write(home.join("accounts"), account)?;
            fs::write(home.join("contacts"), "")
        };
        write().map_err(|error| format!("{}: {error}", home.display()))?;
        audio::write_wav(&voice, &audio::tone(VOICE_HZ, 60.0, 0.25, 8000), 8000)?;
        let mut process = Process::spawn("baresip", Command::new(program).arg("-f").arg(&home))?;
        process.wait_for_line("baresip is ready", Duration::from_secs(20))?;
        if Prober::new_on(ip).options(sip, Duration::from_secs(5)).is_none() {
            return Err(format!("baresip does not answer on {sip}\n{}", process.output()));
        }
        Ok(Some(Self { process, address: sip, control, heard }))
    }

    /// Waits until a call stands.
    pub fn wait_for_call(&mut self, limit: Duration) -> Result<(), String> {
        self.process.wait_for_line("Call established", limit).map(|_| ())
    }

    /// Presses a key in the call that stands.
    pub fn press(&self, key: char) -> Result<(), String> {
        let say = |error: std::io::Error| format!("baresip's control port {}: {error}", self.control);
        let mut stream = TcpStream::connect(self.control).map_err(say)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(say)?;
        let command = format!(r#"{{"command":"sndcode","params":"{key}","token":"key"}}"#);
        stream.write_all(format!("{}:{command},", command.len()).as_bytes()).map_err(say)?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).map_err(say)?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        if answer.contains(r#""ok":true"#) { Ok(()) } else { Err(format!("baresip answered {answer}")) }
    }

    /// Ends it and gives what it heard in its last call.
    pub fn finish(mut self) -> Result<Recording, String> {
        let closed = clock::within(Duration::from_secs(5), || {
            self.process.stdout().contains("terminated") || self.process.stderr().contains("terminated")
        });
        // Killed, it would leave a WAV without a length in its header.
        self.process.terminate(Duration::from_secs(10))?;
        let mut files: Vec<PathBuf> = fs::read_dir(&self.heard)
            .map_err(|error| format!("{}: {error}", self.heard.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        let last = files.last().ok_or_else(|| format!("baresip kept nothing\n{}", self.process.output()))?;
        if closed {
            Recording::read(last)
        } else {
            Err(format!("the call stands\n{}", self.process.output()))
        }
    }
}

/// The address by which this machine would reach the rest of the world. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // A documentation address (RFC 5737): connecting a UDP socket only asks the routing table.
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn modules() -> Option<PathBuf> {
    let triple = format!("/usr/lib/{}-linux-gnu/baresip/modules", std::env::consts::ARCH);
    ["/usr/lib/baresip/modules", &triple].map(PathBuf::from).into_iter().find(|folder| folder.is_dir())
}

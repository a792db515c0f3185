//! baresip (Debian: baresip-core), a user agent that owes us nothing: it answers by itself, says a tone, presses keys
//! on command, and keeps what it hears.
//!
//! Traps that shaped this file: it ends the call at the end of its WAV, so the tone is a minute long; it refuses to
//! work on the loopback interface alone, so it takes the machine's first address and everybody else goes there too;
//! its fixed jitter buffer drops much of a clean stream, so it has none.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
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
    /// Where it takes SIP; the user is `uas`, or that of its account.
    pub address: SocketAddr,
    control: SocketAddr,
    heard: PathBuf,
}

/// An operator's telephone, as baresip is set up with it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name that it registers by.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Where it registers.
    pub registrar: SocketAddr,
    /// Whether it picks up by itself.
    pub answers: bool,
    /// The pitch that its owner says.
    pub voice_hz: f64,
    /// How long he says it; then he hangs up.
    pub voice_s: f64,
}

/// What is needed to run baresip here.
struct Installed {
    program: PathBuf,
    modules: PathBuf,
    ip: IpAddr,
}

impl Installed {
    /// `None`: it is not installed, or the machine has no address but the loopback's; that has been said aloud.
    fn find() -> Option<Self> {
        let Some(program) = machine::program("baresip") else {
            machine::skip("baresip is not installed (Debian: baresip-core)");
            return None;
        };
        let Some(modules) = modules() else {
            machine::skip("baresip's modules are not where Debian puts them");
            return None;
        };
        let Some(ip) = own_address() else {
            machine::skip("baresip needs a network interface besides the loopback");
            return None;
        };
        Some(Self { program, modules, ip })
    }

    /// Starts it in `home` with one account; its voice is a tone of so many hertz and seconds.
    fn start(
        &self,
        home: &Path,
        sip: SocketAddr,
        account: &str,
        (hz, seconds): (f64, f64),
    ) -> Result<Baresip, String> {
        let control = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        let heard = home.join("heard");
        let voice = home.join("voice.wav");
        let (first, last) = ports::media_range(20);
        let config = format!(
            "sip_listen {sip}\naudio_source aufile,{}\naudio_channels 1\nrtp_ports {first}-{last}\n\
             jitter_buffer_type off\nmodule_path {}\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen {control}\nsnd_path {}\n",
            voice.display(),
            self.modules.display(),
            heard.display()
        );
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&heard)?;
            fs::write(home.join("config"), config)?;
            fs::write(home.join("accounts"), account)?;
            fs::write(home.join("contacts"), "")
        };
        write().map_err(|error| format!("{}: {error}", home.display()))?;
        audio::write_wav(&voice, &audio::tone(hz, seconds, 0.25, 8000), 8000)?;
        let mut process = Process::spawn("baresip", Command::new(&self.program).arg("-f").arg(home))?;
        process.wait_for_line("baresip is ready", Duration::from_secs(20))?;
        Ok(Baresip { process, address: sip, control, heard })
    }
}

/// The address on which baresip can work here, and whoever talks to it must: a machine's own besides the loopback. `None`:
/// it cannot be had here, which has been said aloud.
pub fn address() -> Option<IpAddr> {
    Installed::find().map(|installed| installed.ip)
}

impl Baresip {
    /// Starts one that is called directly, and waits until it answers. `Ok(None)`: see [`address`].
    pub fn start(folder: &Path) -> Result<Option<Self>, String> {
        Self::start_as(&folder.join("baresip"), "uas", (VOICE_HZ, 60.0))
    }

    /// The same for this user, whose voice is a tone of so many hertz and seconds; then it hangs up. It can call as well.
    pub fn start_as(home: &Path, user: &str, voice: (f64, f64)) -> Result<Option<Self>, String> {
        let Some(installed) = Installed::find() else { return Ok(None) };
        let ip = installed.ip;
        let sip = SocketAddr::new(ip, ports::free_port());
        let account = format!("<sip:{user}@{sip}>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1\n");
        let baresip = installed.start(home, sip, &account, voice)?;
        if Prober::new_on(ip).options(sip, Duration::from_secs(5)).is_none() {
            return Err(format!("baresip does not answer on {sip}\n{}", baresip.process.output()));
        }
        Ok(Some(baresip))
    }

    /// Starts an operator's telephone, and waits until it is registered. `Ok(None)`: see [`address`].
    pub fn register(folder: &Path, account: &Account) -> Result<Option<Self>, String> {
        let Some(installed) = Installed::find() else { return Ok(None) };
        let ip = installed.ip;
        let sip = SocketAddr::new(ip, ports::free_port());
        let Account { user, password, registrar, answers, voice_hz, voice_s } = account;
        let answers = if *answers { "auto" } else { "manual" };
        let line = format!(
            "<sip:{user}@{registrar}>;auth_user={user};auth_pass={password};regint=60;answermode={answers};\
             audio_codecs=PCMA/8000/1\n"
        );
        let mut phone = installed.start(&folder.join(user), sip, &line, (*voice_hz, *voice_s))?;
        phone.process.wait_for_line("200 OK", Duration::from_secs(20))?;
        Ok(Some(phone))
    }

    /// Waits until a call stands.
    pub fn wait_for_call(&mut self, limit: Duration) -> Result<(), String> {
        self.process.wait_for_line("Call established", limit).map(|_| ())
    }

    /// Waits until a call has ended.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<(), String> {
        self.process.wait_for_line("terminated (duration", limit).map(|_| ())
    }

    /// Waits until so many calls have stood, those that are over included.
    pub fn wait_for_calls(&mut self, count: usize, limit: Duration) -> Result<(), String> {
        let stood = || self.process.stdout().matches("Call established").count() >= count;
        if clock::within(limit, stood) {
            Ok(())
        } else {
            Err(format!("not {count} calls within {limit:?}\n{}", self.process.output()))
        }
    }

    /// Waits until it has understood that the far end pressed this key.
    pub fn wait_for_key(&mut self, key: char, limit: Duration) -> Result<(), String> {
        self.process.wait_for_line(&format!("received event: '{key}'"), limit).map(|_| ())
    }

    /// All that it has said of itself so far, for error messages.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Stops it in the middle of whatever it does, as a telephone whose battery is empty: it is there and says nothing.
    pub fn freeze(&self) {
        // SAFETY: the process is ours and lives until it is dropped, so the id is its own.
        unsafe { libc::kill(self.process.id() as libc::pid_t, libc::SIGSTOP) };
    }

    /// Presses a key in the call that stands.
    pub fn press(&self, key: char) -> Result<(), String> {
        self.tell("sndcode", &key.to_string())
    }

    /// Tells it to do what its menu knows: `dial`, `accept`, `hangup`, `hold`, `resume`, `transfer`…
    pub fn tell(&self, command: &str, params: &str) -> Result<(), String> {
        let say = |error: std::io::Error| format!("baresip's control port {}: {error}", self.control);
        let mut stream = TcpStream::connect(self.control).map_err(say)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(say)?;
        let command = format!(r#"{{"command":"{command}","params":"{params}","token":"told"}}"#);
        stream.write_all(format!("{}:{command},", command.len()).as_bytes()).map_err(say)?;
        // Events of the call may come before the answer.
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(r#""response":true"#) {
            let mut more = [0; 4096];
            match stream.read(&mut more).map_err(say)? {
                0 => break,
                length => answer.extend_from_slice(&more[..length]),
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        if answer.contains(r#""ok":true"#) { Ok(()) } else { Err(format!("baresip answered {answer}")) }
    }

    /// What it has heard in each of its calls so far, in their order.
    pub fn heard(&self) -> Result<Vec<PathBuf>, String> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.heard)
            .map_err(|error| format!("{}: {error}", self.heard.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Waits until it hears this tone in its last call, and has for half a second.
    ///
    /// # Errors
    ///
    /// It does not within `limit`.
    pub fn wait_to_hear(&self, hz: f64, limit: Duration) -> Result<(), String> {
        let hears = || {
            let sound = self.heard().ok().and_then(|files| fs::read(files.last()?).ok()).unwrap_or_default();
            audio::ends_with_tone(&sound, hz)
        };
        if clock::within(limit, hears) {
            Ok(())
        } else {
            Err(format!("{hz} Hz not heard within {limit:?}\n{}", self.process.output()))
        }
    }

    /// Ends it, its calls before, and gives what it heard in each of them, in their order.
    pub fn finish_all(mut self) -> Result<Vec<Recording>, String> {
        self.process.terminate(Duration::from_secs(10))?;
        self.heard()?.iter().map(|file| Recording::read(file)).collect()
    }

    /// Ends it and gives what it heard in its last call.
    pub fn finish(mut self) -> Result<Recording, String> {
        let closed = clock::within(Duration::from_secs(5), || {
            self.process.stdout().contains("terminated") || self.process.stderr().contains("terminated")
        });
        // Killed, it would leave a WAV without a length in its header.
        self.process.terminate(Duration::from_secs(10))?;
        let files = self.heard()?;
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

//! The switch: SIP and sound of one host, and its trunks.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zvonar_call::{
    Calls, CallsConfig, Credentials, Dial, Flow, Identity, LEGS_PER_CALLER, PhoneBook, PhonesConfig,
    Transport,
};
use zvonar_media::Codec;
use zvonar_model::{PhoneNumber, TenantId, TrunkId};

use crate::call::{Call, IncomingCall};
use crate::endpoint::{Arrival, Dropped, Endpoint, Request, ends};
use crate::media_io::{MediaConfig, MediaEngine, MediaError, MediaEvents, MediaPlace, MediaPort, MediaStats};
use crate::phones::Roster;
use crate::screen::{Network, Screen};
use crate::trunk::{Line, Trunk, TrunkConfig};

/// What a switch is made of.
#[derive(Debug)]
pub struct SwitchConfig {
    /// The address of the SIP socket. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that far ends should see, when it is not the one we listen on.
    pub advertise: Option<IpAddr>,
    /// Who may send to us, besides the trunks.
    pub allow: Vec<Network>,
    /// Datagrams a second that one address may send.
    pub per_source: u32,
    /// Where calls may leave to.
    pub trunks: Vec<TrunkConfig>,
    /// The sound.
    pub media: MediaConfig,
    /// Callers at once: people who call us, and people whom campaigns call; the next one hears 503. Telephones of ours
    /// and whomever else callers are handed to do not count: there may be [`LEGS_PER_CALLER`] for each caller.
    pub calls: usize,
    /// The accounts of telephones that may register; `None`: nobody may.
    pub phones: Option<Arc<PhoneBook>>,
    /// From where tags, branches and Call-IDs come: random in earnest, fixed in a test.
    pub seed: u64,
}

/// Why a switch did not start.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The SIP socket.
    #[error(
        "cannot listen for SIP on {address}: {source}; choose another address, or stop the process that uses it"
    )]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The sound.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// Why a call was not placed: no INVITE has left, so the same number may be tried at once.
///
/// A busy or unanswered phone is not an error: see [`crate::CallEvent::Ended`].
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The configuration has no such trunk for this tenant.
    #[error("there is no trunk {0}")]
    NoTrunk(TrunkId),
    /// No port for the sound.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The host stops.
    #[error("the switch is shutting down")]
    Closed,
}

/// Whom to call.
#[derive(Debug, Clone)]
pub enum Target {
    /// A telephone number, at the trunk's address.
    Number(PhoneNumber),
    /// A SIP address as it stands; the INVITE still goes to the trunk.
    Uri(String),
}

/// What a call needs before its INVITE may leave: a line of the trunk and a port for the sound. Free again when dropped.
#[derive(Debug)]
pub struct Reservation {
    trunk: TrunkId,
    line: Line,
    sound: (MediaPort, MediaEvents),
    /// It is for whom a caller is handed to.
    is_leg: bool,
}

#[derive(Debug)]
pub(crate) struct Shared {
    requests: mpsc::Sender<Request>,
    pub(crate) dropped: Arc<Dropped>,
    pub(crate) media: MediaEngine,
    trunks: BTreeMap<TrunkId, Trunk>,
    pub(crate) roster: Arc<Roster>,
    local: SocketAddr,
    advertise: Option<IpAddr>,
}

impl Shared {
    /// The way to the endpoint task.
    pub(crate) fn requests(&self) -> &mpsc::Sender<Request> {
        &self.requests
    }

    /// Asks something of the endpoint task; when it is gone, so is every call.
    pub(crate) async fn ask(&self, request: Request) {
        let _ = self.requests.send(request).await;
    }

    /// The address to name in SDP for a socket of ours.
    pub(crate) fn advertised(&self, socket: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.advertise.unwrap_or(socket.ip()), socket.port())
    }
}

/// A running switch. Its clones reach the same one.
#[derive(Debug, Clone)]
pub struct Switch {
    pub(crate) shared: Arc<Shared>,
}

/// What must be kept to take calls and to stop in order.
#[derive(Debug)]
pub struct Doorway {
    arrivals: mpsc::Receiver<Arrival>,
    shared: Arc<Shared>,
    task: JoinHandle<io::Result<()>>,
}

impl Switch {
    /// Opens the socket, starts the media threads and the SIP task.
    pub async fn start(config: SwitchConfig) -> Result<(Self, Doorway), SwitchError> {
        let listen = |source| SwitchError::Listen { address: config.listen, source };
        let socket = open_socket(config.listen).map_err(listen)?;
        let local = socket.local_addr().map_err(listen)?;
        let media = MediaEngine::start(config.media)?;
        let mut allowed = config.allow;
        allowed.extend(config.trunks.iter().map(|trunk| Network::from(trunk.address.ip())));
        let calls = CallsConfig {
            advertise: config.advertise.map(|address| SocketAddr::new(address, local.port()).to_string()),
            max_calls: config.calls,
            max_legs: config.calls.saturating_mul(LEGS_PER_CALLER),
            // Six for a caller and as many for whom he talks to: what a call leaves is remembered for half a minute.
            max_transactions: config.calls.saturating_mul(12).max(1_000),
            phones: config.phones.clone().map(|book| PhonesConfig { book, key: rand::random() }),
            ..CallsConfig::default()
        };
        let (requests, inbox) = mpsc::channel(4096);
        let (door, arrivals) = mpsc::channel(512);
        let dropped = Arc::new(Dropped::default());
        let roster = Arc::new(Roster::new(config.phones));
        let endpoint = Endpoint {
            socket,
            local,
            screen: Screen::new(allowed, config.per_source),
            calls: Calls::new(calls, config.seed),
            requests: inbox,
            arrivals: door,
            dropped: Arc::clone(&dropped),
            roster: Arc::clone(&roster),
        };
        let trunks = config.trunks.into_iter().map(|trunk| (trunk.id.clone(), Trunk::new(trunk))).collect();
        let shared =
            Arc::new(Shared { requests, dropped, media, trunks, roster, local, advertise: config.advertise });
        let doorway = Doorway { arrivals, shared: Arc::clone(&shared), task: tokio::spawn(endpoint.run()) };
        Ok((Self { shared }, doorway))
    }

    /// Where we listen for SIP.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// The number that far ends see when we call by this trunk.
    pub fn caller(&self, trunk: &TrunkId) -> Option<String> {
        self.shared.trunks.get(trunk).map(|trunk| trunk.config.caller.clone())
    }

    /// Where calls by this trunk go.
    pub fn address(&self, trunk: &TrunkId) -> Option<SocketAddr> {
        self.shared.trunks.get(trunk).map(|trunk| trunk.config.address)
    }

    /// What the media threads counted so far.
    pub fn media_stats(&self) -> MediaStats {
        self.shared.media.stats()
    }

    /// Waits for a line of the trunk and its turn, and opens a port. Dropping the future takes nothing. A trunk that does not
    /// serve the tenant is none for him.
    pub async fn reserve(&self, trunk: &TrunkId, tenant: &TenantId) -> Result<Reservation, DialError> {
        let line = self.trunk_of(trunk, tenant)?.line().await;
        let sound = self.shared.media.open()?;
        Ok(Reservation { trunk: trunk.clone(), line, sound, is_leg: false })
    }

    /// The same for a call to somebody whom a caller is handed to, which shall be bridged with the caller's: `beside` is
    /// that one's [`MediaPort::place`]. It does not count for [`SwitchConfig::calls`].
    pub async fn reserve_beside(
        &self,
        trunk: &TrunkId,
        tenant: &TenantId,
        beside: &MediaPlace,
    ) -> Result<Reservation, DialError> {
        let line = self.trunk_of(trunk, tenant)?.line().await;
        let sound = self.shared.media.open_in(beside)?;
        Ok(Reservation { trunk: trunk.clone(), line, sound, is_leg: true })
    }

    /// Places a call: the INVITE leaves at once. `ring`: how long it may ring.
    pub async fn place(
        &self,
        reserved: Reservation,
        target: Target,
        ring: Duration,
    ) -> Result<Call, DialError> {
        let Reservation { trunk, line, sound: (port, sounds), is_leg } = reserved;
        let trunk = self.trunk(&trunk)?;
        let address = trunk.config.address;
        let to_uri = match target {
            Target::Number(number) => format!("sip:{}@{address}", number.reveal()),
            Target::Uri(uri) => uri,
        };
        let credentials = trunk.config.login.clone();
        let dial = Dial {
            flow: Flow { transport: Transport::Udp, local: self.shared.local, remote: address },
            to_uri,
            from: Identity { user: trunk.config.caller.clone(), display: None, host: None },
            asserted_identity: None,
            credentials: credentials.map(|(username, password)| Credentials { username, password }),
            local_media: self.shared.advertised(port.local_addr()),
            codecs: Codec::ALL.to_vec(),
            ring,
            is_phone: false,
            is_leg,
            headers: Vec::new(),
        };
        let (ends, events, ended) = ends();
        let (reply, id) = oneshot::channel();
        self.shared.ask(Request::Dial { dial: Box::new(dial), ends, reply }).await;
        let id = id.await.map_err(|_| DialError::Closed)?.take();
        Ok(Call::new(id, Arc::clone(&self.shared), (events, ended), (port, sounds), Some(line)))
    }

    fn trunk_of(&self, trunk: &TrunkId, tenant: &TenantId) -> Result<&Trunk, DialError> {
        let found = self.trunk(trunk)?;
        if found.config.serves(tenant) { Ok(found) } else { Err(DialError::NoTrunk(trunk.clone())) }
    }

    fn trunk(&self, trunk: &TrunkId) -> Result<&Trunk, DialError> {
        self.shared.trunks.get(trunk).ok_or_else(|| DialError::NoTrunk(trunk.clone()))
    }
}

impl Doorway {
    /// The next call that comes in; `None` once the switch has stopped.
    pub async fn next(&mut self) -> Option<IncomingCall> {
        let arrival = self.arrivals.recv().await?;
        Some(IncomingCall::new(arrival, Arc::clone(&self.shared)))
    }

    /// Hangs up every call, and stops once the last BYE has left.
    pub async fn shutdown(self) -> io::Result<()> {
        let Self { arrivals, shared, task } = self;
        drop(arrivals);
        shared.ask(Request::Stop).await;
        task.await.unwrap_or_else(|fault| Err(io::Error::other(fault)))
    }
}

/// A UDP socket whose buffers hold a burst: at 500 new calls a second some 2,000 messages a second arrive.
fn open_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_send_buffer_size(1 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

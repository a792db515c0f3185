//! The stand behind HTTP: what SMSC has, and two pages of its own for whoever watches.
//!
//! `GET /stand/messages` is what was taken. `POST /stand/manner?manner=3&times=1` has it refuse the next question with
//! error 3; [`Manner::NAMES`] are the other manners, and `manner=answers` ends each. `manner=10&phone=79001234567` is for
//! messages to that number alone.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zvonar_model::UnixMillis;

use super::{Manner, News, Reply, Stand, StandSettings};
use crate::form;
use crate::http::{AddressFault, Base, Http, Trust, TrustFault};

/// The longest form that is read.
const LONGEST_FORM: usize = 64 << 10;

/// How often the stand looks whether a message has moved on.
const LOOK: Duration = Duration::from_millis(20);

/// News that waits to be told. When more has come, the oldest must be told first: messages wait where they are.
const NEWS: usize = 1_000;

/// How often news that nobody took is told again, and after how long.
const TOLD: u32 = 3;
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// Why there is no stand.
#[derive(Debug, thiserror::Error)]
pub enum StandFault {
    /// Its place is taken, or none.
    #[error("nothing can listen on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// News cannot be told there.
    #[error("callbacks: {0}")]
    Address(#[from] AddressFault),
    /// HTTPS cannot be used.
    #[error("callbacks: {0}")]
    Trust(#[from] TrustFault),
}

type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

#[derive(Clone)]
struct Desk {
    stand: Arc<Mutex<Stand>>,
    clock: Clock,
}

impl Desk {
    fn with<T>(&self, look: impl FnOnce(&mut Stand, UnixMillis) -> T) -> T {
        let now = (self.clock)();
        look(&mut self.stand.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

/// A stand that listens. It stops when it is dropped.
pub struct Running {
    address: SocketAddr,
    desk: Desk,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks into the books, or changes them.
    pub fn with<T>(&self, look: impl FnOnce(&mut Stand) -> T) -> T {
        self.desk.with(|stand, _| look(stand))
    }

    /// Comes back when it cannot go on.
    pub async fn ended(mut self) {
        self.tasks.join_next().await;
    }
}

/// Opens a stand. `callback`: where signed news goes to, as the handler's address in an account at SMSC.
///
/// # Errors
///
/// It cannot listen there, or `callback` is no address.
pub async fn serve(
    listen: SocketAddr,
    settings: StandSettings,
    callback: Option<&str>,
    clock: Clock,
) -> Result<Running, StandFault> {
    let teller = callback.map(Teller::new).transpose()?;
    let opened = async {
        let listener = TcpListener::bind(listen).await?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = opened.await.map_err(|source| StandFault::Listen { listen, source })?;
    let desk = Desk { stand: Arc::new(Mutex::new(Stand::new(settings))), clock };
    let mut tasks = JoinSet::new();
    let router = Router::new().fallback(answer).with_state(desk.clone());
    tasks.spawn(async move {
        if let Err(why) = axum::serve(listener, router).await {
            tracing::error!(%why, "the stand has stopped");
        }
    });
    let (news, told) = mpsc::channel(NEWS);
    tasks.spawn(look_on(desk.clone(), news));
    tasks.spawn(tell(teller, told));
    Ok(Running { address, desk, tasks })
}

/// Lets time pass for the messages.
async fn look_on(desk: Desk, news: mpsc::Sender<News>) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        for one in desk.with(Stand::advance) {
            if news.send(one).await.is_err() {
                return;
            }
        }
    }
}

/// Where news goes to.
struct Teller {
    http: Http,
    base: Base,
    path: String,
}

impl Teller {
    fn new(address: &str) -> Result<Self, StandFault> {
        let after_scheme = address.find("://").map_or(0, |at| at + 3);
        let at = address[after_scheme..].find('/').map_or(address.len(), |at| after_scheme + at);
        let (base, path) = address.split_at(at);
        let base = Base::parse(base)?;
        let patience = Duration::from_secs(5);
        let http = Http::new(base.is_secure().then_some(&Trust::Machine), patience, patience)?;
        Ok(Self { http, base, path: if path.is_empty() { "/".into() } else { path.into() } })
    }
}

async fn tell(teller: Option<Teller>, mut news: mpsc::Receiver<News>) {
    while let Some(News(form)) = news.recv().await {
        let Some(teller) = &teller else { continue };
        for _ in 0..TOLD {
            match teller.http.post(&teller.base, &teller.path, form.clone()).await {
                Ok((200, _)) => break,
                other => {
                    tracing::warn!(base = %teller.base, answer = ?other.map(|(status, _)| status), "news was not taken")
                }
            }
            tokio::time::sleep(TOLD_AGAIN).await;
        }
    }
}

async fn answer(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or("").as_bytes().to_vec();
    let Ok(body) = to_bytes(body, LONGEST_FORM).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let sent = [&query[..], b"&", &body].concat();
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/stand/messages") => {
            let taken = desk.with(|stand, _| json!(stand.taken().collect::<Vec<_>>()));
            ([(header::CONTENT_TYPE, "application/json")], taken.to_string()).into_response()
        }
        (&Method::POST, "/stand/manner") => match manner(&sent) {
            Ok((manner, Whom::All(times))) => {
                desk.with(|stand, _| stand.treat(manner, times));
                StatusCode::NO_CONTENT.into_response()
            }
            Ok((manner, Whom::One(phone))) => {
                desk.with(|stand, _| stand.treat_phone(&phone, manner));
                StatusCode::NO_CONTENT.into_response()
            }
            Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        },
        (&Method::GET | &Method::POST, path) if path.starts_with("/sys/") => {
            let (reply, after) =
                desk.with(|stand, now| (stand.answer(now, path, &sent), stand.answers_after()));
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            match reply {
                Reply::Whole(body) => body.into_response(),
                Reply::Failure => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                Reply::Silence => std::future::pending().await,
                Reply::Half(body) => {
                    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
                    let broken = stream::iter([Ok(half), Err(io::Error::other("the other half"))]);
                    Body::from_stream(broken).into_response()
                }
            }
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whose questions are treated so.
enum Whom {
    /// All, or so many of them.
    All(Option<u32>),
    /// Messages to this telephone.
    One(String),
}

/// Reads what the stand shall do.
fn manner(sent: &[u8]) -> Result<(Manner, Whom), String> {
    let fields = form::decode(sent);
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let times =
        field("times").map(|text| text.parse::<u32>().map_err(|_| format!("`times={text}` is no number\n")));
    let times = times.transpose()?;
    let manner = Manner::named(&field("manner").unwrap_or_default()).map_err(|why| why + "\n")?;
    match (field("phone"), times) {
        (None, times) => Ok((manner, Whom::All(times))),
        (Some(phone), None) => Ok((manner, Whom::One(phone))),
        (Some(_), Some(_)) => {
            Err("say `phone` or `times`: one telephone is treated so until it is told otherwise\n".into())
        }
    }
}

//! The stand as a gateway without sockets: the client's own questions and its reading of answers, for tests on a virtual
//! clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use zvonar_model::{Kopecks, PhoneNumber, UnixMillis};

use super::{Reply, Stand};
use crate::gateway::{Accepted, Gateway, GatewayError, Price, Sms, SmsId, Tracked};
use crate::smsc::request::Request;
use crate::smsc::{Account, answer};

/// How long a question is on its way, and its answer.
const ON_THE_WAY: Duration = Duration::from_millis(40);

/// How long an answer that never comes is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of a stand in the same process. Whoever drops a question while it is on its way back has lost the answer, as
/// with a real one.
pub struct Direct {
    stand: Arc<Mutex<Stand>>,
    account: Account,
    clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    down: AtomicBool,
}

impl Direct {
    /// Asks this stand.
    pub fn new(
        stand: Arc<Mutex<Stand>>,
        account: Account,
        clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    ) -> Self {
        Self { stand, account, clock, down: AtomicBool::new(false) }
    }

    /// From now on nobody is reached, or somebody is again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    async fn ask(&self, request: Request) -> Result<Bytes, GatewayError> {
        tokio::time::sleep(ON_THE_WAY).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(GatewayError::Unreachable("the stand is down".into()));
        }
        let reply = {
            let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (self.clock)();
            // What has become of earlier messages is known by now.
            drop(stand.advance(now));
            stand.answer(now, request.path, request.form.as_bytes())
        };
        let lost = |why: &str| Err(GatewayError::NoAnswer(why.to_owned()));
        match reply {
            Reply::Whole(body) => {
                tokio::time::sleep(ON_THE_WAY).await;
                Ok(body.into())
            }
            Reply::Half(_) => lost("the stand broke off in mid-answer"),
            Reply::Failure => lost("the stand answered HTTP 500"),
            Reply::Silence => {
                tokio::time::sleep(PATIENCE).await;
                lost("no answer within a minute")
            }
        }
    }
}

#[async_trait]
impl Gateway for Direct {
    async fn send(&self, sms: &Sms) -> Result<Accepted, GatewayError> {
        answer::accepted(&self.ask(Request::send(&self.account, "", sms)).await?)
    }

    async fn price(&self, to: &PhoneNumber, text: &str) -> Result<Price, GatewayError> {
        answer::price(&self.ask(Request::price(&self.account, "", to, text)).await?)
    }

    async fn status(&self, id: SmsId, to: &PhoneNumber) -> Result<Option<Tracked>, GatewayError> {
        answer::tracked(&self.ask(Request::status(&self.account, id, to)).await?)
    }

    async fn balance(&self) -> Result<Kopecks, GatewayError> {
        answer::balance(&self.ask(Request::balance(&self.account)).await?)
    }
}

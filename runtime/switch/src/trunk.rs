//! A trunk: where calls leave to, how many at once and how quickly one after another.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zvonar_model::{TenantId, TrunkId};

/// What a carrier gave us.
#[derive(Clone)]
pub struct TrunkConfig {
    /// Its name in the configuration.
    pub id: TrunkId,
    /// Where the INVITE goes.
    pub address: SocketAddr,
    /// Simultaneous calls, at least 1.
    pub lines: u32,
    /// New calls a second, at least 1.
    pub calls_per_second: u32,
    /// The number that the called person sees.
    pub caller: String,
    /// User name and password for 401 and 407.
    pub login: Option<(String, String)>,
    /// Who may call by it; `None`: everybody.
    pub tenants: Option<BTreeSet<TenantId>>,
}

impl fmt::Debug for TrunkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever is logged one day, the password is not in it.
        f.debug_struct("TrunkConfig")
            .field("id", &self.id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl TrunkConfig {
    /// Whether this tenant may call by it.
    pub fn serves(&self, tenant: &TenantId) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }
}

/// Spreads starts evenly: each at least `1 / rate` after the one before. Turns are given out ahead; nobody is refused.
#[derive(Debug)]
pub struct Pacer {
    gap: Duration,
    next: Option<Instant>,
}

impl Pacer {
    /// `per_second`: starts a second; 0 counts as 1.
    pub fn new(per_second: u32) -> Self {
        Self { gap: Duration::from_secs(1) / per_second.max(1), next: None }
    }

    /// When the caller's turn is: now, or the next free moment.
    pub fn turn(&mut self, now: Instant) -> Instant {
        let turn = self.next.map_or(now, |next| next.max(now));
        self.next = Some(turn + self.gap);
        turn
    }
}

/// A trunk that is in use: its free lines and its pace.
#[derive(Debug)]
pub struct Trunk {
    /// What the carrier gave us.
    pub config: TrunkConfig,
    lines: Arc<Semaphore>,
    pacer: std::sync::Mutex<Pacer>,
}

/// One line of a trunk, taken until it is dropped.
#[derive(Debug)]
pub struct Line {
    _permit: OwnedSemaphorePermit,
}

impl Trunk {
    /// A trunk with all its lines free.
    pub fn new(config: TrunkConfig) -> Self {
        let lines = Arc::new(Semaphore::new(config.lines.max(1) as usize));
        let pacer = Pacer::new(config.calls_per_second).into();
        Self { config, lines, pacer }
    }

    /// Waits for a free line, then for this call's turn. Calls wait in the order in which they asked.
    pub async fn line(&self) -> Line {
        let permit = Arc::clone(&self.lines).acquire_owned().await.expect("the semaphore is never closed");
        let turn = self.pacer.lock().expect("no holder of this lock panics").turn(crate::clock::now());
        tokio::time::sleep_until(turn.into()).await;
        Line { _permit: permit }
    }

    /// Lines that are free now.
    pub fn free(&self) -> usize {
        self.lines.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_spread_evenly_and_idle_time_is_not_saved_up() {
        let start = crate::clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pacer = Pacer::new(4);
        assert_eq!(pacer.turn(at(0)), at(0));
        assert_eq!(pacer.turn(at(0)), at(250));
        assert_eq!(pacer.turn(at(100)), at(500));
        assert_eq!(pacer.turn(at(5_000)), at(5_000), "no burst after a pause");
        assert_eq!(pacer.turn(at(5_001)), at(5_250));
    }

    #[test]
    fn a_trunk_serves_whom_it_names_and_else_everybody() {
        let [acme, beta] = ["acme", "beta"].map(|id| TenantId::new(id).unwrap());
        let mut trunk = TrunkConfig {
            id: TrunkId::new("t").unwrap(),
            address: "127.0.0.1:5060".parse().unwrap(),
            lines: 1,
            calls_per_second: 1,
            caller: "100".into(),
            login: None,
            tenants: None,
        };
        assert!(trunk.serves(&acme) && trunk.serves(&beta));
        trunk.tenants = Some([acme.clone()].into());
        assert!(trunk.serves(&acme) && !trunk.serves(&beta));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_a_line_until_another_ends() {
        let trunk = Trunk::new(TrunkConfig {
            id: TrunkId::new("t").unwrap(),
            address: "127.0.0.1:5060".parse().unwrap(),
            lines: 1,
            calls_per_second: 1000,
            caller: "100".into(),
            login: None,
            tenants: None,
        });
        let first = trunk.line().await;
        assert!(tokio::time::timeout(Duration::from_secs(60), trunk.line()).await.is_err(), "no second line");
        drop(first);
        assert_eq!(trunk.free(), 1);
        trunk.line().await;
    }
}

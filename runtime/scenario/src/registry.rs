//! Which versions of a scenario are in use for whom, and their swap under running calls.
//!
//! Each (tenant, scenario) has a [`Lineup`]: the live version, perhaps a canary that gets some percent of the calls, and
//! the versions before that still have calls. A lineup is immutable and swapped whole, in about a microsecond. A call is
//! given its version once ([`Slot::assign`]) and keeps it; new calls start on the new one.
//!
//! # Invariants
//!
//! * A version that left the lineup is held by its calls alone: its code is freed with the last of them.
//! * A call that is assigned after a swap has come back never gets what was swapped out.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use zvonar_model::TenantId;

use crate::Module;
use crate::rollout::{Health, Sample};

/// One version of a scenario, with the calls it has and what became of those it had.
#[derive(Debug)]
pub struct Release<T> {
    number: u32,
    what: T,
    counters: Arc<Counters>,
}

/// They outlive the code that they are about, so that the last call of a version is counted too.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU32,
    ended: AtomicU32,
    faults: AtomicU32,
    without_result: AtomicU32,
}

impl Counters {
    fn health(&self) -> Health {
        Health {
            calls: self.ended.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            without_result: self.without_result.load(Ordering::Relaxed),
        }
    }
}

impl<T> Release<T> {
    /// Version `number`, whose calls so far came to this.
    pub fn new(number: u32, what: T, health: Health) -> Self {
        let counters = Arc::new(Counters {
            calls: AtomicU32::new(0),
            ended: AtomicU32::new(health.calls),
            faults: AtomicU32::new(health.faults),
            without_result: AtomicU32::new(health.without_result),
        });
        Self { number, what, counters }
    }

    /// 6 for v6.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What runs.
    pub fn what(&self) -> &T {
        &self.what
    }

    /// Calls that have this version now, those included that are ringing still.
    pub fn calls(&self) -> u32 {
        self.counters.calls.load(Ordering::Acquire)
    }

    /// What became of its sessions.
    pub fn health(&self) -> Health {
        self.counters.health()
    }
}

/// The versions of one scenario that are in use. `Display`: `v7 live, v8 canary 10 %, 3 calls still on v6`.
#[derive(Debug)]
pub struct Lineup<T> {
    live: Arc<Release<T>>,
    baseline: Option<Health>,
    canary: Option<(Arc<Release<T>>, u8)>,
    older: Vec<Older<T>>,
}

/// A version that left the lineup.
#[derive(Debug)]
struct Older<T> {
    number: u32,
    code: Weak<Release<T>>,
    counters: Arc<Counters>,
}

impl<T> Clone for Older<T> {
    fn clone(&self) -> Self {
        Self { number: self.number, code: self.code.clone(), counters: Arc::clone(&self.counters) }
    }
}

impl<T> Older<T> {
    fn of(release: &Arc<Release<T>>) -> Self {
        let counters = Arc::clone(&release.counters);
        Self { number: release.number, code: Arc::downgrade(release), counters }
    }
}

impl<T> Lineup<T> {
    /// A live version alone. `baseline`: what the version before it had come to, when this one is to be judged by it.
    pub fn of(live: Arc<Release<T>>, baseline: Option<Health>) -> Self {
        Self { live, baseline, canary: None, older: Vec::new() }
    }

    /// The same with a canary that gets so many percent of the calls.
    #[must_use]
    pub fn with_canary(self, canary: Arc<Release<T>>, percent: u8) -> Self {
        Self { canary: Some((canary, percent.min(100))), ..self }
    }

    /// What calls get that do not get the canary.
    pub fn live(&self) -> &Arc<Release<T>> {
        &self.live
    }

    /// What the version before the live one had come to, while the live one is judged by it.
    pub fn baseline(&self) -> Option<Health> {
        self.baseline
    }

    /// The canary and its percent.
    pub fn canary(&self) -> Option<(&Arc<Release<T>>, u8)> {
        self.canary.as_ref().map(|(canary, percent)| (canary, *percent))
    }

    /// Versions that are in use no more but for the calls they have, newest first.
    pub fn older(&self) -> Vec<Arc<Release<T>>> {
        let older = self.older.iter().filter_map(|older| older.code.upgrade());
        let mut older: Vec<_> = older.filter(|release| release.calls() > 0).collect();
        older.sort_by_key(|release| std::cmp::Reverse(release.number));
        older
    }

    /// The version of this number, if any call or the lineup itself still has it.
    pub fn find(&self, number: u32) -> Option<Arc<Release<T>>> {
        let here = [Some(&self.live), self.canary.as_ref().map(|(canary, _)| canary)];
        let mut here = here.into_iter().flatten();
        here.find(|release| release.number == number).cloned().or_else(|| {
            self.older.iter().filter(|older| older.number == number).find_map(|older| older.code.upgrade())
        })
    }

    fn pick(&self, draw: u8) -> &Arc<Release<T>> {
        match &self.canary {
            Some((canary, percent)) if draw < *percent => canary,
            _ => &self.live,
        }
    }

    /// Whether this version is live or the canary: the very same one, or one loaded anew since nobody held it any more.
    fn has(&self, older: &Older<T>) -> bool {
        let is = |release: &Arc<Release<T>>| {
            std::ptr::eq(Arc::as_ptr(release), older.code.as_ptr())
                || (release.number == older.number && older.code.strong_count() == 0)
        };
        is(&self.live) || self.canary.as_ref().is_some_and(|(canary, _)| is(canary))
    }
}

impl<T> fmt::Display for Lineup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} live", self.live.number)?;
        if let Some((canary, percent)) = &self.canary {
            write!(f, ", v{} canary {percent} %", canary.number)?;
        }
        for release in self.older() {
            let calls = release.calls();
            let word = if calls == 1 { "call" } else { "calls" };
            write!(f, ", {calls} {word} still on v{}", release.number)?;
        }
        Ok(())
    }
}

/// The place of one scenario. Clones look at the same place and follow its swaps.
#[derive(Debug)]
pub struct Slot<T = Module> {
    lineup: Arc<ArcSwap<Lineup<T>>>,
    news: Arc<Notify>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { lineup: Arc::clone(&self.lineup), news: Arc::clone(&self.news) }
    }
}

impl<T> Slot<T> {
    /// The lineup of this moment.
    pub fn lineup(&self) -> Arc<Lineup<T>> {
        self.lineup.load_full()
    }

    /// Gives a call its version. `draw`: its lot, [`crate::rollout::draw`].
    pub fn assign(&self, draw: u8) -> OnCall<T> {
        loop {
            let lineup = self.lineup.load();
            let call = OnCall::begin(Arc::clone(lineup.pick(draw)), Arc::clone(&self.news));
            // Whoever counted the calls of a version that was being swapped out in this very moment did not see this
            // one: it draws again.
            if Arc::ptr_eq(&lineup, &self.lineup.load()) {
                return call;
            }
        }
    }
}

/// A call's hold on its version, from before it is dialled until its session is over.
#[derive(Debug)]
pub struct OnCall<T = Module> {
    /// `None` only while it is dropped.
    release: Option<Arc<Release<T>>>,
    news: Arc<Notify>,
}

impl<T> OnCall<T> {
    fn begin(release: Arc<Release<T>>, news: Arc<Notify>) -> Self {
        release.counters.calls.fetch_add(1, Ordering::AcqRel);
        Self { release: Some(release), news }
    }

    /// The version.
    pub fn release(&self) -> &Arc<Release<T>> {
        self.release.as_ref().expect("it is held until the drop")
    }

    /// The session of the call is over and came to this.
    pub fn ended(&self, sample: Sample) {
        let counters = &self.release().counters;
        counters.faults.fetch_add(u32::from(sample.fault), Ordering::Relaxed);
        counters.without_result.fetch_add(u32::from(sample.without_result), Ordering::Relaxed);
        counters.ended.fetch_add(1, Ordering::Relaxed);
        self.news.notify_one();
    }
}

impl<T> Deref for OnCall<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.release().what
    }
}

impl<T> Drop for OnCall<T> {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release.counters.calls.fetch_sub(1, Ordering::AcqRel);
            // Let go before the news, so that whoever hears it finds the code of an old version freed.
            drop(release);
            self.news.notify_one();
        }
    }
}

/// The lineup of each (tenant, scenario name).
#[derive(Debug)]
pub struct Registry<T = Module> {
    slots: RwLock<BTreeMap<TenantId, BTreeMap<String, Slot<T>>>>,
    news: Arc<Notify>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { slots: RwLock::default(), news: Arc::default() }
    }
}

impl<T> Registry<T> {
    /// Puts a lineup into a scenario's place. Versions that it no longer has, and that have calls, are kept in sight.
    /// Gives back what stands there now.
    ///
    /// Whoever changes the lineups of a scenario sees to it that he is the only one.
    pub fn set(&self, tenant: &TenantId, name: &str, mut lineup: Lineup<T>) -> Arc<Lineup<T>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = slots.entry(tenant.clone()).or_default();
        let Some(slot) = of_tenant.get(name) else {
            let lineup = Arc::new(lineup);
            let slot =
                Slot { lineup: Arc::new(ArcSwap::new(Arc::clone(&lineup))), news: Arc::clone(&self.news) };
            of_tenant.insert(name.to_owned(), slot);
            return lineup;
        };
        let before = slot.lineup();
        let left = [Some(&before.live), before.canary.as_ref().map(|(canary, _)| canary)];
        let older = left.into_iter().flatten().map(Older::of).chain(before.older.iter().cloned());
        lineup.older = older.filter(|older| !lineup.has(older)).collect();
        let lineup = Arc::new(lineup);
        slot.lineup.store(Arc::clone(&lineup));
        lineup
    }

    /// Makes this the live version under a name, without a canary or a judgement: for hosts that keep no versions.
    pub fn publish(&self, tenant: &TenantId, name: &str, what: T) -> Arc<Lineup<T>> {
        let number = self.slot(tenant, name).map_or(1, |slot| slot.lineup().live.number + 1);
        self.set(tenant, name, Lineup::of(Arc::new(Release::new(number, what, Health::default())), None))
    }

    /// The place of a scenario; `None` if nothing was published under this name.
    pub fn slot(&self, tenant: &TenantId, name: &str) -> Option<Slot<T>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(tenant)?.get(name).cloned()
    }

    /// All places, in order.
    pub fn slots(&self) -> Vec<(TenantId, String, Slot<T>)> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = |(tenant, of_tenant): (&TenantId, &BTreeMap<String, Slot<T>>)| {
            let places = of_tenant.iter();
            places.map(|(name, slot)| (tenant.clone(), name.clone(), slot.clone())).collect::<Vec<_>>()
        };
        slots.iter().flat_map(of_tenant).collect()
    }

    /// Woken when a session or a call ends, on any version of anybody.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Takes the versions of a scenario out of sight whose last call has ended; their numbers, and what they came to.
    pub fn sweep(&self, tenant: &TenantId, name: &str) -> Vec<(u32, Health)> {
        // Under the lock of `set`, so that no lineup is lost between the look and the swap.
        let slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(tenant).and_then(|of_tenant| of_tenant.get(name)) else {
            return Vec::new();
        };
        let lineup = slot.lineup();
        let (older, done): (Vec<_>, Vec<_>) = lineup
            .older
            .iter()
            .cloned()
            .partition(|older| older.code.upgrade().is_some_and(|release| release.calls() > 0));
        if !done.is_empty() {
            slot.lineup.store(Arc::new(Lineup {
                live: Arc::clone(&lineup.live),
                baseline: lineup.baseline,
                canary: lineup.canary.clone(),
                older,
            }));
        }
        done.into_iter().map(|older| (older.number, older.counters.health())).collect()
    }

    /// Judges a live version no more: it is trusted, or was chosen by a person.
    pub fn trust(&self, tenant: &TenantId, name: &str) {
        let slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(tenant).and_then(|of_tenant| of_tenant.get(name)) else { return };
        let lineup = slot.lineup();
        slot.lineup.store(Arc::new(Lineup {
            live: Arc::clone(&lineup.live),
            baseline: None,
            canary: lineup.canary.clone(),
            older: lineup.older.clone(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::new(id).unwrap()
    }

    fn release(number: u32) -> Arc<Release<String>> {
        Arc::new(Release::new(number, format!("code of v{number}"), Health::default()))
    }

    #[test]
    fn old_code_is_freed_with_its_last_call_and_not_before() {
        let (registry, acme) = (Registry::default(), tenant("acme"));
        let v6 = release(6);
        let gone = Arc::downgrade(&v6);
        registry.set(&acme, "menu", Lineup::of(v6, None));
        let slot = registry.slot(&acme, "menu").unwrap();
        let calls: Vec<_> = (0..3).map(|_| slot.assign(0)).collect();
        let told = registry.set(&acme, "menu", Lineup::of(release(7), None)).to_string();
        assert_eq!(told, "v7 live, 3 calls still on v6");
        assert_eq!(slot.assign(0).release().number(), 7, "new calls start on the new one");
        assert_eq!(*calls[0], "code of v6", "calls in progress keep theirs");
        for (held, call) in calls.into_iter().enumerate().map(|(ended, call)| (3 - ended, call)) {
            assert_eq!(gone.strong_count(), held, "the calls alone hold it");
            assert_eq!(registry.sweep(&acme, "menu"), []);
            call.ended(Sample { fault: held == 1, without_result: false });
        }
        assert_eq!(gone.strong_count(), 0);
        let came_to = Health { calls: 3, faults: 1, without_result: 0 };
        assert_eq!(registry.sweep(&acme, "menu"), [(6, came_to)], "its last call is counted");
        assert_eq!(registry.sweep(&acme, "menu"), [], "told once");
        assert_eq!(slot.lineup().to_string(), "v7 live");
    }

    #[test]
    fn a_version_without_calls_is_freed_by_the_swap_itself() {
        let (registry, acme) = (Registry::default(), tenant("acme"));
        let v1 = release(1);
        let gone = Arc::downgrade(&v1);
        registry.set(&acme, "menu", Lineup::of(v1, None));
        registry.set(&acme, "menu", Lineup::of(release(2), None));
        assert_eq!(gone.strong_count(), 0);
        assert_eq!(registry.sweep(&acme, "menu"), [(1, Health::default())]);
    }

    #[test]
    fn the_canary_gets_its_percent_and_the_same_lot_always_gets_the_same() {
        let (registry, acme) = (Registry::default(), tenant("acme"));
        registry.set(&acme, "menu", Lineup::of(release(1), None).with_canary(release(2), 10));
        let slot = registry.slot(&acme, "menu").unwrap();
        let got: Vec<u32> = (0..100).map(|lot| slot.assign(lot).release().number()).collect();
        assert_eq!(got.iter().filter(|number| **number == 2).count(), 10);
        assert_eq!(got, (0..100).map(|lot| slot.assign(lot).release().number()).collect::<Vec<_>>());
        assert_eq!(slot.lineup().to_string(), "v1 live, v2 canary 10 %");
    }

    #[test]
    fn a_version_that_comes_back_while_it_has_calls_is_the_same_one() {
        let (registry, acme) = (Registry::default(), tenant("acme"));
        registry.set(&acme, "menu", Lineup::of(release(1), None));
        let slot = registry.slot(&acme, "menu").unwrap();
        let call = slot.assign(0);
        call.ended(Sample { fault: true, without_result: false });
        registry.set(&acme, "menu", Lineup::of(release(2), None));
        let back = slot.lineup().find(1).expect("its call has it");
        assert!(Arc::ptr_eq(&back, call.release()));
        let told = registry.set(&acme, "menu", Lineup::of(back, None)).to_string();
        assert_eq!(told, "v1 live", "it stands once in the lineup");
        assert_eq!(slot.lineup().live().health(), Health { calls: 1, faults: 1, without_result: 0 });
        assert!(slot.lineup().find(2).is_none(), "nobody has it any more");
    }

    #[test]
    fn tenants_with_the_same_name_of_a_scenario_have_places_of_their_own() {
        let registry = Registry::default();
        registry.publish(&tenant("a"), "menu", "of a");
        registry.publish(&tenant("b"), "menu", "of b");
        registry.publish(&tenant("a"), "menu", "of a, newer");
        let at = |id: &str| *registry.slot(&tenant(id), "menu").unwrap().assign(0);
        assert_eq!((at("a"), at("b")), ("of a, newer", "of b"));
        assert!(registry.slot(&tenant("c"), "menu").is_none());
        assert_eq!(registry.slots().len(), 2);
    }

    /// A call was counted on the version that it drew in the moment of a swap, after that version's calls had been
    /// counted for the last time.
    #[test]
    fn calls_that_are_assigned_beside_swaps_are_never_lost_from_sight() {
        let registry = Arc::new(Registry::default());
        let acme = tenant("acme");
        registry.set(&acme, "menu", Lineup::of(release(0), None));
        let slot = registry.slot(&acme, "menu").unwrap();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let slot = slot.clone();
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        let call = slot.assign(0);
                        let number = call.release().number();
                        // Live, or in sight among the older ones: that is what whoever looks now must see.
                        let lineup = slot.lineup();
                        assert!(
                            lineup.live().number() == number
                                || lineup.older().iter().any(|older| older.number() == number)
                        );
                    }
                })
            })
            .collect();
        for number in 1..500 {
            registry.set(&acme, "menu", Lineup::of(release(number), None));
            registry.sweep(&acme, "menu");
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
}

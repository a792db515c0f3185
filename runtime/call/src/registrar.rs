//! Where the phones of each account are: registrations (RFC 3261 §10.3), and whether they are still true.
//!
//! The registrar performs no I/O and reads no clock; [`crate::Calls`] gives it REGISTERs whose sender is proved, asks the
//! phones what [`Registrar::next_due`] wants asked, and tells it what came of it.
//!
//! # Invariants
//!
//! * A REGISTER is carried out as a whole or not at all.
//! * Requests to a phone go where its last REGISTER came from, whatever its `Contact` says: that passes address
//!   translators, and nobody can aim our calls at a third party.
//! * An account has at most as many contacts as the settings say; with one more the oldest goes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use zvonar_sip::{
    Flow,
    message::{Message, Name, NameAddr},
    uri::Uri,
};

use crate::PhoneSettings;

/// Contacts in one REGISTER; honest phones send one.
const MAX_LISTED: usize = 10;
/// A longer contact is refused: it would be in every request to the phone.
const MAX_URI: usize = 512;
/// A longer name of a phone is cut.
const MAX_AGENT: usize = 100;

/// A phone that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// What it calls itself.
    pub uri: String,
    /// Where its REGISTER came from, and where requests go.
    pub flow: Flow,
    /// Its `User-Agent`; empty if it does not say.
    pub user_agent: String,
    /// When the registration ends, if it is not renewed.
    pub until: Instant,
}

/// A registration, for as long as it lasts.
pub(crate) type BindingId = u64;

#[derive(Debug)]
struct Binding {
    user: String,
    /// Of the account's secret at the time.
    revision: u64,
    key: String,
    /// `+sip.instance` (RFC 5626): the same phone, though it has another address.
    instance: Option<String>,
    contact: Contact,
    call_id: String,
    cseq: u32,
    missed: u32,
    /// `None`: it is being asked.
    probe_at: Option<Instant>,
    due: Instant,
}

/// What to answer, and what changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub code: u16,
    pub headers: Vec<(Name, String)>,
    pub change: Change,
}

/// What a request did to an account's phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// The same phones as before, for longer, or elsewhere.
    Renewed,
    /// A phone more or less.
    CameOrWent,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A registration ran out.
    Expired { user: String },
    /// Ask the phone whether it is there, and tell [`Registrar::probed`].
    Probe { binding: BindingId, flow: Flow, uri: String },
}

/// All registrations of a host.
#[derive(Debug)]
pub(crate) struct Registrar {
    settings: PhoneSettings,
    bindings: BTreeMap<BindingId, Binding>,
    /// The one that was renewed last stands last.
    by_user: HashMap<String, Vec<BindingId>>,
    due: BTreeSet<(Instant, BindingId)>,
    /// How many registrations came from each address, and from each port of it.
    addresses: HashMap<IpAddr, usize>,
    ports: HashMap<SocketAddr, usize>,
    next: BindingId,
}

/// One value of `Contact`, understood.
struct Wanted {
    uri: String,
    key: String,
    instance: Option<String>,
    expires: Duration,
}

impl Registrar {
    pub(crate) fn new(settings: PhoneSettings) -> Self {
        Self {
            settings,
            bindings: BTreeMap::new(),
            by_user: HashMap::new(),
            due: BTreeSet::new(),
            addresses: HashMap::new(),
            ports: HashMap::new(),
            next: 0,
        }
    }

    /// Carries out a REGISTER of a user who proved who he is.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        (user, revision): (&str, u64),
        flow: Flow,
        request: &Message,
    ) -> Reply {
        let are_outdated_gone = self.drop_outdated(user, revision);
        let mut reply = self.carry_out(now, (user, revision), flow, request);
        if are_outdated_gone {
            reply.change = Change::CameOrWent;
        }
        reply
    }

    fn carry_out(
        &mut self,
        now: Instant,
        (user, revision): (&str, u64),
        flow: Flow,
        request: &Message,
    ) -> Reply {
        let is_for_another = request
            .header(Name::To)
            .and_then(NameAddr::parse)
            .and_then(|to| Uri::parse(to.uri))
            .is_none_or(|to| to.user() != user);
        if is_for_another {
            return refuse(403, "To has to name the user who signs in: register each account by itself");
        }
        let listed: Vec<&str> = request.values(Name::Contact).take(MAX_LISTED + 1).collect();
        if listed.len() > MAX_LISTED {
            return refuse(400, "too many contacts in one REGISTER: list ten at most");
        }
        let change = if listed.contains(&"*") {
            if listed.len() > 1 || request.header(Name::Expires).map(str::trim) != Some("0") {
                return refuse(400, "Contact: * stands alone and with Expires: 0");
            }
            let all = self.by_user.get(user).cloned().unwrap_or_default();
            if all.iter().any(|binding| self.is_late(*binding, request)) {
                return refuse(500, "an older REGISTER came after a newer one: send it again");
            }
            all.iter().for_each(|binding| self.drop_binding(*binding));
            if all.is_empty() { Change::Nothing } else { Change::CameOrWent }
        } else {
            match self.renew(now, (user, revision), flow, request, &listed) {
                Ok(change) => change,
                Err(reply) => return reply,
            }
        };
        let headers = self.contacts(user).into_iter().map(|contact| {
            let left = contact.until.saturating_duration_since(now).as_secs();
            (Name::Contact, format!("<{}>;expires={left}", contact.uri))
        });
        Reply { code: 200, headers: headers.collect(), change }
    }

    fn renew(
        &mut self,
        now: Instant,
        (user, revision): (&str, u64),
        flow: Flow,
        request: &Message,
        listed: &[&str],
    ) -> Result<Change, Reply> {
        let mut wanted = Vec::with_capacity(listed.len());
        for value in listed {
            wanted.push(self.understand(request, value)?);
        }
        let known: Vec<Option<BindingId>> = wanted.iter().map(|wanted| self.find(user, wanted)).collect();
        if known.iter().flatten().any(|binding| self.is_late(*binding, request)) {
            return Err(refuse(500, "an older REGISTER came after a newer one: send it again"));
        }
        let mut change = Change::Nothing;
        for (wanted, known) in wanted.into_iter().zip(known) {
            // Listed twice: the second may have meant what the first has just removed or made.
            let known = known
                .filter(|binding| self.bindings.contains_key(binding))
                .or_else(|| self.find(user, &wanted));
            let is_going = wanted.expires.is_zero();
            match known {
                Some(binding) => self.drop_binding(binding),
                None if is_going => continue,
                None => {}
            }
            if !is_going {
                self.insert(now, (user, revision), flow, request, wanted);
            }
            change = match (change, known, is_going) {
                (Change::CameOrWent, ..) | (_, None, _) | (_, _, true) => Change::CameOrWent,
                _ => Change::Renewed,
            };
        }
        while let Some(oldest) = self
            .by_user
            .get(user)
            .filter(|all| all.len() > self.settings.contacts.max(1))
            .and_then(|all| all.first().copied())
        {
            self.drop_binding(oldest);
        }
        Ok(change)
    }

    fn understand(&self, request: &Message, value: &str) -> Result<Wanted, Reply> {
        let unsound = || {
            refuse(400, "each Contact has to be one sip: address, without headers, of 512 letters at most")
        };
        let parsed = NameAddr::parse(value).ok_or_else(unsound)?;
        let uri = Uri::parse(parsed.uri)
            .filter(|uri| uri.scheme.eq_ignore_ascii_case("sip") && uri.headers.is_none())
            .filter(|_| parsed.uri.len() <= MAX_URI)
            .ok_or_else(unsound)?;
        let asked = parsed.param("expires").or_else(|| request.header(Name::Expires));
        // What is no number counts as not said (RFC 3261 §10.2.1.1).
        let asked = asked.and_then(|text| text.trim().parse::<u32>().ok());
        let expires = asked.map_or(self.settings.longest, |secs| Duration::from_secs(secs.into()));
        if !expires.is_zero() && expires < self.settings.shortest {
            let least = self.settings.shortest.as_secs();
            return Err(Reply {
                code: 423,
                headers: vec![(Name::MinExpires, least.to_string())],
                change: Change::Nothing,
            });
        }
        let port = uri.port.unwrap_or(5060);
        Ok(Wanted {
            key: format!("{}@{}:{port}", uri.user(), uri.host.to_ascii_lowercase()),
            instance: parsed.param("+sip.instance").filter(|text| text.len() <= MAX_URI).map(str::to_owned),
            uri: parsed.uri.to_owned(),
            expires: expires.min(self.settings.longest),
        })
    }

    fn find(&self, user: &str, wanted: &Wanted) -> Option<BindingId> {
        self.by_user.get(user)?.iter().copied().find(|binding| {
            let binding = &self.bindings[binding];
            match (&binding.instance, &wanted.instance) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => binding.key == wanted.key,
            }
        })
    }

    /// Whether a newer REGISTER of the same phone came before this one (RFC 3261 §10.3, step 7).
    fn is_late(&self, binding: BindingId, request: &Message) -> bool {
        let binding = &self.bindings[&binding];
        binding.call_id == request.call_id() && request.cseq() <= binding.cseq
    }

    fn insert(
        &mut self,
        now: Instant,
        (user, revision): (&str, u64),
        flow: Flow,
        request: &Message,
        wanted: Wanted,
    ) {
        self.next += 1;
        let id = self.next;
        let until = now + wanted.expires;
        let probe_at = now + self.settings.keep_alive;
        let binding = Binding {
            user: user.to_owned(),
            revision,
            key: wanted.key,
            instance: wanted.instance,
            contact: Contact {
                uri: wanted.uri,
                flow,
                user_agent: request.header(Name::UserAgent).unwrap_or("").chars().take(MAX_AGENT).collect(),
                until,
            },
            call_id: request.call_id().to_owned(),
            cseq: request.cseq(),
            missed: 0,
            probe_at: Some(probe_at),
            due: until.min(probe_at),
        };
        self.due.insert((binding.due, id));
        *self.addresses.entry(flow.remote.ip()).or_default() += 1;
        *self.ports.entry(flow.remote).or_default() += 1;
        self.by_user.entry(user.to_owned()).or_default().push(id);
        self.bindings.insert(id, binding);
    }

    fn drop_binding(&mut self, id: BindingId) {
        let Some(binding) = self.bindings.remove(&id) else { return };
        self.due.remove(&(binding.due, id));
        let remote = binding.contact.flow.remote;
        count_down(&mut self.addresses, &remote.ip());
        count_down(&mut self.ports, &remote);
        if let Some(all) = self.by_user.get_mut(&binding.user) {
            all.retain(|other| *other != id);
            if all.is_empty() {
                self.by_user.remove(&binding.user);
            }
        }
    }

    /// The password was changed since: whoever registered with the old one is gone. `false`: nobody had.
    fn drop_outdated(&mut self, user: &str, revision: u64) -> bool {
        let all = self.by_user.get(user).map_or(&[][..], Vec::as_slice).iter().copied();
        let outdated: Vec<_> = all.filter(|binding| self.bindings[binding].revision != revision).collect();
        outdated.iter().for_each(|binding| self.drop_binding(*binding));
        !outdated.is_empty()
    }

    /// What is due now; to be asked until it says `None`. `revision` tells whether an account is still the same.
    pub(crate) fn next_due(&mut self, now: Instant, revision: impl Fn(&str) -> Option<u64>) -> Option<Due> {
        let (_, id) = self.due.first().filter(|(at, _)| *at <= now).copied()?;
        let binding = &self.bindings[&id];
        if now >= binding.contact.until || revision(&binding.user) != Some(binding.revision) {
            let user = binding.user.clone();
            self.drop_binding(id);
            return Some(Due::Expired { user });
        }
        let (flow, uri) = (binding.contact.flow, binding.contact.uri.clone());
        self.schedule(id, None);
        Some(Due::Probe { binding: id, flow, uri })
    }

    /// What came of asking a phone; `None`: it could not be asked. Gives the user whose phone counts as gone now.
    pub(crate) fn probed(&mut self, now: Instant, id: BindingId, is_there: Option<bool>) -> Option<String> {
        let binding = self.bindings.get_mut(&id)?;
        match is_there {
            Some(true) => binding.missed = 0,
            Some(false) => binding.missed += 1,
            None => {}
        }
        if binding.missed >= self.settings.missed.max(1) {
            let user = binding.user.clone();
            self.drop_binding(id);
            return Some(user);
        }
        // Whoever did not answer was given half a minute for it already.
        let pause = if is_there == Some(false) { Duration::ZERO } else { self.settings.keep_alive };
        self.schedule(id, Some(now + pause));
        None
    }

    fn schedule(&mut self, id: BindingId, probe_at: Option<Instant>) {
        let Some(binding) = self.bindings.get_mut(&id) else { return };
        self.due.remove(&(binding.due, id));
        binding.probe_at = probe_at;
        binding.due = probe_at.map_or(binding.contact.until, |at| at.min(binding.contact.until));
        self.due.insert((binding.due, id));
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The phones of a user, the one that was renewed last at the end.
    pub(crate) fn contacts(&self, user: &str) -> Vec<Contact> {
        let all = self.by_user.get(user).map_or(&[][..], Vec::as_slice);
        all.iter().map(|binding| self.bindings[binding].contact.clone()).collect()
    }

    /// Whether a phone is registered from this address.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// Whether a phone is registered from exactly here.
    pub(crate) fn has_source(&self, source: SocketAddr) -> bool {
        self.ports.contains_key(&source)
    }

    /// Registrations in all.
    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A refusal that says what to do.
fn refuse(code: u16, why: &str) -> Reply {
    Reply { code, headers: vec![(Name::Warning, format!("399 zvonar \"{why}\""))], change: Change::Nothing }
}

#[cfg(test)]
mod tests;

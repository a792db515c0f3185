//! The server's half: challenges, and whether the answer to one proves a password.
//!
//! A nonce carries the time it was made and whom it was made for, and is signed with a secret of this process: nothing is
//! remembered for those who only ask. A count (`nc`) has to grow with each request that a nonce is used for, so a request
//! that somebody overheard proves nothing when he sends it again.
//!
//! Nobody learns from the answers, or from how long they take, whether a name exists: an unknown one is held against a
//! secret that nobody has.
//!
//! # When the table of used nonces is full
//!
//! The oldest nonces become stale: whoever uses one of them is asked again, which his phone answers by itself. Only those
//! who proved a password are in the table, so strangers cannot fill it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Hash, MAX_ECHO};
use crate::message::text::{list, quote, unquote};

/// How many used nonces are remembered.
const USED: usize = 20_000;
/// Time, count and signature, in hex.
const NONCE: usize = 64;

/// What a request says of its sender: one `Authorization` header, not believed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    user: String,
    hash: Hash,
    is_session: bool,
    nonce: String,
    uri: String,
    response: String,
    cnonce: String,
    qop: String,
    count: String,
}

impl Claim {
    /// The first of several headers that is for this realm. One that is broken, longer than honest ones are, or of an
    /// algorithm that nobody here knows is none.
    pub fn find<'a>(mut values: impl Iterator<Item = &'a str>, realm: &str) -> Option<Self> {
        values.find_map(|value| Self::parse(value, realm))
    }

    fn parse(value: &str, realm: &str) -> Option<Self> {
        let (scheme, params) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") || value.len() > MAX_ECHO {
            return None;
        }
        let find = |wanted: &str| {
            list(params)
                .filter_map(|param| param.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| unquote(value))
        };
        if find("realm")? != realm {
            return None;
        }
        let algorithm = match find("algorithm") {
            Some(name) => super::Algorithm::of(&name)?,
            None => super::Algorithm { hash: Hash::Md5, is_session: false },
        };
        Some(Self {
            user: find("username")?,
            hash: algorithm.hash,
            is_session: algorithm.is_session,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?,
            cnonce: find("cnonce").unwrap_or_default(),
            qop: find("qop").unwrap_or_default(),
            count: find("nc").unwrap_or_default(),
        })
    }

    /// Who he says he is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Which digest of his password this is to be held against.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What `response` would be if the digest of name, realm and password were this one.
    fn expected(&self, digest: &str, method: &str) -> String {
        let Self { hash, nonce, uri, cnonce, qop, count, .. } = self;
        let secret = if self.is_session {
            hash.hex(format!("{digest}:{nonce}:{cnonce}").as_bytes())
        } else {
            digest.to_owned()
        };
        let covered = hash.hex(format!("{method}:{uri}").as_bytes());
        hash.hex(format!("{secret}:{nonce}:{count}:{cnonce}:{qop}:{covered}").as_bytes())
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a claim is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// He knows the password.
    Proved,
    /// Nothing is known: the nonce is too old, not for him, or its count was used before. He is to be asked again, and
    /// told that it was the nonce (`stale=true`), so that his phone does not ask him for a password.
    Stale,
    /// He does not know it. Only those who were given a nonce at the very address that they write from can get here.
    Wrong,
}

/// Gives challenges and judges what comes back. See the module's doc.
pub struct Verifier {
    realm: String,
    key: [u8; 32],
    lifetime: Duration,
    /// When the first challenge was given: times in nonces count from here.
    began: Option<Instant>,
    /// Counts the nonces: no two are the same.
    count: u64,
    /// Nonces before this one are stale.
    oldest: u64,
    /// By the number of the nonce: when it was made (ms), and the highest count it was used with.
    used: BTreeMap<u64, (u64, u32)>,
    capacity: usize,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Verifier {
    /// `key`: the secret that signs; random, and never stored. `lifetime`: how long a nonce may be used.
    pub fn new(realm: &str, key: [u8; 32], lifetime: Duration) -> Self {
        Self {
            realm: realm.to_owned(),
            key,
            lifetime,
            began: None,
            count: 0,
            oldest: 0,
            used: BTreeMap::new(),
            capacity: USED,
        }
    }

    /// Whose passwords are asked for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The values of two `WWW-Authenticate` headers, the better algorithm first (RFC 8760 §2.4).
    pub fn challenge(&mut self, now: Instant, source: IpAddr, is_stale: bool) -> [String; 2] {
        self.count += 1;
        self.began.get_or_insert(now);
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.millis(now).to_be_bytes());
        nonce[8..].copy_from_slice(&self.count.to_be_bytes());
        let signature = self.sign(&nonce, source);
        let nonce = format!("{}{}", hex::encode(nonce), hex::encode(signature));
        let (realm, stale) = (quote(&self.realm), if is_stale { ", stale=true" } else { "" });
        [Hash::Sha256, Hash::Md5].map(|hash| {
            let algorithm = super::Algorithm { hash, is_session: false }.text();
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
        })
    }

    /// Judges a claim that came with a request. `digest` is H(user:realm:password) of the user that it names, by the
    /// claim's own hash, in lower-case hex; `None`: there is no such user.
    pub fn check(
        &mut self,
        now: Instant,
        source: IpAddr,
        claim: &Claim,
        method: &str,
        uri: &str,
        digest: Option<&str>,
    ) -> Verdict {
        let Some((made, number)) = self.read_nonce(&claim.nonce, source) else { return Verdict::Stale };
        if self.millis(now).saturating_sub(made) > self.lifetime_ms() || number < self.oldest {
            return Verdict::Stale;
        }
        // Whoever does not exist is held against the same length of nothing.
        let nobody = claim.hash.hex(&self.sign(claim.user.as_bytes(), source));
        let expected = claim.expected(digest.unwrap_or(&nobody), method);
        let is_right = is_same(expected.as_bytes(), claim.response.to_ascii_lowercase().as_bytes());
        let count = u32::from_str_radix(&claim.count, 16).ok().filter(|_| claim.count.len() == 8);
        let is_whole = claim.uri == uri && claim.qop == "auth" && digest.is_some();
        let (true, true, Some(count)) = (is_right, is_whole, count) else { return Verdict::Wrong };
        let last = self.used.get(&number).map_or(0, |(_, last)| *last);
        if count <= last {
            return Verdict::Stale;
        }
        self.used.insert(number, (made, count));
        self.forget(now);
        Verdict::Proved
    }

    /// Nonces that are remembered.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    /// Drops what expired from the old end, and the oldest when there are too many.
    fn forget(&mut self, now: Instant) {
        let (now, lifetime) = (self.millis(now), self.lifetime_ms());
        while let Some((number, (made, _))) = self.used.first_key_value() {
            let has_expired = now.saturating_sub(*made) > lifetime;
            if !has_expired && self.used.len() <= self.capacity {
                return;
            }
            self.oldest = number + 1;
            self.used.pop_first();
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let passed = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    fn lifetime_ms(&self) -> u64 {
        u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX)
    }

    fn read_nonce(&self, nonce: &str, source: IpAddr) -> Option<(u64, u64)> {
        if nonce.len() != NONCE {
            return None;
        }
        let bytes: [u8; NONCE / 2] = hex::decode(nonce).ok()?.try_into().ok()?;
        let (said, signature) = bytes.split_at(16);
        if !is_same(&self.sign(said, source), signature) {
            return None;
        }
        let number =
            |at: usize| u64::from_be_bytes(said[at..at + 8].try_into().expect("eight bytes of sixteen"));
        Some((number(0), number(8)))
    }

    fn sign(&self, text: &[u8], source: IpAddr) -> [u8; 16] {
        // As one family, so that the same phone is the same on a socket of either.
        let source = match source {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        mac.update(text);
        mac.update(&source.octets());
        mac.finalize().into_bytes()[..16].try_into().expect("sixteen bytes of thirty-two")
    }
}

/// Compares without telling by the time it takes where the two differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests;

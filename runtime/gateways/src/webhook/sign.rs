//! The signature of a letter: HMAC-SHA256 (RFC 2104) over the time of its sending, a dot, and the body as it is sent.
//!
//! ```text
//! Zvonar-Signature: t=1772445600,v1=5257a869e7ec…
//! ```
//!
//! While a secret is being changed for another there are two `v1`, one by each; whoever receives it takes either.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zvonar_model::UnixMillis;

use crate::smsc::Secret;

/// The header that carries it.
pub const HEADER: &str = "Zvonar-Signature";

/// How far the clocks of both sides may differ, and how long a letter may be on its way: what is older was recorded by
/// somebody and sent again.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a letter is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// Not as it is written.
    #[error("the header Zvonar-Signature is missing or is not written as t=1772445600,v1=5257a869…")]
    Shape,
    /// Signed too long ago, or in the future.
    #[error("the signature is too old: the letter was sent again by somebody, or a clock is wrong")]
    Old,
    /// By another secret, or of another body.
    #[error("the signature is wrong: the secret differs, or the body is not as it was sent")]
    Wrong,
}

/// The header's value.
pub fn sign(body: &[u8], secrets: &[Secret], now: UnixMillis) -> String {
    let seconds = now.0.div_euclid(1000).to_string();
    let mut header = format!("t={seconds}");
    for secret in secrets {
        header += ",v1=";
        header += &hex::encode(of(secret, &seconds, body));
    }
    header
}

/// Whether a letter is from whoever knows one of these secrets, and was signed just now.
///
/// # Errors
///
/// It is not.
pub fn verify(header: &str, body: &[u8], secrets: &[Secret], now: UnixMillis) -> Result<(), SignatureFault> {
    let mut seconds = None;
    let mut given = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", time)) => seconds = Some(time),
            Some(("v1", signature)) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(signature, &mut bytes).map_err(|_| SignatureFault::Shape)?;
                given.push(bytes);
            }
            // Later versions may sign in other ways too.
            Some(_) => {}
            None => return Err(SignatureFault::Shape),
        }
    }
    let seconds = seconds.ok_or(SignatureFault::Shape)?;
    let signed: i64 = seconds.parse().map_err(|_| SignatureFault::Shape)?;
    if given.is_empty() {
        return Err(SignatureFault::Shape);
    }
    let age = now.0.div_euclid(1000).saturating_sub(signed).unsigned_abs();
    let mut matches = false;
    for secret in secrets {
        let ours = of(secret, seconds, body);
        for theirs in &given {
            // In a time that does not tell how much of them is the same.
            matches |= bool::from(theirs.ct_eq(&ours));
        }
    }
    match (matches, age <= TOLERANCE.as_secs()) {
        (true, true) => Ok(()),
        (true, false) => Err(SignatureFault::Old),
        (false, _) => Err(SignatureFault::Wrong),
    }
}

fn of(secret: &Secret, seconds: &str, body: &[u8]) -> [u8; 32] {
    let mac =
        Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("a key of any length will do");
    mac.chain_update(seconds).chain_update(".").chain_update(body).finalize().into_bytes().into()
}

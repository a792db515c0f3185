//! Blobs: bytes that are named by their hash, read and written in pieces.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use sha2::{Digest, Sha256 as Hasher};

use crate::{Result, StoreError};

/// The bytes of a blob, in pieces of any size.
pub type Source = BoxStream<'static, Result<Bytes>>;

/// The SHA-256 of a blob: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hasher::digest(bytes).into())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// Hashes a blob as its pieces pass.
pub(crate) struct Check {
    wanted: Sha256,
    hasher: Hasher,
}

impl Check {
    pub(crate) fn new(wanted: Sha256) -> Self {
        Self { wanted, hasher: Hasher::new() }
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    pub(crate) fn finish(self) -> Result<()> {
        let found = Sha256(self.hasher.finalize().into());
        if found == self.wanted { Ok(()) } else { Err(StoreError::WrongHash { wanted: self.wanted, found }) }
    }
}

/// A blob that is in memory already.
pub fn source_of(bytes: impl Into<Bytes>) -> Source {
    futures::stream::iter([Ok(bytes.into())]).boxed()
}

/// The whole blob in memory.
///
/// # Errors
/// [`StoreError::Refused`] when it is longer than `limit` bytes.
pub async fn collect(mut source: Source, limit: usize) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = source.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > limit {
            return Err(StoreError::Refused(format!("a blob of more than {limit} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

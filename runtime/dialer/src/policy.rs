//! What holds for all projects of a tenant when people are called.

use std::sync::Arc;

use zvonar_campaign::{Caps, Register};

use crate::Paces;

/// What the host knows of numbers, and what it allows a tenant. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The register of number ranges, or the sample that ships.
    pub register: Arc<Register>,
    /// How often one number may be called by all of the tenant's projects together.
    pub caps: Caps,
    /// Which projects dial fewer lines, as their operators cannot keep up. Shared by whoever dials and whoever tells why.
    pub paces: Arc<Paces>,
}

impl Default for Policy {
    /// The sample of the register, and no caps.
    fn default() -> Self {
        Self { register: Register::sample(), caps: Caps::default(), paces: Arc::default() }
    }
}

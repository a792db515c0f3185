//! What holds for all projects of a tenant when people are called.

use std::sync::Arc;

use zvonar_campaign::{Caps, Register};

/// What the host knows of numbers, and what it allows a tenant. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The register of number ranges, or the sample that ships.
    pub register: Arc<Register>,
    /// How often one number may be called by all of the tenant's projects together.
    pub caps: Caps,
}

impl Default for Policy {
    /// The sample of the register, and no caps.
    fn default() -> Self {
        Self { register: Register::sample(), caps: Caps::default() }
    }
}

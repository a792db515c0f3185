//! What holds for all projects of a tenant when people are called.

use std::sync::Arc;

use zvonar_campaign::Register;

/// What the host knows of numbers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The register of number ranges, or the sample that ships.
    pub register: Arc<Register>,
}

impl Default for Policy {
    /// The sample of the register.
    fn default() -> Self {
        Self { register: Register::sample() }
    }
}

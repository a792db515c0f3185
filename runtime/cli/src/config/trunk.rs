//! A `[[trunk]]`: where calls leave to, and who may call by it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use zvonar_model::{PhoneNumber, TenantId, TrunkId};

use super::reader::Section;
use super::{ADDRESS, NAME, Tenant};

/// Where calls leave to.
pub(crate) struct Trunk {
    pub(crate) id: TrunkId,
    pub(crate) address: SocketAddr,
    pub(crate) lines: u32,
    pub(crate) calls_per_second: u32,
    pub(crate) caller: String,
    pub(crate) login: Option<(String, String)>,
    /// Who may call by it; `None`: everybody.
    pub(crate) tenants: Option<BTreeSet<TenantId>>,
}

impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trunk").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Trunk {
    /// Whether this tenant may call by it.
    pub(super) fn serves(&self, tenant: &TenantId) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }
}

pub(super) fn read(section: &Section<'_>, all: &[Tenant]) -> Option<(String, Trunk)> {
    let id: Option<TrunkId> = section.needed_text("id", NAME);
    let address = section.needed_text("address", ADDRESS);
    let lines = section.number("lines", 1..=100_000, 10) as u32;
    let calls_per_second = section.number("calls_per_second", 1..=10_000, 5) as u32;
    let caller: Option<String> =
        section.needed_text("caller", "the number that far ends see, as +74950000000");
    if let Some(Err(why)) = caller.as_deref().map(PhoneNumber::parse) {
        section.fault("caller", why);
    }
    let username: Option<String> = section.text("username", "the login the carrier gave");
    let password: Option<String> = section.text("password", "the password the carrier gave");
    if username.is_some() != password.is_some() {
        let missing = if username.is_some() { "password" } else { "username" };
        section.fault(missing, "username and password go together; one of them is missing");
    }
    let tenants = section.has("tenants").then(|| section.texts::<TenantId>("tenants", "ids of [[tenant]]s"));
    for unknown in tenants.iter().flatten().filter(|id| all.iter().all(|tenant| tenant.id != **id)) {
        section.fault("tenants", format_args!("there is no [[tenant]] `{unknown}`"));
    }
    if tenants.as_ref().is_some_and(Vec::is_empty) {
        section.fault(
            "tenants",
            "nobody could call by it: name a tenant, or leave `tenants` out for all of them",
        );
    }
    let (id, address, caller) = (id?, address?, caller?);
    let tenants = tenants.map(BTreeSet::from_iter);
    let login = username.zip(password);
    Some((id.to_string(), Trunk { id, address, lines, calls_per_second, caller, login, tenants }))
}

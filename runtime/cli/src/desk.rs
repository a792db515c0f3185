//! Where the commands of the desk go: to a running host over HTTP, or to its data folder while it stands still. Both get
//! the same requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zvonar_api::{LocalDesk, Office, Token};
use zvonar_dialer::Tables;
use zvonar_dialer::operators::{Staff, StoredDesk};
use zvonar_model::TenantId;
use zvonar_store::{SharedStore, StoreError};
use zvonar_switch::clock;

use crate::client::{Client, Refusal, Whom, encoded};
use crate::commands::Failure;
use crate::config::Config;
use crate::host;

/// Where a configuration is looked for when none is named.
const USUAL: &str = "zvonar.toml";
/// Who edits, as far as others are told: commands on the machine itself have no token.
const OPERATOR: &str = "command-line";

/// Which host, and on whose behalf.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// A running host's HTTP interface; absent: the data folder of the configuration, while no host runs on it.
    #[arg(long, value_name = "URL", env = "ZVONAR_HOST")]
    host: Option<String>,
    /// A token of the tenant (`zvonar token`), for a running host.
    #[arg(long, value_name = "TOKEN", env = "ZVONAR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The configuration of a host that does not run; goes before ZVONAR_HOST.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// On whose behalf, where the configuration has several tenants.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
}

/// Whoever answers.
pub(crate) enum Desk {
    /// A running host.
    Remote(Client),
    /// The data folder.
    Local { runtime: tokio::runtime::Runtime, desk: LocalDesk, token: String },
}

impl Desk {
    /// Finds the host, or opens the data folder.
    pub(crate) fn open(at: &Where) -> Result<Self, Failure> {
        match (&at.host, &at.config) {
            (Some(_), None) if at.tenant.is_some() => Err(
                "--tenant is for a data folder: of a running host the token says whose it is; leave it out"
                    .into(),
            ),
            (Some(host), None) => {
                Ok(Self::Remote(Client::new(&Whom { host: host.clone(), token: at.token.clone() })?))
            }
            (_, config) => Self::local(config.as_deref(), at.tenant.as_ref()),
        }
    }

    fn local(config: Option<&Path>, tenant: Option<&TenantId>) -> Result<Self, Failure> {
        let path = config.unwrap_or(Path::new(USUAL));
        if config.is_none() && !path.exists() {
            return Err(format!(
                "whose data? Name a running host (--host URL, or ZVONAR_HOST) or the configuration of one that stands still (--config FILE); there is no {USUAL} here"
            )
            .into());
        }
        let config = Config::load(path)?;
        let tenant = chosen(&config, tenant)?;
        let (prices, policies) = (host::price_lists(&config)?, host::policies(&config)?);
        let runtime = crate::commands::runtime(config.node.workers.max(1))?;
        let store = open_alone(&config, path)?;
        let office = |one: &crate::config::Tenant| {
            let tables = Tables::new(Arc::clone(&store), prices[&one.id].clone(), one.id.clone())
                .with_policy(policies[&one.id].clone());
            let desk = Arc::new(StoredDesk::new(tables.clone(), Arc::new(clock::wall)));
            let staff =
                Staff::new(tables.clone(), one.grant.operators, &config.realm(), desk, rand::random());
            Office { tables, active_projects: one.grant.active_projects, staff }
        };
        let offices = config.tenants.iter().map(office).collect();
        // Nobody else gets to see it: it is how the same routes know the tenant.
        let token = Token::of(rand::random());
        let tokens = vec![(tenant, token.hash(OPERATOR)?)];
        let desk = zvonar_api::Desk::new(offices, tokens, Arc::new(clock::wall)).local();
        Ok(Self::Local { runtime, desk, token: token.reveal().to_owned() })
    }

    /// Whether a host runs that does what it is told.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// What is at a path.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send("GET", path, None)
    }

    /// Sends JSON.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.send("POST", path, Some(serde_json::to_vec(body)?))
    }

    /// Sends an edit.
    pub(crate) fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.send("PATCH", path, Some(serde_json::to_vec(body)?))
    }

    /// Puts something in the place of what is there.
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.send("PUT", path, Some(serde_json::to_vec(body)?))
    }

    /// Takes away what is at a path.
    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send("DELETE", path, None)
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, Failure> {
        match self {
            Self::Remote(client) => Ok(serde_json::from_value(client.send(method, path, body)?)?),
            Self::Local { runtime, desk, token } => {
                let (status, answer) = runtime.block_on(desk.ask(method, path, token, body));
                if (200..300).contains(&status) {
                    return Ok(serde_json::from_slice(&answer)?);
                }
                match serde_json::from_slice::<Refusal>(&answer) {
                    Ok(refusal) => Err(refusal.into()),
                    Err(_) => Err(format!("the answer was {status}").into()),
                }
            }
        }
    }
}

/// The tenant that is meant.
fn chosen(config: &Config, wanted: Option<&TenantId>) -> Result<TenantId, Failure> {
    let all = || config.tenants.iter().map(|tenant| tenant.id.to_string()).collect::<Vec<_>>().join(", ");
    match (wanted, &*config.tenants) {
        (Some(wanted), tenants) => match tenants.iter().find(|tenant| tenant.id == *wanted) {
            Some(found) => Ok(found.id.clone()),
            None => Err(format!("the configuration has no tenant {wanted}; it has: {}", all()).into()),
        },
        (None, [one]) => Ok(one.id.clone()),
        (None, _) => Err(format!("which tenant? Say --tenant; the configuration has: {}", all()).into()),
    }
}

/// Opens the data of a host that does not run.
pub(crate) fn open_alone(config: &Config, path: &Path) -> Result<SharedStore, Failure> {
    host::open_store(&config.node.data).map_err(|why| match why.downcast_ref() {
        Some(StoreError::Locked { .. }) => running(config, path),
        _ => why,
    })
}

fn running(config: &Config, path: &Path) -> Failure {
    let reach = match config.http {
        Some(address) => format!("ask it itself: --host http://{address} and a token of the tenant"),
        None => "stop it, or give it an [http] section, and ask it itself with --host and a token".into(),
    };
    format!("the host of {} is running, and its data are its own: {reach}", path.display()).into()
}

/// The path of a project.
pub(crate) fn project(id: &str) -> String {
    format!("/v1/projects/{}", encoded(id))
}

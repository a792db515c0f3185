//! `zvonar token`: a secret for whoever deploys, and its hash for the configuration.

use serde_json::json;
use zvonar_api::Token;
use zvonar_model::TenantId;

use super::Failure;

/// What `zvonar token` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tenant that it speaks for.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
    /// What it is called: stands beside the versions that are deployed with it.
    #[arg(long, value_name = "NAME", default_value = "deploy")]
    name: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let token = Token::of(rand::random());
    let hash = token.hash(&arguments.name)?.to_string();
    if arguments.json {
        return super::say(json!({
            "tenant": arguments.tenant.as_str(),
            "token": token.reveal(),
            "configuration": hash,
        }));
    }
    super::say(format_args!(
        "{}\n\nThis is the only time it is shown. The host keeps its hash: add it to the tenant and restart.\n\n\
         [[tenant]]\nid = \"{}\"\ntokens = [\"{hash}\"]",
        token.reveal(),
        arguments.tenant
    ))
}

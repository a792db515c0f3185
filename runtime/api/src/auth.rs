//! From a request's token to its tenant.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use zvonar_model::TenantId;

use crate::{ApiError, TokenHash};

/// Who asks. A handler that wants one is not reached without a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    /// The token's name.
    pub(crate) token: String,
}

/// What knows the tokens.
pub(crate) trait Tokens {
    /// Each with its tenant.
    fn tokens(&self) -> &[(TenantId, TokenHash)];
}

impl<S: Tokens + Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &S) -> Result<Self, ApiError> {
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = given.and_then(|given| given.split_once(' ')).ok_or(ApiError::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::NoToken);
        }
        // All of them are looked at, so that the time tells nothing about which one it was.
        let given = TokenHash::digest(token.trim()).ok_or(ApiError::UnknownToken)?;
        let mut found = None;
        for (tenant, hash) in api.tokens() {
            if hash.is_of(&given) {
                found = Some(Self { tenant: tenant.clone(), token: hash.name().to_owned() });
            }
        }
        found.ok_or(ApiError::UnknownToken)
    }
}

/// Tells the document how tokens are sent.
pub(crate) struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of the tenant, as `zvonar token` prints it: `zvt_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

//! What went wrong, as HTTP says it: the only place where errors become statuses.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use zvonar_dialer::DialerError;
use zvonar_dialer::deployments::DeployError;

use crate::desk::MAX_BODY;

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A word for programs: `no-token`, `package-refused`, …
    #[schema(example = "package-refused")]
    code: &'static str,
    /// A sentence that says what to do.
    #[schema(example = "the package was refused: mend what `faults` says and upload it again")]
    message: String,
    /// One sentence for each fault of a package; one for each project or edit that is in the way.
    faults: Vec<String>,
    /// After two edits at once: the version that the project has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or one that nobody knows.
    #[error(
        "send a token of your tenant: `Authorization: Bearer zvt_…`; whoever runs this host makes one with `zvonar token`"
    )]
    NoToken,
    /// A token that nobody knows.
    #[error(
        "this token is not known here: it was taken out of the configuration, or is another host's; whoever runs this host makes one with `zvonar token`"
    )]
    UnknownToken,
    /// Whoever sent it is not who he says.
    #[error("{0}")]
    Forbidden(String),
    /// The path names nothing.
    #[error("there is nothing at {0}; /openapi.json lists what there is")]
    NoPlace(String),
    /// The path is right, the method is not.
    #[error("{method} is not what {path} takes; /openapi.json lists what there is")]
    NoMethod {
        /// As it was sent.
        method: String,
        /// As it was sent.
        path: String,
    },
    /// A parameter or a body does not say what it should.
    #[error("{0}")]
    Malformed(String),
    /// No attempt of this id has finished.
    #[error("there is no finished attempt `{0}` of this tenant")]
    NoAttempt(String),
    /// The tenant has no such text message.
    #[error("there is no text message `{0}` of this tenant")]
    NoText(String),
    /// The tenant has no such project.
    #[error("there is no project `{0}` of this tenant")]
    NoProject(String),
    /// The project has no such lead.
    #[error("the project has no lead `{0}`")]
    NoLead(String),
    /// The tenant has no such operator.
    #[error("there is no operator `{0}` of this tenant")]
    NoOperator(String),
    /// Something that is understood and not allowed.
    #[error("{0}")]
    Refused(String),
    /// More than is taken at once.
    #[error("{0}")]
    TooMuch(String),
    /// The body is larger than any package may be.
    #[error("a package may have {} MiB as an archive; send a smaller one", .limit >> 20)]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The body came too slowly, or broke off.
    #[error("the upload broke off: {0}; send it again")]
    BrokenOff(String),
    /// Too many of the tenant's answers are being read.
    #[error("{0} answers with records are being read already; come again when one is done")]
    Busy(usize),
    /// A deployment was refused or failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DialerError),
}

impl From<QueryRejection> for ApiError {
    fn from(why: QueryRejection) -> Self {
        Self::Malformed(format!("the parameters are not understood: {}", why.body_text()))
    }
}

impl From<JsonRejection> for ApiError {
    fn from(why: JsonRejection) -> Self {
        if why.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::TooMuch(format!("a body may have {} MiB; send less at once", MAX_BODY >> 20));
        }
        Self::Malformed(format!("the body is not understood: {}", why.body_text()))
    }
}

impl ApiError {
    /// Status and word.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken | Self::UnknownToken => (StatusCode::UNAUTHORIZED, "no-token"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NoPlace(_) => (StatusCode::NOT_FOUND, "no-such-place"),
            Self::NoMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, "no-such-method"),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::NoAttempt(_) => (StatusCode::NOT_FOUND, "no-such-attempt"),
            Self::NoText(_) => (StatusCode::NOT_FOUND, "no-such-message"),
            Self::NoProject(_) => (StatusCode::NOT_FOUND, "no-such-project"),
            Self::NoLead(_) => (StatusCode::NOT_FOUND, "no-such-lead"),
            Self::NoOperator(_) => (StatusCode::NOT_FOUND, "no-such-operator"),
            Self::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            Self::TooMuch(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::BrokenOff(_) => (StatusCode::REQUEST_TIMEOUT, "broken-off"),
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many-readers"),
            Self::Deploy(why) => match why {
                DeployError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "package-refused"),
                DeployError::NoScenario { .. } => (StatusCode::NOT_FOUND, "no-such-scenario"),
                DeployError::NoVersion { .. } => (StatusCode::NOT_FOUND, "no-such-version"),
                DeployError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
                DeployError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-uploads"),
                DeployError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
                DeployError::Dialer(_) | DeployError::Scratch { .. } | DeployError::Bug => INTERNAL,
            },
            Self::Store(why) => match why {
                DialerError::NoProject(_) => (StatusCode::NOT_FOUND, "no-such-project"),
                DialerError::NoLead(_) => (StatusCode::NOT_FOUND, "no-such-lead"),
                DialerError::NoHook(_) => (StatusCode::NOT_FOUND, "no-such-webhook"),
                DialerError::NoDelivery(_) => (StatusCode::NOT_FOUND, "no-such-delivery"),
                DialerError::ProjectExists(_) => (StatusCode::CONFLICT, "project-exists"),
                DialerError::EditConflict(_) => (StatusCode::CONFLICT, "edit-conflict"),
                DialerError::TooManyActive { .. } => (StatusCode::CONFLICT, "too-many-active"),
                DialerError::NoOperator(_) => (StatusCode::NOT_FOUND, "no-such-operator"),
                DialerError::OperatorExists(_) => (StatusCode::CONFLICT, "operator-exists"),
                DialerError::TooManyOperators { .. } => (StatusCode::CONFLICT, "too-many-operators"),
                DialerError::BadOperator { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-operator"),
                DialerError::Contended(_) => (StatusCode::CONFLICT, "conflict"),
                DialerError::BadProject { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-project"),
                DialerError::LeadTooLarge { .. }
                | DialerError::LeadRefused { .. }
                | DialerError::BadTag(_)
                | DialerError::BadFilter(_)
                | DialerError::BadVerdict(_)
                | DialerError::CannotCall(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
                _ => INTERNAL,
            },
        }
    }

    /// The version that a project has now, for whoever edited another.
    fn version(&self) -> Option<u64> {
        match self {
            Self::Store(DialerError::EditConflict(conflict)) => Some(conflict.version),
            _ => None,
        }
    }

    /// What is in the way, one by one.
    fn obstacles(&self) -> Vec<String> {
        match self {
            Self::Store(DialerError::TooManyActive { active, .. }) => {
                active.iter().map(|(id, title)| format!("{id}: {title}")).collect()
            }
            Self::Store(DialerError::EditConflict(conflict)) => {
                let edits = conflict.edits.iter();
                edits.map(|edit| format!("{}: {}", edit.by, edit.changed.join(", "))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// When it is worth coming again.
    fn again(&self) -> Option<Duration> {
        match self {
            Self::Deploy(DeployError::TooMany { again, .. }) => Some(*again),
            Self::Busy(_) | Self::Deploy(DeployError::Closed) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

const INTERNAL: (StatusCode, &str) = (StatusCode::INTERNAL_SERVER_ERROR, "failed");

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let (again, version) = (self.again(), self.version());
        let (message, faults) = match self {
            Self::Deploy(DeployError::Refused(faults)) => {
                ("the package was refused: mend what `faults` says and upload it again".to_owned(), faults)
            }
            why if status == StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(error = &why as &dyn std::error::Error, "a request failed");
                let message =
                    "the host could not do it, and nothing was changed; its log says why".to_owned();
                (message, Vec::new())
            }
            why => (why.to_string(), why.obstacles()),
        };
        let mut response = (status, Json(Problem { code, message, faults, version })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer realm=\"zvonar\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        if let Some(again) = again {
            let seconds = again.as_secs() + u64::from(again.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

pub(crate) async fn no_such_place(uri: Uri) -> ApiError {
    ApiError::NoPlace(shown(uri.path()))
}

pub(crate) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::NoMethod { method: method.to_string(), path: shown(uri.path()) }
}

/// As much of a path as a sentence bears.
fn shown(path: &str) -> String {
    path.chars().take(100).collect()
}

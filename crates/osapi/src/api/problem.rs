//! Errors as RFC 9457 problem details.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use utoipa::ToSchema;

use crate::queue::QueueError;

/// An error as clients see it: `application/problem+json` with a type, a title, the status and a
/// sentence about this occurrence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "status_code")]
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    status: StatusCode,
    detail: String,
    /// The operations there are, where an unknown one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<String>>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
}

fn status_code<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of the kind its status says.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            operations: None,
            retry_after: None,
        }
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503, to be tried again after a while.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// Adds the list of operations there are.
    #[must_use]
    pub fn with_operations(self, operations: Vec<String>) -> Self {
        Self {
            operations: Some(operations),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, detail) = (self.status.as_u16(), &self.detail);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // A full queue refuses thousands a second: the metrics count them, the log need not.
            tracing::debug!(code, detail, "request refused for now");
        } else if self.status.is_server_error() {
            tracing::error!(code, detail, "request failed");
        }
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = retry_after {
            // Whole seconds (RFC 9110 section 10.2.3), and never "at once".
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// When to come back to a full queue: a worker may have made room by then.
const FULL_RETRY: Duration = Duration::from_secs(5);

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let detail = error.to_string();
        match error {
            QueueError::Full { .. } | QueueError::NoWorkers => {
                Self::unavailable(detail, FULL_RETRY)
            }
            QueueError::Unavailable { retry_after, .. } => Self::unavailable(detail, retry_after),
            QueueError::Fault(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
            QueueError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail),
            QueueError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, detail),
            QueueError::Conflict(_) => Self::new(StatusCode::CONFLICT, detail),
            QueueError::Closed
            | QueueError::Corrupt { .. }
            | QueueError::NewerVersion { .. }
            | QueueError::Open { .. } => Self::unavailable(detail, FULL_RETRY),
        }
    }
}

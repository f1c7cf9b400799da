//! Request parts as typed values; what does not fit is a problem, never a panic.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http_body_util::BodyExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

use super::problem::Problem;
use super::state::ApiState;
use crate::access::Claims;
use crate::queue::JobId;

/// How long the client may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(10);
/// Longest `Idempotency-Key`, in bytes.
const MAX_KEY: usize = 255;

/// A JSON body, an object.
pub(super) struct JsonBody<T>(pub(super) T);

/// A JSON object. On its own a struct would take an array of its fields as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        from.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected a body of type application/json",
            ));
        }
        let bytes = read(request, state.max_body_bytes).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let parsed = serde_path_to_error::deserialize(&mut json);
        let Object(value) = parsed.map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            if path == "." || inner.is_syntax() || inner.is_eof() {
                Problem::bad_request(format!("the body is not as expected: {inner}"))
            } else {
                Problem::bad_request(format!("the body is not as expected: {path}: {inner}"))
            }
        })?;
        json.end().map_err(|error| {
            Problem::bad_request(format!("the body is not as expected: {error}"))
        })?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    kind.to_str().is_ok_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}

async fn read(request: Request, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
    };
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame())
            .await
            .map_err(|_| {
                Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    format!("nothing of the body came for {} s", SILENCE.as_secs()),
                )
            })?;
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let frame =
            frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
}

/// A query string.
pub(super) struct QueryOf<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<ApiState> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| {
                // The cause says which field; the rejection itself only that there is one.
                let cause = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string);
                Problem::bad_request(format!("the query is not as expected: {cause}"))
            })
    }
}

/// How [`PathJob`] is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // Describes, and is never made.
pub(super) struct JobPath {
    /// The job.
    id: Uuid,
}

/// The job a path names.
pub(super) struct PathJob(pub(super) JobId);

impl FromRequestParts<ApiState> for PathJob {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        text.parse()
            .map(Self)
            .map_err(|_| Problem::bad_request("the job id is not a UUID"))
    }
}

/// The one variable part of a path.
pub(super) struct PathText(pub(super) String);

impl FromRequestParts<ApiState> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(text)| Self(text))
            .map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// How long a stream may go on: as long as the token it was asked for with is good.
pub(super) struct Allowed(Option<Claims>);

impl Allowed {
    /// Waits until that is over; for ever where no token was needed.
    pub(super) async fn over(self) {
        match self.0 {
            Some(claims) => tokio::time::sleep(claims.left()).await,
            None => std::future::pending().await,
        }
    }
}

impl FromRequestParts<ApiState> for Allowed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

/// How [`IdempotencyKey`] is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // Describes, and is never made.
pub(super) struct IdempotencyHeader {
    /// The same key gives the same answer, and one job.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$"
    )]
    idempotency_key: Option<String>,
}

/// The `Idempotency-Key` header: the same key makes the same job, once.
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl FromRequestParts<ApiState> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = given.next() else {
            return Ok(Self(None));
        };
        let visible = |b: &u8| (0x20..=0x7e).contains(b);
        let bytes = key.as_bytes();
        let fits = (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(visible);
        match key.to_str() {
            Ok(key) if fits && given.next().is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::bad_request(format!(
                "Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters, given once"
            ))),
        }
    }
}

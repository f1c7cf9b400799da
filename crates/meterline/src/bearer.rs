//! Who may read the metrics: bearers of a token (RFC 6750) the program approves of.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

/// Why a token does not open the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerRefusal {
    /// It is not one of ours, or no longer: 401.
    Invalid,
    /// It is one of ours, for something else: 403.
    Insufficient,
}

/// The program's judgement on tokens.
#[derive(Clone)]
pub(crate) struct BearerCheck(Arc<Judge>);

type Judge = dyn Fn(&str) -> Result<(), BearerRefusal> + Send + Sync;

impl BearerCheck {
    pub(crate) fn new(
        check: impl Fn(&str) -> Result<(), BearerRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(check))
    }

    /// Approves of this token only. How long a comparison takes says nothing but the length.
    pub(crate) fn token(expected: String) -> Self {
        Self::new(move |token| {
            if bool::from(token.as_bytes().ct_eq(expected.as_bytes())) {
                Ok(())
            } else {
                Err(BearerRefusal::Invalid)
            }
        })
    }

    /// What a request is answered that may not see the metrics.
    pub(crate) fn refuse(&self, headers: &HeaderMap) -> Option<Response> {
        let Some(token) = token(headers) else {
            return Some(answer(None));
        };
        (self.0)(token).err().map(|refusal| answer(Some(refusal)))
    }
}

impl fmt::Debug for BearerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerCheck")
    }
}

/// The token of an `Authorization: Bearer` header; `None` if there is none, or more than one header.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = given.next()?.to_str().ok()?;
    if given.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What `WWW-Authenticate` says (RFC 6750 section 3): nothing of errors to who sent no token.
#[must_use]
pub fn challenge(refusal: Option<BearerRefusal>) -> HeaderValue {
    HeaderValue::from_static(match refusal {
        None => "Bearer",
        Some(BearerRefusal::Invalid) => "Bearer error=\"invalid_token\"",
        Some(BearerRefusal::Insufficient) => "Bearer error=\"insufficient_scope\"",
    })
}

/// A problem as RFC 9457 describes.
fn answer(refusal: Option<BearerRefusal>) -> Response {
    let (status, title, detail) = match refusal {
        None => (
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "the metrics need a token: Authorization: Bearer TOKEN",
        ),
        Some(BearerRefusal::Invalid) => (
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "the token is not valid, or no longer",
        ),
        Some(BearerRefusal::Insufficient) => (
            StatusCode::FORBIDDEN,
            "Forbidden",
            "the token does not allow to read the metrics",
        ),
    };
    let code = status.as_u16();
    let body = serde_json::json!({
        "type": "about:blank", "title": title, "status": code, "detail": detail,
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        ),
        (header::WWW_AUTHENTICATE, challenge(refusal)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_one_bearer_header_only() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            token(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["bEARER  abc "]).as_deref(), Some("abc"));
        for none in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["Bearerabc"],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_one_token_is_approved_and_no_other() {
        let check = BearerCheck::token("secret".to_owned());
        assert_eq!((check.0)("secret"), Ok(()));
        for other in ["", "Secret", "secre", "secret1"] {
            assert_eq!((check.0)(other), Err(BearerRefusal::Invalid), "{other}");
        }
    }
}

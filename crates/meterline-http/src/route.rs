//! Where a request's route comes from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

/// What a route extractor sees of a request: its head and its extensions, not its body.
///
/// # Keep routes bounded
///
/// Return a template out of a fixed set, such as `/jobs/{id}`, or `None`; never [`RequestHead::uri`]'s path itself,
/// which the client chooses.
#[derive(Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(crate) fn new<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The request's target.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The HTTP version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request's headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// What layers outside this one left in the request, such as a matched route.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

type Extract = dyn for<'a> Fn(&RequestHead<'a>) -> Option<Cow<'a, str>> + Send + Sync;

/// Finds a request's route.
#[derive(Clone, Default)]
pub(crate) enum RouteSource {
    /// No request has one.
    #[cfg(not(feature = "axum"))]
    #[default]
    Nowhere,
    /// The template axum matched.
    #[cfg(feature = "axum")]
    #[default]
    MatchedPath,
    /// The user's own.
    Custom(Arc<Extract>),
}

impl RouteSource {
    pub(crate) fn route<'a>(&self, request: &RequestHead<'a>) -> Option<Cow<'a, str>> {
        match self {
            #[cfg(not(feature = "axum"))]
            Self::Nowhere => None,
            #[cfg(feature = "axum")]
            Self::MatchedPath => {
                let path = request.extensions.get::<axum::extract::MatchedPath>()?;
                Some(Cow::Borrowed(path.as_str()))
            }
            Self::Custom(extract) => extract(request),
        }
    }
}

impl fmt::Debug for RouteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(not(feature = "axum"))]
            Self::Nowhere => "Nowhere",
            #[cfg(feature = "axum")]
            Self::MatchedPath => "MatchedPath",
            Self::Custom(_) => "Custom",
        })
    }
}

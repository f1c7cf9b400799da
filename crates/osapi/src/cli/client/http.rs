//! HTTP/1, with TLS and without.
//!
//! Redirects are not followed: whoever reads a page or submits a job wants to know where it is, and a token
//! should not travel on.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::fault::Fault;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; the server's own limit comes first.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// How long a body without a limit may be silent. Our server's streams speak every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// An answer larger than this is not read to its end.
const LARGEST: usize = 64 << 20;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("osapi/", env!("CARGO_PKG_VERSION")));

/// Connections, kept while they are used. Clones share them.
#[derive(Clone)]
pub(super) struct Http(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        Self(builder.pool_timer(TokioTimer::new()).build(connector))
    }

    /// A request, to be completed and sent. A name and a password in the URL become its credentials.
    pub(super) fn request(&self, method: Method, mut url: Url) -> Request {
        let credentials = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
            format!("Basic {}", STANDARD.encode(pair))
        });
        // Neither can fail for URLs with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, AGENT);
        let request = Request {
            http: self.clone(),
            method,
            url,
            headers: Ok(headers),
            body: Bytes::new(),
            timeout: None,
        };
        match credentials {
            Some(credentials) => request.header(AUTHORIZATION, &credentials),
            None => request,
        }
    }
}

/// A request that was not sent yet.
#[must_use]
pub(in crate::cli) struct Request {
    http: Http,
    method: Method,
    url: Url,
    /// Or what is wrong with one of them; sending tells.
    headers: Result<HeaderMap, Fault>,
    body: Bytes,
    timeout: Option<Duration>,
}

impl Request {
    pub(in crate::cli) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(headers) = &mut self.headers {
            match HeaderValue::from_str(value) {
                Ok(mut value) => {
                    value.set_sensitive(name == AUTHORIZATION);
                    headers.insert(name, value);
                }
                Err(_) => {
                    let why = format!("the value of {name} has characters that no header may have");
                    self.headers = Err(Fault::Other(why));
                }
            }
        }
        self
    }

    pub(in crate::cli) fn bearer_auth(self, token: &str) -> Self {
        self.header(AUTHORIZATION, &format!("Bearer {token}"))
    }

    pub(in crate::cli) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body = body.into(),
            Err(error) => self.headers = Err(Fault::Other(error.to_string())),
        }
        self.header(CONTENT_TYPE, "application/json")
    }

    /// How long all of the answer may take. Without, its beginning and every pause in it have a limit.
    pub(in crate::cli) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Where it goes: scheme, host and port.
    pub(super) fn server(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends it; any answer is one, of whatever status.
    pub(in crate::cli) async fn send(self) -> Result<Response, Fault> {
        let deadline = Instant::now() + self.timeout.unwrap_or(ANSWER_TIMEOUT);
        let mut request = http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers?;
        let uri = self.url.as_str().parse();
        *request.uri_mut() = uri.map_err(|error: http::uri::InvalidUri| Fault::new(&error))?;
        let answer = timeout_at(deadline, self.http.0.request(request)).await;
        let answer = answer.map_err(|_| Fault::TimedOut)?;
        let (head, body) = answer.map_err(|error| Fault::new(&error))?.into_parts();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
            deadline: self.timeout.map(|_| deadline),
        })
    }
}

/// The head of an answer, and its body as it comes.
pub(in crate::cli) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    deadline: Option<Instant>,
}

impl Response {
    pub(in crate::cli) fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::cli) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The next part of the body, or `None` at its end.
    pub(in crate::cli) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let deadline = self.deadline.unwrap_or_else(|| Instant::now() + SILENCE);
            let frame = timeout_at(deadline, self.body.frame()).await;
            match frame.map_err(|_| Fault::TimedOut)?.transpose() {
                Err(error) => return Err(Fault::new(&error)),
                Ok(None) => return Ok(None),
                // Trailers say nothing here.
                Ok(Some(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, unless it is too large for an answer.
    pub(in crate::cli) async fn bytes(self) -> Result<Vec<u8>, Fault> {
        let bytes = self.up_to(LARGEST).await?;
        bytes.ok_or_else(|| Fault::Other(format!("the answer has more than {} MiB", LARGEST >> 20)))
    }

    /// The whole body; `None` if it has more bytes than these.
    pub(in crate::cli) async fn up_to(mut self, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > most {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    /// The whole body, which is JSON.
    pub(in crate::cli) async fn json<T: DeserializeOwned>(self) -> Result<T, Fault> {
        serde_json::from_slice(&self.bytes().await?).map_err(|error| Fault::new(&error))
    }
}

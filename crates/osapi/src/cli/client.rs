//! A client of the API.

use std::future::Future;
use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Failure, logging};
use crate::config::{LogConfig, LogLevel};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; the server's own limit comes first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// Speaks to a server.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    token: Option<String>,
}

/// The error a server sends.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Runs a client command to its end.
pub(super) fn run<F>(
    verbose: u8,
    token: Option<String>,
    command: impl FnOnce(Client) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let level = match verbose {
        0 => LogLevel::Warn,
        1 => LogLevel::Debug,
        _ => LogLevel::Trace,
    };
    logging::start(
        &LogConfig {
            level,
            ..LogConfig::default()
        },
        None,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("osapi/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .build()
        .map_err(|error| Failure::Other(error.to_string()))?;
    runtime.block_on(command(Client { http, token }))
}

impl Client {
    /// A request to a path of the server, each part escaped as needed.
    pub(super) fn request(&self, method: Method, server: &Url, path: &[&str]) -> RequestBuilder {
        let mut url = server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.to(method, url)
    }

    /// A request to a URL of the server.
    pub(super) fn to(&self, method: Method, url: Url) -> RequestBuilder {
        tracing::debug!(%method, %url, "request");
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request to any URL.
    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        tracing::debug!(%url, "request");
        self.http.get(url.clone())
    }

    /// Sends a request and reads its answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let response = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        response.json().await.map_err(|error| {
            Failure::Other(format!("the server's answer is not as expected: {error}"))
        })
    }

    /// Sends a request; anything but success is a failure with what the server says about it.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        accepted(self.reach(request).await?).await
    }

    /// Sends a request; whatever the server answers is an answer.
    pub(super) async fn reach(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        tracing::debug!(status = %response.status(), "answer");
        Ok(response)
    }
}

/// A success, or else a failure with what the server says about it.
pub(super) async fn accepted(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said = response.bytes().await.unwrap_or_default();
    Err(refused(status, &said))
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let server = error.url().map_or_else(String::new, |url| {
        let port = url.port_or_known_default().unwrap_or(80);
        format!("http://{}:{port}", url.host_str().unwrap_or_default())
    });
    let cause = innermost(error);
    Failure::Other(format!(
        "cannot reach {server}: {cause}; is the server running, and is --server right?"
    ))
}

/// The cause behind all others, which is the one that tells.
pub(super) fn innermost(error: &reqwest::Error) -> &dyn std::error::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

fn refused(status: StatusCode, said: &[u8]) -> Failure {
    let message = match serde_json::from_slice::<Problem>(said) {
        Ok(problem) => problem.detail,
        Err(_) => "the server did not say why; is this an osapi server?".to_owned(),
    };
    let message = match status {
        StatusCode::UNAUTHORIZED => format!(
            "{message}; `osapi token create` makes one, and OSAPI_TOKEN or --token sends it"
        ),
        _ => message,
    };
    Failure::Other(format!("{status}: {message}"))
}

//! A client of the API.

mod fault;
mod http;
mod trust;

use std::future::Future;
use std::path::PathBuf;

use ::http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

pub(super) use self::fault::Fault;
use self::http::{ANSWER_TIMEOUT, Http};
pub(super) use self::http::{Request, Response};
use super::page::visible;
use super::{Failure, logging};
use crate::config::{LogConfig, LogLevel};

/// How servers are spoken to.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// Sent with every request to the API.
    pub(super) token: Option<String>,
    /// Authorities to trust in place of the system's.
    pub(super) ca: Option<PathBuf>,
    /// Whether to be ready for TLS.
    pub(super) https: bool,
}

/// Speaks to a server.
#[derive(Clone)]
pub(super) struct Client {
    http: Http,
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
    access: Access,
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
    let http = Http::new(trust::config(access.ca.as_deref(), access.https)?);
    let token = access.token;
    runtime.block_on(command(Client { http, token }))
}

impl Client {
    /// A request to a path of the server, each part escaped as needed.
    pub(super) fn request(&self, method: Method, server: &Url, path: &[&str]) -> Request {
        let mut url = server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.to(method, url)
    }

    /// A request to a URL of the server.
    pub(super) fn to(&self, method: Method, url: Url) -> Request {
        tracing::debug!(%method, url = shown(&url), "request");
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request to any URL.
    pub(super) fn get(&self, url: &Url) -> Request {
        tracing::debug!(url = shown(url), "request");
        self.http.request(Method::GET, url.clone())
    }

    /// Sends a request and reads its answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        let response = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        response.json().await.map_err(|error| {
            let error = visible(&error.to_string());
            Failure::Other(format!("the server's answer is not as expected: {error}"))
        })
    }

    /// Sends a request; anything but success is a failure with what the server says about it.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Failure> {
        accepted(self.reach(request).await?).await
    }

    /// Sends a request; whatever the server answers is an answer.
    pub(super) async fn reach(&self, request: Request) -> Result<Response, Failure> {
        let server = request.server();
        let response = request.send().await.map_err(|fault| {
            let hint = fault.hint("--server");
            Failure::Other(format!("cannot reach {server}: {fault}; {hint}"))
        })?;
        tracing::debug!(status = %response.status(), "answer");
        Ok(response)
    }
}

/// A URL as it may be printed and logged: without the password in it.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails for URLs without a host, which have no password either.
    let _ = url.set_password(None);
    url.into()
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

fn refused(status: StatusCode, said: &[u8]) -> Failure {
    let message = match serde_json::from_slice::<Problem>(said) {
        Ok(problem) => visible(&problem.detail),
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

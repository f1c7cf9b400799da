//! One request at a time over a connection that is kept while it works.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use crate::dial::Dialer;

/// What is read of an answer's body at most: collectors say a few words.
const LARGEST_REPLY: usize = 64 << 10;

/// A connection that was not used for so long is not used again.
const IDLE: Duration = Duration::from_secs(90);

type Connector = HttpsConnector<Dialer>;

/// Sends requests.
pub(crate) struct Client {
    connector: Connector,
    http2: bool,
    client: legacy::Client<Connector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` if it was larger than anybody needs.
    pub(crate) body: Option<Bytes>,
    pub(crate) trailers: HeaderMap,
}

impl Client {
    pub(crate) fn new(dialer: Dialer, tls: ClientConfig, http2: bool) -> Self {
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let connector = if http2 {
            builder.enable_http2().wrap_connector(dialer)
        } else {
            builder.enable_http1().wrap_connector(dialer)
        };
        Self {
            client: client(&connector, http2),
            connector,
            http2,
        }
    }

    /// Posts a body. After a fault the next request has a connection of its own: what is left of the
    /// old one may be dead without anybody knowing, until TCP gives it up after a quarter of an hour.
    pub(crate) async fn post(
        &mut self,
        to: &Uri,
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.clone();
        *request.headers_mut() = headers;
        let reply = match tokio::time::timeout(within, self.whole(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(format!("no answer within {within:?}")),
        };
        if reply.is_err() {
            self.client = client(&self.connector, self.http2);
        }
        reply
    }

    async fn whole(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let response = self.client.request(request).await;
        let (head, body) = response.map_err(|error| chain(&error))?.into_parts();
        let (body, trailers) = match Limited::new(body, LARGEST_REPLY).collect().await {
            Ok(whole) => {
                let trailers = whole.trailers().cloned().unwrap_or_default();
                (Some(whole.to_bytes()), trailers)
            }
            Err(error) if error.is::<LengthLimitError>() => (None, HeaderMap::new()),
            Err(error) => return Err(chain(&*error)),
        };
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
        })
    }
}

fn client(connector: &Connector, http2: bool) -> legacy::Client<Connector, Full<Bytes>> {
    legacy::Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector.clone())
}

/// An error and what is behind it: "client error (Connect): ... : Connection refused".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        behind = error.source();
    }
    text
}

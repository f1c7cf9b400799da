//! Request bodies nobody read to their end.
//!
//! A server that answers early (413, 404, ...) and closes while the client still sends makes the
//! kernel reset the connection, and the answer may be lost on the way. So what is left of a body
//! is read and thrown away in the background, within bounds, while the answer goes out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// How much of a rest is read. A client that sends more loses its connection.
const MOST: usize = 64 << 20;
/// How long a rest is read.
const LONGEST: Duration = Duration::from_secs(5);

/// Gives the request a body whose rest is read after the handler is done with it.
pub(super) async fn drained(request: Request, next: Next) -> Response {
    // A client that waits for `100 Continue` sends nothing if the answer comes first.
    let waits = request.headers().contains_key(EXPECT);
    let request = request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Drained {
            rest: Some(body),
            begun: !waits,
        })
    });
    next.run(request).await
}

struct Drained {
    /// `None` once it ended.
    rest: Option<Body>,
    /// Whether the client has been told to send.
    begun: bool,
}

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.begun = true;
        let Some(body) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take()
            && self.begun
            && !rest.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LONGEST, discard(rest)));
        }
    }
}

async fn discard(mut rest: Body) {
    let mut read = 0;
    while read < MOST
        && let Some(Ok(frame)) = rest.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

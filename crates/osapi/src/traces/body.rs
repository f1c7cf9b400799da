//! An answer's body that ends the request's span.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::server::Open;

/// Passes a body on. What is polled runs within the span; the span ends when this is dropped.
pub(super) struct Traced {
    body: Body,
    open: Open,
}

impl Traced {
    pub(super) fn new(body: Body, open: Open) -> Self {
        Self { body, open }
    }
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let span = self.open.span.clone();
        let polled = span.in_scope(|| Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Poll::Ready(Some(Err(_))) => self.open.fail("body_error"),
            Poll::Ready(None) => self.open.end(),
            // A server that knows the length asks no further.
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.open.end(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Where connections come from.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a [`Dial`] returns.
pub type DialFuture = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens a connection to the host of a URL, without TLS, which comes on top: for proxies, Unix
/// sockets and networks that are not the system's.
pub type Dial = Arc<dyn Fn(&Uri) -> DialFuture + Send + Sync>;

/// Opens connections by TCP, or as it was told.
#[derive(Clone)]
pub(crate) enum Dialer {
    Tcp(HttpConnector),
    Other(Dial),
}

impl Dialer {
    pub(crate) fn tcp() -> Self {
        let mut tcp = HttpConnector::new();
        // With TLS the URL is https.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self::Tcp(tcp)
    }
}

impl Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Dialed, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Self::Other(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self {
            Self::Tcp(tcp) => {
                let connecting = tcp.call(to);
                Box::pin(async move { Ok(Dialed(Box::new(connecting.await?))) })
            }
            Self::Other(dial) => {
                let connecting = dial(&to);
                Box::pin(async move { Ok(Dialed(Box::new(TokioIo::new(connecting.await?)))) })
            }
        }
    }
}

/// A connection, wherever it came from.
pub(crate) struct Dialed(Box<dyn HyperStream>);

trait HyperStream: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> HyperStream for T {}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }
}

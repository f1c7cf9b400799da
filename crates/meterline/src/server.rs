//! A server that carries a router: bounded connections, bounded waiting, an orderly end.
//!
//! What `metrics.listen` is served with; a program may serve its own routes with it too. It speaks
//! HTTP/1, with or without TLS: the flow control of HTTP/2 would let a client that does not read hold
//! any number of answers for as long as it likes.
//!
//! A connection counts from before its TLS handshake, so that the limit of connections is the limit of
//! handshakes, too.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::ListenAddr;
use crate::tls::Tls;

/// How long a client may take for the head of a request, or be silent between two of them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files of a certificate are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);
/// How long a client may take to read what it was sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes a request's head may have.
const MAX_HEAD: usize = 64 << 10;
/// How long requests may take to end once the server closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections at a time, however many files the process may open.
const MAX_CONNECTIONS: u64 = 4096;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(error))]
pub struct BindError {
    address: ListenAddr,
    error: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process uses this port; port 0 takes any free one".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted (ports below 1024 need a privilege)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A bound listener, ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Server {
    /// Binds the address. Nothing is answered before [`serve`](Self::serve).
    ///
    /// # Errors
    /// When the address is not free or not ours.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(address: &ListenAddr) -> Result<Self, BindError> {
        let failed = |error| BindError {
            address: address.clone(),
            error,
        };
        let listener = TcpListener::bind((address.host(), address.port())).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        Ok(Self {
            listener,
            address: bound,
            tls: None,
        })
    }

    /// Speaks TLS and nothing else. A changed certificate is taken up within seconds.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// The address with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `close` resolves, then lets the requests under way end, for 10 s at most, and
    /// cuts off the rest. Whether all ended by themselves.
    pub async fn serve(self, router: Router, close: impl Future<Output = ()>) -> bool {
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(connection_limit()));
        let mut connections = JoinSet::new();
        let carrier = Carrier {
            router,
            tls: self.tls.as_ref().map(|tls| tls.config().into()),
            closing: CancellationToken::new(),
        };
        let mut look = tokio::time::interval(CERTIFICATE_LOOK);
        tokio::pin!(close);
        loop {
            let accepted = tokio::select! {
                () = &mut close => break,
                Some(_) = connections.join_next() => continue,
                _ = look.tick(), if self.tls.is_some() => {
                    if let Some(tls) = self.tls.clone() {
                        tokio::task::spawn_blocking(move || tls.refresh());
                    }
                    continue;
                }
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    connections.spawn(carrier.clone().carry(stream, graceful.watcher(), permit));
                }
                Err(error) => {
                    // Out of files, most likely: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        carrier.closing.cancel();
        let ended = tokio::time::timeout(CLOSE_TIMEOUT, graceful.shutdown())
            .await
            .is_ok();
        if !ended {
            tracing::warn!("connections still open {CLOSE_TIMEOUT:?} after closing are cut off");
        }
        connections.shutdown().await;
        ended
    }
}

/// Takes room first, so that clients wait in the kernel's backlog when there is none.
async fn accept(
    listener: &tokio::net::TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, permit)),
            // The client went away between connecting and now; no fault of ours.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What every connection is carried with.
#[derive(Clone)]
struct Carrier {
    router: Router,
    tls: Option<TlsAcceptor>,
    closing: CancellationToken,
}

impl Carrier {
    async fn carry(self, stream: TcpStream, watcher: Watcher, _permit: OwnedSemaphorePermit) {
        // Small answers go out at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream
            .as_mut()
            .set_write_timeout_pinned(Some(WRITE_TIMEOUT));
        let Some(tls) = self.tls else {
            return speak(stream, self.router, watcher).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
        let shaken = tokio::select! {
            // Nothing was asked yet, so nothing is lost.
            () = self.closing.cancelled() => return,
            shaken = handshake => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => speak(stream, self.router, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took longer than {HANDSHAKE_TIMEOUT:?}"),
        }
    }
}

async fn speak<S>(stream: S, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router =
        router.map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Half the files the process may open: the rest is for the queue and its jobs.
fn connection_limit() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    usize::try_from((files / 2).clamp(16, MAX_CONNECTIONS)).unwrap_or(16)
}

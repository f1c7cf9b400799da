//! A server that carries a router: bounded connections, bounded waiting, an orderly end.
//!
//! What `metrics.listen` is served with; a program may serve its own routes with it too. It speaks
//! HTTP/1: without TLS hardly anyone speaks HTTP/2, whose flow control would let a client that does
//! not read hold any number of answers for as long as it likes.

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
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::config::ListenAddr;

/// How long a client may take for the head of a request, or be silent between two of them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
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
        io::ErrorKind::AddrInUse => "another process uses this port".to_owned(),
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
        })
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
        tokio::pin!(close);
        loop {
            let accepted = tokio::select! {
                () = &mut close => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    connections.spawn(carry(stream, router.clone(), graceful.watcher(), permit));
                }
                Err(error) => {
                    // Out of files, most likely: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
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

async fn carry(stream: TcpStream, router: Router, watcher: Watcher, permit: OwnedSemaphorePermit) {
    // Small answers go out at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream
        .as_mut()
        .set_write_timeout_pinned(Some(WRITE_TIMEOUT));
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
    drop(permit);
}

/// Half the files the process may open: the rest is for the queue and its jobs.
fn connection_limit() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    usize::try_from((files / 2).clamp(16, MAX_CONNECTIONS)).unwrap_or(16)
}

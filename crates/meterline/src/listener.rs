//! The metrics' own listener, for when they shall not share the application's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::ListenAddr;

/// A server in a task of its own.
pub(crate) struct Listener {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds at once, so that an address that cannot be had is an error of start-up.
    pub(crate) fn bind(addr: &ListenAddr, routes: Router) -> io::Result<Self> {
        let socket = TcpListener::bind((addr.host(), addr.port()))?;
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let (stop, mut stopped) = watch::channel(false);
        let serve = axum::serve(socket, routes).with_graceful_shutdown(async move {
            // An error says that the sender is gone, which means the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the metrics listener failed");
            }
        });
        Ok(Self { addr, stop, task })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets requests under way end, and cuts them off after `patience`. Whether
    /// they all ended by themselves.
    pub(crate) async fn stop(mut self, patience: Duration) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(patience, &mut self.task).await.is_ok();
        if !ended {
            self.task.abort();
        }
        ended
    }
}

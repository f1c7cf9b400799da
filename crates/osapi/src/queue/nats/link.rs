//! The connection: how it is made, how it is, and what is told about it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use super::store::{ANSWER_WITHIN, unavailable};
use crate::queue::QueueError;

/// How often the broker is asked whether it is there. Two unanswered questions are a lost connection.
const PING: Duration = Duration::from_secs(5);

/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where the broker is and how to be let in.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Servers of one cluster, separated by commas; each may hold a user and a password.
    pub url: String,
    /// File with credentials (a JWT and its key) or with the seed of an nkey alone.
    pub credentials: Option<PathBuf>,
    /// PEM file with the authorities to be trusted; the system's if there is none.
    pub ca: Option<PathBuf>,
    /// PEM files of a certificate to show and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether the connection must be TLS.
    pub tls: bool,
    /// Prefix of the names of streams and subjects.
    pub prefix: String,
    /// Copies of each message the broker keeps.
    pub replicas: usize,
    /// How this connection is called in the broker's own lists.
    pub name: String,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: None,
            ca: None,
            certificate: None,
            tls: false,
            prefix: "osapi".to_owned(),
            replicas: 1,
            name: "osapi".to_owned(),
        }
    }
}

/// The connection as others see it.
pub(super) struct Link {
    connected: watch::Sender<bool>,
    connects: AtomicU64,
    publish_failures: AtomicU64,
    on_publish_failure: OnceLock<Box<dyn Fn() + Send + Sync>>,
    closed: AtomicBool,
    /// Why the streams cannot be used although the broker can be reached.
    unfit: Mutex<Option<QueueError>>,
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            connected: watch::Sender::new(false),
            connects: AtomicU64::new(0),
            publish_failures: AtomicU64::new(0),
            on_publish_failure: OnceLock::new(),
            closed: AtomicBool::new(false),
            unfit: Mutex::new(None),
        })
    }

    /// Whether it makes sense to ask the broker anything now.
    pub(super) fn usable(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(QueueError::Closed);
        }
        if !*self.connected.borrow() {
            return Err(unavailable("the broker cannot be reached".to_owned()));
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    pub(super) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub(super) fn publish_failed(&self) {
        self.publish_failures.fetch_add(1, Ordering::Relaxed);
        if let Some(tell) = self.on_publish_failure.get() {
            tell();
        }
    }

    pub(super) fn on_publish_failure(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.on_publish_failure.set(tell);
    }

    pub(super) fn publish_failures(&self) -> u64 {
        self.publish_failures.load(Ordering::Relaxed)
    }

    pub(super) fn unfit(&self) -> Option<QueueError> {
        self.unfit.lock().clone()
    }

    pub(super) fn set_unfit(&self, why: Option<QueueError>) {
        *self.unfit.lock() = why;
    }

    fn told(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.connects.fetch_add(1, Ordering::Relaxed);
                self.connected.send_replace(true);
                info!(reconnects = self.reconnects(), "connected to the broker");
            }
            Event::Disconnected => {
                if self.connected.send_replace(false) {
                    warn!("the connection to the broker is lost, connecting again");
                }
            }
            Event::Closed => {
                self.connected.send_replace(false);
            }
            Event::SlowConsumer(_) | Event::Draining => {}
            other => tracing::debug!(%other, "the broker says"),
        }
    }
}

/// Connects. A broker that is not there yet is waited for in the background; one that does not let
/// us in, or an address or a file that makes no sense, is an error.
pub(super) async fn connect(options: &NatsOptions, link: &Arc<Link>) -> Result<Client, QueueError> {
    let place = shown(&options.url);
    let failed = |reason: String| QueueError::Open {
        place: place.clone(),
        reason,
    };
    let addresses = addresses(&options.url).map_err(failed)?;
    let first = prepare(options, link).await.map_err(failed)?;
    let refused = match first.connect(addresses.clone()).await {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    match refused.kind() {
        _ if is_about_tls(&refused) => {
            return Err(failed(format!("TLS fails: {}", with_sources(&refused))));
        }
        ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns => {}
        _ => return Err(failed(with_sources(&refused))),
    }
    warn!(
        place,
        error = with_sources(&refused),
        "the broker is not there yet, trying on"
    );
    let later = prepare(options, link).await.map_err(failed)?;
    let later = later.retry_on_initial_connect().connect(addresses).await;
    later.map_err(|error| failed(with_sources(&error)))
}

async fn prepare(options: &NatsOptions, link: &Arc<Link>) -> Result<ConnectOptions, String> {
    let told = Arc::clone(link);
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        .ping_interval(PING)
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(Some(ANSWER_WITHIN))
        .reconnect_delay_callback(|attempts| {
            let doubled = Duration::from_millis(50)
                .saturating_mul(2_u32.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX)));
            doubled.min(LONGEST_PAUSE)
        })
        .event_callback(move |event| {
            told.told(&event);
            std::future::ready(())
        });
    if let Some(file) = &options.credentials {
        connect = let_in(connect, file).await?;
    }
    if let Some(ca) = &options.ca {
        readable(ca).await?;
        connect = connect.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &options.certificate {
        readable(cert).await?;
        readable(key).await?;
        connect = connect.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(connect.require_tls(options.tls))
}

/// A file holds either the seed of an nkey, or a JWT with its seed.
async fn let_in(connect: ConnectOptions, file: &Path) -> Result<ConnectOptions, String> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    let seed = text.trim();
    if seed.starts_with("SU") && !seed.contains(char::is_whitespace) {
        return Ok(connect.nkey(seed.to_owned()));
    }
    connect.credentials(&text).map_err(|_| {
        format!(
            "{} holds neither credentials nor the seed of a user's nkey",
            file.display()
        )
    })
}

async fn readable(file: &Path) -> Result<(), String> {
    let opened = tokio::fs::File::open(file).await;
    opened
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn addresses(url: &str) -> Result<Vec<async_nats::ServerAddr>, String> {
    let parts = url.split(',').map(str::trim);
    parts
        .map(|part| {
            part.parse()
                .map_err(|_| format!("{:?} is not the address of a server", shown(part)))
        })
        .collect()
}

/// An address without the user and the password in it.
pub(super) fn shown(url: &str) -> String {
    let parts = url.split(',').map(|part| {
        let part = part.trim();
        let (scheme, rest) = part.split_once("://").unwrap_or(("nats", part));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{host}")
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Whether a server was there and did not want our certificate, or we its. TLS says so by an error of the
/// connection, of a kind that no broken connection has.
fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        next = error.source();
    }
    false
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        assert_eq!(
            shown("nats://me:p@ss@one:4222, tls://token@two"),
            "nats://one:4222,tls://two"
        );
        assert_eq!(shown("one:4222"), "nats://one:4222");
        let fault = addresses("nats://me:secret@:x:y").expect_err("no address");
        assert!(!fault.contains("secret"), "{fault}");
    }
}

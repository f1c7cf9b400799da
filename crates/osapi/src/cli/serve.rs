//! The commands that stay running: `up`, `api` and `worker`.
//!
//! Starting: listeners are bound and the queue is opened before anything is served, so that a
//! failure leaves nothing behind.
//!
//! Ending: not ready and no new jobs, while reads and scrapes are still answered; the workers finish
//! what they have and give back what takes too long; metrics are pushed; streams and connections end; the
//! queue is closed; spans and metrics are delivered a last time, and a scrape endpoint of its own ends. All
//! of it by one deadline: the drain timeout and
//! [`CLOSING`].

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::addr_file::AddrFile;
use super::args::{ConfigArgs, Process, UpArgs};
use super::names::Names;
use super::process::Fleet;
use super::signals::Signals;
use super::{logging, process};
use crate::api::{self, ApiState, Lifecycle};
use crate::config::{Config, Loaded, Sources};
use crate::operations::Registry;
use crate::queue::SharedQueue;
use crate::queue::nats::Part;
use crate::telemetry::ProcessTelemetry;
use meterline::Traces;
use meterline::server::Server;

/// How long everything but draining may take when a process ends. Connections get 10 s of it.
const CLOSING: Duration = Duration::from_secs(20);

/// How long the last spans may take to be delivered, out of [`CLOSING`].
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The layers of a process: its own defaults below what is configured.
pub(super) fn sources(config: &ConfigArgs, process: Process, verbose: u8) -> Sources {
    let command: Option<(_, &[_])> = match process {
        Process::Up => Some(("up", &[("debug", "true")])),
        Process::Api => None,
        Process::Worker => Some(("worker", &[("telemetry.metrics.listen", "127.0.0.1:9091")])),
    };
    Sources {
        command,
        ..config.sources(verbose)
    }
}

pub(super) fn up(args: UpArgs, verbose: u8) -> Result<(), Failure> {
    let mut sources = sources(&args.config, Process::Up, verbose);
    if let Some(listen) = args.listen {
        sources.flags.push(("--listen", "api.listen", listen));
    }
    if let Some(dir) = args.data_dir {
        let path = dir.join("queue.db").to_string_lossy().into_owned();
        sources
            .flags
            .push(("--data-dir", "queue.sqlite.path", path));
    }
    run(Process::Up, &sources.load()?, args.workers)
}

pub(super) fn api(args: &ConfigArgs, verbose: u8) -> Result<(), Failure> {
    run(
        Process::Api,
        &sources(args, Process::Api, verbose).load()?,
        0,
    )
}

pub(super) fn worker(args: &ConfigArgs, verbose: u8) -> Result<(), Failure> {
    let sources = sources(args, Process::Worker, verbose);
    run(Process::Worker, &sources.load()?, 1)
}

fn run(process: Process, loaded: &Loaded, workers: u16) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let traces = Traces::start(&loaded.config.telemetry);
    drop(entered);
    let traces = traces.map_err(|error| Failure::Other(error.to_string()))?;
    logging::start(&loaded.config.log, traces.as_ref());
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let ended = runtime.block_on(live(process, loaded, workers, traces));
    // Whatever still runs (a blocking call, say) does not keep the process.
    runtime.shutdown_background();
    ended
}

async fn live(
    process: Process,
    loaded: &Loaded,
    workers: u16,
    traces: Option<Traces>,
) -> Result<(), Failure> {
    let config = &loaded.config;
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        started = Running::start(process, loaded, workers, traces) => started?,
        signal = signals.next() => {
            tracing::info!(signal, "ended before everything was up");
            return Ok(());
        }
    };
    let ended = loop {
        tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "shutting down; a second signal ends at once");
                break Ok(());
            }
            error = running.fleet.failed() => {
                // The API has its own worth; a worker process without its worker has none.
                if process == Process::Worker {
                    break Err(Failure::Other(error));
                }
                tracing::error!(error, "a worker ended; the API goes on");
            }
        }
    };
    let drain = if workers > 0 {
        config.worker.drain_timeout
    } else {
        Duration::ZERO
    };
    tokio::select! {
        stopped = by_deadline(running.stop(), drain.saturating_add(CLOSING)) => stopped.map_err(Failure::Other).and(ended),
        signal = signals.next() => Err(Failure::Other(format!("ended at once by a second {signal}"))),
    }
}

/// Lets a stop take so long and no longer.
async fn by_deadline(stop: impl Future<Output = ()>, longest: Duration) -> Result<(), String> {
    tokio::time::timeout(longest, stop).await.map_err(|_| {
        let longest = humantime::format_duration(longest);
        format!(
            "not everything ended within {longest}; jobs not given back restart when their lease ends"
        )
    })
}

/// A process that is up.
struct Running {
    lifecycle: Lifecycle,
    queue: SharedQueue,
    telemetry: ProcessTelemetry,
    traces: Option<Traces>,
    server: Option<tokio::task::JoinHandle<bool>>,
    fleet: Fleet,
    _addr: Option<AddrFile>,
}

impl Running {
    async fn start(
        process: Process,
        loaded: &Loaded,
        workers: u16,
        traces: Option<Traces>,
    ) -> Result<Self, Failure> {
        let config = &loaded.config;
        loaded.check_files()?;
        let key = loaded.signing_key()?;
        let (listen, tls) = match process {
            Process::Up | Process::Api => (Some(&config.api.listen), loaded.api_tls()?),
            Process::Worker => (
                config.telemetry.metrics.listen.as_ref(),
                loaded.metrics_tls()?,
            ),
        };
        let secured = tls.is_some();
        let server = match listen {
            Some(listen) => Some(Server::bind(listen)?.with_tls(tls)),
            None => None,
        };
        let exposing = process.exposing();
        let part = match process {
            Process::Up | Process::Api => Part::Whole,
            Process::Worker => Part::Worker,
        };
        let telemetry = ProcessTelemetry::start(config, key.as_ref(), exposing)?;
        let queue = process::open_queue(config, part, &telemetry).await?;
        let names = Names::take(config, workers).map_err(Failure::Other)?;
        let address = server.as_ref().map(Server::address);
        let addr = match address {
            Some(address) if process != Process::Worker => {
                let dir = config.data_dir();
                let written = AddrFile::write(&dir, address);
                Some(written.map_err(|error| {
                    Failure::Other(format!(
                        "cannot write {}/osapi.addr: {error}",
                        dir.display()
                    ))
                })?)
            }
            _ => None,
        };

        let lifecycle = Lifecycle::default();
        let operations = Arc::new(Registry::builtin(config.worker.allow_commands.clone()));
        telemetry.expect(&operations.names(), exposing);
        telemetry.watch(&queue, &lifecycle, exposing);
        let state = ApiState::new(
            &config.api,
            key,
            address,
            Arc::clone(&queue),
            Arc::clone(&operations) as _,
            telemetry.jobs().clone(),
            lifecycle.clone(),
        );
        let state = match (telemetry.provider(), telemetry.readings()) {
            (Some(provider), Some(readings)) => state.with_metrics(
                provider.clone(),
                &config.telemetry.metrics.namespace,
                process == Process::Up,
                readings.clone(),
            ),
            _ => state,
        };
        let router = match process {
            Process::Up | Process::Api => {
                api::router(&state, config, telemetry.routes(), |routes| {
                    telemetry.measure(routes)
                })
            }
            Process::Worker => api::health_router(&state, telemetry.routes()),
        };
        let closed = lifecycle.clone();
        let server = server
            .map(|server| tokio::spawn(async move { server.serve(router, closed.closed()).await }));
        let fleet = Fleet::start(config, &queue, &operations, &telemetry, names);
        if let Some(address) = address {
            let base = base_url(secured, address);
            announce(process, config, &base, &telemetry)?;
        }
        Ok(Self {
            lifecycle,
            queue,
            telemetry,
            traces,
            server,
            fleet,
            _addr: addr,
        })
    }

    async fn stop(self) {
        self.lifecycle.stop();
        self.fleet.drain().await;
        self.telemetry.flush().await;
        self.lifecycle.close();
        if let Some(server) = self.server
            && let Err(error) = server.await
        {
            tracing::error!(%error, "the server did not end in order");
        }
        self.queue.close().await;
        // Nothing makes spans any more.
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown(LAST_SPANS).await
        {
            tracing::warn!("{error}");
        }
        self.telemetry.shutdown().await;
        tracing::info!("stopped");
    }
}

fn base_url(secured: bool, address: SocketAddr) -> String {
    let scheme = if secured { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Says where to look. Standard output being closed is no reason not to serve.
fn announce(
    process: Process,
    config: &Config,
    base: &str,
    telemetry: &ProcessTelemetry,
) -> Result<(), Failure> {
    let mut text = String::new();
    match process {
        Process::Worker => text += &format!("osapi worker: {base}/health\n"),
        Process::Api | Process::Up => {
            text += &format!(
                "osapi is up\n  page     {base}/\n  jobs     {base}/job\n  health   {base}/health/status\n  API      {base}/docs\n"
            );
            if config.metrics_enabled() {
                let metrics = &config.telemetry.metrics;
                let own = telemetry.listen_addr();
                let own = own.map(|address| base_url(metrics.tls.is_some(), address));
                let host = own.as_deref().unwrap_or(base);
                text += &format!("  metrics  {host}{}\n", metrics.path);
            }
            text += &format!(
                "  data     {}\n\nSubmit a job:\n",
                config.data_dir().display()
            );
            let token = if config.api.has_key() {
                "-H \"Authorization: Bearer $OSAPI_TOKEN\" "
            } else {
                ""
            };
            text += &format!(
                "  curl -sS {base}/job {token}-H 'Content-Type: application/json' \
                 -d '{{\"operation\":{{\"type\":\"node.hostname.get\",\"data\":{{}}}},\"target_hostname\":\"_any\"}}'\n"
            );
        }
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_that_hangs_ends_at_the_deadline() {
        let hanging = by_deadline(std::future::pending(), Duration::from_millis(1)).await;
        let said = hanging.expect_err("the deadline passed");
        assert!(said.contains("within 1ms"), "{said}");
        let orderly = by_deadline(std::future::ready(()), Duration::from_secs(60)).await;
        assert!(orderly.is_ok());
    }
}

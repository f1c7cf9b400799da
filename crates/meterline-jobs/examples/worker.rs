//! A job system inside one process: a channel for a queue, a few tasks for workers.
//!
//!     cargo run -p meterline-jobs --example worker
//!
//! It prints the page a Prometheus would scrape: four jobs created, three of them at their end, and one attempt that
//! panicked, counted as failed and no longer active. Any other OpenTelemetry SDK would do as well as Meterline's.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use meterline_exposition::{Format, TranslationOptions, Translator};
use meterline_jobs::{
    AttemptStatus, Instruments, JobMetrics, QueueReading, WorkerMetrics, observe_queue,
};
use meterline_sdk::MeterProvider;
use tokio::sync::{Mutex, mpsc};

struct Job {
    operation: &'static str,
    due: Instant,
}

type Queue = Arc<Mutex<mpsc::Receiver<Job>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = MeterProvider::builder().build();
    let instruments = Instruments::builder()
        .meter_provider(&provider)
        .namespace("shop")
        .build()?;
    let jobs = JobMetrics::new(&instruments);
    let (sender, receiver) = mpsc::channel(100);
    let waiting = Arc::new(AtomicU64::new(0));
    observe_queue(&instruments, {
        let waiting = Arc::clone(&waiting);
        move || {
            Some(QueueReading {
                states: vec![("submitted", waiting.load(Ordering::Relaxed))],
                // A channel does not tell.
                oldest_waiting: Duration::ZERO,
            })
        }
    });

    let queue = Arc::new(Mutex::new(receiver));
    let worker = WorkerMetrics::new(&instruments, "worker-1", 2);
    let tasks = [(); 2].map(|()| {
        let work = work(
            Arc::clone(&queue),
            jobs.clone(),
            worker.clone(),
            Arc::clone(&waiting),
        );
        tokio::spawn(work)
    });
    for operation in ["mail.send", "mail.send", "invoice.print", "mail.lose"] {
        jobs.created(operation, 1);
        waiting.fetch_add(1, Ordering::Relaxed);
        let due = Instant::now();
        sender.send(Job { operation, due }).await?;
    }
    drop(sender);
    for task in tasks {
        // One of them panics on purpose; its attempt is recorded nonetheless.
        let _ = task.await;
    }
    println!("{}", page(&provider));
    Ok(())
}

async fn work(queue: Queue, jobs: JobMetrics, worker: WorkerMetrics, waiting: Arc<AtomicU64>) {
    while let Some(job) = queue.lock().await.recv().await {
        waiting.fetch_sub(1, Ordering::Relaxed);
        let _slot = worker.slot();
        let attempt = jobs.start(job.operation, job.due.elapsed()).by(&worker);
        let status = run(job.operation).await;
        attempt.finish(status);
    }
}

async fn run(operation: &str) -> AttemptStatus {
    tokio::time::sleep(Duration::from_millis(10)).await;
    match operation {
        "mail.send" => AttemptStatus::Completed,
        "invoice.print" => AttemptStatus::Failed,
        other => panic!("nobody knows how to do {other}"),
    }
}

fn page(provider: &MeterProvider) -> String {
    let mut page = Vec::new();
    let snapshot = provider.collect();
    let mut translator = Translator::new(TranslationOptions::default());
    Format::Text.encode(&translator.translate(&snapshot), &mut page);
    String::from_utf8_lossy(&page).into_owned()
}

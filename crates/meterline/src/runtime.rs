//! `tokio_*`: what the runtime says about itself, by its stable API.

use opentelemetry::metrics::Meter;
use tokio::runtime::Handle;

type Read = fn(&Handle) -> usize;

/// Adds the instruments.
pub(crate) fn observe(meter: &Meter, runtime: &Handle) {
    let gauges: [(_, _, Read); 3] = [
        (
            "tokio.workers",
            "Worker threads of the tokio runtime.",
            |runtime| runtime.metrics().num_workers(),
        ),
        (
            "tokio.alive_tasks",
            "Tasks that have been spawned and have not ended.",
            |runtime| runtime.metrics().num_alive_tasks(),
        ),
        (
            "tokio.global_queue_depth",
            "Tasks that wait for a worker of their own.",
            |runtime| runtime.metrics().global_queue_depth(),
        ),
    ];
    for (name, help, read) in gauges {
        let runtime = runtime.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(help)
            .with_callback(move |to| to.observe(read(&runtime) as u64, &[]))
            .build();
    }
    let runtime = runtime.clone();
    meter
        .f64_observable_counter("tokio.worker_busy")
        .with_unit("s")
        .with_description("Time that workers have spent running tasks, all workers together.")
        .with_callback(move |to| {
            let metrics = runtime.metrics();
            let busy = (0..metrics.num_workers())
                .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64());
            to.observe(busy.sum(), &[]);
        })
        .build();
}

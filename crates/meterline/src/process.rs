//! `process_*`: what the kernel says about this process, under the names Prometheus clients use.

use opentelemetry::metrics::{AsyncInstrument, Meter};
use procfs::process::{LimitValue, Process};

/// What there is to tell, read from `/proc/self` when asked.
struct Row {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    read: fn(&Process) -> Option<f64>,
}

const CPU: Row = Row {
    name: "process.cpu",
    unit: "s",
    help: "Time this process has spent on CPUs, in user and system mode.",
    read: cpu_seconds,
};

const GAUGES: [Row; 6] = [
    Row {
        name: "process.resident_memory",
        unit: "By",
        help: "Physical memory this process holds.",
        read: |process| Some(process.statm().ok()?.resident as f64 * procfs::page_size() as f64),
    },
    Row {
        name: "process.virtual_memory",
        unit: "By",
        help: "Address space this process has mapped.",
        read: |process| Some(process.statm().ok()?.size as f64 * procfs::page_size() as f64),
    },
    Row {
        name: "process.open_fds",
        unit: "",
        help: "File descriptors this process has open.",
        read: |process| Some(process.fd_count().ok()? as f64),
    },
    Row {
        name: "process.max_fds",
        unit: "",
        help: "File descriptors this process may have open.",
        read: max_fds,
    },
    Row {
        name: "process.threads",
        unit: "",
        help: "Threads of this process.",
        read: |process| Some(process.stat().ok()?.num_threads as f64),
    },
    Row {
        name: "process.start_time",
        unit: "s",
        help: "When this process started, in seconds since the Unix epoch.",
        read: start_seconds,
    },
];

/// Adds the instruments.
pub(crate) fn observe(meter: &Meter) {
    let Row {
        name,
        unit,
        help,
        read,
    } = CPU;
    meter
        .f64_observable_counter(name)
        .with_unit(unit)
        .with_description(help)
        .with_callback(move |to| tell(read, to))
        .build();
    for Row {
        name,
        unit,
        help,
        read,
    } in GAUGES
    {
        meter
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_description(help)
            .with_callback(move |to| tell(read, to))
            .build();
    }
}

/// Tells one number; nothing at all if the kernel does not give it.
fn tell(read: fn(&Process) -> Option<f64>, to: &dyn AsyncInstrument<f64>) {
    if let Some(value) = Process::myself().ok().as_ref().and_then(read) {
        to.observe(value, &[]);
    }
}

fn cpu_seconds(process: &Process) -> Option<f64> {
    let stat = process.stat().ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

fn max_fds(process: &Process) -> Option<f64> {
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most as f64),
        LimitValue::Unlimited => None,
    }
}

fn start_seconds(process: &Process) -> Option<f64> {
    let since_boot = process.stat().ok()?.starttime as f64 / procfs::ticks_per_second() as f64;
    Some(procfs::boot_time_secs().ok()? as f64 + since_boot)
}

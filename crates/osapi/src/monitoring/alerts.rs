//! The alerts, each with what its runbook says.

/// How soon somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Now: users are hurt.
    Critical,
    /// Today: they will be.
    Warning,
}

impl Severity {
    /// The value of the label `severity`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// An alert and its page of the runbook.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// Holds while something is wrong.
    pub expr: &'static str,
    /// How long it has to hold.
    pub lasting: &'static str,
    /// How soon somebody has to look.
    pub severity: Severity,
    /// One line, with the labels and the value in it.
    pub summary: &'static str,
    /// What it means for users.
    pub means: &'static str,
    /// What to look at, and what to do.
    pub steps: &'static [&'static str],
}

use Severity::{Critical, Warning};

/// Every alert.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "OsapiErrorBudgetBurnsFast",
        expr: "job:http_server_errors:ratio_rate1h > 14.4 * 0.001\nand\njob:http_server_errors:ratio_rate5m > 14.4 * 0.001",
        lasting: "2m",
        severity: Critical,
        summary: "{{ $labels.job }} fails {{ $value | humanizePercentage }} of its requests",
        means: "At this rate the error budget of a month (99.9 % of requests) is gone in two days. Errors are \
                5xx, panics and answers that broke off; clients that went away don't count.",
        steps: &[
            "Which route and error: `sum by (http_route, error_type) (rate(http_server_request_duration_seconds_count{error_type!=\"\", error_type!=\"cancelled\"}[5m]))`.",
            "Mostly 503: the queue is full or away; see OsapiQueueUnavailable and OsapiOldestJobWaits.",
            "`panic`: the log has one line for each; report it, and roll back if it came with a release.",
        ],
    },
    Alert {
        name: "OsapiErrorBudgetBurns",
        expr: "job:http_server_errors:ratio_rate6h > 6 * 0.001\nand\njob:http_server_errors:ratio_rate30m > 6 * 0.001",
        lasting: "15m",
        severity: Warning,
        summary: "{{ $labels.job }} has failed {{ $value | humanizePercentage }} of its requests for hours",
        means: "At this rate the error budget of a month is gone in five days.",
        steps: &["As OsapiErrorBudgetBurnsFast, with more time."],
    },
    Alert {
        name: "OsapiSlowRequests",
        expr: "job:http_server_request_duration_seconds:p99_5m > 1",
        lasting: "10m",
        severity: Warning,
        summary: "1 % of the requests to {{ $labels.job }} take longer than {{ $value | humanizeDuration }}",
        means: "Requests wait, most often for the disk under the queue or for a CPU.",
        steps: &[
            "Which route: `histogram_quantile(0.99, sum by (http_route, le) (rate(http_server_request_duration_seconds_bucket[5m])))`.",
            "The disk: `histogram_quantile(0.99, sum by (job, le) (rate(osapi_database_transaction_duration_seconds_bucket[5m])))`; above 50 ms it is the disk.",
            "The CPU: `rate(process_cpu_seconds_total[5m])`, and what else runs on the host.",
        ],
    },
    Alert {
        name: "OsapiQueueUnavailable",
        expr: "min by (job, instance) (osapi_subsystem_up{subsystem=\"queue\"}) == 0",
        lasting: "1m",
        severity: Critical,
        summary: "{{ $labels.instance }} cannot read or write its queue",
        means: "Jobs are refused with 503. None that was accepted is lost.",
        steps: &[
            "`/health/status` of the instance names the error.",
            "SQLite: is the disk full, read-only or failing? It recovers by itself once there is room.",
            "NATS: see OsapiBrokerDown.",
        ],
    },
    Alert {
        name: "OsapiOldestJobWaits",
        expr: "max by (job) (osapi_jobs_oldest_waiting_seconds) > 300",
        lasting: "5m",
        severity: Warning,
        summary: "the oldest job of {{ $labels.job }} has waited {{ $value | humanizeDuration }}",
        means: "Jobs come faster than they are done, or wait for a host that is not there.",
        steps: &[
            "`osapi workers`: are there ready workers, and free slots? If all are used, add workers or raise `worker.slots`.",
            "`osapi job list --status submitted`: jobs for a host name that no worker has wait until one comes; cancel them, or set `queue.start_timeout`.",
        ],
    },
    Alert {
        name: "OsapiNoWorkers",
        expr: "max by (job) (osapi_workers_connected{state=\"ready\"}) == 0",
        lasting: "2m",
        severity: Critical,
        summary: "no worker of {{ $labels.job }} is ready",
        means: "Jobs are accepted and wait; jobs for all workers are refused.",
        steps: &[
            "`osapi workers`: all draining? `osapi workers undrain NAME`. All lost? Look at their hosts and logs.",
            "Start one: `osapi worker --config FILE`. It tells in one line why it cannot.",
        ],
    },
    Alert {
        name: "OsapiWorkerLost",
        expr: "max by (job) (osapi_workers_connected{state=\"lost\"}) > 0",
        lasting: "1m",
        severity: Warning,
        summary: "{{ $value }} workers of {{ $labels.job }} have vanished",
        means: "A worker gave no sign of life for the length of a lease and did not stop in order. What it ran is \
                run again by others. It is told of for an hour, or until it is back.",
        steps: &[
            "`osapi workers` names it; look at the host, and at the kernel log for an out-of-memory kill.",
            "Several at once: the network between them and the queue.",
        ],
    },
    Alert {
        name: "OsapiAllSlotsUsed",
        expr: "sum by (job) (osapi_worker_slots{state=\"free\"}) == 0\nand on (job)\nsum by (job) (osapi_worker_slots{state=\"used\"}) > 0",
        lasting: "30m",
        severity: Warning,
        summary: "every slot of the workers of {{ $labels.job }} has been used for half an hour",
        means: "There is no room for more work: what comes now waits.",
        steps: &[
            "If the queue grows too, add workers or raise `worker.slots`; if jobs hang, look for the longest with `osapi job list --status processing`.",
        ],
    },
    Alert {
        name: "OsapiDeadLettersGrow",
        expr: "max by (job) (delta(osapi_jobs_queued{state=\"dlq\"}[15m])) > 0",
        lasting: "0m",
        severity: Warning,
        summary: "jobs of {{ $labels.job }} have used up their attempts",
        means: "These jobs are not tried again until somebody asks for it, and are forgotten after `queue.retention`.",
        steps: &[
            "`osapi job list --status failed`, and `osapi job get ID` for the error.",
            "When the cause is gone: `osapi job retry ID`.",
        ],
    },
    Alert {
        name: "OsapiJobsFail",
        expr: "job:osapi_jobs_failed:ratio_rate15m > 0.1\nand on (job)\nsum by (job) (increase(osapi_jobs_completed_total{status=\"failed\"}[15m])) > 5",
        lasting: "5m",
        severity: Warning,
        summary: "{{ $value | humanizePercentage }} of the jobs of {{ $labels.job }} fail",
        means: "More than one job in ten ends as failed.",
        steps: &[
            "Which: `sum by (operation) (increase(osapi_jobs_completed_total{status=\"failed\"}[15m]))`, then `osapi job list --status failed`.",
        ],
    },
    Alert {
        name: "OsapiBrokerDown",
        expr: "min by (job, instance) (osapi_nats_connected) == 0",
        lasting: "1m",
        severity: Critical,
        summary: "{{ $labels.instance }} has no connection to NATS",
        means: "The API answers 503; workers finish what they run and report it when the broker is back.",
        steps: &[
            "One instance: its network and credentials. All: the broker; `nats server ping`, its log and its disk.",
            "Nothing has to be restarted afterwards.",
        ],
    },
    Alert {
        name: "OsapiBrokerFlaps",
        expr: "sum by (job, instance) (increase(osapi_nats_reconnects_total[15m])) > 3",
        lasting: "0m",
        severity: Warning,
        summary: "{{ $labels.instance }} has lost NATS {{ $value | humanize }} times in a quarter of an hour",
        means: "Each time, leases may run out and jobs may be done twice.",
        steps: &[
            "`osapi_nats_rtt_seconds`, packet loss, and the broker's log (slow consumer, lame duck mode, memory).",
        ],
    },
    Alert {
        name: "OsapiScrapeFails",
        expr: "up == 0\nand on (job, instance)\nlast_over_time(osapi_build_info[6h])",
        lasting: "2m",
        severity: Critical,
        summary: "{{ $labels.instance }} cannot be scraped",
        means: "The process is gone, or its metrics cannot be had: every other alert about it is blind.",
        steps: &[
            "`curl -i http://INSTANCE/health`: if that fails too the process or its host is gone.",
            "503 from the metrics path: too many scrapes at once, or a scrape past its time-out; see `meterline_scrape_duration_seconds` of before.",
            "401: `telemetry.metrics.auth` is `bearer` and Prometheus has no token with `metrics:read`.",
        ],
    },
    Alert {
        name: "OsapiRestarts",
        expr: "changes(process_start_time_seconds[30m]) > 3\nand on (job, instance)\nosapi_build_info",
        lasting: "0m",
        severity: Warning,
        summary: "{{ $labels.instance }} has started {{ $value }} times in half an hour",
        means: "Something ends the process again and again. Accepted jobs are not lost; work is done twice.",
        steps: &[
            "Its log and exit code (see operations.md), and the kernel log for an out-of-memory kill.",
        ],
    },
    Alert {
        name: "OsapiFilesRunOut",
        expr: "process_open_fds / process_max_fds > 0.8\nand on (job, instance)\nosapi_build_info",
        lasting: "5m",
        severity: Warning,
        summary: "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the files it may open",
        means: "At 100 % it takes no more connections.",
        steps: &[
            "Many clients? Raise `LimitNOFILE`. Few? `ls -l /proc/PID/fd` tells what is open; report it.",
        ],
    },
    Alert {
        name: "OsapiSeriesOverflow",
        expr: "sum by (job, instance) (increase(meterline_series_overflowed_total[15m])) > 0\nand on (job, instance)\nosapi_build_info",
        lasting: "0m",
        severity: Warning,
        summary: "a metric of {{ $labels.instance }} has more series than it may have",
        means: "Totals stay right, but new attribute sets are counted together under `otel_metric_overflow=\"true\"`.",
        steps: &[
            "Which: `{otel_metric_overflow=\"true\"}`. Leave an attribute out with a view, or raise its limit, if it is meant to be there.",
        ],
    },
    Alert {
        name: "OsapiPointsDropped",
        expr: "sum by (job, instance, reason) (increase(meterline_points_dropped_total[15m])) > 0\nand on (job, instance)\nosapi_build_info",
        lasting: "0m",
        severity: Warning,
        summary: "{{ $labels.instance }} leaves points out: {{ $labels.reason }}",
        means: "Measurements could not be recorded or shown: names that conflict, values that are no numbers.",
        steps: &["The log names the instrument, once."],
    },
    Alert {
        name: "OsapiPushFails",
        expr: "sum by (job, instance) (increase(meterline_otlp_exports_total{outcome!=\"success\"}[15m])) > 0\nunless on (job, instance)\nsum by (job, instance) (increase(meterline_otlp_exports_total{outcome=\"success\"}[15m])) > 0",
        lasting: "15m",
        severity: Warning,
        summary: "{{ $labels.instance }} has not pushed its metrics for a quarter of an hour",
        means: "The collector lacks these minutes. Cumulative values are right again with the first push that succeeds.",
        steps: &[
            "The log has the collector's answer; check `telemetry.otlp.endpoint`, its certificate and its token.",
        ],
    },
];

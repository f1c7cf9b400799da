//! For each alert, series on which it must fire and series on which it must not, in the notation of
//! promtool's unit tests; one value a minute.

pub(crate) struct Sample {
    pub(crate) alert: &'static str,
    /// When to look.
    pub(crate) at: &'static str,
    pub(crate) bad: &'static [(&'static str, &'static str)],
    pub(crate) good: &'static [(&'static str, &'static str)],
    /// What the fired alert has besides its severity.
    pub(crate) labels: &'static str,
    pub(crate) summary: &'static str,
}

const INFO: (&str, &str) = (
    "osapi_build_info{job=\"osapi\", instance=\"a\", version=\"1\"}",
    "1x500",
);
const ALL: &str = "http_server_request_duration_seconds_count{job=\"osapi\", instance=\"a\", http_route=\"/job\"}";
const FAILED: &str = "http_server_request_duration_seconds_count{job=\"osapi\", instance=\"a\", http_route=\"/job\", error_type=\"503\"}";
const GONE: &str = "http_server_request_duration_seconds_count{job=\"osapi\", instance=\"a\", http_route=\"/job\", error_type=\"cancelled\"}";
/// Another program behind the same layer, which fails everything: not ours to wake anybody for.
const FOREIGN: (&str, &str) = (
    "http_server_request_duration_seconds_count{job=\"shop\", instance=\"b\", error_type=\"500\"}",
    "0+60x500",
);

const HERE: &str = "job: osapi, instance: a";

/// One per alert.
pub(crate) const SAMPLES: &[Sample] = &[
    Sample {
        alert: "OsapiErrorBudgetBurnsFast",
        at: "70m",
        bad: &[INFO, FOREIGN, (ALL, "0+97x500"), (FAILED, "0+3x500")],
        good: &[
            INFO,
            FOREIGN,
            (ALL, "0+95x500"),
            (GONE, "0+5x500"),
            (FAILED, "0+0x500"),
        ],
        labels: "job: osapi",
        summary: "osapi fails 3% of its requests",
    },
    Sample {
        alert: "OsapiErrorBudgetBurns",
        at: "400m",
        bad: &[INFO, FOREIGN, (ALL, "0+99x500"), (FAILED, "0+1x500")],
        good: &[INFO, FOREIGN, (ALL, "0+1000x500"), (FAILED, "0+1x500")],
        labels: "job: osapi",
        summary: "osapi has failed 1% of its requests for hours",
    },
    Sample {
        alert: "OsapiSlowRequests",
        at: "20m",
        bad: &[
            INFO,
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job\", le=\"1\"}",
                "0+50x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job\", le=\"2.5\"}",
                "0+100x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job\", le=\"+Inf\"}",
                "0+100x500",
            ),
        ],
        good: &[
            INFO,
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job\", le=\"1\"}",
                "0+100x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job\", le=\"+Inf\"}",
                "0+100x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/live\", le=\"1\"}",
                "0+0x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/live\", le=\"10\"}",
                "0+0x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/live\", le=\"+Inf\"}",
                "0+100x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job/{id}/events\", le=\"1\"}",
                "0+0x500",
            ),
            (
                "http_server_request_duration_seconds_bucket{job=\"osapi\", instance=\"a\", http_route=\"/job/{id}/events\", le=\"+Inf\"}",
                "0+100x500",
            ),
        ],
        labels: "job: osapi",
        summary: "1 % of the requests to osapi take longer than 2.47s",
    },
    Sample {
        alert: "OsapiQueueUnavailable",
        at: "5m",
        bad: &[(
            "osapi_subsystem_up{job=\"osapi\", instance=\"a\", subsystem=\"queue\"}",
            "0x10",
        )],
        good: &[(
            "osapi_subsystem_up{job=\"osapi\", instance=\"a\", subsystem=\"queue\"}",
            "1x10",
        )],
        labels: HERE,
        summary: "a cannot read or write its queue",
    },
    Sample {
        alert: "OsapiOldestJobWaits",
        at: "20m",
        bad: &[(
            "osapi_jobs_oldest_waiting_seconds{job=\"osapi\", instance=\"a\"}",
            "0+60x30",
        )],
        good: &[(
            "osapi_jobs_oldest_waiting_seconds{job=\"osapi\", instance=\"a\"}",
            "0+60x4 0+60x4 0+60x4 0+60x4 0+60x4",
        )],
        labels: "job: osapi",
        summary: "the oldest job of osapi has waited 20m 0s",
    },
    Sample {
        alert: "OsapiNoWorkers",
        at: "5m",
        bad: &[
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"ready\"}",
                "0x10",
            ),
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"draining\"}",
                "2x10",
            ),
        ],
        good: &[
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"ready\"}",
                "1x10",
            ),
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"lost\"}",
                "0x10",
            ),
        ],
        labels: "job: osapi",
        summary: "no worker of osapi is ready",
    },
    Sample {
        alert: "OsapiWorkerLost",
        at: "5m",
        bad: &[
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"lost\"}",
                "0 2x10",
            ),
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"ready\"}",
                "1x10",
            ),
        ],
        good: &[
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"lost\"}",
                "0x10",
            ),
            (
                "osapi_workers_connected{job=\"osapi\", instance=\"a\", state=\"draining\"}",
                "3x10",
            ),
        ],
        labels: "job: osapi",
        summary: "2 workers of osapi have vanished",
    },
    Sample {
        alert: "OsapiAllSlotsUsed",
        at: "40m",
        bad: &[
            (
                "osapi_worker_slots{job=\"osapi\", instance=\"a\", worker=\"w\", state=\"free\"}",
                "0x60",
            ),
            (
                "osapi_worker_slots{job=\"osapi\", instance=\"a\", worker=\"w\", state=\"used\"}",
                "4x60",
            ),
        ],
        good: &[
            (
                "osapi_worker_slots{job=\"osapi\", instance=\"a\", worker=\"w\", state=\"free\"}",
                "0x20 1 0x60",
            ),
            (
                "osapi_worker_slots{job=\"osapi\", instance=\"a\", worker=\"w\", state=\"used\"}",
                "4x60",
            ),
        ],
        labels: "job: osapi",
        summary: "every slot of the workers of osapi has been used for half an hour",
    },
    Sample {
        alert: "OsapiDeadLettersGrow",
        at: "20m",
        bad: &[(
            "osapi_jobs_queued{job=\"osapi\", instance=\"a\", state=\"dlq\"}",
            "3x15 5x10",
        )],
        good: &[
            (
                "osapi_jobs_queued{job=\"osapi\", instance=\"a\", state=\"dlq\"}",
                "3x30",
            ),
            (
                "osapi_jobs_queued{job=\"osapi\", instance=\"a\", state=\"submitted\"}",
                "0+5x30",
            ),
        ],
        labels: "job: osapi",
        summary: "jobs of osapi have used up their attempts",
    },
    Sample {
        alert: "OsapiJobsFail",
        at: "30m",
        bad: &[
            (
                "osapi_jobs_completed_total{job=\"osapi\", instance=\"a\", operation=\"sleep\", status=\"failed\"}",
                "0+1x60",
            ),
            (
                "osapi_jobs_completed_total{job=\"osapi\", instance=\"a\", operation=\"sleep\", status=\"completed\"}",
                "0+3x60",
            ),
        ],
        good: &[
            (
                "osapi_jobs_completed_total{job=\"osapi\", instance=\"a\", operation=\"sleep\", status=\"failed\"}",
                "0+0x60",
            ),
            (
                "osapi_jobs_completed_total{job=\"osapi\", instance=\"a\", operation=\"sleep\", status=\"cancelled\"}",
                "0+9x60",
            ),
            (
                "osapi_jobs_completed_total{job=\"osapi\", instance=\"a\", operation=\"sleep\", status=\"completed\"}",
                "0+3x60",
            ),
        ],
        labels: "job: osapi",
        summary: "25% of the jobs of osapi fail",
    },
    Sample {
        alert: "OsapiBrokerDown",
        at: "5m",
        bad: &[(
            "osapi_nats_connected{job=\"osapi\", instance=\"a\"}",
            "1 0x10",
        )],
        good: &[(
            "osapi_nats_connected{job=\"osapi\", instance=\"a\"}",
            "1x10",
        )],
        labels: HERE,
        summary: "a has no connection to NATS",
    },
    Sample {
        alert: "OsapiBrokerFlaps",
        at: "20m",
        bad: &[(
            "osapi_nats_reconnects_total{job=\"osapi\", instance=\"a\"}",
            "0+1x30",
        )],
        good: &[(
            "osapi_nats_reconnects_total{job=\"osapi\", instance=\"a\"}",
            "0x10 1x20",
        )],
        labels: HERE,
        summary: "a has lost NATS 15 times in a quarter of an hour",
    },
    Sample {
        alert: "OsapiScrapeFails",
        at: "20m",
        bad: &[
            (
                "osapi_build_info{job=\"osapi\", instance=\"a\", version=\"1\"}",
                "1x10",
            ),
            ("up{job=\"osapi\", instance=\"a\"}", "1x10 0x20"),
            ("up{job=\"other\", instance=\"c\"}", "0x30"),
        ],
        good: &[
            (
                "osapi_build_info{job=\"osapi\", instance=\"a\", version=\"1\"}",
                "1x30",
            ),
            ("up{job=\"osapi\", instance=\"a\"}", "1x30"),
            ("up{job=\"other\", instance=\"c\"}", "0x30"),
        ],
        labels: HERE,
        summary: "a cannot be scraped",
    },
    Sample {
        alert: "OsapiRestarts",
        at: "35m",
        bad: &[
            INFO,
            (
                "process_start_time_seconds{job=\"osapi\", instance=\"a\"}",
                "0+10x40",
            ),
        ],
        good: &[
            INFO,
            (
                "process_start_time_seconds{job=\"osapi\", instance=\"a\"}",
                "5x40",
            ),
            (
                "process_start_time_seconds{job=\"other\", instance=\"c\"}",
                "0+10x40",
            ),
        ],
        labels: HERE,
        summary: "a has started 30 times in half an hour",
    },
    Sample {
        alert: "OsapiFilesRunOut",
        at: "10m",
        bad: &[
            INFO,
            ("process_open_fds{job=\"osapi\", instance=\"a\"}", "90x20"),
            ("process_max_fds{job=\"osapi\", instance=\"a\"}", "100x20"),
        ],
        good: &[
            INFO,
            ("process_open_fds{job=\"osapi\", instance=\"a\"}", "70x20"),
            ("process_max_fds{job=\"osapi\", instance=\"a\"}", "100x20"),
        ],
        labels: HERE,
        summary: "a uses 90% of the files it may open",
    },
    Sample {
        alert: "OsapiSeriesOverflow",
        at: "20m",
        bad: &[
            INFO,
            (
                "meterline_series_overflowed_total{job=\"osapi\", instance=\"a\"}",
                "0x10 4x20",
            ),
        ],
        good: &[
            INFO,
            (
                "meterline_series_overflowed_total{job=\"osapi\", instance=\"a\"}",
                "7x40",
            ),
            (
                "meterline_series_overflowed_total{job=\"shop\", instance=\"c\"}",
                "0+1x40",
            ),
        ],
        labels: HERE,
        summary: "a metric of a has more series than it may have",
    },
    Sample {
        alert: "OsapiPointsDropped",
        at: "20m",
        bad: &[
            INFO,
            (
                "meterline_points_dropped_total{job=\"osapi\", instance=\"a\", reason=\"type_conflict\"}",
                "0x10 4x20",
            ),
        ],
        good: &[
            INFO,
            (
                "meterline_points_dropped_total{job=\"osapi\", instance=\"a\", reason=\"type_conflict\"}",
                "4x40",
            ),
        ],
        labels: "job: osapi, instance: a, reason: type_conflict",
        summary: "a leaves points out: type_conflict",
    },
    Sample {
        alert: "OsapiPushFails",
        at: "40m",
        bad: &[
            (
                "meterline_otlp_exports_total{job=\"osapi\", instance=\"a\", outcome=\"failure\"}",
                "0+1x60",
            ),
            (
                "meterline_otlp_exports_total{job=\"osapi\", instance=\"a\", outcome=\"success\"}",
                "9x60",
            ),
        ],
        good: &[
            (
                "meterline_otlp_exports_total{job=\"osapi\", instance=\"a\", outcome=\"failure\"}",
                "0+1x60",
            ),
            (
                "meterline_otlp_exports_total{job=\"osapi\", instance=\"a\", outcome=\"success\"}",
                "0+1x60",
            ),
        ],
        labels: HERE,
        summary: "a has not pushed its metrics for a quarter of an hour",
    },
];

//! What each dashboard shows.

use super::{Board, Panel};

pub(super) const BOARDS: &[Board] = &[
    Board {
        name: "http",
        title: "osapi: HTTP",
        panels: &[
            Panel {
                title: "Requests by route",
                about: "Requests that ended, however they did.",
                unit: "reqps",
                queries: &[(
                    "sum by (http_route) (rate(http_server_request_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{http_route}}",
                )],
            },
            Panel {
                title: "Failed requests",
                about: "5xx, panics and answers that broke off, by kind; clients that went away apart.",
                unit: "reqps",
                queries: &[(
                    "sum by (error_type) (rate(http_server_request_duration_seconds_count{job=~\"$job\", instance=~\"$instance\", error_type!=\"\"}[$__rate_interval]))",
                    "{{error_type}}",
                )],
            },
            Panel {
                title: "Error ratio",
                about: "Share of requests the server failed, over five minutes and an hour.",
                unit: "percentunit",
                queries: &[
                    (
                        "job:http_server_errors:ratio_rate5m{job=~\"$job\"}",
                        "{{job}} 5m",
                    ),
                    (
                        "job:http_server_errors:ratio_rate1h{job=~\"$job\"}",
                        "{{job}} 1h",
                    ),
                ],
            },
            Panel {
                title: "Latency",
                about: "To the end of the answer; streams left out.",
                unit: "s",
                queries: &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(http_server_request_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\", http_route!~\"/live|/job/[{]id[}]/events\"}[$__rate_interval])))",
                        "p50",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\", http_route!~\"/live|/job/[{]id[}]/events\"}[$__rate_interval])))",
                        "p95",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\", http_route!~\"/live|/job/[{]id[}]/events\"}[$__rate_interval])))",
                        "p99",
                    ),
                ],
            },
            Panel {
                title: "Slowest routes (p99)",
                about: "To the end of the answer; streams left out.",
                unit: "s",
                queries: &[(
                    "topk(5, histogram_quantile(0.99, sum by (le, http_route) (rate(http_server_request_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\", http_route!~\"/live|/job/[{]id[}]/events\"}[$__rate_interval]))))",
                    "{{http_route}}",
                )],
            },
            Panel {
                title: "In flight",
                about: "Requests begun and not ended, streams among them.",
                unit: "short",
                queries: &[(
                    "sum by (instance) (http_server_active_requests{job=~\"$job\", instance=~\"$instance\"})",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Statuses",
                about: "By what was answered.",
                unit: "reqps",
                queries: &[(
                    "sum by (http_response_status_code) (rate(http_server_request_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{http_response_status_code}}",
                )],
            },
            Panel {
                title: "Body bytes",
                about: "Received and sent.",
                unit: "Bps",
                queries: &[
                    (
                        "sum (rate(http_server_request_body_size_bytes_sum{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "received",
                    ),
                    (
                        "sum (rate(http_server_response_body_size_bytes_sum{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "sent",
                    ),
                ],
            },
        ],
    },
    Board {
        name: "jobs",
        title: "osapi: jobs and workers",
        panels: &[
            Panel {
                title: "Jobs",
                about: "Units of work accepted and ended.",
                unit: "ops",
                queries: &[
                    (
                        "sum (rate(osapi_jobs_created_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "created",
                    ),
                    (
                        "sum by (status) (rate(osapi_jobs_completed_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "{{status}}",
                    ),
                ],
            },
            Panel {
                title: "Queue",
                about: "Jobs by state, as the queue has them.",
                unit: "short",
                queries: &[(
                    "max by (state) (osapi_jobs_queued{job=~\"$job\"})",
                    "{{state}}",
                )],
            },
            Panel {
                title: "Oldest waiting job",
                about: "How long the oldest has waited.",
                unit: "s",
                queries: &[(
                    "max(osapi_jobs_oldest_waiting_seconds{job=~\"$job\"})",
                    "age",
                )],
            },
            Panel {
                title: "Wait",
                about: "From when a job was due to its start.",
                unit: "s",
                queries: &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(osapi_job_wait_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                        "p50",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(osapi_job_wait_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                        "p95",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(osapi_job_wait_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                        "p99",
                    ),
                ],
            },
            Panel {
                title: "Duration by operation (p95)",
                about: "Of attempts.",
                unit: "s",
                queries: &[(
                    "histogram_quantile(0.95, sum by (le, operation) (rate(osapi_job_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                    "{{operation}}",
                )],
            },
            Panel {
                title: "Attempts by outcome",
                about: "Retried ones among them.",
                unit: "ops",
                queries: &[(
                    "sum by (status) (rate(osapi_job_duration_seconds_count{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{status}}",
                )],
            },
            Panel {
                title: "Retries and rescues",
                about: "Failed attempts that another follows, attempts whose worker vanished, and results that came after their lease was lost.",
                unit: "ops",
                queries: &[
                    (
                        "sum (rate(osapi_job_retries_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "retries",
                    ),
                    (
                        "sum (rate(osapi_jobs_rescued_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "rescued",
                    ),
                    (
                        "sum (rate(osapi_job_late_results_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "late results",
                    ),
                ],
            },
            Panel {
                title: "Workers",
                about: "By state. Lost ones vanished without stopping.",
                unit: "short",
                queries: &[(
                    "max by (state) (osapi_workers_connected{job=~\"$job\"})",
                    "{{state}}",
                )],
            },
            Panel {
                title: "Slots",
                about: "Used and free, of all workers.",
                unit: "short",
                queries: &[(
                    "sum by (state) (osapi_worker_slots{job=~\"$job\", instance=~\"$instance\"})",
                    "{{state}}",
                )],
            },
            Panel {
                title: "Heartbeat age",
                about: "Time since each worker's last sign of life.",
                unit: "s",
                queries: &[(
                    "max by (worker) (osapi_worker_heartbeat_age_seconds{job=~\"$job\"})",
                    "{{worker}}",
                )],
            },
            Panel {
                title: "Attempts by worker",
                about: "Is work spread fairly?",
                unit: "ops",
                queries: &[(
                    "sum by (worker) (rate(osapi_worker_jobs_processed_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{worker}}",
                )],
            },
            Panel {
                title: "Running",
                about: "Attempts running now, by operation.",
                unit: "short",
                queries: &[(
                    "sum by (operation) (osapi_jobs_active{job=~\"$job\", instance=~\"$instance\"})",
                    "{{operation}}",
                )],
            },
        ],
    },
    Board {
        name: "nats",
        title: "osapi: NATS",
        panels: &[
            Panel {
                title: "Connected",
                about: "1 while there is a connection.",
                unit: "short",
                queries: &[(
                    "min by (instance) (osapi_nats_connected{job=~\"$job\", instance=~\"$instance\"})",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Round trip",
                about: "To the broker and back.",
                unit: "s",
                queries: &[(
                    "max by (instance) (osapi_nats_rtt_seconds{job=~\"$job\", instance=~\"$instance\"})",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Reconnects",
                about: "In a quarter of an hour.",
                unit: "short",
                queries: &[(
                    "sum by (instance) (increase(osapi_nats_reconnects_total{job=~\"$job\", instance=~\"$instance\"}[15m]))",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Publish failures",
                about: "Messages the broker did not acknowledge.",
                unit: "ops",
                queries: &[(
                    "sum by (instance) (rate(osapi_nats_publish_failures_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{instance}}",
                )],
            },
        ],
    },
    Board {
        name: "runtime",
        title: "osapi: process and pipeline",
        panels: &[
            Panel {
                title: "CPU",
                about: "Cores used.",
                unit: "short",
                queries: &[(
                    "sum by (instance) (rate(process_cpu_seconds_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Memory",
                about: "Resident.",
                unit: "bytes",
                queries: &[(
                    "process_resident_memory_bytes{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Open files",
                about: "Of those that may be open.",
                unit: "percentunit",
                queries: &[(
                    "process_open_fds{job=~\"$job\", instance=~\"$instance\"} / process_max_fds{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Tasks",
                about: "Alive, and waiting for a worker thread.",
                unit: "short",
                queries: &[
                    (
                        "tokio_alive_tasks{job=~\"$job\", instance=~\"$instance\"}",
                        "{{instance}} alive",
                    ),
                    (
                        "tokio_global_queue_depth{job=~\"$job\", instance=~\"$instance\"}",
                        "{{instance}} waiting",
                    ),
                ],
            },
            Panel {
                title: "Runtime busy",
                about: "Share of the worker threads' time.",
                unit: "percentunit",
                queries: &[(
                    "rate(tokio_worker_busy_seconds_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]) / tokio_workers{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Database",
                about: "Transactions (p99) and size.",
                unit: "s",
                queries: &[(
                    "histogram_quantile(0.99, sum by (le, instance) (rate(osapi_database_transaction_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Database size",
                about: "Of the queue's files.",
                unit: "bytes",
                queries: &[(
                    "osapi_database_size_bytes{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Series",
                about: "That exist in each process.",
                unit: "short",
                queries: &[(
                    "meterline_series{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Scrape duration (p99)",
                about: "Collecting and encoding a page.",
                unit: "s",
                queries: &[(
                    "histogram_quantile(0.99, sum by (le, instance) (rate(meterline_scrape_duration_seconds_bucket{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])))",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Scrape size",
                about: "Of the page made last.",
                unit: "bytes",
                queries: &[(
                    "meterline_scrape_size_bytes{job=~\"$job\", instance=~\"$instance\"}",
                    "{{instance}}",
                )],
            },
            Panel {
                title: "Lost to limits",
                about: "Measurements in overflow series, and points left out.",
                unit: "ops",
                queries: &[
                    (
                        "sum (rate(meterline_series_overflowed_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "overflowed",
                    ),
                    (
                        "sum by (reason) (rate(meterline_points_dropped_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                        "{{reason}}",
                    ),
                ],
            },
            Panel {
                title: "OTLP exports",
                about: "By outcome.",
                unit: "ops",
                queries: &[(
                    "sum by (outcome) (rate(meterline_otlp_exports_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))",
                    "{{outcome}}",
                )],
            },
        ],
    },
];

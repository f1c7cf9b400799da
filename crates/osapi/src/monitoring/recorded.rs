//! Expressions that several alerts and dashboards share, evaluated once.

/// A recording rule.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// `level:metric:operations`, as the Prometheus documentation advises.
    pub name: &'static str,
    /// What it records.
    pub expr: &'static str,
}

/// The share of requests the server failed, by job. Where none failed it is 0, not absent; only jobs
/// that are osapi's count, and streams, which end when the client goes, don't.
macro_rules! error_ratio {
    ($window:literal) => {
        Recorded {
            name: concat!("job:http_server_errors:ratio_rate", $window),
            expr: concat!(
                "(\n  sum by (job) (rate(http_server_request_duration_seconds_count{error_type!=\"\", \
                 error_type!=\"cancelled\"}[", $window, "]))\n  or\n  \
                 0 * sum by (job) (rate(http_server_request_duration_seconds_count[", $window, "]))\n)\n/\n\
                 (sum by (job) (rate(http_server_request_duration_seconds_count[", $window, "])) > 0)\n\
                 and on (job) osapi_build_info"
            ),
        }
    };
}

/// Every recording rule.
pub const RECORDED: &[Recorded] = &[
    error_ratio!("5m"),
    error_ratio!("30m"),
    error_ratio!("1h"),
    error_ratio!("6h"),
    Recorded {
        name: "job:http_server_request_duration_seconds:p99_5m",
        expr: "histogram_quantile(0.99,\n  sum by (job, le) (rate(http_server_request_duration_seconds_bucket{http_route!~\"/live|/job/[{]id[}]/events\"}[5m]))\n)\n\
               and on (job) osapi_build_info",
    },
    Recorded {
        name: "job:osapi_jobs_failed:ratio_rate15m",
        expr: "sum by (job) (rate(osapi_jobs_completed_total{status=\"failed\"}[15m]))\n/\n\
               (sum by (job) (rate(osapi_jobs_completed_total[15m])) > 0)",
    },
];

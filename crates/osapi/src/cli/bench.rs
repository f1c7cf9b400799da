//! `osapi bench`: load against a running server.

mod http;
mod jobs;

use std::time::Duration;

use serde::Serialize;

use super::args::{BenchArgs, BenchCommand};
use super::client::Client;
use super::{Failure, print_json, progress};

pub(super) async fn run(client: Client, args: BenchArgs) -> Result<(), Failure> {
    let (server, json) = (args.server.server, args.server.json);
    match args.command {
        BenchCommand::Jobs(args) => {
            let report = jobs::run(&client, &server, &args).await?;
            if json {
                print_json(&report)
            } else {
                report.print()
            }
        }
        BenchCommand::Http(args) => {
            let report = http::run(&client, &server, &args).await?;
            if json {
                print_json(&report)
            } else {
                report.print()
            }
        }
    }
}

/// Of times in milliseconds.
#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Percentiles {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        // Nearest rank.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(rank).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }

    fn line(&self) -> String {
        let Self { p50, p95, p99, max } = self;
        format!("p50 {p50:.1} ms   p95 {p95:.1} ms   p99 {p99:.1} ms   max {max:.1} ms")
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times = Percentiles::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((times.p50, times.p95, times.p99), (50.0, 95.0, 99.0));
        let one = Percentiles::of(vec![7.0]);
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()).p50, 0.0);
    }
}

//! Two layers around one service, one recording into the official SDK and one into Meterline's: they see the same
//! requests, so both must hold the same series and counts, bound or not.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::{get, post as post_route};
use common::{Point, Readout, post, send, serve};
use meterline_http::Convention;
use meterline_sdk::{Data, MeterProvider};

/// Every series by name and attributes, with its count; for body sizes also the exact sum.
type Series = BTreeMap<(String, String), (i64, Option<f64>)>;

fn sum_of(name: &str, sum: f64) -> Option<f64> {
    name.ends_with(".size").then_some(sum)
}

fn official(readout: &Readout) -> Series {
    let entry = |point: Point| {
        let sum = sum_of(&point.name, point.sum);
        ((point.name.clone(), point.attributes()), (point.count, sum))
    };
    readout.points().into_iter().map(entry).collect()
}

fn meterline(provider: &MeterProvider) -> Series {
    let mut series = Series::new();
    for metric in provider.collect().metrics {
        let name = metric.descriptor.name.to_string();
        let values: Vec<_> = match &metric.data {
            Data::Sum { values, .. } => values
                .iter()
                .map(|value| (as_count(value.as_f64()), None))
                .collect(),
            Data::Histogram(histograms) => {
                let points = histograms.iter();
                points
                    .map(|point| {
                        (
                            point.count().cast_signed(),
                            sum_of(&name, point.sum.as_f64()),
                        )
                    })
                    .collect()
            }
            other => panic!("{name}: no instrument of the layer makes {other:?}"),
        };
        for (of, value) in metric.series.iter().zip(values) {
            let attributes: BTreeMap<_, _> = of
                .attributes()
                .iter()
                .map(|pair| (pair.key.to_string(), pair.value.to_string()))
                .collect();
            let text: Vec<_> = attributes
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            series.insert((name.clone(), text.join(" ")), value);
        }
    }
    series
}

#[allow(clippy::cast_possible_truncation, reason = "counts of a test")]
fn as_count(value: f64) -> i64 {
    value as i64
}

#[tokio::test]
async fn both_sdks_hold_the_same_series_and_counts() {
    let readout = Readout::new();
    let provider = MeterProvider::builder().build();
    let convention = Convention::Both {
        prefix: "http".into(),
    };
    let outer = readout.builder().convention(convention.clone());
    let inner = readout
        .builder()
        .meter_provider(&provider)
        .convention(convention);
    let app = Router::new()
        .route("/jobs/{id}", get(|| async { "a job" }))
        .route("/echo", post_route(|body: String| async { body }))
        .route("/panics", get(|| async { panic!("on purpose") as &str }))
        .route("/fails", get(|| async { http::StatusCode::BAD_GATEWAY }));
    let address = serve(
        app.layer(inner.build().unwrap())
            .layer(outer.build().unwrap()),
    )
    .await;
    for n in 0..20 {
        let path = ["/jobs/1", "/panics", "/fails", "/nowhere", "/echo"][n % 5];
        send(address, ["GET", "HEAD", "FOO"][n % 3], path).await;
        post(address, "/echo", &"x".repeat(n * 100)).await;
    }
    readout.wait_for(40).await;
    let expected = official(&readout);
    assert!(expected.len() > 30, "{expected:#?}");
    assert_eq!(meterline(&provider), expected);
}

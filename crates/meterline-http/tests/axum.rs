//! What is recorded for an axum service: which series, under which names, and which never.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::collections::BTreeSet;

use axum::Router;
use axum::routing::{any, get, post as post_route};
use bytes::Bytes;
use common::{
    ACTIVE, DURATION, REQUEST_SIZE, RESPONSE_SIZE, Readout, TOTAL, post, raw, send, send_http2,
    serve,
};
use http::Request;
use http_body_util::Empty;
use meterline_http::{Convention, HttpMetricsLayer};

fn router(layer: HttpMetricsLayer) -> Router {
    Router::new()
        .route("/jobs/{id}", get(|| async { "a job" }))
        .route("/echo", post_route(|body: String| async { body }))
        .route("/unread", post_route(|| async { "did not look" }))
        .route(
            "/fails",
            get(|| async { http::StatusCode::SERVICE_UNAVAILABLE }),
        )
        .route("/any", any(|| async { "anything" }))
        .route("/metrics", get(|| async { "numbers" }))
        .fallback(|| async { (http::StatusCode::NOT_FOUND, "nothing here") })
        .layer(layer)
}

#[tokio::test]
async fn a_matched_request_has_the_attributes_of_the_conventions() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    assert!(
        send(address, "GET", "/jobs/17")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let duration = readout.only_request().await;
    assert_eq!(
        duration.attributes(),
        "http.request.method=GET http.response.status_code=200 http.route=/jobs/{id} \
         network.protocol.version=1.1 url.scheme=http"
    );
    assert!(duration.sum > 0.0 && duration.sum < 20.0);
    let buckets = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ];
    assert_eq!(duration.bounds, buckets);
    let total = readout.named(TOTAL).remove(0);
    assert_eq!(
        total.attributes(),
        "http.request.method=GET http.response.status_code=200 http.route=/jobs/{id}"
    );
    assert_eq!(
        readout.named(ACTIVE)[0].attributes(),
        "http.request.method=GET url.scheme=http"
    );
    for size in [REQUEST_SIZE, RESPONSE_SIZE] {
        assert_eq!(readout.named(size)[0].attributes, duration.attributes);
    }
}

#[tokio::test]
async fn every_http_version_is_told_apart() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    raw(address, "GET /jobs/1 HTTP/1.0\r\n\r\n").await;
    send(address, "GET", "/jobs/1").await;
    let request = Request::get(format!("http://{address}/jobs/1"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(send_http2(address, request).await.status(), 200);
    readout.wait_for(3).await;
    let points = readout.named(DURATION);
    let versions: BTreeSet<_> = points
        .iter()
        .map(|point| {
            (
                point.attribute("network.protocol.version").unwrap(),
                point.count,
            )
        })
        .collect();
    assert_eq!(versions, BTreeSet::from([("1.0", 1), ("1.1", 1), ("2", 1)]));
}

#[tokio::test]
async fn unmatched_requests_share_one_series_and_a_wrong_method_keeps_its_route() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    for path in ["/nothing", "/wp-admin", "/jobs", "/jobs/1/2", "/%00%ff"] {
        assert!(send(address, "GET", path).await.starts_with("HTTP/1.1 404"));
    }
    let unmatched = {
        readout.wait_for(5).await;
        readout.named(DURATION)
    };
    assert_eq!(unmatched.len(), 1, "{unmatched:#?}");
    assert_eq!(unmatched[0].attribute("http.route"), None);
    assert_eq!(
        unmatched[0].attribute("error.type"),
        None,
        "a 404 is the client's error"
    );

    assert!(
        send(address, "DELETE", "/jobs/1")
            .await
            .starts_with("HTTP/1.1 405")
    );
    readout.wait_for(6).await;
    let refused = readout
        .named(DURATION)
        .into_iter()
        .find(|point| point.attribute("http.route").is_some())
        .unwrap();
    assert_eq!(refused.attribute("http.route"), Some("/jobs/{id}"));
    assert_eq!(refused.attribute("http.response.status_code"), Some("405"));
}

#[tokio::test]
async fn a_server_error_names_its_status() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    send(address, "GET", "/fails").await;
    assert_eq!(
        readout.only_request().await.attribute("error.type"),
        Some("503")
    );
}

#[tokio::test]
async fn unknown_methods_are_one_and_known_ones_may_be_chosen() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    for method in ["FOO1", "FOO2", "get", "PROPFIND"] {
        send(address, method, "/any").await;
    }
    for method in ["QUERY", "PATCH"] {
        send(address, method, "/any").await;
    }
    readout.wait_for(6).await;
    let methods = |readout: &Readout, name| -> BTreeSet<(String, i64)> {
        let points = readout.named(name);
        points
            .iter()
            .map(|point| {
                (
                    point.attribute("http.request.method").unwrap().to_owned(),
                    point.count,
                )
            })
            .collect()
    };
    let expected = |pairs: &[(&str, i64)]| {
        pairs
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let recorded: BTreeSet<_> = expected(&[("_OTHER", 4), ("PATCH", 1), ("QUERY", 1)]);
    assert_eq!(methods(&readout, DURATION), recorded);
    assert_eq!(
        methods(&readout, ACTIVE),
        expected(&[("_OTHER", 0), ("PATCH", 0), ("QUERY", 0)])
    );

    let readout = Readout::new();
    let layer = readout
        .builder()
        .known_methods("PROPFIND, FOO1".split(','))
        .build()
        .unwrap();
    let address = serve(router(layer)).await;
    for method in ["PROPFIND", "FOO1", "GET"] {
        send(address, method, "/any").await;
    }
    readout.wait_for(3).await;
    assert_eq!(
        methods(&readout, DURATION),
        expected(&[("PROPFIND", 1), ("FOO1", 1), ("_OTHER", 1)])
    );
}

#[tokio::test]
async fn nothing_a_client_makes_up_adds_a_series() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    for n in 0..50 {
        raw(
            address,
            format!(
                "GET /attack-{n}?q={n} HTTP/1.1\r\nhost: evil-{n}.example\r\nx-forwarded-proto: gopher{n}\r\n\
                 forwarded: proto=ftp{n};host=h{n}\r\nx-forwarded-host: x{n}\r\nuser-agent: a{n}\r\n\
                 content-type: application/grpc+{n}\r\ngrpc-status: {n}\r\nconnection: close\r\n\r\n"
            ),
        )
        .await;
        raw(address, format!("GET http://evil-{n}.example/a{n} HTTP/1.1\r\nhost: e{n}\r\nconnection: close\r\n\r\n"))
            .await;
        send(address, &format!("METHOD{n}"), "/jobs/1").await;
    }
    readout.wait_for(150).await;
    let points = readout.named(DURATION);
    assert_eq!(
        points.len(),
        2,
        "unmatched GET, and _OTHER refused on a route: {points:#?}"
    );
    for point in readout.points() {
        assert!(
            !point.attributes().contains("evil") && !point.attributes().contains("gopher"),
            "{point:?}"
        );
    }
}

#[tokio::test]
async fn a_request_hyper_refuses_never_reaches_a_metric() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    for request in [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        raw(address, request).await;
    }
    assert_eq!(readout.points(), []);
}

#[tokio::test]
async fn excluded_paths_count_nowhere() {
    let readout = Readout::new();
    let layer = readout
        .builder()
        .exclude(["/metrics", "/metrics.json"])
        .build()
        .unwrap();
    let address = serve(router(layer)).await;
    assert!(send(address, "GET", "/metrics").await.ends_with("numbers"));
    assert!(
        send(address, "GET", "/metrics?name=x")
            .await
            .ends_with("numbers")
    );
    send(address, "GET", "/metrics.json").await;
    assert_eq!(readout.points(), [], "not even an active request of 0");
    send(address, "GET", "/metrics/").await;
    send(address, "GET", "/jobs/1").await;
    readout.wait_for(2).await;
}

#[tokio::test]
async fn body_sizes_are_the_bytes_that_passed() {
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    let body = "x".repeat(70_000);
    assert!(post(address, "/echo", &body).await.ends_with(&body));
    readout.wait_for(1).await;
    assert_eq!(
        (
            readout.named(REQUEST_SIZE)[0].sum,
            readout.named(RESPONSE_SIZE)[0].sum
        ),
        (70_000.0, 70_000.0)
    );

    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    post(address, "/unread", "nobody reads this").await;
    readout.wait_for(1).await;
    let response = "did not look".len() as f64;
    assert_eq!(
        (
            readout.named(REQUEST_SIZE)[0].sum,
            readout.named(RESPONSE_SIZE)[0].sum
        ),
        (0.0, response)
    );

    let chunked = "POST /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let readout = Readout::new();
    let address = serve(router(readout.layer())).await;
    assert!(raw(address, chunked).await.ends_with("abcdefg"));
    readout.wait_for(1).await;
    assert_eq!(
        (
            readout.named(REQUEST_SIZE)[0].sum,
            readout.named(RESPONSE_SIZE)[0].sum
        ),
        (7.0, 7.0)
    );
}

#[tokio::test]
async fn body_sizes_can_be_left_out() {
    let readout = Readout::new();
    let address = serve(router(readout.builder().body_sizes(false).build().unwrap())).await;
    assert!(post(address, "/echo", "hello").await.ends_with("hello"));
    let names: BTreeSet<_> = readout
        .points()
        .into_iter()
        .map(|point| point.name)
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([DURATION, ACTIVE, TOTAL].map(str::to_owned))
    );
}

#[tokio::test]
async fn the_classic_names_have_three_labels() {
    let readout = Readout::new();
    let convention = Convention::Classic {
        prefix: "ogx".into(),
    };
    let address = serve(router(
        readout.builder().convention(convention).build().unwrap(),
    ))
    .await;
    send(address, "GET", "/jobs/1").await;
    send(address, "GET", "/nowhere").await;
    let mut totals: Vec<_> = readout
        .named("ogx_requests")
        .iter()
        .map(common::Point::attributes)
        .collect();
    totals.sort();
    assert_eq!(
        totals,
        [
            "endpoint=/jobs/{id} method=GET status=200",
            "endpoint=unmatched method=GET status=404"
        ]
    );
    let durations = readout.named("ogx_request_duration");
    assert_eq!(durations.len(), 2);
    assert_eq!(
        durations[0].bounds,
        [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
        ]
    );
    let in_flight = readout.named("ogx_requests_in_flight");
    assert_eq!(
        (
            in_flight.len(),
            in_flight[0].count,
            in_flight[0].attributes()
        ),
        (1, 0, String::new())
    );
    assert_eq!(
        readout.count(DURATION) + readout.count(TOTAL),
        0,
        "the other convention is off"
    );
}

#[tokio::test]
async fn both_conventions_count_the_same() {
    let readout = Readout::new();
    let convention = Convention::Both {
        prefix: "http".into(),
    };
    let layer = readout
        .builder()
        .convention(convention)
        .duration_buckets([0.1, 1.0])
        .build()
        .unwrap();
    let address = serve(router(layer)).await;
    for _ in 0..3 {
        send(address, "GET", "/jobs/1").await;
    }
    readout.wait_for(3).await;
    assert_eq!(
        (
            readout.count("http_requests"),
            readout.count("http_request_duration")
        ),
        (3, 3)
    );
    assert_eq!(readout.named("http_request_duration")[0].bounds, [0.1, 1.0]);
    assert_eq!(readout.named(DURATION)[0].bounds, [0.1, 1.0]);
}

#[tokio::test]
async fn nested_routes_are_whole_and_the_scheme_is_what_was_configured() {
    let readout = Readout::new();
    let inner = Router::new().route("/users/{id}", get(|| async { "user" }));
    let layer = readout.builder().scheme("https").build().unwrap();
    let address = serve(Router::new().nest("/api", inner).layer(layer)).await;
    send(address, "GET", "/api/users/3").await;
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("http.route"), Some("/api/users/{id}"));
    assert_eq!(duration.attribute("url.scheme"), Some("https"));
}

#[tokio::test]
async fn beyond_the_cap_of_cached_series_nothing_is_lost() {
    for cap in [0, 1, 3] {
        let readout = Readout::new();
        let address = serve(router(
            readout.builder().max_cached_series(cap).build().unwrap(),
        ))
        .await;
        for _ in 0..3 {
            for path in ["/jobs/1", "/any", "/fails", "/nowhere", "/metrics"] {
                send(address, "GET", path).await;
            }
        }
        readout.wait_for(15).await;
        let counts: Vec<_> = readout
            .named(DURATION)
            .iter()
            .map(|point| point.count)
            .collect();
        assert_eq!(counts, [3; 5], "with a cap of {cap}");
    }
}

/// What the feature `bound` brings with it must not lose a count where binding is turned off again.
#[cfg(feature = "bound")]
#[tokio::test]
async fn unbound_recording_counts_the_same_where_the_feature_is_on() {
    for bind in [true, false] {
        let readout = Readout::new();
        let address = serve(router(readout.builder().bind(bind).build().unwrap())).await;
        for path in ["/jobs/1", "/jobs/2", "/nowhere"] {
            send(address, "GET", path).await;
        }
        readout.wait_for(3).await;
    }
}

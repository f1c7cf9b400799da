//! gRPC over HTTP/2: the status comes in trailers, or in the headers of a response without messages.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use common::{DURATION, Readout, TOTAL, http2, serve_hyper};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use meterline_http::RequestBody;
use tower::{Layer, service_fn};

/// A message in gRPC's framing: not compressed, two bytes long.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn status(code: &str) -> HeaderMap {
    let value = HeaderValue::from_str(code).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), value)])
}

/// Calls `/shop.Orders/{method}` of a server that answers with the status the method is named after.
async fn call(readout: &Readout, content_type: &'static str, methods: &[&str]) {
    let layer = readout
        .builder()
        .route(|request| {
            let known = request.uri().path().starts_with("/shop.Orders/");
            known.then_some(Cow::Borrowed("shop.Orders"))
        })
        .build()
        .unwrap();
    let handler = move |request: Request<RequestBody<_>>| async move {
        let method = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let (frames, headers) = match method.strip_prefix("headers-") {
            Some(code) => (Vec::new(), status(code)),
            None if method == "without" => (
                vec![Frame::data(Bytes::from_static(MESSAGE))],
                HeaderMap::new(),
            ),
            None => {
                let frames = vec![
                    Frame::data(Bytes::from_static(MESSAGE)),
                    Frame::trailers(status(&method)),
                ];
                (frames, HeaderMap::new())
            }
        };
        let mut response = Response::new(StreamBody::new(stream::iter(
            frames.into_iter().map(Ok::<_, Infallible>),
        )));
        *response.headers_mut() = headers;
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static(content_type));
        Ok::<_, Infallible>(response)
    };
    let address = serve_hyper(layer.layer(service_fn(handler))).await;
    let mut client = http2::<Empty<Bytes>>(address).await;
    for method in methods {
        let request = Request::post(format!("http://{address}/shop.Orders/{method}"))
            .body(Empty::new())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    readout
        .wait_for(i64::try_from(methods.len()).unwrap())
        .await;
}

/// The gRPC status and the error type of every series, in order.
fn outcomes(readout: &Readout) -> Vec<(String, String, i64)> {
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    let mut outcomes: Vec<_> = readout
        .named(DURATION)
        .iter()
        .map(|point| {
            assert_eq!(point.attribute("http.route"), Some("shop.Orders"));
            assert_eq!(point.attribute("http.response.status_code"), Some("200"));
            (
                text(point.attribute("rpc.grpc.status_code")),
                text(point.attribute("error.type")),
                point.count,
            )
        })
        .collect();
    outcomes.sort();
    outcomes
}

fn expected(outcomes: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    outcomes
        .iter()
        .map(|(code, error, count)| ((*code).to_owned(), (*error).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn the_status_in_trailers_is_recorded() {
    let readout = Readout::new();
    call(&readout, "application/grpc", &["0", "0", "5", "13", "14"]).await;
    let found = [
        ("0", "-", 2),
        ("13", "INTERNAL", 1),
        ("14", "UNAVAILABLE", 1),
        ("5", "-", 1),
    ];
    assert_eq!(outcomes(&readout), expected(&found));
    let totals = readout.named(TOTAL);
    assert_eq!(
        totals.len(),
        1,
        "the total is by HTTP status alone: {totals:#?}"
    );
}

#[tokio::test]
async fn a_response_without_messages_has_its_status_in_the_headers() {
    let readout = Readout::new();
    call(
        &readout,
        "application/grpc+proto",
        &["headers-12", "headers-0"],
    )
    .await;
    assert_eq!(
        outcomes(&readout),
        expected(&[("0", "-", 1), ("12", "UNIMPLEMENTED", 1)])
    );
}

#[tokio::test]
async fn codes_that_do_not_exist_are_one_and_a_missing_one_is_none() {
    let readout = Readout::new();
    call(
        &readout,
        "application/grpc",
        &["99", "1000", "nonsense", "without"],
    )
    .await;
    assert_eq!(
        outcomes(&readout),
        expected(&[("-", "-", 1), ("2", "UNKNOWN", 3)])
    );
}

#[tokio::test]
async fn a_trailer_of_that_name_means_nothing_outside_grpc() {
    let readout = Readout::new();
    call(&readout, "application/json", &["13", "headers-13"]).await;
    assert_eq!(outcomes(&readout), expected(&[("-", "-", 2)]));
}

//! How requests end, however they do: one observation each, the right error.type, and nothing left in progress.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use common::{ACTIVE, DURATION, RESPONSE_SIZE, Readout, http2, raw, send, serve, serve_hyper};
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use meterline_http::{HttpMetricsLayer, RequestBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

fn router<F, R>(layer: HttpMetricsLayer, handler: F) -> Router
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    Router::new().route("/", get(handler)).layer(layer)
}

/// A body of these pieces, then nothing for ever.
fn unending(pieces: &'static [&'static str]) -> Body {
    let pieces = stream::iter(
        pieces
            .iter()
            .map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))),
    );
    Body::from_stream(pieces.chain(stream::pending()))
}

/// Sends a GET, reads until `seen` came, and goes away.
async fn leave_after(address: std::net::SocketAddr, seen: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(seen) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_response_is_cancelled() {
    let readout = Readout::new();
    let address = serve(
        Router::new()
            .route("/", get(pending::<()>))
            .layer(readout.layer()),
    )
    .await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    readout.wait_for_active(1).await;
    assert_eq!(readout.count(DURATION), 0, "not before it ended");
    drop(stream);
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), Some("cancelled"));
    assert_eq!(duration.attribute("http.response.status_code"), None);
    assert_eq!(duration.attribute("http.route"), Some("/"));
}

#[tokio::test]
async fn a_client_that_leaves_during_the_body_is_cancelled_and_keeps_its_status() {
    let readout = Readout::new();
    let handler = || async { Response::new(unending(&["first"])) };
    let address = serve(router(readout.layer(), handler)).await;
    leave_after(address, "first").await;
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), Some("cancelled"));
    assert_eq!(duration.attribute("http.response.status_code"), Some("200"));
    assert_eq!(readout.named(RESPONSE_SIZE)[0].sum, 5.0);
}

#[tokio::test]
async fn a_reset_http2_stream_is_cancelled_and_the_connection_goes_on() {
    let readout = Readout::new();
    let app = Router::new()
        .route("/", get(pending::<()>))
        .route("/ok", get(|| async { "ok" }));
    let address = serve(app.layer(readout.layer())).await;
    let mut client = http2::<Empty<Bytes>>(address).await;
    let request = |path: &str| {
        Request::get(format!("http://{address}{path}"))
            .body(Empty::new())
            .unwrap()
    };
    let waiting = client.send_request(request("/"));
    let waiting = tokio::spawn(waiting);
    readout.wait_for_active(1).await;
    waiting.abort();
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), Some("cancelled"));
    assert_eq!(
        client.send_request(request("/ok")).await.unwrap().status(),
        200
    );
    readout.wait_for(2).await;
}

#[tokio::test]
async fn a_timeout_outside_the_layer_cancels_and_one_inside_is_an_error_of_the_service() {
    for (outside, error) in [(true, "cancelled"), (false, "service_error")] {
        let readout = Readout::new();
        let handler = |_: Request<_>| pending::<Result<Response<Body>, BoxError>>();
        let timeout = TimeoutLayer::new(Duration::from_millis(20));
        let address = if outside {
            serve_hyper(
                ServiceBuilder::new()
                    .layer(timeout)
                    .layer(readout.layer())
                    .service_fn(handler),
            )
            .await
        } else {
            serve_hyper(
                ServiceBuilder::new()
                    .layer(readout.layer())
                    .layer(timeout)
                    .service_fn(handler),
            )
            .await
        };
        raw(address, GET).await;
        assert_eq!(
            readout.only_request().await.attribute("error.type"),
            Some(error)
        );
    }
}

#[tokio::test]
async fn an_error_of_the_service_never_shows_its_text() {
    let readout = Readout::new();
    let failing = |request: Request<RequestBody<_>>| async move {
        Err::<Response<Body>, BoxError>(format!("no such user {}", request.uri().path()).into())
    };
    let address = serve_hyper(readout.layer().layer(service_fn(failing))).await;
    for name in ["/alice", "/bob"] {
        send(address, "GET", name).await;
    }
    readout.wait_for(2).await;
    let durations = readout.named(DURATION);
    assert_eq!(durations.len(), 1, "{durations:#?}");
    assert_eq!(durations[0].attribute("error.type"), Some("service_error"));
    assert_eq!(durations[0].attribute("http.response.status_code"), None);
}

#[tokio::test]
async fn a_panicking_handler_is_recorded_once_and_panics_on() {
    let readout = Readout::new();
    let address = serve(router(readout.layer(), || async { panic!("on purpose") })).await;
    assert_eq!(
        send(address, "GET", "/").await,
        "",
        "the connection was dropped"
    );
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), Some("panic"));
    assert_eq!(duration.attribute("http.response.status_code"), None);
}

#[tokio::test]
async fn a_panic_is_one_even_if_it_is_caught_outside_the_layer() {
    let in_call =
        |_: Request<RequestBody<Body>>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
            panic!("on purpose, before there is a future")
        };
    let in_poll = |_: Request<RequestBody<Body>>| async move {
        tokio::task::yield_now().await;
        panic!("on purpose") as Result<Response<Body>, Infallible>
    };
    let readout = Readout::new();
    let service = readout.layer().layer(service_fn(in_call));
    assert!(
        AssertUnwindSafe(service.oneshot(Request::default()))
            .catch_unwind()
            .await
            .is_err()
    );
    readout.wait_for(1).await;
    let service = readout.layer().layer(service_fn(in_poll));
    let mut future = Box::pin(service.oneshot(Request::default()));
    assert!(AssertUnwindSafe(&mut future).catch_unwind().await.is_err());
    readout.wait_for(2).await;
    drop(future);
    readout.wait_for(2).await;
    assert_eq!(
        readout.named(DURATION)[0].attribute("error.type"),
        Some("panic")
    );
}

#[tokio::test]
async fn a_panicking_body_is_a_panic() {
    let readout = Readout::new();
    let handler = || async {
        let pieces = stream::iter(["first", "second"]).map(|piece| {
            assert_ne!(piece, "second", "on purpose");
            Ok::<_, Infallible>(piece)
        });
        Response::new(Body::from_stream(pieces))
    };
    let address = serve(router(readout.layer(), handler)).await;
    send(address, "GET", "/").await;
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), Some("panic"));
    assert_eq!(duration.attribute("http.response.status_code"), Some("200"));
}

#[tokio::test]
async fn a_failing_body_is_a_body_error() {
    let readout = Readout::new();
    let handler = || async {
        let pieces = stream::iter([Ok("first"), Err(io::Error::other("secret detail"))]);
        Response::new(Body::from_stream(pieces))
    };
    let address = serve(router(readout.layer(), handler)).await;
    send(address, "GET", "/").await;
    assert_eq!(
        readout.only_request().await.attribute("error.type"),
        Some("body_error")
    );
}

#[tokio::test]
async fn the_duration_of_a_stream_ends_with_the_stream() {
    let readout = Readout::new();
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let body = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(Ok::<_, Infallible>);
    let body = Arc::new(Mutex::new(Some(Body::from_stream(body))));
    let handler = move || {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    };
    let address = serve(router(readout.layer(), handler)).await;
    let client = tokio::spawn(send(address, "GET", "/"));
    sender.send(Bytes::from_static(b"first")).await.unwrap();
    sender.send(Bytes::from_static(b"second")).await.unwrap();
    // The first piece has been taken from the channel, so the headers went out before.
    assert_eq!(
        (readout.count(ACTIVE), readout.count(DURATION)),
        (1, 0),
        "still streaming"
    );
    let held = Duration::from_millis(60);
    tokio::time::sleep(held).await;
    drop(sender);
    client.await.unwrap();
    let duration = readout.only_request().await;
    assert!(duration.sum >= held.as_secs_f64());
    assert_eq!(duration.attribute("error.type"), None);
    assert_eq!(readout.named(RESPONSE_SIZE)[0].sum, 11.0);
}

/// Bodies a server drops without reading them to their end are complete all the same.
#[tokio::test]
async fn bodies_that_are_never_read_to_their_end_are_complete() {
    let statuses = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    for status in statuses {
        let readout = Readout::new();
        let handler = move || async move {
            Response::builder()
                .status(status)
                .body(unending(&["never sent"]))
                .unwrap()
        };
        let address = serve(router(readout.layer(), handler)).await;
        send(address, "GET", "/").await;
        let duration = readout.only_request().await;
        assert_eq!(duration.attribute("error.type"), None, "{status}");
        assert_eq!(readout.named(RESPONSE_SIZE)[0].sum, 0.0);
    }
}

#[tokio::test]
async fn the_answer_to_head_is_complete_without_its_body() {
    let readout = Readout::new();
    let handler = |_: Request<RequestBody<_>>| async {
        let response = Response::builder().header(header::CONTENT_LENGTH, 10);
        Ok::<_, Infallible>(response.body(unending(&["0123456789"])).unwrap())
    };
    let address = serve_hyper(readout.layer().layer(service_fn(handler))).await;
    assert!(send(address, "HEAD", "/").await.ends_with("\r\n\r\n"));
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), None);
    let request = Request::head(format!("http://{address}/"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    http2(address).await.send_request(request).await.unwrap();
    readout.wait_for(2).await;
    assert!(
        readout
            .named(DURATION)
            .iter()
            .all(|point| point.attribute("error.type").is_none())
    );
}

/// A server stops at the promised length: it never polls such a body to `None`.
#[tokio::test]
async fn a_body_of_a_known_length_is_complete_when_it_has_that_many_bytes() {
    let readout = Readout::new();
    let handler = || async {
        let response = Response::builder().header(header::CONTENT_LENGTH, 10);
        response.body(unending(&["01234", "56789"])).unwrap()
    };
    let address = serve(router(readout.layer(), handler)).await;
    assert!(send(address, "GET", "/").await.ends_with("0123456789"));
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("error.type"), None);
    assert_eq!(readout.named(RESPONSE_SIZE)[0].sum, 10.0);
}

#[tokio::test]
async fn a_promised_length_that_was_not_reached_is_cancelled() {
    let readout = Readout::new();
    let handler = || async {
        let response = Response::builder().header(header::CONTENT_LENGTH, 10);
        response.body(unending(&["01234"])).unwrap()
    };
    let address = serve(router(readout.layer(), handler)).await;
    leave_after(address, "01234").await;
    assert_eq!(
        readout.only_request().await.attribute("error.type"),
        Some("cancelled")
    );
}

/// What is spoken after an upgrade is no response of ours, and may go on for days.
#[tokio::test]
async fn an_upgrade_is_complete_when_it_is_granted() {
    let readout = Readout::new();
    let handler = |mut request: Request<RequestBody<_>>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let upgraded = upgrade.await.unwrap();
            let mut upgraded = hyper_util::rt::TokioIo::new(upgraded);
            let mut word = [0; 4];
            upgraded.read_exact(&mut word).await.unwrap();
            upgraded.write_all(&word).await.unwrap();
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "echo");
        Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
    };
    let address = serve_hyper(readout.layer().layer(service_fn(handler))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let duration = readout.only_request().await;
    assert_eq!(duration.attribute("http.response.status_code"), Some("101"));
    assert_eq!(duration.attribute("error.type"), None);
    stream.write_all(b"ping").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.ends_with(b"ping"),
        "the upgraded connection lives on"
    );
    readout.wait_for(1).await;
}

/// The layer must not hide from the server what the body inside knows of itself.
#[tokio::test]
async fn what_a_body_says_of_itself_is_passed_on() {
    let readout = Readout::new();
    let respond = |body: Body| {
        let layer = readout.layer();
        let body = Mutex::new(Some(body));
        let service = service_fn(move |_: Request<RequestBody<Body>>| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        layer.layer(service).oneshot(Request::new(Body::empty()))
    };
    let body = respond(Body::from("12345")).await.unwrap().into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    assert!(!http_body::Body::is_end_stream(&body));
    let empty = respond(Body::empty()).await.unwrap().into_body();
    assert!(http_body::Body::is_end_stream(&empty));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "12345");
    readout.wait_for(2).await;
}

#[tokio::test]
async fn trailers_pass_and_end_the_request() {
    let readout = Readout::new();
    let handler = |_: Request<RequestBody<_>>| async {
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-sum"),
            "7".parse().unwrap(),
        )]);
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data"))),
            Ok(Frame::trailers(trailers)),
        ];
        Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(frames))))
    };
    let address = serve_hyper(readout.layer().layer(service_fn(handler))).await;
    let request = Request::get(format!("http://{address}/"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = http2(address).await.send_request(request).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(readout.only_request().await.attribute("error.type"), None);
}

/// Invariant: whatever mix of endings, in parallel, the gauge returns to 0 and every request is counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_mix_of_endings_leaves_nothing_in_progress() {
    let readout = Readout::new();
    let app = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/pending", get(pending::<()>))
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route("/stream", get(|| async { unending(&["first"]) }))
        .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let address = serve(app.layer(readout.layer())).await;
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..100 {
        let path = ["/ok", "/pending", "/panic", "/stream", "/fail"][n % 5];
        clients.spawn(async move {
            let unending = path == "/pending" || path == "/stream";
            // Long enough on a busy machine to be seen by the server, and for the others to end.
            let patience = Duration::from_secs(if unending { 2 } else { 60 });
            let left = tokio::time::timeout(patience, send(address, "GET", path))
                .await
                .is_err();
            assert_eq!(left, unending);
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    readout.wait_for(100).await;
    let mut errors: Vec<_> = readout
        .named(DURATION)
        .iter()
        .map(|point| {
            (
                point.attribute("error.type").unwrap_or("-").to_owned(),
                point.count,
            )
        })
        .collect();
    errors.sort();
    let expected = [
        ("-", 20),
        ("500", 20),
        ("cancelled", 20),
        ("cancelled", 20),
        ("panic", 20),
    ];
    assert_eq!(
        errors,
        expected.map(|(error, count)| (error.to_owned(), count))
    );
}

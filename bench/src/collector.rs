//! A collector on loopback, of HTTP and gRPC, that takes what it is sent and does nothing with it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// The messages that were sent since they were taken last, as they came: a gRPC frame is taken off, gzip is not.
type Messages = Arc<Mutex<Vec<Bytes>>>;

/// A collector in a thread of its own, until the program ends.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    messages: Messages,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener =
            std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let messages = Messages::default();
        let taken = Arc::clone(&messages);
        thread::spawn(move || serve(listener, taken));
        Self { address, messages }
    }

    pub(crate) fn take(&self) -> Vec<Bytes> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *messages)
    }
}

fn serve(listener: std::net::TcpListener, messages: Messages) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime can be made");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = TcpListener::from_std(listener).expect("it is a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("connections come");
            let messages = Arc::clone(&messages);
            tokio::spawn(async move {
                let service = service_fn(|request| answer(request, Arc::clone(&messages)));
                let mut server = auto::Builder::new(TokioExecutor::new());
                // As large as a message may be, so that no exporter waits for leave to send.
                server
                    .http2()
                    .initial_stream_window_size(1 << 30)
                    .initial_connection_window_size(1 << 30);
                // A client that ends is none of our business.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

async fn answer(
    request: Request<Incoming>,
    messages: Messages,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let grpc = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/grpc");
    let message = if grpc { body.slice(5..) } else { body };
    messages
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(message);
    // An empty message, in its frame for gRPC.
    let answer = if grpc {
        Bytes::from_static(&[0; 5])
    } else {
        Bytes::new()
    };
    let trailers = grpc.then(|| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Ok(trailers)
    });
    let body = Full::new(answer).with_trailers(std::future::ready(trailers));
    let kind = if grpc {
        "application/grpc"
    } else {
        "application/x-protobuf"
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

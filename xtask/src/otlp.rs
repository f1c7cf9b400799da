use serde_json::{Value, json};

use crate::python::Python;

/// An OTLP receiver that nobody here wrote the protocol of, over HTTP and gRPC, for metrics, spans and log records. It
/// does as it is told and ends when it is dropped, like one that is killed.
#[derive(Debug)]
pub struct OtlpReceiver {
    python: Python,
    http: u16,
    grpc: u16,
}

/// What it has received.
#[derive(Clone, Debug)]
pub struct Received {
    /// How many requests there were so far, refused ones included.
    pub requests: u64,
    /// Those accepted since the last time: `{transport, headers, encoding, resources, points | spans | records: [{scope,
    /// name, kind, attributes, start, time, temporality, value | count ...}]}`.
    pub exports: Vec<Value>,
}

impl Received {
    /// The points of all exports, in the order they came.
    pub fn points(&self) -> impl Iterator<Item = &Value> {
        self.items("points")
    }

    /// The spans of all exports: `{service, scope, name, kind, trace_id, span_id, parent_span_id, attributes, status}`.
    pub fn spans(&self) -> impl Iterator<Item = &Value> {
        self.items("spans")
    }

    /// The log records of all exports: `{scope, body, trace_id, span_id, attributes}`.
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        self.items("records")
    }

    fn items<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let exports = self.exports.iter();
        exports.flat_map(move |export| export[kind].as_array().into_iter().flatten())
    }

    /// Those of one metric.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.points().filter(move |point| point["name"] == name)
    }
}

impl OtlpReceiver {
    /// Starts one that accepts everything, on free ports.
    ///
    /// # Panics
    /// If there is no Python with the pinned packages.
    #[must_use]
    pub fn start() -> Self {
        Self::listening(json!({}))
    }

    /// Starts one on the ports of one that has ended.
    ///
    /// # Panics
    /// As [`Self::start`], and if somebody else has taken a port.
    #[must_use]
    pub fn again(http: u16, grpc: u16) -> Self {
        Self::listening(json!({ "http": http, "grpc": grpc }))
    }

    /// Starts one with these TLS files: `{cert, key, client_ca?}`.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn with_tls(files: Value) -> Self {
        Self::listening(files)
    }

    fn listening(mut how: Value) -> Self {
        how["do"] = json!("listen");
        let mut python = Python::start("otlp_receiver.py");
        let ports = python.request(&how);
        let port = |name: &str| {
            ports[name]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
        };
        Self {
            python,
            http: port("http").expect("it listens for HTTP"),
            grpc: port("grpc").expect("it listens for gRPC"),
        }
    }

    /// The port that speaks HTTP.
    #[must_use]
    pub fn http(&self) -> u16 {
        self.http
    }

    /// The port that speaks gRPC.
    #[must_use]
    pub fn grpc(&self) -> u16 {
        self.grpc
    }

    /// What it does with the next requests, and then with all that follow: `{how: accept | delay |
    /// status | partial | drop | lose | hang | huge, ...}`; to lose is to accept, and to drop the
    /// connection instead of answering.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "callers write `json!` in place"
    )]
    pub fn behave(&mut self, next: &[Value], then: Value) {
        let told = json!({ "do": "behave", "next": next, "then": then });
        self.python.request(&told);
    }

    /// What it accepted since this was asked last.
    pub fn take(&mut self) -> Received {
        let mut told = self.python.request(&json!({ "do": "take" }));
        let exports = told["exports"].as_array_mut().map(std::mem::take);
        Received {
            requests: told["requests"].as_u64().unwrap_or_default(),
            exports: exports.unwrap_or_default(),
        }
    }
}

//! The examples as readers run them.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use meterline_exposition::parse::{Page, Syntax, Value};
use reqwest::header::ACCEPT;

/// A running example; ended when dropped.
struct Example {
    process: Child,
    /// `http://host:port`
    url: String,
}

impl Example {
    /// Starts it on a free port, and reads from its first line which.
    fn start(name: &str, arguments: &[&str]) -> Self {
        // Beside the directory of this test, where `cargo test` builds them.
        let mut program: PathBuf = std::env::current_exe().expect("it runs");
        program.pop();
        program.pop();
        program.push("examples");
        program.push(name);
        assert!(
            program.exists(),
            "{} is not built: cargo build -p meterline --examples",
            program.display()
        );
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut first = String::new();
        let said = process.stdout.take().expect("a pipe");
        BufReader::new(said).read_line(&mut first).expect("a line");
        let url = first.trim_end().strip_suffix("/metrics");
        Self {
            url: url.unwrap_or_else(|| panic!("{first:?}")).to_owned(),
            process,
        }
    }

    async fn get(&self, path: &str, accept: &str) -> Vec<u8> {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url));
        let response = request.header(ACCEPT, accept).send().await;
        let response = response.expect("it answers").error_for_status();
        response
            .expect("it is there")
            .bytes()
            .await
            .expect("all of it")
            .into()
    }

    async fn text(&self, path: &str, accept: &str) -> String {
        String::from_utf8(self.get(path, accept).await).expect("it is text")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn axum() {
    let example = Example::start("axum", &[]);
    assert_eq!(example.text("/orders/7", "*/*").await, "order 7\n");
    let page = example.text("/metrics", "*/*").await;
    assert!(
        page.contains("\nshop_orders_opened_total{even=\"false\",otel_scope_name=\"shop\"} 1\n"),
        "{page}"
    );
    assert!(page.contains("http_route=\"/orders/{id}\""), "{page}");
}

#[tokio::test]
async fn exemplars() {
    let example = Example::start("exemplars", &[]);
    example.text("/orders/7", "*/*").await;
    let page = example
        .text("/metrics", "application/openmetrics-text")
        .await;
    let mut lines = page.lines();
    assert!(
        lines.any(|line| {
            line.starts_with("http_server_request_duration_seconds_bucket")
                && line.contains(" # {trace_id=\"")
        }),
        "{page}"
    );
    assert!(!example.text("/metrics", "*/*").await.contains("trace_id"));
}

#[tokio::test]
async fn native_histograms() {
    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    let example = Example::start("native_histograms", &[]);
    example.text("/orders/7", "*/*").await;
    let bytes = example.get("/metrics", PROTOBUF).await;
    let page = Page::parse(&bytes, Syntax::Protobuf).expect("a page");
    let mut families = page.families.iter();
    let duration = families.find(|family| family.name == "http_server_request_duration_seconds");
    let samples = &duration.expect("it was measured").samples;
    let native = samples
        .iter()
        .filter(|one| matches!(one.value, Value::Native(_)));
    assert_eq!(native.count(), 1);
    let classic = samples.iter().filter(|one| one.bound.is_some());
    assert_eq!(classic.count(), 15, "14 bounds and +Inf");
}

#[tokio::test]
async fn tonic() {
    use ::tonic::Code;
    use ::tonic::transport::Channel;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let example = Example::start("tonic", &[]);
    let channel = Channel::from_shared(example.url.clone()).expect("a URL");
    let mut client = HealthClient::new(channel.connect().await.expect("it listens"));
    let mut check = async |service: &str| {
        let service = service.to_owned();
        client.check(HealthCheckRequest { service }).await
    };
    assert_eq!(
        check("shop")
            .await
            .expect("it is known")
            .into_inner()
            .status,
        1
    );
    let unknown = check("nobody").await.expect_err("it is not");
    assert_eq!(unknown.code(), Code::NotFound);

    let page = example.text("/metrics", "*/*").await;
    for code in ["0", "5"] {
        let count = page.lines().find(|line| {
            line.starts_with("http_server_request_duration_seconds_count")
                && line.contains(&format!("rpc_grpc_status_code=\"{code}\""))
                && line.contains("http_route=\"/grpc.health.v1.Health/{*rest}\"")
        });
        assert!(
            count.is_some_and(|line| line.ends_with(" 1")),
            "{code}: {page}"
        );
    }
}

mod with_python {
    use std::time::{Duration, Instant};

    use xtask::OtlpReceiver;

    use super::Example;

    #[tokio::test(flavor = "multi_thread")]
    async fn otlp() {
        let start = tokio::task::spawn_blocking(OtlpReceiver::start);
        let mut receiver = start.await.expect("it starts");
        let endpoint = format!("http://127.0.0.1:{}", receiver.http());
        let example = Example::start("otlp", &[&endpoint]);
        example.text("/orders/7", "*/*").await;
        let begun = Instant::now();
        loop {
            let received = tokio::task::block_in_place(|| receiver.take());
            let routes = received.of("http.server.request.duration");
            let mut routes = routes.map(|point| point["attributes"]["http.route"].clone());
            if routes.any(|route| route == "/orders/{id}") {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing was pushed"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let page = example.text("/metrics", "*/*").await;
        assert!(page.contains("http_route=\"/orders/{id}\""), "{page}");
    }
}

//! The example of all three signals, run as a user would, against a receiver whose protocol nobody here wrote.

#[path = "../examples/three_signals.rs"]
mod three_signals;

mod with_python {
    use std::process::Command;

    use xtask::{OtlpReceiver, Received};

    /// The example reads its environment and sets global providers, so it has a process of its own: this test, with
    /// this variable.
    const RUN: &str = "METERLINE_TEST_RUNS_THE_EXAMPLE";

    fn run(receiver: &OtlpReceiver) {
        let mut command = Command::new(std::env::current_exe().expect("this test is a file"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        let endpoint = format!("http://127.0.0.1:{}", receiver.http());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        command.env("OTEL_SERVICE_NAME", "shop").env(RUN, "");
        let output = command.output().expect("it can be run");
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_point_a_span_and_a_log_record_are_joined_by_trace_and_resource() {
        if std::env::var_os(RUN).is_some() {
            return super::three_signals::main().expect("all is delivered");
        }
        let mut receiver = OtlpReceiver::start();
        run(&receiver);
        let received = receiver.take();

        let orders: Vec<_> = received.of("shop.orders").collect();
        let [orders] = &orders[..] else {
            panic!("{:?}", received.exports)
        };
        assert_eq!(orders["value"], 1);
        let (spans, records): (Vec<_>, Vec<_>) =
            (received.spans().collect(), received.records().collect());
        assert_eq!(
            (spans.len(), records.len()),
            (1, 1),
            "{:?}",
            received.exports
        );
        assert_eq!(spans[0]["name"], "order");
        assert_eq!(records[0]["body"], "an order was paid");
        for key in ["trace_id", "span_id"] {
            assert_eq!(orders["exemplars"][0][key], spans[0][key]);
            assert_eq!(records[0][key], spans[0][key]);
        }

        let resource = |signal: &str| resource(&received, signal);
        let of_metrics = resource("points");
        assert_eq!(of_metrics["service.name"], "shop");
        assert!(of_metrics["service.instance.id"].is_string());
        assert_eq!(resource("spans"), of_metrics);
        assert_eq!(resource("records"), of_metrics);

        // Another run is another instance.
        run(&receiver);
        let again = receiver.take();
        let again = self::resource(&again, "points");
        assert_ne!(
            again["service.instance.id"],
            of_metrics["service.instance.id"]
        );
    }

    fn resource(received: &Received, signal: &str) -> serde_json::Value {
        let mut exports = received.exports.iter();
        let export = exports.find(|export| export[signal].is_array());
        let export = export.unwrap_or_else(|| panic!("no {signal}: {:?}", received.exports));
        export["resources"][0].clone()
    }
}

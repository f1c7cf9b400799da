//! The harness against the real programs: a real Prometheus scrapes a server of a few lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

const EXPOSITION: &str = "\
# HELP sheep_total Sheep counted.
# TYPE sheep_total counter
sheep_total{colour=\"black\"} 1
sheep_total{colour=\"white \\\"and\\\" woolly\"} 41
";

/// Serves one body on every path but `/broken`, which is no exposition, until the test ends.
fn serve(body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A scraper that goes away is none of this server's business.
            let _ = answer(stream, body);
        }
    });
    address
}

fn answer(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    let first = request.next().transpose()?.unwrap_or_default();
    let end_of_head = |line: &String| line.is_empty();
    request.map_while(Result::ok).find(end_of_head);
    let body = if first.contains(" /broken ") {
        "{not an exposition\n"
    } else {
        body
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

mod with_prometheus {
    use std::time::Duration;

    use xtask::{Prometheus, Target};

    use super::{EXPOSITION, serve};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn scrapes_what_is_served_and_answers_queries() {
        let prometheus = Prometheus::start(&[Target::new("farm", serve(EXPOSITION))]);
        let up = prometheus.wait_for("up", LIMIT, |up| up.iter().any(|(_, value)| *value == 1.0));
        assert_eq!(up.len(), 1);
        assert_eq!(up[0].0["job"], "farm");

        let mut sheep = prometheus.query("sheep_total");
        sheep.sort_by(|one, other| one.1.total_cmp(&other.1));
        let seen: Vec<_> = sheep
            .iter()
            .map(|(labels, value)| (labels["colour"].as_str(), *value))
            .collect();
        assert_eq!(seen, [("black", 1.0), ("white \"and\" woolly", 41.0)]);
        let total = prometheus.query("sum(sheep_total)");
        assert_eq!(total.iter().map(|(_, sum)| *sum).sum::<f64>(), 42.0);
        let scalar = prometheus.query("scalar(sum(sheep_total)) * 2");
        assert_eq!((scalar[0].0.len(), scalar[0].1), (0, 84.0));
        assert!(prometheus.query("no_such_series").is_empty());
    }

    #[test]
    fn tells_which_target_is_down_and_why() {
        let address = serve(EXPOSITION);
        let broken = Target {
            path: "/broken".to_owned(),
            ..Target::new("broken", address)
        };
        let prometheus = Prometheus::start(&[Target::new("good", address), broken]);
        prometheus.wait_for("up", LIMIT, |up| up.len() == 2);
        let mut targets = prometheus.targets();
        targets.sort_by(|one, other| one.job.cmp(&other.job));
        let [broken, good] = &targets[..] else {
            panic!("two targets, not {targets:?}");
        };
        assert_eq!(
            (broken.health.as_str(), good.health.as_str()),
            ("down", "up")
        );
        assert!(!broken.last_error.is_empty());
        assert_eq!(good.last_error, "");
    }

    #[test]
    #[should_panic(expected = "no_such_function")]
    fn a_bad_expression_is_the_tests_fault() {
        let prometheus = Prometheus::start(&[]);
        let _ = prometheus.query("no_such_function(up)");
    }

    #[test]
    #[should_panic(expected = "Prometheus is not ready")]
    fn targets_it_refuses_fail_at_the_start() {
        let address = serve(EXPOSITION);
        let _ = Prometheus::start(&[Target::new("same", address), Target::new("same", address)]);
    }

    #[test]
    fn dropping_it_ends_it() {
        let prometheus = Prometheus::start(&[]);
        let address = prometheus.url().replace("http://", "");
        std::net::TcpStream::connect(&address).expect("it listens");
        drop(prometheus);
        std::net::TcpStream::connect(&address).expect_err("nothing listens any more");
    }
}

mod with_promtool {
    use xtask::promtool_check_metrics;

    #[test]
    fn a_clean_exposition_has_no_finding() {
        assert_eq!(promtool_check_metrics(super::EXPOSITION), Ok(()));
    }

    #[test]
    fn lint_findings_and_syntax_errors_are_errors() {
        let fault = promtool_check_metrics("# TYPE sheep counter\nsheep 1\n")
            .expect_err("a counter without _total and HELP");
        assert!(fault.contains("_total"), "{fault}");
        let fault = promtool_check_metrics("sheep{colour=black} 1\n").expect_err("no quotes");
        assert!(fault.contains("parsing error"), "{fault}");
    }

    #[test]
    fn an_exposition_larger_than_any_pipe_is_read_whole() {
        let mut large = super::EXPOSITION.to_owned();
        for number in 0..50_000 {
            large.push_str(&format!("sheep_total{{number=\"{number}\"}} 1\n"));
        }
        assert_eq!(promtool_check_metrics(&large), Ok(()));
        large.push_str("sheep_total{ 1\n");
        promtool_check_metrics(&large).expect_err("the last line is broken");
    }
}

mod with_python {
    use serde_json::json;
    use xtask::Python;

    #[test]
    fn the_parser_reads_families_and_refuses_nonsense() {
        let mut parser = Python::exposition_parser();
        let families = parser.parse_exposition("text", super::EXPOSITION);
        let families = families.expect("it is a good exposition");
        assert_eq!(families.len(), 1);
        assert_eq!(families[0]["type"], "counter");
        assert_eq!(
            families[0]["samples"][1],
            json!({
                "name": "sheep_total",
                "labels": {"colour": "white \"and\" woolly"},
                "value": "41.0",
                "exemplar": null,
            })
        );
        let fault = parser.parse_exposition("openmetrics", super::EXPOSITION);
        let fault = fault.expect_err("OpenMetrics ends with # EOF");
        assert!(fault.contains("ValueError"), "{fault}");
        let fault = parser.parse_exposition("text", "sheep{ 1\n");
        fault.expect_err("the labels never end");
        let still = parser.parse_exposition("text", "sheep NaN\n");
        assert_eq!(still.expect("it goes on")[0]["samples"][0]["value"], "nan");
    }
}

mod with_nats {
    use std::io::{BufRead, BufReader};
    use std::net::TcpStream;

    use xtask::{NatsCluster, NatsServer};

    /// The first line a server sends to whoever connects.
    fn greeting(port: u16) -> String {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let mut line = String::new();
        BufReader::new(stream)
            .read_line(&mut line)
            .expect("it speaks first");
        line
    }

    #[test]
    fn a_server_comes_back_on_its_port() {
        let server = NatsServer::start();
        let info = greeting(server.port());
        assert!(
            info.starts_with("INFO ") && info.contains("\"jetstream\":true"),
            "{info}"
        );
        server.kill();
        TcpStream::connect(("127.0.0.1", server.port())).expect_err("nothing listens any more");
        server.restart();
        greeting(server.port());
    }

    #[test]
    #[should_panic(expected = "nats-server is not ready")]
    fn a_configuration_it_refuses_fails_at_the_start() {
        let _ = NatsServer::start_with("no_such_option: 1");
    }

    #[test]
    fn three_servers_are_one_cluster() {
        let cluster = NatsCluster::start();
        let info = greeting(cluster.servers[0].port());
        assert!(info.contains("\"cluster\":\"test\""), "{info}");
        assert_eq!(cluster.url().split(',').count(), 3);
    }
}

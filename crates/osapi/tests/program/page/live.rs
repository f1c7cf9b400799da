//! `/live`: one stream of readings for all who watch.

use std::time::Instant;

use reqwest::{Method, Response};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Server, api, up};

/// The readings of one stream.
struct Readings {
    response: Response,
    rest: String,
}

impl Readings {
    async fn follow(server: &Server) -> Self {
        let request = server.request(Method::GET, "/live");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            rest: String::new(),
        }
    }

    /// The next reading; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let data = event.strip_prefix("event: reading\ndata: ").unwrap();
                let reading = serde_json::from_str(data).unwrap();
                self.rest = rest.to_owned();
                return Some(reading);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.rest += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The first reading that is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let reading = self.next().await.unwrap();
            if wanted(&reading) {
                return reading;
            }
            assert!(since.elapsed() < DEADLINE, "not in time: {reading}");
        }
    }
}

#[tokio::test]
async fn readings_tell_of_jobs_workers_and_requests() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    let (_, _) = server.get("/nowhere").await;
    let mut readings = Readings::follow(&server).await;
    let reading = readings
        .until(|reading| reading["workers"][0]["processed"] == 1)
        .await;
    assert_eq!(reading["trouble"], Value::Null);
    let jobs = &reading["jobs"];
    assert_eq!(
        (&jobs["created"], &jobs["completed"], &jobs["failed"]),
        (&json!(1.0), &json!(1.0), &json!(0.0))
    );
    let http = &reading["measured"]["http"];
    let routes = http["routes"].as_array().unwrap();
    let route = |method, route| {
        let wanted = |r: &&Value| r["method"] == method && r["route"] == route;
        routes.iter().find(wanted).unwrap()
    };
    let submitted = route("POST", "/job");
    assert_eq!(
        (&submitted["requests"], &submitted["errors"]),
        (&json!(1), &json!(0))
    );
    let buckets = submitted["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), http["bounds"].as_array().unwrap().len() + 1);
    assert_eq!(buckets.iter().filter_map(Value::as_u64).sum::<u64>(), 1);
    assert_eq!(route("GET", "")["requests"], 1, "what matches no route");
    assert!(routes.iter().all(|route| route["route"] != "/live"));
    assert!(reading["measured"]["process"]["resident_bytes"].as_f64() > Some(1e6));
    assert_eq!(reading["database"]["backend"], "sqlite");
}

#[tokio::test]
async fn with_metrics_off_there_are_readings_of_the_queue_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = api(dir.path(), &[]);
    server.submit("sleep", json!({"seconds": 0})).await;
    let reading = Readings::follow(&server).await.next().await.unwrap();
    assert!(reading.get("measured").is_none(), "{reading}");
    assert_eq!(reading["jobs"]["waiting"], 1);
    assert_eq!(reading["jobs"]["created"], 1.0);
    assert_eq!(reading["workers"], json!([]));
}

#[tokio::test]
async fn a_newcomer_is_shown_what_came_before() {
    let server = up(&[]);
    let mut first = Readings::follow(&server).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(first.next().await.unwrap());
    }
    let mut second = Readings::follow(&server).await;
    for reading in seen {
        assert_eq!(second.next().await.unwrap(), reading);
    }
}

#[tokio::test]
async fn all_who_watch_share_one_reading() {
    const VIEWERS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    // With metrics off nobody else asks the queue how it is.
    let server = api(dir.path(), &[]);
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(Readings::follow(&server).await);
    }
    let mut seen = Vec::new();
    for viewer in &mut viewers {
        let mut readings = Vec::new();
        while readings.len() < 4 {
            readings.push(viewer.next().await.unwrap());
        }
        seen.push(readings);
    }
    let first = &seen[0];
    assert!(seen.iter().all(|readings| readings == first));
    let number = |reading: &Value, key: &str| reading.pointer(key).unwrap().as_f64().unwrap();
    let between = |key: &str| number(&first[3], key) - number(&first[0], key);
    // A reading asks a handful of questions, and housekeeping one a second.
    let (asked, elapsed) = (between("/database/queries_total"), between("/time") / 1e3);
    assert!(asked > 0.0, "{first:?}");
    assert!(asked < 10.0 * (elapsed + 1.0), "{asked} in {elapsed} s");
}

#[tokio::test]
async fn too_many_streams_are_refused_and_room_comes_back() {
    let server = up(&[]);
    let mut streams = Vec::new();
    let refused = loop {
        let response = server.request(Method::GET, "/live").send().await.unwrap();
        if response.status() != 200 {
            break response;
        }
        streams.push(response);
        assert!(streams.len() <= 256, "more streams than there may be");
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(streams.len(), 256);
    drop(streams);
    crate::support::until("room for a stream", async || {
        let response = server.request(Method::GET, "/live").send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let server = up(&[]);
    let mut readings = Readings::follow(&server).await;
    readings.next().await.unwrap();
    server.signal(Signal::TERM);
    while readings.next().await.is_some() {}
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
}

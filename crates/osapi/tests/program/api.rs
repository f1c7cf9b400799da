//! Every endpoint, and every error of the API.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{job, problem, read, up};

#[tokio::test]
async fn health() {
    let server = up(&[]);
    assert_eq!(
        server.get("/health").await,
        (200.try_into().unwrap(), json!({"status": "ok"}))
    );
    assert_eq!(
        server.get("/health/ready").await,
        (200.try_into().unwrap(), json!({"status": "ready"}))
    );
    let id = server.submit("node.hostname.get", json!({})).await;
    server.wait(&id, &["completed"]).await;
    let (status, body) = server.get("/health/status").await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "ok");
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["uptime"].as_str().unwrap().ends_with('s'), "{body}");
    assert_eq!(body["components"]["queue"], json!({"status": "ok"}));
    assert_eq!(body["workers"], json!({"total": 1, "ready": 1}));
    assert_eq!(
        body["jobs"],
        json!({"total": 1, "submitted": 0, "processing": 0, "retrying": 0, "completed": 1,
               "failed": 0, "cancelled": 0, "dlq": 0})
    );
    assert_eq!(body["database"]["backend"], "sqlite");
}

#[tokio::test]
async fn a_job_from_submission_to_its_result() {
    let server = up(&["--set", "worker.name=w1"]);
    let response = server
        .request(Method::POST, "/job")
        .json(&job("node.hostname.get", json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    let id = body["job_id"].as_str().unwrap();
    assert_eq!(location, format!("/job/{id}"));
    assert_eq!(body["status"], "submitted");
    assert!(body["created_at"].as_str().unwrap().ends_with('Z'));

    let record = server.wait(id, &["completed", "failed"]).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["worker"], "w1");
    assert_eq!(record["attempts"], 1);
    assert_eq!(record["created_at"], body["created_at"]);
    assert!(record["result"]["hostname"].is_string(), "{record}");
    let events: Vec<&str> = record["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["submitted", "started", "completed"]);

    let (status, body) = server.get("/job/workers").await;
    assert_eq!((status.as_u16(), &body["total"]), (200, &json!(1)));
    assert_eq!(body["workers"][0]["worker"], "w1");
    assert_eq!(body["workers"][0]["state"], "ready");
    assert_eq!(body["workers"][0]["slots"], 4);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_job() {
    let server = up(&[]);
    let send = |path: &'static str, key: String, body: Value| {
        read(
            server
                .request(Method::POST, path)
                .header("Idempotency-Key", key)
                .json(&body),
        )
    };
    let body = job("sleep", json!({"seconds": 0}));
    let (first, one) = send("/job", "k1".into(), body.clone()).await;
    let (again, two) = send("/job", "k1".into(), body.clone()).await;
    assert_eq!((first.as_u16(), again.as_u16()), (201, 200));
    assert_eq!(one, two);
    let (status, _) = send("/job", "k1".into(), job("sleep", json!({"seconds": 1}))).await;
    assert_eq!(status, 409, "another job under the same key");

    let batch = json!({"jobs": [body, body]});
    let (first, one) = send("/job/batch", "k1".into(), batch.clone()).await;
    let (again, two) = send("/job/batch", "k1".into(), batch).await;
    assert_eq!((first.as_u16(), again.as_u16()), (201, 200));
    assert_eq!(one, two);
    assert_eq!(server.get("/job").await.1["total_items"], 3);

    for bad in [String::new(), "x".repeat(256), "caf\u{e9}".to_owned()] {
        let response = server
            .request(Method::POST, "/job")
            .header("Idempotency-Key", bad)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(problem(response, 400).await.contains("Idempotency-Key"));
    }
}

#[tokio::test]
async fn a_batch_is_accepted_all_or_not_at_all() {
    let server = up(&[]);
    let one = job("sleep", json!({"seconds": 0}));
    let (status, body) = server
        .post("/job/batch", &json!({"jobs": vec![one.clone(); 1000]}))
        .await;
    assert_eq!(status, 201);
    assert_eq!(body["jobs"].as_array().unwrap().len(), 1000);
    for (jobs, why) in [
        (vec![], "1 to 1000"),
        (vec![one.clone(); 1001], "1 to 1000"),
        (vec![one, job("no.such", json!({}))], "unknown operation"),
    ] {
        let (status, body) = server.post("/job/batch", &json!({"jobs": jobs})).await;
        assert_eq!(status, 400);
        assert!(body["detail"].as_str().unwrap().contains(why), "{body}");
    }
    assert_eq!(server.get("/job").await.1["total_items"], 1000);
}

#[tokio::test]
async fn jobs_are_listed_newest_first() {
    let server = up(&[]);
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(server.submit("sleep", json!({"seconds": 0})).await);
    }
    for id in &ids {
        server.wait(id, &["completed"]).await;
    }
    let listed = |body: &Value| -> Vec<String> {
        let items = body["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| i["id"].as_str().unwrap().to_owned())
            .collect()
    };
    ids.reverse();
    let (_, body) = server.get("/job").await;
    assert_eq!(listed(&body), ids[..10]);
    assert_eq!(body["total_items"], 12);
    assert_eq!(body["status_counts"]["completed"], 12);
    let (_, body) = server
        .get("/job?limit=100&offset=10&status=completed")
        .await;
    assert_eq!(listed(&body), ids[10..]);
    let (_, body) = server.get("/job?status=failed").await;
    assert_eq!((&body["total_items"], listed(&body)), (&json!(0), vec![]));

    let (status, body) = server.get("/job/status").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["total"], &body["completed"]),
        (&json!(12), &json!(12))
    );
    assert_eq!(body["operations"]["sleep"]["completed"], 12);
    assert_eq!(body["oldest_waiting_seconds"], 0.0);
}

#[tokio::test]
async fn deleting_cancels_and_then_removes() {
    let server = up(&["--set", "worker.slots=1"]);
    let running = server.submit("sleep", json!({"seconds": 600})).await;
    server.wait(&running, &["processing"]).await;
    let waiting = server.submit("sleep", json!({"seconds": 600})).await;
    for id in [&waiting, &running] {
        let path = format!("/job/{id}");
        let (status, body) = read(server.request(Method::DELETE, &path)).await;
        assert_eq!((status.as_u16(), body), (204, json!("")));
        server.wait(id, &["cancelled"]).await;
        assert_eq!(read(server.request(Method::DELETE, &path)).await.0, 204);
        assert_eq!(server.get(&path).await.0, 404);
        assert_eq!(read(server.request(Method::DELETE, &path)).await.0, 404);
    }
}

#[tokio::test]
async fn a_failed_job_is_retried_as_a_new_one() {
    let server = up(&["--set", "queue.max_attempts=1"]);
    let id = server
        .submit("sleep", json!({"seconds": 0, "fail_attempts": 1}))
        .await;
    let record = server.wait(&id, &["failed", "completed"]).await;
    assert_eq!(record["status"], "failed", "{record}");
    assert!(record["error"].is_string());
    assert_eq!(server.get("/job/status").await.1["dlq"], 1);

    let path = format!("/job/{id}/retry");
    let response = server.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_ne!(body["job_id"], json!(id));
    assert_eq!(
        location,
        format!("/job/{}", body["job_id"].as_str().unwrap())
    );
    let again = server
        .wait(body["job_id"].as_str().unwrap(), &["failed", "completed"])
        .await;
    assert_eq!(again["operation"], record["operation"]);

    let running = server.submit("sleep", json!({"seconds": 600})).await;
    let path = format!("/job/{running}/retry");
    let response = server.request(Method::POST, &path).send().await.unwrap();
    problem(response, 409).await;
}

#[tokio::test]
async fn events_follow_a_job_to_its_end() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 0.3})).await;
    let response = server
        .request(Method::GET, &format!("/job/{id}/events"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        text += std::str::from_utf8(&chunk.unwrap()).unwrap();
    }
    let last = text
        .lines()
        .filter_map(|l| l.strip_prefix("data: "))
        .next_back()
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (last["id"].as_str(), last["status"].as_str()),
        (Some(&*id), Some("completed"))
    );
    assert!(text.starts_with("event: job\n"), "{text}");
}

#[tokio::test]
async fn a_worker_drains_and_comes_back() {
    let server = up(&["--set", "worker.name=w1"]);
    let done = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&done, &["completed"]).await;
    let (status, body) = server.post("/worker/w1/drain", &json!(null)).await;
    assert_eq!(
        (status.as_u16(), body),
        (200, json!({"worker": "w1", "state": "draining"}))
    );
    assert_eq!(
        server.get("/job/workers").await.1["workers"][0]["state"],
        "draining"
    );
    let (_, body) = server.get("/health/status").await;
    assert_eq!(body["workers"], json!({"total": 1, "ready": 0}));

    let (status, body) = server.post("/worker/w1/undrain", &json!(null)).await;
    assert_eq!(
        (status.as_u16(), body),
        (200, json!({"worker": "w1", "state": "ready"}))
    );
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;

    let response = server
        .request(Method::POST, "/worker/nobody/drain")
        .send()
        .await
        .unwrap();
    problem(response, 404).await;
}

#[tokio::test]
async fn a_full_queue_asks_to_come_back() {
    let server = up(&["--set", "queue.max_waiting=1", "--set", "worker.slots=1"]);
    let running = server.submit("sleep", json!({"seconds": 600})).await;
    server.wait(&running, &["processing"]).await;
    server.submit("sleep", json!({"seconds": 600})).await;
    let response = server
        .request(Method::POST, "/job")
        .json(&job("sleep", json!({"seconds": 0})))
        .send()
        .await
        .unwrap();
    let retry_after = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(retry_after.parse::<u64>().unwrap() >= 1);
    problem(response, 503).await;
    assert_eq!(
        server.get("/job").await.1["total_items"],
        2,
        "nothing half done"
    );
}

#[tokio::test]
async fn a_job_for_all_needs_a_worker() {
    let server = up(&["--set", "worker.name=w1"]);
    let done = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&done, &["completed"]).await;
    let all = json!({"operation": {"type": "sleep", "data": {"seconds": 0}},
                     "target_hostname": "_all"});
    let (status, body) = server.post("/job", &all).await;
    assert_eq!(status, 201);
    let record = server
        .wait(body["job_id"].as_str().unwrap(), &["completed"])
        .await;
    assert_eq!(record["responses"]["w1"]["status"], "completed");
    server.post("/worker/w1/drain", &json!(null)).await;
    let response = server
        .request(Method::POST, "/job")
        .json(&all)
        .send()
        .await
        .unwrap();
    assert!(response.headers().contains_key("retry-after"));
    problem(response, 503).await;
}

/// Every refusal the API makes, by what was asked.
#[tokio::test]
async fn refusals() {
    let server = up(&[]);
    let unknown = "019f0000-0000-7000-8000-000000000000";
    let cases: Vec<(Method, String, Option<&str>, u16, &str)> = vec![
        (
            Method::POST,
            "/job".into(),
            Some("{"),
            400,
            "not as expected",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(""),
            400,
            "not as expected",
        ),
        (
            Method::POST,
            "/job".into(),
            Some("[]"),
            400,
            "not as expected",
        ),
        (
            Method::POST,
            "/job".into(),
            Some("{} trailing"),
            400,
            "not as expected",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{}}"#),
            400,
            "missing field `type`",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"sleep"},"priority":1}"#),
            400,
            "unknown field `priority`",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"sleep","data":{"seconds":0},"x":1}}"#),
            400,
            "unknown field `x`",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"[{"type":"sleep","data":{"seconds":0}},"_any"]"#),
            400,
            "an object",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":["sleep",{"seconds":0}]}"#),
            400,
            "an object",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"sleep","data":{"seconds":"soon"}}}"#),
            400,
            "sleep: seconds: expected a number",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"node.hostname.get","data":{"x":1}}}"#),
            400,
            "`x`",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"rm.rf"}}"#),
            400,
            "unknown operation",
        ),
        (
            Method::POST,
            "/job".into(),
            Some(r#"{"operation":{"type":"node.load.get"},"target_hostname":"_some"}"#),
            400,
            "_any",
        ),
        (Method::GET, "/job?limit=0".into(), None, 400, "1 to 100"),
        (Method::GET, "/job?limit=101".into(), None, 400, "1 to 100"),
        (Method::GET, "/job?limit=ten".into(), None, 400, "limit"),
        (Method::GET, "/job?offset=-1".into(), None, 400, "offset"),
        (
            Method::GET,
            "/job?status=lost".into(),
            None,
            400,
            "submitted, processing",
        ),
        (
            Method::GET,
            "/job?page=2".into(),
            None,
            400,
            "unknown field `page`",
        ),
        (Method::GET, "/job/not-a-uuid".into(), None, 400, "UUID"),
        (Method::GET, "/job/%FF".into(), None, 400, "UTF-8"),
        (Method::DELETE, "/job/1".into(), None, 400, "UUID"),
        (Method::POST, "/job/1/retry".into(), None, 400, "UUID"),
        (Method::GET, "/job/1/events".into(), None, 400, "UUID"),
        (
            Method::GET,
            format!("/job/{unknown}"),
            None,
            404,
            "not found",
        ),
        (
            Method::DELETE,
            format!("/job/{unknown}"),
            None,
            404,
            "not found",
        ),
        (
            Method::POST,
            format!("/job/{unknown}/retry"),
            None,
            404,
            "not found",
        ),
        (
            Method::GET,
            format!("/job/{unknown}/events"),
            None,
            404,
            "not found",
        ),
        (
            Method::GET,
            "/nothing/here".into(),
            None,
            404,
            "nothing at this path",
        ),
        (
            Method::GET,
            "/job/".into(),
            None,
            404,
            "nothing at this path",
        ),
        (Method::PUT, "/job".into(), None, 405, "Allow"),
        (Method::POST, "/health".into(), None, 405, "Allow"),
        (
            Method::from_bytes(b"BREW").unwrap(),
            "/job".into(),
            None,
            405,
            "Allow",
        ),
    ];
    for (method, path, body, status, why) in cases {
        let mut request = server.request(method.clone(), &path);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let response = request.send().await.unwrap();
        if status == 405 {
            assert!(response.headers().contains_key("allow"), "{method} {path}");
        }
        let detail = problem(response, status).await;
        assert!(detail.contains(why), "{method} {path} {body:?}: {detail}");
    }
    let (_, body) = server.post("/job", &job("rm.rf", json!({}))).await;
    let listed = body["operations"].as_array().unwrap();
    assert!(listed.contains(&json!("node.hostname.get")) && listed.contains(&json!("sleep")));

    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let body = job("sleep", json!({"seconds": 0})).to_string();
        let request = server
            .request(Method::POST, "/job")
            .header("content-type", kind)
            .body(body);
        assert!(
            problem(request.send().await.unwrap(), 415)
                .await
                .contains("application/json")
        );
    }
    let typed = server
        .request(Method::POST, "/job")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(job("sleep", json!({"seconds": 0})).to_string());
    assert_eq!(read(typed).await.0, 201);
    assert_eq!(
        server.get("/job").await.1["total_items"],
        1,
        "nothing refused was kept"
    );
}

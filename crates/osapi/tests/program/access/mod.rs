//! Who may do what: every route with every kind of token.

mod pages;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use osapi::access::{Claims, Permission, SigningKey};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{Server, job, osapi, output, problem, start, stderr, stdout, until};

pub(crate) const SECRET: &str = "wJ3nq0Vx8RzF5tK1yB7mC2dL9gH4sP6a";
const OTHER: &str = "Zk8Yt2Qw5Er7Ui1Op3As6Df9Gh0Jk4Lm";
const HOUR: Duration = Duration::from_secs(3600);

/// A server with everything, whose key is `SECRET`.
pub(crate) fn locked(dir: &Path) -> Server {
    let key = dir.join("key");
    std::fs::write(&key, format!("{SECRET}\n")).unwrap();
    let file = format!("api.signing_key_file={}", key.display());
    let data = dir.join("data");
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
        "--set",
        &file,
        "--set",
        "telemetry.metrics.auth=bearer",
    ];
    start(&args, &data)
}

pub(crate) fn token(secret: &str, permissions: &[Permission]) -> String {
    let key = SigningKey::new(secret.as_bytes()).unwrap();
    key.sign(&Claims::new("test", permissions, HOUR)).unwrap()
}

/// What a token that is not good looks like.
pub(crate) fn bad_tokens() -> Vec<(&'static str, String)> {
    let key = SigningKey::new(SECRET.as_bytes()).unwrap();
    let good = Claims::new("test", &Permission::ALL, HOUR);
    let mut expired = good.clone();
    expired.exp = good.iat - 1;
    let good = key.sign(&good).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let (claims, tag) = (parts[1], parts[2]);
    // {"alg":"none","typ":"JWT"} and {"alg":"HS512","typ":"JWT"}.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let hs512 = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9";
    vec![
        ("expired", key.sign(&expired).unwrap()),
        ("of another key", token(OTHER, &Permission::ALL)),
        ("alg none", format!("{none}.{claims}.")),
        ("alg none with a tag", format!("{none}.{claims}.{tag}")),
        ("another alg", format!("{hs512}.{claims}.{tag}")),
        ("cut off", good[..good.len() - 4].to_owned()),
        ("nonsense", "x".to_owned()),
    ]
}

/// Every route as the server itself describes it: method, path, and the permission it asks for.
async fn routes(server: &Server) -> Vec<(Method, String, Option<String>)> {
    let (status, document) = server.get("/openapi.json").await;
    assert_eq!(status, 200);
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array();
            let security = security.unwrap_or_else(|| panic!("{method} {path} does not say"));
            let permission = security.first().map(|one| {
                let scopes = one["token"].as_array().unwrap();
                assert_eq!(scopes.len(), 1, "{method} {path}");
                scopes[0].as_str().unwrap().to_owned()
            });
            routes.push((
                method.to_uppercase().parse().unwrap(),
                path.clone(),
                permission,
            ));
        }
    }
    routes
}

fn request(server: &Server, method: &Method, path: &str) -> RequestBuilder {
    let path = path
        .replace("{id}", "019f0000-0000-7000-8000-000000000000")
        .replace("{name}", "nobody")
        .replace("{file}", "swagger-ui.css");
    server.request(method.clone(), &path)
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

#[tokio::test]
async fn every_route_with_every_kind_of_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let bad = bad_tokens();
    let mut asked = BTreeMap::new();
    for (method, path, permission) in routes(&server).await {
        let open = request(&server, &method, &path);
        let what = format!("{method} {path}");
        asked.insert(what.clone(), permission.clone().unwrap_or_default());
        let Some(permission) = permission else {
            for (_, token) in &bad {
                let status = sent(request(&server, &method, &path).bearer_auth(token))
                    .await
                    .status();
                assert!(
                    ![401, 403].contains(&status.as_u16()),
                    "{what} is public: {status}"
                );
            }
            assert!(
                ![401, 403].contains(&sent(open).await.status().as_u16()),
                "{what}"
            );
            continue;
        };
        let refused = sent(open).await;
        assert_eq!(refused.headers()["www-authenticate"], "Bearer", "{what}");
        problem(refused, 401).await;
        for (kind, token) in &bad {
            let refused = sent(request(&server, &method, &path).bearer_auth(token)).await;
            assert_eq!(refused.status(), 401, "{what} with a token that is {kind}");
            let challenge = &refused.headers()["www-authenticate"];
            assert_eq!(
                challenge, "Bearer error=\"invalid_token\"",
                "{what}, {kind}"
            );
            problem(refused, 401).await;
        }
        let permission: Permission = permission.parse().unwrap();
        let others: Vec<_> = Permission::ALL
            .into_iter()
            .filter(|p| *p != permission)
            .collect();
        let refused = request(&server, &method, &path).bearer_auth(token(SECRET, &others));
        let refused = sent(refused).await;
        let challenge = &refused.headers()["www-authenticate"];
        assert_eq!(challenge, "Bearer error=\"insufficient_scope\"", "{what}");
        problem(refused, 403).await;
        let right = request(&server, &method, &path).bearer_auth(token(SECRET, &[permission]));
        let status = sent(right).await.status();
        assert!(
            ![401, 403].contains(&status.as_u16()),
            "{what} with the right one: {status}"
        );
    }
    // What each asks for, once more by hand: a slip in a route's declaration shows here.
    let expected = [
        ("DELETE /job/{id}", "job:write"),
        ("GET /", ""),
        ("GET /assets/{name}", ""),
        ("GET /docs", ""),
        ("GET /docs/", ""),
        ("GET /docs/{file}", ""),
        ("GET /health", ""),
        ("GET /health/ready", ""),
        ("GET /health/status", "health:read"),
        ("GET /job", "job:read"),
        ("GET /job/status", "job:read"),
        ("GET /job/workers", "job:read"),
        ("GET /job/{id}", "job:read"),
        ("GET /job/{id}/events", "job:read"),
        ("GET /live", "health:read"),
        ("GET /metrics", "metrics:read"),
        ("GET /metrics.json", "metrics:read"),
        ("GET /openapi.json", ""),
        ("POST /job", "job:write"),
        ("POST /job/batch", "job:write"),
        ("POST /job/{id}/retry", "job:write"),
        ("POST /worker/{name}/drain", "worker:write"),
        ("POST /worker/{name}/undrain", "worker:write"),
    ];
    let asked: Vec<_> = asked
        .iter()
        .map(|(what, p)| (what.as_str(), p.as_str()))
        .collect();
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let key = SigningKey::new(SECRET.as_bytes()).unwrap();
    let all = token(SECRET, &Permission::ALL);
    let body = job("sleep", json!({"seconds": 600}));
    let submitted = server
        .request(Method::POST, "/job")
        .bearer_auth(&all)
        .json(&body);
    let id: Value = sent(submitted).await.json().await.unwrap();
    let events = format!("/job/{}/events", id["job_id"].as_str().unwrap());
    for path in ["/live", &events] {
        // One that is too slow to use its token gets another.
        let mut stream = until("the stream is open", async || {
            let brief = Claims::new("test", &Permission::ALL, Duration::from_secs(2));
            let brief = key.sign(&brief).unwrap();
            let answer = sent(server.request(Method::GET, path).bearer_auth(brief)).await;
            (answer.status() == 200).then_some(answer)
        })
        .await;
        assert!(stream.chunk().await.unwrap().is_some(), "{path} begins");
        while stream.chunk().await.unwrap().is_some() {}
    }
    // And the page of who has a good one is no other than before.
    let mut stream = sent(server.request(Method::GET, "/live").bearer_auth(&all)).await;
    assert!(stream.chunk().await.unwrap().is_some());
}

/// HEAD is answered by the handlers of GET, and guarded like them.
#[tokio::test]
async fn head_asks_for_what_get_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    for (method, path, permission) in routes(&server).await {
        if method == Method::GET {
            let status = sent(request(&server, &Method::HEAD, &path)).await.status();
            assert_eq!(status == 401, permission.is_some(), "{path}: {status}");
        }
    }
}

#[tokio::test]
async fn tokens_are_made_checked_and_used_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let file = format!("api.signing_key_file={}", dir.path().join("key").display());
    let create = |permission: &str| {
        let made = output(&[
            "token",
            "create",
            "--set",
            &file,
            "--permission",
            permission,
            "--subject",
            "alice",
        ]);
        assert!(made.status.success(), "{}", stderr(&made));
        stdout(&made).trim().to_owned()
    };
    let token = create("job:write");
    let told = output(&["token", "verify", "--set", &file, "--json", &token]);
    let told: Value = serde_json::from_str(&stdout(&told)).unwrap();
    assert_eq!(told["subject"], "alice");
    assert_eq!(told["permissions"], json!(["job:write"]));

    let url = server.url("");
    let submit = ["job", "submit", "node.hostname.get", "--server", &url];
    let refused = output(&submit);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("OSAPI_TOKEN"),
        "{}",
        stderr(&refused)
    );
    let done = osapi(&submit).env("OSAPI_TOKEN", &token).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let refused = output(&["job", "list", "--server", &url, "--token", &token]);
    assert!(
        stderr(&refused).contains("does not allow job:read"),
        "{}",
        stderr(&refused)
    );
    let done = output(&[
        "job",
        "list",
        "--server",
        &url,
        "--token",
        &create("job:read"),
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(!server.printed().contains(SECRET));
}

#[test]
fn a_bad_key_is_refused_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let weak = dir.path().join("weak");
    std::fs::write(&weak, "hunter2hunter2\n").unwrap();
    let in_file = format!("api.signing_key_file={}", weak.display());
    let missing = "api.signing_key_file=/nonexistent/key";
    let file = format!("api.signing_key={SECRET}");
    for (settings, expected) in [
        (&["api.signing_key=hunter2hunter2"][..], "at least 32"),
        (
            &["api.signing_key=passwordpasswordpasswordpassword"],
            "can be guessed",
        ),
        (&[in_file.as_str()], "has 14 bytes"),
        (&[missing], "cannot read /nonexistent/key"),
        (&[file.as_str(), &in_file], "set one of the two"),
        (&["telemetry.metrics.auth=bearer"], "api.signing_key"),
        (
            &["telemetry.metrics.tls={cert: a, key: b}"],
            "telemetry.metrics.listen",
        ),
        (
            &["api.tls={cert: /nonexistent/c, key: b}"],
            "cannot read /nonexistent/c",
        ),
        (&["api.listen=0.0.0.0:0"], "api.signing_key_file"),
        (
            &[file.as_str(), "telemetry.metrics.listen=0.0.0.0:0"],
            "telemetry.metrics.auth: bearer",
        ),
    ] {
        for command in [&["config", "check"][..], &["api"]] {
            let mut args = command.to_vec();
            settings
                .iter()
                .for_each(|setting| args.extend(["--set", *setting]));
            let refused = output(&args);
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(64), "{args:?}: {said}");
            assert!(said.contains(expected), "{args:?}: {said}");
            assert!(
                !said.contains("hunter2") && !said.contains(SECRET),
                "{said}"
            );
        }
    }
    let shown = output(&["config", "show", "--set", &file]);
    assert!(shown.status.success() && !stdout(&shown).contains(SECRET));
    let refused = output(&["token", "create", "--permission", "job:read"]);
    assert!(
        stderr(&refused).contains("no key to sign with"),
        "{}",
        stderr(&refused)
    );
    let refused = output(&[
        "token",
        "create",
        "--set",
        &file,
        "--permission",
        "job:rule",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("job:read, job:write"),
        "{}",
        stderr(&refused)
    );
}

//! Web pages of others, in the browser of somebody who may do more than they.

use osapi::access::Permission;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{SECRET, locked, sent, token};
use crate::support::{client, job, problem, up};

/// A browser sends these by itself, whatever the page's script wants.
fn from_page(request: RequestBuilder, origin: &str, site: &str) -> RequestBuilder {
    request
        .header("origin", origin)
        .header("sec-fetch-site", site)
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing_from_an_open_api() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    let body = job("sleep", json!({"seconds": 0})).to_string();
    let post = || server.request(Method::POST, "/job").body(body.clone());

    // fetch(..., {mode: "no-cors"}) and forms: a content type that asks no permission first.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let plain = post().header("content-type", kind);
        problem(
            sent(from_page(plain, "http://evil.example", "cross-site")).await,
            403,
        )
        .await;
        // Even were the origin hidden, JSON has to be called JSON, which a page cannot do.
        problem(sent(post().header("content-type", kind)).await, 415).await;
    }
    // The permission that a JSON request would need first.
    let ask = server
        .request(Method::OPTIONS, "/job")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = sent(from_page(ask, "http://evil.example", "cross-site")).await;
    assert_eq!(answer.status(), 403);
    assert!(
        answer
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    // new EventSource(...), <img>, <script>: no preflight, and for the latter two no Origin.
    let events = format!("/job/{id}/events");
    let stream = server
        .request(Method::GET, &events)
        .header("accept", "text/event-stream");
    problem(
        sent(from_page(stream, "http://evil.example", "cross-site")).await,
        403,
    )
    .await;
    for path in [events.as_str(), "/job", "/metrics", "/openapi.json"] {
        let hidden = server
            .request(Method::GET, path)
            .header("sec-fetch-site", "cross-site");
        problem(sent(hidden).await, 403).await;
        // A name of the attacker's that now leads here: for the browser all of it is one origin.
        let rebound = server
            .request(Method::GET, path)
            .header("host", "evil.example");
        let rebound = from_page(rebound, "http://evil.example", "same-origin");
        problem(sent(rebound).await, 421).await;
    }
    assert_eq!(
        server.get("/job").await.1["total_items"],
        1,
        "only the owner's job"
    );
}

#[tokio::test]
async fn a_page_of_another_origin_has_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let token = token(SECRET, &Permission::ALL);
    let body = job("sleep", json!({"seconds": 0}));
    let post = || server.request(Method::POST, "/job").json(&body);
    problem(
        sent(from_page(post(), "http://evil.example", "cross-site")).await,
        403,
    )
    .await;
    problem(sent(post().header("host", "evil.example")).await, 401).await;
    // A proxy in front has a name of its own, and so has the page that comes through it.
    let proxied = post().header("host", "jobs.example").bearer_auth(&token);
    let proxied = from_page(proxied, "https://jobs.example", "same-origin");
    assert_eq!(sent(proxied).await.status(), 201);
    // Nor does a token in the address count, where logs and histories would keep it.
    let address = format!("/job?access_token={token}");
    assert_eq!(sent(client().get(server.url(&address))).await.status(), 401);
}

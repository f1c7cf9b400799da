//! The page at `/`, its files, and the readings it lives on.

mod live;
mod with_python {
    mod with_chromium;
}

use reqwest::{Method, StatusCode};

use crate::support::up;

#[tokio::test]
async fn the_page_and_its_files_are_served_with_a_strict_policy() {
    let server = up(&[]);
    let page = server.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let html = page.text().await.unwrap();
    let files: Vec<_> = html
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files.into_iter().chain(["/"]) {
        let answer = server.request(Method::GET, file).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{file}");
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let again = server.request(Method::GET, file);
        let again = again.header("if-none-match", header("etag"));
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{file}");
        assert!(again.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn nothing_but_the_page_s_own_files_is_an_asset() {
    let server = up(&[]);
    for path in [
        "/assets/",
        "/assets/nope.js",
        "/assets/..%2fmain.js",
        "/assets/vendor/uplot/uPlot.min.css",
        "/index.html",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!(status, 404, "{path}: {body}");
    }
}

#[tokio::test]
async fn a_link_from_elsewhere_opens_the_page_but_reads_nothing() {
    let server = up(&[]);
    let from_elsewhere = |path| {
        let request = server.request(Method::GET, path);
        request.header("sec-fetch-site", "cross-site").send()
    };
    assert_eq!(from_elsewhere("/").await.unwrap().status(), 200);
    assert_eq!(from_elsewhere("/live").await.unwrap().status(), 403);
    assert_eq!(from_elsewhere("/job").await.unwrap().status(), 403);
}

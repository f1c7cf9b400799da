//! The API's description, held against the API, and the page it is browsed by.

use reqwest::Method;

use crate::support::up;

#[tokio::test]
async fn the_description_is_openapi_3_1_and_says_where_it_is_browsed() {
    let server = up(&[]);
    let (status, document) = server.get("/openapi.json").await;
    assert_eq!(status, 200);
    assert_eq!(document["openapi"].as_str().unwrap()[..4], *"3.1.");
    let moved = server.request(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(moved.status(), 200, "led to the page");
    assert_eq!(moved.url().path(), "/docs/");
    let policy = moved.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
        "{policy}"
    );
}

#[tokio::test]
async fn the_licence_of_what_is_embedded_is_kept_for_its_version() {
    let server = up(&[]);
    let bundle = server.request(Method::GET, "/docs/swagger-ui-bundle.js");
    let bundle = bundle.send().await.unwrap().text().await.unwrap();
    let readme = include_str!("../../assets/vendor/swagger-ui/README.md");
    let version = readme.split([' ', ',']).nth(2).unwrap();
    assert!(bundle.contains(&format!("\"{version}\"")), "not {version}");
}

mod with_python {
    mod with_chromium {
        use tokio::task::block_in_place;
        use xtask::{Browser, Screen};

        use crate::support::up;

        #[tokio::test(flavor = "multi_thread")]
        async fn the_api_is_browsed_and_tried_out() {
            let server = up(&[]);
            block_in_place(|| {
                let mut browser = Browser::start();
                assert_eq!(browser.open(&server.url("/docs/"), Screen::DESKTOP), 200);
                browser.wait("document.querySelectorAll('.opblock').length >= 20");
                let health = "[id='operations-health-live']";
                browser.click(&format!("{health} .opblock-summary-control"));
                browser.click(&format!("{health} .try-out__btn"));
                browser.click(&format!("{health} .execute"));
                browser.wait(
                    "document.querySelector('.live-responses-table .response .response-col_status')\
                     ?.textContent.includes('200')",
                );
                let (trouble, hosts) = browser.seen();
                assert_eq!(trouble, Vec::<String>::new());
                assert_eq!(hosts, [server.address.to_string()]);
            });
        }
    }
}

mod with_schemathesis {
    use std::process::Command;

    use osapi::access::Permission;
    use xtask::tools::Tool;

    use crate::access::{SECRET, locked, token};

    /// schemathesis makes requests of the description, some as it says and some not, and sequences of
    /// them; each answer has to be one that is described, and what is said to be refused refused.
    #[tokio::test(flavor = "multi_thread")]
    async fn schemathesis_finds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let server = locked(dir.path());
        let bearer = format!("Authorization: Bearer {}", token(SECRET, &Permission::ALL));
        let mut schemathesis = Command::new(Tool::Schemathesis.path());
        schemathesis
            .current_dir(dir.path())
            .args(["run", &server.url("/openapi.json")]);
        schemathesis.args(["--header", &bearer]);
        schemathesis.args(["--seed", "1", "--max-examples", "20"]);
        // Streams, which end when their job does, or never.
        schemathesis.args(["--exclude-path", "/live"]);
        schemathesis.args(["--exclude-path", "/job/{id}/events"]);
        // DELETE cancels a job that has not ended, and its record stays, on purpose.
        schemathesis.args(["--exclude-checks", "use_after_free"]);
        schemathesis.arg("--no-color");
        let ran = tokio::task::spawn_blocking(move || schemathesis.output());
        let ran = ran.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{said}");
        let tested = said
            .lines()
            .find_map(|line| line.trim().strip_prefix("Tested: "));
        let tested: usize = tested.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        assert!(tested >= 20, "only {tested} operations were tried: {said}");
    }
}

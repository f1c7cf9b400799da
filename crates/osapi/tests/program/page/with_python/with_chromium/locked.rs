//! The page where tokens are needed.

use osapi::access::Permission;
use tokio::task::block_in_place;
use xtask::{Browser, Screen};

use super::{assert_quiet, shown};
use crate::access::{SECRET, locked, token};

const ASKED: &str = "document.querySelector('#token').open";
const TITLE: &str = "document.querySelector('#job-title').textContent";

fn give(browser: &mut Browser, token: &str) {
    browser.wait(ASKED);
    browser.fill("#token-value", token);
    browser.click("#token-form .primary");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_for_a_token_keeps_it_in_memory_and_works_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    let token = token(SECRET, &Permission::ALL);
    block_in_place(|| {
        let mut browser = Browser::start();
        assert_eq!(browser.open(&server.url("/"), Screen::DESKTOP), 200);
        browser.wait(ASKED);
        // It says who it is for, and does not go away.
        assert_eq!(browser.accessibility_faults(), Vec::<String>::new());
        browser.press("Escape");
        browser.wait(ASKED);
        give(&mut browser, &token);
        browser.wait("document.querySelector('#state.ok')");
        browser.wait("document.querySelectorAll('#worker-rows .state.ready').length > 0");

        browser.click("#submit-open");
        browser.select("#operation", "sleep");
        browser.fill("#data", "{\"seconds\": 0.2}");
        browser.click("#submit-form .primary");
        let completed =
            "document.querySelector('#job[open] .timeline')?.textContent.includes('completed on')";
        browser.wait(completed);
        let first = browser.evaluate(TITLE);
        browser.click("#job-retry");
        browser.wait(&format!("{TITLE} !== '{}'", first.as_str().unwrap()));
        browser.wait(completed);
        browser.press("Escape");
        browser.wait("document.querySelectorAll('#job-rows .state.completed').length === 2");
        browser.click("#worker-rows button");
        browser.wait("document.querySelector('#worker-rows .state.draining')");
        assert!(shown(&mut browser, "Memory").contains("MiB"));
        assert_quiet(&mut browser, &server);

        // Nothing but the page's own memory has it, so a page that is loaded anew asks again.
        let kept = browser.evaluate(
            "[location.href, document.cookie, document.documentElement.outerHTML, \
              document.querySelector('#token-value').value, \
              JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join()",
        );
        assert!(!kept.as_str().unwrap().contains(&token), "{kept}");
        browser.evaluate("setTimeout(() => location.reload(), 0)");
        browser.wait(ASKED);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_said_so_and_another_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = locked(dir.path());
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&server.url("/"), Screen::PHONE);
        give(&mut browser, "no.good.token");
        browser.wait("document.querySelector('#token-said').textContent.includes('refused')");
        give(&mut browser, &token(SECRET, &[Permission::JobRead]));
        browser.wait("document.querySelector('#state.away').textContent.includes('health:read')");
        // The browser logs each refusal, and there is nothing else to complain of.
        let (trouble, hosts) = browser.seen();
        let refusals = |text: &String| text.contains("401") || text.contains("403");
        assert!(trouble.iter().all(refusals), "{trouble:?}");
        assert_eq!(hosts, [server.address.to_string()]);
    });
}

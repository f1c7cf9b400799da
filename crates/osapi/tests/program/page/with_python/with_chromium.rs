//! The page in a real browser.

mod broker;
mod locked;

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::block_in_place;
use xtask::{Browser, Screen};

use crate::support::{Server, api, up};

/// Asserts that the page complained of nothing and asked nobody but its own server.
fn assert_quiet(browser: &mut Browser, server: &Server) {
    let (trouble, hosts) = browser.seen();
    assert_eq!(trouble, Vec::<String>::new());
    assert_eq!(hosts, [server.address.to_string()]);
}

/// The value a chart shows for one of its lines, as text.
fn shown(browser: &mut Browser, chart: &str) -> String {
    let script = format!(
        "document.querySelector('.plot[aria-label^=\"{chart}\"]')?.getAttribute('aria-label')"
    );
    browser.evaluate(&script).as_str().unwrap().to_owned()
}

/// Requests and jobs, until it is dropped.
struct Load(tokio::task::JoinHandle<()>);

impl Load {
    fn on(server: &Server) -> Self {
        let url = server.url("");
        Self(tokio::spawn(async move {
            let client = crate::support::client();
            let job = crate::support::job("sleep", json!({"seconds": 0.05}));
            loop {
                let submitted = client.post(format!("{url}/job")).json(&job).send().await;
                let asked = client.get(format!("{url}/job/status")).send().await;
                if submitted.is_err() || asked.is_err() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_move_while_load_runs() {
    let server = up(&[]);
    let load = Load::on(&server);
    block_in_place(|| {
        let mut browser = Browser::start();
        assert_eq!(browser.open(&server.url("/"), Screen::DESKTOP), 200);
        let moves = |chart: &str, label: &str| {
            format!(
                "/{label} [1-9]/.test(document.querySelector('.plot[aria-label^=\"{chart}\"]')\
                 ?.getAttribute('aria-label') ?? '')"
            )
        };
        for (chart, label) in [
            ("Requests:", "all"),
            ("Latency:", "p99"),
            ("Jobs:", "done"),
            ("Database requests:", "transactions"),
            ("Memory of this process:", "resident"),
        ] {
            browser.wait(&moves(chart, label));
        }
        // The lines are drawn, not only their numbers: the canvas is not of one colour.
        let drawn = browser.evaluate(
            "(() => { const c = document.querySelector('.chart canvas');
               const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
               return new Set(new Uint32Array(d.buffer)).size > 5; })()",
        );
        assert_eq!(drawn, true);
        browser.wait("document.querySelectorAll('#route-rows th').length >= 2");
        browser.select("#route", "POST /job");
        browser.wait(&moves("Requests:", "all"));
        drop(load);
        // What stops shows as having stopped.
        browser.wait(
            "document.querySelector('.plot[aria-label^=\"Jobs:\"]').getAttribute('aria-label')\
             .includes('created 0/s')",
        );
        assert_quiet(&mut browser, &server);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_watched_and_retried() {
    let server = up(&[]);
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&server.url("/"), Screen::DESKTOP);
        browser.wait("document.querySelector('#operation option[value=sleep]')");
        browser.click("#submit-open");
        browser.select("#operation", "sleep");
        browser.fill("#data", "{\"seconds\": 1, ");
        browser.click("#submit-form .primary");
        browser.wait("document.querySelector('#submit-said').textContent.includes('not JSON')");
        browser.fill("#data", "{\"seconds\": \"long\"}");
        browser.click("#submit-form .primary");
        browser.wait("document.querySelector('#submit-said').textContent.includes('seconds')");
        browser.fill("#data", "{\"seconds\": 1}");
        browser.click("#submit-form .primary");
        let timeline = |event: &str| {
            format!(
                "document.querySelector('#job[open] .timeline')?.textContent.includes('{event}')"
            )
        };
        browser.wait(&timeline("started on"));
        browser.wait(&timeline("completed on"));
        let title = "document.querySelector('#job-title').textContent";
        let first = browser.evaluate(title);
        browser.click("#job-retry");
        browser.wait(&format!("{title} !== '{}'", first.as_str().unwrap()));
        browser.wait(&timeline("completed on"));
        browser.press("Escape");
        browser.wait("!document.querySelector('#job').open");
        // Both are in the list; one is opened from there and removed.
        browser.wait("document.querySelectorAll('#job-rows .state.completed').length === 2");
        browser.click("#job-rows tr:last-child button");
        browser.click("#job-remove");
        browser.wait("document.querySelectorAll('#job-rows tr').length === 1");
        assert_quiet_but(&mut browser, &server, "400");
    });
}

/// As [`assert_quiet`], but for the one refusal that the test provoked: the browser logs each.
fn assert_quiet_but(browser: &mut Browser, server: &Server, status: &str) {
    let (trouble, hosts) = browser.seen();
    assert_eq!(trouble.len(), 1, "{trouble:?}");
    assert!(trouble[0].contains(status), "{trouble:?}");
    assert_eq!(hosts, [server.address.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_will_do() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 30})).await;
    server.wait(&id, &["processing"]).await;
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&server.url("/"), Screen::DESKTOP);
        browser.wait("document.querySelector('#job-rows .state.processing')");
        let focus = |browser: &mut Browser, wanted: &str| {
            for _ in 0..60 {
                browser.press("Tab");
                if browser.evaluate(&format!("document.activeElement.matches('{wanted}')")) == true
                {
                    return;
                }
            }
            panic!("the focus never came to {wanted}");
        };
        focus(&mut browser, "#worker-rows button");
        browser.press("Enter");
        browser.wait("document.querySelector('#worker-rows .state.draining')");
        // The row was drawn anew and has kept the focus.
        browser.press("Enter");
        browser.wait("document.querySelector('#worker-rows .state.ready')");
        focus(&mut browser, "#job-rows button");
        browser.press("Enter");
        browser.wait("document.querySelector('#job[open] .state.processing')");
        focus(&mut browser, "#job-cancel");
        browser.press("Enter");
        browser.wait("document.querySelector('#job[open] .state.cancelled')");
        browser.press("Escape");
        browser.wait("document.activeElement.matches('#job-rows button')");
        assert_quiet(&mut browser, &server);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jobs_contain_is_shown_as_text() {
    let hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    let server = up(&["--set", "worker.allow_commands=[\"/bin/echo\"]"]);
    let id = server
        .submit(
            "command.exec",
            json!({"program": "/bin/echo", "args": [hostile]}),
        )
        .await;
    server.wait(&id, &["completed"]).await;
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&server.url("/"), Screen::DESKTOP);
        browser.wait("document.querySelector('#job-rows button')");
        browser.click("#job-rows button");
        browser.wait("document.querySelector('#job-body').textContent.includes('<img src=x')");
        let elements =
            browser.evaluate("document.querySelectorAll('#job-body img, #job-body script').length");
        assert_eq!(elements, 0);
        assert_quiet(&mut browser, &server);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_back_when_the_server_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = api(dir.path(), &[]);
    let address = server.address;
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&server.url("/"), Screen::DESKTOP);
        browser.wait("document.querySelector('#state.ok')");
        server.kill();
        browser.wait("document.querySelector('#state.away')");
        let listen = format!("api.listen={address}");
        let _again = api(dir.path(), &["--set", &listen]);
        browser.wait("document.querySelector('#state.ok')");
    });
}

fn picture_of_the_readme() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/page.png")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_accessible_and_fits_large_and_small_light_and_dark() {
    let server = up(&[]);
    let _load = Load::on(&server);
    let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&pictures).unwrap();
    block_in_place(|| {
        let mut browser = Browser::start();
        for (name, screen) in [
            ("desktop-light", Screen::DESKTOP),
            ("desktop-dark", Screen::DESKTOP.in_the_dark()),
            ("phone-light", Screen::PHONE),
            ("phone-dark", Screen::PHONE.in_the_dark()),
        ] {
            browser.open(&server.url("/"), screen);
            browser.wait("document.querySelectorAll('#job-rows button').length > 3");
            browser.wait("document.querySelectorAll('.chart canvas').length >= 9");
            let sideways = browser.evaluate("document.documentElement.scrollWidth > innerWidth");
            assert_eq!(sideways, false, "{name} scrolls sideways");
            browser.screenshot(&pictures.join(format!("{name}.png")), true);
            if name == "desktop-light" && std::env::var_os("METERLINE_BLESS").is_some() {
                browser.wait(
                    "/up [3-9][0-9] s|min/.test(document.querySelector('#about').textContent)",
                );
                browser.screenshot(&picture_of_the_readme(), false);
            }
            let theme = browser.evaluate("document.documentElement.dataset.theme");
            assert_eq!(theme, if screen.dark { "dark" } else { "light" });
            let faults = browser.accessibility_faults();
            assert_eq!(faults, Vec::<String>::new(), "{name}");
            browser.click("#submit-open");
            assert_eq!(
                browser.accessibility_faults(),
                Vec::<String>::new(),
                "{name}, the form"
            );
            browser.press("Escape");
            assert_quiet(&mut browser, &server);
        }
        assert_ne!(shown(&mut browser, "Jobs"), Value::Null.to_string());
    });
}

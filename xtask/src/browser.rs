use serde_json::{Value, json};

use crate::python::Python;
use crate::tools::Tool;

/// A headless Chromium with one page open at a time, driven by `xtask/py/page.py`.
///
/// Every method panics if the browser does not do within 45 s what it is asked. It ends when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Python,
}

/// The size and colours of a page.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// What the user prefers.
    pub dark: bool,
}

impl Screen {
    /// A laptop's.
    pub const DESKTOP: Self = Self {
        width: 1280,
        height: 900,
        dark: false,
    };
    /// A telephone's.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
        dark: false,
    };

    /// The same in the dark.
    #[must_use]
    pub fn in_the_dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl Browser {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let chromium = Tool::Chromium.path();
        let driver = Python::start_with("page.py", &[("CHROMIUM", chromium.as_os_str())]);
        Self { driver }
    }

    /// Opens an address in a fresh context; returns the status of the answer.
    pub fn open(&mut self, url: &str, screen: Screen) -> u64 {
        let Screen {
            width,
            height,
            dark,
        } = screen;
        let scheme = if dark { "dark" } else { "light" };
        let answer = self.ask(
            &json!({"do": "open", "url": url, "width": width, "height": height, "scheme": scheme}),
        );
        answer["status"].as_u64().unwrap_or_default()
    }

    /// Waits until an expression of JavaScript is true.
    pub fn wait(&mut self, until: &str) {
        self.ask(&json!({"do": "wait", "until": until}));
    }

    /// The value of an expression of JavaScript.
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.ask(&json!({"do": "evaluate", "script": script}))["value"].take()
    }

    /// Clicks on an element, named by a CSS selector.
    pub fn click(&mut self, selector: &str) {
        self.ask(&json!({"do": "click", "selector": selector}));
    }

    /// Replaces the text of a field.
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.ask(&json!({"do": "fill", "selector": selector, "text": text}));
    }

    /// Chooses an option of a list by its value.
    pub fn select(&mut self, selector: &str, option: &str) {
        self.ask(&json!({"do": "select", "selector": selector, "option": option}));
    }

    /// Presses a key, such as `Enter`, where the focus is.
    pub fn press(&mut self, key: &str) {
        self.ask(&json!({"do": "press", "key": key}));
    }

    /// Writes a picture of what is in the window, or of the whole page, as PNG.
    pub fn screenshot(&mut self, path: &std::path::Path, whole: bool) {
        self.ask(&json!({"do": "screenshot", "path": path, "whole": whole}));
    }

    /// The accessibility faults that axe-core finds, each as `impact rule: where`.
    pub fn accessibility_faults(&mut self) -> Vec<String> {
        texts(&self.ask(&json!({"do": "axe"}))["faults"])
    }

    /// What the page complained of since it was opened (errors, warnings, what the policy forbade), and
    /// the hosts it sent requests to.
    pub fn seen(&mut self) -> (Vec<String>, Vec<String>) {
        let answer = self.ask(&json!({"do": "seen"}));
        (texts(&answer["trouble"]), texts(&answer["hosts"]))
    }

    fn ask(&mut self, request: &Value) -> Value {
        let answer = self.driver.request(request);
        assert!(answer["error"].is_null(), "{request}: {}", answer["error"]);
        answer
    }
}

impl Drop for Browser {
    /// Lets the browser's processes end in order, unless something went wrong already.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask(&json!({"do": "quit"}));
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

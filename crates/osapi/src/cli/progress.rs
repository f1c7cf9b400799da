//! What commands that wait say meanwhile: a line on standard error that stays in its place, and only
//! where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line moves on by itself.
const TICK: Duration = Duration::from_millis(120);

/// A line that tells what is waited for, and for how long.
pub(super) fn line() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    style(&bar, "{spinner} {elapsed} {wide_msg}");
    bar.enable_steady_tick(TICK);
    bar
}

/// A bar of so many steps.
pub(super) fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    style(&bar, "{msg} {wide_bar} {percent}% {eta}");
    bar.enable_steady_tick(TICK);
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    // The templates are ours; with a wrong one the default would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

//! The example as readers run it.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn worker() {
    // Beside the directory of this test, where `cargo test` builds it.
    let mut program: PathBuf = std::env::current_exe().expect("it runs");
    program.pop();
    program.pop();
    program.push("examples/worker");
    assert!(
        program.exists(),
        "{} is not built: cargo build -p meterline-jobs --examples",
        program.display()
    );
    let output = Command::new(program).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let page = String::from_utf8(output.stdout).expect("it is text");
    for (series, value) in [
        ("shop_jobs_created_total{operation=\"mail.send\"", "2"),
        ("shop_jobs_completed_total{operation=\"mail.send\"", "2"),
        ("shop_jobs_completed_total{operation=\"invoice.print\"", "1"),
        // The attempt that panicked.
        (
            "shop_job_duration_seconds_count{operation=\"mail.lose\"",
            "1",
        ),
        ("shop_jobs_active{operation=\"mail.lose\"", "0"),
        ("shop_jobs_queued{", "0"),
    ] {
        let line = page.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series}: {page}"));
        assert!(line.ends_with(&format!(" {value}")), "{line}");
    }
}

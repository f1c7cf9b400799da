//! A disk that is full, and has room again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, job, osapi, problem, spawn, until};

/// The same command with a file system of its own on `dir`, which ends with it. As root in a mount
/// namespace, else in a user namespace as well; where neither is allowed, the command fails and says so.
pub(crate) fn in_namespace(dir: &Path, options: &str, command: &Command) -> Command {
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" || { \
                  echo 'this test needs to mount a tmpfs: as root, or with user namespaces' >&2; exit 99; }; \
                  shift 2; exec \"$@\"";
    let kind = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let mut inside = Command::new("unshare");
    inside
        .args([kind, "sh", "-c", script, "sh", options])
        .arg(dir);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside.stdin(std::process::Stdio::null());
    inside
}

/// The mounted directory as this process reaches it.
fn seen_from_here(server: &Server, dir: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", server.pid()));
    root.join(dir.strip_prefix("/").unwrap())
}

/// Submits a batch of jobs with some weight.
async fn batch(server: &Server) -> Result<Vec<String>, reqwest::Response> {
    let name = ["x".repeat(60).as_str(); 4].join(".");
    let heavy = job("network.dns.get", json!({ "name": name }));
    let mut heavy = heavy;
    heavy["target_hostname"] = json!("nobody");
    let body = json!({"jobs": vec![heavy; 100]});
    let request = server.request(Method::POST, "/job/batch").json(&body);
    let answer = request.send().await.unwrap();
    if answer.status() != StatusCode::CREATED {
        return Err(answer);
    }
    let accepted: Value = answer.json().await.unwrap();
    let jobs = accepted["jobs"].as_array().unwrap().iter();
    Ok(jobs
        .map(|job| job["job_id"].as_str().unwrap().to_owned())
        .collect())
}

/// Waits until the gauge of the queue follows what happened to it.
async fn subsystem_is(server: &Server, wanted: f64) {
    until("the gauge of the queue follows", async || {
        let page = crate::metrics::page::scrape(server).await;
        assert!(page.families.contains_key("osapi_component_up"));
        let up = page.sum("osapi_subsystem_up", &[("subsystem", "queue")]);
        (up == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_refuses_jobs_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let args = ["up", "--listen", "127.0.0.1:0", "--data-dir", data];
    let command = in_namespace(dir.path(), "size=8m", &osapi(&args));
    let server = spawn(command, dir.path(), |printed| {
        let (_, rest) = printed.split_once("jobs     http://")?;
        rest.split_once("/job\n")?.0.parse().ok()
    });
    let inside = seen_from_here(&server, dir.path());
    let mut acknowledged = batch(&server).await.unwrap();
    // One that runs meanwhile, and ends when its end cannot be written down.
    let running = server.submit("sleep", json!({"seconds": 1})).await;
    server.wait(&running, &["processing"]).await;

    // Take what is left, then submit until what SQLite had set aside is used up, too.
    let mut filler = File::create(inside.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    drop(filler);
    let mut refusal = None;
    for _ in 0..1_000 {
        match batch(&server).await {
            Ok(ids) => acknowledged.extend(ids),
            Err(answer) => {
                refusal = Some(answer);
                break;
            }
        }
    }
    let refusal = refusal.expect("eight megabytes are full at some time");
    let wait = refusal.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u32>().unwrap() > 0);
    assert!(problem(refusal, 503).await.contains("full"));
    // The process lives, says that it is not ready, and still shows what it has.
    assert_eq!(server.get("/health").await.0, 200);
    until("it is not ready", async || {
        (server.get("/health/ready").await.0 == 503).then_some(())
    })
    .await;
    let last = acknowledged.last().unwrap();
    assert_eq!(server.get(&format!("/job/{last}")).await.0, 200);
    let listed = |page: &Value| page["total_items"].as_u64().unwrap();
    let (_, page) = server.get("/job").await;
    assert_eq!(
        listed(&page),
        acknowledged.len() as u64 + 1,
        "nothing half done"
    );
    subsystem_is(&server, 0.0).await;

    until("the attempt has ended", async || {
        let page = crate::metrics::page::scrape(&server).await;
        (page.sum("osapi_jobs_active", &[]) == 0.0).then_some(())
    })
    .await;

    fs::remove_file(inside.join("filler")).unwrap();
    until("it goes on", async || {
        let ids = batch(&server).await.ok()?;
        acknowledged.extend(ids);
        Some(())
    })
    .await;
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    until("it is ready", async || {
        (server.get("/health/ready").await.0 == 200).then_some(())
    })
    .await;
    subsystem_is(&server, 1.0).await;
    let (_, page) = server.get("/job").await;
    assert_eq!(listed(&page), acknowledged.len() as u64 + 2);
    let record = server.wait(&running, &["completed"]).await;
    assert_eq!(record["attempts"], 1, "its result was kept: {record}");
    for id in acknowledged.iter().step_by(97) {
        assert_eq!(
            server.get(&format!("/job/{id}")).await.1["status"],
            "submitted"
        );
    }
}

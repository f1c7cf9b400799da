use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools::Tool;

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The labels of one series.
pub type Labels = BTreeMap<String, String>;

/// A job for Prometheus to scrape, every second.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, the label `job`; each job has its own.
    pub job: String,
    /// `host:port`.
    pub address: String,
    /// The path of the exposition.
    pub path: String,
}

impl Target {
    /// `/metrics` at this address.
    #[must_use]
    pub fn new(job: &str, address: SocketAddr) -> Self {
        Self {
            job: job.to_owned(),
            address: address.to_string(),
            path: "/metrics".to_owned(),
        }
    }
}

/// How Prometheus fares with one target.
#[derive(Clone, Debug)]
pub struct TargetHealth {
    /// The job's name.
    pub job: String,
    /// `unknown` before the first scrape, then `up` or `down`.
    pub health: String,
    /// Why the last scrape failed; empty if it did not.
    pub last_error: String,
}

/// A real Prometheus, on a free loopback port, with its data in a directory of its own. It is killed
/// and its data removed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    log: Log,
    log_reader: Option<JoinHandle<()>>,
    address: String,
    client: ureq::Agent,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these targets, and waits until it is ready.
    ///
    /// # Panics
    /// If there is no Prometheus, it refuses the targets (two jobs of the same name, say), or it is
    /// not ready within a minute; with its log.
    #[must_use]
    pub fn start(targets: &[Target]) -> Self {
        Self::start_with(targets, &[])
    }

    /// As [`Self::start`], and evaluates a file of rules every second.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with_rules(targets: &[Target], rules: &str) -> Self {
        Self::launch(targets, Some(rules), &[])
    }

    /// As [`Self::start`], with more arguments (`--enable-feature=...`).
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(targets: &[Target], arguments: &[&str]) -> Self {
        Self::launch(targets, None, arguments)
    }

    fn launch(targets: &[Target], rules: Option<&str>, arguments: &[&str]) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let config = directory.path().join("prometheus.yml");
        if let Some(rules) = rules {
            fs::write(directory.path().join(RULES), rules).expect("its rules can be written");
        }
        fs::write(&config, config_of(targets, rules.is_some()))
            .expect("its configuration can be written");
        let mut child = Command::new(Tool::Prometheus.path())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Prometheus can be run");
        let log = Log::default();
        let stderr = child.stderr.take().expect("standard error is piped");
        let log_reader = thread::spawn({
            let log = log.clone();
            move || log.read(stderr)
        });
        let mut prometheus = Self {
            child,
            log,
            log_reader: Some(log_reader),
            address: String::new(),
            client: client(),
            _directory: directory,
        };
        prometheus.wait_until_ready();
        prometheus
    }

    /// `http://` and its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value now of every series an expression gives; a scalar gives one without labels.
    ///
    /// # Panics
    /// If Prometheus refuses the expression or does not answer.
    #[must_use]
    pub fn query(&self, promql: &str) -> Vec<(Labels, f64)> {
        let answer = self.get("/api/v1/query", &[("query", promql)]);
        let result = &answer["data"]["result"];
        match answer["data"]["resultType"].as_str() {
            Some("scalar") => vec![(Labels::new(), value_of(result))],
            Some("vector") => result.as_array().map_or_else(Vec::new, |series| {
                let series = series.iter();
                series
                    .map(|one| (labels_of(&one["metric"]), value_of(&one["value"])))
                    .collect()
            }),
            other => panic!("{promql:?} gives a {other:?}, not a vector or scalar"),
        }
    }

    /// Asks again and again until the answer is as wanted, and returns it.
    ///
    /// # Panics
    /// If it is not within `limit`: with the last answer and the health of every target.
    pub fn wait_for(
        &self,
        promql: &str,
        limit: Duration,
        wanted: impl Fn(&[(Labels, f64)]) -> bool,
    ) -> Vec<(Labels, f64)> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.query(promql);
            if wanted(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "{promql:?} gives {answer:?}, not what was wanted, after {limit:?}; targets: {:?}",
                self.targets()
            );
            thread::sleep(POLL);
        }
    }

    /// The exemplars of every series an expression names, with their labels and values, of the last
    /// hour and the next. Stored only with `--enable-feature=exemplar-storage`.
    ///
    /// # Panics
    /// As [`Self::query`].
    #[must_use]
    pub fn exemplars(&self, promql: &str) -> Vec<(Labels, f64)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let (start, end) = ((now - 3_600).to_string(), (now + 3_600).to_string());
        let query = [("query", promql), ("start", &start), ("end", &end)];
        let answer = self.get("/api/v1/query_exemplars", &query);
        let series = answer["data"].as_array().into_iter().flatten();
        let exemplars =
            series.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        exemplars
            .map(|one| {
                let value = string(&one["value"]);
                let value = value
                    .parse()
                    .unwrap_or_else(|_| panic!("{value:?} is a number"));
                (labels_of(&one["labels"]), value)
            })
            .collect()
    }

    /// Every target, and how its last scrape went.
    ///
    /// # Panics
    /// If Prometheus does not answer.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetHealth> {
        let answer = self.get("/api/v1/targets", &[("state", "active")]);
        let targets = answer["data"]["activeTargets"].as_array();
        let targets = targets.expect("Prometheus lists its targets").iter();
        targets
            .map(|target| TargetHealth {
                job: string(&target["labels"]["job"]),
                health: string(&target["health"]),
                last_error: string(&target["lastError"]),
            })
            .collect()
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(address) = self.log.address() {
                self.address = address;
                let ready = self.client.get(format!("{}/-/ready", self.url())).call();
                if ready.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
            }
            let ended = self.child.try_wait().expect("it can be waited for");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "Prometheus is not ready ({ended:?}); its log:\n{}",
                self.log.text()
            );
            thread::sleep(POLL);
        }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("{}{path}", self.url()));
        let answer = request.query_pairs(query.iter().copied()).call();
        let mut answer = answer.expect("Prometheus answers");
        let body = answer.body_mut().read_to_string();
        let body = body.expect("Prometheus answers in full");
        let value = serde_json::from_str::<Value>(&body).unwrap_or_default();
        assert_eq!(value["status"], "success", "{path} {query:?}: {body}");
        value
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.log_reader.take() {
            let _ = reader.join();
        }
    }
}

/// What Prometheus has written so far.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn read(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    }

    fn text(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    /// Where it listens, once it says so: asked for port 0, only its log knows.
    fn address(&self) -> Option<String> {
        let text = self.text();
        let line = text
            .lines()
            .find(|line| line.contains("\"Listening on\""))?;
        let (_, rest) = line.split_once("address=")?;
        rest.split_ascii_whitespace().next().map(str::to_owned)
    }
}

fn client() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    config.into()
}

/// The configuration, as JSON, which is YAML too.
/// Its rules, beside its configuration.
const RULES: &str = "rules.yml";

fn config_of(targets: &[Target], with_rules: bool) -> String {
    let jobs = targets.iter().map(|target| {
        json!({
            "job_name": target.job,
            "metrics_path": target.path,
            "static_configs": [{ "targets": [target.address] }],
        })
    });
    let config = json!({
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        },
        "rule_files": if with_rules { vec![RULES] } else { vec![] },
        "scrape_configs": jobs.collect::<Vec<_>>(),
    });
    config.to_string()
}

fn labels_of(metric: &Value) -> Labels {
    let labels = metric.as_object().into_iter().flatten();
    labels
        .map(|(name, value)| (name.clone(), string(value)))
        .collect()
}

/// Of `[time, "value"]`.
fn value_of(pair: &Value) -> f64 {
    let value = pair[1].as_str().unwrap_or_default();
    value
        .parse()
        .unwrap_or_else(|_| panic!("{value:?} is a number"))
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

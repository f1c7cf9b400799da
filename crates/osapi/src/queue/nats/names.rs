//! What streams, subjects and consumers are called.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::queue::{JobId, Target};

/// Longest part of a name that stands for text of a user's; longer text is hashed.
const LONGEST: usize = 120;

/// The names below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// `queue.nats.prefix`.
    pub(super) prefix: String,
    /// The stream of units that wait or run.
    pub(super) work: String,
    /// The stream below the bucket that holds records, the fleet and idempotency keys.
    pub(super) state: String,
    /// The stream of failed jobs.
    pub(super) dlq: String,
    /// The stream of what the broker gave up delivering.
    pub(super) advisories: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            work: format!("{prefix}_work"),
            state: format!("KV_{prefix}_state"),
            dlq: format!("{prefix}_dlq"),
            advisories: format!("{prefix}_advisories"),
        }
    }

    /// All subjects of the work stream.
    pub(super) fn all_work(&self) -> String {
        format!("{}.work.>", self.prefix)
    }

    /// The subjects of one route.
    pub(super) fn route_filter(&self, route: &Route) -> String {
        format!("{}.work.{}.*", self.prefix, route.0)
    }

    /// The subject of one unit: its own, so that it can be taken out again without being looked for.
    pub(super) fn work_of(&self, route: &Route, unit: JobId) -> String {
        format!("{}.work.{}.{unit}", self.prefix, route.0)
    }

    /// The subject of a key of the state bucket.
    pub(super) fn state_of(&self, key: &str) -> String {
        format!("$KV.{}_state.{key}", self.prefix)
    }

    /// The key a subject of the state stream stands for.
    pub(super) fn key_in<'s>(&self, subject: &'s str) -> Option<&'s str> {
        let rest = subject.strip_prefix("$KV.")?;
        rest.strip_prefix(&self.prefix)?.strip_prefix("_state.")
    }

    pub(super) fn dlq_of(&self, job: JobId) -> String {
        format!("{}.dlq.{job}", self.prefix)
    }

    /// What the broker tells when it gives up delivering a message of the work stream.
    pub(super) fn given_up(&self) -> String {
        format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{}.>", self.work)
    }
}

/// Who may take a unit; one durable consumer each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Route(String);

impl Route {
    pub(super) fn any() -> Self {
        Self("any".to_owned())
    }

    /// Workers of this name or on this host.
    pub(super) fn host(name: &str) -> Self {
        Self(format!("h-{}", token(name)))
    }

    /// This worker, for its part of a job for all.
    pub(super) fn worker(name: &str) -> Self {
        Self(format!("w-{}", token(name)))
    }

    /// The route of a job; a job for all has none, its units have.
    pub(super) fn of(target: &Target) -> Option<Self> {
        match target {
            Target::Any => Some(Self::any()),
            Target::All => None,
            Target::Host(name) => Some(Self::host(name)),
        }
    }

    /// Also the name of its consumer.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keys of the state bucket.
pub(super) fn job_key(id: JobId) -> String {
    format!("job.{id}")
}

pub(super) fn worker_key(name: &str) -> String {
    format!("worker.{}", token(name))
}

pub(super) fn idempotency_key(key: &str) -> String {
    format!("key.{}", token(key))
}

/// Where whoever wants to know that it has seen everything leaves a mark.
pub(super) const FENCE: &str = "fence";

/// Any text as one token of a subject that is also fit for the name of a consumer. No two texts give
/// the same one.
pub(super) fn token(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "={byte:02x}");
        }
    }
    if out.len() <= LONGEST && !out.is_empty() {
        return out;
    }
    // "=h" is no escape, so no short text looks like this.
    format!(
        "=h{}",
        Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_one_token() {
        assert_eq!(token("web-1"), "web-1");
        assert_eq!(token("web.example"), "web=2eexample");
        assert_eq!(token("a*>b"), "a=2a=3eb");
        let long = token(&"ä".repeat(200));
        assert!(long.len() <= LONGEST && long.starts_with("=h"), "{long}");
        assert_ne!(token("a.b"), token("a=2eb"));
        assert!(!token("").is_empty());
    }

    #[test]
    fn a_subject_of_the_bucket_gives_its_key_back() {
        let names = Names::new("osapi");
        let id = JobId::new();
        let subject = names.state_of(&job_key(id));
        assert_eq!(names.key_in(&subject), Some(job_key(id).as_str()));
        assert_eq!(names.key_in("$KV.other_state.job.1"), None);
    }
}

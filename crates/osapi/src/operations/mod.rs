//! What a job can do: typed, documented handlers, found by name.
//!
//! [`Registry::builtin`] has the operations every osapi knows; [`Registry::register`] adds one
//! written in Rust. The API checks a job against the registry before it accepts it, a worker runs it.

mod command;
mod input;
mod network;
mod node;
mod registry;
mod sleep;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::registry::{Refused, Registry};

/// Longest any operation may be told to take.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// One kind of work.
///
/// ```
/// use osapi::operations::{Context, Failure, Operation, Registry};
///
/// struct Greet;
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Greeting {
///     name: String,
/// }
///
/// impl Operation for Greet {
///     const NAME: &'static str = "demo.greet";
///     type Input = Greeting;
///
///     async fn run(&self, input: Greeting, _: Context) -> Result<serde_json::Value, Failure> {
///         Ok(serde_json::json!({ "greeting": format!("hello {}", input.name) }))
///     }
/// }
///
/// let mut registry = Registry::builtin(Vec::new());
/// registry.register(Greet);
/// assert!(registry.check("demo.greet", &serde_json::json!({"name": "you"})).is_ok());
/// assert!(registry.check("demo.greet", &serde_json::json!({"nmae": "you"})).is_err());
/// ```
pub trait Operation: Send + Sync + 'static {
    /// What jobs call it, such as `node.hostname.get`.
    const NAME: &'static str;

    /// What it is given, always as a JSON object; unknown fields should be refused
    /// (`deny_unknown_fields`).
    type Input: DeserializeOwned + Send;

    /// The JSON Schema of the input, for the API's description: any object, unless it says more.
    #[must_use]
    fn schema() -> Value {
        serde_json::json!({"type": "object"})
    }

    /// Checks what the type of the input cannot say.
    ///
    /// # Errors
    /// What is wrong with the input, for whoever submitted it.
    fn check(&self, _input: &Self::Input) -> Result<(), String> {
        Ok(())
    }

    /// Does the work. Dropping the future stops it. Runs at least once for each job, so
    /// doing it twice should do no harm.
    fn run(
        &self,
        input: Self::Input,
        context: Context,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// What an operation knows about the job it works for.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// Why an operation did not do its work.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// For people.
    pub error: String,
    /// What there is to show nonetheless.
    pub result: Option<Value>,
    /// Whether another attempt would end the same way.
    pub permanent: bool,
}

impl Failure {
    /// A failure that another attempt may not meet.
    pub fn passing(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            result: None,
            permanent: false,
        }
    }

    /// A failure that every attempt would meet.
    pub fn permanent(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            result: None,
            permanent: true,
        }
    }

    /// The same, with something to show.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }
}

//! `sleep`: takes its time, and fails on request; for trying things out.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Failure, LONGEST, Operation};

pub(super) struct Sleep;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    seconds: f64,
    /// So many attempts fail before one succeeds.
    #[serde(default)]
    fail_attempts: u32,
}

impl Operation for Sleep {
    const NAME: &'static str = "sleep";
    type Input = Input;

    fn check(&self, input: &Input) -> Result<(), String> {
        match Duration::try_from_secs_f64(input.seconds) {
            Ok(duration) if duration <= LONGEST => Ok(()),
            _ => Err(format!(
                "seconds is {}, it must be between 0 and {}",
                input.seconds,
                LONGEST.as_secs()
            )),
        }
    }

    async fn run(&self, input: Input, context: Context) -> Result<Value, Failure> {
        let duration = Duration::try_from_secs_f64(input.seconds).unwrap_or_default();
        tokio::time::sleep(duration).await;
        if context.attempt <= input.fail_attempts {
            let error = format!(
                "attempt {} of {} that were to fail",
                context.attempt, input.fail_attempts
            );
            return Err(Failure::passing(error));
        }
        Ok(json!({ "slept_seconds": input.seconds }))
    }
}

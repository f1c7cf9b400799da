//! `sleep`: takes its time, and fails on request; for trying things out.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Context, Failure, Operation, input};

pub(super) struct Sleep;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    #[serde(deserialize_with = "input::seconds")]
    #[schema(minimum = 0, maximum = 86400)]
    seconds: f64,
    /// So many attempts fail before one succeeds.
    #[serde(
        default,
        deserialize_with = "input::whole::<_, _, 0, { u32::MAX as u64 }>"
    )]
    #[schema(minimum = 0, maximum = 4294967295u32)]
    fail_attempts: u32,
}

impl Operation for Sleep {
    const NAME: &'static str = "sleep";
    type Input = Input;

    fn schema() -> Value {
        input::schema::<Input>()
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

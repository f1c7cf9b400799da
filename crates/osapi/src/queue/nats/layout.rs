//! The streams and consumers there have to be: made when missing, checked when not.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{
    Config, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, ErrorCode};
use tracing::info;

use super::names::{Names, Route};
use super::store::unavailable;
use crate::queue::{QueueError, QueueOptions};

/// The oldest server whose streams do all that is needed.
const OLDEST: (u64, u64) = (2, 10);

/// Written into every stream; a stream of a newer format is refused.
const FORMAT: &str = "osapi_format";
const KNOWN_FORMAT: i64 = 1;

/// The time within which a unit published twice is one.
const DUPLICATES: Duration = Duration::from_secs(120);

/// Deliveries after which the broker gives a message up. Far above `queue.max_attempts`, which is
/// counted in the records: this catches only what no worker can even record.
const MAX_DELIVER: i64 = 10_000;

/// A consumer of a host or a worker that nobody pulled from for so long is forgotten; what waits in
/// the stream is not.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Refuses servers that lack what is needed.
pub(super) fn check_server(info: &async_nats::ServerInfo, place: &str) -> Result<(), QueueError> {
    let mut numbers = info.version.split('.').map(|part| part.parse::<u64>().ok());
    let version = (numbers.next().flatten(), numbers.next().flatten());
    let refuse = |reason: String| QueueError::Open {
        place: place.to_owned(),
        reason,
    };
    match version {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => {}
        _ => {
            return Err(refuse(format!(
                "nats-server {} is too old: {}.{} or newer is needed",
                info.version, OLDEST.0, OLDEST.1
            )));
        }
    }
    if !info.jetstream {
        return Err(refuse(
            "JetStream is off there: start nats-server with -js, or with a jetstream section"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Makes or checks every stream.
pub(super) async fn prepare(
    jetstream: &jetstream::Context,
    names: &Names,
    replicas: usize,
    options: &QueueOptions,
) -> Result<(), QueueError> {
    for config in streams(names, replicas, options) {
        stream(jetstream, config).await?;
    }
    Ok(())
}

fn streams(names: &Names, replicas: usize, options: &QueueOptions) -> [Config; 4] {
    let base = |name: &str, subject: String, description: &str| Config {
        name: name.to_owned(),
        subjects: vec![subject],
        description: Some(description.to_owned()),
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: replicas,
        duplicate_window: DUPLICATES,
        allow_direct: true,
        metadata: HashMap::from([(FORMAT.to_owned(), KNOWN_FORMAT.to_string())]),
        ..Config::default()
    };
    [
        Config {
            retention: RetentionPolicy::WorkQueue,
            ..base(
                &names.work,
                names.all_work(),
                "osapi: units that wait or run",
            )
        },
        Config {
            max_messages_per_subject: 1,
            allow_rollup: true,
            deny_delete: true,
            ..base(
                &names.state,
                names.state_of(">"),
                "osapi: records, idempotency keys, workers",
            )
        },
        Config {
            max_messages_per_subject: 1,
            max_age: options.retention,
            duplicate_window: DUPLICATES.min(options.retention),
            ..base(
                &names.dlq,
                format!("{}.dlq.*", names.prefix),
                "osapi: jobs that failed for good",
            )
        },
        Config {
            discard: DiscardPolicy::Old,
            max_messages: 100_000,
            ..base(
                &names.advisories,
                names.given_up(),
                "osapi: what was given up delivering",
            )
        },
    ]
}

async fn stream(jetstream: &jetstream::Context, wanted: Config) -> Result<(), QueueError> {
    let found = match jetstream.get_stream(&wanted.name).await {
        Ok(found) => found.cached_info().config.clone(),
        Err(error) => {
            if let GetStreamErrorKind::JetStream(said) = error.kind()
                && said.error_code() == ErrorCode::STREAM_NOT_FOUND
            {
                return create(jetstream, wanted).await;
            }
            return Err(unavailable(format!("stream {}: {error}", wanted.name)));
        }
    };
    let place = format!("stream {}", wanted.name);
    let format = found
        .metadata
        .get(FORMAT)
        .and_then(|text| text.parse().ok());
    if let Some(format) = format
        && format > KNOWN_FORMAT
    {
        return Err(QueueError::NewerVersion {
            place,
            found: format,
            known: KNOWN_FORMAT,
        });
    }
    if let Some(reason) = differences(&found, &wanted) {
        return Err(QueueError::Corrupt { place, reason });
    }
    if found.max_age != wanted.max_age {
        let changed = Config {
            max_age: wanted.max_age,
            duplicate_window: wanted.duplicate_window,
            ..found
        };
        info!(stream = wanted.name, max_age = ?wanted.max_age, "changing how long messages are kept");
        let updated = jetstream.update_stream(&changed).await;
        updated.map_err(|error| unavailable(format!("{place}: {error}")))?;
    } else if found.num_replicas != wanted.num_replicas {
        tracing::warn!(
            stream = wanted.name,
            found = found.num_replicas,
            configured = wanted.num_replicas,
            "the stream has another number of replicas than configured; change it with the nats tool"
        );
    }
    Ok(())
}

async fn create(jetstream: &jetstream::Context, wanted: Config) -> Result<(), QueueError> {
    let name = wanted.name.clone();
    info!(
        stream = name,
        replicas = wanted.num_replicas,
        "creating a stream"
    );
    match jetstream.create_stream(wanted).await {
        Ok(_) => Ok(()),
        Err(error) => Err(QueueError::Unavailable {
            reason: format!("stream {name} cannot be created: {error}"),
            retry_after: Duration::from_secs(2),
        }),
    }
}

/// What of a stream makes it unfit, in words. What an operator may well want different (limits,
/// replicas, placement, compression) is not looked at.
fn differences(found: &Config, wanted: &Config) -> Option<String> {
    let mut differ = Vec::new();
    let mut compare = |what: &str, found: String, wanted: String| {
        if found != wanted {
            differ.push(format!("{what} is {found}, not {wanted}"));
        }
    };
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    compare(
        "its subject",
        found.subjects.join(", "),
        wanted.subjects.join(", "),
    );
    compare(
        "its retention",
        text(&found.retention),
        text(&wanted.retention),
    );
    compare("its storage", text(&found.storage), text(&wanted.storage));
    compare(
        "what it discards",
        text(&found.discard),
        text(&wanted.discard),
    );
    let per_subject = |config: &Config| config.max_messages_per_subject.max(-1).to_string();
    if wanted.max_messages_per_subject > 0 {
        compare(
            "its history per subject",
            per_subject(found),
            per_subject(wanted),
        );
    }
    compare(
        "direct reading",
        text(&found.allow_direct),
        text(&wanted.allow_direct),
    );
    compare(
        "rolling up",
        text(&found.allow_rollup),
        text(&wanted.allow_rollup),
    );
    if differ.is_empty() {
        return None;
    }
    Some(format!(
        "{}; remove the stream or choose another queue.nats.prefix",
        differ.join("; ")
    ))
}

/// Makes sure that a route's consumer is there and has this lease.
pub(super) async fn consumer(
    jetstream: &jetstream::Context,
    names: &Names,
    route: &Route,
    lease: Duration,
) -> Result<(), QueueError> {
    let failed = |reason: String| unavailable(format!("consumer {}: {reason}", route.as_str()));
    let stream = jetstream.get_stream_no_info(&names.work).await;
    let stream = stream.map_err(|error| failed(error.to_string()))?;
    let forgotten = if *route == Route::any() {
        Duration::ZERO
    } else {
        FORGOTTEN_AFTER
    };
    let wanted = pull::Config {
        durable_name: Some(route.as_str().to_owned()),
        filter_subject: names.route_filter(route),
        ack_policy: AckPolicy::Explicit,
        ack_wait: lease,
        max_deliver: MAX_DELIVER,
        // Units that wait for their next attempt count, too: a limit would let them hold up the others.
        max_ack_pending: -1,
        inactive_threshold: forgotten,
        ..pull::Config::default()
    };
    match stream.consumer_info(route.as_str()).await {
        Ok(info) => {
            let found = info.config;
            if found.filter_subject != wanted.filter_subject
                || found.ack_policy != wanted.ack_policy
                || found.deliver_subject.is_some()
            {
                return Err(QueueError::Corrupt {
                    place: format!("consumer {} of stream {}", route.as_str(), names.work),
                    reason: "it has another filter or acknowledgement: remove it".to_owned(),
                });
            }
            if found.ack_wait == lease {
                return Ok(());
            }
            info!(
                consumer = route.as_str(),
                from = ?found.ack_wait, to = ?lease,
                "queue.lease has changed: changing the consumer"
            );
        }
        Err(error)
            if matches!(
                error.kind(),
                async_nats::jetstream::context::ConsumerInfoErrorKind::NotFound
            ) => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let made = stream.create_consumer(wanted).await;
    made.map(|_| ()).map_err(|error| match error.kind() {
        ConsumerErrorKind::JetStream(said) => failed(said.to_string()),
        _ => failed(error.to_string()),
    })
}

//! What no single value shows: keys that don't go together.

use meterline::Traces;
use meterline::config::Auth;
use meterline::traces::TracesError;

use super::error::ConfigError;
use super::load::Loaded;
use crate::access::SigningKey;

/// First path segments the API uses, where a metrics path would be in the way.
const TAKEN: [&str; 7] = [
    "assets",
    "docs",
    "health",
    "job",
    "live",
    "openapi.json",
    "worker",
];

/// Keys whose values are never shown.
const SECRET: [&str; 4] = [
    "api.signing_key",
    "queue.nats.url",
    "telemetry.otlp.headers",
    "telemetry.traces.headers",
];

/// Whether a value of this key must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    SECRET.iter().any(|secret| {
        key.strip_prefix(secret)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Checks a configuration whose values are fine one by one.
pub(super) fn whole(loaded: &Loaded) -> Result<(), ConfigError> {
    let refuse = |key: &str, message: String| Err(loaded.bad_value(key, message));
    let config = &loaded.config;
    let metrics = &config.telemetry.metrics;
    secured(loaded)?;
    if let Err(error) = Traces::check(&config.telemetry) {
        let key = match &error {
            TracesError::Header(_) => "telemetry.traces.headers",
            TracesError::Certificate(_) => "telemetry.traces.tls",
            _ => "telemetry.traces.endpoint",
        };
        return refuse(key, error.to_string());
    }
    if config.queue.retry.base > config.queue.retry.max {
        return refuse(
            "queue.retry.base",
            format!(
                "{} is longer than `queue.retry.max`, {}",
                humantime::format_duration(config.queue.retry.base),
                humantime::format_duration(config.queue.retry.max)
            ),
        );
    }
    if metrics.json_path.as_ref() == Some(&metrics.path) {
        return refuse(
            "telemetry.metrics.json_path",
            "is the same as `telemetry.metrics.path`; give each a path of its own".to_owned(),
        );
    }
    let paths = [
        ("telemetry.metrics.path", Some(&metrics.path)),
        ("telemetry.metrics.json_path", metrics.json_path.as_ref()),
    ];
    for (key, path) in paths {
        let first = path.and_then(|p| p.split('/').nth(1)).unwrap_or_default();
        if TAKEN.contains(&first) {
            return refuse(
                key,
                format!("/{first} belongs to the API; choose another path"),
            );
        }
    }
    if let Err(error) = config.telemetry.otlp.check() {
        return refuse(&format!("telemetry.{}", error.key), error.reason);
    }
    if metrics.formats.is_empty() {
        return refuse(
            "telemetry.metrics.formats",
            "expected at least one of text, openmetrics, protobuf".to_owned(),
        );
    }
    for (number, view) in (1..).zip(&metrics.views) {
        if let Err(error) = view.view() {
            return refuse(
                "telemetry.metrics.views",
                format!("number {number}: {error}"),
            );
        }
    }
    if let Some(path) = metrics.http.exclude.iter().find(|p| !p.starts_with('/')) {
        return refuse(
            "telemetry.metrics.http.exclude",
            format!("{path:?} is not a path; expected paths such as /health"),
        );
    }
    Ok(())
}

/// Checks that nothing can be reached from elsewhere without a token, unless that is meant, and that
/// what secures a listener has all it needs.
fn secured(loaded: &Loaded) -> Result<(), ConfigError> {
    let (api, metrics) = (&loaded.config.api, &loaded.config.telemetry.metrics);
    let refuse = |key, message: String| Err(loaded.bad_value(key, message));
    if api.signing_key.is_some() && api.signing_key_file.is_some() {
        return refuse(
            "api.signing_key_file",
            "is set together with `api.signing_key`; set one of the two".to_owned(),
        );
    }
    if let Some(secret) = &api.signing_key
        && let Err(error) = SigningKey::new(secret.expose().as_bytes())
    {
        return refuse("api.signing_key", error.to_string());
    }
    let bearer = metrics.auth == Auth::Bearer;
    if bearer && !api.has_key() {
        return refuse(
            "telemetry.metrics.auth",
            "bearer needs `api.signing_key` or `api.signing_key_file`, which tokens are signed with"
                .to_owned(),
        );
    }
    if metrics.tls.is_some() && metrics.listen.is_none() {
        return refuse(
            "telemetry.metrics.tls",
            "is for `telemetry.metrics.listen`, which is not set; the API's listener has `api.tls`"
                .to_owned(),
        );
    }
    let listeners = [
        (
            "api.listen",
            Some(&api.listen),
            api.has_key(),
            "set `api.signing_key_file`",
        ),
        (
            "telemetry.metrics.listen",
            metrics.listen.as_ref(),
            bearer,
            "set `telemetry.metrics.auth: bearer`",
        ),
    ];
    for (key, listen, locked, remedy) in listeners {
        if let Some(listen) = listen.filter(|l| !l.is_loopback() && !locked && !api.insecure) {
            return refuse(
                key,
                format!(
                    "{listen} can be reached from other machines without authentication; {remedy}, \
                     or listen on a loopback address, or set `api.insecure: true` if that is meant"
                ),
            );
        }
    }
    Ok(())
}

/// The known key most like the one given, if one is alike enough to be meant.
pub(super) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    known
        .map(|key| {
            // The whole path, or the right name in the wrong section.
            let whole = strsim::normalized_damerau_levenshtein(given, key);
            let name = strsim::normalized_damerau_levenshtein(&last(given), &last(key)) * 0.9;
            (whole.max(name), key)
        })
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key.to_owned())
}

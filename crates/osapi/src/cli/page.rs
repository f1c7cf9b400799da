//! Pages of metrics: fetched within bounds, and as terminals may show them.

use std::io::Read;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use meterline_exposition::parse::{Limits, Syntax};
use url::Url;

use super::Failure;
use super::args::PageArgs;
use super::client::{Client, Fault, Response, shown};

/// A page as it came.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) syntax: Syntax,
}

/// What is asked for if the user says nothing, in this order.
const ACCEPTED: [(Syntax, &str); 4] = [
    (
        Syntax::OpenMetrics,
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    ),
    (
        Syntax::Protobuf,
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8",
    ),
    (
        Syntax::TextUtf8,
        "text/plain;version=1.0.0;escaping=allow-utf-8",
    ),
    (Syntax::Text, "text/plain;version=0.0.4"),
];

/// An `Accept` header with `first` before the others, or for one format alone.
fn accept(first: Option<Syntax>, only: Option<Syntax>) -> String {
    let mut formats: Vec<_> = ACCEPTED
        .into_iter()
        .filter(|(syntax, _)| only.is_none_or(|only| only == *syntax))
        .collect();
    formats.sort_by_key(|(syntax, _)| first != Some(*syntax));
    let weighed = formats.iter().enumerate();
    let weighed: Vec<_> = weighed
        .map(|(index, (_, media))| format!("{media};q=0.{}", 9 - index))
        .collect();
    weighed.join(",")
}

/// Whether what was given to `osapi check` is to be fetched.
pub(super) fn is_url(given: &str) -> bool {
    given.starts_with("http://") || given.starts_with("https://")
}

/// Fetches a page. `first` is the format preferred where the user has not chosen.
pub(super) async fn fetch(
    client: &Client,
    url: &Url,
    first: Syntax,
    args: &PageArgs,
) -> Result<Fetched, Failure> {
    let only = args.format.map(Syntax::from);
    let mut request = client
        .get(url)
        .header(ACCEPT, &accept(Some(first), only))
        // Without a bound of its own: reading stops at the size that is allowed.
        .timeout(args.timeout);
    if let Some(token) = &args.token {
        request = request.bearer_auth(token);
    }
    let response = request
        .send()
        .await
        .map_err(|fault| unreachable(url, &fault, args.timeout))?;
    if let Some(why) = refused(&response) {
        return Err(Failure::Other(format!("{}: {why}", shown(url))));
    }
    let syntax = syntax(response.headers(), only);
    let syntax = syntax.map_err(|why| Failure::Other(format!("{}: {why}", shown(url))))?;
    let bytes = body(response, url, args.timeout).await?;
    Ok(Fetched { bytes, syntax })
}

fn refused(response: &Response) -> Option<String> {
    let status = response.status();
    if status == StatusCode::OK {
        return None;
    }
    let location = response.headers().get(LOCATION);
    if let Some(location) = location.filter(|_| status.is_redirection()) {
        let location = visible(&String::from_utf8_lossy(location.as_bytes()));
        return Some(format!(
            "the server answers {status}: the page is at {location}"
        ));
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "give a token that may read metrics with --token"
        }
        StatusCode::NOT_FOUND => {
            "are metrics on (telemetry.metrics.enabled), and is the path right?"
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "the server is busy, or the scrape took too long; try again"
        }
        _ => "is this the URL of a metrics page?",
    };
    Some(format!("the server answers {status}; {hint}"))
}

fn syntax(headers: &HeaderMap, only: Option<Syntax>) -> Result<Syntax, String> {
    let header = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let Some(encoding) = header(CONTENT_ENCODING).filter(|coding| coding != "identity") {
        let encoding = visible(&encoding);
        return Err(format!(
            "the answer is encoded ({encoding}) although that was not asked for"
        ));
    }
    if let Some(only) = only {
        return Ok(only);
    }
    let Some(header) = header(CONTENT_TYPE) else {
        return Err("the answer has no Content-Type; say what it is with --format".to_owned());
    };
    Syntax::from_content_type(&header).ok_or_else(|| {
        let header = visible(&header);
        format!(
            "the answer is {header}, which is no format of metrics; is the path right? --format reads it all the same"
        )
    })
}

/// The body, unless it is too large or does not end in time.
async fn body(response: Response, url: &Url, timeout: Duration) -> Result<Vec<u8>, Failure> {
    let body = response.up_to(Limits::default().bytes).await;
    body.map_err(|fault| unreachable(url, &fault, timeout))?
        .ok_or_else(|| too_large(&shown(url)))
}

fn too_large(name: &str) -> Failure {
    let most = Limits::default().bytes >> 20;
    Failure::Other(format!(
        "{name}: more than {most} MiB; is this a page of metrics?"
    ))
}

fn unreachable(url: &Url, fault: &Fault, timeout: Duration) -> Failure {
    let url = shown(url);
    if matches!(fault, Fault::TimedOut) {
        let timeout = humantime::format_duration(timeout);
        return Failure::Other(format!(
            "{url}: no complete answer within {timeout}; --timeout gives it longer"
        ));
    }
    let hint = fault.hint("the URL");
    Failure::Other(format!("cannot read {url}: {fault}; {hint}"))
}

/// Reads a file or standard input (`-`).
pub(super) fn read(name: &str, args: &PageArgs) -> Result<Fetched, Failure> {
    let failed = |error: std::io::Error| Failure::Other(format!("cannot read {name}: {error}"));
    let most = Limits::default().bytes as u64;
    let mut bytes = Vec::new();
    if name == "-" {
        std::io::stdin()
            .lock()
            .take(most + 1)
            .read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(name).map_err(failed)?;
        file.take(most + 1).read_to_end(&mut bytes)
    }
    .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(too_large(name));
    }
    let syntax = args
        .format
        .map_or_else(|| Syntax::sniff(&bytes), Syntax::from);
    Ok(Fetched { bytes, syntax })
}

/// A text of strangers as a terminal may show it: what would move the cursor or hide is escaped.
pub(super) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        let all = accept(Some(Syntax::Protobuf), None);
        assert!(all.starts_with("application/vnd.google.protobuf;"), "{all}");
        assert!(all.ends_with(",text/plain;version=0.0.4;q=0.6"), "{all}");
        let one = accept(Some(Syntax::Protobuf), Some(Syntax::Text));
        assert_eq!(one, "text/plain;version=0.0.4;q=0.9");
    }

    #[test]
    fn terminals_are_spared() {
        assert_eq!(
            visible("a\x1b[2Jb\u{202e}c\n日"),
            "a\\u{1b}[2Jb\\u{202e}c\\n日"
        );
    }
}

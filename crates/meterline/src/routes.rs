//! `GET /metrics` and `GET /metrics.json`, at the paths the configuration gives them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use meterline_exposition::{Coding, Exposition, Format, NameFilter};

use crate::bearer::BearerCheck;
use crate::config::{self, MetricsConfig};
use crate::scrape::{Content, NoPage, PageKind, Scraper};

/// How long Prometheus gives us, in seconds; every scrape of its says so.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// The parameter that names a family to be shown, as Prometheus' Go and Java clients have it.
const NAME: &str = "name[]";

/// Both routes; only that of the exposition if the JSON path is off. With a check they are for those
/// only whom it lets pass.
pub(crate) fn routes<S>(
    scraper: &Arc<Scraper>,
    config: &MetricsConfig,
    check: Option<&BearerCheck>,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let offered: Option<Arc<[Format]>> = Some(offered(&config.formats).into());
    let page = |offered: Option<Arc<[Format]>>| {
        let (scraper, check) = (Arc::clone(scraper), check.cloned());
        get(
            move |method: Method,
                  Query(query): Query<Vec<(String, String)>>,
                  headers: HeaderMap| async move {
                if let Some(refusal) = check.and_then(|check| check.refuse(&headers)) {
                    return refusal;
                }
                let kind = page_kind(offered.as_deref(), query, &headers);
                serve(&scraper, kind, &method, &headers).await
            },
        )
    };
    let routes = Router::new().route(&config.path, page(offered));
    match &config.json_path {
        Some(path) => routes.route(path, page(None)),
        None => routes,
    }
}

/// The formats that are configured, the preferred ones first.
fn offered(configured: &[config::Format]) -> Vec<Format> {
    let formats = configured.iter().flat_map(|format| match format {
        config::Format::Text => &[Format::Text, Format::TextUtf8][..],
        config::Format::Openmetrics => &[Format::OpenMetrics, Format::OpenMetrics0],
        config::Format::Protobuf => &[Format::Protobuf],
    });
    formats.copied().collect()
}

/// What a request asks for: one of the formats offered, or JSON where there is nothing to choose.
fn page_kind(
    offered: Option<&[Format]>,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
) -> PageKind {
    let content = match offered {
        Some(offered) => {
            let accept = list(headers, &header::ACCEPT);
            Content::Exposition(Exposition::negotiate(accept.as_deref(), offered))
        }
        None => Content::Json,
    };
    let names = query.into_iter().filter(|(key, _)| key == NAME);
    let mut names = names.map(|(_, name)| name).peekable();
    PageKind {
        content,
        coding: Coding::negotiate(list(headers, &header::ACCEPT_ENCODING).as_deref()),
        only: names.peek().is_some().then(|| NameFilter::new(names)),
    }
}

/// All lines of a header that is a list, as one.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

async fn serve(
    scraper: &Arc<Scraper>,
    kind: PageKind,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let head = response_headers(&kind);
    if method == Method::HEAD {
        // All but the length, which only a page could tell.
        let unknown = stream::empty::<Result<Vec<u8>, std::convert::Infallible>>();
        return (head, Body::from_stream(unknown)).into_response();
    }
    let page = scraper.page(kind, patience(headers)).await;
    page.map_or_else(NoPage::into_response, |page| {
        (head, page.into_body()).into_response()
    })
}

fn response_headers(kind: &PageKind) -> HeaderMap {
    let vary = match kind.content {
        Content::Exposition(_) => "Accept, Accept-Encoding",
        Content::Json => "Accept-Encoding",
    };
    let fixed = [
        (header::CONTENT_TYPE, kind.content.content_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, vary),
    ];
    let coding = kind.coding.as_str();
    let coding = coding.map(|coding| (header::CONTENT_ENCODING, coding));
    let all = fixed.into_iter().chain(coding);
    all.map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect()
}

/// The scraper's own deadline. One that makes no sense is no deadline.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers
        .get(SCRAPE_TIMEOUT)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|patience| !patience.is_zero())
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
        (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{self}\n")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(seconds: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(SCRAPE_TIMEOUT, HeaderValue::from_static(seconds));
        patience(&headers)
    }

    #[test]
    fn the_scrapers_deadline_is_read_and_nonsense_is_not() {
        assert_eq!(asked("1"), Some(Duration::from_secs(1)));
        assert_eq!(asked("0.5"), Some(Duration::from_millis(500)));
        for nonsense in ["", "x", "-1", "NaN", "inf", "0", "1e300"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}

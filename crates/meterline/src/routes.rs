//! `GET /metrics` and `GET /metrics.json`, at the paths the configuration gives them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::bearer::BearerCheck;
use crate::config::MetricsConfig;
use crate::scrape::{NoPage, PageFormat, Scraper};

/// How long Prometheus gives us, in seconds; every scrape of its says so.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Both routes; only the text page if the JSON path is off. With a check they are for those only whom
/// it lets pass.
pub(crate) fn routes<S>(
    scraper: &Arc<Scraper>,
    config: &MetricsConfig,
    check: Option<&BearerCheck>,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let page = |format| {
        let (scraper, check) = (Arc::clone(scraper), check.cloned());
        get(move |headers: HeaderMap| async move {
            match check.and_then(|check| check.refuse(&headers)) {
                Some(refusal) => refusal,
                None => serve(&scraper, format, &headers).await,
            }
        })
    };
    let routes = Router::new().route(&config.path, page(PageFormat::Text));
    match &config.json_path {
        Some(path) => routes.route(path, page(PageFormat::Json)),
        None => routes,
    }
}

async fn serve(scraper: &Arc<Scraper>, format: PageFormat, headers: &HeaderMap) -> Response {
    let page = scraper.page(format, patience(headers)).await;
    let unchanging = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    page.map_or_else(NoPage::into_response, |page| {
        (unchanging, page).into_response()
    })
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

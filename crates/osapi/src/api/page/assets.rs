//! The page's files, compiled into the program.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
    REFERRER_POLICY,
};
use http::{HeaderValue, StatusCode};

use super::super::problem::Problem;
use super::super::state::ApiState;

/// Scripts, styles and requests of this origin only; nothing inline, no frames, no forms sent anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: Bytes,
    /// What its bytes are known by.
    tag: HeaderValue,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal = $path:literal, $media_type:expr;)*) => {
        [$(Asset::new($name, $media_type, Bytes::from_static(include_bytes!(
            concat!("../../../assets/", $path)
        )))),*]
    };
}

static ASSETS: LazyLock<[Asset; 12]> = LazyLock::new(|| {
    assets! {
        "page.css" = "page.css", CSS;
        "main.js" = "main.js", JS;
        "api.js" = "api.js", JS;
        "charts.js" = "charts.js", JS;
        "dom.js" = "dom.js", JS;
        "jobs.js" = "jobs.js", JS;
        "job.js" = "job.js", JS;
        "overview.js" = "overview.js", JS;
        "rates.js" = "rates.js", JS;
        "icon.svg" = "icon.svg", SVG;
        "uplot.js" = "vendor/uplot/uPlot.iife.min.js", JS;
        "uplot.css" = "vendor/uplot/uPlot.min.css", CSS;
    }
});

/// The page as it is, and as it is where tokens are needed: it asks for one before it asks for anything
/// else.
static INDEX: LazyLock<[Asset; 2]> = LazyLock::new(|| {
    let open = include_str!("../../../assets/index.html");
    let locked = open.replacen("<html lang", "<html data-locked lang", 1);
    [open.into(), locked.into()].map(|html: Bytes| Asset::new("", HTML, html))
});

/// The page itself.
#[utoipa::path(
    get,
    path = "/",
    tag = "page",
    responses((status = 200, description = "The page", content_type = "text/html", body = String))
)]
pub(in super::super) async fn index(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    INDEX[usize::from(state.key.is_some())].answer(&headers)
}

/// One of the page's files.
#[utoipa::path(
    get,
    path = "/assets/{name}",
    tag = "page",
    params(("name" = String, Path, description = "A file the page refers to")),
    responses(
        (status = 200, description = "The file"),
        (status = 404, description = "There is no such file", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn asset(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    let asset = found
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "the page has no file of this name"))?;
    Ok(asset.answer(&headers))
}

impl Asset {
    fn new(name: &'static str, media_type: &'static str, bytes: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        Self {
            name,
            media_type,
            bytes,
            tag: tag.unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
        }
    }

    /// The file, or 304 for who has it already. It is asked for each time: the next version of the
    /// program has others under the same names.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let fixed = [
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (ETAG, self.tag.clone()),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|given| given == self.tag);
        if known {
            return (StatusCode::NOT_MODIFIED, fixed).into_response();
        }
        (fixed, self.bytes.clone()).into_response()
    }
}

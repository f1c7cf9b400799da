//! What stands before every handler: whose requests are taken, and for how long.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{StatusCode, Version};
use meterline::bearer;

use super::problem::Problem;
use super::state::ApiState;

/// How long a handler may take. Streams are not bound by it, only their beginning.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers 503 when the handler takes too long.
pub(super) async fn deadline(request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .map_err(|_| {
            Problem::unavailable(
                format!(
                    "the request took longer than {} s",
                    REQUEST_TIMEOUT.as_secs()
                ),
                Duration::from_secs(1),
            )
        })
}

/// Refuses requests a web page may have made: an API without tokens must not obey them.
///
/// A page can make a browser send requests here in two ways. Rebinding its own name to a loopback
/// address leaves that name in `Host`: 421. A request across origins carries the page's `Origin`, or,
/// where that is left out (an image's address, say), `Sec-Fetch-Site`: 403, unless it is the very
/// origin the request goes to, or the user typed the address. Whether the process lives is no secret,
/// and the page itself, which other pages may link to, holds no data. Requests that bear a token are no
/// page's doing.
pub(super) async fn origin(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let host = host(&request)?;
    if let Some(host) = &host
        && state.loopback_only
        && !is_loopback(host.host())
    {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this API answers to loopback names only, such as localhost and 127.0.0.1",
        ));
    }
    // No page can make a browser send this header to another origin without being allowed to first.
    let token = state.key.is_some() && bearer::token(request.headers()).is_some();
    let from_here = token
        || same_origin(request.headers(), host.as_ref())
            && (fetched_from_here(request.headers())
                || matches!(request.uri().path(), "/" | "/health"));
    if !from_here {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "requests from pages of another origin are refused",
        ));
    }
    Ok(next.run(request).await)
}

/// The host the request is for. HTTP/1.0 may leave it out; browsers never do.
fn host(request: &Request) -> Result<Option<Authority>, Problem> {
    let mut given = request.headers().get_all(HOST).iter();
    let header = given.next();
    if given.next().is_some() {
        return Err(Problem::bad_request("more than one Host header"));
    }
    let header = match header {
        Some(value) => {
            let authority = Authority::try_from(value.as_bytes())
                .map_err(|_| Problem::bad_request("the Host header is not a host"))?;
            Some(authority)
        }
        None => None,
    };
    // The target's own authority counts where there is one (RFC 9112 section 3.2.2).
    let host = request.uri().authority().cloned().or(header);
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Problem::bad_request("HTTP/1.1 asks for a Host header"));
    }
    Ok(host)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

fn same_origin(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let (Ok(origin), Some(host)) = (origin.to_str(), host) else {
            return false;
        };
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let Ok(authority) = Authority::try_from(authority) else {
            return false;
        };
        authority.host().eq_ignore_ascii_case(host.host())
            && authority.port_u16().unwrap_or(port) == host.port_u16().unwrap_or(port)
    })
}

/// What a browser says of the page behind a request (W3C Fetch Metadata, section 2.4); other clients
/// say nothing.
fn fetched_from_here(headers: &HeaderMap) -> bool {
    headers
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| site == "same-origin" || site == "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        for name in [
            "localhost",
            "LocalHost",
            "localhost.",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
        ] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "example.org",
            "localhost.evil.org",
            "127.0.0.1.evil.org",
            "10.0.0.1",
            "[::]",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }

    #[test]
    fn fetches_of_other_sites_are_known() {
        let check = |site: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", http::HeaderValue::from_static(site));
            fetched_from_here(&headers)
        };
        assert!(check("same-origin") && check("none"));
        assert!(!check("cross-site") && !check("same-site") && !check(""));
        assert!(fetched_from_here(&HeaderMap::new()), "not a browser");
    }

    #[test]
    fn only_the_same_origin_passes() {
        let host = Authority::from_static("127.0.0.1:8080");
        let check = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            same_origin(&headers, Some(&host))
        };
        assert!(check("http://127.0.0.1:8080"));
        for foreign in [
            "null",
            "http://evil.org",
            "http://127.0.0.1:3000",
            "http://127.0.0.1",
            "http://localhost:8080",
            "file://",
            "http://",
            "http://127.0.0.1:8080@evil.org",
        ] {
            assert!(!check(foreign), "{foreign}");
        }
        assert!(
            same_origin(&HeaderMap::new(), Some(&host)),
            "no page, no origin"
        );
    }
}

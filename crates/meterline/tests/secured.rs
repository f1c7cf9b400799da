//! Who may read the metrics, and how: tokens, certificates, and clients that would rather not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meterline::config::{Auth, MetricsConfig, TelemetryConfig, TlsFiles};
use meterline::{BearerRefusal, BuildError, Telemetry, TelemetryBuilder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Generous, because machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(60);

fn builder(change: impl FnOnce(&mut MetricsConfig)) -> TelemetryBuilder {
    let mut config = TelemetryConfig::default();
    config.metrics.listen = Some("127.0.0.1:0".parse().expect("an address"));
    change(&mut config.metrics);
    Telemetry::builder().config(config).global(false)
}

fn address(telemetry: &Telemetry) -> SocketAddr {
    telemetry.listen_addr().expect("it has a listener")
}

async fn scrape(telemetry: &Telemetry, token: Option<&str>) -> reqwest::Response {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = client.get(format!("http://{}/metrics", address(telemetry)));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_token_opens_the_metrics_and_nothing_else_does() {
    let telemetry = builder(|_| {})
        .bearer_token("s3cret")
        .build()
        .expect("it works");
    for (token, challenge) in [
        (None, "Bearer"),
        (Some("s3cre"), "Bearer error=\"invalid_token\""),
    ] {
        let refused = scrape(&telemetry, token).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["www-authenticate"], challenge);
        assert_eq!(
            refused.headers()["content-type"],
            "application/problem+json"
        );
        let said: serde_json::Value = refused.json().await.expect("JSON");
        assert_eq!(said["status"], 401);
    }
    let page = scrape(&telemetry, Some("s3cret")).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.expect("a page").contains("# TYPE"));
    telemetry.shutdown().await.expect("in order");
}

#[tokio::test]
async fn a_program_judges_tokens_itself() {
    let check = |token: &str| match token {
        "scraper" => Ok(()),
        "somebody" => Err(BearerRefusal::Insufficient),
        _ => Err(BearerRefusal::Invalid),
    };
    let telemetry = builder(|metrics| metrics.auth = Auth::Bearer)
        .bearer_check(check)
        .build()
        .expect("it works");
    for (token, status) in [("scraper", 200), ("somebody", 403), ("nobody", 401)] {
        assert_eq!(
            scrape(&telemetry, Some(token)).await.status(),
            status,
            "{token}"
        );
    }
    telemetry.shutdown().await.expect("in order");
}

#[tokio::test]
async fn what_cannot_be_secured_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = certificate(dir.path(), "one");
    let other = certificate(dir.path(), "other");
    let without_key = TlsFiles {
        key: files.cert.clone(),
        ..files.clone()
    };
    let mismatched = TlsFiles {
        key: other.key,
        ..files.clone()
    };
    let missing = TlsFiles {
        cert: dir.path().join("none.pem"),
        ..files.clone()
    };
    let refused = |change: &dyn Fn(&mut MetricsConfig)| {
        builder(change)
            .build()
            .expect_err("it cannot be")
            .to_string()
    };

    let said = refused(&|metrics| metrics.auth = Auth::Bearer);
    assert!(said.contains("bearer_token"), "{said}");
    for (files, expected) in [
        (missing, "cannot read"),
        (without_key, "no private key in PEM form"),
        (mismatched, "cannot be used with the key in"),
    ] {
        let said = refused(&|metrics| metrics.tls = Some(files.clone()));
        assert!(said.contains(expected) && said.contains(".pem"), "{said}");
    }
    let no_listener = builder(|metrics| {
        metrics.listen = None;
        metrics.tls = Some(files.clone());
    });
    assert!(matches!(
        no_listener.build(),
        Err(BuildError::TlsWithoutListener)
    ));
}

/// A self-signed certificate for `NAME.test`, as files.
fn certificate(dir: &Path, name: &str) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed([format!("{name}.test")]).expect("a certificate");
    let files = TlsFiles {
        cert: dir.join(format!("{name}.cert.pem")),
        key: dir.join(format!("{name}.key.pem")),
    };
    std::fs::write(&files.cert, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    files
}

/// A page fetched by a client that trusts this certificate only; an error where there is none.
async fn fetch(
    address: SocketAddr,
    trusted: &Path,
    name: &str,
    alpn: &[u8],
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(trusted).expect("a certificate");
    roots.add(trusted).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let server = ServerName::try_from(name.to_owned()).expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(server, stream)
        .await
        .map_err(|error| error.to_string())?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    Ok(answer)
}

#[tokio::test]
async fn the_listener_speaks_tls_to_those_who_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = certificate(dir.path(), "one");
    let stranger = certificate(dir.path(), "stranger");
    let telemetry = builder(|metrics| metrics.tls = Some(files.clone()))
        .build()
        .expect("it works");
    let address = address(&telemetry);

    // Clients that connect and say nothing keep nobody out.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.expect("connected"));
    }
    let page = fetch(address, &files.cert, "one.test", b"http/1.1")
        .await
        .expect("a page");
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.contains("# TYPE"),
        "{page}"
    );
    let refused = fetch(address, &stranger.cert, "one.test", b"http/1.1").await;
    assert!(refused.is_err(), "a stranger's certificate is not ours");
    let refused = fetch(address, &files.cert, "one.test", b"h2").await;
    assert!(
        refused
            .expect_err("HTTP/2 is not spoken")
            .contains("NoApplicationProtocol")
    );

    // Plain HTTP gets no metrics.
    let mut plain = TcpStream::connect(address).await.expect("connected");
    plain
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: one.test\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("# TYPE"));

    // Handshakes under way do not hold up the end, which gives requests ten seconds.
    let began = Instant::now();
    telemetry.shutdown().await.expect("in order");
    assert!(began.elapsed() < DEADLINE);
    drop(silent);
}

#[tokio::test]
async fn a_changed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = certificate(dir.path(), "one");
    let telemetry = builder(|metrics| metrics.tls = Some(files.clone()))
        .build()
        .expect("it works");
    let address = address(&telemetry);
    let old = dir.path().join("old.pem");
    std::fs::copy(&files.cert, &old).expect("copied");
    fetch(address, &old, "one.test", b"http/1.1")
        .await
        .expect("a page");

    std::fs::write(&files.cert, "no certificate").expect("written");
    let renewed = certificate(dir.path(), "two");
    std::fs::copy(&renewed.key, &files.key).expect("copied");
    fetch(address, &old, "one.test", b"http/1.1")
        .await
        .expect("the old one still serves");
    std::fs::copy(&renewed.cert, &files.cert).expect("copied");
    let began = Instant::now();
    while fetch(address, &renewed.cert, "two.test", b"http/1.1")
        .await
        .is_err()
    {
        assert!(began.elapsed() < DEADLINE, "it was not taken up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    telemetry.shutdown().await.expect("in order");
}

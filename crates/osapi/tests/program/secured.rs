//! TLS: the API's listener, a worker's listener, and the command line as their client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use osapi::access::Permission;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::access::{SECRET, bad_tokens, token};
use crate::support::{DEADLINE, Server, osapi, output, stderr, stdout, up, worker};

/// A certificate for `localhost` and its key, as files.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn make(dir: &Path) -> Self {
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { cert, key }
    }

    fn setting(&self, name: &str) -> String {
        let (cert, key) = (self.cert.display(), self.key.display());
        format!("{name}=cert={cert},key={key}")
    }

    fn ca(&self) -> &str {
        self.cert.to_str().unwrap()
    }
}

/// One request over TLS: the status, and everything that came.
fn get(to: SocketAddr, files: &Files, path: &str, token: Option<&str>) -> (u16, String) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.cert).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        authorization.unwrap_or_default()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// What `osapi metrics --json` says the schemes of the measured requests are.
fn schemes(url: &str, ca: &str) -> Vec<String> {
    let page = output(&["metrics", url, "--ca", ca, "--json"]);
    assert!(page.status.success(), "{}", stderr(&page));
    let page: Value = serde_json::from_str(&stdout(&page)).unwrap();
    let mut schemes = Vec::new();
    collect(&page, &mut schemes);
    schemes.sort();
    schemes.dedup();
    schemes
}

/// All values under `url_scheme`, wherever they are.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let scheme = members.get("url_scheme").and_then(Value::as_str);
            found.extend(scheme.map(str::to_owned));
            members.values().for_each(|member| collect(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[test]
fn the_command_line_speaks_tls_and_the_metrics_say_https() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::make(dir.path());
    let server = up(&["--set", &files.setting("api.tls")]);
    let url = format!("https://localhost:{}", server.address.port());
    let client = |args: &[&str]| output(&[args, &["--server", &url, "--ca", files.ca()]].concat());

    let done = client(&["job", "submit", "node.hostname.get", "--wait", "--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let done: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(done["status"], "completed");
    for args in [
        &["job", "list"][..],
        &["job", "status"],
        &["workers"],
        &["bench", "jobs", "--jobs", "10"],
    ] {
        let done = client(args);
        assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    }
    let mut from_environment = osapi(&["job", "list", "--server", &url]);
    let done = from_environment.env("OSAPI_CA", files.ca()).output();
    assert!(done.unwrap().status.success());
    assert_eq!(schemes(&format!("{url}/metrics"), files.ca()), ["https"]);

    for (args, said) in [
        (&["--server", &url][..], "--ca FILE names the authority"),
        (&["--server", &url, "--ca", "/nowhere"], "--ca /nowhere: "),
    ] {
        let refused = output(&[&["job", "list"], args].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    }
    // Who speaks without TLS is not answered in the clear.
    let plain = output(&["job", "list", "--server", &server.url("")]);
    assert_eq!(plain.status.code(), Some(1), "{}", stdout(&plain));
}

/// A worker whose listener has a certificate and asks for tokens.
fn secured_worker(dir: &Path, files: &Files) -> Server {
    let key = dir.join("key");
    std::fs::write(&key, SECRET).unwrap();
    let key = format!("api.signing_key_file={}", key.display());
    let tls = files.setting("telemetry.metrics.tls");
    let auth = "telemetry.metrics.auth=bearer";
    let enabled = "telemetry.metrics.enabled=true";
    let settings = [&*key, &tls, auth, enabled];
    let args: Vec<_> = settings.iter().flat_map(|text| ["--set", *text]).collect();
    worker(dir, "w", &args)
}

#[test]
fn a_workers_listener_has_tls_and_asks_for_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::make(dir.path());
    let worker = secured_worker(dir.path(), &files);
    assert!(
        worker.printed().contains("https://"),
        "{}",
        worker.printed()
    );
    let get = |path: &str, token: Option<&str>| get(worker.address, &files, path, token);
    let good = token(SECRET, &[Permission::MetricsRead]);
    for path in ["/metrics", "/metrics.json"] {
        let (status, said) = get(path, None);
        assert_eq!(status, 401, "{said}");
        assert!(said.contains("www-authenticate: Bearer\r\n"), "{said}");
        for (kind, token) in bad_tokens() {
            let (status, said) = get(path, Some(&token));
            assert_eq!(status, 401, "{path}, {kind}: {said}");
            assert!(said.contains("invalid_token"), "{said}");
        }
        let others = Permission::ALL.into_iter();
        let others: Vec<_> = others.filter(|p| *p != Permission::MetricsRead).collect();
        let (status, said) = get(path, Some(&token(SECRET, &others)));
        assert_eq!(status, 403, "{said}");
        assert!(said.contains("insufficient_scope"), "{said}");
        let (status, said) = get(path, Some(&good));
        assert_eq!(status, 200, "{said}");
        assert!(said.contains("osapi_build_info"), "{said}");
    }
    // A supervisor has no token.
    for path in ["/health", "/health/ready"] {
        let (status, said) = get(path, None);
        assert_eq!(status, 200, "{path}: {said}");
    }
    let url = format!("https://localhost:{}/metrics", worker.address.port());
    let checked = output(&["check", &url, "--ca", files.ca(), "--token", &good]);
    assert!(checked.status.success(), "{}", stderr(&checked));
}

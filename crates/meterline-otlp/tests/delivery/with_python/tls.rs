//! Certificates: trusted, not trusted, and our own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use meterline_otlp::{Exporter, ExporterError, ExporterOptions, Outcome};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use xtask::OtlpReceiver;

use super::{BOTH, ENOUGH, Transport, export};

/// An authority, a server and a client, as PEM files.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: String| {
            fs::write(dir.path().join(name), text).expect("it can be written");
        };
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        write(
            "ca.pem",
            params.self_signed(&key).expect("a certificate").pem(),
        );
        let issuer = Issuer::new(params, key);
        for name in ["server", "client"] {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names).expect("they are names");
            // One that had its authority's name would look as if it had signed itself.
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().expect("a key");
            let signed = params.signed_by(&key, &issuer).expect("a certificate");
            write(&format!("{name}.pem"), signed.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn options(transport: Transport, receiver: &OtlpReceiver) -> ExporterOptions {
    let mut options = transport.options(receiver);
    options.endpoint = options
        .endpoint
        .replace("http://127.0.0.1", "https://localhost");
    options
}

#[test]
fn a_given_authority_and_a_certificate_of_our_own() {
    let files = Files::new();
    let mut receiver = OtlpReceiver::with_tls(json!({
        "cert": files.path("server.pem"),
        "key": files.path("server.key"),
        "client_ca": files.path("ca.pem"),
    }));
    for transport in BOTH {
        let mut options = options(transport, &receiver);
        options.tls.ca = Some(files.path("ca.pem"));
        let mut nobody = Exporter::new(options.clone()).expect("the files are fine");
        let (sent, _) = export(&mut nobody, Duration::from_secs(2));
        assert_eq!(
            sent.outcome,
            Outcome::Failed,
            "the receiver wants to know who we are"
        );

        options.tls.cert = Some(files.path("client.pem"));
        options.tls.key = Some(files.path("client.key"));
        let mut exporter = Exporter::new(options).expect("the files are fine");
        let (sent, _) = export(&mut exporter, ENOUGH);
        assert_eq!(sent.outcome, Outcome::Success, "{transport:?}: {sent:?}");
        assert_eq!(receiver.take().points().count(), 5);
    }
}

#[test]
fn whom_nobody_vouches_for_gets_nothing() {
    let (files, others) = (Files::new(), Files::new());
    let mut receiver = OtlpReceiver::with_tls(json!({
        "cert": files.path("server.pem"),
        "key": files.path("server.key"),
    }));
    for transport in BOTH {
        let mut options = options(transport, &receiver);
        options.tls.ca = Some(others.path("ca.pem"));
        let mut exporter = Exporter::new(options).expect("the files are fine");
        let (sent, _) = export(&mut exporter, Duration::from_secs(2));
        assert_eq!(sent.outcome, Outcome::Failed);
        assert!(sent.message.contains("certificate"), "{sent:?}");
    }
    assert_eq!(receiver.take().requests, 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    fs::write(files.path("empty.pem"), "").expect("it can be written");
    let with = |ca: Option<&str>, cert: Option<&str>, key: Option<&str>| {
        let mut options = ExporterOptions::http("https://localhost");
        options.tls.ca = ca.map(|name| files.path(name));
        options.tls.cert = cert.map(|name| files.path(name));
        options.tls.key = key.map(|name| files.path(name));
        Exporter::new(options).map(drop)
    };
    assert!(with(Some("ca.pem"), Some("client.pem"), Some("client.key")).is_ok());
    for (ca, cert, key, named) in [
        (Some("missing.pem"), None, None, "missing.pem"),
        (Some("empty.pem"), None, None, "empty.pem"),
        (Some("client.key"), None, None, "client.key"),
        (Some("ca.pem"), Some("client.pem"), None, "client.pem"),
        (Some("ca.pem"), None, Some("client.key"), "client.key"),
        (
            Some("ca.pem"),
            Some("client.pem"),
            Some("client.pem"),
            "client.pem",
        ),
        (
            Some("ca.pem"),
            Some("client.pem"),
            Some("server.key"),
            "client.pem",
        ),
    ] {
        let error = with(ca, cert, key).expect_err(named);
        assert!(matches!(error, ExporterError::Certificate { .. }));
        assert!(error.to_string().contains(named), "{error}");
    }
}

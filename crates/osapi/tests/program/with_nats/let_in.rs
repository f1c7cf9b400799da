//! How a broker lets osapi in, and which brokers osapi refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use nkeys::KeyPair;
use serde_json::{Value, json};
use xtask::NatsServer;

use super::certificates::Authority;
use super::{Site, fleet};
use crate::support::{Server, job, output_of};

/// What docs/operations.md says an account needs.
const RIGHTS: &str = r#"publish: ["osapi.>", "$KV.osapi_state.>", "$JS.API.>", "$JS.ACK.>", "_INBOX.>"],
    subscribe: ["_INBOX.>"]"#;

/// Does something of each kind through an API and a worker: they are let in, and may do it.
async fn works(site: &Site) -> (Server, Server) {
    let (api, worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let one = api.submit("node.hostname.get", json!({})).await;
    api.wait(&one, &["completed"]).await;
    let mut all = job("node.hostname.get", json!({}));
    all["target_hostname"] = json!("_all");
    let batch = json!({"jobs": [all, job("sleep", json!({"seconds": 0, "fail_attempts": 1000}))]});
    let (status, accepted) = api.post("/job/batch", &batch).await;
    assert_eq!(status, 201, "{accepted}");
    let id = |n: usize| accepted["jobs"][n]["job_id"].as_str().unwrap().to_owned();
    api.wait(&id(0), &["completed"]).await;
    api.wait(&id(1), &["failed"]).await;
    let (status, _) = api.post(&format!("/job/{}/retry", id(1)), &json!({})).await;
    assert_eq!(status, 201);
    let (status, page) = api.get("/job").await;
    assert_eq!(
        (status.as_u16(), &page["total_items"]),
        (200, &json!(4)),
        "{page}"
    );
    (api, worker)
}

/// Every process ends at once, with one line that has these words.
pub(crate) fn refused(site: &Site, words: &[&str]) {
    for command in [site.api_command("api"), site.worker_command("w")] {
        let ended = output_of(command);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        // There may be a log beside it.
        let mut lines = said.lines().filter(|line| line.starts_with("osapi: "));
        let (line, more) = (lines.next().unwrap_or_default(), lines.next());
        assert_eq!(more, None, "{said}");
        for word in words {
            assert!(line.contains(word), "no {word:?} in {said:?}");
        }
    }
}

fn written(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn the_seed_of_an_nkey_lets_in_with_the_documented_rights() {
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let broker = NatsServer::start_with(&format!(
        "authorization {{ users: [{{ nkey: {}, permissions: {{ {RIGHTS} }} }}] }}",
        user.public_key()
    ));
    let files = tempfile::tempdir().unwrap();
    let seed = |name: &str, key: &KeyPair| {
        let file = written(files.path(), name, &(key.seed().unwrap() + "\n"));
        format!("queue.nats.credentials={file}")
    };
    let own = seed("own.nk", &user);
    works(&Site::with(broker.url(), &[&own, "queue.max_attempts=2"])).await;
    refused(&Site::new(broker.url()), &["uthorization"]);
    let strange = seed("strange.nk", &stranger);
    refused(&Site::with(broker.url(), &[&strange]), &["uthorization"]);
    let nothing = written(files.path(), "nothing.nk", "hello");
    let nothing = format!("queue.nats.credentials={nothing}");
    let site = Site::with(broker.url(), &[&nothing]);
    refused(&site, &["nothing.nk", "neither credentials nor the seed"]);
}

/// A claim of one key about another, as servers in operator mode check it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let header = base64(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = json!({
        "jti": "test", "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": nats,
    });
    let signed = format!("{header}.{}", base64(claims.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64(&signature))
}

#[tokio::test]
async fn credentials_let_in() {
    let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
    let (account, user) = (KeyPair::new_account(), KeyPair::new_user());
    let trusted = json!({"type": "operator", "version": 2, "system_account": system.public_key()});
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let mut without_streams = limits.clone();
    without_streams["mem_storage"] = json!(0);
    without_streams["disk_storage"] = json!(0);
    let of = |limits: Value| json!({"type": "account", "version": 2, "limits": limits});
    let broker = NatsServer::start_with(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
        jwt(&operator, &operator, &trusted),
        system.public_key(),
        account.public_key(),
        jwt(&operator, &account, &of(limits)),
        system.public_key(),
        jwt(&operator, &system, &of(without_streams)),
    ));
    let who = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let credentials = |issuer: &KeyPair| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(issuer, &user, &who),
            user.seed().unwrap()
        )
    };
    let files = tempfile::tempdir().unwrap();
    let own = written(files.path(), "own.creds", &credentials(&account));
    let own = format!("queue.nats.credentials={own}");
    works(&Site::with(broker.url(), &[&own, "queue.max_attempts=2"])).await;
    let forged = credentials(&KeyPair::new_account());
    let forged = written(files.path(), "forged.creds", &forged);
    let forged = format!("queue.nats.credentials={forged}");
    refused(&Site::with(broker.url(), &[&forged]), &["uthorization"]);
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_and_a_certificate_to_show() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let ca = written(files.path(), "ca.pem", &authority.certificate());
    let strange = Authority::new("theirs").certificate();
    let strange = written(files.path(), "strange.pem", &strange);
    let issue = |name: &str| -> [PathBuf; 2] {
        let (certificate, key) = authority.issue("127.0.0.1");
        let certificate = written(files.path(), &format!("{name}.pem"), &certificate);
        let key = written(files.path(), &format!("{name}.key"), &key);
        [certificate.into(), key.into()]
    };
    let ([cert, key], [own, own_key]) = (issue("server"), issue("client"));
    let broker = NatsServer::start_with(&format!(
        "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}"
    ));
    let tls = |ca: &str| {
        let (own, key) = (own.display(), own_key.display());
        format!("queue.nats.tls={{ca: {ca}, cert: {own}, key: {key}}}")
    };
    works(&Site::with(
        broker.url(),
        &[&tls(&ca), "queue.max_attempts=2"],
    ))
    .await;
    refused(
        &Site::with(broker.url(), &[&tls(&strange)]),
        &["ertificate"],
    );
    // The broker wants to know who comes.
    let anonymous = format!("queue.nats.tls={{ca: {ca}}}");
    refused(&Site::with(broker.url(), &[&anonymous]), &["ertificate"]);
    // Not one word without TLS, though the address does not ask for it.
    let plain = NatsServer::start();
    refused(&Site::with(plain.url(), &[&tls(&ca)]), &["TLS"]);
}

/// Something that calls itself a NATS server of some version. Old ones are not to be had everywhere, and
/// all that matters is what it says first.
fn pretender(version: &str, jetstream: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let info = json!({
        "server_id": "N", "server_name": "n", "version": version, "go": "go1", "host": "127.0.0.1",
        "port": 4222, "headers": true, "max_payload": 1_048_576, "proto": 1, "jetstream": jetstream,
    });
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = write!(connection, "INFO {info}\r\n");
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                if line == "PING" {
                    let _ = write!(connection, "PONG\r\n");
                }
            }
        }
    });
    url
}

#[test]
fn servers_that_lack_what_is_needed_are_refused_by_name() {
    for old in ["2.9.25", "1.4.0", "nonsense"] {
        refused(
            &Site::new(pretender(old, true)),
            &[old, "2.10 or newer is needed"],
        );
    }
    refused(
        &Site::new(pretender("2.10.0", false)),
        &["JetStream is off"],
    );
}

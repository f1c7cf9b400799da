//! What the configuration keeps in files of their own: the signing key, and certificates.
//!
//! They are read when they are needed, and not with the configuration: who may look at that need not
//! be allowed to read a secret.

use std::sync::Arc;

use meterline::config::TlsFiles;
use meterline::tls::Tls;

use super::error::ConfigError;
use super::load::Loaded;
use crate::access::SigningKey;

impl Loaded {
    /// The key tokens are signed with; `None` if the API is open.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold a good key. It is never shown.
    pub fn signing_key(&self) -> Result<Option<Arc<SigningKey>>, ConfigError> {
        let api = &self.config.api;
        let (key, secret) = match (&api.signing_key, &api.signing_key_file) {
            (Some(secret), _) => ("api.signing_key", secret.expose().as_bytes().to_vec()),
            (None, Some(path)) => {
                let key = "api.signing_key_file";
                let read = std::fs::read(path).map_err(|error| {
                    self.bad_value(key, format!("cannot read {}: {error}", path.display()))
                })?;
                // Editors and `echo` end the line.
                (key, read.trim_ascii_end().to_vec())
            }
            (None, None) => return Ok(None),
        };
        match SigningKey::new(&secret) {
            Ok(signing) => Ok(Some(Arc::new(signing))),
            Err(error) => Err(self.bad_value(key, error.to_string())),
        }
    }

    /// The certificate of the API's listener.
    ///
    /// # Errors
    /// When its files cannot be used.
    pub fn api_tls(&self) -> Result<Option<Tls>, ConfigError> {
        self.tls("api.tls", self.config.api.tls.as_ref())
    }

    /// The certificate of the metrics' own listener.
    ///
    /// # Errors
    /// When its files cannot be used.
    pub fn metrics_tls(&self) -> Result<Option<Tls>, ConfigError> {
        let files = self.config.telemetry.metrics.tls.as_ref();
        self.tls("telemetry.metrics.tls", files)
    }

    /// Reads all of them, to see whether they can be used.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        self.signing_key()?;
        self.api_tls()?;
        self.metrics_tls()?;
        self.nats_files()
    }

    /// What is needed to be let in by the broker. It is read again with each connection.
    fn nats_files(&self) -> Result<(), ConfigError> {
        let nats = &self.config.queue.nats;
        let tls = nats.tls.as_ref();
        let files = [
            ("queue.nats.credentials", nats.credentials.as_ref()),
            ("queue.nats.tls", tls.and_then(|tls| tls.ca.as_ref())),
            ("queue.nats.tls", tls.and_then(|tls| tls.cert.as_ref())),
            ("queue.nats.tls", tls.and_then(|tls| tls.key.as_ref())),
        ];
        for (key, file) in files {
            let Some(file) = file else { continue };
            std::fs::File::open(file).map_err(|error| {
                self.bad_value(key, format!("cannot read {}: {error}", file.display()))
            })?;
        }
        if tls.is_some_and(|tls| tls.cert.is_some() != tls.key.is_some()) {
            return Err(self.bad_value("queue.nats.tls", "cert and key go together".to_owned()));
        }
        Ok(())
    }

    fn tls(&self, key: &str, files: Option<&TlsFiles>) -> Result<Option<Tls>, ConfigError> {
        let loaded = files.map(Tls::load).transpose();
        loaded.map_err(|error| self.bad_value(key, error.to_string()))
    }
}

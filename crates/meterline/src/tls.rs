//! Certificates for a [`Server`](crate::server::Server): read from files, and read again when the
//! files change.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {wanted} in PEM form", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The two files do not belong together, or hold something that cannot be used.
    #[error("the certificate in {} cannot be used with the key in {}: {reason}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
}

/// A certificate and its key, ready to serve with. TLS 1.2 and 1.3, HTTP/1.1 by ALPN.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
}

/// The certificate handed out to new connections.
struct Current {
    files: TlsFiles,
    held: Mutex<Held>,
}

struct Held {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
}

/// What tells a changed file from one that is as it was.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// When a file cannot be read, does not hold what it should, or the two do not belong together.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        // Before the files: a change in between is found by the next look.
        let stamp = stamp(files);
        let key = Arc::new(read(files)?);
        let current = Arc::new(Current {
            files: files.clone(),
            held: Mutex::new(Held { key, stamp }),
        });
        let unusable = |reason| TlsError::Unusable {
            cert: files.cert.clone(),
            key: files.key.clone(),
            reason,
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            current,
        })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Takes up a changed certificate. One that cannot be used is logged once, and the old one stays.
    pub(crate) fn refresh(&self) {
        let Current { files, held } = &*self.current;
        let stamp = stamp(files);
        if held.lock().stamp == stamp {
            return;
        }
        let read = read(files);
        let mut held = held.lock();
        held.stamp = stamp;
        match read {
            Ok(key) => {
                held.key = Arc::new(key);
                tracing::info!(cert = %files.cert.display(), "took up a changed certificate");
            }
            Err(error) => tracing::error!("TLS goes on with the certificate it has: {error}"),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.current.files).finish()
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.files).finish()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.held.lock().key))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.cert, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let certs = CertificateDer::pem_slice_iter(&bytes(&files.cert)?)
        .collect::<Result<Vec<_>, PemError>>()
        .unwrap_or_default();
    if certs.is_empty() {
        return Err(TlsError::Missing {
            path: files.cert.clone(),
            wanted: "certificate",
        });
    }
    // The reason could tell what else the file holds.
    let key =
        PrivateKeyDer::from_pem_slice(&bytes(&files.key)?).map_err(|_| TlsError::Missing {
            path: files.key.clone(),
            wanted: "private key",
        })?;
    CertifiedKey::from_der(certs, key, &provider()).map_err(|reason| TlsError::Unusable {
        cert: files.cert.clone(),
        key: files.key.clone(),
        reason,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

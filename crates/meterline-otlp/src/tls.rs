//! Whom to trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::options::{ExporterError, TlsOptions};

/// The TLS configuration these files make. Without `https` the system's store is not read.
pub(crate) fn config(options: &TlsOptions, https: bool) -> Result<ClientConfig, ExporterError> {
    let roots = match &options.ca {
        Some(file) => given_roots(file)?,
        None if https => system_roots()?,
        None => RootCertStore::empty(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(None, error))?
        .with_root_certificates(roots);
    match (&options.cert, &options.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|error| fault(Some(key), error))?;
            let config = builder.with_client_auth_cert(chain, private);
            config.map_err(|error| fault(Some(cert), error))
        }
        (Some(cert), None) => Err(fault(Some(cert), "a certificate needs its key, too")),
        (None, Some(key)) => Err(fault(Some(key), "a key needs its certificate, too")),
    }
}

fn given_roots(file: &Path) -> Result<RootCertStore, ExporterError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| fault(Some(file), error))?;
    }
    Ok(roots)
}

/// The system's store; single certificates in it that cannot be read are left out.
fn system_roots() -> Result<RootCertStore, ExporterError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(fault(
            None,
            "it holds no certificates; name a file of those to trust",
        ));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ExporterError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(Some(file), error))?;
    if certificates.is_empty() {
        return Err(fault(Some(file), "holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn fault(file: Option<&Path>, why: impl std::fmt::Display) -> ExporterError {
    let system = "the system's certificate store";
    ExporterError::Certificate {
        file: file.map_or_else(|| system.to_owned(), |file| file.display().to_string()),
        why: why.to_string(),
    }
}

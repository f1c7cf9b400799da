//! Whom to trust.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::cli::Failure;

/// TLS that trusts the authorities in a file, or else the system's. Without `https` neither is read.
pub(super) fn config(ca: Option<&Path>, https: bool) -> Result<ClientConfig, Failure> {
    let roots = match ca {
        _ if !https => RootCertStore::empty(),
        Some(file) => given(file)?,
        None => system()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Other(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn given(file: &Path) -> Result<RootCertStore, Failure> {
    let failed = |why: &dyn Display| Failure::Other(format!("--ca {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"holds no certificate in PEM"));
    }
    Ok(roots)
}

/// The system's store; single certificates in it that cannot be read are left out.
fn system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "the system's certificate store is empty; --ca FILE names the authority to trust";
        return Err(Failure::Other(why.to_owned()));
    }
    Ok(roots)
}

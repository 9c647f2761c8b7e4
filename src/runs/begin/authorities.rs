//! The certificate authorities trusted for TLS connections of probes and webhooks: one file's, or the system's.
//! Verifies the server only; client certificates are used for daemons only.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::domain::fault::Fault;

/// `whose`: who names the file, for the hint. The system's authorities are read only where none is named: they cost some
/// megabytes.
pub(in crate::runs) fn trusting(ca: Option<&Path>, whose: &str) -> Result<TlsConnector, Fault> {
    let mut roots = RootCertStore::empty();
    let what = if let Some(file) = ca {
        let what = format!("read the authority from {}", file.display());
        let found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| Fault::new(&what, error).hint(format!("see `ca` of {whose}")))?;
        for certificate in found {
            roots.add(certificate).map_err(|error| Fault::new(&what, error))?;
        }
        what
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        "read the system's authorities".to_owned()
    };
    if roots.is_empty() {
        return Err(Fault::new(what, "there is no certificate")
            .hint(format!("set `ca` of {whose}, or install ca-certificates")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new("prepare TLS", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

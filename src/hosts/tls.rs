//! Mutual TLS: the daemon is verified with the configured authority, the client by its certificate.
//! Trusts only the configured authority, never the system's list.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::domain::endpoint::Tls;
use crate::domain::fault::Fault;

/// Reads the three files; a fault names the file and what is wrong with it.
pub(super) fn client_config(files: &Tls) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca, "the authority")? {
        roots
            .add(certificate)
            .map_err(|fault| unusable(&files.ca, "the authority", &fault.to_string()))?;
    }
    let chain = certificates(&files.cert, "our certificate")?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|fault| unreadable(&files.key, "our private key", fault))?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| Fault::new("prepare TLS", fault))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|fault| {
            unusable(&files.key, "our private key", &fault.to_string())
                .hint(format!("is it the key of {}?", files.cert.display()))
        })?;
    Ok(Arc::new(config))
}

fn certificates(file: &Path, role: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|fault| unreadable(file, role, fault))?;
    if found.is_empty() {
        return Err(unusable(file, role, "there is no certificate in it"));
    }
    Ok(found)
}

fn unreadable(file: &Path, role: &str, fault: pem::Error) -> Fault {
    match fault {
        pem::Error::Io(fault) => {
            unusable(file, role, &fault.to_string()).hint("see `tls` of this host in the configuration")
        }
        pem::Error::NoItemsFound => unusable(file, role, "there is none in it: it must be PEM"),
        other => unusable(file, role, &other.to_string()),
    }
}

fn unusable(file: &Path, role: &str, why: &str) -> Fault {
    Fault::new(format!("read {role} from {}", file.display()), why)
}

/// What TLS refused, in words, with what may help.
pub(super) fn words(fault: &Error) -> (String, Option<String>) {
    let said = |why: &str, hint: &str| (why.to_owned(), Some(hint.to_owned()));
    match fault {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            said(
                "the daemon's certificate has expired",
                "renew it on the host and restart the daemon; is this machine's clock right?",
            )
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => said(
            "the daemon's certificate is not valid yet",
            "is this machine's clock right?",
        ),
        // A bad signature: an authority of the same name with another key.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => said(
            "the daemon's certificate is signed by another authority than `ca` of this host",
            "set tls.ca to the authority that signed it; if nothing was changed, the connection may be intercepted",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => said(
            "the daemon's certificate is for another name",
            "use the name that the certificate was issued for in `url`",
        ),
        Error::InvalidCertificate(other) => (format!("the daemon's certificate is refused: {other}"), None),
        Error::AlertReceived(AlertDescription::CertificateExpired) => said(
            "the daemon says that our certificate has expired",
            "renew tls.cert of this host",
        ),
        Error::AlertReceived(AlertDescription::UnknownCA) => said(
            "the daemon does not know the authority that signed our certificate",
            "tls.cert must be signed by the authority of the daemon's --tlscacert",
        ),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied,
        ) => said(
            "the daemon refuses our certificate",
            "tls.cert must be a client certificate of the daemon's authority",
        ),
        Error::InvalidMessage(_) => said(
            "it does not speak TLS",
            "leave `tls` out if the daemon listens without it (anybody who reaches that port is root there)",
        ),
        other => (other.to_string(), None),
    }
}

//! Certificates for the TLS tests, made by openssl: authorities, and valid and expired leaves.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fleet::succeed;

/// An authority with a folder of its own.
pub(crate) struct Authority {
    dir: PathBuf,
}

/// A certificate and its key, PEM.
pub(crate) struct Leaf {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    /// It ended years ago.
    Over,
}

impl Authority {
    pub(crate) fn new(dir: PathBuf) -> Self {
        let authority = Self { dir };
        let settings = "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n\
                        unique_subject=no\n[p]\ncommonName=supplied\n";
        std::fs::write(authority.dir.join("ca.cnf"), settings).unwrap();
        std::fs::write(authority.dir.join("index"), "").unwrap();
        std::fs::write(authority.dir.join("serial"), "01\n").unwrap();
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        authority
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// `names` as OpenSSL writes alternative names: `IP:10.77.1.11,DNS:host1`.
    pub(crate) fn leaf(&self, name: &str, names: &str, validity: Validity) -> Leaf {
        let file = |end: &str| format!("{name}.{end}");
        let extensions = format!("subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n");
        std::fs::write(self.dir.join(file("ext")), extensions).unwrap();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &file("key"),
            "-out",
            &file("csr"),
        ]);
        let (from, to) = match validity {
            Validity::Now => ("20240101000000Z", "20991231000000Z"),
            Validity::Over => ("20200101000000Z", "20200201000000Z"),
        };
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            &file("csr"),
            "-out",
            &file("pem"),
            "-extfile",
            &file("ext"),
            "-startdate",
            from,
            "-enddate",
            to,
        ]);
        Leaf {
            cert: self.dir.join(file("pem")),
            key: self.dir.join(file("key")),
        }
    }

    fn openssl(&self, arguments: &[&str]) {
        succeed(Command::new("openssl").args(arguments).current_dir(&self.dir));
    }
}

/// As text, for a command line.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("our own paths are UTF-8")
}

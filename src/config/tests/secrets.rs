//! Secrets as files: where they may be put, and every place where they could not stay.

use super::{HOSTS, faults_of, loaded};
use crate::config::service::{Secret, SecretFile};

fn shop(keys: &str) -> String {
    format!(
        "{HOSTS}[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"web-1\"]\n{keys}\n"
    )
}

#[test]
fn a_secret_with_a_path_is_a_file_of_root_that_only_root_reads_unless_it_says_otherwise() {
    let config = loaded(&shop(
        r#"
[services.deploy.secrets]
API_KEY = { env = "KEY" }
CERT = { env = "CERT", path = "/etc/shop/cert.pem" }
TLS_KEY = { env = "TLS", path = "/run/secrets/tls.key", uid = 1000, gid = 1001, mode = "0440" }
"#,
    ));
    let spec = &config.services[0].deploy.as_ref().unwrap().spec;
    assert_eq!(spec.secrets.keys().collect::<Vec<_>>(), ["API_KEY"]);
    let cert = SecretFile {
        source: Secret::Env("CERT".to_owned()),
        path: "/etc/shop/cert.pem".to_owned(),
        uid: 0,
        gid: 0,
        mode: 0o400,
    };
    assert_eq!(spec.files["CERT"], cert);
    assert_eq!(
        spec.files["TLS_KEY"].words(),
        "/run/secrets/tls.key (0440, 1000:1001)"
    );
}

#[test]
fn a_file_that_could_not_stay_or_be_read_is_refused_where_it_stands() {
    insta::assert_snapshot!(faults_of(&shop(
        r#"
volumes = ["data:/var/lib/data"]
tmpfs = ["/run"]
[services.deploy.secrets]
A = { env = "A", path = "/var/lib/data/key" }
B = { env = "B", path = "/run/key" }
C = { env = "C", path = "/etc/hosts" }
D = { env = "D", path = "relative" }
E = { env = "E", path = "/etc/../key" }
F = { env = "F", path = "/a", mode = "0999" }
G = { env = "G", uid = 5 }
H = { path = "/h" }
I = { env = "I", path = "/same" }
J = { env = "J", path = "/same/below" }
K = { env = "K", path = "/k", owner = 5 }
L = "here"
"#
    )));
    insta::assert_snapshot!(faults_of(&shop(
        "read_only = true\nsecrets = { A = { env = \"A\", path = \"/a\" } }"
    )));
}

#[test]
fn an_environment_has_files_of_its_own_and_a_variable_of_the_same_name_takes_none_away() {
    let config = loaded(&shop(
        r#"
[services.deploy.secrets]
KEY = { env = "KEY", path = "/run/key" }
CERT = { env = "CERT", path = "/run/cert" }
[services.environments.staging]
deploy.env = { KEY = "plain" }
deploy.secrets.CERT = { file = "/srv/cert", path = "/run/cert", uid = 7 }
"#,
    ));
    let staging = config.services[0].place(Some("staging")).unwrap();
    let spec = &staging.deploy.as_ref().unwrap().spec;
    assert_eq!(spec.env["KEY"], "plain");
    assert_eq!(spec.files["KEY"].source, Secret::Env("KEY".to_owned()));
    assert_eq!(spec.files["CERT"].source, Secret::File("/srv/cert".into()));
    assert_eq!(spec.files["CERT"].uid, 7);
}

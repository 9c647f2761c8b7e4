//! Tests of a release: read with their defaults, refused where they mix what does not belong together.

use super::{HOSTS, faults_of, loaded};
use crate::config::gate::Probe;
use crate::config::switch::Ask;
use crate::config::test::TestImage;

fn shop(keys: &str) -> String {
    format!(
        "{HOSTS}[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"web-1\"]\n{keys}\n"
    )
}

#[test]
fn tests_of_a_release_are_containers_and_probes_in_their_order() {
    let config = loaded(&shop(
        r#"
[[services.deploy.before_switch]]
command = ["/smoke", "{replica.address}"]
env = { HOST = "{host.name}" }
[[services.deploy.before_switch]]
image = "busybox:1.36"
command = ["true"]
retries = 2
[[services.deploy.before_switch]]
http = "/healthz"
port = 8080
[[services.deploy.after_switch]]
name = "front"
http = "http://{host.address}:8080/healthz"
[[services.deploy.after_switch]]
tcp = "{host.address}:5432"
[services.environments.staging]
deploy.before_switch = []
"#,
    ));
    let deploy = config.services[0].deploy.as_ref().unwrap();
    let words: Vec<String> = deploy
        .before_switch
        .iter()
        .chain(&deploy.after_switch)
        .map(super::super::service::ReleaseTest::words)
        .collect();
    assert_eq!(
        words,
        [
            "smoke: /smoke {replica.address}",
            "smoke-2: true, in busybox:1.36, up to 3 times",
            "smoke-3: http :8080/healthz",
            "front: GET http://{host.address}:8080/healthz",
            "check-2: tcp {host.address}:5432",
        ]
    );
    let Ask::Run(test) = &deploy.before_switch[0].ask else {
        panic!("{:?}", deploy.before_switch[0])
    };
    assert_eq!(test.image, TestImage::Own);
    assert!(matches!(deploy.before_switch[2].ask, Ask::Probe(Probe::Http(_))));
    let staging = config.services[0].place(Some("staging")).unwrap();
    let deploy = staging.deploy.as_ref().unwrap();
    assert_eq!(
        (deploy.before_switch.len(), deploy.after_switch.len()),
        (0, 2),
        "a list is replaced"
    );
}

#[test]
fn what_belongs_to_another_kind_of_test_is_refused_where_it_stands() {
    insta::assert_snapshot!(faults_of(&shop(
        r#"
[[services.deploy.before_switch]]
command = ["/smoke", "{replica.adress}"]
[[services.deploy.before_switch]]
command = ["/smoke"]
http = "/healthz"
[[services.deploy.before_switch]]
http = "/healthz"
image = "busybox"
[[services.deploy.before_switch]]
command = ["/smoke"]
port = 80
[[services.deploy.before_switch]]
name = "two words"
command = ["/smoke"]
[[services.deploy.after_switch]]
command = ["/check", "{replica.address}"]
[[services.deploy.after_switch]]
http = "/healthz"
[[services.deploy.after_switch]]
http = "http://{host.address}/"
ca = "ca.pem"
[[services.deploy.after_switch]]
tcp = "{host.address}"
[[services.deploy.after_switch]]
https = "{host.address}"
[[services.deploy.after_switch]]
name = "same"
tcp = "a:1"
[[services.deploy.after_switch]]
name = "same"
tcp = "a:1"
color = "red"
[[services.deploy.after_switch]]
"#
    )));
}

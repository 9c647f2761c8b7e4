//! What a replica may be given beside the rest: read as Compose users know it, refused with its place.

use super::{HOSTS, faults_of, loaded};
use crate::config::options::Options;

fn shop(keys: &str) -> String {
    format!(
        "{HOSTS}[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"web-1\"]\n{keys}\n"
    )
}

#[test]
fn every_option_is_read() {
    let config = loaded(&shop(
        r#"
read_only = true
no_new_privileges = true
init = true
cap_drop = ["ALL"]
cap_add = ["CAP_NET_BIND_SERVICE"]
tmpfs = ["/tmp", "/run:size=64m,mode=1777"]
pids = 200
working_dir = "/app"
extra_hosts = { "db.internal" = "10.0.0.5", gateway = "host-gateway" }
log = { driver = "json-file", options = { max-size = "10m" } }
healthcheck = { command = ["true"], interval = "10s", retries = 3 }
"#,
    ));
    let options = &config.services[0].deploy.as_ref().unwrap().spec.options;
    insta::assert_debug_snapshot!(options);
}

#[test]
fn what_is_not_said_leaves_a_specification_as_it_was_hashed_before() {
    let config = loaded(&shop(""));
    let spec = &config.services[0].deploy.as_ref().unwrap().spec;
    assert_eq!(*spec.options, Options::default());
    assert!(!serde_json::to_string(spec).unwrap().contains("options"));
}

#[test]
fn what_no_daemon_takes_is_refused_where_it_stands() {
    insta::assert_snapshot!(faults_of(&shop(
        r#"
cap_add = ["net_admin"]
tmpfs = ["tmp"]
pids = 0
working_dir = "app"
extra_hosts = { "a b" = "10.0.0.5", db = "nowhere" }
log = { options = { "a=b" = "c" } }
healthcheck = { command = "true", interval = "soon" }
"#
    )));
}

//! What a replica is given beside its command, environment and ports, as the daemon itself then says it has it.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::program::Program;

const OPTIONS: &str = r#"
command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
stop_grace = "1s"
health = { for = "1s", within = "30s" }
read_only = true
no_new_privileges = true
init = true
cap_drop = ["ALL"]
cap_add = ["CAP_CHOWN"]
tmpfs = ["/run", "/scratch:size=1m"]
pids = 50
working_dir = "/run"
extra_hosts = { "db.internal" = "10.0.0.5" }
log = { driver = "json-file", options = { max-size = "1m", max-file = "2" } }
healthcheck = { command = ["CMD-SHELL", "! (echo > /bin/x) && echo > /scratch/x && grep -q db.internal /etc/hosts"], interval = "500ms", retries = 40 }
"#;

#[test]
fn what_a_replica_is_given_the_daemon_has_and_its_own_check_gates_the_release() {
    let daemons = fleet::lease(1);
    let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
    let program = Program::new(&hosts, "");
    let shop = format!(
        "[[services]]\nname = \"shop\"\nimage = \"busybox\"\n[services.deploy]\nhosts = [{:?}]\n{OPTIONS}",
        daemons[0].name().as_str()
    );
    program.configure(&hosts, &shop);
    program
        .run(&["deploy", "shop", "--tag", "real", "--yes"])
        .exits(0);
    let list = daemons[0].ask("GET", "/containers/json", &Value::Null);
    let id = list[0]["Id"].as_str().unwrap();
    let seen = daemons[0].ask("GET", &format!("/containers/{id}/json"), &Value::Null);
    let host = &seen["HostConfig"];
    assert_eq!(
        seen["State"]["Health"]["Status"], "healthy",
        "{:#}",
        seen["State"]
    );
    let expected = [
        ("ReadonlyRootfs", json!(true)),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("Init", json!(true)),
        ("CapDrop", json!(["ALL"])),
        ("Tmpfs", json!({ "/run": "", "/scratch": "size=1m" })),
        ("PidsLimit", json!(50)),
        ("ExtraHosts", json!(["db.internal:10.0.0.5"])),
        (
            "LogConfig",
            json!({ "Type": "json-file", "Config": { "max-file": "2", "max-size": "1m" } }),
        ),
    ];
    for (key, value) in expected {
        assert_eq!(host[key], value, "{key}");
    }
    let added = host["CapAdd"].as_array().unwrap();
    assert!(
        added.len() == 1 && added[0].as_str().unwrap().ends_with("CHOWN"),
        "{added:?}"
    );
    assert_eq!(seen["Config"]["WorkingDir"], "/run");

    // Its check fails from now on: what runs stays what it was.
    program.configure(
        &hosts,
        &shop.replace("! (echo > /bin/x)", "echo no basket; false"),
    );
    let said = program
        .run(&["deploy", "shop", "--tag", "real", "--yes"])
        .exits(1);
    let words = "its health check ended with 1: no basket";
    assert!(said.err.contains(words), "{}", said.err);
    let list = daemons[0].ask("GET", "/containers/json", &Value::Null);
    assert_eq!(list[0]["Id"].as_str(), Some(id), "the old one is back");
    assert_eq!(list.as_array().unwrap().len(), 1);
}

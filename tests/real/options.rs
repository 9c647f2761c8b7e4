//! Further options of a replica, as reported by the daemon itself.

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
cpus = 0.5
stop_signal = "TERM"
labels = { team = "shop" }
restart = "on-failure:3"
ports = ["127.0.0.1:5353:53/udp"]
extra_hosts = { "db.internal" = "10.0.0.5" }
log = { driver = "json-file", options = { max-size = "1m", max-file = "2" } }
healthcheck = { command = ["CMD-SHELL", "! (echo > /bin/x) && echo > /scratch/x && grep -q db.internal /etc/hosts"], interval = "500ms", retries = 40 }
[services.deploy.secrets]
API_KEY = { command = ["echo", "hunter2"] }
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
        ("NanoCpus", json!(500_000_000)),
        (
            "RestartPolicy",
            json!({ "Name": "on-failure", "MaximumRetryCount": 3 }),
        ),
        (
            "PortBindings",
            json!({ "53/udp": [{ "HostIp": "127.0.0.1", "HostPort": "5353" }] }),
        ),
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
    let config = &seen["Config"];
    assert_eq!(config["WorkingDir"], "/run");
    assert_eq!(config["StopSignal"], "TERM");
    assert_eq!(config["Labels"]["team"], "shop");
    assert!(
        config["Env"]
            .as_array()
            .unwrap()
            .contains(&json!("API_KEY=hunter2")),
        "{config:#}"
    );

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

const COMPOSE: &str = r#"
services:
  web:
    image: acme/web
    depends_on: [db]
    command: sh -c "trap 'exit 0' TERM; mkdir -p /www; cat /run/secrets/page > /www/page; httpd -p 8080 -h /www; while :; do sleep 0.1; done"
    environment: { MODE: live }
    networks: { edge: { aliases: [front] } }
    stop_grace_period: 1s
    mem_limit: 64m
    cap_drop: [MKNOD]
    secrets: [page]
networks:
  edge: { external: true }
secrets:
  page: { file: page.txt }
"#;

#[test]
fn a_service_of_a_compose_file_runs_as_it_says_and_is_reached_under_its_names() {
    let daemons = fleet::lease(1);
    let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
    let daemon = &daemons[0];
    daemon.ask("POST", "/networks/create", &json!({ "Name": "edge" }));
    let program = Program::new(&hosts, "");
    std::fs::write(program.dir().join("compose.yaml"), COMPOSE).unwrap();
    std::fs::write(program.dir().join("page.txt"), "the page\n").unwrap();
    let shop = format!(
        "[[services]]\nname = \"shop\"\nimage = \"busybox\"\n[services.deploy]\nhosts = [{:?}]\n\
         compose = \"compose.yaml\"\ncompose_service = \"web\"\nenv = {{ MORE = \"yes\" }}\n",
        daemon.name().as_str()
    );
    program.configure(&hosts, &shop);
    let said = program
        .run(&["deploy", "shop", "--tag", "real", "--yes"])
        .exits(2);
    assert!(
        said.err.contains("compose.yaml:5:5: `depends_on` of web"),
        "{}",
        said.err
    );
    program.configure(&hosts, &format!("{shop}compose_without = [\"depends_on\"]\n"));
    program
        .run(&["deploy", "shop", "--tag", "real", "--yes"])
        .exits(0);
    let list = daemon.ask("GET", "/containers/json", &Value::Null);
    let id = list[0]["Id"].as_str().unwrap();
    let seen = daemon.ask("GET", &format!("/containers/{id}/json"), &Value::Null);
    assert_eq!(seen["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(seen["HostConfig"]["RestartPolicy"]["Name"], "always");
    let env = seen["Config"]["Env"].to_string();
    assert!(env.contains("MODE=live") && env.contains("MORE=yes"), "{env}");
    for name in ["shop", "web", "front"] {
        let script = format!("wget -q -O - http://{name}:8080/page | grep -qx 'the page'");
        let body = json!({ "HostConfig": { "NetworkMode": "edge" } });
        let asks = daemon.run_with(&format!("asks-{name}"), &script, body);
        daemon.await_state(&asks, "exited");
        assert_eq!(daemon.inspect(&asks)["State"]["ExitCode"], 0, "{name}");
    }
}

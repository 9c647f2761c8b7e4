//! The built program without a terminal: one-shot views of three daemons, with JSON and exit codes.

use std::process::Command;

use pilothouse::config::Host;
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::ids::HostName;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::program::{Program, finish};
use crate::support::recorder::Recorder;

fn hosts(daemons: &[Daemon]) -> Vec<Host> {
    daemons.iter().map(Daemon::host).collect()
}

fn absent(daemon: &Daemon) -> Host {
    let mut host = daemon.host_at(Endpoint::Unix("/nowhere/docker.sock".into()));
    host.name = HostName::parse("absent").unwrap();
    host
}

fn names(rows: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_host_that_is_down_hides_nothing_of_the_others_and_is_named() {
    let daemons = fleet::lease(2);
    for daemon in daemons.iter() {
        daemon.run(&format!("web-{}", daemon.name()), "sleep 1000");
    }
    let gone = daemons[0].run("gone", "exit 3");
    daemons[0].await_state(&gone, "exited");
    let mut hosts = hosts(&daemons);
    let running: Vec<String> = daemons
        .iter()
        .map(|daemon| format!("web-{}", daemon.name()))
        .collect();
    let program = Program::new(&hosts, "");
    let ps = program.run(&["ps", "--json"]).exits(0);
    assert_eq!(names(&ps.json()), running);
    let all = program.run(&["ps", "--all", "--json"]).exits(0);
    assert_eq!(names(&all.json())[0], "gone");
    assert!(
        program
            .run(&["ps", "--all", "gone"])
            .exits(0)
            .out
            .contains("exited 3")
    );

    hosts.push(absent(&daemons[0]));
    program.configure(&hosts, "");
    let ps = program.run(&["ps", "--json"]).exits(3);
    assert_eq!(names(&ps.json()), running);
    assert!(
        ps.err.contains("absent") && ps.err.contains("/nowhere/docker.sock"),
        "{}",
        ps.err
    );
    let shown = program.run(&["hosts"]).exits(3);
    assert!(
        daemons
            .iter()
            .all(|daemon| shown.out.contains(daemon.name().as_str())),
        "{}",
        shown.out
    );
    let check = program.run(&["check"]).exits(3);
    assert!(
        format!("{}{}", check.out, check.err).contains("no such file"),
        "{check:?}"
    );
    program
        .run(&["--host", daemons[0].name().as_str(), "check"])
        .exits(0);
}

#[test]
fn logs_of_two_hosts_are_merged_and_end_where_they_end() {
    let daemons = fleet::lease(2);
    let mut ids = Vec::new();
    for daemon in daemons.iter() {
        ids.push(daemon.run(
            "counting",
            "for i in 1 2 3 4 5; do echo $i of $(hostname); usleep 20000; done; echo oops >&2",
        ));
    }
    for (daemon, id) in daemons.iter().zip(&ids) {
        daemon.await_state(id, "exited");
    }
    let program = Program::new(&hosts(&daemons), "");
    let logs = program.run(&["logs", "counting", "--all"]).exits(0);
    assert_eq!(
        logs.out.lines().filter(|line| line.contains(" of ")).count(),
        10,
        "{}",
        logs.out
    );
    let one = program
        .run(&["logs", &format!("{}/counting", daemons[0].name()), "--tail", "2"])
        .exits(0);
    assert_eq!(
        (one.out.lines().count(), one.err.lines().count()),
        (1, 1),
        "{one:?}"
    );
    program.run(&["logs", "nobody"]).exits(2);
}

#[test]
fn a_log_that_cannot_be_read_is_said_and_is_in_the_exit_code() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let none = serde_json::json!({ "HostConfig": { "LogConfig": { "Type": "none" } } });
    daemon.run_with("silent", "sleep 1000", none);
    daemon.run("loud", "echo hello; sleep 1000");
    let program = Program::new(&hosts(&daemons), "");
    let both = program.run(&["logs", "loud", "silent"]).exits(3);
    assert!(both.out.contains("hello"), "{both:?}");
    assert!(both.err.contains("logging driver"), "{both:?}");
    assert!(both.err.contains("not every log"), "{both:?}");
    let json = program.run(&["logs", "silent", "--json"]).exits(3);
    assert!(json.err.contains("logging driver"), "{json:?}");
}

#[test]
fn a_daemon_that_goes_while_its_log_is_read_is_in_the_exit_code() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("long", "seq 1 2000000");
    daemon.await_state(&id, "exited");
    let program = Program::new(&hosts(&daemons), "");
    let mut reading = program.command(&["logs", "long", "--all"]);
    let reading = reading
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut reading = reading.spawn().unwrap();
    // It reads on only when we do: the daemon goes in the middle of it.
    let mut first = [0; 4];
    std::io::Read::read_exact(reading.stdout.as_mut().unwrap(), &mut first).unwrap();
    daemon.kill_9();
    let read = reading.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&read.stderr);
    assert_eq!(read.status.code(), Some(3), "{words}");
    assert!(words.contains("could not read the log"), "{words}");
}

#[test]
fn read_only_sends_no_request_that_changes_anything() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    daemon.run("web", "echo hello; sleep 1000");
    let recorder = Recorder::start(&daemon.socket(), &fleet::folder("recorder"));
    let host = daemon.host_at(Endpoint::Unix(recorder.socket().to_owned()));
    let service = format!(
        "[[services]]
name = \"shop\"
image = \"busybox\"
[services.deploy]
hosts = [\"{}\"]
command = [\"sleep\", \"1000\"]
",
        daemon.name()
    );
    let program = Program::new(&[host], &service);
    for view in [&["ps"][..], &["hosts"], &["check"], &["logs", "web"]] {
        let arguments: Vec<&str> = ["--read-only"].iter().chain(view).copied().collect();
        program.run(&arguments).exits(0);
    }
    let deploy = program.run(&["--read-only", "deploy", "shop", "--tag", "real", "--yes"]);
    assert_ne!(deploy.code, Some(0), "{deploy:?}");
    assert!(recorder.requests().len() > 4, "{:?}", recorder.requests());
    assert_eq!(recorder.mutating(), Vec::<String>::new());
}

#[test]
fn a_socket_that_an_ordinary_user_may_not_open_says_which_group_helps() {
    let daemons = fleet::lease(1);
    let program = Program::new(&hosts(&daemons), "");
    let copy = program.dir().join("pilothouse");
    std::fs::copy(env!("CARGO_BIN_EXE_pilothouse"), &copy).unwrap();
    let state = fleet::folder("home");
    let toml = std::fs::read_to_string(program.config()).unwrap();
    let own = state.join("config.toml");
    std::fs::write(
        &own,
        toml.replace(program.dir().to_str().unwrap(), state.to_str().unwrap()),
    )
    .unwrap();
    std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    std::os::unix::fs::chown(&own, Some(65534), Some(65534)).unwrap();
    let said = finish(
        Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&copy)
            .arg("--config")
            .arg(&own)
            .arg("ps")
            .env("HOME", &state)
            .current_dir(&state),
    )
    .exits(3);
    assert!(
        said.err.contains("permission denied") && said.err.contains("usermod -aG docker"),
        "{}",
        said.err
    );
}

#[test]
fn a_faulty_configuration_is_told_with_its_place_and_touches_nothing() {
    let daemons = fleet::lease(1);
    let program = Program::new(
        &hosts(&daemons),
        "[[services]]\nname = \"shop\"\nimagee = \"x\"\n",
    );
    let said = program.run(&["check"]).exits(2);
    assert!(
        said.err.contains("config.toml:") && said.err.contains("imagee"),
        "{}",
        said.err
    );
}

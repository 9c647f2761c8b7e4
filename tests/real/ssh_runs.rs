//! Runs with a host behind real sshd: an image is transferred, deployed and rolled back over ssh, and no ssh process is left.

use std::time::Duration;

use pilothouse::config::Host;
use pilothouse::domain::endpoint::{Endpoint, Ssh};
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::program::{Program, finish};
use crate::support::shop;
use crate::support::sshd::{Agent, Sshd, user, with_word};
use crate::support::terminal::Terminal;
use crate::support::wait::until;

const PASSES: &str = "exit 0";

/// The first daemon builds and is reached by its socket, the second is behind ssh.
fn configured(daemons: &[Daemon], ssh: &Ssh) -> Program {
    let near = daemons[0].host();
    let far: Host = daemons[1].host_at(Endpoint::Ssh(ssh.clone()));
    let hosts = [near, far];
    let program = Program::new(&hosts, "").finding(&user().bin());
    shop::configure(&program, &hosts, daemons[0].name(), &[daemons[1].name()]);
    shop::write(&program, "one", shop::STAYS, PASSES);
    program
}

fn release_on(daemon: &Daemon) -> Value {
    let list = daemon.ask("GET", "/containers/json", &Value::Null);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list:#}");
    list[0]["Labels"]["pilothouse.release"].clone()
}

#[track_caller]
fn none_left(ssh: &Ssh) {
    until(Duration::from_secs(10), "no ssh is left", || {
        with_word(&ssh.host).is_empty().then_some(())
    });
}

#[test]
fn an_image_is_carried_released_and_taken_back_over_ssh_and_no_ssh_is_left() {
    let daemons = fleet::lease(2);
    let sshd = Sshd::start(&daemons[1], 2226, "", &[&user().path("key")]);
    let ssh = sshd.host("runs", "");
    let program = configured(&daemons, &ssh);
    program.run(&["build", "shop"]).exits(0);
    program.run(&["deploy", "shop", "--yes"]).exits(0);
    assert_eq!(release_on(&daemons[1]), "r1");
    shop::write(&program, "two", shop::STAYS, PASSES);
    program.run(&["build", "shop"]).exits(0);
    program.run(&["deploy", "shop", "--yes"]).exits(0);
    assert_eq!(release_on(&daemons[1]), "r2");
    program.run(&["rollback", "shop", "--yes"]).exits(0);
    assert_eq!(release_on(&daemons[1]), "r1");
    none_left(&ssh);
}

#[test]
fn a_room_that_is_left_or_panics_leaves_no_ssh() {
    let daemons = fleet::lease(2);
    let sshd = Sshd::start(&daemons[1], 2227, "", &[&user().path("key")]);
    let ssh = sshd.host("left", "");
    daemons[1].run("far-away", "while :; do echo line; sleep 1; done");
    let program = configured(&daemons, &ssh);
    let open = || {
        let room = Terminal::open(&program, &[], 100, 30);
        room.press("2");
        room.until("the row behind ssh", |screen| screen.contains("far-away"));
        // Over a second connection.
        room.press("l");
        room.until("its log", |screen| screen.contains("line"));
        assert!(!with_word(&ssh.host).is_empty());
        room
    };
    let room = open();
    room.press("q");
    assert_eq!(room.end(), 0);
    none_left(&ssh);

    // A moment after it was opened.
    let room = Terminal::with(&program, &[], &[("PILOTHOUSE_PANIC", "1")], (100, 30));
    until(Duration::from_secs(10), "an ssh of this room", || {
        (!with_word(&ssh.host).is_empty()).then_some(())
    });
    assert_ne!(room.end(), 0);
    none_left(&ssh);
}

#[test]
fn a_key_that_only_the_agent_holds_opens_the_host() {
    let daemons = fleet::lease(1);
    let key = user().key("agents", "");
    let agent = Agent::holding(&key);
    let sshd = Sshd::start(&daemons[0], 2228, "", &[&key]);
    let ssh = sshd.host("agent", "IdentityAgent SSH_AUTH_SOCK\n  IdentitiesOnly no");
    let far = daemons[0].host_at(Endpoint::Ssh(ssh.clone()));
    let program = Program::new(&[far], "").finding(&user().bin());
    let without = program.run(&["hosts"]).exits(3);
    assert!(without.err.contains("Permission denied"), "{}", without.err);
    let mut with = program.command(&["hosts"]);
    let with = finish(with.env("SSH_AUTH_SOCK", agent.socket())).exits(0);
    assert!(with.out.contains(daemons[0].name().as_str()), "{with:?}");
    none_left(&ssh);
}

//! The actors over real sshd: watching, logs and actions as on any daemon, loss with ssh's messages, reconnecting.

use std::process::Stdio;
use std::time::Duration;

use pilothouse::config;
use pilothouse::domain::endpoint::{Endpoint, Ssh};
use pilothouse::domain::host::{Link, Reading};
use pilothouse::domain::logs::LogRange;
use pilothouse::domain::order::{Access, Order, Verb};
use pilothouse::hosts;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::sshd::{Sshd, user, with_word};
use crate::support::wait::{until, until_running};
use crate::support::watch::Watch;

fn over(daemon: &Daemon, ssh: &Ssh) -> config::Host {
    daemon.host_at(Endpoint::Ssh(ssh.clone()))
}

async fn none_left(ssh: &Ssh) {
    let word = ssh.host.clone();
    let gone = move || {
        until(Duration::from_secs(5), "no ssh is left", || {
            with_word(&word).is_empty().then_some(())
        });
    };
    tokio::task::spawn_blocking(gone).await.unwrap();
}

#[tokio::test]
async fn a_daemon_behind_ssh_is_watched_told_and_read_over_two_logins() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let sshd = Sshd::start(daemon, 2221, "", &[&user().path("key")]);
    let ssh = sshd.host("room", "");
    let key = daemon.key(&daemon.run(
        "web",
        "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done",
    ));
    let mut watch = Watch::start(vec![over(daemon, &ssh)], Access::Full);
    watch
        .until_row(&key, "it is seen running", |row| row.state.is_running())
        .await;
    assert_eq!(sshd.sessions().len(), 1, "one connection for all of it");

    watch.sample(daemon.name(), vec![key.id.clone()]);
    watch
        .until("the host's figures come by themselves", |watch| {
            let load = watch.fleet.host(&key.host)?.load.as_ref()?;
            matches!((&load.cpu, &load.disk), (Reading::Known(_), Reading::Known(_))).then_some(())
        })
        .await;

    watch.follow(vec![key.clone()], LogRange::All);
    watch
        .until("lines of the log", |watch| (watch.lines.len() > 5).then_some(()))
        .await;
    assert_eq!(sshd.sessions().len(), 2, "a second one for the log");
    watch.leave();
    // After a minute: the limit is at least as long again.
    until_running(
        Duration::from_mins(3),
        "the second one is closed when nobody used it for a while",
        || (sshd.sessions().len() == 1).then_some(()),
    )
    .await;

    watch.act(&key, Verb::Kill).await.unwrap();
    watch
        .until_row(&key, "the event came back", |row| !row.state.is_running())
        .await;
    watch.end().await;
    none_left(&ssh).await;
}

#[tokio::test]
async fn a_read_only_program_has_the_figures_of_a_host_behind_ssh() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2222, "", &[&user().path("key")]);
    let mut watch = Watch::start(
        vec![over(&daemons[0], &sshd.host("readonly", ""))],
        Access::ReadOnly,
    );
    watch.until_listed().await;
    watch
        .order(Order::Measure(daemons[0].name().clone()))
        .await
        .unwrap();
    let entry = watch.fleet.host(daemons[0].name()).unwrap();
    assert!(matches!(entry.load.as_ref().unwrap().memory, Reading::Known(_)));
    watch.end().await;
}

#[tokio::test]
async fn where_sockets_are_not_forwarded_events_come_though_more_statistics_are_wanted_than_sessions_fit() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let sshd = Sshd::start(
        daemon,
        2223,
        "AllowStreamLocalForwarding no",
        &[&user().path("key")],
    );
    let keys: Vec<_> = (0..10)
        .map(|n| daemon.key(&daemon.run(&format!("c{n}"), "sleep 1000")))
        .collect();
    let mut watch = Watch::start(vec![over(daemon, &sshd.host("narrow", ""))], Access::Full);
    watch
        .until_row(&keys[9], "listed", |row| row.state.is_running())
        .await;
    watch.sample(daemon.name(), keys.iter().map(|key| key.id.clone()).collect());
    watch
        .until("statistics of some", |watch| {
            watch.row(&keys[0]).history.last().is_some().then_some(())
        })
        .await;
    watch.act(&keys[9], Verb::Kill).await.unwrap();
    watch
        .until_row(&keys[9], "the event came", |row| !row.state.is_running())
        .await;
    watch.end().await;
}

#[tokio::test]
async fn a_cut_link_is_said_in_ssh_s_words_and_the_host_found_again() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let sshd = Sshd::start(daemon, 2224, "", &[&user().path("key")]);
    let key = daemon.key(&daemon.run("web", "sleep 1000"));
    let mut watch = Watch::start(vec![over(daemon, &sshd.host("link", ""))], Access::Full);
    watch
        .until_row(&key, "listed", |row| row.state.is_running())
        .await;
    daemon.cut_link();
    watch
        .until_link(daemon.name(), |link| matches!(link, Link::Lost { .. }))
        .await;
    assert!(watch.row(&key).container.state.is_running(), "the row stays");
    daemon.mend_link();
    watch.retry(daemon.name());
    watch.until_link(daemon.name(), Link::is_live).await;
    watch.end().await;
}

#[tokio::test]
async fn a_host_that_needs_a_person_says_so_and_is_reached_after_the_terminal_was_lent() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let locked = user().key("locked-room", "secret");
    let sshd = Sshd::start(daemon, 2225, "", &[&locked]);
    let ssh = sshd.host("person", &format!("IdentityFile {}", locked.display()));
    let mut watch = Watch::start(vec![over(daemon, &ssh)], Access::Full);
    let link = watch
        .until_link(daemon.name(), |link| matches!(link, Link::NeedsPerson { .. }))
        .await;
    let Link::NeedsPerson { why, .. } = link else {
        panic!()
    };
    assert!(why.hint.unwrap().contains("passphrase"));
    let mut lent = hosts::ssh::lend(&ssh).unwrap();
    lent.env("SSH_ASKPASS", user().askpass("secret"))
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::null());
    assert!(lent.status().unwrap().success());
    watch.retry(daemon.name());
    watch.until_link(daemon.name(), Link::is_live).await;
    watch.end().await;
}

//! Every kind of event that changes a container changes its row, and no older list reverts it.

use pilothouse::domain::container::{Health, State};
use pilothouse::domain::ids::{ContainerId, ContainerKey};
use pilothouse::domain::order::{Access, Order, Verb};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::watch::Watch;

fn post(daemon: &Daemon, id: &ContainerId, what: &str) {
    daemon.ask(
        "POST",
        &format!("/containers/{}/{what}", id.as_str()),
        &Value::Null,
    );
}

async fn is(watch: &mut Watch, key: &ContainerKey, word: &str) {
    let what = format!("the row is {word}");
    watch.until_row(key, &what, |row| row.state.word() == word).await;
}

#[tokio::test]
async fn what_happens_to_a_container_is_seen_in_its_row() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;

    let id = daemon.create("one", json!({ "Cmd": ["sleep", "1000"] }));
    let key = daemon.key(&id);
    is(&mut watch, &key, "created").await;
    post(daemon, &id, "start");
    let running = watch
        .until_row(&key, "it runs", |row| row.state.is_running())
        .await;
    assert_eq!(&*running.name, "one");
    post(daemon, &id, "pause");
    is(&mut watch, &key, "paused").await;
    post(daemon, &id, "unpause");
    is(&mut watch, &key, "running").await;
    post(daemon, &id, "rename?name=uno");
    watch
        .until_row(&key, "it is renamed", |row| &*row.name == "uno")
        .await;
    post(daemon, &id, "restart?t=1");
    watch
        .until("the restart is in its history", |watch| {
            let happenings = &watch.row(&key).happenings;
            happenings
                .iter()
                .any(|happening| happening.what.contains("restart"))
                .then_some(())
        })
        .await;
    is(&mut watch, &key, "running").await;
    daemon.ask(
        "POST",
        &format!("/containers/{}/update", id.as_str()),
        &json!({ "PidsLimit": 100 }),
    );
    watch
        .until("the update is in its history", |watch| {
            let happenings = &watch.row(&key).happenings;
            happenings
                .iter()
                .any(|happening| happening.what == "update")
                .then_some(())
        })
        .await;
    post(daemon, &id, "kill?signal=KILL");
    let exited = watch
        .until_row(&key, "it exited", |row| row.state.word() == "exited")
        .await;
    assert!(
        matches!(
            exited.state,
            State::Exited {
                code: 137,
                oom: false,
                ..
            }
        ),
        "{exited:?}"
    );
    post(daemon, &id, "start");
    is(&mut watch, &key, "running").await;
    post(daemon, &id, "stop?t=1");
    is(&mut watch, &key, "exited").await;
    daemon.remove(&id);
    watch
        .until("its row is gone", |watch| {
            watch.fleet.row(&key).is_none().then_some(())
        })
        .await;
    watch.end().await;
}

#[tokio::test]
async fn the_exit_code_the_kernels_kill_the_health_and_the_restart_loop_are_told_apart() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;

    let three = daemon.key(&daemon.run("three", "exit 3"));
    watch
        .until_row(&three, "it exited with 3", |row| {
            matches!(
                row.state,
                State::Exited {
                    code: 3,
                    oom: false,
                    ..
                }
            )
        })
        .await;

    let hungry = daemon.run_with(
        "hungry",
        // Docker only notices it of a container that has lived for a moment.
        "sleep 1; dd if=/dev/zero of=/dev/null bs=200M",
        json!({ "HostConfig": { "Memory": 16 << 20, "MemorySwap": 16 << 20 } }),
    );
    watch
        .until_row(&daemon.key(&hungry), "the kernel killed it for memory", |row| {
            matches!(row.state, State::Exited { oom: true, .. })
        })
        .await;

    let second = 1_000_000_000;
    let check = json!({ "Test": ["CMD", "test", "-e", "/tmp/well"], "Interval": second / 5, "Timeout": second, "Retries": 1 });
    let checked = daemon.key(&daemon.run_with(
        "checked",
        "touch /tmp/well; sleep 1000",
        json!({ "Healthcheck": check }),
    ));
    watch
        .until_row(&checked, "it is healthy", |row| row.health == Health::Healthy)
        .await;
    let exec = daemon.ask(
        "POST",
        &format!("/containers/{}/exec", checked.id.as_str()),
        &json!({ "Cmd": ["rm", "/tmp/well"] }),
    );
    let start = format!("/exec/{}/start", exec["Id"].as_str().unwrap());
    daemon.ask("POST", &start, &json!({ "Detach": true }));
    watch
        .until_row(&checked, "it is unhealthy", |row| row.health == Health::Unhealthy)
        .await;
    watch.order(Order::Inspect(checked.clone())).await.unwrap();
    let detail = watch.row(&checked).detail.as_ref().expect("it was inspected");
    assert_eq!((&*detail.name, detail.health), ("checked", Health::Unhealthy));
    let exits: Vec<i64> = detail.probes.iter().map(|probe| probe.exit).collect();
    assert!(
        exits.contains(&0) && exits.last() == Some(&1),
        "{:?}",
        detail.probes
    );
    assert!(
        detail
            .probes
            .iter()
            .all(|probe| probe.at.0 > 0 && !probe.took.is_zero()),
        "{:?}",
        detail.probes
    );
    assert!(detail.raw.contains("\"FailingStreak\""), "{}", detail.raw);

    let looping = daemon.key(&daemon.run_with(
        "looping",
        "exit 7",
        json!({ "HostConfig": { "RestartPolicy": { "Name": "always" } } }),
    ));
    watch
        .until("it is in a restart loop", |watch| {
            let row = watch.fleet.row(&looping)?;
            let starts = row
                .happenings
                .iter()
                .filter(|happening| happening.what == "start")
                .count();
            (starts >= 3 && row.is_unwell()).then_some(())
        })
        .await;
    watch.end().await;
}

/// A list that was asked for before the end of a container may come after its event, with the older state.
#[tokio::test]
async fn rows_end_as_the_daemon_has_them_however_lists_and_events_race() {
    const CONTAINERS: usize = 12;
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let ids: Vec<ContainerId> = (0..CONTAINERS)
        .map(|number| daemon.run(&format!("c{number}"), "sleep 1000"))
        .collect();
    for round in 0..6 {
        let mut watch = Watch::start(vec![daemon.host()], Access::Full);
        let (what, end) = if round % 2 == 0 {
            ("kill", "exited")
        } else {
            ("start", "running")
        };
        std::thread::scope(|scope| {
            for id in &ids {
                scope.spawn(move || post(daemon, id, what));
            }
        });
        watch
            .until("every row is as it is", |watch| {
                ids.iter()
                    .all(|id| {
                        let row = watch.fleet.row(&daemon.key(id));
                        row.is_some_and(|row| row.container.state.word() == end)
                    })
                    .then_some(())
            })
            .await;
        watch.end().await;
    }
}

#[tokio::test]
async fn orders_are_carried_out_and_refused_in_the_daemons_words() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.create("one", json!({ "Cmd": ["sleep", "1000"] })));
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;
    for (verb, word) in [
        (Verb::Start, "running"),
        (Verb::Pause, "paused"),
        (Verb::Unpause, "running"),
        (Verb::Restart, "running"),
        (Verb::Kill, "exited"),
        (Verb::Start, "running"),
        (Verb::Stop, "exited"),
    ] {
        watch.act(&key, verb).await.unwrap();
        is(&mut watch, &key, word).await;
        daemon.await_state(&key.id, word);
    }
    watch.act(&key, Verb::Start).await.unwrap();
    let refused = watch.act(&key, Verb::Remove).await.unwrap_err();
    assert!(refused.to_string().contains("running"), "{refused}");
    watch.act(&key, Verb::Stop).await.unwrap();
    watch.act(&key, Verb::Remove).await.unwrap();
    watch
        .until("its row is gone", |watch| {
            watch.fleet.row(&key).is_none().then_some(())
        })
        .await;
    assert!(watch.act(&key, Verb::Start).await.is_err());
    watch.end().await;
}

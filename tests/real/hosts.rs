//! Several daemons watched at once while one is down, killed, stopped, hung or cut off.

use pilothouse::domain::container::State;
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::host::Link;
use pilothouse::domain::ids::HostName;
use pilothouse::domain::order::Access;

use crate::support::fleet;
use crate::support::watch::Watch;

fn is_lost(link: &Link) -> bool {
    matches!(link, Link::Lost { .. })
}

fn why(link: &Link) -> &str {
    match link {
        Link::Lost { why, .. } => &why.why,
        other => panic!("{other:?} is not lost"),
    }
}

#[tokio::test]
async fn three_hosts_are_listed_while_a_fourth_is_down() {
    let daemons = fleet::lease(3);
    let mut keys = Vec::new();
    for daemon in daemons.iter() {
        keys.push(daemon.key(&daemon.run("web", "sleep 1000")));
    }
    let mut hosts: Vec<_> = daemons.iter().map(super::support::daemon::Daemon::host).collect();
    let mut absent = daemons[0].host_at(Endpoint::Unix("/nowhere/docker.sock".into()));
    absent.name = HostName::parse("absent").unwrap();
    hosts.push(absent.clone());

    let mut watch = Watch::start(hosts, Access::Full);
    for key in &keys {
        watch
            .until_row(key, "the row is running", |row| row.state.is_running())
            .await;
    }
    let lost = watch.until_link(&absent.name, is_lost).await;
    assert!(why(&lost).contains("no such file"), "{lost:?}");
    watch.end().await;
}

#[tokio::test]
async fn a_killed_daemon_keeps_its_rows_and_comes_back_with_what_happened_meanwhile() {
    let daemons = fleet::lease(2);
    let [a, b] = &daemons[..] else {
        panic!("two were leased")
    };
    let (on_a, on_b) = (
        a.key(&a.run("one", "sleep 1000")),
        b.key(&b.run("two", "sleep 1000")),
    );
    let mut watch = Watch::start(vec![a.host(), b.host()], Access::Full);
    watch.until_listed().await;

    a.kill_9();
    watch.until_link(a.name(), is_lost).await;
    assert!(
        watch.row(&on_a).container.state.is_running(),
        "the row stays as it was last seen"
    );

    a.start();
    watch.until_link(a.name(), Link::is_live).await;
    watch
        .until_row(&on_a, "the killed daemon's container is seen as exited", |row| {
            matches!(row.state, State::Exited { .. })
        })
        .await;
    assert!(watch.row(&on_b).container.state.is_running());
    watch.end().await;
}

#[tokio::test]
async fn a_daemon_that_is_stopped_in_order_is_lost_and_found_again() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.run("one", "sleep 1000"));
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;
    daemon.stop();
    watch.until_link(daemon.name(), is_lost).await;
    daemon.start();
    watch.until_link(daemon.name(), Link::is_live).await;
    let fresh = daemon.key(&daemon.run("two", "sleep 1000"));
    watch
        .until_row(&fresh, "events flow again", |row| row.state.is_running())
        .await;
    watch
        .until_row(&key, "it is seen as exited", |row| {
            matches!(row.state, State::Exited { .. })
        })
        .await;
    watch.end().await;
}

#[tokio::test]
async fn a_hung_daemon_is_noticed_by_our_own_ping_and_found_again() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.run("one", "sleep 1000"));
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;
    daemon.freeze();
    watch.until_link(daemon.name(), is_lost).await;
    assert!(watch.row(&key).container.state.is_running());
    daemon.thaw();
    watch.until_link(daemon.name(), Link::is_live).await;
    daemon.remove(&key.id);
    watch
        .until("the row goes with its container", |watch| {
            watch.fleet.row(&key).is_none().then_some(())
        })
        .await;
    watch.end().await;
}

#[tokio::test]
async fn a_cut_link_is_noticed_and_mended() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.run("one", "sleep 1000"));
    let mut watch = Watch::start(vec![daemon.tcp_host()], Access::Full);
    watch.until_listed().await;
    daemon.cut_link();
    watch.until_link(daemon.name(), is_lost).await;
    daemon.remove(&key.id);
    daemon.mend_link();
    watch.until_link(daemon.name(), Link::is_live).await;
    watch
        .until("what went meanwhile is gone", |watch| {
            watch.fleet.row(&key).is_none().then_some(())
        })
        .await;
    watch.end().await;
}

//! Logs of real containers: complete, in order, without repetition, whatever happens to the daemon.

use std::time::Duration;

use pilothouse::domain::logs::{LogRange, Stream};
use pilothouse::domain::order::Access;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::wait;
use crate::support::watch::Watch;

const LIMIT: Duration = Duration::from_secs(45);

/// Prints `line 1`, `line 2`, … about 500 a second, without an end.
const COUNTING: &str =
    "i=0; while :; do i=$((i+1)); echo line $i; [ $((i % 50)) = 0 ] && usleep 100000; done";

fn numbers(watch: &Watch) -> Vec<u64> {
    watch
        .lines
        .iter()
        .map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap())
        .collect()
}

/// From the first that came to the last, each once, in order.
fn assert_whole(numbers: &[u64]) {
    let first = numbers[0];
    for (expected, &seen) in (first..).zip(numbers) {
        assert_eq!(seen, expected, "after {} lines", expected - first);
    }
}

async fn until_lines(watch: &mut Watch, count: usize) {
    let what = format!("{count} lines");
    watch
        .until(&what, |watch| (watch.lines.len() >= count).then_some(()))
        .await;
}

#[tokio::test]
async fn streams_are_told_apart_and_long_lines_are_put_together() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let script = "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end";
    let key = daemon.key(&daemon.run("one", script));
    let mut watch = Watch::start(vec![daemon.host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key.clone()], LogRange::All);
    until_lines(&mut watch, 3).await;
    let seen = |text: &str, stream: Stream| {
        watch
            .lines
            .iter()
            .any(|line| &*line.text == text && line.stream == stream)
    };
    assert!(
        seen("out", Stream::Out) && seen("err", Stream::Err),
        "{:?}",
        watch.texts()
    );
    assert!(
        seen(&"x".repeat(40_000), Stream::Out),
        "{:?}",
        watch.lines.iter().map(|l| l.text.len()).collect::<Vec<_>>()
    );
    watch
        .until("what was printed without a line end comes in the end", |watch| {
            watch.lines.iter().any(|line| &*line.text == "end").then_some(())
        })
        .await;
    watch.end().await;
}

#[tokio::test]
async fn a_terminals_output_comes_without_frames_and_carriage_returns() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let script = "echo one; printf '\\033[31mred\\033[0m\\n'; tty; sleep 1000";
    let key = daemon.key(&daemon.run_with("console", script, json!({ "Tty": true })));
    let mut watch = Watch::start(vec![daemon.host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key], LogRange::Tail(100));
    until_lines(&mut watch, 3).await;
    assert_eq!(watch.texts()[..2], ["one", "\u{1b}[31mred\u{1b}[0m"]);
    assert!(watch.lines.iter().all(|line| line.stream == Stream::Console));
    watch.end().await;
}

#[tokio::test]
async fn a_follow_goes_on_after_its_daemon_was_killed_with_nothing_lost_and_nothing_twice() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    daemon.stop();
    let tcp = format!("tcp://{}:2375", daemon.address());
    let living = ["-H", &tcp, "--tls=false", "--live-restore"];
    daemon.start_with(&living);
    let key = daemon.key(&daemon.run("counting", COUNTING));
    let mut watch = Watch::start(vec![daemon.host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key.clone()], LogRange::All);
    for _ in 0..2 {
        let more = watch.lines.len() + 300;
        until_lines(&mut watch, more).await;
        daemon.kill_9();
        daemon.start_with(&living);
    }
    let more = watch.lines.len() + 500;
    until_lines(&mut watch, more).await;
    let kept = kept_by(daemon, &key.id);
    let seen: Vec<String> = watch.texts().into_iter().map(str::to_owned).collect();
    assert_eq!(seen[..], kept[..seen.len()], "what the daemon itself has kept");
    watch.end().await;
    daemon.stop();
}

#[tokio::test]
async fn who_leaves_a_log_and_comes_back_reads_on_with_nothing_lost_and_nothing_twice() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.run("counting", COUNTING));
    let mut watch = Watch::start(vec![daemon.host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key.clone()], LogRange::Tail(10));
    for _ in 0..3 {
        let more = watch.lines.len() + 200;
        until_lines(&mut watch, more).await;
        let reached = watch.leave();
        let before = kept_by(daemon, &key.id).len();
        let what = "it has written more meanwhile";
        wait::until_running(LIMIT, what, || {
            (kept_by(daemon, &key.id).len() > before + 100).then_some(())
        })
        .await;
        watch.follow(vec![key.clone()], LogRange::After(reached));
    }
    let more = watch.lines.len() + 500;
    until_lines(&mut watch, more).await;
    assert_whole(&numbers(&watch));
    assert_eq!(watch.skipped, 0);
    watch.end().await;
}

#[tokio::test]
async fn a_follow_over_a_cut_link_goes_on_with_nothing_lost_and_nothing_twice() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let key = daemon.key(&daemon.run("counting", COUNTING));
    let mut watch = Watch::start(vec![daemon.tcp_host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key], LogRange::Tail(10));
    until_lines(&mut watch, 200).await;
    daemon.cut_link();
    watch.until_link(daemon.name(), |link| !link.is_live()).await;
    daemon.mend_link();
    watch
        .until_link(daemon.name(), pilothouse::domain::host::Link::is_live)
        .await;
    let more = watch.lines.len() + 2_000;
    until_lines(&mut watch, more).await;
    assert_eq!(watch.skipped, 0);
    assert_whole(&numbers(&watch));
    watch.end().await;
}

/// As after the host's reboot: what it had open is forgotten, and it never said so.
#[tokio::test]
async fn a_follow_goes_on_when_the_daemon_was_restarted_behind_a_cut_link() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    daemon.stop();
    let tcp = format!("tcp://{}:2375", daemon.address());
    let living = ["-H", &tcp, "--tls=false", "--live-restore"];
    daemon.start_with(&living);
    let key = daemon.key(&daemon.run("counting", COUNTING));
    let mut watch = Watch::start(vec![daemon.tcp_host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key], LogRange::Tail(10));
    until_lines(&mut watch, 200).await;
    daemon.cut_link();
    daemon.forget_connections();
    daemon.kill_9();
    watch.until_link(daemon.name(), |link| !link.is_live()).await;
    daemon.start_with(&living);
    daemon.mend_link();
    let more = watch.lines.len() + 2_000;
    until_lines(&mut watch, more).await;
    assert_eq!(watch.skipped, 0);
    assert_whole(&numbers(&watch));
    watch.end().await;
    daemon.stop();
}

#[tokio::test]
async fn lines_of_three_hosts_come_in_the_order_of_their_time() {
    let daemons = fleet::lease(3);
    let keys: Vec<_> = daemons
        .iter()
        .map(|daemon| daemon.key(&daemon.run("counting", COUNTING)))
        .collect();
    let mut watch = Watch::start(daemons.iter().map(Daemon::host).collect(), Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(keys.clone(), LogRange::Tail(0));
    until_lines(&mut watch, 3_000).await;
    let late = watch.lines.windows(2).filter(|two| two[0].at > two[1].at).count();
    assert_eq!(late, 0, "lines out of order");
    for key in &keys {
        let of_one: Vec<u64> = watch
            .lines
            .iter()
            .filter(|line| *line.source == *key)
            .map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap())
            .collect();
        assert_whole(&of_one);
    }
    watch.end().await;
}

#[tokio::test]
async fn a_container_without_a_readable_log_says_why() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let none = json!({ "HostConfig": { "LogConfig": { "Type": "none" } } });
    let key = daemon.key(&daemon.run_with("silent", "while :; do echo x; usleep 100000; done", none));
    let mut watch = Watch::start(vec![daemon.host()], Access::ReadOnly);
    watch.until_listed().await;
    watch.follow(vec![key], LogRange::Tail(10));
    watch
        .until("the reason is said", |watch| {
            watch
                .notices
                .iter()
                .any(|text| text.contains("logging driver"))
                .then_some(())
        })
        .await;
    watch.end().await;
}

/// The lines of the daemon's own log file.
fn kept_by(daemon: &Daemon, id: &pilothouse::domain::ids::ContainerId) -> Vec<String> {
    let path = daemon.inspect(id)["LogPath"].as_str().unwrap().to_owned();
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["log"].as_str().unwrap().trim_end().to_owned())
        .collect()
}

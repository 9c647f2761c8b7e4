//! How `hosts` handles a daemon that hangs, cuts a stream, answers 500, floods, sends garbage or trickles.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pilothouse::domain::container::State;
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::{self, Engine, Link};
use pilothouse::domain::ids::{ContainerId, ContainerKey, HostName};
use pilothouse::domain::logs::{FollowId, LogRange, Stream};
use pilothouse::domain::order::{Access, Order, OrderId, Verb};
use pilothouse::domain::reference::Reference;
use pilothouse::hosts::{self, Hosts};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fake_daemon::{FakeDaemon, Move, answer, chunk, host, stream_head};
use super::fake_docker::{RUNNING, is, log_frame, well, well_but};
use super::wait;

/// A loaded machine; a test that is well takes a tenth of it.
const LIMIT: Duration = Duration::from_mins(1);

/// The hosts with somebody who listens.
struct Watched {
    hosts: Hosts,
    events: mpsc::Receiver<Event>,
    bulk: mpsc::Receiver<Event>,
    stop: CancellationToken,
    /// Every event so far, for the message when a wait fails.
    heard: Vec<String>,
}

impl Watched {
    fn start(daemons: &[(&str, &FakeDaemon)], access: Access) -> Self {
        let (facts, events) = mpsc::channel(64);
        let (logs, bulk) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let hosts = daemons
            .iter()
            .map(|(name, daemon)| host(name, &daemon.socket()))
            .collect();
        let hosts = hosts::start(hosts, access, facts, logs, stop.clone());
        Self {
            hosts,
            events,
            bulk,
            stop,
            heard: Vec::new(),
        }
    }

    /// Reads the host's one log from this range on.
    async fn following(daemon: &FakeDaemon, range: LogRange) -> Self {
        let mut watched = Self::start(&[("a", daemon)], Access::ReadOnly);
        watched.until_listed("a").await;
        let follow = Order::Follow {
            id: FollowId(1),
            targets: vec![web("a")],
            range,
        };
        watched.hosts.order(OrderId(1), follow).unwrap();
        watched
    }

    async fn until<T>(&mut self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = tokio::select! {
                    Some(event) = self.events.recv() => event,
                    Some(event) = self.bulk.recv() => event,
                    else => panic!("no more events, waiting for {what}: {:#?}", self.heard),
                };
                self.heard.push(format!("{event:?}").chars().take(300).collect());
                if let Some(found) = find(&event) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(LIMIT, search).await {
            Ok(found) => found,
            Err(elapsed) => panic!("{elapsed}, {LIMIT:?}: {what}; heard {:#?}", self.heard),
        }
    }

    async fn until_listed(&mut self, name: &str) -> usize {
        self.until("a list", |event| match event {
            Event::Host(host, HostEvent::Listed(rows)) if host.as_str() == name => Some(rows.len()),
            _ => None,
        })
        .await
    }

    async fn until_lost(&mut self) -> Fault {
        self.until("a lost link", |event| match event {
            Event::Host(
                _,
                HostEvent::Link(Link::Lost {
                    why,
                    retry_at: Some(_),
                    ..
                }),
            ) => Some(why.clone()),
            _ => None,
        })
        .await
    }

    async fn until_described(&mut self) -> Engine {
        self.until("what it is", |event| match event {
            Event::Host(_, HostEvent::Engine(told)) => Some(Engine::clone(told)),
            _ => None,
        })
        .await
    }

    async fn until_state(&mut self, what: &str, wanted: impl Fn(&State) -> bool) {
        self.until(what, |event| match event {
            Event::Host(_, HostEvent::Changed(row)) if wanted(&row.state) => Some(()),
            _ => None,
        })
        .await;
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.hosts.join())
            .await
            .expect("the hosts end when they are told to");
    }
}

fn web(host: &str) -> ContainerKey {
    ContainerKey {
        host: HostName::parse(host).unwrap(),
        id: ContainerId::parse("abc1").unwrap(),
    }
}

fn event(action: &str, nano: i64) -> String {
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"abc1","Attributes":{{"exitCode":"3"}}}},"timeNano":{nano}}}"#
    ) + "\n"
}

/// Now, as the fake has no clock of its own.
fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}

#[tokio::test]
async fn a_daemon_that_says_nothing_holds_up_no_other_and_no_end() {
    let silent = FakeDaemon::start(|_, _| vec![Move::Hang]);
    let other = FakeDaemon::start(|request, _| well(request));
    let mut watched = Watched::start(&[("silent", &silent), ("other", &other)], Access::Full);
    assert_eq!(watched.until_listed("other").await, 1);
    watched.end().await;
}

#[tokio::test]
async fn a_list_answered_with_500_is_told_in_the_daemons_words_and_asked_for_again() {
    let daemon = FakeDaemon::start(|request, nth| {
        if is(request, "/containers/json") && nth == 0 {
            vec![Move::Send(answer(500, r#"{"message":"layer store is on fire"}"#))]
        } else {
            well(request)
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    assert_eq!(watched.until_lost().await.why, "layer store is on fire");
    watched.until_listed("a").await;
    watched.end().await;
}

#[tokio::test]
async fn what_is_no_docker_is_said() {
    for garbage in [
        answer(200, "<html>hello</html>"),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
    ] {
        let daemon = FakeDaemon::start(move |_, _| vec![Move::Send(garbage.clone()), Move::Close]);
        let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
        let why = watched.until_lost().await;
        assert!(why.hint.is_some(), "{why:?}");
        watched.end().await;
    }
}

fn too_old() -> FakeDaemon {
    let version = r#"{"Version":"17.03","ApiVersion":"1.27"}"#;
    well_but("/version", vec![Move::Send(answer(200, version))])
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_told_the_least_that_is_needed() {
    let daemon = too_old();
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    let why = watched.until_lost().await.why;
    assert!(why.contains("17.03") && why.contains("1.40"), "{why}");
    watched.end().await;
}

/// It lists well all the while.
#[tokio::test]
async fn an_engine_that_is_too_old_is_never_live_and_is_tried_less_and_less_often() {
    let daemon = too_old();
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let lost = watched.until("a lost link", |event| match event {
            Event::Host(
                _,
                HostEvent::Link(Link::Lost {
                    retry_at: Some(at),
                    since,
                    ..
                }),
            ) => Some((*since, *at)),
            _ => None,
        });
        waits.push(lost.await);
    }
    let [(since, _), (since_second, second), (since_third, third)] = waits[..] else {
        panic!("{waits:?}")
    };
    assert_eq!([since; 2], [since_second, since_third], "it was lost once");
    assert!(second.until(third) > Duration::from_millis(2_500), "{waits:?}");
    let came_alive = watched
        .heard
        .iter()
        .any(|event| event.contains("Live") || event.contains("Listed"));
    assert!(!came_alive, "{:#?}", watched.heard);
    watched.end().await;
}

#[tokio::test]
async fn each_daemon_is_spoken_to_in_its_own_version_even_side_by_side() {
    let of = |version: &'static str| {
        FakeDaemon::start(move |request, _| {
            if is(request, "/version") {
                vec![Move::Send(answer(
                    200,
                    &format!(
                        r#"{{"Version":"29.1.3","ApiVersion":"{version}","Os":"linux","Arch":"amd64"}}"#
                    ),
                ))]
            } else if request.starts_with("POST /containers/abc1/stop") {
                vec![Move::Send(answer(304, ""))]
            } else {
                well(request)
            }
        })
    };
    let (old, new) = (of("1.41"), of("1.45"));
    let mut watched = Watched::start(&[("old", &old), ("new", &new)], Access::Full);
    let mut listed = std::collections::BTreeSet::new();
    watched
        .until("both lists", |event| {
            if let Event::Host(host, HostEvent::Listed(_)) = event {
                listed.insert(host.clone());
            }
            (listed.len() == 2).then_some(())
        })
        .await;
    for (number, name) in [(1, "old"), (2, "new")] {
        let stop = Order::Act {
            target: web(name),
            verb: Verb::Stop,
        };
        watched.hosts.order(OrderId(number), stop).unwrap();
        let inspect = Order::Inspect(web(name));
        watched.hosts.order(OrderId(number + 10), inspect).unwrap();
    }
    let mut done = 0;
    watched
        .until("all is answered", |event| {
            if let Event::Done(_, result) = event {
                assert_eq!(*result, Ok(()));
                done += 1;
            }
            (done == 4).then_some(())
        })
        .await;
    watched.end().await;
    for (daemon, version) in [(&old, "v1.41"), (&new, "v1.45")] {
        let asked = daemon.versioned();
        for path in [
            "POST /VERSION/containers/abc1/stop",
            "GET /VERSION/containers/abc1/json",
        ] {
            let path = path.replace("VERSION", version);
            assert!(
                asked.iter().any(|one| one.starts_with(&path)),
                "{path}: {asked:#?}"
            );
        }
        // Before it said what it speaks there is no version to name; a list and its events are asked for at once.
        let other = |one: &&String| one.contains(" /v1.") && !one.contains(&format!(" /{version}/"));
        assert_eq!(asked.iter().find(other), None, "{asked:#?}");
    }
}

/// What came of `/info`, beside a list and a stop that need it not.
struct Uninformed {
    engine: Engine,
    /// It was told before the stop was done.
    first: bool,
}

/// Lists, reads and acts as ever.
async fn is_well_without_info(info: Vec<Move>) -> Uninformed {
    let daemon = FakeDaemon::start(move |request, _| {
        if is(request, "/info") {
            info.clone()
        } else if request.starts_with("POST /containers/abc1/stop") {
            vec![Move::Send(answer(304, ""))]
        } else {
            well(request)
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    assert_eq!(watched.until_listed("a").await, 1);
    let stop = Order::Act {
        target: web("a"),
        verb: Verb::Stop,
    };
    watched.hosts.order(OrderId(7), stop).unwrap();
    let mut early = None;
    let stopped = watched.until("the stop", |event| match event {
        Event::Done(OrderId(7), done) => Some(done.clone()),
        Event::Host(_, HostEvent::Engine(told)) => {
            early = Some(Engine::clone(told));
            None
        }
        _ => None,
    });
    stopped.await.unwrap();
    let first = early.is_some();
    let engine = match early {
        Some(engine) => engine,
        None => watched.until_described().await,
    };
    assert_eq!(engine.version, "20.10.24");
    assert!(
        !watched.heard.iter().any(|event| event.contains("Lost")),
        "{:#?}",
        watched.heard
    );
    watched.end().await;
    Uninformed { engine, first }
}

#[tokio::test]
async fn a_daemon_whose_info_is_denied_can_be_used() {
    let denied = answer(403, r#"{"message":"forbidden by the proxy"}"#);
    let engine = is_well_without_info(vec![Move::Send(denied)]).await.engine;
    let words = "forbidden by the proxy".to_owned();
    assert_eq!(engine.installation(), Err(&host::Uninformed::Denied(words)));
}

#[tokio::test]
async fn a_daemon_that_hangs_over_its_info_can_be_used_meanwhile() {
    let told = is_well_without_info(vec![Move::Hang]).await;
    assert!(!told.first, "the stop waited for /info");
    let words = "no answer within 10 s".to_owned();
    assert_eq!(
        told.engine.installation(),
        Err(&host::Uninformed::Unanswered(words))
    );
}

#[tokio::test]
async fn what_info_did_not_tell_at_first_is_asked_for_again() {
    let daemon = FakeDaemon::start(|request, nth| {
        if !is(request, "/info") {
            return well(request);
        }
        vec![Move::Send(match nth {
            0 | 1 => answer(500, r#"{"message":"still loading"}"#),
            _ => answer(200, r#"{"ID":"A1"}"#),
        })]
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    let first = watched.until_described().await;
    let words = "still loading".to_owned();
    assert_eq!(first.installation(), Err(&host::Uninformed::Unanswered(words)));
    assert_eq!(watched.until_described().await.daemon_id(), Some("A1"));
    let reached = watched.hosts.reached();
    assert_eq!(reached[0].id(), Ok("A1"), "whoever asks the daemon hears it too");
    watched.end().await;
}

#[tokio::test]
async fn without_a_version_nobody_waits_for_the_info() {
    let daemon = FakeDaemon::start(|request, _| match request {
        "GET /version" => vec![Move::Send(answer(500, r#"{"message":"on fire"}"#))],
        _ => vec![Move::Hang],
    });
    let begun = Instant::now();
    let fault = hosts::connect(&host("a", &daemon.socket()), Access::Full).await;
    assert_eq!(fault.unwrap_err().fault().why, "on fire");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_digest_is_asked_for_again_when_the_daemon_closes_the_connection_just_then() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let said = format!(r#"{{"Descriptor":{{"digest":"{digest}"}}}}"#);
    let daemon = FakeDaemon::start(move |request, nth| match nth {
        0 if is(request, "/distribution/") => vec![Move::Close],
        _ if is(request, "/distribution/") => vec![Move::Send(answer(200, &said))],
        _ => well(request),
    });
    let reached = hosts::connect(&host("a", &daemon.socket()), Access::ReadOnly)
        .await
        .unwrap();
    let reference = Reference::parse("registry:5000/shop:1").unwrap();
    let found = reached.asked_of_registry(&reference, None).await.unwrap();
    assert_eq!(found.as_str(), digest);
}

#[tokio::test]
async fn a_list_that_comes_byte_by_byte_is_a_list() {
    let daemon = well_but("/containers/json", vec![Move::Dribble(answer(200, RUNNING))]);
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    assert_eq!(watched.until_listed("a").await, 1);
    watched.end().await;
}

#[tokio::test]
async fn an_event_stream_that_is_cut_in_the_middle_of_an_event_is_opened_again_and_all_is_listed() {
    let daemon = FakeDaemon::start(|request, nth| {
        if !is(request, "/events") {
            return well(request);
        }
        let whole = event("die", now());
        if nth == 0 {
            let half = whole.as_bytes().split_at(20).0;
            let announced = b"40\r\n{".to_vec();
            vec![
                Move::Send(stream_head()),
                Move::Send(chunk(half)),
                Move::Send(announced),
                Move::Close,
            ]
        } else {
            vec![
                Move::Send(stream_head()),
                Move::Send(chunk(whole.as_bytes())),
                Move::Hang,
            ]
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    watched.until_lost().await;
    watched.until_listed("a").await;
    watched
        .until_state("the event of the second stream", |state| {
            matches!(state, State::Exited { code: 3, .. })
        })
        .await;
    watched.end().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_a_gap_and_all_is_listed_again() {
    let daemon = FakeDaemon::start(|request, _| {
        if is(request, "/events") {
            let garbage = format!("{{\"Action\": oops\n{}", event("die", now()));
            vec![
                Move::Send(stream_head()),
                Move::Send(chunk(garbage.as_bytes())),
                Move::Hang,
            ]
        } else {
            well(request)
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    watched
        .until_state("the event after the garbage counts", |state| {
            matches!(state, State::Exited { code: 3, .. })
        })
        .await;
    watched.until_listed("a").await;
    watched.end().await;
}

#[tokio::test]
async fn a_line_without_an_end_breaks_the_link_and_not_the_memory() {
    let daemon = FakeDaemon::start(|request, nth| {
        if is(request, "/events") && nth == 0 {
            let mut moves = vec![Move::Send(stream_head())];
            moves.extend((0..40).map(|_| Move::Send(chunk(&vec![b'x'; 64 << 10]))));
            moves.push(Move::Hang);
            moves
        } else {
            well(request)
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    let why = watched.until_lost().await.why;
    assert!(why.contains("larger"), "{why}");
    watched.end().await;
}

#[tokio::test]
async fn after_a_flood_of_events_the_row_is_as_the_last_one_says() {
    let daemon = FakeDaemon::start(|request, _| {
        if is(request, "/events") {
            let start = now();
            let mut flood = String::new();
            for step in 0..5_000 {
                flood.push_str(&event("start", start + step * 2_000));
                flood.push_str(&event("die", start + step * 2_000 + 1_000));
            }
            flood.push_str(&event("pause", start + 20_000_000));
            vec![
                Move::Send(stream_head()),
                Move::Send(chunk(flood.as_bytes())),
                Move::Hang,
            ]
        } else {
            well(request)
        }
    });
    let mut watched = Watched::start(&[("a", &daemon)], Access::Full);
    watched
        .until_state("paused at the end", |state| matches!(state, State::Paused { .. }))
        .await;
    assert!(
        daemon.count("GET /containers/json") < 20,
        "{:?}",
        daemon.requests().len()
    );
    watched.end().await;
}

#[tokio::test]
async fn a_log_cut_in_the_middle_of_a_frame_goes_on_with_nothing_lost_and_nothing_twice() {
    let daemon = FakeDaemon::start(|request, nth| {
        if !is(request, "/containers/abc1/logs") {
            return well(request);
        }
        let frames = |seconds: std::ops::RangeInclusive<u32>| -> Vec<u8> {
            seconds
                .flat_map(|second| log_frame(second, &format!("line {second}")))
                .collect()
        };
        match nth {
            // What was written before.
            0 => vec![
                Move::Send(stream_head()),
                Move::Send(chunk(&frames(1..=2))),
                Move::Send(chunk(b"")),
            ],
            1 => {
                let mut cut = frames(2..=4);
                cut.truncate(cut.len() - 10);
                vec![Move::Send(stream_head()), Move::Send(chunk(&cut)), Move::Close]
            }
            _ => vec![
                Move::Send(stream_head()),
                Move::Send(chunk(&frames(3..=6))),
                Move::Hang,
            ],
        }
    });
    let mut watched = Watched::following(&daemon, LogRange::Tail(10)).await;
    let mut lines = String::new();
    watched
        .until("the sixth line", |event| {
            if let Event::Logs(FollowId(1), batch) = event {
                for line in batch.lines.iter().filter(|line| line.stream != Stream::Notice) {
                    writeln!(lines, "{}", line.text).unwrap();
                }
            }
            lines.ends_with("line 6\n").then_some(())
        })
        .await;
    assert_eq!(lines, "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n");
    watched.end().await;
}

#[tokio::test]
async fn a_followed_log_of_a_stopped_container_notices_that_its_host_was_lost() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_lost);
    let daemon = FakeDaemon::start(move |request, _| {
        if is(request, "/containers/abc1/logs") {
            vec![
                Move::Send(stream_head()),
                Move::Send(chunk(&log_frame(1, "last words"))),
                Move::Send(chunk(b"")),
            ]
        } else if is(request, "/containers/abc1/json") {
            let body = r#"{"Config":{"Tty":false},"State":{"Running":false}}"#;
            vec![Move::Send(answer(200, body))]
        } else if told.load(Ordering::Relaxed) && is(request, "/_ping") {
            vec![Move::Close]
        } else {
            well(request)
        }
    });
    let mut watched = Watched::following(&daemon, LogRange::Tail(10)).await;
    let line = |wanted: &'static str| {
        move |event: &Event| match event {
            Event::Logs(FollowId(1), batch) => batch
                .lines
                .iter()
                .any(|line| line.text.contains(wanted))
                .then_some(()),
            _ => None,
        }
    };
    watched.until("what it wrote", line("last words")).await;
    // Its start is waited for: once with the actor's own, once with the log's.
    wait::until_running(LIMIT, "its start is waited for", || {
        (daemon.count("GET /events") >= 2).then_some(())
    })
    .await;
    is_lost.store(true, Ordering::Relaxed);
    watched.until("that its host is lost", line("a lost")).await;
    watched.end().await;
}

#[tokio::test]
async fn read_only_sends_no_request_that_changes_anything() {
    let daemon = FakeDaemon::start(|request, _| well(request));
    let mut watched = Watched::start(&[("a", &daemon)], Access::ReadOnly);
    watched.until_listed("a").await;
    for verb in [
        Verb::Start,
        Verb::Stop,
        Verb::Restart,
        Verb::Kill,
        Verb::Pause,
        Verb::Unpause,
        Verb::Remove,
    ] {
        watched
            .hosts
            .order(
                OrderId(7),
                Order::Act {
                    target: web("a"),
                    verb,
                },
            )
            .unwrap();
        let refused = watched
            .until("the refusal", |event| match event {
                Event::Done(OrderId(7), Err(fault)) => Some(fault.clone()),
                _ => None,
            })
            .await;
        assert!(refused.why.contains("read-only"), "{refused:?}");
    }
    watched
        .hosts
        .order(OrderId(8), Order::Measure(HostName::parse("a").unwrap()))
        .unwrap();
    watched
        .until("the answer", |event| {
            matches!(event, Event::Done(OrderId(8), _)).then_some(())
        })
        .await;
    assert!(
        watched
            .hosts
            .shell(web("a"))
            .await
            .unwrap_err()
            .why
            .contains("read-only")
    );
    let changing: Vec<String> = daemon
        .requests()
        .into_iter()
        .filter(|request| !request.starts_with("GET "))
        .collect();
    assert_eq!(changing, [""; 0]);
    watched.end().await;
}

#[tokio::test]
async fn statistics_are_asked_for_while_somebody_looks_and_again_when_their_stream_ends() {
    let sample = r#"{"read":"2026-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":5}},"memory_stats":{"usage":9}}"#;
    let stream = vec![
        Move::Send(stream_head()),
        Move::Send(chunk(format!("{sample}\n").as_bytes())),
        Move::Send(chunk(b"")),
    ];
    let daemon = well_but("/containers/abc1/stats", stream);
    let mut watched = Watched::start(&[("a", &daemon)], Access::ReadOnly);
    watched.until_listed("a").await;
    assert_eq!(daemon.count("GET /containers/abc1/stats"), 0);
    let host = HostName::parse("a").unwrap();
    watched
        .hosts
        .order(
            OrderId(1),
            Order::Watch {
                host,
                ids: vec![web("a").id],
            },
        )
        .unwrap();
    for _ in 0..2 {
        watched
            .until("a sample", |event| match event {
                Event::Host(_, HostEvent::Samples(samples)) if samples[0].1.memory.0 == 9 => Some(()),
                _ => None,
            })
            .await;
    }
    assert!(daemon.count("GET /containers/abc1/stats") >= 2);
    watched.end().await;
}

/// As many lines as a followed range is asked for with, in one answer.
fn a_full_tail() -> Vec<u8> {
    (0..200_000).flat_map(|_| log_frame(1, "x")).collect()
}

fn with_a_full_tail() -> FakeDaemon {
    FakeDaemon::start(|request, nth| {
        if !is(request, "/containers/abc1/logs") {
            return well(request);
        }
        let lines = if nth == 0 {
            a_full_tail()
        } else {
            log_frame(2, "new")
        };
        let mut answer = vec![Move::Send(stream_head()), Move::Send(chunk(&lines))];
        answer.push(if nth == 0 {
            Move::Send(chunk(b""))
        } else {
            Move::Hang
        });
        answer
    })
}

#[tokio::test]
async fn a_followed_range_that_has_more_lines_than_are_asked_for_says_so() {
    let daemon = with_a_full_tail();
    let mut watched = Watched::following(&daemon, LogRange::Last(Duration::from_secs(1 << 40))).await;
    watched
        .until("a notice", |event| {
            let Event::Logs(FollowId(1), batch) = event else {
                return None;
            };
            let mut notices = batch.lines.iter().filter(|line| line.stream == Stream::Notice);
            notices
                .any(|line| line.text.contains("last 200000 lines"))
                .then_some(())
        })
        .await;
    watched.end().await;
}

#[tokio::test]
async fn a_range_that_is_read_once_is_read_whole() {
    let daemon = with_a_full_tail();
    let host = host("a", &daemon.socket());
    let reached = hosts::connect(&host, Access::ReadOnly).await.unwrap();
    let id = ContainerId::parse("abc1").unwrap();
    let range = LogRange::Last(Duration::from_mins(15));
    let mut read = hosts::logs::read(vec![(reached, id)], range, hosts::logs::Mode::Once);
    assert!(read.next().await.is_some());
    let asked = daemon.requests();
    let logs = asked.iter().find(|asked| asked.contains("/logs?")).unwrap();
    assert!(logs.contains("since=") && !logs.contains("tail="), "{logs}");
}

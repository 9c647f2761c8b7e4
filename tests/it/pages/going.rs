//! What stands beside a run: the services, the status line, the other panes of the room; and how much of it is seen.

use std::sync::Arc;

use crokey::key;
use pilothouse::app::{Effect, PaneId};
use pilothouse::config::service::Strategy;
use pilothouse::domain::container::{Container, label};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::exit::Exit;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Asked, Cell, Outcome, RunKind, RunStatus, RunView};
use pilothouse::domain::sample::Sample;
use pilothouse::release::record::{Entry, Failure, FailureKind, Record, SCHEMA};
use pilothouse::release::stage::{Stage as Work, Step};
use pilothouse::runs::seen::view::Fold;

use super::support::{NOW, Room, ago, container, host, run_id, service};
use super::{deploy, seconds};
use crate::releases::planned;
use crate::stage::{Stage, line, live, row, unhealthy};

fn released(id: &str, name: &str, of: &str, release: &str) -> Container {
    let plain = container(id, name, of);
    let mut labels = (*plain.labels).clone();
    labels.insert(label::RELEASE.to_owned(), release.to_owned());
    Container {
        labels: Arc::new(labels),
        ..plain
    }
}

fn room(size: (u16, u16), containers: Vec<Container>) -> Room {
    let mut room = Room::new(size.0, size.1);
    let listed = [
        ("web-1", containers),
        ("web-2", Vec::new()),
        ("web-3", Vec::new()),
    ];
    for (name, containers) in listed {
        room.event(Event::Host(host(name), HostEvent::Listed(containers)));
    }
    room
}

fn shop(size: (u16, u16)) -> Room {
    room(size, vec![released("a0", "shop.r42.1", "shop", "r42")])
}

fn said(room: &mut Room, words: &[&str], not: &[&str]) {
    let screen = room.screen();
    for word in words {
        assert!(screen.contains(word), "{word} is not in\n{screen}");
    }
    for word in not {
        assert!(!screen.contains(word), "{word} is in\n{screen}");
    }
}

#[test]
fn until_the_commit_a_service_is_between_two_releases() {
    for (size, between) in [((120, 30), "r41→r42"), ((80, 24), "r41 → r42")] {
        let mut room = shop(size);
        room.run(deploy(3));
        said(&mut room, &[between], &[]);
        room.run(RunView {
            undoing: Some("gate failed".to_owned()),
            ..deploy(3)
        });
        said(&mut room, &[between], &[]);
    }
    let mut room = shop((80, 24));
    room.run(RunView {
        committed: true,
        ..deploy(3)
    });
    said(&mut room, &["r42"], &["r41"]);
}

#[test]
fn while_it_is_taken_back_no_percentage_stands_still() {
    let mut room = shop((80, 24));
    room.run(RunView {
        undoing: Some("gate failed".to_owned()),
        ..deploy(3)
    });
    said(&mut room, &["undoing deploy", " ↶ undoing, ops-a"], &["%"]);
}

#[test]
fn what_died_is_on_its_way_nowhere() {
    let mut room = shop((80, 24));
    room.run(RunView {
        status: RunStatus::Dead,
        ..deploy(3)
    });
    said(&mut room, &["▲ shop", "deploy died", "r42"], &["r41", "◐"]);
}

#[test]
fn while_a_person_is_asked_no_percentage_stands_still() {
    let mut room = shop((80, 24));
    room.run(RunView {
        asks: vec![Asked {
            stage: "go".to_owned(),
            question: "Now?".to_owned(),
        }],
        estimate: Some(seconds(5)),
        ..deploy(3)
    });
    let words = ["shop deploy waits for approval", "– waits for approval"];
    said(&mut room, &words, &["%", "longer than usual"]);
    room.key(key!(7));
    said(&mut room, &["waits for approval"], &["%"]);
}

#[test]
fn that_a_run_is_asked_to_cancel_does_not_say_what_it_makes_of_it() {
    let mut room = shop((80, 24));
    room.run(RunView {
        committed: true,
        ..deploy(3)
    });
    room.keys(&[key!(6), key!(x)]);
    room.wait();
    let effects = room.key(key!(y));
    let [Effect::Cancel(id, _)] = effects[..] else {
        panic!("{effects:?}");
    };
    room.event(Event::Done(id, Ok(())));
    said(&mut room, &["asked the run to cancel"], &["undoing"]);
}

#[test]
fn waiting_is_no_running_and_what_runs_is_told_before_what_waits() {
    let waits = RunView {
        id: run_id("20260105-140300-web"),
        service: service("web"),
        waiting: Some("for run 20260105-140241-shop by ops-a".to_owned()),
        estimate: Some(seconds(5)),
        ..deploy(3)
    };
    let mut room = shop((80, 24));
    room.run(waits.clone());
    said(&mut room, &["web deploy waiting"], &["longer than usual"]);
    room.run(deploy(3));
    said(&mut room, &["shop deploy ▓", "+1"], &["longer than usual"]);
}

#[test]
fn all_hosts_of_a_run_are_seen_before_what_it_says() {
    let mut room = shop((120, 30));
    room.run(deploy(3));
    said(
        &mut room,
        &["web-1 ✓", "web-2 ✓", "web-3 ✓", "1 of 3"],
        &["↑", "↓"],
    );
    let mut tiny = Room::new(40, 10);
    tiny.run(deploy(2));
    tiny.key(key!(6));
    said(&mut tiny, &["web-1", "web-2"], &["hosts"]);
}

#[test]
fn a_row_that_counts_hosts_takes_no_host_s_row() {
    for height in 8..40 {
        let mut room = Room::new(80, height);
        room.run(deploy(12));
        room.key(key!(6));
        let screen = room.screen();
        let seen = screen
            .lines()
            .filter(|line| line.trim_start_matches('▸').trim_start().starts_with("web-"))
            .count();
        assert_ne!(seen, 11, "{screen}");
        let counter = screen.lines().find(|line| line.ends_with("hosts"));
        assert_eq!(counter.is_none(), seen == 12, "{screen}");
    }
}

#[test]
fn what_ended_because_the_run_turned_back_has_not_failed() {
    let plan = planned(RunKind::Deploy, 3, &Strategy::Recreate);
    let hosts = plan.targets.clone();
    let mut n = 0;
    let mut record = |entry| {
        n += 1;
        let (schema, at) = (SCHEMA, NOW);
        Record { schema, n, at, entry }
    };
    let mut fold = Fold::open(&record(Entry::Opened(Box::new(plan)))).unwrap();
    let step = |at: usize| Step {
        stage: Work::Gate,
        host: hosts[at].clone(),
    };
    for at in 0..3 {
        fold.apply(&record(Entry::Intent(step(at))));
    }
    for (at, kind) in [(2, FailureKind::Refused), (0, FailureKind::Interrupted)] {
        let why = Failure::of(kind, Fault::new("pass the gate", "the reason"));
        let (step, took) = (step(at), seconds(3));
        fold.apply(&record(Entry::Failed { step, took, why }));
    }
    let why = "the reason".to_owned();
    let cancelled = false;
    let outcome = Outcome::Reverted { why, cancelled };
    fold.apply(&record(Entry::Closed {
        outcome,
        exit: Exit::Failed,
        hints: Vec::new(),
    }));
    let view = fold.view(false);
    let gate = view.stages.iter().find(|stage| stage.name == "gate").unwrap();
    let cells: Vec<&Cell> = gate.cells.iter().map(|(_, cell)| cell).collect();
    assert!(
        matches!(cells[..], [Cell::Undone, Cell::Undone, Cell::Failed { .. }]),
        "{cells:?}"
    );
}

#[test]
fn all_panes_of_the_room_show_the_same_service() {
    let others = [
        released("a0", "shop.r42.1", "shop", "r42"),
        released("b0", "web.r7.1", "web", "r7"),
    ];
    let mut room = room((120, 30), others.into());
    room.run(deploy(3));
    room.keys(&[key!(6), key!(esc), key!(1)]);
    said(&mut room, &["deploy shop", "shop.r42.1"], &["web.r7.1"]);
    room.key(key!(j));
    said(&mut room, &["web.r7.1"], &["deploy shop", "shop.r42.1"]);
    room.key(key!(6));
    said(&mut room, &["web.r7.1"], &["deploy shop  r41", "shop.r42.1"]);
    room.keys(&[key!(7), key!(enter)]);
    said(&mut room, &["deploy shop", "shop.r42.1"], &["web.r7.1"]);
}

#[test]
fn rows_of_a_table_that_are_not_shown_are_counted() {
    let many = (0..57).map(|n| container(&format!("c{n:03}"), &format!("job-{n}"), "job"));
    let mut room = room((80, 24), many.collect());
    room.key(key!(2));
    said(&mut room, &["+36 ↓"], &["↑"]);
    room.key(key!(shift - g));
    said(&mut room, &["+36 ↑"], &["↓"]);
}

#[test]
fn what_was_not_measured_has_no_bar_and_all_bars_have_one_scale() {
    let mut room = room(
        (110, 24),
        vec![
            container("a0", "shop-1", "shop"),
            container("b0", "shop-2", "shop"),
        ],
    );
    let sample = |name: &str, cpu| {
        let sample = Sample {
            at: ago(2),
            cpu,
            ..Sample::default()
        };
        (super::support::key("web-1", name).id, sample)
    };
    room.key(key!(2));
    for samples in [
        vec![sample("a0", None), sample("b0", None)],
        vec![sample("a0", Some(9.0)), sample("b0", Some(100.0))],
    ] {
        room.event(Event::Host(host("web-1"), HostEvent::Samples(samples)));
    }
    let screen = room.screen();
    for (name, bar) in [("shop-1", '▂'), ("shop-2", '█')] {
        let line = line(&screen, name);
        assert!(line.contains(bar) && !line.contains('▁'), "{screen}");
    }
}

#[test]
fn the_services_are_home() {
    let mut room = shop((80, 24));
    room.keys(&[key!(2), key!(3), key!(1), key!(esc), key!(esc)]);
    assert_eq!(room.model.focus, PaneId::Services);
}

#[test]
fn what_is_typed_behind_a_refused_search_is_no_command() {
    let mut room = Room::new(80, 24);
    room.keys(&[key!(6), key!('/')]);
    let effects = room.keys(&[key!(q), key!(2), key!(d)]);
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(room.model.focus, PaneId::Pipeline);
    said(&mut room, &["/q2d", "this page has no filter"], &[]);
    room.key(key!(esc));
    assert_eq!(room.key(key!(q)), [Effect::Leave]);
}

#[test]
fn a_reason_below_leaves_no_colon_behind() {
    let mut room = shop((80, 24));
    let why = "gate on web-2: exited with 1 after 3 s, and it said at last: no such table: baskets";
    room.run(RunView {
        status: RunStatus::Closed {
            at: ago(3),
            outcome: Outcome::Reverted {
                why: why.to_owned(),
                cancelled: false,
            },
        },
        ..deploy(2)
    });
    room.key(key!(6));
    said(&mut room, &["as it was before  took", "no such table"], &[]);
}

#[test]
fn what_may_help_a_run_that_was_refused_stands_below_its_reason() {
    let mut room = shop((80, 24));
    room.run(RunView {
        status: RunStatus::Closed {
            at: ago(3),
            outcome: Outcome::Reverted {
                why: "no network edge".to_owned(),
                cancelled: false,
            },
        },
        hints: vec!["docker network create edge".to_owned()],
        ..deploy(2)
    });
    room.key(key!(6));
    let words = ["no network edge", "hint: docker network create edge"];
    said(&mut room, &words, &[]);
}

#[test]
fn one_lands_where_something_can_be_deployed() {
    let mut stage = Stage::dark(80, 24, Access::Full);
    let stray = unhealthy(row("aaa.r1.1", 90, 60));
    for (name, containers) in [
        ("web-1", vec![stray]),
        ("web-2", vec![row("shop.r41.1", 91, 7_200)]),
        ("db-1", Vec::new()),
    ] {
        stage.host(name, HostEvent::Link(live()));
        stage.host(name, HostEvent::Listed(containers));
    }
    let screen = stage.screen();
    assert!(!line(&screen, "aaa").starts_with('▸'), "{screen}");
    assert!(screen.contains("d deploy"), "{screen}");
    stage.press("3");
    let screen = stage.screen();
    assert!(screen.contains("not configured: add it, or stop (s)"), "{screen}");
}

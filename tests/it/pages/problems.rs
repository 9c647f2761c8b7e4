//! The problems page for containers that were killed, and the inspections it requests.

use crokey::key;
use pilothouse::app::Effect;
use pilothouse::domain::container::{Container, Health, State};
use pilothouse::domain::detail::Detail;
use pilothouse::domain::event::{Event, Happening, HostEvent};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::{HostLoad, Link, Reading};
use pilothouse::domain::order::Order;
use pilothouse::domain::units::Bytes;
use pilothouse::ui::clock;

use super::support::{Room, ago, container, host, key};
use crate::stage::{Stage, row};

fn room(container: &Container, happened: &[&str]) -> Room {
    let mut room = Room::new(100, 24);
    room.event(Event::Host(
        host("web-1"),
        HostEvent::Listed(vec![container.clone()]),
    ));
    for (at, what) in (0..).zip(happened) {
        let happening = Happening {
            id: container.id.clone(),
            at: ago(60 - at),
            what: (*what).to_owned(),
        };
        room.event(Event::Host(host("web-1"), HostEvent::Happened(happening)));
    }
    room
}

fn ended(state: State) -> Container {
    Container {
        state,
        health: Health::Unchecked,
        ..container("c1", "api", "api")
    }
}

/// As a list says it of one that was killed before anybody watched.
fn killed() -> State {
    State::Exited {
        code: 137,
        at: Some(ago(1_200)),
        oom: false,
    }
}

fn inspected(container: &Container) -> Event {
    let detail = Detail {
        state: State::Exited {
            code: 137,
            at: Some(ago(1_210)),
            oom: true,
        },
        finished: Some(ago(1_210)),
        ..super::detail(container)
    };
    Event::Host(host("web-1"), HostEvent::Inspected(Box::new(detail)))
}

fn asked(effects: &[Effect]) -> usize {
    let is_asked = |effect: &&Effect| matches!(effect, Effect::Order(_, Order::Inspect(one)) if *one == key("web-1", "c1"));
    effects.iter().filter(is_asked).count()
}

#[test]
fn one_that_was_killed_for_memory_long_ago_is_told_as_that() {
    let api = ended(killed());
    let mut room = room(&api, &[]);
    let mut effects = room.key(key!(3));
    for _ in 0..3 {
        effects.extend(room.frame());
    }
    assert_eq!(asked(&effects), 1, "{effects:?}");
    let screen = room.screen();
    assert!(
        screen.contains("exited 137") && screen.contains("docker kill"),
        "{screen}"
    );
    room.event(inspected(&api));
    let screen = room.screen();
    assert!(
        screen.contains("out of memory")
            && screen.contains("killed by the kernel: out of memory, its limit is 256 M"),
        "{screen}"
    );
    assert_eq!(asked(&room.frame()), 0);
}

#[test]
fn what_killed_it_is_asked_again_when_it_has_ended_again() {
    let api = ended(killed());
    let mut room = room(&api, &[]);
    assert_eq!(asked(&room.key(key!(3))) + asked(&room.frame()), 1);
    room.event(inspected(&api));
    let again = |at, what: &str| {
        let id = api.id.clone();
        let what = what.to_owned();
        Event::Host(host("web-1"), HostEvent::Happened(Happening { id, at, what }))
    };
    let changed = |state| Event::Host(host("web-1"), HostEvent::Changed(Box::new(ended(state))));
    room.event(again(ago(20), "start"));
    room.event(changed(State::Running { since: Some(ago(20)) }));
    assert_eq!(asked(&room.frame()), 0);
    room.event(again(ago(10), "die 137"));
    room.event(changed(State::Exited {
        code: 137,
        at: Some(ago(10)),
        oom: false,
    }));
    assert_eq!(asked(&room.frame()), 1);
    let screen = room.screen();
    assert!(screen.contains("exited 137"), "it was the life before: {screen}");
}

#[test]
fn a_loop_of_ends_for_memory_is_told_as_that() {
    let restarting = State::Restarting {
        code: Some(137),
        since: Some(ago(1)),
    };
    let mut of_memory = room(
        &ended(restarting.clone()),
        &["start", "oom", "die 137", "start", "oom", "die 137"],
    );
    of_memory.key(key!(3));
    let screen = of_memory.screen();
    assert!(
        screen.contains("exit 137: killed by the kernel: out of memory"),
        "{screen}"
    );
    let mut of_else = room(
        &ended(restarting),
        &["start", "oom", "die 137", "start", "die 137"],
    );
    of_else.key(key!(3));
    let screen = of_else.screen();
    assert!(
        screen.contains("exit 137: killed (SIGKILL)"),
        "only its last life counts: {screen}"
    );
}

const DAY: i64 = 86_400;

#[test]
fn an_end_is_told_with_its_day_and_as_roughly_as_it_is_known() {
    let since = |at: i64, finished: Option<i64>, happened: Option<i64>| {
        let api = ended(State::Exited {
            code: 1,
            at: Some(ago(at)),
            oom: false,
        });
        let mut room = room(&api, &[]);
        if let Some(at) = happened {
            let happening = Happening {
                id: api.id.clone(),
                at: ago(at),
                what: "die 1".to_owned(),
            };
            room.event(Event::Host(host("web-1"), HostEvent::Happened(happening)));
        }
        if let Some(at) = finished {
            let detail = Detail {
                state: api.state.clone(),
                finished: Some(ago(at)),
                ..super::detail(&api)
            };
            room.event(Event::Host(host("web-1"), HostEvent::Inspected(Box::new(detail))));
        }
        room.key(key!(3));
        let screen = room.screen();
        let row = screen.lines().find(|row| row.contains("exited 1")).unwrap();
        row.split("exited 1").nth(1).unwrap().trim().to_owned()
    };
    // A list says "2 weeks ago", "5 hours ago", "20 minutes ago".
    assert_eq!(since(14 * DAY, None, None), "14 d ago");
    assert_eq!(since(5 * 3_600, None, None), "5 h ago");
    // In the time zone of whoever reads it.
    let minute = |at: i64| format!("since {}", clock::hour_minute(ago(at)));
    assert_eq!(since(1_200, None, None), minute(1_200));
    let date = clock::date(ago(16 * DAY));
    assert_eq!(since(14 * DAY, Some(16 * DAY), None), format!("since {date}"));
    let (hours, exactly) = (5 * 3_600, 5 * 3_600 + 900);
    assert_eq!(since(hours, Some(exactly), None), minute(exactly));
    assert_eq!(since(hours, None, Some(hours)), minute(hours));
}

#[test]
fn the_evidence_of_the_selected_problem_is_read_whole() {
    let mut room = Room::new(80, 24);
    let why = "word ".repeat(40) + "and its remedy";
    let lost = Link::Lost {
        since: ago(60),
        why: Fault::new("reach web-2", why),
        retry_at: None,
    };
    room.event(Event::Host(host("web-2"), HostEvent::Link(lost)));
    room.key(key!(3));
    let screen = room.screen();
    assert!(screen.contains("remedy"), "{screen}");
}

#[test]
fn enter_on_a_service_that_is_split_shows_its_containers() {
    let mut stage = Stage::new(80, 24);
    for (name, id) in [("shop.r42.3", 3), ("shop.r42.4", 4)] {
        stage.host("web-2", HostEvent::Changed(Box::new(row(name, id, 60))));
    }
    stage.press("3 /");
    stage.typed("SPLIT");
    stage.press("enter");
    let screen = stage.screen();
    assert!(
        screen.contains("SPLIT") && screen.contains("d or R puts"),
        "{screen}"
    );
    stage.press("enter");
    let screen = stage.screen();
    assert!(
        screen.contains("shop.r41.1") && screen.contains("shop.r42.3") && !screen.contains("api.r17.1"),
        "{screen}"
    );
}

fn with_disk(measured: i64) -> String {
    let mut room = room(&container("c1", "api", "api"), &[]);
    let load = HostLoad {
        at: ago(measured),
        cpu: Reading::Known(1.0),
        memory: Reading::Known((Bytes(1), Bytes(2))),
        disk: Reading::Known((Bytes(95 << 30), Bytes(100 << 30))),
    };
    room.event(Event::Host(host("web-1"), HostEvent::Load(load)));
    room.key(key!(3));
    room.screen()
}

#[test]
fn a_full_disk_that_was_measured_once_is_told_with_its_age_and_not_for_ever() {
    let now = with_disk(10);
    assert!(now.contains("disk 95 %") && !now.contains("measured"), "{now}");
    let later = with_disk(600);
    assert!(later.contains("measured 10 min ago; M asks again"), "{later}");
    let old = with_disk(2_000);
    assert!(!old.contains("disk 95 %"), "{old}");
}

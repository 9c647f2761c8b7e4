//! What the page of problems says of containers that were killed, and what it asks about them.

use crokey::key;
use pilothouse::app::Effect;
use pilothouse::domain::container::{Container, Health, State};
use pilothouse::domain::detail::Detail;
use pilothouse::domain::event::{Event, Happening, HostEvent};
use pilothouse::domain::host::{HostLoad, Reading};
use pilothouse::domain::order::Order;
use pilothouse::domain::units::Bytes;

use super::support::{Room, ago, container, host, key};

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

//! What the containers that are problems said last stands on the page of problems.

use std::sync::Arc;

use crokey::key;
use pilothouse::app::Effect;
use pilothouse::domain::container::{Container, Health, State};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::logs::{FollowId, LogBatch, LogLine, Stream};
use pilothouse::domain::order::Order;

use super::support::{Room, ago, container, host, key};

fn follows(effects: &[Effect]) -> Vec<FollowId> {
    let id = |effect: &Effect| match effect {
        Effect::Order(_, Order::Follow { id, .. }) => Some(*id),
        _ => None,
    };
    effects.iter().filter_map(id).collect()
}

fn ended(since: i64) -> Container {
    Container {
        state: State::Exited {
            code: 1,
            at: Some(ago(since)),
            oom: false,
        },
        health: Health::Unchecked,
        ..container("c1", "mailer", "mailer")
    }
}

fn line(text: &str) -> LogLine {
    LogLine {
        at: ago(61),
        source: Arc::new(key("web-1", "c1")),
        stream: Stream::Err,
        text: text.into(),
    }
}

fn unfollowed(effects: &[Effect], id: FollowId) -> bool {
    let is_it = |effect: &Effect| matches!(effect, Effect::Order(_, Order::Unfollow(one)) if *one == id);
    effects.iter().any(is_it)
}

fn said(room: &mut Room, id: FollowId, lines: &[LogLine]) {
    let lines = lines.to_vec();
    room.event(Event::Logs(id, LogBatch { lines, skipped: 0 }));
}

/// The page is looked at for long enough.
fn read(room: &mut Room) -> Vec<FollowId> {
    let mut effects = room.key(key!(3));
    effects.extend(room.frame());
    assert!(
        follows(&effects).is_empty(),
        "it may be on the way to another page"
    );
    let woken = room.woken();
    assert_eq!(room.model.wake_at(), None, "nothing is due until they come");
    follows(&woken)
}

/// One that fell, and whose last words were asked for.
fn fallen() -> (Room, FollowId) {
    let mut room = Room::new(100, 24);
    room.event(Event::Host(host("web-1"), HostEvent::Listed(vec![ended(60)])));
    let asked = read(&mut room);
    let [id] = asked[..] else {
        panic!("{asked:?}");
    };
    (room, id)
}

#[test]
fn the_last_words_of_what_fell_are_told_and_asked_for_once_a_fall() {
    let (mut room, id) = fallen();
    assert!(follows(&room.frame()).is_empty());
    let lines = [
        line("cannot reach smtp.internal:587: connection refused"),
        line(""),
    ];
    said(&mut room, id, &lines);
    let screen = room.screen();
    assert!(screen.contains("exit 1"), "{screen}");
    assert!(screen.contains("last words"), "{screen}");
    assert!(screen.contains("cannot reach smtp.internal:587"), "{screen}");
    room.event(Event::Host(host("web-1"), HostEvent::Listed(vec![ended(10)])));
    let again = room.frame();
    assert_eq!(follows(&again).len(), 1, "{again:?}");
    assert!(
        room.screen().contains("cannot reach smtp"),
        "until the new ones are there"
    );
}

#[test]
fn what_had_not_come_when_one_left_is_asked_for_again() {
    let (mut room, id) = fallen();
    let mut left = room.key(key!(1));
    left.extend(room.frame());
    assert!(unfollowed(&left, id), "{left:?}");
    let asked = read(&mut room);
    let [again] = asked[..] else {
        panic!("{asked:?}");
    };
    said(&mut room, again, &[line("the reason")]);
    room.woken();
    room.key(key!(1));
    room.frame();
    assert_eq!(read(&mut room), [], "they are known");
    assert!(room.screen().contains("the reason"), "{}", room.screen());
}

#[test]
fn the_last_line_counts_though_the_first_was_sent_alone() {
    let (mut room, id) = fallen();
    said(&mut room, id, &[line("starting")]);
    let drawn = room.frame();
    assert!(!unfollowed(&drawn, id), "the others follow it: {drawn:?}");
    said(&mut room, id, &[line("ready"), line("the reason")]);
    let screen = room.screen();
    assert!(screen.contains("the reason"), "{screen}");
    let woken = room.woken();
    assert!(unfollowed(&woken, id), "{woken:?}");
    assert_eq!(room.model.wake_at(), None);
}

#[test]
fn what_we_say_ourselves_in_a_log_is_no_container_s_last_word() {
    let (mut room, id) = fallen();
    let notice = LogLine {
        stream: Stream::Notice,
        ..line("the container is gone")
    };
    said(&mut room, id, &[line("the reason"), notice]);
    let screen = room.screen();
    assert!(
        screen.contains("the reason") && !screen.contains("is gone"),
        "{screen}"
    );
}

#[test]
fn the_filter_finds_what_it_said_last() {
    let (mut room, id) = fallen();
    room.keys(&[key!('/'), key!(s), key!(m), key!(t), key!(p)]);
    assert!(!room.screen().contains("exit 1"), "{}", room.screen());
    said(&mut room, id, &[line("cannot reach smtp.internal")]);
    let screen = room.screen();
    assert!(screen.contains("mailer") && screen.contains("exit 1"), "{screen}");
}

#[test]
fn a_third_row_is_drawn_where_there_is_just_room_for_it() {
    // Below and above it a row each.
    let mut room = Room::new(100, 8);
    let other = Container {
        id: container("c2", "", "").id,
        name: "queue".into(),
        ..ended(60)
    };
    let listed = HostEvent::Listed(vec![ended(60), other]);
    room.event(Event::Host(host("web-1"), listed));
    let asked = read(&mut room);
    assert_eq!(asked.len(), 2, "{asked:?}");
    for id in asked {
        said(&mut room, id, &[line("the reason")]);
    }
    let screen = room.screen();
    assert_eq!(screen.matches("exit 1:").count(), 2, "{screen}");
    assert_eq!(screen.matches("the reason").count(), 2, "{screen}");
}

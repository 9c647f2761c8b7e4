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

#[test]
fn the_last_words_of_what_fell_are_told_and_asked_for_once_a_fall() {
    let mut room = Room::new(100, 24);
    let listed = |since| Event::Host(host("web-1"), HostEvent::Listed(vec![ended(since)]));
    room.event(listed(60));
    let mut effects = room.key(key!(3));
    effects.extend(room.frame());
    assert!(
        follows(&effects).is_empty(),
        "it may be on the way to another page"
    );
    room.wait();
    effects.extend(room.frame());
    effects.extend(room.frame());
    let [id] = follows(&effects)[..] else {
        panic!("{effects:?}");
    };
    let lines = vec![
        line("cannot reach smtp.internal:587: connection refused"),
        line(""),
    ];
    room.event(Event::Logs(id, LogBatch { lines, skipped: 0 }));
    let screen = room.screen();
    assert!(screen.contains("exit 1"), "{screen}");
    assert!(screen.contains("last words"), "{screen}");
    assert!(screen.contains("cannot reach smtp.internal:587"), "{screen}");
    room.event(listed(10));
    let again = room.frame();
    assert_eq!(follows(&again).len(), 1, "{again:?}");
    assert!(
        room.screen().contains("cannot reach smtp"),
        "until the new ones are there"
    );
}

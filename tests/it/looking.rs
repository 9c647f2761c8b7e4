//! Streams follow what is visible: opened after a moment, closed when invisible, resumed later.

use std::time::Duration;

use pilothouse::app::layout::Size;
use pilothouse::app::{Effect, Msg};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::ids::ContainerKey;
use pilothouse::domain::logs::{FollowId, LogBatch, LogLine, LogRange, Reached, Stream};
use pilothouse::domain::order::Order;
use pilothouse::domain::units::Stamp;

use crate::stage::{Stage, host, id_of, key};

const MOMENT: Duration = Duration::from_secs(1);

/// Orders about logs, without the ids of the orders.
fn streams(effects: Vec<Effect>) -> Vec<Order> {
    let order = |effect| match effect {
        Effect::Order(_, order) => Some(order),
        _ => None,
    };
    let is_log = |order: &Order| {
        matches!(
            order,
            Order::Follow { .. }
                | Order::Resume { .. }
                | Order::FollowOwnLog(_)
                | Order::FollowRun(..)
                | Order::Unfollow(_)
        )
    };
    effects.into_iter().filter_map(order).filter(is_log).collect()
}

/// A frame is drawn, a moment passes, another is drawn.
fn look(stage: &mut Stage) -> Vec<Order> {
    let mut effects = stage.frame();
    effects.extend(stage.wait(MOMENT));
    effects.extend(stage.frame());
    streams(effects)
}

fn followed(orders: &[Order]) -> (FollowId, Vec<ContainerKey>) {
    match orders {
        [.., Order::Follow { id, targets, .. }] => (*id, targets.clone()),
        other => panic!("nothing is followed: {other:?}"),
    }
}

fn line(on: &str, id: u32, second: i64, text: &str) -> LogLine {
    LogLine {
        at: Stamp::from_seconds(1_790_000_000 + second),
        source: std::sync::Arc::new(key(on, id)),
        stream: Stream::Out,
        text: text.into(),
    }
}

fn say(stage: &mut Stage, id: FollowId, lines: Vec<LogLine>) {
    stage.event(Event::Logs(id, LogBatch { lines, skipped: 0 }));
}

/// On a small terminal, in the logs of shop.r41.3, of which two lines came.
fn reading() -> (Stage, FollowId) {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    stage.typed("shop.r41.3");
    stage.press("enter");
    let (id, targets) = followed(&streams(stage.press("l")));
    assert_eq!(targets, [key("web-2", 3)]);
    say(
        &mut stage,
        id,
        vec![line("web-2", 3, 1, "one"), line("web-2", 3, 2, "two")],
    );
    stage.frame();
    (stage, id)
}

#[test]
fn the_room_reads_the_selected_service_by_itself_and_one_change_is_made_where_the_cursor_stays() {
    let mut stage = Stage::new(160, 50);
    let (first, targets) = followed(&look(&mut stage));
    assert_eq!(targets, [key("web-2", 5), key("web-2", 6)], "api is on top");
    let mut moving = Vec::new();
    for motion in ["down", "down", "up", "down", "up"] {
        moving.extend(stage.at_once(motion));
        moving.extend(stage.frame());
    }
    assert_eq!(streams(moving), [], "the cursor is still moving");
    let orders = look(&mut stage);
    let (_, targets) = followed(&orders);
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert_eq!(orders[0], Order::Unfollow(first));
    assert_eq!(targets, [key("db-1", 8)], "pg is the second");
    assert_eq!(look(&mut stage), []);
}

#[test]
fn in_the_room_a_selected_container_is_read_alone() {
    let mut stage = Stage::new(160, 50);
    look(&mut stage);
    stage.at_once("2");
    let (_, targets) = followed(&look(&mut stage));
    assert_eq!(targets, [key("web-2", 5)]);
}

#[test]
fn of_what_belongs_to_no_service_the_room_reads_one_alone() {
    let mut stage = Stage::new(160, 50);
    stage.at_once("end");
    let (_, targets) = followed(&look(&mut stage));
    assert_eq!(targets.len(), 1, "two belong to no service: {targets:?}");
    assert!(
        [key("web-2", 7), key("db-1", 9)].contains(&targets[0]),
        "{targets:?}"
    );
    let (_, asked_for) = followed(&streams(stage.press("l")));
    assert_eq!(asked_for.len(), 2, "asked for are all of them");
}

#[test]
fn a_room_that_becomes_too_small_or_is_covered_by_a_page_reads_no_more() {
    let small = Size {
        width: 80,
        height: 24,
    };
    // The page of runs reads nothing itself.
    for leave in [Msg::Resized(small), Msg::Key(crokey::key!(7))] {
        let mut stage = Stage::new(160, 50);
        let (id, _) = followed(&look(&mut stage));
        let mut effects = stage.tell(leave);
        effects.extend(stage.frame());
        assert_eq!(streams(effects), [Order::Unfollow(id)]);
        assert_eq!(look(&mut stage), []);
    }
}

#[test]
fn logs_left_by_a_number_key_end_and_go_on_from_the_last_line() {
    let (mut stage, id) = reading();
    let mut effects = stage.at_once("5");
    effects.extend(stage.frame());
    assert_eq!(streams(effects), [Order::Unfollow(id)]);
    say(&mut stage, id, vec![line("web-2", 3, 3, "late")]);
    stage.at_once("4");
    let orders = look(&mut stage);
    let reached = Reached {
        out: (Stamp::from_seconds(1_790_000_002), 1),
        err: Default::default(),
    };
    let [Order::Resume { id: next, targets }] = &orders[..] else {
        panic!("{orders:?}");
    };
    assert_eq!(*targets, [(key("web-2", 3), LogRange::After(reached))]);
    say(
        &mut stage,
        *next,
        vec![line("web-2", 3, 3, "three"), line("web-2", 3, 4, "four")],
    );
    let screen = stage.screen();
    let at = |word: &str| screen.find(word).unwrap_or_else(|| panic!("{word}\n{screen}"));
    assert!(at("one") < at("two") && at("two") < at("three") && at("three") < at("four"));
    assert!(!screen.contains("late"), "{screen}");
}

#[test]
fn what_was_removed_while_nobody_looked_is_said() {
    let (mut stage, _) = reading();
    stage.press("5");
    stage.frame();
    stage.host("web-2", HostEvent::Removed(id_of(3)));
    stage.at_once("4");
    assert_eq!(look(&mut stage), []);
    assert!(
        stage.screen().contains("removed while it was not followed"),
        "{}",
        stage.screen()
    );
}

#[test]
fn passing_the_logs_on_the_way_to_another_page_asks_for_nothing() {
    let mut stage = Stage::new(80, 24);
    let mut effects = Vec::new();
    for _ in 0..7 {
        effects.extend(stage.at_once("tab"));
        effects.extend(stage.frame());
    }
    assert_eq!(streams(effects), []);
}

#[test]
fn a_containers_page_reads_only_while_it_is_seen() {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    stage.typed("shop.r41.3");
    let (id, _) = followed(&streams(stage.press("enter enter")));
    let mut effects = stage.press("l");
    effects.extend(stage.frame());
    assert!(streams(effects).contains(&Order::Unfollow(id)));
    stage.press("esc");
    let (_, targets) = followed(&look(&mut stage));
    assert_eq!(targets, [key("web-2", 3)]);
}

#[test]
fn our_own_log_is_read_in_the_log_view_cleaned_searched_and_left() {
    let mut stage = Stage::new(80, 24);
    stage.press(":");
    stage.typed("log");
    let orders = streams(stage.press("enter"));
    let [Order::FollowOwnLog(id)] = orders[..] else {
        panic!("{orders:?}");
    };
    assert!(stage.screen().contains("The log is empty"));
    let lines = vec![
        line("pilothouse", 0, 1, "INFO pilothouse::hosts: connected host=web-1"),
        line(
            "pilothouse",
            0,
            2,
            "WARN pilothouse::hosts: lost \u{1b}]0;x\u{7}host=db-1",
        ),
    ];
    say(&mut stage, id, lines);
    stage.press("/");
    stage.typed("lost");
    stage.press("enter");
    let screen = stage.screen();
    for words in ["Pilothouse's own log", "connected host=web-1", "/lost: 1"] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{7}'));
    stage.press("esc esc");
    assert_eq!(streams(stage.frame()), [Order::Unfollow(id)]);
    let fault = pilothouse::domain::fault::Fault::new("read our own log", "there is none");
    let order = pilothouse::domain::order::OrderId(9_999);
    stage.event(Event::Done(order, Err(fault)));
    assert!(stage.screen().contains("there is none"), "{}", stage.screen());
}

#[test]
fn a_lost_host_changes_nothing_of_what_is_read() {
    let (mut stage, _) = reading();
    stage.host("web-2", HostEvent::Link(crate::stage::lost()));
    assert_eq!(look(&mut stage), []);
    assert!(stage.model.fleet.host(&host("web-2")).is_some());
}

#[test]
fn statistics_that_nobody_can_see_are_asked_for_no_more_and_then_anew() {
    let mut stage = Stage::new(80, 24);
    let watched = |effects: Vec<Effect>| {
        let asked = effects.into_iter().filter_map(|effect| match effect {
            Effect::Order(_, Order::Watch { host, ids }) => Some((host, ids.len())),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    stage.press("2");
    stage.frame();
    stage.wait(Duration::from_secs(1));
    stage.frame();
    let withdrawn = watched(stage.tell(Msg::Lent));
    assert!(!withdrawn.is_empty());
    assert!(withdrawn.iter().all(|(_, ids)| *ids == 0), "{withdrawn:?}");
    let again = watched(stage.frame());
    assert_eq!(again.len(), withdrawn.len());
    assert!(again.iter().all(|(_, ids)| *ids > 0), "{again:?}");
}

use std::sync::Arc;

use super::patterns::Wish;
use super::range::Range;
use super::scroll::{Page, Step};
use super::sources::Scope;
use super::state::{Logs, Seek};
use crate::config::Looks;
use crate::domain::container::{Container, Health, State, label};
use crate::domain::event::HostEvent;
use crate::domain::fleet::Fleet;
use crate::domain::ids::ContainerKey;
use crate::domain::ids::{ContainerId, HostName};
use crate::domain::logs::{FollowId, LogBatch, LogLine, LogRange, Stream};
use crate::domain::order::Order;
use crate::domain::units::Stamp;

const PAGE: Page = Page { rows: 4, columns: 60 };

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn key(on: &str, id: &str) -> ContainerKey {
    ContainerKey {
        host: host(on),
        id: ContainerId::parse(id).unwrap(),
    }
}

fn container(id: &str, name: &str, created: i64) -> Container {
    let labels = [(label::SERVICE.to_owned(), "shop".to_owned())];
    Container {
        id: ContainerId::parse(id).unwrap(),
        name: name.into(),
        image: "shop".into(),
        image_id: None,
        command: "".into(),
        created: Stamp::from_seconds(created),
        state: State::Running { since: None },
        health: Health::Unchecked,
        ports: Vec::new(),
        labels: Arc::new(labels.into()),
    }
}

fn fleet(rows: &[(&str, &str, &str)]) -> Fleet {
    let mut fleet = Fleet::new([host("web-1"), host("web-2")], Stamp::default());
    for on in ["web-1", "web-2"] {
        let here = rows.iter().filter(|row| row.0 == on);
        let listed = here.map(|(_, id, name)| container(id, name, 100)).collect();
        fleet.apply(&host(on), HostEvent::Listed(listed));
    }
    fleet
}

fn shop() -> Scope {
    let container = container("a1", "shop.r1.1", 0);
    Scope::Group(container.group())
}

fn line(source: &ContainerKey, second: i64, text: &str) -> LogLine {
    LogLine {
        at: Stamp::from_seconds(second),
        source: Arc::new(source.clone()),
        stream: Stream::Out,
        text: text.into(),
    }
}

fn batch(texts: &[&str]) -> LogBatch {
    let source = key("web-1", "a1");
    let stamped = texts.iter().zip(200..);
    LogBatch {
        lines: stamped.map(|(text, at)| line(&source, at, text)).collect(),
        skipped: 0,
    }
}

/// One container, open, with these lines.
fn open_with(texts: &[&str]) -> Logs {
    let mut logs = Logs::new(&Looks::default());
    let orders = logs.open(shop(), &fleet(&[("web-1", "a1", "shop.r1.1")]), FollowId(1));
    assert_eq!(orders.len(), 1);
    logs.receive(FollowId(1), batch(texts));
    logs
}

fn texts(logs: &Logs) -> Vec<&str> {
    let visible = logs.visible(PAGE);
    let text = |(number, _): (u64, usize)| logs.ring().get(number).map(|line| line.text.as_ref());
    visible.into_iter().filter_map(text).collect()
}

#[test]
fn a_service_is_followed_on_all_its_hosts_and_its_new_containers_join_from_their_beginning() {
    let mut fleet = fleet(&[("web-1", "a1", "shop.r1.1"), ("web-2", "b1", "shop.r1.1")]);
    let mut logs = Logs::new(&Looks::default());
    let targets = vec![key("web-1", "a1"), key("web-2", "b1")];
    let (id, range) = (FollowId(1), LogRange::Tail(500));
    assert_eq!(
        logs.open(shop(), &fleet, FollowId(1)),
        [Order::Follow { id, targets, range }]
    );
    assert_eq!(
        logs.open(shop(), &fleet, FollowId(1)),
        [],
        "asking again changes nothing"
    );
    logs.receive(FollowId(1), batch(&["old"]));

    assert_eq!(logs.join(&fleet, FollowId(2)), None);
    let new = Box::new(container("a2", "shop.r2.1", 300));
    fleet.apply(&host("web-1"), HostEvent::Changed(new));
    let (id, targets) = (FollowId(2), vec![key("web-1", "a2")]);
    let range = LogRange::All;
    assert_eq!(
        logs.join(&fleet, FollowId(2)),
        Some(Order::Follow { id, targets, range })
    );
    assert_eq!(
        logs.close(),
        [Order::Unfollow(FollowId(1)), Order::Unfollow(FollowId(2))]
    );
}

#[test]
fn a_container_that_is_created_again_under_its_name_takes_its_place() {
    let mut logs = Logs::new(&Looks::default());
    let scope = Scope::Containers(vec![key("web-1", "a1")]);
    let orders = logs.open(
        scope,
        &fleet(&[("web-1", "a1", "db"), ("web-1", "c1", "other")]),
        FollowId(1),
    );
    assert_eq!(orders.len(), 1);
    let joined = logs.join(
        &fleet(&[("web-1", "a2", "db"), ("web-2", "b1", "db")]),
        FollowId(2),
    );
    assert!(matches!(joined, Some(Order::Follow { targets, .. }) if targets == [key("web-1", "a2")]));
}

#[test]
fn lines_of_a_follow_that_was_given_up_do_not_appear() {
    let mut logs = open_with(&["old"]);
    let orders = logs.set_range(Range::Hour, FollowId(2));
    assert!(matches!(
        &orders[..],
        [
            Order::Unfollow(FollowId(1)),
            Order::Follow { id: FollowId(2), .. }
        ]
    ));
    logs.receive(FollowId(1), batch(&["late"]));
    assert_eq!(texts(&logs), Vec::<&str>::new());
}

#[test]
fn skipped_lines_are_said_where_they_are_missing() {
    let mut logs = open_with(&["a"]);
    logs.receive(
        FollowId(1),
        LogBatch {
            skipped: 1_203,
            ..batch(&["b"])
        },
    );
    assert_eq!(texts(&logs), ["a", "1203 lines skipped", "b"]);
    assert_eq!(logs.ring().skipped(), 1_203);
}

#[test]
fn a_filter_hides_counts_and_comes_off_again() {
    let mut logs = open_with(&["GET /", "error one", "GET /x", "done"]);
    logs.wish(Wish::of("!GET"), PAGE);
    assert_eq!(
        (texts(&logs), logs.patterns().hidden()),
        (vec!["error one", "done"], 2)
    );
    logs.receive(FollowId(1), batch(&["GET /y", "error two"]));
    assert!(!logs.advance(PAGE));
    assert_eq!(texts(&logs), ["error one", "done", "error two"]);
    logs.wish(Wish::of("&error"), PAGE);
    assert_eq!(texts(&logs), ["error one", "error two"]);
    assert!(logs.clear_one());
    assert_eq!(texts(&logs).len(), 4);
    assert!(!logs.clear_one());
}

#[test]
fn a_bad_pattern_is_said_and_the_one_before_stays() {
    let mut logs = open_with(&["a(b", "c"]);
    logs.wish(Wish::of("!c"), PAGE);
    logs.wish(Wish::of("!c("), PAGE);
    assert_eq!(logs.patterns().bad(), Some("unclosed group"));
    assert_eq!(texts(&logs), ["a(b"]);
}

#[test]
fn giving_up_a_pattern_brings_the_old_ones_back_and_entering_keeps_it() {
    let mut logs = open_with(&["a", "b", "x"]);
    logs.wish(Wish::of("!a"), PAGE);
    let before = logs.patterns().texts();
    for text in ["!", "!b", "!b(", ""] {
        logs.typed(text, PAGE);
    }
    assert_eq!(logs.patterns().bad(), None);
    assert_eq!((logs.patterns().texts(), texts(&logs)), (before, vec!["b", "x"]));
    logs.typed("b", PAGE);
    logs.entered(PAGE);
    assert_eq!(logs.cursor(), Some(1));
    logs.entered(PAGE);
    assert_eq!(logs.patterns().texts().search, None);
}

#[test]
fn n_goes_from_match_to_match_among_the_shown() {
    let mut logs = open_with(&["x 0", "1", "x 2 hide", "3", "x 4", "5", "6", "7", "8"]);
    logs.wish(Wish::of("!hide"), PAGE);
    logs.wish(Wish::of("x"), PAGE);
    assert!(logs.seek(Seek::Earlier, PAGE));
    assert_eq!(logs.cursor(), Some(4));
    assert!(logs.seek(Seek::Earlier, PAGE));
    assert_eq!(logs.cursor(), Some(0));
    assert!(!logs.seek(Seek::Earlier, PAGE));
    assert!(logs.seek(Seek::Later, PAGE));
    assert_eq!(logs.cursor(), Some(4));
}

#[test]
fn a_match_far_back_is_found_a_bounded_piece_at_a_time() {
    let mut logs = open_with(&["needle"]);
    for _ in 0..9 {
        let hay = vec!["hay"; 1_000];
        logs.receive(FollowId(1), batch(&hay));
    }
    logs.wish(Wish::of("needle"), PAGE);
    assert!(!logs.seek(Seek::Earlier, PAGE));
    assert!(logs.is_seeking());
    let mut frames = 0;
    while logs.advance(PAGE) {
        frames += 1;
    }
    assert_eq!((frames, logs.cursor()), (3, Some(0)));
    assert!(!logs.is_seeking());
}

#[test]
fn a_view_that_was_scrolled_back_stays_put_while_lines_come_and_go() {
    let looks = Looks {
        log_lines: 10,
        ..Looks::default()
    };
    let mut logs = Logs::new(&looks);
    assert_eq!(
        logs.open(shop(), &fleet(&[("web-1", "a1", "shop.r1.1")]), FollowId(1))
            .len(),
        1
    );
    logs.receive(FollowId(1), batch(&["0", "1", "2", "3", "4", "5", "6", "7"]));
    logs.step(Step::Back(3), PAGE);
    assert_eq!(texts(&logs), ["1", "2", "3", "4"]);
    logs.receive(FollowId(1), batch(&["8", "9", "10"]));
    assert_eq!(texts(&logs), ["1", "2", "3", "4"]);
    logs.receive(FollowId(1), batch(&["11", "12"]));
    assert_eq!(texts(&logs), ["3", "4", "5", "6"], "its own lines are gone");
    assert_eq!(logs.ring().skipped(), 3);
}

#[test]
fn late_lines_go_to_their_place_and_move_nothing() {
    let mut logs = open_with(&["0", "1", "2", "3", "4", "5"]);
    logs.wish(Wish::of("&[0-9]"), PAGE);
    logs.step(Step::Back(1), PAGE);
    logs.mark(PAGE);
    let before = (texts(&logs).join(" "), logs.copied());
    let late = line(&key("web-2", "b1"), 200, "0 late");
    logs.receive(
        FollowId(1),
        LogBatch {
            lines: vec![late],
            skipped: 0,
        },
    );
    assert_eq!((texts(&logs).join(" "), logs.copied()), before);
    logs.step(Step::Top, PAGE);
    assert_eq!(texts(&logs), ["0", "0 late", "1", "2"]);
}

#[test]
fn the_line_or_the_marked_lines_are_copied_without_escape_codes() {
    let mut logs = open_with(&["one", "\u{1b}[31mtwo\u{1b}[0m", "three"]);
    assert_eq!(logs.copied().as_deref(), Some("three"));
    logs.mark(PAGE);
    logs.step(Step::Up, PAGE);
    logs.mark(PAGE);
    assert_eq!(logs.copied().as_deref(), Some("two\nthree"));
    assert!(logs.clear_one());
    assert_eq!(logs.marked(), 0);
}

#[test]
fn a_saved_file_says_when_and_where_from_and_has_only_what_is_shown() {
    let mut logs = open_with(&["one", "two"]);
    logs.wish(Wish::of("!one"), PAGE);
    assert_eq!(logs.saved(), "1970-01-01T00:03:21.000Z web-1/shop.r1.1 two\n");
    let now = Stamp::from_seconds(1_700_000_000);
    assert_eq!(logs.file_name(now), "shop.r1.1-20231114-221320.log");
}

#[test]
fn wrapped_lines_take_the_rows_they_need() {
    let long = "x".repeat(100);
    let mut logs = open_with(&["a", &long, "b"]);
    logs.toggle_wrap();
    logs.toggle_timestamps();
    let page = Page { rows: 3, columns: 43 };
    assert_eq!(logs.visible(page), [(1, 1), (2, 0)]);
    logs.step(Step::Up, page);
    assert_eq!(logs.visible(page), [(1, 0)]);
}

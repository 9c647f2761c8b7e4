//! Runs whose process died: recovery is offered when one is found, and never started without a deliberate yes.

use std::sync::Arc;
use std::time::Duration;

use pilothouse::app::Effect;
use pilothouse::app::model::Redraw;
use pilothouse::domain::container::{Container, State};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::ids::{RunId, ServiceName};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView, Silence};
use pilothouse::domain::units::Stamp;

use crate::screens::steady;
use crate::stage::{Stage, host, live, lost, row};

fn id(number: u32) -> RunId {
    RunId::parse(&format!("20260921-14100{number}-shop")).unwrap()
}

fn found(stage: &mut Stage, run: RunView) {
    stage.event(Event::Run(Box::new(run)));
    stage.frame();
}

/// Nobody is typing any more.
const QUIET: Duration = Duration::from_secs(6);

fn recovered(effects: &[Effect]) -> Vec<RunId> {
    let run = |effect: &Effect| match effect {
        Effect::Recover(_, id) => Some(id.clone()),
        _ => None,
    };
    effects.iter().filter_map(run).collect()
}

#[test]
fn a_dead_run_is_offered_at_start_with_run_service_and_hosts_and_done_on_yes() {
    let mut stage = Stage::new(80, 24);
    found(&mut stage, dead(1, "web-2"));
    insta::assert_snapshot!(steady(&stage.screen()));
    assert_eq!(recovered(&stage.press("y")), [id(1)]);
}

#[test]
fn enter_and_keys_typed_ahead_do_nothing_and_it_is_asked_once_and_by_its_key_again() {
    let mut stage = Stage::new(80, 24);
    found(&mut stage, dead(1, "web-2"));
    assert_eq!(
        recovered(&stage.at_once("y")),
        [],
        "typed before it could be read"
    );
    assert_eq!(recovered(&stage.press("enter")), []);
    assert!(stage.screen().contains("X asks again"), "{}", stage.screen());
    stage.wait(Duration::from_secs(1));
    found(&mut stage, dead(1, "web-2"));
    assert!(!stage.screen().contains("Recover deploy"), "{}", stage.screen());
    assert_eq!(recovered(&stage.press("shift-x y")), [id(1)]);
}

#[test]
fn on_a_protected_host_the_name_is_typed() {
    let mut stage = Stage::new(80, 24);
    found(&mut stage, dead(1, "web-1"));
    assert_eq!(recovered(&stage.press("y enter")), []);
    assert_eq!(recovered(&stage.press("backspace s h o p enter")), [id(1)]);
}

#[test]
fn several_are_offered_one_after_the_other_and_one_that_lives_again_is_not() {
    let mut stage = Stage::new(80, 24);
    for number in [1, 2, 3] {
        stage.event(Event::Run(Box::new(dead(number, "web-2"))));
    }
    stage.frame();
    let running = RunView {
        status: RunStatus::Running,
        ..dead(2, "web-2")
    };
    stage.event(Event::Run(Box::new(running)));
    assert_eq!(recovered(&stage.press("n")), []);
    assert!(!stage.screen().contains("141003-shop"), "{}", stage.screen());
    stage.wait(QUIET);
    stage.frame();
    assert!(stage.screen().contains("141003-shop"), "{}", stage.screen());
    let running = RunView {
        status: RunStatus::Running,
        ..dead(3, "web-2")
    };
    found(&mut stage, running);
    assert!(!stage.screen().contains("Recover"), "{}", stage.screen());
}

#[test]
fn a_run_that_dies_while_one_watches_is_said_and_asks_nothing() {
    let mut stage = Stage::new(80, 24);
    let running = RunView {
        status: RunStatus::Running,
        ..dead(1, "web-2")
    };
    found(&mut stage, running);
    found(&mut stage, dead(1, "web-2"));
    let screen = stage.screen();
    assert!(
        screen.contains("X recovers it") && !screen.contains("y yes"),
        "{screen}"
    );
}

#[test]
fn a_colleagues_dead_run_is_said_with_whose_it_is_and_never_offered() {
    let mut stage = Stage::new(80, 24);
    let theirs = RunView {
        theirs: Some("ops-b".to_owned()),
        ..dead(1, "web-2")
    };
    found(&mut stage, theirs);
    let screen = stage.screen();
    assert!(!screen.contains("y yes"), "{screen}");
    assert_eq!(recovered(&stage.press("shift-x")), []);
    let screen = stage.screen();
    assert!(
        screen.contains("ops-b started it, and only ops-b or root may"),
        "{screen}"
    );
}

#[test]
fn read_only_it_is_only_said() {
    let mut stage = Stage::with(80, 24, Access::ReadOnly);
    found(&mut stage, dead(1, "web-2"));
    let screen = stage.screen();
    assert!(
        screen.contains("its process died") && !screen.contains("y yes"),
        "{screen}"
    );
}

/// It lost a host, and a person was asked for.
fn unfinished(number: u32, on: &str) -> RunView {
    let outcome = Outcome::NeedsHuman {
        why: "it lost a host".to_owned(),
        differences: vec![format!("{on}: not known")],
    };
    RunView {
        status: RunStatus::Closed {
            at: Stamp::from_seconds(1_789_999_100),
            outcome,
        },
        lost: vec![host(on)],
        ..dead(number, on)
    }
}

/// Its lock, as the host lists it.
fn lock_of(number: u32) -> Container {
    let mut lock = row("pilothouse.lock.shop", 77, 0);
    let labels = [
        ("pilothouse.role", "lock".to_owned()),
        ("pilothouse.service", "shop".to_owned()),
        ("pilothouse.run", id(number).to_string()),
    ];
    lock.state = State::Created;
    lock.labels = Arc::new(labels.map(|(key, value)| (key.to_owned(), value)).into());
    lock
}

#[test]
fn what_a_lost_host_keeps_of_a_run_is_offered_when_it_is_back_and_once() {
    let mut stage = Stage::new(100, 24);
    stage.host("web-2", HostEvent::Link(lost()));
    found(&mut stage, unfinished(1, "web-2"));
    assert!(!stage.screen().contains("Recover"), "{}", stage.screen());
    stage.host("web-2", HostEvent::Link(live()));
    stage.host("web-2", HostEvent::Changed(Box::new(lock_of(1))));
    stage.frame();
    let screen = stage.screen();
    assert!(
        screen.contains("Recover deploy shop on web-2?") && screen.contains("web-2 answers again"),
        "{screen}"
    );
    assert_eq!(recovered(&stage.press("n")), []);
    stage.wait(Duration::from_secs(1));
    found(&mut stage, unfinished(1, "web-2"));
    assert!(!stage.screen().contains("answers again"), "{}", stage.screen());
    assert_eq!(recovered(&stage.press("shift-x y")), [id(1)]);
}

#[test]
fn without_a_lock_of_it_on_the_host_nothing_is_left_to_offer() {
    let mut stage = Stage::new(100, 24);
    found(&mut stage, unfinished(1, "web-2"));
    assert!(!stage.screen().contains("Recover"), "{}", stage.screen());
}

#[test]
fn a_question_does_not_come_up_under_fingers_that_are_typing() {
    let mut stage = Stage::new(100, 24);
    stage.host("web-2", HostEvent::Link(lost()));
    found(&mut stage, unfinished(1, "web-2"));
    stage.press("2 j");
    stage.host("web-2", HostEvent::Link(live()));
    stage.host("web-2", HostEvent::Changed(Box::new(lock_of(1))));
    stage.frame();
    let screen = stage.screen();
    assert!(
        screen.contains("web-2 answered again; X recovers it") && !screen.contains("y yes"),
        "{screen}"
    );
    stage.wait(Duration::from_secs(20));
    assert_eq!(recovered(&stage.press("y")), []);
    assert_eq!(recovered(&stage.press("shift-x y")), [id(1)]);
}

/// Its host is back while the line of a filter is open.
fn returned_under_a_layer() -> Stage {
    let mut stage = Stage::new(100, 24);
    stage.host("web-2", HostEvent::Link(lost()));
    found(&mut stage, unfinished(1, "web-2"));
    stage.press("/");
    stage.wait(QUIET);
    stage.host("web-2", HostEvent::Link(live()));
    stage.host("web-2", HostEvent::Changed(Box::new(lock_of(1))));
    stage.frame();
    stage.press("s enter");
    stage.frame();
    assert!(!stage.screen().contains("y yes"), "{}", stage.screen());
    stage
}

#[test]
fn one_that_waited_for_a_layer_waits_for_the_fingers_too() {
    let mut stage = returned_under_a_layer();
    assert_eq!(recovered(&stage.press("y")), []);
    stage.frame();
    stage.wait(QUIET);
    assert_ne!(stage.model.redraw(), Redraw::No, "it is asked by itself");
    stage.frame();
    let screen = stage.screen();
    assert!(screen.contains("Recover deploy shop on web-2?"), "{screen}");
    let mut stage = returned_under_a_layer();
    stage.host("web-2", HostEvent::Link(lost()));
    stage.wait(QUIET);
    stage.frame();
    assert!(!stage.screen().contains("y yes"), "{}", stage.screen());
}

#[test]
fn a_question_is_not_taken_from_under_fingers_and_its_answer_then_does_nothing() {
    let taken = || RunView {
        status: RunStatus::Running,
        ..dead(1, "web-1")
    };
    let mut stage = Stage::new(80, 24);
    found(&mut stage, dead(1, "web-1"));
    stage.press("s h");
    found(&mut stage, taken());
    assert!(stage.screen().contains("Type shop"), "{}", stage.screen());
    assert_eq!(recovered(&stage.press("o p enter")), []);
    let words = "somebody else is already recovering the run";
    assert!(stage.screen().contains(words), "{}", stage.screen());
    let mut stage = Stage::new(80, 24);
    found(&mut stage, dead(1, "web-1"));
    stage.press("s h");
    found(&mut stage, taken());
    stage.wait(QUIET);
    stage.frame();
    let screen = stage.screen();
    assert!(
        !screen.contains("Type shop") && screen.contains(words),
        "{screen}"
    );
}

#[test]
fn a_run_that_needs_a_person_is_a_problem_that_x_recovers_until_a_later_one_put_all_in_order() {
    let mut stage = Stage::new(100, 24);
    let left = RunView {
        lost: Vec::new(),
        ..unfinished(1, "web-2")
    };
    found(&mut stage, left);
    stage.press("3");
    let screen = stage.screen();
    assert!(
        screen.contains("needs a human") && screen.contains("X recovers it; it lost a host"),
        "{screen}"
    );
    assert_eq!(recovered(&stage.press("shift-x y")), [id(1)]);
    let later = |at: i64, outcome| RunView {
        started: Stamp::from_seconds(1_789_999_000 + at),
        status: RunStatus::Closed {
            at: Stamp::from_seconds(1_789_999_200),
            outcome,
        },
        ..dead(2, "web-2")
    };
    let undone = Outcome::Reverted {
        why: "the gate failed".to_owned(),
        cancelled: false,
    };
    for (at, outcome) in [(-60, Outcome::Converged), (60, undone)] {
        found(&mut stage, later(at, outcome));
        let screen = stage.screen();
        assert!(screen.contains("needs a human"), "not by this one: {screen}");
    }
    found(&mut stage, later(60, Outcome::Converged));
    let screen = stage.screen();
    assert!(!screen.contains("needs a human"), "{screen}");
    assert_eq!(recovered(&stage.press("shift-x y")), []);
    // Another release on one of the hosts.
    stage.host("web-2", HostEvent::Changed(Box::new(row("shop.r42.3", 3, 60))));
    stage.frame();
    let screen = stage.screen();
    assert!(screen.contains("needs a human"), "{screen}");
}

#[test]
fn a_lock_that_nobody_renews_is_asked_about_now_and_then_and_told_as_a_run_that_was_left() {
    let mut stage = Stage::new(140, 30);
    let mut lock = lock_of(1);
    lock.created = Stamp::from_seconds(1_789_999_000);
    stage.host("web-2", HostEvent::Changed(Box::new(lock)));
    stage.frame();
    let asks = |effects: Vec<Effect>| {
        let mut effects = effects.into_iter();
        effects.any(|effect| matches!(effect, Effect::LookAtLocks(asked) if asked.len() == 1))
    };
    assert!(asks(stage.wait(Duration::from_secs(1))));
    assert!(!asks(stage.wait(Duration::from_mins(1))), "seldom");
    let silent = Duration::from_mins(14);
    stage.event(Event::LeftLocks(vec![(id(1).to_string(), Silence::For(silent))]));
    stage.frame();
    stage.press("3");
    stage.frame();
    let screen = stage.screen();
    assert!(
        screen.contains("a run was left") && screen.contains("for 14 min"),
        "{screen}"
    );
    assert!(asks(stage.wait(Duration::from_mins(1))), "again");
    stage.event(Event::LeftLocks(Vec::new()));
    stage.frame();
    assert!(!stage.screen().contains("a run was left"), "it is renewed again");
}

fn dead(number: u32, on: &str) -> RunView {
    RunView {
        id: id(number),
        kind: RunKind::Deploy,
        service: ServiceName::parse("shop").unwrap(),
        environment: None,
        actor: "ops-b".to_owned(),
        machine: "bastion-1".to_owned(),
        reason: None,
        started: Stamp::from_seconds(1_789_999_000),
        status: RunStatus::Dead,
        waiting: None,
        waited: std::time::Duration::ZERO,
        undoing: None,
        cancels: 0,
        from: None,
        to: None,
        image: "shop:v3".to_owned(),
        hosts: vec![host(on)],
        lost: Vec::new(),
        stages: Vec::new(),
        steps_done: 3,
        steps_total: 9,
        estimate: None,
        output: Vec::new(),
        output_skipped: 0,
        committed: false,
        asks: Vec::new(),
        theirs: None,
        notes: Vec::new(),
        hints: Vec::new(),
    }
}

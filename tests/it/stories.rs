//! Sequences of keys and their results: orders, refusals, words on the screen.

use std::time::Duration;

use pilothouse::app::{Effect, Msg};
use pilothouse::domain::container::{Container, State};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::ContainerKey;
use pilothouse::domain::order::{Access, Order, OrderId, Verb};
use pilothouse::domain::run::RunKind;

use crate::stage::{Stage, exited, host, id_of, key, row};

/// What was ordered to be done, without the ids of the orders.
fn acts(effects: &[Effect]) -> Vec<(Verb, ContainerKey)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Order(_, Order::Act { target, verb }) => Some((*verb, target.clone())),
            _ => None,
        })
        .collect()
}

fn order_ids(effects: &[Effect]) -> Vec<OrderId> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Order(id, Order::Act { .. }) => Some(*id),
            _ => None,
        })
        .collect()
}

/// On the containers page, this container selected.
fn on(name: &str) -> Stage {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    stage.typed(name);
    stage.press("enter");
    stage
}

#[test]
fn a_restart_is_asked_for_with_target_and_host_and_done_on_yes() {
    let mut stage = on("shop.r41.3");
    assert_eq!(acts(&stage.press("r")), []);
    assert!(
        stage.screen().contains("Restart shop.r41.3 on web-2?"),
        "{}",
        stage.screen()
    );
    assert_eq!(acts(&stage.press("y")), [(Verb::Restart, key("web-2", 3))]);
}

#[test]
fn enter_alone_never_confirms() {
    let mut stage = on("shop.r41.3");
    assert_eq!(acts(&stage.press("shift-d enter")), []);
    assert!(stage.screen().contains("nothing was changed"));
}

#[test]
fn what_was_typed_before_the_question_could_be_read_is_no_answer() {
    let mut stage = on("shop.r41.3");
    stage.press("r");
    assert_eq!(acts(&stage.at_once("y")), []);
    stage.tell(Msg::Paste("y".to_owned()));
    assert_eq!(acts(&stage.press("y")), [(Verb::Restart, key("web-2", 3))]);
}

#[test]
fn the_answer_applies_to_what_was_named_even_if_the_rows_moved() {
    let mut stage = on("shop.r41.3");
    stage.press("r");
    stage.host("web-2", HostEvent::Changed(Box::new(row("aaa.r1.1", 50, 10))));
    stage.host("web-2", HostEvent::Removed(id_of(4)));
    stage.frame();
    assert_eq!(acts(&stage.press("y")), [(Verb::Restart, key("web-2", 3))]);
}

#[test]
fn on_a_protected_host_the_name_must_be_typed() {
    let mut stage = on("shop.r41.1");
    assert_eq!(acts(&stage.press("s y enter")), []);
    stage.press("esc s");
    stage.wait(Duration::from_secs(1));
    stage.typed("shop.r41.1");
    assert_eq!(acts(&stage.press("enter")), [(Verb::Stop, key("web-1", 1))]);
}

#[test]
fn a_test_that_has_a_stage_built_on_a_protected_host_wants_the_name_typed() {
    use pilothouse::config::test::TestImage;
    let asked = |target: bool| {
        let mut stage = Stage::new(120, 30);
        let config = std::sync::Arc::make_mut(&mut stage.model.setup.config);
        let shop = &mut config.services[0];
        shop.build.as_mut().unwrap().host = host("web-1");
        if target {
            shop.tests[0].image = TestImage::Target("tests".to_owned());
        }
        stage.frame();
        stage.press("1 /");
        stage.typed("shop");
        stage.press("enter t");
        stage.frame();
        stage.screen()
    };
    let (own, staged) = (asked(false), asked(true));
    assert!(
        own.contains("Test shop on web-2?") && own.contains("y yes"),
        "{own}"
    );
    assert!(
        staged.contains("Test shop on web-1, web-2?") && !staged.contains("y yes"),
        "{staged}"
    );
}

#[test]
fn marked_rows_are_acted_on_together_with_one_summary() {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    stage.typed("web-2 shop");
    stage.press("enter");
    let effects = stage.press("space space s y");
    assert_eq!(
        acts(&effects),
        [(Verb::Stop, key("web-2", 3)), (Verb::Stop, key("web-2", 4))]
    );
    let ids = order_ids(&effects);
    stage.event(Event::Done(ids[0], Ok(())));
    assert!(!stage.screen().contains("done on all"), "only one was answered");
    stage.event(Event::Done(ids[1], Ok(())));
    assert!(stage.screen().contains("done on all 2"), "{}", stage.screen());
}

/// On the row of `api`: r17 with one that runs and one that fell, and r16 kept beside it.
fn on_a_service_with_a_kept_release() -> Stage {
    let mut stage = Stage::new(80, 24);
    let kept = exited(row("api.r16.1", 20, 0), 0, false);
    stage.host("web-2", HostEvent::Changed(Box::new(kept)));
    stage.press("1 /");
    stage.typed("api");
    stage.press("enter");
    stage
}

#[test]
fn on_the_row_of_a_service_its_present_release_is_acted_on_and_nothing_that_is_kept_is_started() {
    let (runs, fell) = (key("web-2", 5), key("web-2", 6));
    for (pressed, verb) in [("r", Verb::Restart), ("s", Verb::Stop), ("shift-k", Verb::Kill)] {
        let mut stage = on_a_service_with_a_kept_release();
        stage.press(pressed);
        assert_eq!(acts(&stage.press("y")), [(verb, runs.clone())], "{pressed}");
    }
    let mut stage = on_a_service_with_a_kept_release();
    stage.press("shift-d");
    let both = [(Verb::Remove, runs.clone()), (Verb::Remove, fell.clone())];
    assert_eq!(acts(&stage.press("y")), both);
    let stopped = exited(row("api.r17.1", 5, 0), 143, false);
    stage.host("web-2", HostEvent::Changed(Box::new(stopped)));
    stage.frame();
    assert_eq!(acts(&stage.press("r y")), [], "{}", stage.screen());
    stage.press("s");
    let both = [(Verb::Start, runs), (Verb::Start, fell)];
    assert_eq!(acts(&stage.press("y")), both);
}

#[test]
fn what_belongs_to_no_service_is_not_acted_on_together() {
    for pressed in ["r", "s", "shift-k", "z", "shift-d"] {
        let mut stage = Stage::new(80, 24);
        stage.press("1 /");
        stage.typed("(no service)");
        stage.press("enter");
        stage.press(pressed);
        let screen = stage.screen();
        assert!(screen.contains("select a container"), "{pressed}: {screen}");
        assert_eq!(acts(&stage.press("y")), [], "{pressed}");
    }
}

#[test]
fn a_result_stays_until_it_was_looked_at() {
    let mut stage = on("shop.r41.3");
    let ids = order_ids(&stage.press("r y"));
    stage.event(Event::Done(
        ids[0],
        Err(Fault::new("restart shop.r41.3", "the daemon said no")),
    ));
    stage.press("j k j");
    assert!(stage.screen().contains("the daemon said no"));
    stage.press("esc");
    assert!(!stage.screen().contains("the daemon said no"));
}

#[test]
fn read_only_is_said_before_anything_is_asked() {
    let mut stage = Stage::with(80, 24, Access::ReadOnly);
    for keys in ["2 r", "e", "shift-d", "1 b", "d"] {
        let effects = stage.press(keys);
        assert_eq!(acts(&effects), []);
        assert!(
            stage.screen().contains("--read-only"),
            "{keys}: {}",
            stage.screen()
        );
    }
}

#[test]
fn nothing_is_ordered_of_a_lost_host() {
    let mut stage = on("pg.r3.1");
    stage.press("r");
    assert!(stage.screen().contains("db-1 is lost"), "{}", stage.screen());
}

#[test]
fn a_filter_narrows_with_every_key_a_bang_inverts_and_escape_clears() {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    stage.typed("shop");
    assert!(!stage.screen().contains("api.r17.1"));
    stage.press("ctrl-u");
    stage.typed("!shop");
    stage.press("enter");
    let screen = stage.screen();
    assert!(
        screen.contains("api.r17.1") && !screen.contains("shop.r41.1"),
        "{screen}"
    );
    stage.press("esc");
    assert!(stage.screen().contains("shop.r41.1"));
}

#[test]
fn letters_typed_into_a_filter_are_no_commands() {
    let mut stage = Stage::new(80, 24);
    stage.press("2 /");
    assert_eq!(stage.typed("qdrRx"), []);
    assert_eq!(stage.press("ctrl-c"), [Effect::Leave]);
}

#[test]
fn the_selection_stays_with_the_thing() {
    let mut stage = Stage::new(80, 24);
    stage.press("2 down down");
    let before = stage.model.subject();
    stage.host("web-1", HostEvent::Changed(Box::new(row("aaa.r1.1", 60, 10))));
    stage.frame();
    assert_eq!(stage.model.subject(), before);
}

#[test]
fn d_opens_the_plan_and_neither_enter_nor_d_starts_it() {
    let mut stage = Stage::new(80, 24);
    stage.press("/");
    stage.typed("shop");
    stage.press("enter");
    let planned = stage.press("d").into_iter().find_map(|effect| match effect {
        Effect::Plan(_, request) => Some(request),
        _ => None,
    });
    let request = planned.expect("the plan is asked for");
    assert_eq!(
        (request.kind, request.service.as_str()),
        (RunKind::Deploy, "shop")
    );
    let after = stage.press("enter d enter");
    assert!(
        !after.iter().any(|effect| matches!(effect, Effect::Launch(..))),
        "{after:?}"
    );
}

#[test]
fn building_asks_where_and_then_starts() {
    let mut stage = Stage::new(80, 24);
    stage.press("/");
    stage.typed("shop");
    stage.press("enter b");
    assert!(
        stage.screen().contains("Build shop on web-2?"),
        "{}",
        stage.screen()
    );
    let effects = stage.press("y");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Launch(_, request) if request.kind == RunKind::Build)),
        "{effects:?}"
    );
}

#[test]
fn what_is_not_in_the_configuration_is_refused_in_words() {
    let mut stage = Stage::new(80, 24);
    stage.press("/");
    stage.typed("api");
    stage.press("enter b");
    assert!(
        stage.screen().contains("api has no [build]"),
        "{}",
        stage.screen()
    );
}

#[test]
fn figures_are_asked_for_exactly_the_rows_on_the_screen() {
    let mut stage = Stage::new(80, 24);
    stage.press("5");
    stage.frame();
    stage.wait(Duration::from_secs(1));
    stage.press("2");
    let mut effects = stage.frame();
    effects.extend(stage.wait(Duration::from_secs(1)));
    let watched: Vec<&Order> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Order(_, order @ Order::Watch { .. }) => Some(order),
            _ => None,
        })
        .collect();
    let of_web_1 = Order::Watch {
        host: host("web-1"),
        ids: vec![id_of(1), id_of(2)],
    };
    assert!(watched.contains(&&of_web_1), "{effects:?}");
    stage.press("5");
    let mut effects = stage.frame();
    effects.extend(stage.wait(Duration::from_secs(1)));
    let none = Order::Watch {
        host: host("web-1"),
        ids: Vec::new(),
    };
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Order(_, order) if *order == none)),
        "{effects:?}"
    );
}

/// The containers whose figures are asked for in the end.
fn watched_in(effects: &[Effect]) -> std::collections::BTreeMap<String, usize> {
    let mut watched = std::collections::BTreeMap::new();
    for effect in effects {
        if let Effect::Order(_, Order::Watch { host, ids }) = effect {
            watched.insert(host.to_string(), ids.len());
        }
    }
    watched
}

#[test]
fn figures_that_are_not_drawn_are_not_asked_for() {
    // In the room the services have no columns of figures; the table beside them has.
    let mut stage = Stage::new(160, 50);
    stage.frame();
    stage.wait(Duration::from_secs(1));
    stage.press("j j");
    let mut effects = stage.frame();
    effects.extend(stage.wait(Duration::from_secs(1)));
    // The four of the selected service, none of the three services beside it.
    assert_eq!(
        watched_in(&effects).values().sum::<usize>(),
        4,
        "{effects:?}\n{}",
        stage.screen()
    );

    // Image, ports and age need none; sorted by CPU they do.
    let mut stage = Stage::new(80, 24);
    stage.press("2");
    stage.frame();
    stage.wait(Duration::from_secs(1));
    stage.press("c");
    let mut effects = stage.frame();
    effects.extend(stage.wait(Duration::from_secs(1)));
    let watched = watched_in(&effects);
    assert!(
        !watched.is_empty() && watched.values().all(|count| *count == 0),
        "{watched:?}"
    );
    stage.press("o o o");
    let mut effects = stage.frame();
    effects.extend(stage.wait(Duration::from_secs(1)));
    let watched = watched_in(&effects);
    assert!(
        !watched.is_empty() && watched.values().all(|count| *count > 0),
        "{watched:?}\n{}",
        stage.screen()
    );
}

#[test]
fn a_quiet_fleet_is_not_drawn_again() {
    use pilothouse::app::model::Redraw;
    let mut stage = Stage::new(80, 24);
    stage.host("db-1", HostEvent::Link(crate::stage::live()));
    stage.frame();
    stage.wait(Duration::from_secs(1));
    stage.frame();
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.model.redraw(), Redraw::No);
}

#[test]
fn what_has_no_process_is_neither_paused_nor_killed() {
    for (pressed, words) in [("z", "pause: it is exited"), ("shift-k", "kill: it is exited")] {
        let mut stage = on("api.r17.2");
        stage.press(pressed);
        assert!(stage.screen().contains(words), "{}", stage.screen());
    }
    let mut stage = on("api.r17.1");
    stage.press("z");
    assert!(stage.screen().contains("Pause api.r17.1"), "{}", stage.screen());
}

#[test]
fn only_what_is_paused_is_told_to_go_on() {
    let in_state = |state: State| Container {
        state,
        ..row("api.r17.1", 5, 60)
    };
    let mut stage = on("api.r17.1");
    let restarting = in_state(State::Restarting {
        code: Some(1),
        since: None,
    });
    stage.host("web-2", HostEvent::Changed(Box::new(restarting)));
    stage.press("z");
    let screen = stage.screen();
    assert!(screen.contains("pause: it is restarting"), "{screen}");
    // The other one of the service has exited.
    let paused = in_state(State::Paused { since: None });
    stage.host("web-2", HostEvent::Changed(Box::new(paused)));
    stage.press("1 /");
    stage.typed("api");
    stage.press("enter z");
    let screen = stage.screen();
    assert!(screen.contains("Unpause api.r17.1 on web-2?"), "{screen}");
}

#[test]
fn every_key_that_does_nothing_says_why() {
    let cases = [
        ("1", "w", "wrap: only in text"),
        ("1", "<", "shorter: only in logs"),
        ("1", "f", "too small for more than one pane"),
        ("1", "right", "nothing more on this side"),
        ("1", "shift-q", "this key does nothing: press ? for the keys"),
        ("2", "right", "c shows other columns"),
        ("3", "a", "all: only for services and containers"),
        ("6", "enter", "nothing is selected"),
        ("7", "right", "Enter shows all of a run"),
    ];
    for (page, pressed, words) in cases {
        let mut stage = Stage::new(80, 24);
        stage.press(page);
        stage.press(pressed);
        let screen = stage.screen();
        assert!(screen.contains(words), "{page} {pressed}: {words}\n{screen}");
    }
}

#[test]
fn a_replica_of_the_present_release_that_gave_up_is_seen_and_an_earlier_one_is_not() {
    let mut stage = Stage::new(80, 24);
    let gave_up = exited(row("shop.r41.4", 4, 0), 1, false);
    stage.host("web-2", HostEvent::Changed(Box::new(gave_up)));
    let retained = exited(row("shop.r40.1", 40, 0), 137, false);
    stage.host("web-2", HostEvent::Changed(Box::new(retained)));
    let screen = |stage: &mut Stage, page: &str| {
        stage.press(page);
        stage.screen()
    };
    for page in ["3", "2"] {
        let screen = screen(&mut stage, page);
        assert!(screen.contains("shop.r41.4"), "{page}\n{screen}");
        assert!(!screen.contains("shop.r40.1"), "{page}\n{screen}");
    }
    // What is known of it stays known when its host is lost.
    stage.host("web-2", HostEvent::Link(crate::stage::lost()));
    let screen = screen(&mut stage, "3");
    assert!(screen.contains("shop.r41.4"), "{screen}");
    assert!(!screen.contains("shop.r40.1"), "{screen}");
}

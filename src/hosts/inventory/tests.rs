use super::*;

fn id(text: &str) -> ContainerId {
    ContainerId::parse(text).unwrap()
}

fn at(seconds: i64) -> Stamp {
    Stamp::from_seconds(seconds)
}

fn container(name: &str, state: State) -> Container {
    Container {
        id: id(name),
        name: name.into(),
        image: "shop".into(),
        image_id: None,
        command: "".into(),
        created: at(0),
        state,
        health: Health::Unchecked,
        ports: Vec::new(),
        labels: Arc::default(),
    }
}

fn running(since: i64) -> State {
    State::Running {
        since: Some(at(since)),
    }
}

fn exited(code: i32, when: i64, oom: bool) -> State {
    State::Exited {
        code,
        at: Some(at(when)),
        oom,
    }
}

fn event(name: &str, seconds: i64, kind: Kind) -> EngineEvent {
    EngineEvent {
        id: id(name),
        at: at(seconds),
        kind,
    }
}

fn listing(taken: i64, rows: &[(&str, State)]) -> Listing {
    Listing {
        adopted: None,
        taken: at(taken),
        containers: rows
            .iter()
            .map(|(name, state)| container(name, state.clone()))
            .collect(),
    }
}

fn listed(taken: i64, rows: &[(&str, State)]) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.list(listing(taken, rows));
    inventory
}

fn state(inventory: &Inventory, name: &str) -> State {
    inventory.container(&id(name)).unwrap().state.clone()
}

fn changed(step: &Step) -> Vec<State> {
    step.facts
        .iter()
        .filter_map(|fact| match fact {
            HostEvent::Changed(row) => Some(row.state.clone()),
            _ => None,
        })
        .collect()
}

const DIED: Kind = Kind::Die { code: Some(1) };

#[test]
fn the_state_comes_from_the_event_at_once() {
    let mut inventory = listed(100, &[("a", running(50))]);
    let step = inventory.events(vec![event("a", 110, DIED)]);
    assert_eq!(changed(&step), [exited(1, 110, false)]);
    assert_eq!(step.refresh, [id("a")]);
}

#[test]
fn an_older_list_never_overwrites_a_newer_event_and_is_settled_later() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![event("a", 110, DIED)]);
    let step = inventory.refreshed(&[id("a")], listing(110, &[("a", running(50))]));
    assert_eq!(state(&inventory, "a"), exited(1, 110, false));
    assert_eq!(step.settle, [id("a")]);
    inventory.refreshed(&[id("a")], listing(113, &[("a", running(112))]));
    assert_eq!(state(&inventory, "a"), running(112));
}

#[test]
fn an_event_that_overtook_the_first_list_is_applied_to_it() {
    let mut inventory = Inventory::default();
    assert_eq!(inventory.events(vec![event("a", 100, DIED)]), Step::default());
    let step = inventory.list(listing(100, &[("a", running(50))]));
    assert!(matches!(step.facts[0], HostEvent::Listed(_)));
    assert_eq!(changed(&step), [exited(1, 100, false)]);
}

#[test]
fn history_before_the_list_gives_exact_moments_and_the_kernels_part_but_no_state() {
    let mut inventory = Inventory::default();
    inventory.events(vec![
        event("c", 20, Kind::Destroy),
        event("b", 30, DIED),
        event("b", 31, Kind::Start),
        event("a", 40, Kind::Oom),
        event("a", 41, Kind::Die { code: Some(137) }),
    ]);
    inventory.list(listing(100, &[("a", exited(137, 42, false)), ("b", running(33))]));
    assert_eq!(state(&inventory, "a"), exited(137, 41, true));
    assert_eq!(state(&inventory, "b"), running(31));
}

#[test]
fn a_death_after_an_oom_is_by_the_kernel_and_a_start_forgets_it() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![
        event("a", 110, Kind::Oom),
        event("a", 111, Kind::Die { code: Some(137) }),
    ]);
    assert_eq!(state(&inventory, "a"), exited(137, 111, true));
    inventory.events(vec![
        event("a", 120, Kind::Start),
        event("a", 121, Kind::Die { code: Some(1) }),
    ]);
    assert_eq!(state(&inventory, "a"), exited(1, 121, false));
}

#[test]
fn a_clean_end_is_no_death_for_memory_though_a_child_was_killed_before() {
    for code in [0, 143] {
        let die = Kind::Die { code: Some(code) };
        let mut inventory = listed(100, &[("a", running(50))]);
        inventory.events(vec![event("a", 110, Kind::Oom), event("a", 120, die.clone())]);
        assert_eq!(state(&inventory, "a"), exited(code, 120, false), "by its event");
        inventory.refreshed(&[id("a")], listing(120, &[("a", exited(code, 120, false))]));
        assert_eq!(
            state(&inventory, "a"),
            exited(code, 120, false),
            "by the list after it"
        );
        let mut inventory = Inventory::default();
        inventory.events(vec![event("a", 40, Kind::Oom), event("a", 41, die)]);
        inventory.list(listing(100, &[("a", exited(code, 42, false))]));
        assert_eq!(
            state(&inventory, "a"),
            exited(code, 41, false),
            "by what was before"
        );
    }
}

#[test]
fn what_the_restart_policy_makes_of_a_death_is_taken_from_the_list_at_once() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![event("a", 110, DIED)]);
    let restarting = State::Restarting {
        code: Some(1),
        since: Some(at(110)),
    };
    inventory.refreshed(&[id("a")], listing(110, &[("a", restarting.clone())]));
    assert_eq!(state(&inventory, "a"), restarting);
}

#[test]
fn a_destroyed_container_is_not_brought_back_by_an_older_list() {
    let mut inventory = listed(100, &[("a", running(50))]);
    let step = inventory.events(vec![event("a", 110, Kind::Destroy)]);
    assert!(step.facts.contains(&HostEvent::Removed(id("a"))));
    inventory.list(listing(111, &[("a", running(50))]));
    assert_eq!(inventory.container(&id("a")), None);
}

#[test]
fn an_unknown_container_is_asked_for_once() {
    let mut inventory = listed(100, &[]);
    let step = inventory.events(vec![
        event("new", 110, Kind::Create),
        event("new", 110, Kind::Start),
    ]);
    assert_eq!(step.refresh, [id("new")]);
    let step = inventory.refreshed(&[id("new")], listing(110, &[("new", running(110))]));
    assert_eq!(changed(&step), [running(110)]);
}

#[test]
fn an_update_is_history_and_asks_what_it_changed() {
    let mut inventory = listed(100, &[("a", running(50))]);
    let step = inventory.events(vec![event("a", 110, Kind::Update)]);
    assert_eq!(history(&step), ["update"]);
    assert_eq!(step.refresh, [id("a")]);
    assert_eq!(state(&inventory, "a"), running(50));
}

#[test]
fn the_answer_about_an_unknown_container_may_be_older_than_its_end() {
    let mut inventory = listed(100, &[]);
    inventory.events(vec![
        event("new", 110, Kind::Create),
        event("new", 110, Kind::Start),
    ]);
    inventory.events(vec![event("new", 110, DIED)]);
    let step = inventory.refreshed(&[id("new")], listing(110, &[("new", running(110))]));
    assert_eq!(changed(&step), [exited(1, 110, false)]);
    assert_eq!(step.settle, [id("new")]);
}

#[test]
fn an_event_long_after_the_list_is_news() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![event("a", 100_000, DIED)]);
    assert_eq!(state(&inventory, "a"), exited(1, 100_000, false));
}

#[test]
fn one_that_is_asked_for_and_not_there_is_gone() {
    let mut inventory = listed(100, &[("a", running(50))]);
    let step = inventory.refreshed(&[id("a")], listing(110, &[]));
    assert_eq!(step.facts, [HostEvent::Removed(id("a"))]);
}

#[test]
fn what_a_reconnect_repeats_is_counted_once() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![event("a", 110, Kind::Stop), event("a", 110, DIED)]);
    inventory.reconnecting();
    assert_eq!(inventory.since(), Some(at(110)));
    inventory.list(listing(200, &[("a", exited(1, 110, false))]));
    let step = inventory.events(vec![
        event("a", 110, Kind::Stop),
        event("a", 110, DIED),
        event("a", 201, Kind::Start),
    ]);
    assert_eq!(changed(&step), [running(201)]);
    assert_eq!(step.facts.len(), 2);
}

#[test]
fn a_rename_and_a_health_result_change_only_what_they_name() {
    let mut inventory = listed(100, &[("a", running(50))]);
    inventory.events(vec![
        event("a", 110, Kind::Rename { to: "b".into() }),
        event("a", 111, Kind::Health(Health::Unhealthy)),
        event("a", 112, Kind::Pause),
    ]);
    let row = inventory.container(&id("a")).unwrap();
    assert_eq!((&*row.name, row.health), ("b", Health::Unhealthy));
    assert_eq!(row.state, State::Paused { since: Some(at(50)) });
    inventory.events(vec![event("a", 113, Kind::Unpause)]);
    assert_eq!(state(&inventory, "a"), running(50));
}

#[test]
fn a_list_in_round_words_does_not_move_a_moment_that_is_known() {
    let mut inventory = listed(10_000, &[("a", running(2_000))]);
    inventory.list(listing(11_000, &[("a", running(11_000 - 7_200))]));
    assert_eq!(state(&inventory, "a"), running(2_000));
    inventory.list(listing(20_000, &[("a", running(19_995))]));
    assert_eq!(state(&inventory, "a"), running(19_995));
}

#[test]
fn a_daemon_clock_that_was_set_back_does_not_freeze_its_rows() {
    let mut inventory = listed(100_000, &[("a", running(50))]);
    inventory.events(vec![event("a", 100_010, DIED)]);
    inventory.list(listing(5_000, &[("a", running(4_990))]));
    assert_eq!(state(&inventory, "a"), running(4_990));
}

/// What is told of its own history, in order.
fn history(step: &Step) -> Vec<&str> {
    let told = step.facts.iter().filter_map(|fact| match fact {
        HostEvent::Happened(happening) => Some(&*happening.what),
        _ => None,
    });
    told.collect()
}

#[test]
fn events_after_a_clock_was_set_back_change_rows_at_once() {
    let mut inventory = listed(100_000, &[("a", running(50)), ("b", running(50))]);
    inventory.events(vec![event("a", 100_010, DIED), event("a", 100_011, Kind::Start)]);
    let step = inventory.events(vec![event("a", 99_420, DIED)]);
    assert_eq!(changed(&step), [exited(1, 99_420, false)]);
    let step = inventory.events(vec![
        event("b", 99_421, Kind::Pause),
        event("a", 99_422, Kind::Start),
    ]);
    assert_eq!(history(&step), ["pause", "start"]);
    assert_eq!(state(&inventory, "a"), running(99_422));
    inventory.refreshed(&[id("b")], listing(99_425, &[("b", running(50))]));
    assert_eq!(
        state(&inventory, "b"),
        running(50),
        "no moment of the old clock outlives it"
    );
}

#[test]
fn the_first_event_after_a_clock_was_set_back_is_no_history() {
    let mut inventory = listed(100_000, &[("a", running(50))]);
    inventory.caught_up();
    let step = inventory.events(vec![event("a", 99_420, DIED)]);
    assert_eq!(changed(&step), [exited(1, 99_420, false)]);
}

#[test]
fn what_a_reconnect_repeats_from_before_a_clock_was_set_back_is_counted_once() {
    let mut inventory = listed(100_000, &[("a", running(50))]);
    let told = [event("a", 100_010, DIED), event("a", 99_420, Kind::Start)];
    inventory.events(told.to_vec());
    inventory.reconnecting();
    assert_eq!(inventory.since(), Some(at(99_420)));
    inventory.list(listing(99_430, &[("a", running(99_420))]));
    assert_eq!(inventory.events(told.to_vec()), Step::default());
}

#[test]
fn what_led_to_a_new_container_is_told_once_its_row_is_known() {
    let mut inventory = listed(100, &[]);
    let step = inventory.events(vec![
        event("new", 110, Kind::Create),
        event("new", 110, Kind::Start),
        event("new", 110, DIED),
    ]);
    assert_eq!(history(&step), [""; 0], "nobody knows it yet");
    let step = inventory.refreshed(&[id("new")], listing(110, &[("new", exited(1, 110, false))]));
    assert!(matches!(step.facts[0], HostEvent::Changed(_)));
    assert_eq!(history(&step), ["create", "start", "die 1"]);
}

#[test]
fn a_list_that_is_older_than_a_new_container_does_not_lose_its_history() {
    let mut inventory = listed(100, &[]);
    inventory.events(vec![
        event("new", 110, Kind::Create),
        event("new", 110, Kind::Start),
    ]);
    inventory.list(listing(110, &[]));
    let step = inventory.list(listing(111, &[("new", running(110))]));
    assert_eq!(history(&step), ["create", "start"]);
}

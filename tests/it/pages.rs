//! The pages of logs, a container, a run and a plan: how they look, and what their keys do.
//! Keys go in, effects and screens come out; nothing outside is changed.

mod going;
mod last_words;
mod left;
mod problems;
mod releases;
mod rolling;
mod said;
mod support;

use std::sync::Arc;
use std::time::Duration;

use crokey::key;
use pilothouse::app::{Effect, PaneId};
use pilothouse::domain::container::{Health, State};
use pilothouse::domain::detail::{Detail, Probe};
use pilothouse::domain::event::{Event, Happening, HostEvent};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::logs::{FollowId, LogBatch, LogLine, LogRange, Stream};
use pilothouse::domain::order::{Order, OrderId};
use pilothouse::domain::plan::{PlanView, RunRequest};
use pilothouse::domain::run::{Asked, Cell, Outcome, RunKind, RunLine, RunStatus, RunView, StageView};
use pilothouse::domain::sample::Sample;
use pilothouse::domain::units::{Bytes, Stamp};
use support::{NOW, Room, ago, container, host, run_id, service};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A deploy in its gate: image, create, stop and start are done everywhere, the gate on the first host.
fn deploy(hosts: usize) -> RunView {
    let hosts: Vec<_> = (1..=hosts).map(|number| host(&format!("web-{number}"))).collect();
    let done = |secs| Cell::Done { took: seconds(secs) };
    let stage = |name: &str, cell: &dyn Fn(usize) -> Cell| StageView {
        name: name.to_owned(),
        beside: false,
        estimate: None,
        cells: hosts
            .iter()
            .enumerate()
            .map(|(at, host)| (Some(host.clone()), cell(at)))
            .collect(),
        tested: None,
    };
    let gate = |at: usize| match at {
        0 => done(6),
        _ => Cell::Running {
            since: ago(4),
            text: "starting, 4 s of 60 s".to_owned(),
        },
    };
    let stages = vec![
        stage("lock", &|_| done(0)),
        stage("preflight", &|_| done(1)),
        stage("image", &|at| done(4 + at as u64)),
        stage("create", &|_| done(1)),
        stage("stop", &|_| done(2)),
        stage("start", &|_| done(1)),
        stage("gate", &gate),
        StageView {
            name: "commit".to_owned(),
            beside: false,
            estimate: None,
            cells: vec![(None, Cell::Waiting)],
            tested: None,
        },
        stage("retire", &|_| Cell::Waiting),
    ];
    let line = |secs, text: &str| RunLine {
        at: ago(secs),
        stage: "gate".to_owned(),
        host: Some(host("web-2")),
        text: text.to_owned(),
    };
    RunView {
        id: run_id("20260105-140241-shop"),
        kind: RunKind::Deploy,
        service: service("shop"),
        environment: None,
        actor: "ops-a".to_owned(),
        machine: "bastion-1".to_owned(),
        reason: None,
        started: ago(41),
        status: RunStatus::Running,
        waiting: None,
        waited: std::time::Duration::ZERO,
        undoing: None,
        cancels: 0,
        from: Some(ReleaseNumber(41)),
        to: Some(ReleaseNumber(42)),
        image: "shop:b81d90 4be19a70c1d2".to_owned(),
        hosts,
        lost: Vec::new(),
        stages,
        steps_done: 22,
        steps_total: 38,
        estimate: Some(seconds(65)),
        output: vec![
            line(4, "GET 172.20.0.5:80/healthz  503  warming up"),
            line(
                3,
                "GET 172.20.0.5:80/healthz  200  1 of 3 \u{1b}[2J\u{1b}]0;x\u{7}",
            ),
        ],
        output_skipped: 0,
        committed: false,
        asks: Vec::new(),
        theirs: None,
        notes: Vec::new(),
        hints: Vec::new(),
    }
}

fn closed(run: &RunView, id: &str, started: i64, outcome: Outcome) -> RunView {
    RunView {
        id: run_id(id),
        started: ago(started),
        status: RunStatus::Closed {
            at: ago(started - 70),
            outcome,
        },
        steps_done: run.steps_total,
        ..run.clone()
    }
}

fn reverted() -> Outcome {
    Outcome::Reverted {
        why: "gate on web-2: exited with 1 after 3 s".to_owned(),
        cancelled: false,
    }
}

/// Earlier runs, then the one under way.
fn history(room: &mut Room, last: &RunView) {
    room.run(closed(last, "20260105-100000-shop", 14_000, Outcome::Converged));
    room.run(closed(last, "20260105-110000-shop", 10_800, reverted()));
    room.run(closed(last, "20260105-120000-shop", 7_300, Outcome::Converged));
    room.run(last.clone());
}

#[test]
fn a_deploy_on_five_hosts_is_readable_at_80_by_24() {
    let mut room = Room::new(80, 24);
    history(&mut room, &deploy(5));
    room.key(key!(6));
    insta::assert_snapshot!(room.screen());
}

/// Two tests at once, one longer than usual; a person was asked before the push.
fn pipeline() -> RunView {
    let builder = host("builder");
    let stage = |name: &str, beside: bool, usual: Option<u64>, cell: Cell| StageView {
        name: name.to_owned(),
        beside,
        estimate: usual.map(seconds),
        tested: None,
        cells: vec![(Some(builder.clone()), cell)],
    };
    let running = |secs| Cell::Running {
        since: ago(secs),
        text: "running".to_owned(),
    };
    let mut stages = vec![
        stage("build", false, Some(40), Cell::Done { took: seconds(41) }),
        stage("test unit", false, Some(30), running(12)),
        stage("test api", true, Some(6), running(12)),
        StageView {
            name: "go".to_owned(),
            beside: false,
            estimate: None,
            tested: None,
            cells: vec![(None, Cell::Waiting)],
        },
    ];
    stages.push(stage("push", false, None, Cell::Waiting));
    RunView {
        kind: RunKind::Pipeline,
        hosts: vec![builder.clone()],
        lost: Vec::new(),
        stages,
        from: None,
        to: None,
        steps_done: 3,
        steps_total: 8,
        output: Vec::new(),
        ..deploy(1)
    }
}

#[test]
fn a_pipeline_says_what_runs_at_once_and_what_takes_longer_than_usual() {
    let mut room = Room::new(80, 24);
    room.run(pipeline());
    room.key(key!(6));
    insta::assert_snapshot!(room.screen());
}

#[test]
fn a_run_that_waits_for_a_person_says_so_and_what_to_press() {
    let mut room = Room::new(80, 24);
    let mut run = pipeline();
    run.asks = vec![Asked {
        stage: "go".to_owned(),
        question: "May it go to production?".to_owned(),
    }];
    room.run(run);
    room.key(key!(6));
    insta::assert_snapshot!(room.screen());
    room.key(key!(shift - a));
    insta::assert_snapshot!("the_question_of_a_run", room.screen());
}

#[test]
fn a_deploy_at_160_by_50_alone() {
    let mut room = Room::new(160, 50);
    history(&mut room, &deploy(5));
    room.keys(&[key!(6), key!(f)]);
    insta::assert_snapshot!(room.screen());
}

#[test]
fn fifty_hosts_are_scrolled_and_what_is_not_shown_is_said() {
    let mut room = Room::new(80, 24);
    room.run(deploy(50));
    room.key(key!(6));
    for _ in 0..30 {
        room.key(key!(j));
    }
    let screen = room.screen();
    assert!(screen.contains("▸web-30"), "{screen}");
    assert!(screen.contains("hosts"), "{screen}");
    insta::assert_snapshot!(screen);
}

#[test]
fn stages_that_do_not_fit_are_counted() {
    let mut room = Room::new(40, 10);
    room.run(deploy(3));
    room.key(key!(6));
    insta::assert_snapshot!(room.screen());
}

#[test]
fn how_a_run_ended_is_said() {
    let check = |status: RunStatus, undoing: Option<&str>, words: &[&str]| {
        let mut room = Room::new(80, 24);
        room.run(RunView {
            status,
            undoing: undoing.map(str::to_owned),
            ..deploy(2)
        });
        room.key(key!(6));
        let screen = room.screen();
        for word in words {
            assert!(screen.contains(word), "{word} is not in\n{screen}");
        }
    };
    let closed = |outcome| RunStatus::Closed { at: ago(3), outcome };
    check(
        closed(Outcome::Converged),
        None,
        &["r42 runs on web-1, web-2", "took 38 s, 3 s ago"],
    );
    check(
        closed(reverted()),
        None,
        &["as it was before", "gate on web-2: exited"],
    );
    check(
        closed(Outcome::NeedsHuman {
            why: "web-2 is lost".to_owned(),
            differences: vec!["web-2: shop.r42.1 is still there".to_owned()],
        }),
        None,
        &["needs a human: web-2 is lost", "shop.r42.1 is still there"],
    );
    check(RunStatus::Dead, None, &["its process died", "X recovers"]);
    check(
        RunStatus::Running,
        Some("gate failed"),
        &["undoing what was done: gate failed"],
    );
}

#[test]
fn an_estimate_that_is_wrong_says_so() {
    let mut room = Room::new(80, 24);
    room.run(RunView {
        estimate: Some(seconds(30)),
        ..deploy(2)
    });
    room.key(key!(6));
    assert!(
        room.screen().contains("taking longer than usual (30 s)"),
        "{}",
        room.screen()
    );
}

#[test]
fn x_asks_before_it_cancels_and_a_run_that_ends_is_told() {
    let mut room = Room::new(80, 24);
    room.run(deploy(2));
    room.keys(&[key!(6), key!(x)]);
    assert!(room.screen().contains("Cancel deploy shop"), "{}", room.screen());
    room.wait();
    let effects = room.key(key!(y));
    assert!(matches!(&effects[..], [Effect::Cancel(_, run)] if *run == deploy(2).id));
    room.run(RunView {
        status: RunStatus::Closed {
            at: NOW,
            outcome: reverted(),
        },
        ..deploy(2)
    });
    assert!(
        room.screen().contains("could not deploy shop: gate on web-2"),
        "{}",
        room.screen()
    );
}

#[test]
fn runs_are_listed_newest_first_and_enter_opens_one_of_any_age() {
    let mut room = Room::new(80, 24);
    history(&mut room, &deploy(3));
    room.key(key!(7));
    insta::assert_snapshot!(room.screen());
    room.keys(&[key!(shift - g), key!(enter)]);
    assert_eq!(room.model.focus, PaneId::Pipeline);
    assert!(
        room.screen().contains("20260105-100000-shop"),
        "{}",
        room.screen()
    );
    room.key(key!(']'));
    assert!(
        room.screen().contains("20260105-110000-shop"),
        "{}",
        room.screen()
    );
}

#[test]
fn a_plan_and_the_runs_fit_into_40_by_10() {
    let mut room = planned((40, 10), Ok(plan()));
    insta::assert_snapshot!("plan_40x10", room.screen());
    let mut room = Room::new(40, 10);
    history(&mut room, &deploy(3));
    room.key(key!(7));
    insta::assert_snapshot!("runs_40x10", room.screen());
}

#[test]
fn the_output_is_of_the_chosen_host() {
    let mut room = Room::new(80, 24);
    room.run(deploy(3));
    room.keys(&[key!(6), key!(j)]);
    assert!(!room.screen().contains("warming up"), "{}", room.screen());
    room.key(key!(j));
    assert!(room.screen().contains("output of web-2") && room.screen().contains("warming up"));
    room.key(key!(esc));
    assert!(!room.screen().contains("output of web-2"));
}

fn request() -> RunRequest {
    RunRequest::new(RunKind::Deploy, service("shop"))
}

fn plan() -> PlanView {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    PlanView {
        request: request(),
        hosts: vec![
            (host("web-1"), Some(ReleaseNumber(41))),
            (host("web-2"), Some(ReleaseNumber(41))),
            (host("web-3"), None),
        ],
        to: Some(ReleaseNumber(42)),
        image: "shop:b81d90".to_owned(),
        image_id: Some("sha256:4be19a70c1d2aa55".to_owned()),
        changes: words(&["PORT 80 → 8080", "+ FEATURE_BASKET2", "API_KEY changed"]),
        order: words(&["image on all hosts", "stop r41, start r42 on all, gate 60 s"]),
        tests: Vec::new(),
        undo: words(&["r41 is kept, stopped, and started again until the commit"]),
        estimate: Some(seconds(70)),
        warnings: words(&["web-3 keeps only r41: the release before it is gone there"]),
        refusals: Vec::new(),
        locked: Vec::new(),
        unreached: Vec::new(),
        protected: Vec::new(),
        word: "shop".to_owned(),
        dependants: Vec::new(),
        releases: Vec::new(),
    }
}

/// The plan page with this answer.
fn planned(size: (u16, u16), plan: Result<PlanView, Fault>) -> Room {
    let mut room = Room::new(size.0, size.1);
    let effects = pilothouse::panes::plan::open(&mut room.model, request());
    let [Effect::Plan(id, asked)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(*asked, request());
    room.key(key!(y));
    room.event(Event::Planned(*id, plan.map(Box::new)));
    room
}

#[test]
fn a_plan_is_read_first_and_y_starts_it() {
    let mut room = planned((80, 24), Ok(plan()));
    insta::assert_snapshot!(room.screen());
    assert_eq!(
        room.keys(&[key!(y), key!(d)]),
        [],
        "typed before it could be read"
    );
    room.wait();
    let effects = room.key(key!(y));
    assert!(
        matches!(&effects[..], [Effect::Launch(_, launched)] if *launched == request()),
        "{effects:?}"
    );
    assert_eq!(room.model.focus, PaneId::Pipeline);
}

#[test]
fn no_row_of_a_plan_lies_under_its_question() {
    let names: Vec<_> = (1..=9)
        .map(|number| host(&format!("a-long-name-{number}")))
        .collect();
    let last = "the very last row of the plan";
    let many = PlanView {
        hosts: names.iter().map(|name| (name.clone(), None)).collect(),
        warnings: vec![last.to_owned()],
        order: (0..20).map(|step| format!("step {step}")).collect(),
        protected: names,
        ..plan()
    };
    let mut room = planned((80, 24), Ok(many));
    room.wait();
    for _ in 0..30 {
        room.key(key!(down));
    }
    let screen = room.screen();
    assert!(
        screen.contains("a-long-name-9") && screen.contains(last),
        "{screen}"
    );
}

#[test]
fn neither_enter_nor_the_key_that_opened_it_confirms_a_plan() {
    for pressed in [key!(enter), key!(d), key!(esc), key!(space)] {
        let mut room = planned((80, 24), Ok(plan()));
        room.wait();
        assert_eq!(room.key(pressed), [], "{pressed:?}");
    }
}

#[test]
fn a_protected_host_needs_the_name_typed() {
    let protected = PlanView {
        protected: vec![host("web-1")],
        ..plan()
    };
    let mut room = planned((80, 24), Ok(protected));
    room.wait();
    assert!(room.screen().contains("web-1 is protected"), "{}", room.screen());
    assert_eq!(room.keys(&[key!(s), key!(h), key!(o), key!(enter)]), []);
    let effects = room.keys(&[key!(p), key!(enter)]);
    assert!(matches!(&effects[..], [Effect::Launch(..)]), "{effects:?}");
}

#[test]
fn tab_asks_for_the_plan_with_what_stands_on_it_and_again_for_it_alone() {
    let stands = vec![service("web")];
    let alone = PlanView {
        dependants: stands.clone(),
        ..plan()
    };
    let mut room = planned((80, 24), Ok(alone.clone()));
    room.wait();
    assert!(
        room.screen()
            .contains("Tab: with web afterwards, which depends on it"),
        "{}",
        room.screen()
    );
    let effects = room.key(key!(tab));
    let [Effect::Plan(id, asked)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(asked.dependants, stands);
    let all = PlanView {
        request: asked.clone(),
        protected: vec![host("web-1")],
        word: "shop web".to_owned(),
        ..alone
    };
    room.event(Event::Planned(*id, Ok(Box::new(all))));
    room.wait();
    let screen = room.screen();
    assert!(
        screen.contains("and web afterwards?") && screen.contains("Tab: shop alone"),
        "{screen}"
    );
    assert!(screen.contains("Type shop web"), "{screen}");
    let effects = room.key(key!(tab));
    assert!(
        matches!(&effects[..], [Effect::Plan(_, asked)] if asked.dependants.is_empty()),
        "{effects:?}"
    );
}

#[test]
fn a_plan_that_is_refused_says_why_and_cannot_be_confirmed() {
    let refused = PlanView {
        refusals: vec![
            Fault::new("deploy shop to web-2", "port 8080 is taken by old-shop").hint("stop old-shop"),
        ],
        ..plan()
    };
    let mut room = planned((80, 24), Ok(refused));
    room.wait();
    assert!(
        room.screen().contains("port 8080 is taken by old-shop"),
        "{}",
        room.screen()
    );
    assert!(room.screen().contains("stop old-shop"));
    assert_eq!(room.keys(&[key!(y), key!(enter), key!(esc)]), []);
    assert_ne!(room.model.focus, PaneId::Plan);
    let mut room = planned((40, 10), Err(Fault::new("read web-2", "it is lost")));
    assert!(room.screen().contains("it is lost"), "{}", room.screen());
}

#[test]
fn an_answer_to_a_plan_that_was_left_asks_nothing() {
    let mut room = Room::new(80, 24);
    let effects = pilothouse::panes::plan::open(&mut room.model, request());
    room.key(key!(esc));
    if let [Effect::Plan(id, _)] = &effects[..] {
        room.event(Event::Planned(*id, Ok(Box::new(plan()))));
    }
    assert!(room.model.layer.is_none());
    room.event(Event::Planned(OrderId(999), Ok(Box::new(plan()))));
    assert!(room.model.layer.is_none());
}

fn line(on: &str, id: &str, millis: i64, stream: Stream, text: &str) -> LogLine {
    LogLine {
        at: Stamp(NOW.0 - 5_000_000_000 + millis * 1_000_000),
        source: Arc::new(support::key(on, id)),
        stream,
        text: text.into(),
    }
}

/// The logs of the shop on three hosts, opened from its run.
fn logs(size: (u16, u16)) -> (Room, FollowId) {
    let mut room = Room::new(size.0, size.1);
    for (number, on) in ["web-1", "web-2", "web-3"].into_iter().enumerate() {
        let row = container(&format!("a{number}"), "shop.r42.1", "shop");
        room.event(Event::Host(host(on), HostEvent::Listed(vec![row])));
    }
    room.run(deploy(3));
    room.key(key!(6));
    let effects = room.key(key!(l));
    let [Effect::Order(_, Order::Follow { id, targets, range })] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((targets.len(), *range), (3, LogRange::Tail(500)));
    let id = *id;
    room.event(Event::Logs(
        id,
        LogBatch {
            lines: vec![
                line("web-1", "a0", 201, Stream::Out, "listening on :80, 4 workers"),
                line(
                    "web-2",
                    "a1",
                    1_114,
                    Stream::Out,
                    "migrations: \u{1b}[32mnone pending\u{1b}[0m",
                ),
                line(
                    "web-3",
                    "a2",
                    1_890,
                    Stream::Err,
                    "WARN cache cold, warming 1 200 keys",
                ),
                line(
                    "web-1",
                    "a0",
                    2_001,
                    Stream::Out,
                    r#"{"level":"error","msg":"no stock","sku":7731,"time":"x"}"#,
                ),
                line("web-1", "a0", 2_002, Stream::Out, "GET /healthz 200"),
            ],
            skipped: 0,
        },
    ));
    room.event(Event::Logs(
        id,
        LogBatch {
            lines: vec![line("web-2", "a1", 3_001, Stream::Out, "GET /basket 200")],
            skipped: 1_203,
        },
    ));
    (room, id)
}

#[test]
fn logs_of_three_hosts_are_merged() {
    let (mut room, _) = logs((80, 24));
    insta::assert_snapshot!(room.screen());
}

#[test]
fn logs_runs_and_a_plan_at_160_by_50() {
    let (mut room, _) = logs((160, 50));
    insta::assert_snapshot!("logs_160x50", room.screen());
    let mut room = Room::new(160, 50);
    history(&mut room, &deploy(3));
    room.key(key!(7));
    insta::assert_snapshot!("runs_160x50", room.screen());
    let mut room = planned((160, 50), Ok(plan()));
    insta::assert_snapshot!("plan_160x50", room.screen());
}

#[test]
fn logs_fit_into_40_by_10() {
    let (mut room, _) = logs((40, 10));
    room.key(key!(w));
    insta::assert_snapshot!(room.screen());
}

#[test]
fn logs_are_searched_filtered_copied_and_saved_by_keys() {
    let (mut room, _) = logs((80, 24));
    room.keys(&[
        key!('/'),
        key!('!'),
        key!(shift - g),
        key!(shift - e),
        key!(shift - t),
        key!(enter),
    ]);
    let screen = room.screen();
    assert!(
        !screen.contains("healthz") && pilothouse::panes::logs::note(&room.model).contains("/GET hidden: 2"),
        "{screen}"
    );
    room.keys(&[key!('/'), key!(c), key!(o), key!(l), key!(d), key!(enter)]);
    assert_eq!(
        room.key(key!(y)),
        [Effect::Copy("WARN cache cold, warming 1 200 keys".to_owned())]
    );
    room.key(key!(ctrl - s));
    let effects = room.key(key!(enter));
    let [Effect::Save(_, save)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(
        save.text.contains("web-3/shop.r42.1 stderr: WARN cache cold"),
        "{}",
        save.text
    );
    assert!(!save.text.contains("GET"));
    room.keys(&[key!(esc), key!(esc)]);
    assert!(room.screen().contains("healthz"), "{}", room.screen());
}

#[test]
fn a_range_follows_anew_and_leaving_follows_no_more() {
    let (mut room, id) = logs((80, 24));
    let effects = room.key(key!('>'));
    let [
        Effect::Order(_, Order::Unfollow(old)),
        Effect::Order(_, Order::Follow { id: new, range, .. }),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((*old, *range), (id, LogRange::Last(seconds(60))));
    room.key(key!(esc));
    let effects = room.frame();
    let left = |effect: &Effect| matches!(effect, Effect::Order(_, Order::Unfollow(left)) if left == new);
    assert!(effects.iter().any(left), "{effects:?}");
}

#[test]
fn a_hidden_pattern_or_a_bad_one_is_said() {
    let (mut room, _) = logs((80, 24));
    let said = "not a valid pattern: unclosed group";
    room.keys(&[key!('/'), key!('(')]);
    assert!(room.screen().contains(said), "{}", room.screen());
    room.key(key!(enter));
    assert!(room.screen().contains(said), "{}", room.screen());
    room.keys(&[key!('/'), key!(z), key!(z), key!(z), key!(enter)]);
    assert!(
        room.screen().contains("no line here has /zzz"),
        "{}",
        room.screen()
    );
}

/// A container that the kernel killed, with everything known of it.
fn dead(size: (u16, u16)) -> Room {
    let mut room = Room::new(size.0, size.1);
    let mut row = container("a0", "api.r17.4", "api");
    row.state = State::Running {
        since: Some(ago(900)),
    };
    row.health = Health::Unhealthy;
    room.event(Event::Host(host("web-1"), HostEvent::Listed(vec![row.clone()])));
    for at in 0..40_u8 {
        let sample = Sample {
            at: ago(60 - i64::from(at)),
            cpu: Some(40.0 + f32::from(at % 7) * 8.0),
            memory: Bytes((100 + u64::from(at) * 4) << 20),
            memory_limit: Bytes(256 << 20),
            pids: 12,
            ..Sample::default()
        };
        let samples = vec![(row.id.clone(), sample)];
        room.event(Event::Host(host("web-1"), HostEvent::Samples(samples)));
    }
    for (secs, what) in [
        (900, "start"),
        (252, "health unhealthy"),
        (241, "oom"),
        (240, "die 137"),
    ] {
        let happening = Happening {
            id: row.id.clone(),
            at: ago(secs),
            what: what.to_owned(),
        };
        room.event(Event::Host(host("web-1"), HostEvent::Happened(happening)));
    }
    let scope = pilothouse::panes::logs::sources::Scope::Containers(vec![support::key("web-1", "a0")]);
    assert_eq!(
        room.model
            .logs
            .open(scope, &room.model.fleet, FollowId(900))
            .len(),
        1
    );
    room.model.go(PaneId::Logs);
    let effects = room.key(key!(enter));
    let [
        Effect::Order(_, Order::Inspect(_)),
        Effect::Order(_, Order::Follow { id, .. }),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    let said = LogBatch {
        lines: vec![line(
            "web-1",
            "a0",
            0,
            Stream::Err,
            "ERROR java.lang.OutOfMemoryError: Java heap space",
        )],
        skipped: 0,
    };
    room.event(Event::Logs(*id, said));
    row.state = State::Exited {
        code: 137,
        at: Some(ago(240)),
        oom: true,
    };
    let again = room.event(Event::Host(
        host("web-1"),
        HostEvent::Changed(Box::new(row.clone())),
    ));
    assert!(
        matches!(&again[..], [Effect::Order(_, Order::Inspect(_))]),
        "{again:?}"
    );
    let inspected = HostEvent::Inspected(Box::new(detail(&row)));
    room.event(Event::Host(host("web-1"), inspected));
    room
}

fn detail(row: &pilothouse::domain::container::Container) -> Detail {
    Detail {
        id: row.id.clone(),
        name: row.name.to_string(),
        image: "registry:5000/api:17".to_owned(),
        image_id: "sha256:77aa".to_owned(),
        state: row.state.clone(),
        health: row.health,
        error: None,
        started: Some(ago(900)),
        finished: Some(ago(240)),
        restarts: 6,
        restart_policy: "always".to_owned(),
        entrypoint: vec!["java".to_owned()],
        command: vec!["-jar".to_owned(), "api.jar".to_owned()],
        working_dir: "/app".to_owned(),
        user: "app".to_owned(),
        hostname: "api".to_owned(),
        tty: false,
        memory_limit: Some(Bytes(256 << 20)),
        cpu_limit: Some(1.0),
        ports: vec!["8080 → 80/tcp".to_owned()],
        mounts: vec!["volume data → /var/lib/data (rw)".to_owned()],
        networks: vec!["edge 172.20.0.5 api".to_owned()],
        environment: vec![
            ("API_KEY".to_owned(), "••••••".to_owned()),
            ("PORT".to_owned(), "80".to_owned()),
        ],
        labels: vec![("pilothouse.service".to_owned(), "api".to_owned())],
        log_driver: "json-file".to_owned(),
        probes: vec![
            Probe {
                at: ago(270),
                took: Duration::from_millis(32),
                exit: 0,
                output: "ok".to_owned(),
            },
            Probe {
                at: ago(252),
                took: seconds(5),
                exit: 1,
                output: "GET /healthz: timed out\n\u{1b}[31mgiving up".to_owned(),
            },
        ],
        stop_signal: None,
        stop_grace: Some(seconds(10)),
        raw: "{\n  \"Id\": \"a0\",\n  \"State\": {}\n}".to_owned(),
    }
}

#[test]
fn a_dead_container_tells_what_led_to_it() {
    insta::assert_snapshot!(dead((80, 40)).screen());
}

#[test]
fn a_container_at_160_by_50_and_at_40_by_10() {
    insta::assert_snapshot!("container_160x50", dead((160, 50)).screen());
    insta::assert_snapshot!("container_40x10", dead((40, 10)).screen());
}

#[test]
fn a_container_is_searched_shown_raw_and_stays_readable_when_it_is_gone() {
    let mut room = dead((80, 24));
    room.keys(&[
        key!('/'),
        key!(shift - p),
        key!(shift - o),
        key!(shift - r),
        key!(shift - t),
        key!(enter),
    ]);
    assert!(room.screen().contains("PORT=80"), "{}", room.screen());
    room.keys(&[key!(esc), key!(i)]);
    assert!(room.screen().contains("\"Id\": \"a0\""), "{}", room.screen());
    room.key(key!(i));
    let gone = HostEvent::Removed(support::key("web-1", "a0").id);
    room.event(Event::Host(host("web-1"), gone));
    room.key(key!(g));
    let screen = room.screen();
    assert!(
        screen.contains("It was removed") && screen.contains("out of memory"),
        "{screen}"
    );
    let effects = room.key(key!(esc));
    assert!(
        matches!(&effects[..], [Effect::Order(_, Order::Unfollow(_))]),
        "{effects:?}"
    );
}

#[test]
fn no_size_is_too_small_for_any_page() {
    for size in [(1, 1), (2, 3), (9, 4), (20, 6), (400, 3)] {
        logs(size).0.screen();
        dead(size).screen();
        planned(size, Ok(plan())).screen();
        let mut room = Room::new(size.0, size.1);
        history(&mut room, &deploy(7));
        room.key(key!(6));
        room.screen();
        room.key(key!(7));
        room.screen();
    }
}

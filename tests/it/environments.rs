//! A service with environments on the screen: each has its own row, and keys on a row act on that environment only.

use std::sync::Arc;

use pilothouse::app::Effect;
use pilothouse::config::service::Environment;
use pilothouse::domain::container::Container;
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::plan::{PlanView, RunRequest};
use pilothouse::domain::run::RunKind;

use crate::stage::{Stage, host, line, row};

fn replica(environment: &str, release: u32, id: u32) -> Container {
    let mut container = row(&format!("shop.r{release}.1"), id, 3_600);
    container.name = format!("shop.{environment}.r{release}.1").into();
    Arc::make_mut(&mut container.labels).insert("pilothouse.environment".to_owned(), environment.to_owned());
    container
}

/// shop runs in its environments: staging on web-2 (r42), production on web-1 (r41), which is protected.
fn stage(width: u16, height: u16) -> Stage {
    let mut stage = Stage::new(width, height);
    let mut config = (*stage.model.setup.config).clone();
    let shop = config
        .services
        .iter_mut()
        .find(|service| service.name.as_str() == "shop")
        .unwrap();
    let whole = shop.clone();
    shop.deploy = None;
    shop.environments = [("staging", "web-2"), ("production", "web-1")]
        .map(|(name, on)| {
            let mut service = whole.clone();
            let deploy = service.deploy.as_mut().unwrap();
            deploy.hosts = vec![host(on)];
            deploy.replicas = 1;
            Environment {
                name: name.to_owned(),
                service,
            }
        })
        .into();
    stage.model.setup.config = Arc::new(config);
    stage.host("web-1", HostEvent::Listed(vec![replica("production", 41, 61)]));
    stage.host("web-2", HostEvent::Listed(vec![replica("staging", 42, 62)]));
    stage.frame();
    stage
}

/// On the services page, this row selected.
fn on(name: &str) -> Stage {
    let mut stage = stage(80, 24);
    stage.press("1 /");
    stage.typed(name);
    stage.press("enter");
    stage
}

fn planned(effects: &[Effect]) -> RunRequest {
    let plan = |effect: &Effect| match effect {
        Effect::Plan(_, request) => Some(request.clone()),
        _ => None,
    };
    effects
        .iter()
        .find_map(plan)
        .unwrap_or_else(|| panic!("{effects:?}"))
}

fn launched(effects: &[Effect]) -> RunRequest {
    let launch = |effect: &Effect| match effect {
        Effect::Launch(_, request) => Some(request.clone()),
        _ => None,
    };
    effects
        .iter()
        .find_map(launch)
        .unwrap_or_else(|| panic!("{effects:?}"))
}

#[test]
fn each_environment_is_a_row_with_the_release_that_runs_there() {
    for size in [(80, 24), (160, 50)] {
        let mut stage = stage(size.0, size.1);
        let screen = stage.screen();
        assert!(line(&screen, "shop.staging").contains("r42"), "{screen}");
        assert!(line(&screen, "shop.production").contains("r41"), "{screen}");
    }
}

#[test]
fn the_keys_of_a_row_act_on_its_environment() {
    let about = |request: &RunRequest| (request.kind, request.subject());
    let deploy = planned(&on("shop.staging").press("d"));
    assert_eq!(about(&deploy), (RunKind::Deploy, "shop.staging".to_owned()));
    let back = planned(&on("shop.production").press("R"));
    assert_eq!(about(&back), (RunKind::Rollback, "shop.production".to_owned()));
    let all = planned(&on("shop.staging").press("P"));
    assert_eq!(about(&all), (RunKind::Pipeline, "shop.staging".to_owned()));
    let mut stage = on("shop.production");
    stage.press("t");
    assert!(
        stage.screen().contains("Test shop.production on web-2?"),
        "{}",
        stage.screen()
    );
    assert_eq!(
        about(&launched(&stage.press("y"))),
        (RunKind::Test, "shop.production".to_owned())
    );
}

#[test]
fn from_a_container_the_keys_mean_its_environment_too() {
    let mut stage = stage(80, 24);
    stage.press("2 /");
    stage.typed("shop.staging");
    let request = planned(&stage.press("enter d"));
    assert_eq!(request.subject(), "shop.staging");
}

#[test]
fn an_environment_that_is_not_configured_is_refused_by_name() {
    let mut stage = stage(80, 24);
    stage.host("web-2", HostEvent::Changed(Box::new(replica("qa", 3, 63))));
    stage.press("1 /");
    stage.typed("shop.qa");
    stage.press("enter");
    stage.press("d");
    let screen = stage.screen();
    assert!(screen.contains("no environment qa"), "{screen}");
}

#[test]
fn promote_shows_from_where_to_where_then_the_plan_and_wants_the_protected_ones_name() {
    let mut stage = on("shop.staging");
    stage.press(":");
    stage.typed("promote");
    stage.press("enter");
    let screen = stage.screen();
    let to = screen.find("shop.staging (r42) → shop.production (r41)");
    let from = screen.find("shop.production (r41) → shop.staging (r42)");
    assert!(to.is_some() && to < from, "{screen}");
    let effects = stage.press("enter");
    let request = planned(&effects);
    let id = effects.iter().find_map(|effect| match effect {
        Effect::Plan(id, _) => Some(*id),
        _ => None,
    });
    assert_eq!(request.subject(), "shop.production");
    assert_eq!(request.origin_words().as_deref(), Some("shop.staging"));
    let mut pinned = request.clone();
    pinned.origin.as_mut().unwrap().release = Some(ReleaseNumber(42));
    pinned.image = Some("sha256:aa".to_owned());
    let plan = PlanView {
        request: pinned.clone(),
        hosts: vec![(host("web-1"), Some(ReleaseNumber(41)))],
        to: Some(ReleaseNumber(43)),
        image: "sha256:aa".to_owned(),
        image_id: Some("sha256:aa".to_owned()),
        changes: Vec::new(),
        order: Vec::new(),
        tests: Vec::new(),
        undo: Vec::new(),
        estimate: None,
        warnings: Vec::new(),
        refusals: Vec::new(),
        locked: Vec::new(),
        unreached: Vec::new(),
        protected: vec![host("web-1")],
        word: "shop.production".to_owned(),
        dependants: Vec::new(),
        releases: Vec::new(),
    };
    stage.event(Event::Planned(id.unwrap(), Ok(Box::new(plan))));
    let screen = stage.screen();
    assert!(
        screen.contains("Promote shop.staging r42 to shop.production on web-1?")
            && screen.contains("Type shop.production"),
        "{screen}"
    );
    stage.wait(std::time::Duration::from_secs(1));
    stage.typed("shop.production");
    assert_eq!(
        launched(&stage.press("enter")),
        pinned,
        "what the plan saw, not what was asked"
    );
}

#[test]
fn a_way_is_chosen_by_moving_and_left_by_escape() {
    let mut stage = on("shop.staging");
    let promote = |stage: &mut Stage| {
        stage.press(":");
        stage.typed("promote");
        stage.press("enter");
    };
    promote(&mut stage);
    assert_eq!(planned(&stage.press("down enter")).subject(), "shop.staging");
    let mut stage = on("shop.staging");
    promote(&mut stage);
    stage.press("esc");
    assert!(!stage.screen().contains("from which environment to which"));
}

#[test]
fn where_there_is_nothing_to_promote_it_is_said() {
    let mut stage = on("api");
    stage.press(":");
    stage.typed("promote");
    stage.press("enter");
    let screen = stage.screen();
    assert!(screen.contains("not deployed in two environments"), "{screen}");
}

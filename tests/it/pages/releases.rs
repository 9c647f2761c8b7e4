//! `R`: the list of releases a service can be rolled back to, and the plan of one of them.

use crokey::key;
use pilothouse::app::Effect;
use pilothouse::domain::event::Event;
use pilothouse::domain::ids::{ImageId, ReleaseNumber};
use pilothouse::domain::plan::{KnownRelease, PlanView, RunRequest};
use pilothouse::domain::run::RunKind;

use super::support::{Room, ago, host};
use super::{plan, request};

fn known(number: u32, by: &str, on: &[&str], refused: Option<&str>) -> KnownRelease {
    let hosts: Vec<_> = ["web-1", "web-2", "web-3"].map(host).to_vec();
    KnownRelease {
        release: ReleaseNumber(number),
        at: Some(ago(i64::from(60 - number) * 7_200)),
        by: Some(by.to_owned()),
        kind: Some(if number == 0 {
            RunKind::Adopt
        } else {
            RunKind::Deploy
        }),
        reason: (number == 41).then(|| "fix basket rounding".to_owned()),
        reference: format!("registry.internal:5000/shop:v{number}"),
        image: Some(ImageId::parse(&format!("sha256:{number:064x}")).unwrap()),
        digest: None,
        git: (number > 0).then(|| format!("{number:02}a91c7d20b3")),
        hosts,
        kept: on.iter().copied().map(host).collect(),
        runs: number == 42,
        default: number == 41,
        refused: refused.map(str::to_owned),
    }
}

fn back() -> RunRequest {
    RunRequest {
        kind: RunKind::Rollback,
        ..request()
    }
}

fn releases() -> Vec<KnownRelease> {
    let all = ["web-1", "web-2", "web-3"];
    vec![
        known(42, "ops-a", &all, Some("r42 is what runs now")),
        known(41, "ops-b", &all, None),
        known(40, "ci", &["web-1"], None),
        known(39, "ci", &[], Some("r39 was never committed on all of its hosts")),
        known(0, "ops-a", &[], None),
    ]
}

fn chosen_of(columns: u16, rows: u16, releases: Vec<KnownRelease>) -> Room {
    let mut room = Room::new(columns, rows);
    let effects = pilothouse::panes::plan::open(&mut room.model, back());
    let [Effect::Plan(id, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let plan = PlanView {
        request: back(),
        to: Some(ReleaseNumber(41)),
        releases,
        ..plan()
    };
    room.event(Event::Planned(*id, Ok(Box::new(plan))));
    room
}

#[test]
fn the_releases_are_listed_with_who_what_and_where_the_usual_one_selected() {
    let mut room = chosen_of(80, 24, releases());
    insta::assert_snapshot!("releases_80", room.screen());
    let mut room = chosen_of(160, 50, releases());
    insta::assert_snapshot!("releases_160", room.screen());
}

#[test]
fn enter_shows_the_plan_of_the_usual_one_at_once_and_asks_for_anothers() {
    let mut room = chosen_of(80, 24, releases());
    assert_eq!(room.key(key!(enter)), [], "it is there already");
    room.wait();
    let screen = room.screen();
    assert!(screen.contains("Roll shop back to r41"), "{screen}");
    let effects = room.key(key!(y));
    assert!(
        matches!(&effects[..], [Effect::Launch(_, asked)] if asked.to.is_none()),
        "{effects:?}"
    );

    let mut room = chosen_of(80, 24, releases());
    let effects = room.keys(&[key!(j), key!(enter)]);
    assert!(
        matches!(&effects[..], [Effect::Plan(_, asked)] if asked.to == Some(ReleaseNumber(40))),
        "{effects:?}"
    );
}

#[test]
fn one_that_nobody_can_go_back_to_says_why_and_esc_leaves() {
    let mut room = chosen_of(80, 24, releases());
    assert_eq!(room.keys(&[key!(k), key!(enter)]), []);
    let screen = room.screen();
    assert!(screen.contains("r42 is what runs now"), "{screen}");
    room.keys(&[key!(esc), key!(esc)]);
    assert!(!room.screen().contains("which release"), "{}", room.screen());
}

#[test]
fn of_many_releases_the_selected_one_is_always_seen_and_the_rest_is_counted() {
    let many = (1..=60)
        .rev()
        .map(|number| known(number, "ci", &[], None))
        .collect();
    let mut room = chosen_of(80, 24, many);
    room.keys(&[key!(g)]);
    assert!(room.screen().contains("older ones below"), "{}", room.screen());
    room.key(key!(shift - g));
    let screen = room.screen();
    assert!(screen.contains("> r1 "), "{screen}");
    assert!(!screen.contains("older ones below"), "{screen}");
}

//! A host with a `concurrency` limit: later stages wait for a slot, report it, and do not wait forever.

use pilothouse::domain::ids::RunId;
use pilothouse::domain::run::{Cell, RunView};
use pilothouse::release::record::Entry;
use pilothouse::release::stage::Stage;

use super::Desk;

/// Services of these names, each with these tests on the one host.
fn services(names: &[&str], tests: &str) -> String {
    let one = |name: &&str| format!("[[services]]\nname = \"{name}\"\nimage = \"sim/box\"\n{tests}\n");
    names.iter().map(one).collect()
}

const ENDLESS: &str = "[[services.tests]]\nname = \"slow\"\nhost = \"host-1\"\n\
                       command = [\"sh\", \"-c\", \"trap 'exit 3' TERM; sleep infinity\"]";

fn desk(places: u32, services: &str) -> Desk {
    desk_of(1, places, services)
}

/// Only the first host takes so much at once.
fn desk_of(hosts: usize, places: u32, services: &str) -> Desk {
    let desk = Desk::new(hosts, services);
    let file = desk.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let host = "name = \"host-1\"\n";
    assert!(text.contains(host), "{text}");
    std::fs::write(
        file,
        text.replacen(host, &format!("{host}concurrency = {places}\n"), 1),
    )
    .unwrap();
    desk
}

fn works(view: &RunView) -> bool {
    view.waiting.is_none()
        && view
            .stages
            .iter()
            .flat_map(|stage| &stage.cells)
            .any(|(_, cell)| matches!(cell, Cell::Running { .. }))
}

fn waits(view: &RunView) -> bool {
    view.waiting.as_deref() == Some("for a free slot on host-1 (2 of 2 in use)")
}

async fn begin(desk: &Desk, service: &str) -> RunId {
    desk.begin(&["test", service, "--tag", "1", "--wait", "10m"])
        .await
}

#[tokio::test]
async fn the_third_waits_with_words_and_a_killed_one_gives_its_place_to_it() {
    let desk = desk(2, &services(&["a", "b", "c", "d"], ENDLESS));
    let first = begin(&desk, "a").await;
    let second = begin(&desk, "b").await;
    for run in [&first, &second] {
        desk.until(run, "it works", works).await;
    }
    let third = begin(&desk, "c").await;
    desk.until(&third, "it waits for a place", waits).await;
    let shown = desk.run(&["runs"]).await.exits(0);
    let words = "waiting for a free slot on host-1 (2 of 2 in use)";
    assert!(shown.out.contains(words), "{}", shown.out);
    let fourth = begin(&desk, "d").await;
    desk.until(&fourth, "it waits for a place", waits).await;
    // Who waits can be ended at once.
    desk.run(&["cancel", fourth.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&fourth).await, 130);
    desk.kill(&first);
    desk.until(&third, "it has the dead one's place", works).await;
    assert!(works(&desk.view(&second).unwrap()));
    for run in [&second, &third] {
        desk.run(&["cancel", run.as_str()]).await.exits(0);
        assert_eq!(desk.ended(run).await, 130);
    }
    desk.run(&["recover", first.as_str()]).await.exits(1);
    let engine = desk.fleet.engine("host-1").unwrap();
    assert_eq!(engine.containers(), Vec::<String>::new());
}

/// How many tests were under way at once, by the journals: each from its intent to what came of it.
fn at_once(desk: &Desk, runs: &[RunId]) -> usize {
    let mut changes: Vec<(i64, i32)> = Vec::new();
    for run in runs {
        for record in desk.records(run) {
            match &record.entry {
                Entry::Intent(step) if matches!(step.stage, Stage::Test(_)) => changes.push((record.at.0, 1)),
                Entry::Done { step, .. } if matches!(step.stage, Stage::Test(_)) => {
                    changes.push((record.at.0, -1));
                }
                _ => {}
            }
        }
    }
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap()
}

#[tokio::test]
async fn queues_of_services_and_stages_at_once_all_come_to_their_end_one_place_after_the_other() {
    let tests = "pipeline = [[\"one\", \"two\"]]\n\
                 [[services.tests]]\nname = \"one\"\nhost = \"host-1\"\ncommand = [\"sh\", \"-c\", \"sleep 0.05\"]\n\
                 [[services.tests]]\nname = \"two\"\nhost = \"host-1\"\ncommand = [\"sh\", \"-c\", \"sleep 0.05\"]";
    let desk = desk(1, &services(&["a", "b", "c"], tests));
    let mut runs = Vec::new();
    for _ in 0..3 {
        for service in ["a", "b", "c"] {
            runs.push(
                desk.begin(&[
                    "pipeline",
                    service,
                    "--image",
                    "sim/box:1",
                    "--yes",
                    "--wait",
                    "10m",
                ])
                .await,
            );
        }
    }
    for run in &runs {
        assert_eq!(desk.ended(run).await, 0, "{:#?}", desk.view(run));
    }
    assert_eq!(at_once(&desk, &runs), 1);
}

#[tokio::test]
async fn a_test_that_has_a_stage_built_waits_for_a_place_on_the_builder_too() {
    let staged = "[[services]]\nname = \"staged\"\nimage = \"sim/box\"\n\
                  [services.build]\nhost = \"host-1\"\ncontext = \"context\"\n\
                  [[services.tests]]\nname = \"unit\"\nhost = \"host-2\"\ntarget = \"tests\"\n\
                  command = [\"sh\", \"-c\", \"exit 0\"]\n";
    let desk = desk_of(2, 1, &(services(&["slow"], ENDLESS) + staged));
    let context = desk.config_file().parent().unwrap().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(
        context.join("Dockerfile"),
        "FROM sim/box:1 AS tests\nRUN echo built\n",
    )
    .unwrap();
    let slow = begin(&desk, "slow").await;
    desk.until(&slow, "it works", works).await;
    let staged = begin(&desk, "staged").await;
    let waits = |view: &RunView| view.waiting.as_deref() == Some("for a free slot on host-1 (1 of 1 in use)");
    desk.until(&staged, "it waits for a place on the builder", waits)
        .await;
    desk.run(&["cancel", slow.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&slow).await, 130);
    assert_eq!(desk.ended(&staged).await, 0, "{:#?}", desk.view(&staged));
}

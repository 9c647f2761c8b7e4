//! A host with a `concurrency` limit: later stages wait for a slot, report it, and do not wait forever.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use pilothouse::domain::container::Role;
use pilothouse::domain::ids::RunId;
use pilothouse::domain::run::{Cell, RunView};

use super::{Desk, LIMIT};

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

/// How many containers of tests were on the host at once, from their creation to their removal as its engine tells of them:
/// a test's place holds both. Ends when so many tests are over.
async fn most_at_once(docker: Docker, tests: usize) -> usize {
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("event", ["create", "destroy"].map(str::to_owned).to_vec()),
        ("label", vec![Role::Test.filter()]),
    ]);
    let asked = EventsOptionsBuilder::default().since("1").filters(&filters);
    let mut events = docker.events(Some(asked.build()));
    let (mut now, mut most, mut over) = (0, 0, 0);
    while over < tests {
        match events.next().await.unwrap().unwrap().action.as_deref() {
            Some("create") => now += 1,
            Some("destroy") => (now, over) = (now - 1, over + 1),
            other => panic!("{other:?} was not asked for"),
        }
        most = most.max(now);
    }
    most
}

#[tokio::test]
async fn queues_of_services_and_stages_at_once_all_come_to_their_end_one_place_after_the_other() {
    let tests = "pipeline = [[\"one\", \"two\"]]\n\
                 [[services.tests]]\nname = \"one\"\nhost = \"host-1\"\ncommand = [\"sh\", \"-c\", \"sleep 0.05\"]\n\
                 [[services.tests]]\nname = \"two\"\nhost = \"host-1\"\ncommand = [\"sh\", \"-c\", \"sleep 0.05\"]";
    let desk = desk(1, &services(&["a", "b", "c"], tests));
    let socket = desk
        .fleet
        .engine("host-1")
        .unwrap()
        .socket()
        .display()
        .to_string();
    let docker = Docker::connect_with_unix(&socket, 120, bollard::API_DEFAULT_VERSION).unwrap();
    let counted = tokio::spawn(most_at_once(docker, 18));
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
    let most = tokio::time::timeout(LIMIT, counted).await;
    assert_eq!(most.expect("two tests of each run").unwrap(), 1);
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

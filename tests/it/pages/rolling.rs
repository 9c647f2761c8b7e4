//! A rolling run as it is watched: the matrix of hosts and steps, wave by wave, on a small page; made from journal records.

use std::time::Duration;

use pilothouse::config::service::{Batch, Rolling, Strategy};
use pilothouse::domain::ids::HostName;
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::release::record::{Entry, Finding, Record, SCHEMA};
use pilothouse::release::road::road;
use pilothouse::release::stage::{Stage, Step, Turn, Way};
use pilothouse::runs::seen::view::Fold;

use super::support::{Room, ago};
use crate::releases::planned;
use crate::stage::line;

/// One after the other until `end` is in progress.
fn watched(hosts: usize, batch: u32, end: &Stage) -> RunView {
    let strategy = Strategy::Rolling(Rolling {
        batch: Batch::Count(batch),
        ..Rolling::default()
    });
    let mut plan = planned(RunKind::Deploy, hosts, &strategy);
    plan.service.deploy.as_mut().unwrap().replicas = 1;
    plan.started = ago(90);
    let mut n = 0;
    let mut at = 90;
    let mut record = |at: i64, entry: Entry| {
        n += 1;
        Record {
            schema: SCHEMA,
            n,
            at: ago(at),
            entry,
        }
    };
    let first = record(at, Entry::Opened(Box::new(plan.clone())));
    let mut fold = Fold::open(&first).unwrap();
    for stage in road(&plan, Way::Out).into_iter().flatten() {
        let hosts: Vec<HostName> = match &stage {
            Stage::Wave(n, _) => plan.wave(*n).hosts().cloned().collect(),
            Stage::Commit => vec![plan.targets[0].clone()],
            _ => plan.targets.clone(),
        };
        let steps: Vec<Step> = hosts
            .into_iter()
            .map(|host| Step {
                stage: stage.clone(),
                host,
            })
            .collect();
        for step in &steps {
            fold.apply(&record(at, Entry::Intent(step.clone())));
        }
        if stage == *end {
            break;
        }
        at -= 1;
        for step in steps {
            let done = Entry::Done {
                step,
                took: Duration::from_secs(1),
                finding: Finding::Nothing,
            };
            fold.apply(&record(at, done));
        }
    }
    fold.view(true)
}

#[test]
fn waves_on_five_hosts_are_readable_at_80_by_24() {
    let mut room = Room::new(80, 24);
    room.run(watched(5, 2, &Stage::Wave(2, Turn::Gate)));
    room.key(crokey::key!(6));
    let screen = room.screen();
    for word in [
        "web-1",
        "web-2",
        "web-3",
        "web-4",
        "web-5",
        "stop",
        "start",
        "gate",
        "wave 2/3: gate",
    ] {
        assert!(screen.contains(word), "{word} is not in\n{screen}");
    }
    // Done, under way, to come: a host a line.
    let row = |host: &str| line(&screen, host);
    assert!(
        row("web-2").contains('✓') && !row("web-2").contains("wave"),
        "{screen}"
    );
    assert!(row("web-3").contains("wave 2/3"), "{screen}");
    assert!(!row("web-5").contains("wave"), "{screen}");
}

#[test]
fn the_wave_under_way_is_in_sight_among_fifty_hosts() {
    let mut room = Room::new(80, 24);
    room.run(watched(50, 1, &Stage::Wave(18, Turn::Start)));
    room.key(crokey::key!(6));
    let screen = room.screen();
    let row = screen.lines().find(|line| line.contains("web-18"));
    assert!(
        row.is_some_and(|row| row.contains("wave 18/50: starting")),
        "{screen}"
    );
    assert!(
        screen.contains("hosts"),
        "what is not shown is counted:\n{screen}"
    );
}

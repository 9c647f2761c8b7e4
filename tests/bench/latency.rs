//! The time from the daemon's timestamp of an event to the change on the screen.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::programs::{Program, let_run, now};
use super::stage::{Stage, named};
use super::table::{Table, median_and_worst};

const CHANGES: usize = 20;
/// A change that has not come by then is counted as missed.
const LIMIT: Duration = Duration::from_secs(5);
/// Between changes, so that a program that limits its drawing is not met in its pause only.
const PAUSE: Duration = Duration::from_millis(730);

pub(crate) fn measure(stage: &Stage, table: &mut Table) {
    let events = stage.events();
    // Whatever word a program has for a container that does not run; or its row is gone.
    let ended = Regex::new("(?i)exit|dead|stop|137").unwrap();
    for program in Program::all(stage) {
        let session = program.open(stage, 160, 50);
        let_run(Duration::from_secs(4));
        let mut taken = Vec::new();
        let mut missed = 0;
        for change in 0..CHANGES {
            let name = named(2 + change / 2);
            let wants_end = change % 2 == 0;
            let (ended, row) = (ended.clone(), name.clone());
            let seen = session.expect(move |screen| {
                let text = screen.contents();
                let row = text.lines().find(|line| line.contains(&row));
                row.is_none_or(|line| ended.is_match(line)) == wants_end
            });
            let verb = if wants_end { "kill" } else { "start" };
            stage
                .daemon()
                .ask("POST", &format!("/containers/{name}/{verb}"), &Value::Null);
            let awaited = if wants_end { "die" } else { "start" };
            let happened = loop {
                match events.recv_timeout(LIMIT) {
                    Ok((action, who, at)) if action == awaited && who == name => break Some(at),
                    Ok(_) => {}
                    Err(_) => break None,
                }
            };
            match (happened, seen.recv_timeout(LIMIT)) {
                (Some(happened), Ok(at)) => taken.push(at.saturating_sub(happened) as f64 / 1e6),
                _ => missed += 1,
            }
            let_run(PAUSE);
        }
        let (median, worst) = median_and_worst(&mut taken);
        table.row(
            "change at the daemon → on the screen, 30 containers",
            program.name,
            format!("{median:.1} ms, worst {worst:.1}"),
            &format!("{} of {CHANGES} seen, {missed} missed", taken.len()),
        );
    }
    floor(stage, &events, table);
}

/// An event read by a bare client.
fn floor(stage: &Stage, events: &std::sync::mpsc::Receiver<(String, String, u64)>, table: &mut Table) {
    let mut taken = Vec::new();
    for change in 0..CHANGES {
        let verb = if change % 2 == 0 { "kill" } else { "start" };
        let name = named(2);
        while events.try_recv().is_ok() {}
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stage
                    .daemon()
                    .ask("POST", &format!("/containers/{name}/{verb}"), &Value::Null)
            });
            while let Ok((action, _, at)) = events.recv_timeout(LIMIT) {
                let seen = now();
                if action == "die" || action == "start" {
                    taken.push(seen.saturating_sub(at) as f64 / 1e6);
                    break;
                }
            }
        });
        let_run(PAUSE / 4);
    }
    let (median, worst) = median_and_worst(&mut taken);
    table.row(
        "change at the daemon → on the screen, 30 containers",
        "floor: the event is read",
        format!("{median:.1} ms, worst {worst:.1}"),
        "",
    );
}

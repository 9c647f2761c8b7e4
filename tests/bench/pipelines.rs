//! The overhead of a pipeline besides its stages, and the delay of a follower.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::desk::Desk;
use super::programs::{let_run, now};
use super::stage::Stage;
use super::support::image::BUSYBOX;
use super::table::{Table, median_and_worst};

const ROUNDS: usize = 5;
/// Tests of the long run more than of the short one.
const MORE: usize = 10;
const LINES: usize = 40;

/// What the kernel has to write of the last round is not of the next one.
pub(crate) fn settle() {
    drop(Command::new("sync").status());
    let_run(Duration::from_millis(500));
}

pub(crate) fn measure(stage: &Stage, table: &mut Table) {
    overhead(stage, table);
    lag(stage, table);
}

fn tests(count: usize) -> String {
    let test = |number| format!("[[services.tests]]\nname = \"t{number}\"\ncommand = [\"true\"]\n");
    let tests: String = (0..count).map(test).collect();
    format!("[[services]]\nname = \"shop\"\nimage = \"busybox\"\n{tests}")
}

/// The time of one more stage, less what a bare client needs for the same container.
fn overhead(stage: &Stage, table: &mut Table) {
    const WORK: &str = "one more test stage (a container that runs `true`)";
    let (short, long) = (Desk::new(stage, &tests(1)), Desk::new(stage, &tests(1 + MORE)));
    let test = ["test", "shop", "--image", BUSYBOX];
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let one = short.seconds(&test);
        ours.push((long.seconds(&test) - one) / MORE as f64 * 1e3);
        let begun = Instant::now();
        (0..MORE).for_each(|_| bare(stage));
        floor.push(begun.elapsed().as_secs_f64() / MORE as f64 * 1e3);
    }
    let (ours, worst) = median_and_worst(&mut ours);
    let (floor, _) = median_and_worst(&mut floor);
    table.row(
        WORK,
        "pilothouse",
        format!("{ours:.0} ms, worst {worst:.0}"),
        &format!("{:.0} ms of overhead; aim ≤ 200 ms", ours - floor),
    );
    table.row(WORK, "floor: a bare client", format!("{floor:.0} ms"), "");
}

/// Created, started, waited for, looked at, removed.
fn bare(stage: &Stage) {
    let daemon = stage.daemon();
    let id = daemon.create("bare", json!({ "Cmd": ["true"] }));
    daemon.ask(
        "POST",
        &format!("/containers/{}/start", id.as_str()),
        &Value::Null,
    );
    daemon.ask("POST", &format!("/containers/{}/wait", id.as_str()), &Value::Null);
    daemon.inspect(&id);
    daemon.remove(&id);
}

/// From the moment that a line was written down to its coming out of `pilothouse follow`.
fn lag(stage: &Stage, table: &mut Table) {
    let script = format!("for i in $(seq {LINES}); do echo line-$i-; usleep 200000; done");
    let desk = Desk::new(
        stage,
        &format!(
            "[[services]]\nname = \"shop\"\nimage = \"busybox\"\n[[services.tests]]\nname = \"slow\"\n\
             command = [\"sh\", \"-c\", \"{script}\"]\n"
        ),
    );
    let output = desk
        .command(&["test", "shop", "--image", BUSYBOX, "--detach"])
        .output()
        .unwrap();
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut follower = desk
        .command(&["follow", &run])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut heard: Vec<(u64, String)> = Vec::new();
    for line in BufReader::new(follower.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        heard.push((now(), line));
    }
    follower.wait().unwrap();
    let kept = desk.folder.join("state/runs").join(&run).join("output.ndjson");
    let kept = std::fs::read_to_string(kept).unwrap();
    let mut late = Vec::new();
    for line in kept.lines() {
        let written: Value = serde_json::from_str(line).unwrap();
        let Some(text) = written["text"].as_str().filter(|text| text.starts_with("line-")) else {
            continue;
        };
        let at = written["at"].as_u64().unwrap();
        if let Some((seen, _)) = heard.iter().find(|(_, heard)| heard.trim() == text) {
            late.push(seen.saturating_sub(at) as f64 / 1e6);
        }
    }
    let (count, (median, worst)) = (late.len(), median_and_worst(&mut late));
    table.row(
        "a line of a run → on the screen of a follower",
        "pilothouse",
        format!("{median:.0} ms, worst {worst:.0}"),
        &format!("{count} of {LINES} heard; aim ≤ 50 ms"),
    );
}

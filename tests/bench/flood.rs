//! A container that prints about 10 000 lines a second, with its log followed on the screen while keys are pressed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pilothouse::domain::ids::ContainerId;
use serde_json::Value;

use super::meter;
use super::programs::{Program, Session, how_long, let_run, now};
use super::stage::Stage;
use super::table::{Table, median_and_worst, p99};

const WORK: &str = "log of 10 000 lines/s, followed for a minute";

/// `n 1`, `n 2`, …: 200 lines each 20 ms, less what starting a process takes.
const FLOOD: &str = "awk 'BEGIN { for (i = 1; ; i++) { print \"n\", i; if (i % 200 == 0) { fflush(); system(\"usleep 16000\") } } }'";

/// Is on the help page and nowhere else.
const HELP: &str = ":timestamps";

/// What was seen while the flood ran.
struct Seen {
    cpu: f64,
    memory_before: f64,
    memory_after: f64,
    /// When which line was the last on the screen.
    samples: Vec<(u64, usize)>,
    /// Milliseconds from key to repaint.
    repaints: Vec<f64>,
}

pub(crate) fn measure(stage: &Stage, table: &mut Table) {
    let daemon = stage.daemon();
    let id = daemon.run("flood", FLOOD);
    let_run(Duration::from_secs(2));
    let bare = bare_client(stage, &id);
    table.row(
        WORK,
        "floor: curl to /dev/null",
        format!("{bare:.2} s of CPU"),
        "",
    );
    daemon.remove(&id);

    let id = daemon.run("flood", FLOOD);
    let session = Program::ours(stage).open(stage, 160, 50);
    session
        .until(Duration::from_secs(5), |screen| {
            screen.contents().contains("flood")
        })
        .expect("the row");
    session.press("l");
    session
        .until(Duration::from_secs(5), |screen| {
            last_number(&screen.contents()).is_some()
        })
        .expect("the log");
    let mut seen = follow(&session);
    daemon.ask(
        "POST",
        &format!("/containers/{}/pause", id.as_str()),
        &Value::Null,
    );
    let stamps = stamps(daemon.inspect(&id)["LogPath"].as_str().unwrap_or_default());
    let total = stamps.len();
    let reached = session.until(Duration::from_secs(10), move |screen| {
        last_number(&screen.contents()) == Some(total)
    });
    let times = seen.cpu / bare;
    table.row(
        WORK,
        "pilothouse: CPU",
        format!("{:.2} s", seen.cpu),
        &format!("{times:.1} × the bare client"),
    );
    lag(&seen.samples, &stamps, table);
    table.row(
        WORK,
        "pilothouse: the last line of all is shown",
        if reached.is_some() { "yes" } else { "NO" }.to_owned(),
        if consecutive(&session.screen()) {
            "the lines on the screen are consecutive"
        } else {
            "GAPS on the screen"
        },
    );
    let memory = format!("{:.1} → {:.1} MiB", seen.memory_before, seen.memory_after);
    table.row(
        WORK,
        "pilothouse: memory",
        memory,
        &format!("peak {:.1}", meter::peak_memory(session.pid())),
    );
    let keys = seen.repaints.len();
    let (median, worst) = median_and_worst(&mut seen.repaints);
    let slow = p99(&mut seen.repaints);
    let remark = format!("{keys} keys, median {median:.1}, worst {worst:.1}");
    table.row(
        "key → repaint meanwhile",
        "pilothouse",
        format!("p99 {slow:.1} ms"),
        &remark,
    );
    daemon.ask(
        "POST",
        &format!("/containers/{}/unpause", id.as_str()),
        &Value::Null,
    );
    daemon.remove(&id);
}

fn follow(session: &Session) -> Seen {
    let_run(Duration::from_secs(3));
    let before = meter::cpu_of_tree(session.pid());
    let memory_before = meter::memory(session.pid());
    let (mut samples, mut repaints) = (Vec::new(), Vec::new());
    let end = Instant::now() + how_long();
    while Instant::now() < end {
        if let Some(number) = last_number(&session.screen()) {
            samples.push((now(), number));
        }
        for key in ["?", "\x1b"] {
            repaints.extend(repaint(session, key));
            let_run(Duration::from_millis(237));
        }
    }
    Seen {
        cpu: (meter::cpu_of_tree(session.pid()) - before) / (how_long().as_secs_f64() / 60.0),
        memory_before,
        memory_after: meter::memory(session.pid()),
        samples,
        repaints,
    }
}

/// How far behind the daemon's own stamps the last line on the screen was.
fn lag(samples: &[(u64, usize)], stamps: &[u64], table: &mut Table) {
    let behind = |&(at, number): &(u64, usize)| Some(millis(*stamps.get(number.checked_sub(1)?)?, at));
    let mut lags: Vec<f64> = samples.iter().filter_map(behind).collect();
    let last = lags.last().copied().unwrap_or(f64::NAN);
    let (median, worst) = median_and_worst(&mut lags);
    let total = stamps.len();
    let span = stamps
        .first()
        .zip(stamps.last())
        .map_or(0.0, |(first, last)| millis(*first, *last) / 1e3);
    let rate = total as f64 / span;
    table.row(
        WORK,
        "pilothouse: lag",
        format!("{last:.0} ms in the end, median {median:.0}, worst {worst:.0}"),
        &format!("{total} lines, {rate:.0}/s"),
    );
}

fn millis(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// Milliseconds until the help is shown or gone.
fn repaint(session: &Session, key: &str) -> Option<f64> {
    let wants_help = key == "?";
    let told = session.expect(move |screen| screen.contents().contains(HELP) == wants_help);
    let pressed = now();
    session.press(key);
    let at = told.recv_timeout(Duration::from_secs(2)).ok()?;
    Some(millis(pressed, at))
}

/// The number of `n 123` at the end of a line.
fn line_number(line: &str) -> Option<usize> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().rposition(|word| *word == "n")?;
    words.get(at + 1)?.parse().ok()
}

fn last_number(screen: &str) -> Option<usize> {
    screen.lines().filter_map(line_number).next_back()
}

fn consecutive(screen: &str) -> bool {
    let numbers: Vec<usize> = screen.lines().filter_map(line_number).collect();
    numbers.len() > 10 && numbers.windows(2).all(|two| two[1] == two[0] + 1)
}

/// Seconds of CPU a minute of curl that reads the same and throws it away.
fn bare_client(stage: &Stage, id: &ContainerId) -> f64 {
    let url = format!(
        "http://d/containers/{}/logs?follow=1&stdout=1&stderr=1&tail=500&timestamps=1",
        id.as_str()
    );
    let mut curl = Command::new("curl")
        .args(["-sN", "--unix-socket"])
        .arg(stage.daemon().socket())
        .arg(url)
        .stdout(Stdio::null())
        .spawn()
        .expect("curl runs");
    let_run(how_long());
    let cpu = meter::cpu(curl.id()) / (how_long().as_secs_f64() / 60.0);
    drop(curl.kill());
    drop(curl.wait());
    cpu
}

/// When the daemon took each line, from its own log file.
fn stamps(path: &str) -> Vec<u64> {
    let file = File::open(path).expect("the daemon's log file");
    let stamp = |line: String| {
        let line: Value = serde_json::from_str(&line).ok()?;
        let at: jiff::Timestamp = line["time"].as_str()?.parse().ok()?;
        u64::try_from(at.as_nanosecond()).ok()
    };
    BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .filter_map(stamp)
        .collect()
}

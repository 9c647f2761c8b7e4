//! The whole crash matrix on real daemons: every record of every kind of release, one table of what became of it.
//! No figure is measured here. A result that is neither `reverted` nor `converged` ends its column with the journal; the
//! other columns go on, and the whole fails in the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::Instant;

use pilothouse::config::service::{Batch, OnFailure, Order};
use pilothouse::domain::run::RunKind;

use super::support::daemon::{Daemon, reboots};
use super::support::releases::Bench;
use super::support::releases::crash::{Ending, Kill, Points, crash_matrix};
use super::support::releases::rolling::pause_matrix;
use super::support::{fleet, image};

#[derive(Clone, Copy)]
struct Column {
    words: &'static str,
    order: Option<Order>,
    kind: RunKind,
    reboots: bool,
    /// Killed behind every so manieth record.
    step: usize,
}

/// The longest last: they are begun first.
const COLUMNS: [Column; 10] = [
    column("recreate, deploy", None, RunKind::Deploy),
    column("recreate, rollback", None, RunKind::Rollback),
    column("stop-first, deploy", Some(Order::StopFirst), RunKind::Deploy),
    column("stop-first, rollback", Some(Order::StopFirst), RunKind::Rollback),
    column("start-first, deploy", Some(Order::StartFirst), RunKind::Deploy),
    column(
        "start-first, rollback",
        Some(Order::StartFirst),
        RunKind::Rollback,
    ),
    // A restart of two daemons takes longer than a run: with every record the whole would take more than an hour.
    Column {
        reboots: true,
        step: 2,
        ..column(
            "recreate, rollback, hosts restarted (every second record)",
            None,
            RunKind::Rollback,
        )
    },
    Column {
        reboots: true,
        step: 2,
        ..column(
            "stop-first, rollback, hosts restarted (every second record)",
            Some(Order::StopFirst),
            RunKind::Rollback,
        )
    },
    Column {
        reboots: true,
        ..column("recreate, deploy, hosts restarted", None, RunKind::Deploy)
    },
    Column {
        reboots: true,
        ..column(
            "stop-first, deploy, hosts restarted",
            Some(Order::StopFirst),
            RunKind::Deploy,
        )
    },
];

const fn column(words: &'static str, order: Option<Order>, kind: RunKind) -> Column {
    Column {
        words,
        order,
        kind,
        reboots: false,
        step: 1,
    }
}

/// So many at once: each has two daemons.
const AT_ONCE: usize = 3;

struct Filled {
    column: Column,
    kills: Vec<Kill>,
    seconds: u64,
}

/// What the deploy that is paused is called among them.
const PAUSED: &str = "paused deploy";

/// The columns whose words contain `filter`.
pub(crate) fn measure(filter: &str) {
    let columns: Vec<Column> = COLUMNS
        .into_iter()
        .filter(|column| column.words.contains(filter))
        .collect();
    let is_paused_wanted = PAUSED.contains(filter);
    assert!(
        !columns.is_empty() || is_paused_wanted,
        "no column is called {filter:?}"
    );
    let left = Mutex::new(columns);
    let filled = Mutex::new(Vec::new());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some(column) = next else { return };
                    let words = column.words;
                    match catch_unwind(|| fill(column)) {
                        Ok(done) => {
                            let kills = done.kills.len();
                            eprintln!("{words}: {kills} killed, all put in order, {} s", done.seconds);
                            filled.lock().unwrap().push(done);
                        }
                        Err(_told) => failed.lock().unwrap().push(words),
                    }
                }
            });
        }
    });
    let mut filled = filled.into_inner().unwrap();
    filled.sort_by_key(|done| {
        COLUMNS
            .iter()
            .position(|column| column.words == done.column.words)
    });
    println!("{}", table(&filled));
    if is_paused_wanted {
        println!("\n{}", paused());
    }
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "not put in order: {failed:?}");
}

/// A rolling deploy that is paused in its last wave, killed behind every third record.
fn paused() -> String {
    let daemons = fleet::lease(2);
    let mut bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    let (reverted, paused) = runtime().block_on(pause_matrix(&mut bench, 3, 3));
    format!(
        "A deploy with `on_failure = \"pause\"` that fails in its last wave, killed behind every third record: \
         {reverted} back, {paused} paused and said to be split, and from there on or back in turn."
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn fill(column: Column) -> Filled {
    let begun = Instant::now();
    let daemons = fleet::lease(2);
    let mut bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    if let Some(order) = column.order {
        bench.rolling(Batch::Count(1), order, OnFailure::Revert);
    }
    let reboot = reboots(&daemons);
    let reboot: Option<&dyn Fn()> = column.reboots.then_some(&reboot);
    let kills = runtime().block_on(crash_matrix(
        &bench,
        column.kind,
        Points::Every {
            first: 1,
            step: column.step,
        },
        reboot,
    ));
    Filled {
        column,
        kills,
        seconds: begun.elapsed().as_secs(),
    }
}

/// A row for each record that a runner died behind, in the order of a run.
fn table(filled: &[Filled]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for done in filled {
        let mut at = 0;
        for kill in &done.kills {
            match rows.iter().position(|row| *row == kill.after) {
                Some(known) => at = known + 1,
                None => rows.insert(at.min(rows.len()), &kill.after),
            }
            at = at.max(
                rows.iter()
                    .position(|row| *row == kill.after)
                    .map_or(0, |at| at + 1),
            );
        }
    }
    let mut text = String::from("| killed behind |");
    for done in filled {
        write!(text, " {} |", done.column.words).unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(filled.len()));
    for row in rows {
        write!(text, "\n| {row} |").unwrap();
        for done in filled {
            let mut count: BTreeMap<&str, u32> = BTreeMap::new();
            for kill in done.kills.iter().filter(|kill| kill.after == row) {
                *count.entry(word(kill.ended)).or_default() += 1;
            }
            let cell: Vec<String> = count
                .iter()
                .map(|(word, count)| format!("{count} {word}"))
                .collect();
            write!(text, " {} |", cell.join(", ")).unwrap();
        }
    }
    text.push_str("\n| **all** |");
    for done in filled {
        write!(text, " {} in {} s |", done.kills.len(), done.seconds).unwrap();
    }
    text
}

fn word(ended: Ending) -> &'static str {
    match ended {
        Ending::Reverted => "back",
        Ending::Converged => "on",
    }
}

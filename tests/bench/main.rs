//! One command, one table: `tests/run --bench [ROW]` measures the figures of `tests/bench/README.md` on a real daemon,
//! in turns with the peers that are installed (`PILOTHOUSE_BENCH_PEERS`: a folder with `dtop`, `oxker`, `ducker`).
//! `PILOTHOUSE_BENCH_SECONDS` (60) is how long each steady thing is watched. `PILOTHOUSE_BENCH_BOOST` (`-15`) lifts every
//! measured program above what else runs on a busy machine.

#![expect(clippy::cast_precision_loss, reason = "figures of three digits, for people")]

#[cfg(test)]
#[expect(dead_code, reason = "the tests on real daemons use all of it")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod desk;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod latency;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod meter;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod start;
#[cfg(test)]
mod steady;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod table;
#[cfg(test)]
mod upload;

#[cfg(test)]
fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    // No figure, and many minutes long: only when it is asked for.
    if filter == "matrix" {
        matrix::measure(&std::env::args().nth(2).unwrap_or_default());
        return;
    }
    let wanted = |row: &str| filter.is_empty() || row.contains(&filter);
    let mut table = table::Table::new();
    let stage = stage::Stage::new();
    for count in [30, 150] {
        if ["start", "steady", "change"].into_iter().any(wanted) {
            stage.fill(count);
        }
        if wanted("start") {
            start::measure(&stage, count, &mut table);
        }
        if wanted("change") && count == 30 {
            latency::measure(&stage, &mut table);
        }
        if wanted("steady") {
            steady::measure(&stage, count, 160, 50, &mut table);
            if count == 150 {
                steady::measure(&stage, count, 80, 24, &mut table);
            }
        }
    }
    if wanted("flood") {
        stage.fill(0);
        flood::measure(&stage, &mut table);
    }
    if wanted("stages") {
        stage.fill(0);
        pipelines::measure(&stage, &mut table);
    }
    if wanted("upload") {
        upload::measure(&stage, &mut table);
    }
    if wanted("releases") {
        drop(stage);
        releases::measure(&mut table);
    }
    table.print();
}

//! From exec to the first full list on the screen, in turns.

use std::time::Duration;

use super::programs::{Program, let_run, names_on};
use super::stage::Stage;
use super::table::{Table, median_and_worst};

const ROUNDS: usize = 11;
/// Longer than any program takes until its screen has settled.
const SETTLING: Duration = Duration::from_secs(4);

pub(crate) fn measure(stage: &Stage, count: usize, table: &mut Table) {
    let programs = Program::all(stage);
    // How many rows each shows in the end is what "full" means for it.
    let full: Vec<usize> = programs
        .iter()
        .map(|program| {
            let session = program.open(stage, 160, 50);
            let_run(SETTLING);
            let names = session.names();
            assert!(
                names > 0,
                "{} shows no containers:\n{}",
                program.name,
                session.screen()
            );
            names
        })
        .collect();
    let mut taken: Vec<Vec<f64>> = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (index, program) in programs.iter().enumerate() {
            let wanted = full[index];
            let session = program.open(stage, 160, 50);
            let at = session.until(SETTLING, move |screen| names_on(screen) >= wanted);
            if let Some(at) = at {
                taken[index].push(at.saturating_sub(session.began) as f64 / 1e6);
            }
        }
    }
    for (index, program) in programs.iter().enumerate() {
        let (median, worst) = median_and_worst(&mut taken[index]);
        let remark = format!("{} rows, {} of {ROUNDS} rounds", full[index], taken[index].len());
        table.row(
            &format!("exec → first full list, {count} containers, 160×50"),
            program.name,
            format!("{median:.1} ms (worst {worst:.1})"),
            &remark,
        );
    }
    table.row(
        &format!("exec → first full list, {count} containers, 160×50"),
        "floor: the bare list",
        format!("{:.1} ms", bare_list(stage)),
        "connect, GET /containers/json?all=1, read it all",
    );
}

fn bare_list(stage: &Stage) -> f64 {
    let mut taken: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = std::time::Instant::now();
            drop(
                stage
                    .daemon()
                    .try_ask("GET", "/containers/json?all=1", &serde_json::Value::Null),
            );
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    median_and_worst(&mut taken).0
}

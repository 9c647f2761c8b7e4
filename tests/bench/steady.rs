//! A minute of watching with statistics: the cost for the program, the daemon and the terminal connection.

use std::time::Duration;

use super::meter;
use super::programs::{Program, how_long, let_run, names_on};
use super::stage::Stage;
use super::table::Table;

const SETTLING: Duration = Duration::from_secs(10);

pub(crate) fn measure(stage: &Stage, count: usize, columns: u16, rows: u16, table: &mut Table) {
    let work = |what: &str| format!("{what}, a minute, {count} containers, {columns}×{rows}");
    let minutes = how_long().as_secs_f64() / 60.0;
    let idle = {
        let before = meter::cpu_of_daemon(stage.daemon());
        let_run(how_long());
        (meter::cpu_of_daemon(stage.daemon()) - before) / minutes
    };
    for program in Program::all(stage) {
        let session = program.open(stage, columns, rows);
        if session.until(SETTLING, |screen| names_on(screen) > 3).is_none() {
            table.row(
                &work("own CPU"),
                program.name,
                "–".to_owned(),
                "shows no list in this size",
            );
            continue;
        }
        let_run(SETTLING);
        let (own, daemon, bytes) = (
            meter::cpu_of_tree(session.pid()),
            meter::cpu_of_daemon(stage.daemon()),
            session.bytes(),
        );
        let_run(how_long());
        let own = (meter::cpu_of_tree(session.pid()) - own) / minutes;
        let daemon = (meter::cpu_of_daemon(stage.daemon()) - daemon) / minutes - idle;
        let bytes = (session.bytes() - bytes) as f64 / minutes / 1024.0;
        let remark = if program.has_statistics {
            ""
        } else {
            "without statistics"
        };
        table.row(&work("own CPU"), program.name, format!("{own:.2} s"), remark);
        table.row(
            &work("daemon and shims above idle"),
            program.name,
            format!("{daemon:.2} s"),
            remark,
        );
        table.row(
            &work("to the terminal"),
            program.name,
            format!("{bytes:.1} KiB"),
            remark,
        );
        table.row(
            &work("peak memory"),
            program.name,
            format!("{:.1} MiB", meter::peak_memory(session.pid())),
            remark,
        );
    }
    table.row(
        &work("daemon and shims above idle"),
        "floor: nobody",
        format!("{idle:.2} s idle"),
        "",
    );
}

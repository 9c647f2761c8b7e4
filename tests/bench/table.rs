//! The resulting table, as Markdown.

use std::fmt::Write;
use std::process::Command;

pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Printed at once as well: a whole run takes many minutes.
    pub(crate) fn row(&mut self, work: &str, who: &str, figure: String, remark: &str) {
        eprintln!("{work} · {who}: {figure} {remark}");
        self.rows
            .push([work.to_owned(), who.to_owned(), figure, remark.to_owned()]);
    }

    pub(crate) fn print(&self) {
        let mut text = format!(
            "\n{} · {} · {} cores · load {}\n\n| work | program | figure | remark |\n|---|---|---|---|\n",
            said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            said("dockerd", &["--version"]),
            std::thread::available_parallelism().map_or(0, usize::from),
            std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .trim(),
        );
        for [work, who, figure, remark] in &self.rows {
            writeln!(text, "| {work} | {who} | {figure} | {remark} |").unwrap();
        }
        println!("{text}");
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// Of figures in any order: the one in the middle, and the largest.
pub(crate) fn median_and_worst(figures: &mut [f64]) -> (f64, f64) {
    figures.sort_by(f64::total_cmp);
    let middle = figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN);
    (middle, figures.last().copied().unwrap_or(f64::NAN))
}

/// The one that 99 of 100 do not exceed.
pub(crate) fn p99(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() * 99).div_ceil(100).saturating_sub(1);
    figures.get(at).copied().unwrap_or(f64::NAN)
}

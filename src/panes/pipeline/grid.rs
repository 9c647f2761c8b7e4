//! The matrix of stages and hosts of a run, fitted to a width; what does not fit is counted at the edges.
//! The current stage is always visible.

use std::time::Duration;

use crate::domain::ids::HostName;
use crate::domain::run::{Cell, RunView, StageView};
use crate::domain::units::{Stamp, short_span};
use crate::panes::page::{Row, Tone};
use crate::ui::ansi::{clean, fit, pad, width};
use crate::ui::theme::Glyphs;

/// Longer host names are cut.
const WIDEST_HOST: usize = 16;

/// Of what took less there is nothing to say but that it was done.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is wanted of the grid.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub now: Stamp,
    pub columns: usize,
    /// Rows for hosts, at least one.
    pub hosts: usize,
    pub selected: Option<&'a HostName>,
    pub stage: Option<&'a str>,
    pub glyphs: &'static Glyphs,
}

/// Those that only a stage knows (the image is built and tested there, before all else), then the hosts of the run in
/// its order.
#[must_use]
pub fn hosts(run: &RunView) -> Vec<&HostName> {
    let mut hosts: Vec<&HostName> = Vec::new();
    let cells = run.stages.iter().flat_map(|stage| &stage.cells);
    for host in cells.filter_map(|(host, _)| host.as_ref()) {
        if !hosts.contains(&host) && !run.hosts.contains(host) {
            hosts.push(host);
        }
    }
    hosts.extend(&run.hosts);
    hosts
}

/// Is there a stage that is one for all hosts? It has a row of its own, above the hosts'.
#[must_use]
pub fn has_whole_stages(run: &RunView) -> bool {
    run.stages.iter().any(is_whole)
}

fn is_whole(stage: &StageView) -> bool {
    stage.cells.iter().any(|(host, _)| host.is_none())
}

/// Whose cells stand in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of<'a> {
    /// The stages that are one for all hosts.
    All,
    Host(&'a HostName),
}

/// A heading, the stages that are one for all hosts, then a row for each host.
#[must_use]
pub fn rows(run: &RunView, wish: Wish<'_>) -> Vec<Row> {
    let all = hosts(run);
    let label = all
        .iter()
        .map(|host| host.as_str().len())
        .max()
        .unwrap_or(0)
        .min(WIDEST_HOST);
    let room = wish.columns.saturating_sub(label + 4);
    let window = Window::new(run, room, wish);
    let mut page = vec![window.heading(run, label, wish)];
    if window.stages(run).any(|(stage, _)| is_whole(stage)) {
        page.push(window.row(run, Of::All, label, wish));
    }
    let shown = wish.hosts.max(1);
    let first = first_row(run, &all, shown, wish.selected);
    for host in all.iter().skip(first).take(shown) {
        page.push(window.row(run, Of::Host(host), label, wish));
    }
    let (above, below) = (first, all.len().saturating_sub(first + shown));
    if let Some(words) = wish.glyphs.beyond(above, below) {
        page.push(vec![(Tone::Dim, format!("  {words} hosts"))]);
    }
    page
}

/// The selected host, else the first that something happens on, is in sight.
fn first_row(run: &RunView, all: &[&HostName], shown: usize, selected: Option<&HostName>) -> usize {
    let is_busy = |host: &HostName| {
        run.stages
            .iter()
            .flat_map(|stage| &stage.cells)
            .any(|(on, cell)| {
                on.as_ref() == Some(host) && matches!(cell, Cell::Running { .. } | Cell::Failed { .. })
            })
    };
    let wanted = match selected {
        Some(selected) => all.iter().position(|host| *host == selected),
        None => all.iter().position(|host| is_busy(host)),
    };
    let last = all.len().saturating_sub(shown);
    wanted.map_or(0, |row| (row + 1).saturating_sub(shown)).min(last)
}

/// The stages that are shown, each with its columns.
struct Window {
    first: usize,
    widths: Vec<usize>,
    gap: usize,
    before: usize,
    after: usize,
}

impl Window {
    fn new(run: &RunView, room: usize, wish: Wish<'_>) -> Self {
        let widths: Vec<usize> = run.stages.iter().map(|stage| wanted(stage, wish)).collect();
        // With room for `✓ 12 s` from the start, columns stay where they are while the run goes on.
        let roomy: Vec<usize> = widths.iter().map(|wide| (*wide).max(6)).collect();
        let widths = if roomy.iter().sum::<usize>() + roomy.len() * 2 <= room {
            roomy
        } else {
            widths
        };
        let gap = if widths.iter().sum::<usize>() + widths.len() * 2 <= room {
            2
        } else {
            1
        };
        let fits = |first: usize, room: usize| {
            let mut taken = 0;
            widths
                .iter()
                .skip(first)
                .take_while(|wide| {
                    taken += *wide + gap;
                    taken <= room + gap
                })
                .count()
        };
        let whole = fits(0, room);
        if whole == widths.len() {
            return Self {
                first: 0,
                widths,
                gap,
                before: 0,
                after: 0,
            };
        }
        // Room for what the edges say.
        let room = room.saturating_sub(10);
        let chosen = wish
            .stage
            .and_then(|name| run.stages.iter().position(|stage| stage.name == name));
        let active = chosen.unwrap_or_else(|| active(run));
        let mut first = 0;
        while first < active && first + fits(first, room) <= active {
            first += 1;
        }
        let count = fits(first, room).max(1);
        let after = widths.len().saturating_sub(first + count);
        let widths = widths.into_iter().skip(first).take(count).collect();
        Self {
            first,
            widths,
            gap,
            before: first,
            after,
        }
    }

    fn stages<'a>(&self, run: &'a RunView) -> impl Iterator<Item = (&'a StageView, usize)> {
        run.stages.iter().skip(self.first).zip(self.widths.clone())
    }

    fn heading(&self, run: &RunView, label: usize, wish: Wish<'_>) -> Row {
        let glyphs = wish.glyphs;
        let before = if self.before > 0 {
            format!("+{}", self.before)
        } else {
            String::new()
        };
        let mut row = vec![(Tone::Dim, pad(&before, label + 1, glyphs.ellipsis))];
        let mut blanks = 1;
        for (stage, wide) in self.stages(run) {
            let name = pad(&title(stage, glyphs), wide, glyphs.ellipsis);
            // In the blank before it, so that no column moves.
            let is_chosen = wish.stage == Some(stage.name.as_str());
            let sign = if is_chosen { glyphs.cursor } else { " " };
            row.push((Tone::Accent, format!("{}{sign}", " ".repeat(blanks - 1))));
            blanks = self.gap;
            let tone = if is_chosen {
                Tone::Accent
            } else if stage
                .cells
                .iter()
                .any(|(_, cell)| matches!(cell, Cell::Running { .. }))
            {
                Tone::Busy
            } else {
                Tone::Dim
            };
            row.push((tone, name));
        }
        if self.after > 0 {
            let gap = " ".repeat(self.gap);
            row.push((Tone::Dim, format!("{gap}+{} {}", self.after, glyphs.more)));
        }
        row
    }

    fn row(&self, run: &RunView, of: Of<'_>, label: usize, wish: Wish<'_>) -> Row {
        let chosen = wish.selected.is_some_and(|host| of == Of::Host(host));
        let tone = if chosen { Tone::Accent } else { Tone::Text };
        let sign = if chosen { wish.glyphs.cursor } else { " " };
        let name = match of {
            Of::All => "",
            Of::Host(host) => host.as_str(),
        };
        let name = pad(name, label, wish.glyphs.ellipsis);
        let mut row = vec![(tone, format!("{sign}{name} "))];
        let stages: Vec<(&StageView, usize)> = self.stages(run).collect();
        let cells: Vec<(Option<&Cell>, usize)> = stages
            .iter()
            .map(|(stage, wide)| (cell_of(stage, of), *wide))
            .collect();
        let end: usize = cells.iter().map(|(_, wide)| wide + self.gap).sum();
        let mut free = 0;
        let mut at = 0;
        for (index, (cell, wide)) in cells.iter().enumerate() {
            let own = wide + self.gap;
            at += own;
            if free >= own {
                // What the cell before says goes on here.
                free -= own;
                continue;
            }
            let usual = stages.get(index).and_then(|(stage, _)| stage.estimate);
            let (tone, text) = said(*cell, usual, wish);
            let rest = cells.get(index + 1..).unwrap_or_default();
            let more: usize = if is_long(*cell) {
                rest.iter()
                    .take_while(|(cell, _)| is_quiet(*cell))
                    .map(|(_, wide)| wide + self.gap)
                    .sum()
            } else {
                0
            };
            let needed = width(&text).saturating_sub(*wide);
            let taken = if needed == 0 {
                0
            } else {
                next_stop(rest, needed, more, self.gap)
            };
            let room = if at + taken >= end {
                // Up to the edge of the page: margin, sign, name and a blank are before the cells.
                wish.columns.saturating_sub(label + 3 + at - own)
            } else {
                wide + taken
            };
            let text = match cell {
                // Beside another busy one: how long says more than the beginning of a sentence.
                Some(Cell::Running { since, .. }) if width(&text) > room => {
                    format!("{} {}", wish.glyphs.changing, short_span(since.until(wish.now)))
                }
                _ => text,
            };
            let text = fit(&text, room, wish.glyphs.ellipsis).into_owned();
            let blank = (own + taken).saturating_sub(width(&text));
            row.push((tone, format!("{text}{}", " ".repeat(blank))));
            free = taken;
        }
        row
    }
}

/// Whole cells to the right that so many columns need, at most `most`.
fn next_stop(rest: &[(Option<&Cell>, usize)], needed: usize, most: usize, gap: usize) -> usize {
    let mut taken = 0;
    for (_, wide) in rest {
        if taken >= needed || taken >= most {
            break;
        }
        taken += wide + gap;
    }
    taken.min(most)
}

fn cell_of<'a>(stage: &'a StageView, of: Of<'_>) -> Option<&'a Cell> {
    let is_its = |on: &Option<HostName>| match of {
        Of::All => on.is_none(),
        Of::Host(host) => on.as_ref() == Some(host),
    };
    stage
        .cells
        .iter()
        .find(|(on, _)| is_its(on))
        .map(|(_, cell)| cell)
}

fn is_quiet(cell: Option<&Cell>) -> bool {
    matches!(cell, None | Some(Cell::Waiting | Cell::Skipped))
}

/// What it says may go on over quiet cells.
fn is_long(cell: Option<&Cell>) -> bool {
    matches!(cell, Some(Cell::Running { .. } | Cell::Failed { .. }))
}

/// Wide enough for its name and for what is done; what is said at length goes over its neighbours.
fn wanted(stage: &StageView, wish: Wish<'_>) -> usize {
    let cells = stage.cells.iter().map(|(_, cell)| match cell {
        Cell::Done { .. } | Cell::Flaky { .. } => width(&said(Some(cell), None, wish).1),
        _ => 1,
    });
    cells
        .chain([width(&title(stage, wish.glyphs)), 5])
        .max()
        .unwrap_or(1)
}

/// One that runs at once with the stage to its left says so.
fn title(stage: &StageView, glyphs: &Glyphs) -> String {
    let name = clean(&stage.name);
    if stage.beside {
        format!("{} {name}", glyphs.beside)
    } else {
        name.into_owned()
    }
}

/// The first stage that is not over.
#[must_use]
pub fn active(run: &RunView) -> usize {
    let is_over = |stage: &StageView| {
        stage.cells.iter().all(|(_, cell)| {
            matches!(
                cell,
                Cell::Done { .. } | Cell::Flaky { .. } | Cell::Skipped | Cell::Undone
            )
        })
    };
    let last = run.stages.len().saturating_sub(1);
    run.stages
        .iter()
        .position(|stage| !is_over(stage))
        .unwrap_or(last)
}

/// `usual`: how long it takes otherwise.
fn said(cell: Option<&Cell>, usual: Option<Duration>, wish: Wish<'_>) -> (Tone, String) {
    let glyphs = wish.glyphs;
    match cell {
        None => (Tone::Dim, String::new()),
        Some(Cell::Waiting) => (Tone::Dim, glyphs.waiting.to_owned()),
        Some(Cell::Skipped) => (Tone::Dim, glyphs.none.to_owned()),
        Some(Cell::Undone) => (Tone::Warn, glyphs.undone.to_owned()),
        Some(Cell::Done { took }) if *took < SHORTEST => (Tone::Ok, glyphs.done.to_owned()),
        Some(Cell::Done { took }) => (Tone::Ok, format!("{} {}", glyphs.done, short_span(*took))),
        Some(Cell::Flaky { took, text: _ }) => {
            (Tone::Warn, format!("{} {} flaky", glyphs.done, short_span(*took)))
        }
        Some(Cell::Running { since, text }) => {
            let text = clean(text);
            let spent = since.until(wish.now);
            let span = match usual {
                Some(usual) if spent > usual + usual / 2 => {
                    format!(
                        "{}, taking longer than usual ({})",
                        short_span(spent),
                        short_span(usual)
                    )
                }
                Some(usual) => format!("{} of ~{}", short_span(spent), short_span(usual)),
                None => short_span(spent),
            };
            let words = match text.as_ref() {
                "" => span,
                text if text.chars().any(|c| c.is_ascii_digit()) && usual.is_none() => text.to_owned(),
                text => format!("{text}, {span}"),
            };
            (Tone::Busy, format!("{} {words}", glyphs.changing))
        }
        Some(Cell::Failed { took: _, why }) => (Tone::Bad, format!("{} {}", glyphs.failed, clean(why))),
    }
}

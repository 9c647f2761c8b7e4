//! Draws the services: a wide table on a page of its own, a narrow one beside other panes.
//! Builds visible rows only.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Elsewhere, Figure, Going, ServiceRow};
use crate::app::{Model, PaneId};
use crate::domain::ids::ReleaseNumber;
use crate::domain::run::{Doing, Outcome, RunKind, RunStatus, RunView};
use crate::domain::units::{Bytes, short_span};
use crate::panes::containers::view::percent;
use crate::release::standing::Standing;
use crate::ui::ansi::clean;
use crate::ui::table::{self, Column, Row, Table};
use crate::ui::theme::Theme;

const WIDE: &[Column] = &[
    Column::name("SERVICE", 12, 28, 0),
    Column::left("RELEASE", 9, 11, 1),
    Column::right("REPLICAS", 8, 0),
    Column::right("HOSTS", 5, 3),
    Column::right("CPU", 6, 2),
    Column::right("MEM", 7, 2),
    Column::left("LAST RUN", 19, 30, 1),
];

const NARROW: [Column; 3] = [
    Column::name("SERVICE", 9, 26, 0),
    Column::left("RELEASE", 7, 9, 1),
    Column::right("RUN", 5, 0),
];

/// Columns of the narrow table beside the longest name, with those between them: all, and where releases are cut.
const BESIDE: u16 = 22;
const BESIDE_CUT: u16 = 20;

/// Narrower than this figures are left out, as they are beside other panes.
const NARROW_BELOW: u16 = 40;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let pane = &model.services;
    let narrow = is_narrow(model, area.width);
    let beside = narrow_columns(pane.widest, area.width);
    let table = Table {
        columns: if narrow { &beside } else { WIDE },
        len: pane.rows.len(),
        top: pane.cursor.top(),
        selected: (!pane.rows.is_empty()).then(|| pane.cursor.row()),
        focused: model.focus == PaneId::Services,
        header: true,
    };
    table.draw(frame.buffer_mut(), area, theme, |index| {
        pane.rows.get(index).map_or_else(Row::default, |row| Row {
            sign: sign(theme, row),
            cells: if narrow {
                narrow_cells(theme, row)
            } else {
                wide_cells(model, theme, row)
            },
            ..Row::default()
        })
    });
    if pane.rows.is_empty() && area.height > 1 {
        let listed = model.fleet.hosts().any(|(_, host)| host.listed);
        let words = match (pane.filter.is_empty(), listed) {
            (false, _) => "nothing matches the filter; Esc clears it",
            (true, true) => "no containers, and no service in the configuration",
            (true, false) => "waiting for the first host to answer",
        };
        let columns = usize::from(area.width.saturating_sub(4));
        frame
            .buffer_mut()
            .set_stringn(area.x + 4, area.y + 1, words, columns, theme.dim);
    }
}

/// Names are whole where there is room, then releases; what is left is the names' again.
fn narrow_columns(widest: usize, width: u16) -> [Column; 3] {
    let [name, release, run] = NARROW;
    let most = width.saturating_sub(BESIDE_CUT);
    let widest = u16::try_from(widest).unwrap_or(most).min(most).max(name.min);
    let (min, max) = (widest, width.saturating_sub(BESIDE).max(widest));
    [Column { min, max, ..name }, release, run]
}

/// Columns that the narrow table takes if nothing in it is cut.
#[must_use]
pub fn whole_width(widest: usize) -> u16 {
    u16::try_from(widest).unwrap_or(u16::MAX).saturating_add(BESIDE)
}

fn is_narrow(model: &Model, width: u16) -> bool {
    let slot = model.slot(PaneId::Services);
    width < NARROW_BELOW || slot.is_some_and(|slot| slot.title.is_some())
}

/// Are figures of containers drawn in a pane so wide?
pub(super) fn has_figures(model: &Model, width: u16) -> bool {
    !is_narrow(model, width) && table::shows(WIDE, width, &["CPU", "MEM"])
}

fn sign<'a>(theme: &Theme, row: &ServiceRow) -> Span<'a> {
    if row.busy || matches!(row.standing, Standing::InProgress { silent: None, .. }) {
        Span::styled(theme.glyphs.changing, theme.busy)
    } else if row.is_problem() {
        Span::styled(theme.glyphs.problem, theme.bad)
    } else {
        Span::raw(" ")
    }
}

fn name(row: &ServiceRow) -> Line<'static> {
    Line::raw(clean(&row.group.to_string()).into_owned())
}

/// `r42`, `SPLIT r42`, `DRIFT r42`, `r41 → r42` while a run is at it, `r42 ?` where a host is not reached, `adopt?` where
/// only what nobody released runs.
fn release(theme: &Theme, row: &ServiceRow) -> Line<'static> {
    if let Some(going) = &row.going {
        return going_out(theme, going, " ");
    }
    let newest = row.releases.last();
    let said = |release: Option<&ReleaseNumber>| release.map(ReleaseNumber::to_string).unwrap_or_default();
    match &row.standing {
        Standing::Split { .. } | Standing::Drift { .. } => {
            let words = format!("{} {}", row.standing.word(), said(newest));
            return Line::styled(words, theme.warn);
        }
        Standing::Unknown {
            release: release @ Some(_),
            ..
        } => {
            return Line::from(vec![
                Span::raw(said(release.as_ref())),
                Span::styled(" ?", theme.dim),
            ]);
        }
        Standing::Unreleased { .. } => return Line::styled("adopt?", theme.accent),
        Standing::Absent
        | Standing::Converged { .. }
        | Standing::InProgress { .. }
        | Standing::Unknown { release: None, .. } => {}
    }
    let mut releases = row.releases.iter();
    match (releases.next(), releases.next_back()) {
        (None, _) => Line::styled(theme.glyphs.none, theme.dim),
        (Some(only), None) => Line::raw(only.to_string()),
        (Some(first), Some(last)) => {
            Line::styled(format!("{first} {} {last}", theme.glyphs.arrow), theme.warn)
        }
    }
}

/// `r41 → r42`, as long as it may still be taken back.
fn going_out(theme: &Theme, going: &Going, blank: &str) -> Line<'static> {
    let from = going.from.map(|from| from.to_string()).unwrap_or_default();
    let words = format!("{from}{blank}{}{blank}{}", theme.glyphs.arrow, going.to);
    let style = if going.undone { theme.warn } else { theme.busy };
    Line::styled(words, style)
}

/// Of the number that runs: bad where it is not what it should be, or one of them is unwell.
fn how_many(theme: &Theme, row: &ServiceRow) -> Style {
    if row.is_short() || row.unwell > 0 {
        theme.bad
    } else if row.is_problem() {
        theme.warn
    } else {
        theme.text
    }
}

fn replicas(theme: &Theme, row: &ServiceRow) -> Line<'static> {
    let style = how_many(theme, row);
    match row.wanted {
        Some(wanted) => Line::styled(format!("{} of {wanted}", row.running.len()), style),
        None => Line::styled(row.running.len().to_string(), style),
    }
}

fn narrow_cells(theme: &Theme, row: &ServiceRow) -> Vec<Line<'static>> {
    let style = how_many(theme, row);
    let count = match row.wanted {
        Some(wanted) => format!("{}/{wanted}", row.running.len()),
        None => row.running.len().to_string(),
    };
    // Without the blanks around the arrow: both numbers are told.
    let going = row.going.as_ref().map(|going| going_out(theme, going, ""));
    // Which releases run meanwhile is told beside the containers; whose run it is, here only.
    let whose = |elsewhere: &Elsewhere| {
        Line::styled(format!("by {}", clean(&elsewhere.actor)), tone(theme, elsewhere))
    };
    let elsewhere = elsewhere(row).map(whose);
    let release = going.or(elsewhere).unwrap_or_else(|| release(theme, row));
    vec![name(row), release, Line::styled(count, style)]
}

fn wide_cells(model: &Model, theme: &Theme, row: &ServiceRow) -> Vec<Line<'static>> {
    let none = || Line::styled(theme.glyphs.none, theme.dim);
    let run = row.run.as_ref().and_then(|id| model.runs.get(id));
    vec![
        name(row),
        release(theme, row),
        replicas(theme, row),
        Line::raw(row.hosts.len().to_string()),
        figure(theme, &row.cpu, |cpu| percent(*cpu)),
        figure(theme, &row.memory, Bytes::to_string),
        match (elsewhere(row), run) {
            (Some(elsewhere), _) => Line::styled(at_it(elsewhere), tone(theme, elsewhere)),
            (None, Some(run)) => last_run(model, theme, run),
            (None, None) => none(),
        },
    ]
}

/// A run of this machine comes first: it waits, or it died.
fn elsewhere(row: &ServiceRow) -> Option<&Elsewhere> {
    row.elsewhere.as_ref().filter(|_| !row.busy && !row.died)
}

fn tone(theme: &Theme, elsewhere: &Elsewhere) -> Style {
    if elsewhere.left { theme.bad } else { theme.busy }
}

/// `ops-b is deploying`
fn at_it(elsewhere: &Elsewhere) -> String {
    let who = clean(&elsewhere.actor);
    let does = match elsewhere.kind {
        _ if elsewhere.left => "left a run",
        Some(RunKind::Deploy | RunKind::Pipeline) => "is deploying",
        Some(RunKind::Rollback) => "is rolling back",
        Some(RunKind::Adopt) => "is adopting it",
        Some(RunKind::Build | RunKind::Test | RunKind::Push) | None => "is at it",
    };
    format!("{who} {does}")
}

/// `≥ 12 %`: not all of its containers are watched.
fn figure<T>(theme: &Theme, figure: &Figure<T>, words: impl Fn(&T) -> String) -> Line<'static> {
    match figure {
        Figure::Unknown => Line::styled(theme.glyphs.none, theme.dim),
        Figure::Whole(value) => Line::raw(words(value)),
        Figure::AtLeast(value) => Line::from(vec![
            Span::styled(theme.glyphs.at_least, theme.dim),
            Span::raw(words(value)),
        ]),
    }
}

/// `deploy ✓ 2 d, ops-b`, or `deploy 58 %, ops-a` while it is in progress.
fn last_run(model: &Model, theme: &Theme, run: &RunView) -> Line<'static> {
    let glyphs = theme.glyphs;
    let who = clean(&run.actor).into_owned();
    let kind = Span::raw(format!("{} ", run.kind.word()));
    match &run.status {
        RunStatus::Running => {
            let who = Span::styled(format!(", {who}"), theme.dim);
            let percent = || format!("{} %", run.percent());
            Line::from(match run.doing() {
                Doing::Waiting(_) => vec![kind, Span::styled("waiting", theme.busy), who],
                Doing::Asking(_) => vec![Span::styled("waits for approval", theme.warn), who],
                Doing::Undoing(_) => {
                    vec![
                        Span::styled(format!("{} undoing", glyphs.undone), theme.warn),
                        who,
                    ]
                }
                Doing::Going => vec![kind, Span::styled(percent(), theme.busy), who],
            })
        }
        RunStatus::Dead => Line::from(vec![kind, Span::styled("died: X recovers", theme.bad)]),
        RunStatus::Closed { at, outcome } => {
            let sign = match outcome {
                Outcome::Converged => Span::styled(glyphs.done, theme.ok),
                Outcome::Reverted { .. } => Span::styled(glyphs.undone, theme.warn),
                Outcome::NeedsHuman { .. } => Span::styled(glyphs.failed, theme.bad),
            };
            let ago = short_span(at.until(model.now.wall));
            Line::from(vec![
                kind,
                sign,
                Span::styled(format!(" {ago}, {who}"), theme.dim),
            ])
        }
    }
}

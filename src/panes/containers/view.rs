//! Draws the table of containers.
//! Builds visible rows only.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::ColumnSet;
use crate::app::{Model, PaneId};
use crate::domain::container::{Container, Health, State, is_clean_exit};
use crate::domain::fleet;
use crate::domain::host::Link;
use crate::domain::ids::ContainerKey;
use crate::domain::units::{Bytes, Stamp, row_age, short_span};
use crate::release::standing::Part;
use crate::ui::ansi::clean;
use crate::ui::spark::spark;
use crate::ui::table::{self, Column, Row, Table};
use crate::ui::theme::Theme;

/// Bars in the CPU column.
const BARS: usize = 4;

/// Their scale, in percent: one for all rows, so that they can be compared.
const ONE_CORE: f32 = 100.0;

/// As wide as the hosts' names are, up to a bound.
const HOST: Column = Column::name("HOST", 6, 14, 1);
const WIDEST_HOST: u16 = 10;

const STATE: &[Column] = &[
    Column::name("CONTAINER", 13, 32, 0),
    HOST,
    Column::left("STATE", 10, 14, 0),
    Column::left("HEALTH", 9, 9, 4),
    Column::right("CPU", 5, 2),
    Column::left("", 4, 4, 6),
    Column::right("MEM", 6, 3),
    Column::right("LIMIT", 6, 8),
    RELEASE,
    Column::right("UP", 6, 1),
];

/// From this width on releases are told with the part: `r41 retained`. In narrower tables names would be cut for it.
const ROOMY: u16 = 120;
const RELEASE: Column = Column::left("REL", 4, 6, 5);
const RELEASE_AND_PART: Column = Column::left("RELEASE", 13, 14, 5);

const IMAGE: &[Column] = &[
    Column::name("CONTAINER", 14, 30, 0),
    HOST,
    Column::left("IMAGE", 16, 48, 0),
    Column::left("PORTS", 10, 24, 2),
    Column::left("ID", 12, 12, 3),
    Column::right("AGE", 6, 4),
];

const TRAFFIC: &[Column] = &[
    Column::name("CONTAINER", 14, 30, 0),
    HOST,
    Column::right("NET IN/s", 8, 1),
    Column::right("OUT/s", 7, 1),
    Column::right("READ/s", 7, 2),
    Column::right("WRITE/s", 7, 2),
    Column::right("PIDS", 5, 3),
    Column::right("NET IN", 7, 4),
    Column::right("OUT", 7, 5),
    Column::right("READ", 7, 6),
    Column::right("WRITTEN", 7, 7),
];

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let pane = &model.containers;
    let columns = columns(model, area.width);
    let table = Table {
        columns: &columns,
        len: pane.rows.len(),
        top: pane.cursor.top(),
        selected: (!pane.rows.is_empty()).then(|| pane.cursor.row()),
        focused: model.focus == PaneId::Containers,
        header: true,
    };
    table.draw(frame.buffer_mut(), area, theme, |index| {
        pane.rows
            .get(index)
            .map_or_else(Row::default, |key| row(model, theme, key, area.width))
    });
    if pane.rows.is_empty() && area.height > 1 {
        let words = empty_words(model);
        frame.buffer_mut().set_stringn(
            area.x + 4,
            area.y + 1,
            words,
            usize::from(area.width.saturating_sub(4)),
            theme.dim,
        );
    }
}

fn columns(model: &Model, width: u16) -> Vec<Column> {
    let columns = match model.containers.columns {
        ColumnSet::State => STATE,
        ColumnSet::Image => IMAGE,
        ColumnSet::Traffic => TRAFFIC,
    };
    let hosts = || model.setup.config.hosts.iter().map(|host| host.name.as_str());
    let fitted = |column: &Column| {
        if *column == HOST {
            let widest = if width >= ROOMY { HOST.max } else { WIDEST_HOST };
            column.fitted(hosts(), widest)
        } else if *column == RELEASE && width >= ROOMY {
            RELEASE_AND_PART
        } else {
            *column
        }
    };
    columns.iter().map(fitted).collect()
}

/// Are figures drawn in a pane so wide?
pub(super) fn has_figures(model: &Model, width: u16) -> bool {
    model.containers.columns == ColumnSet::Traffic
        || table::shows(&columns(model, width), width, &["CPU", "MEM"])
}

fn empty_words(model: &Model) -> &'static str {
    let listed = model.fleet.hosts().any(|(_, host)| host.listed);
    if !model.containers.filter.is_empty() {
        "nothing matches the filter; Esc clears it"
    } else if model.containers.hidden > 0 {
        "nothing runs; a shows what is stopped"
    } else if listed {
        "no containers"
    } else {
        "waiting for the first host to answer"
    }
}

fn row<'a>(model: &'a Model, theme: &Theme, key: &ContainerKey, width: u16) -> Row<'a> {
    let Some(row) = model.fleet.row(key) else {
        return Row::default();
    };
    let stale = stale_since(model, key);
    let now = model.now.wall;
    let container = &row.container;
    let name = Line::raw(clean(&container.name).into_owned());
    let host = Line::styled(key.host.to_string(), theme.dim);
    let mut cells = vec![name, host];
    match model.containers.columns {
        ColumnSet::State => {
            let engine = model.fleet.host(&key.host).and_then(|host| host.engine.as_ref());
            let known = engine.and_then(|engine| engine.installation().ok());
            let machine = known.map(|known| known.memory).filter(|memory| memory.0 > 0);
            let part = model
                .services
                .part(container)
                .and_then(|part| part_words(theme, part));
            let about = About {
                now,
                stale,
                machine,
                part,
                roomy: width >= ROOMY,
            };
            cells.extend(state_cells(theme, row, about));
        }
        ColumnSet::Image => cells.extend(image_cells(theme, container, now)),
        ColumnSet::Traffic => cells.extend(traffic_cells(theme, row)),
    }
    let quiet = matches!(container.state, State::Exited { .. } | State::Created);
    Row {
        sign: sign(theme, row, stale.is_some()),
        marked: model.containers.is_marked(key),
        cells,
        style: if stale.is_some() || quiet {
            theme.dim
        } else {
            Style::new()
        },
    }
}

/// Since when its host is not there, if it is not.
#[must_use]
pub fn stale_since(model: &Model, key: &ContainerKey) -> Option<Stamp> {
    match &model.fleet.host(&key.host)?.link {
        Link::Live { .. } => None,
        Link::Lost { since, .. } | Link::NeedsPerson { since, .. } | Link::Connecting { since } => {
            Some(*since)
        }
    }
}

/// Nothing for what is normal.
#[must_use]
pub fn sign<'a>(theme: &Theme, row: &fleet::Row, stale: bool) -> Span<'a> {
    let glyphs = theme.glyphs;
    if stale {
        return Span::styled(glyphs.unknown, theme.warn);
    }
    match &row.container.state {
        State::Restarting { .. } | State::Dead => Span::styled(glyphs.failed, theme.bad),
        State::Exited { code, .. } if !is_clean_exit(*code) => Span::styled(glyphs.failed, theme.bad),
        State::Exited { .. } | State::Created => Span::styled(glyphs.stopped, theme.dim),
        State::Removing => Span::styled(glyphs.changing, theme.busy),
        State::Paused { .. } => Span::styled(glyphs.changing, theme.warn),
        State::Running { .. } => match row.container.health {
            Health::Unhealthy => Span::styled(glyphs.problem, theme.bad),
            Health::Starting => Span::styled(glyphs.changing, theme.busy),
            Health::Healthy | Health::Unchecked => Span::raw(" "),
        },
    }
}

/// What a row is drawn from beside the container.
struct About {
    now: Stamp,
    stale: Option<Stamp>,
    /// Memory of its host, where that is known.
    machine: Option<Bytes>,
    part: Option<Span<'static>>,
    /// The part has room beside the release.
    roomy: bool,
}

/// Nothing for what runs as it should.
fn part_words(theme: &Theme, part: Part) -> Option<Span<'static>> {
    let style = match part {
        Part::Active => return None,
        Part::Candidate => theme.busy,
        Part::Retained => theme.dim,
        Part::Failed | Part::Orphan | Part::Revived => theme.warn,
    };
    Some(Span::styled(part.word(), style))
}

/// Where the part has no room beside the release it takes the cell that says least: of what runs its state, of what does
/// not its health.
fn state_cells(theme: &Theme, row: &fleet::Row, about: About) -> Vec<Line<'static>> {
    let About {
        now,
        stale,
        machine,
        part,
        roomy,
    } = about;
    let container = &row.container;
    let runs = container.state.is_running();
    let none = || Line::styled(theme.glyphs.none, theme.dim);
    let (beside, instead) = if roomy { (part, None) } else { (None, part) };
    let (in_state, in_health) = if runs { (instead, None) } else { (None, instead) };
    let words = match (stale, in_state) {
        (Some(since), _) => Line::styled(format!("stale {}", short_span(since.until(now))), theme.warn),
        (None, Some(part)) => Line::from(part),
        (None, None) => state_words(theme, &row.state()),
    };
    let health = match container.health {
        Health::Unhealthy if runs => Line::styled("unhealthy", theme.bad),
        Health::Starting if runs => Line::styled("starting", theme.busy),
        Health::Healthy if runs => Line::raw("healthy"),
        _ if let State::Restarting { code: Some(code), .. } = container.state => {
            Line::styled(format!("exit {code}"), theme.bad)
        }
        Health::Unchecked | Health::Healthy | Health::Starting | Health::Unhealthy => {
            in_health.map_or_else(none, Line::from)
        }
    };
    let sample = row.history.last().filter(|_| runs);
    let cpu = sample.and_then(|sample| sample.cpu);
    let bars = row.history.iter().map(|sample| sample.cpu);
    // Without a limit of its own the kernel's answer is the host's memory.
    let own = |limit: &Bytes| limit.0 > 0 && machine.is_none_or(|machine| limit.0 < machine.0);
    let limit = match &row.detail {
        Some(detail) => detail.memory_limit,
        None => sample.map(|sample| sample.memory_limit).filter(own),
    };
    vec![
        words,
        health,
        cpu.map_or_else(none, |cpu| Line::raw(percent(cpu))),
        if cpu.is_some() && stale.is_none() {
            Line::styled(spark(bars, ONE_CORE, BARS, theme.glyphs), theme.dim)
        } else {
            Line::raw("")
        },
        sample.map_or_else(none, |sample| Line::raw(sample.memory.to_string())),
        limit.map_or_else(none, |limit| Line::styled(limit.to_string(), theme.dim)),
        match (container.release(), beside) {
            (None, _) => none(),
            (Some(release), None) => Line::raw(release.to_string()),
            (Some(release), Some(part)) => Line::from(vec![Span::raw(format!("{release} ")), part]),
        },
        container
            .state
            .since()
            .map_or_else(none, |at| Line::styled(row_age(at.until(now)), theme.dim)),
    ]
}

/// `12 %`, and tenths below one percent.
#[must_use]
pub fn percent(value: f32) -> String {
    if value > 0.0 && value < 0.95 {
        format!("{value:.1} %")
    } else {
        format!("{value:.0} %")
    }
}

fn state_words(theme: &Theme, state: &State) -> Line<'static> {
    match state {
        State::Running { .. } => Line::raw("running"),
        State::Paused { .. } => Line::styled("paused", theme.warn),
        State::Created => Line::styled("created", theme.dim),
        State::Removing => Line::styled("removing", theme.busy),
        State::Dead => Line::styled("dead", theme.bad),
        // With which exit is said where its health would be.
        State::Restarting { .. } => Line::styled("restarting", theme.bad),
        State::Exited { oom: true, .. } => Line::styled("OOM-killed", theme.bad),
        State::Exited { code, .. } if is_clean_exit(*code) => {
            Line::styled(format!("exited {code}"), theme.dim)
        }
        State::Exited { code, .. } => Line::styled(format!("exited {code}"), theme.bad),
    }
}

fn image_cells(theme: &Theme, container: &Container, now: Stamp) -> Vec<Line<'static>> {
    let ports: Vec<String> = container
        .ports
        .iter()
        .map(|port| match &port.published {
            Some((_, outside)) => format!("{outside}{}{}", theme.glyphs.arrow, port.inside),
            None => port.inside.to_string(),
        })
        .collect();
    vec![
        Line::raw(clean(&container.image_words()).into_owned()),
        Line::raw(ports.join(" ")),
        Line::styled(container.id.short().to_owned(), theme.dim),
        Line::styled(row_age(container.created.until(now)), theme.dim),
    ]
}

fn traffic_cells(theme: &Theme, row: &fleet::Row) -> Vec<Line<'static>> {
    let Some(sample) = row.history.last().filter(|_| row.container.state.is_running()) else {
        return vec![Line::styled(theme.glyphs.none, theme.dim); 9];
    };
    vec![
        Line::raw(sample.received.to_string()),
        Line::raw(sample.sent.to_string()),
        Line::raw(sample.read.to_string()),
        Line::raw(sample.written.to_string()),
        Line::raw(sample.pids.to_string()),
        Line::styled(sample.received_total.to_string(), theme.dim),
        Line::styled(sample.sent_total.to_string(), theme.dim),
        Line::styled(sample.read_total.to_string(), theme.dim),
        Line::styled(sample.written_total.to_string(), theme.dim),
    ]
}

//! Draws the hosts: a table, and below it the details of the selected one.
//! Beside other panes only the table with the most important figures.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::{Model, PaneId};
use crate::domain::fleet::HostEntry;
use crate::domain::host::{Engine, EngineKind, HostLoad, Link, Reading};
use crate::domain::ids::HostName;
use crate::domain::units::{Bytes, Stamp, short_span};
use crate::ui::ansi::{clean, fit};
use crate::ui::table::{Column, Row, Table};
use crate::ui::theme::Theme;

/// Rows below the table, when the pane is alone: a line, and what is known of the selected host.
#[must_use]
pub fn detail_rows(height: u16) -> u16 {
    const MOST: u16 = 7;
    MOST.min(height / 2)
}

const WIDE: &[Column] = &[
    Column::name("HOST", 8, 18, 0),
    Column::left("LINK", 14, 16, 0),
    Column::left("ENGINE", 14, 16, 2),
    Column::left("API", 5, 5, 5),
    Column::right("RUNNING", 7, 1),
    Column::right("CPU", 5, 2),
    Column::right("MEM", 5, 2),
    Column::right("DISK", 5, 3),
];

const NARROW: &[Column] = &[
    Column::name("HOST", 8, 40, 0),
    Column::right("CPU", 4, 2),
    Column::right("MEM", 4, 1),
    Column::right("RUN", 4, 0),
];

const LOST: &[Column] = &[Column::name("HOST", 8, 20, 0), Column::left("", 14, 40, 0)];

const NARROW_BELOW: u16 = 60;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let names = super::names(model);
    let narrow = area.width < NARROW_BELOW;
    let details = if model.slot(PaneId::Hosts).is_some_and(|slot| slot.title.is_some()) {
        0
    } else {
        detail_rows(area.height)
    };
    let above = Rect {
        height: area.height - details,
        ..area
    };
    let buffer = frame.buffer_mut();
    if narrow {
        draw_narrow(model, theme, buffer, above, &names);
    } else {
        let table = table(model, WIDE, names.len());
        table.draw(buffer, above, theme, |index| {
            row(model, theme, names.get(index), wide_cells)
        });
    }
    if details > 0
        && let Some(name) = model.hosts.cursor().key()
        && let Some(host) = model.fleet.host(name)
    {
        let below = Rect {
            y: above.y + above.height,
            height: details,
            ..area
        };
        draw_details(model, theme, buffer, below, name, host);
    }
}

fn table<'a>(model: &Model, columns: &'a [Column], len: usize) -> Table<'a> {
    Table {
        columns,
        len,
        top: model.hosts.cursor().top(),
        selected: (len > 0).then(|| model.hosts.cursor().row()),
        focused: model.focus == PaneId::Hosts,
        header: true,
    }
}

/// A host that is not live has a word instead of figures.
fn draw_narrow(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect, names: &[HostName]) {
    let live = |name: &HostName| model.fleet.host(name).is_some_and(|host| host.link.is_live());
    table(model, NARROW, names.len()).draw(buffer, area, theme, |index| {
        row(
            model,
            theme,
            names.get(index).filter(|name| live(name)),
            narrow_cells,
        )
    });
    let lost = Table {
        header: false,
        ..table(model, LOST, names.len())
    };
    let below = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    // The same rows, only those that the first table left empty.
    for (offset, name) in names
        .iter()
        .enumerate()
        .skip(lost.top)
        .take(usize::from(below.height))
    {
        if !live(name) {
            let one = Table {
                top: offset,
                len: offset + 1,
                ..lost
            };
            let y = below.y + u16::try_from(offset - lost.top).unwrap_or(0);
            let own = Rect {
                y,
                height: 1,
                ..below
            };
            one.draw(buffer, own, theme, |_| row(model, theme, Some(name), lost_cells));
        }
    }
}

type Cells = fn(&Model, &Theme, &HostName, &HostEntry) -> Vec<Line<'static>>;

fn row<'a>(model: &'a Model, theme: &Theme, name: Option<&HostName>, cells: Cells) -> Row<'a> {
    let Some((name, host)) = name.and_then(|name| Some((name, model.fleet.host(name)?))) else {
        return Row::default();
    };
    Row {
        sign: sign(theme, &host.link),
        cells: cells(model, theme, name, host),
        ..Row::default()
    }
}

fn sign<'a>(theme: &Theme, link: &Link) -> Span<'a> {
    match link {
        Link::Live { .. } => Span::raw(theme.glyphs.live),
        Link::Connecting { .. } => Span::styled(theme.glyphs.changing, theme.busy),
        Link::Lost { .. } => Span::styled(theme.glyphs.failed, theme.bad),
        Link::NeedsPerson { .. } => Span::styled(theme.glyphs.problem, theme.warn),
    }
}

/// The link in a few words.
fn link(model: &Model, theme: &Theme, host: &HostEntry) -> Line<'static> {
    let now = model.now.wall;
    match &host.link {
        Link::Live { latency: None, .. } => Line::raw("live"),
        Link::Live {
            latency: Some(latency),
            ..
        } => Line::from(vec![
            Span::raw("live"),
            Span::styled(format!(" {}", round_trip(*latency)), theme.dim),
        ]),
        Link::Connecting { since } => {
            Line::styled(format!("connecting {}", short_span(since.until(now))), theme.busy)
        }
        Link::Lost { since, .. } => {
            Line::styled(format!("lost {} ago", short_span(since.until(now))), theme.bad)
        }
        Link::NeedsPerson { .. } => Line::styled("needs login", theme.warn),
    }
}

fn round_trip(latency: std::time::Duration) -> String {
    match latency.as_millis() {
        0 => "<1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}

fn wide_cells(model: &Model, theme: &Theme, name: &HostName, host: &HostEntry) -> Vec<Line<'static>> {
    let none = || Line::styled(theme.glyphs.none, theme.dim);
    let stale = if host.link.is_live() {
        theme.text
    } else {
        theme.dim
    };
    let engine = host.engine.as_ref();
    let load = host.load.as_ref();
    vec![
        Line::raw(name.to_string()),
        link(model, theme, host),
        engine.map_or_else(none, |engine| {
            let version = engine.version.split(['+', '-']).next().unwrap_or_default();
            Line::styled(format!("{} {}", kind(engine.kind), clean(version)), stale)
        }),
        engine.map_or_else(none, |engine| {
            Line::styled(clean(&engine.api).into_owned(), theme.dim)
        }),
        running(theme, host),
        share(theme, load.map(|load| &load.cpu), |cpu| *cpu, stale),
        share(theme, load.map(|load| &load.memory), part, stale),
        share(theme, load.map(|load| &load.disk), part, stale),
    ]
}

fn narrow_cells(_model: &Model, theme: &Theme, name: &HostName, host: &HostEntry) -> Vec<Line<'static>> {
    let load = host.load.as_ref();
    vec![
        Line::raw(name.to_string()),
        share(theme, load.map(|load| &load.cpu), |cpu| *cpu, theme.text),
        share(theme, load.map(|load| &load.memory), part, theme.text),
        running(theme, host),
    ]
}

fn lost_cells(model: &Model, theme: &Theme, name: &HostName, host: &HostEntry) -> Vec<Line<'static>> {
    vec![Line::raw(name.to_string()), link(model, theme, host)]
}

fn kind(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Docker => "docker",
        EngineKind::Podman => "podman",
        EngineKind::Simulated => "demo",
    }
}

fn running(theme: &Theme, host: &HostEntry) -> Line<'static> {
    if !host.listed {
        return Line::styled(theme.glyphs.none, theme.dim);
    }
    let running = host.rows().filter(|row| row.container.state.is_running()).count();
    Line::raw(running.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn part((used, total): &(Bytes, Bytes)) -> f32 {
    used.0 as f32 / total.0.max(1) as f32 * 100.0
}

/// A share that is nearly used up is a warning.
fn share<T>(
    theme: &Theme,
    reading: Option<&Reading<T>>,
    value: fn(&T) -> f32,
    style: Style,
) -> Line<'static> {
    match reading {
        Some(Reading::Known(reading)) => {
            let value = value(reading);
            let style = if value >= 90.0 { theme.warn } else { style };
            Line::styled(format!("{value:.0} %"), style)
        }
        Some(Reading::Unknown { .. }) | None => Line::styled(theme.glyphs.none, theme.dim),
    }
}

fn draw_details(
    model: &Model,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
    name: &HostName,
    host: &HostEntry,
) {
    for x in area.x..area.x + area.width {
        buffer.set_stringn(x, area.y, theme.glyphs.line, 1, theme.dim);
    }
    let lines = details(model, theme, name, host);
    let columns = usize::from(area.width).saturating_sub(5);
    for (y, (text, style)) in (area.y + 1..area.y + area.height).zip(lines) {
        let text = clean(&text).into_owned();
        buffer.set_stringn(
            area.x + 4,
            y,
            fit(&text, columns, theme.glyphs.ellipsis),
            columns,
            style,
        );
    }
}

/// What is known of the host, most wanted first.
fn details(model: &Model, theme: &Theme, name: &HostName, host: &HostEntry) -> Vec<(String, Style)> {
    let now = model.now.wall;
    let mut lines = Vec::new();
    // What is wrong first: on a small screen the rest is cut off.
    match &host.link {
        Link::Lost { why, retry_at, .. } => {
            lines.push((why.to_string(), theme.bad));
            lines.extend(why.hint.iter().map(|hint| (format!("hint: {hint}"), theme.text)));
            lines.extend(retry_at.map(|at| (next_try(now, at), theme.dim)));
        }
        Link::NeedsPerson { why, .. } => {
            lines.push((why.to_string(), theme.warn));
            lines.push(("Enter logs in with ssh".to_owned(), theme.accent));
        }
        Link::Connecting { .. } | Link::Live { .. } => {}
    }
    if let Some(configured) = model.setup.config.host(name) {
        let protected = if configured.protected { "  protected" } else { "" };
        lines.push((
            format!("{name}  {}{protected}", configured.endpoint),
            theme.accent,
        ));
    }
    lines.extend(super::unknown(model, name).map(|unknown| (unknown.why.to_owned(), theme.text)));
    if let Some(load) = &host.load {
        lines.extend(known(load, now).map(|known| (known, theme.text)));
        lines.extend(unknowns(load).map(|why| (why, theme.warn)));
    }
    if let Some(engine) = &host.engine {
        lines.extend(described(theme, name, engine));
    }
    lines
}

fn described(theme: &Theme, name: &HostName, engine: &Engine) -> [(String, Style); 2] {
    let (kind, version) = (kind(engine.kind), &engine.version);
    let (os, arch, kernel) = (&engine.os, &engine.arch, &engine.kernel);
    match engine.installation() {
        Ok(known) => {
            let called = if known.hostname == name.as_str() {
                String::new()
            } else {
                format!("{}  ", known.hostname)
            };
            let machine = format!(
                "{called}{} cores  {}  {os} {arch}  kernel {kernel}",
                known.cpus, known.memory
            );
            let daemon = format!(
                "{kind} {version}  cgroup v{}  storage {}  logs {}  data {}",
                known.cgroup, known.storage_driver, known.logging_driver, known.data_root
            );
            [(machine, theme.text), (daemon, theme.dim)]
        }
        Err(why) => [
            (format!("{kind} {version}  {os} {arch}"), theme.text),
            (
                format!("cores, memory, storage unknown: GET /info: {why}"),
                theme.warn,
            ),
        ],
    }
}

/// When a lost host is tried again.
#[must_use]
pub fn next_try(now: Stamp, at: Stamp) -> String {
    match now.until(at) {
        wait if wait.is_zero() => "trying again now".to_owned(),
        wait => format!("next try in {}; Enter tries now", short_span(wait)),
    }
}

/// `cpu 12 %  memory 3.1 G of 16 G  disk 40 G of 100 G  8 s ago`
fn known(load: &HostLoad, now: Stamp) -> Option<String> {
    let mut words = Vec::new();
    if let Reading::Known(cpu) = &load.cpu {
        words.push(format!("cpu {cpu:.0} %"));
    }
    for (what, reading) in [("memory", &load.memory), ("disk", &load.disk)] {
        if let Reading::Known((used, total)) = reading {
            words.push(format!("{what} {used} of {total}"));
        }
    }
    if words.is_empty() {
        return None;
    }
    words.push(format!("{} ago", short_span(load.at.until(now))));
    Some(words.join("  "))
}

fn unknowns(load: &HostLoad) -> impl Iterator<Item = String> {
    fn why<T>(what: &str, reading: &Reading<T>) -> Option<String> {
        match reading {
            Reading::Known(_) => None,
            Reading::Unknown { why } => Some(format!("{what} unknown: {why}")),
        }
    }
    let cpu = why("cpu and memory", &load.cpu);
    let disk = why("disk", &load.disk);
    cpu.into_iter().chain(disk)
}

//! The rows of a container's page: state, recent events, resource use, last lines, configuration.
//! Rows only; values that are not loaded yet are marked as loading.

use super::happened::folded;
use super::{DetailPage, graph, words};
use crate::domain::container::{Container, Health, State, is_clean_exit};
use crate::domain::detail::Detail;
use crate::domain::fleet::Row as FleetRow;
use crate::domain::host::Link;
use crate::domain::logs::Stream;
use crate::domain::units::{Bytes, Stamp, long_span, short_span};
use crate::panes::page::{Row, Tone, entry, row};
use crate::panes::plan::content::wrapped;
use crate::release::standing::Part;
use crate::ui::ansi::{clean, pad_left};
use crate::ui::clock;
use crate::ui::theme::Glyphs;

/// Columns of the names at the left.
const NAMES: usize = 11;
/// Happenings, probes and log lines on the page.
const HAPPENINGS: usize = 8;
const PROBES: usize = 5;
const LINES: usize = 12;
/// Columns before what happened.
const HAPPENED: usize = 23;
/// Columns of a graph at most: a sample each.
const GRAPH: usize = 60;

/// Everything the page is made from.
pub struct Scene<'a> {
    pub page: &'a DetailPage,
    pub row: Option<&'a FleetRow>,
    pub link: Option<&'a Link>,
    /// What it is to its service.
    pub part: Option<Part>,
    pub now: Stamp,
    pub columns: usize,
    pub glyphs: &'static Glyphs,
}

#[must_use]
pub fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let Some(known) = scene.row else {
        return vec![row(Tone::Dim, "This container is gone; Esc leaves.")];
    };
    if scene.page.raw {
        return raw(known);
    }
    let detail = known.detail.as_deref();
    let mut page = head(scene, known, detail);
    if known.container.state.is_running() {
        page.extend(figures(scene, known, detail));
    }
    // What it said last tells mostly why it is as it is: it comes before how it came to it.
    page.extend(probes(scene, known, detail));
    page.extend(last_lines(scene));
    page.extend(happenings(scene, known));
    if !known.container.state.is_running() {
        page.extend(figures(scene, known, detail));
    }
    match detail {
        Some(detail) => page.extend(made_of(detail, scene.columns)),
        None => page.push(row(Tone::Dim, "the rest is being loaded …")),
    }
    page
}

fn raw(known: &FleetRow) -> Vec<Row> {
    match known.detail.as_deref() {
        Some(detail) => detail
            .raw
            .lines()
            .map(|line| row(Tone::Text, clean(line).into_owned()))
            .collect(),
        None => vec![row(Tone::Dim, "loading …")],
    }
}

fn head(scene: &Scene<'_>, known: &FleetRow, detail: Option<&Detail>) -> Vec<Row> {
    let container = &known.container;
    let host = scene
        .page
        .key
        .as_ref()
        .map(|key| key.host.to_string())
        .unwrap_or_default();
    let mut page = vec![vec![
        (Tone::Accent, container.name.to_string()),
        (Tone::Text, format!(" on {host}")),
        (
            Tone::Dim,
            format!("  {}  {}", container.image_words(), container.id.short()),
        ),
    ]];
    if scene.page.gone.is_some() {
        page.push(row(Tone::Warn, "It was removed; this is its last known state."));
    }
    if let Some(Link::Lost { since, why, .. }) = scene.link {
        let ago = short_span(since.until(scene.now));
        page.extend(wrapped(
            &[(
                Tone::Warn,
                format!("stale: {host} has been unreachable for {ago}: {}", why.why),
            )],
            scene.columns,
            2,
        ));
    }
    let limit = limit(known, detail);
    let state = words::state(known, limit, scene.now);
    let sign = sign(container, scene.glyphs);
    page.extend(wrapped(
        &[(tone(container), format!("{sign} {state}"))],
        scene.columns,
        2,
    ));
    if let (Some(release), Some(part)) = (container.release(), scene.part) {
        let (tone, words) = words::part(part);
        page.extend(wrapped(
            &[(tone, format!("{release}, {words}"))],
            scene.columns,
            2,
        ));
    }
    if let Some(detail) = detail {
        if let Some(error) = detail.error.as_deref().filter(|error| !error.is_empty()) {
            page.extend(wrapped(&[(Tone::Bad, error.to_owned())], scene.columns, 2));
        }
        page.extend(times(scene, detail));
    }
    page
}

/// Absolute and relative, and how often it was started again.
fn times(scene: &Scene<'_>, detail: &Detail) -> Vec<Row> {
    let moment = |name: &str, at: Stamp| {
        format!(
            "{name} {} ({} ago)",
            clock::day(at),
            short_span(at.until(scene.now))
        )
    };
    let mut words: Vec<String> = detail
        .started
        .map(|at| moment("started", at))
        .into_iter()
        .collect();
    words.extend(detail.finished.map(|at| moment("ended", at)));
    let mut page = Vec::new();
    if !words.is_empty() {
        page.push(row(Tone::Dim, words.join("  ")));
    }
    let policy = match detail.restart_policy.as_str() {
        "" | "no" => "never restarted automatically".to_owned(),
        policy => format!("restart policy {policy}"),
    };
    page.push(match detail.restarts {
        0 => row(Tone::Dim, policy),
        1 => vec![
            (Tone::Warn, "restarted once".to_owned()),
            (Tone::Dim, format!("  {policy}")),
        ],
        times => vec![
            (Tone::Warn, format!("restarted {times} times")),
            (Tone::Dim, format!("  {policy}")),
        ],
    });
    page
}

fn limit(known: &FleetRow, detail: Option<&Detail>) -> Option<Bytes> {
    match detail {
        Some(detail) => detail.memory_limit,
        None => known
            .history
            .last()
            .map(|sample| sample.memory_limit)
            .filter(|limit| limit.0 > 0),
    }
}

fn tone(container: &Container) -> Tone {
    match (&container.state, container.health) {
        (State::Running { .. }, Health::Unhealthy) | (State::Dead | State::Restarting { .. }, _) => Tone::Bad,
        (State::Exited { code, .. }, _) if !is_clean_exit(*code) => Tone::Bad,
        (State::Running { .. }, Health::Starting) => Tone::Busy,
        (State::Paused { .. }, _) => Tone::Warn,
        (State::Running { .. } | State::Exited { .. } | State::Created | State::Removing, _) => Tone::Text,
    }
}

fn sign(container: &Container, glyphs: &Glyphs) -> &'static str {
    match tone(container) {
        Tone::Bad => glyphs.failed,
        Tone::Busy => glyphs.changing,
        Tone::Warn => glyphs.problem,
        _ if container.state.is_running() => glyphs.live,
        _ => glyphs.stopped,
    }
}

/// Cpu and memory, as bars up to what they may use.
fn figures(scene: &Scene<'_>, known: &FleetRow, detail: Option<&Detail>) -> Vec<Row> {
    let Some(last) = known.history.last() else {
        return Vec::new();
    };
    let columns = scene.columns.saturating_sub(36).min(GRAPH);
    let height = if scene.columns >= 100 { 3 } else { 1 };
    let mut page = vec![Row::new()];
    let cpu: Vec<Option<f32>> = known.history.iter().map(|sample| sample.cpu).collect();
    let cores = detail.and_then(|detail| detail.cpu_limit);
    let top = cores.map_or_else(|| highest(&cpu).max(100.0), percent);
    let now = last
        .cpu
        .map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.0} %"));
    let of = cores.map_or_else(String::new, |cores| format!("of {}", in_cores(cores)));
    page.extend(bars(
        ("cpu", &now, &of),
        &cpu,
        top,
        (columns, height),
        scene.glyphs,
        cores.is_some(),
    ));
    let memory: Vec<Option<f32>> = known
        .history
        .iter()
        .map(|sample| Some(mega(sample.memory)))
        .collect();
    let own = detail.and_then(|detail| detail.memory_limit);
    let top = own.map_or_else(|| highest(&memory) * 1.25, mega);
    let of = own.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
    let now = last.memory.to_string();
    page.extend(bars(
        ("memory", &now, &of),
        &memory,
        top,
        (columns, height),
        scene.glyphs,
        own.is_some(),
    ));
    let totals = |now: Bytes, all: Bytes| {
        if scene.columns >= 110 {
            format!("{now}/s ({all} in total)")
        } else {
            format!("{now}/s")
        }
    };
    let traffic = format!(
        "in {}  out {}  read {}  written {}  {} processes",
        totals(last.received, last.received_total),
        totals(last.sent, last.sent_total),
        totals(last.read, last.read_total),
        totals(last.written, last.written_total),
        last.pids
    );
    page.push(entry("traffic", NAMES, Tone::Text, traffic));
    page
}

fn bars(
    (name, now, of): (&str, &str, &str),
    values: &[Option<f32>],
    top: f32,
    (columns, height): (usize, usize),
    glyphs: &'static Glyphs,
    limited: bool,
) -> Vec<Row> {
    let mut page = Vec::new();
    if limited && height > 1 {
        let line = glyphs.line.repeat(columns);
        page.push(vec![(Tone::Dim, format!("{:<34}{line} limit", ""))]);
    }
    let near = values
        .last()
        .is_some_and(|value| value.is_some_and(|value| value > top * 0.9))
        && limited;
    let tone = if near { Tone::Warn } else { Tone::Text };
    let graph = graph::rows(values, top, columns, height, glyphs);
    let last = graph.len().saturating_sub(1);
    for (at, bars) in graph.into_iter().enumerate() {
        let left = if at == last {
            format!("{name:<NAMES$}{} {of:<14}", pad_left(now, 7, glyphs.ellipsis))
        } else {
            String::new()
        };
        page.push(vec![(tone, format!("{left:<34}")), (Tone::Busy, bars)]);
    }
    page
}

fn in_cores(cores: f64) -> String {
    let word = if cores > 1.0 { "cores" } else { "core" };
    format!("{cores} {word}")
}

fn highest(values: &[Option<f32>]) -> f32 {
    values.iter().flatten().copied().fold(0.0, f32::max)
}

#[expect(clippy::cast_possible_truncation, reason = "a handful of cores")]
fn percent(cores: f64) -> f32 {
    (cores * 100.0) as f32
}

#[expect(clippy::cast_precision_loss, reason = "as high as a bar")]
fn mega(bytes: Bytes) -> f32 {
    (bytes.0 >> 10) as f32 / 1024.0
}

fn heading(name: &str, more: &str) -> Vec<Row> {
    let mut heading = row(Tone::Dim, name.to_uppercase());
    if !more.is_empty() {
        heading.push((Tone::Dim, format!("  {more}")));
    }
    vec![Row::new(), heading]
}

/// What led to it, the newest last.
fn happenings(scene: &Scene<'_>, known: &FleetRow) -> Vec<Row> {
    let all = folded(known.happenings.iter());
    if all.is_empty() {
        return Vec::new();
    }
    let older = all.len().saturating_sub(HAPPENINGS);
    let more = if older > 0 {
        format!("{older} earlier ones")
    } else {
        String::new()
    };
    let mut page = heading("recent events", &more);
    for happened in all.iter().skip(older) {
        let ago = short_span(happened.at.until(scene.now));
        let tone = if happened.is_bad() { Tone::Bad } else { Tone::Text };
        let words = happened.words();
        let room = scene.columns.saturating_sub(HAPPENED);
        for (index, part) in wrapped(&[(tone, words)], room, 0).into_iter().enumerate() {
            let when = if index == 0 {
                format!("{}  {ago:>7} ago  ", clock::time(happened.at))
            } else {
                " ".repeat(HAPPENED)
            };
            page.push([row(Tone::Dim, when), part].concat());
        }
    }
    page
}

/// What the health check said.
fn probes(scene: &Scene<'_>, known: &FleetRow, detail: Option<&Detail>) -> Vec<Row> {
    let probes = detail.map(|detail| detail.probes.as_slice()).unwrap_or_default();
    if probes.is_empty() || known.container.health == Health::Unchecked {
        return Vec::new();
    }
    let failed = probes.iter().filter(|probe| probe.exit != 0).count();
    let mut page = heading(
        "health check",
        &format!("{failed} of the last {} failed", probes.len()),
    );
    for probe in probes.iter().skip(probes.len().saturating_sub(PROBES)) {
        let (tone, sign) = if probe.exit == 0 {
            (Tone::Dim, scene.glyphs.done)
        } else {
            (Tone::Bad, scene.glyphs.failed)
        };
        let took = if probe.took.as_secs() > 0 {
            long_span(probe.took)
        } else {
            format!("{} ms", probe.took.as_millis())
        };
        let head = format!(
            "{}  {sign} exit {} in {took}  ",
            clock::time(probe.at),
            probe.exit
        );
        let mut lines = probe.output.trim().lines();
        let first = lines.next().unwrap_or("(no output)").to_owned();
        page.push(vec![(tone, head), (Tone::Text, first)]);
        let rest = lines
            .take(3)
            .map(|line| row(Tone::Text, format!("            {line}")));
        page.extend(rest);
    }
    page
}

/// Its last words; of a dead container too.
fn last_lines(scene: &Scene<'_>) -> Vec<Row> {
    let ring = &scene.page.lines;
    let mut page = heading("last lines", "l shows them all");
    if ring.is_empty() {
        page.push(row(Tone::Dim, "none yet"));
    }
    for (_, line) in ring.iter().skip(ring.len().saturating_sub(LINES)) {
        let (tone, sign) = match line.stream {
            Stream::Err => (Tone::Dim, scene.glyphs.rule),
            Stream::Notice => (Tone::Warn, scene.glyphs.line),
            Stream::Out | Stream::Console => (Tone::Dim, " "),
        };
        let text = crate::panes::logs::shape::readable(&line.text, true).into_owned();
        let words = match crate::panes::logs::shape::level(&text) {
            Some((crate::panes::logs::shape::Level::Error, _)) => Tone::Bad,
            _ => Tone::Text,
        };
        page.push(vec![
            (tone, format!("{} {sign}", clock::time(line.at))),
            (words, text),
        ]);
    }
    page
}

/// What it was created from.
fn made_of(detail: &Detail, columns: usize) -> Vec<Row> {
    let mut page = heading("made of", "");
    let limit = detail
        .memory_limit
        .map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    let cores = detail.cpu_limit.map_or_else(|| "no limit".to_owned(), in_cores);
    let grace = detail
        .stop_grace
        .map_or_else(String::new, |grace| format!(", {} of grace", long_span(grace)));
    let signal = detail.stop_signal.as_deref().unwrap_or("SIGTERM");
    let plain = [
        ("image", format!("{}  {}", detail.image, detail.image_id)),
        (
            "command",
            [detail.entrypoint.as_slice(), detail.command.as_slice()]
                .concat()
                .join(" "),
        ),
        ("user", detail.user.clone()),
        ("folder", detail.working_dir.clone()),
        ("hostname", detail.hostname.clone()),
        ("memory", limit),
        ("cpu", cores),
        ("stop", format!("{signal}{grace}")),
        ("log driver", detail.log_driver.clone()),
    ];
    for (name, text) in plain.iter().filter(|(_, text)| !text.is_empty()) {
        page.extend(named(name, text, columns));
    }
    for (name, list) in [
        ("ports", &detail.ports),
        ("mounts", &detail.mounts),
        ("networks", &detail.networks),
    ] {
        for (index, text) in list.iter().enumerate() {
            page.extend(named(if index == 0 { name } else { "" }, text, columns));
        }
    }
    for (name, pairs) in [("environment", &detail.environment), ("labels", &detail.labels)] {
        if !pairs.is_empty() {
            page.extend(heading(name, ""));
        }
        for (key, value) in pairs {
            let text = format!("{key}={value}");
            page.extend(wrapped(&[(Tone::Text, text)], columns, 4));
        }
    }
    page
}

fn named(name: &str, text: &str, columns: usize) -> Vec<Row> {
    let room = columns.saturating_sub(NAMES);
    wrapped(&[(Tone::Text, text.to_owned())], room, 0)
        .into_iter()
        .enumerate()
        .map(|(index, part)| {
            let name = if index == 0 { name } else { "" };
            let mut line = vec![(Tone::Dim, format!("{name:<NAMES$}"))];
            line.extend(part);
            line
        })
        .collect()
}

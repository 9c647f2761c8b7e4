//! The first line: state of the fleet, runs in progress, user and time.
//! The most important part is leftmost; parts that do not fit are dropped from the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::ansi::{clean, fit, width};
use super::theme::Theme;
use crate::app::{Model, PaneId};
use crate::domain::host::Link;
use crate::domain::order::Access;
use crate::domain::run::{Doing, RunStatus, RunView};
use crate::domain::units::{Stamp, short_span};
use crate::panes::problems::Gravity;

/// Cells of the progress bar.
const BAR: u32 = 10;
/// From here on there is room for words.
const ROOMY: u16 = 120;

/// What does not fit is cut if this much of it can still be read, and left out otherwise.
const WORTH_CUTTING: usize = 12;

pub fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    if area.height == 0 {
        return;
    }
    let right = clock(model);
    let columns = usize::from(area.width);
    let mut at = area.x + 1;
    let end = area.x + area.width;
    let limit = columns.saturating_sub(width(&right) + 3);
    let mut used = 0;
    for (index, part) in parts(model, theme).into_iter().enumerate() {
        let gap = if index == 0 { 0 } else { 2 };
        let wide = part.iter().map(|span| width(&span.content)).sum::<usize>();
        let room = limit.saturating_sub(used + gap);
        if wide > room && room < WORTH_CUTTING {
            continue;
        }
        at += u16::try_from(gap).unwrap_or(0);
        let stop = at
            .saturating_add(u16::try_from(room).unwrap_or(u16::MAX))
            .min(end);
        for span in &part {
            let room = usize::from(stop.saturating_sub(at));
            let text = fit(&span.content, room, theme.glyphs.ellipsis);
            at = buffer.set_stringn(at, area.y, text, room, span.style).0;
        }
        used += gap + wide.min(room);
    }
    let x = end.saturating_sub(u16::try_from(width(&right)).unwrap_or(0) + 1);
    if used > 0 && x > at {
        buffer.set_stringn(x, area.y, &right, columns, theme.dim);
    }
}

fn parts<'a>(model: &'a Model, theme: &Theme) -> Vec<Vec<Span<'a>>> {
    let glyphs = theme.glyphs;
    let mut parts = Vec::new();
    if model.setup.demo {
        parts.push(vec![Span::styled("DEMO", theme.accent)]);
    }
    if model.setup.access == Access::ReadOnly {
        parts.push(vec![Span::styled("read-only", theme.warn)]);
    }
    let mut live = 0;
    let mut lost = 0;
    let mut waiting = 0;
    for (_, host) in model.fleet.hosts() {
        match host.link {
            Link::Live { .. } => live += 1,
            Link::Lost { .. } | Link::NeedsPerson { .. } => lost += 1,
            Link::Connecting { .. } => waiting += 1,
        }
    }
    let mut hosts = vec![Span::raw(format!("{}{live}", glyphs.live))];
    if lost > 0 {
        hosts.push(Span::styled(format!(" {}{lost}", glyphs.failed), theme.bad));
    }
    if waiting > 0 {
        hosts.push(Span::styled(format!(" {}{waiting}", glyphs.changing), theme.busy));
    }
    parts.push(hosts);
    let containers = model.fleet.rows().count().to_string();
    if model.size.width >= ROOMY {
        parts.push(vec![
            Span::raw(containers),
            Span::styled(" containers", theme.dim),
        ]);
    } else {
        parts.push(vec![Span::raw(containers)]);
    }
    let problems = model.problems.list();
    if let Some(worst) = problems.iter().map(|problem| problem.gravity).min() {
        let style = match worst {
            Gravity::Bad => theme.bad,
            Gravity::Warn => theme.warn,
        };
        parts.push(vec![Span::styled(
            format!("{}{}", glyphs.problem, problems.len()),
            style,
        )]);
    }
    parts.extend(open_run(model, theme));
    let note = crate::panes::note(model, model.focus);
    if !model.in_room() {
        // Other pages begin with what they are about.
        let is_list = match model.focus {
            PaneId::Services | PaneId::Containers | PaneId::Problems | PaneId::Hosts | PaneId::Runs => true,
            PaneId::Logs | PaneId::Pipeline | PaneId::Detail | PaneId::Plan => false,
        };
        if is_list {
            parts.push(vec![Span::styled(model.focus.title(), theme.accent)]);
        }
        if !note.is_empty() {
            parts.push(vec![Span::styled(clean(&note).into_owned(), theme.dim)]);
        }
    }
    parts
}

/// The newest run that is under way, with how far it is and how long it may take; one that waits only where no other
/// is.
fn open_run(model: &Model, theme: &Theme) -> Option<Vec<Span<'static>>> {
    let open = || {
        let newest_first = model.runs.values().rev();
        newest_first.filter(|run| run.status == RunStatus::Running)
    };
    let run = open()
        .find(|run| run.waiting.is_none())
        .or_else(|| open().next())?;
    let mut part = vec![Span::raw(clean(&run.subject()).into_owned())];
    part.extend(how_far(run, theme, model.now.wall));
    let more = open().count() - 1;
    if more > 0 {
        part.push(Span::styled(format!(" +{more}"), theme.dim));
    }
    Some(part)
}

/// ` deploy ▓▓▓▓░░ 58 % ~24 s`. Of one that waits, asks or is taken back no percentage would move.
fn how_far(run: &RunView, theme: &Theme, now: Stamp) -> Vec<Span<'static>> {
    let elapsed = run.started.until(now).saturating_sub(run.waited);
    let glyphs = theme.glyphs;
    let since = Span::styled(format!(" {}", short_span(elapsed)), theme.dim);
    let kind = Span::raw(format!(" {} ", run.kind.word()));
    match run.doing() {
        Doing::Waiting(_) => return vec![kind, Span::styled("waiting", theme.busy), since],
        Doing::Asking(_) => return vec![kind, Span::styled("waits for approval", theme.warn)],
        Doing::Undoing(_) => {
            let words = format!(" {} undoing {}", glyphs.undone, run.kind.word());
            return vec![Span::styled(words, theme.warn), since];
        }
        Doing::Going => {}
    }
    let total = run.steps_total.max(1);
    let filled = run.steps_done.min(total) * BAR / total;
    let bar = (0..BAR).map(|cell| if cell < filled { glyphs.full } else { glyphs.empty });
    let left = match run.estimate.map(|estimate| estimate.checked_sub(elapsed)) {
        Some(Some(left)) => format!(" ~{}", short_span(left)),
        Some(None) => " longer than usual".to_owned(),
        None => format!(" {}", short_span(elapsed)),
    };
    vec![
        kind,
        Span::styled(bar.collect::<String>(), theme.busy),
        Span::styled(format!(" {} %", run.percent()), theme.busy),
        Span::styled(left, theme.dim),
    ]
}

/// Who, where there is room, and hours and minutes.
fn clock(model: &Model) -> String {
    let time = super::clock::hour_minute(model.now.wall);
    if model.size.width >= ROOMY {
        format!("{}  {time}", clean(&model.setup.actor))
    } else {
        time
    }
}

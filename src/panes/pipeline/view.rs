//! How a run looks: what and how far, stages × hosts, the runs before, the output below.
//! Hosts before all else: what there is no room for goes from the bottom up, output, strip, hosts.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::grid::Wish;
use super::{grid, left, output, same_subject, shown, words};
use crate::app::Model;
use crate::domain::run::{RunLine, RunView};
use crate::panes::page::view::draw_row;
use crate::panes::page::{Row, Tone, row};
use crate::ui::ansi::{clean, width};
use crate::ui::clock;
use crate::ui::theme::Theme;

/// Differences that are told beside the stages; all of them have a page.
pub(super) const LEFT_SHOWN: usize = 3;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let buffer = frame.buffer_mut();
    let height = usize::from(area.height);
    let Some(run) = shown(model) else {
        for (y, line) in (area.y..area.y + area.height).zip(nothing(model)) {
            draw_row(&line, theme, buffer, Rect { y, height: 1, ..area });
        }
        return;
    };
    let mut page = vec![words::title(run)];
    page.extend(words::progress(
        run,
        model.now.wall,
        theme.glyphs,
        usize::from(area.width),
    ));
    let hosts = grid::hosts(run).len().max(1);
    let above = usize::from(grid::has_whole_stages(run));
    // The grid with its heading, the strip and a little of the output stay.
    let spare = height.saturating_sub(page.len() + above + hosts + 4);
    page.extend(left_behind(run, spare.clamp(1, LEFT_SHOWN)));
    // Below the heading.
    let room = height.saturating_sub(page.len() + 1 + above);
    let wish = Wish {
        now: model.now.wall,
        columns: usize::from(area.width),
        // The line that counts what is not shown takes a row: it stands for two hosts at least.
        hosts: if hosts > room {
            room.saturating_sub(1).max(1)
        } else {
            hosts
        },
        selected: model.pipeline.host(),
        stage: model.pipeline.stage(),
        glyphs: theme.glyphs,
    };
    if height > page.len() + above + hosts + 8 {
        page.push(Row::new());
    }
    page.extend(grid::rows(run, wish));
    if height > page.len() {
        page.push(words::strip(
            &same_subject(model, run),
            model.now.wall,
            theme.glyphs,
        ));
    }
    let mut y = area.y;
    for line in page.into_iter().take(height) {
        draw_row(&line, theme, buffer, Rect { y, height: 1, ..area });
        y += 1;
    }
    let rest = Rect {
        y,
        height: (area.y + area.height).saturating_sub(y),
        ..area
    };
    if rest.height >= 2 {
        draw_output(model, run, theme, buffer, rest);
    }
}

/// So many of the differences of a run that needs a human, and how many more there are.
fn left_behind(run: &RunView, most: usize) -> Vec<Row> {
    let Some((_, differences)) = left::differences(run) else {
        return Vec::new();
    };
    let told = differences.iter().take(most);
    let mut rows: Vec<Row> = told.map(|left| row(Tone::Bad, format!("  {left}"))).collect();
    let more = differences.len().saturating_sub(most);
    if more > 0 {
        rows.push(row(Tone::Dim, format!("  … and {more} more: Enter shows all")));
    }
    rows
}

fn nothing(model: &Model) -> Vec<Row> {
    let words = match model.pipeline.awaited() {
        Some(request) => format!("starting {} {} …", request.kind.word(), request.subject()),
        None => "No run yet: b builds, t tests, d deploys the selected service.".to_owned(),
    };
    vec![row(Tone::Dim, words)]
}

fn draw_output(model: &Model, run: &RunView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let lines = output(model, run);
    let of = match (model.pipeline.stage(), model.pipeline.host()) {
        (None, None) => "output".to_owned(),
        (None, Some(host)) => format!("output of {host}"),
        (Some(stage), None) => format!("output of {}", clean(stage)),
        (Some(stage), Some(host)) => format!("output of {} on {host}", clean(stage)),
    };
    let columns = usize::from(area.width);
    let rule = theme.glyphs.line;
    let head = format!("{rule} {of} ");
    let fill = rule.repeat(columns.saturating_sub(width(&head) + 2));
    let head_area = Rect { height: 1, ..area };
    draw_row(&row(Tone::Dim, format!("{head}{fill}")), theme, buffer, head_area);
    let height = usize::from(area.height - 1);
    let end = lines
        .len()
        .saturating_sub(model.pipeline.back().min(lines.len().saturating_sub(1)));
    let first = end.saturating_sub(height);
    let mut y = area.y + 1;
    if first == 0 && run.output_skipped > 0 && end < height {
        let words = "Enter shows the earlier output";
        draw_row(
            &row(Tone::Dim, words),
            theme,
            buffer,
            Rect { y, height: 1, ..area },
        );
        y += 1;
    }
    let room = usize::from((area.y + area.height).saturating_sub(y));
    for line in lines.iter().take(end).skip(end.saturating_sub(room)) {
        draw_row(&said(line, columns), theme, buffer, Rect { y, height: 1, ..area });
        y += 1;
    }
    if lines.is_empty() && y < area.y + area.height {
        let words = if run.is_open() {
            "no output yet"
        } else {
            "no output"
        };
        draw_row(
            &row(Tone::Dim, words),
            theme,
            buffer,
            Rect { y, height: 1, ..area },
        );
    }
}

fn said(line: &RunLine, columns: usize) -> Row {
    let mut row = Vec::new();
    if columns >= 60 {
        let host = line
            .host
            .as_ref()
            .map(|host| format!(" {host}"))
            .unwrap_or_default();
        row.push((
            Tone::Dim,
            format!("{}{host} {} ", clock::time(line.at), line.stage),
        ));
    }
    row.push((Tone::Text, clean(&line.text).into_owned()));
    row
}

//! The plan in words: releases, changes, order, undo, duration.
//! Rows only; refusals come first.

use super::PlanState;
use crate::domain::ids::ReleaseNumber;
use crate::domain::plan::{PlanView, RunRequest};
use crate::domain::run::RunKind;
use crate::domain::text::capital;
use crate::domain::units::{Stamp, short_span};
use crate::panes::page::{Row, Tone, entry, row};
use crate::ui::ansi::{clean, rows as broken};

/// Columns of the names at the left.
const NAMES: usize = 9;

#[must_use]
pub fn rows(state: &PlanState, columns: usize, _now: Stamp) -> Vec<Row> {
    match state {
        // The list of releases draws itself.
        PlanState::Empty | PlanState::Choosing(_) => Vec::new(),
        PlanState::Asked(_, request) => vec![
            row(Tone::Accent, title(request)),
            row(Tone::Dim, "reading the hosts to make the plan …"),
        ],
        PlanState::Failed(request, fault) => {
            let mut page = vec![row(Tone::Accent, title(request)), Row::new()];
            page.extend(wrapped(&[(Tone::Bad, fault.to_string())], columns, 2));
            if let Some(hint) = &fault.hint {
                page.extend(wrapped(&[(Tone::Text, format!("hint: {hint}"))], columns, 2));
            }
            page.push(Row::new());
            page.push(row(Tone::Dim, "Nothing was changed. Esc leaves."));
            page
        }
        PlanState::Shown(plan) => shown(plan, columns),
    }
}

fn shown(plan: &PlanView, columns: usize) -> Vec<Row> {
    let hosts: Vec<String> = plan.hosts.iter().map(|(host, _)| host.to_string()).collect();
    let mut page = Vec::new();
    let to = toward(plan.request.kind);
    let head = match plan.request.kind {
        RunKind::Rollback => format!("{} on {}", title(&plan.request), hosts.join(", ")),
        _ if plan.request.origin.is_some() => format!("{} on {}", title(&plan.request), hosts.join(", ")),
        _ if hosts.is_empty() => title(&plan.request),
        _ => format!("{} {to} {}", title(&plan.request), hosts.join(", ")),
    };
    page.extend(wrapped(&[(Tone::Accent, head)], columns, 4));
    for refusal in plan.stops() {
        page.push(Row::new());
        page.extend(wrapped(&[(Tone::Bad, refusal.to_string())], columns, 2));
        if let Some(hint) = &refusal.hint {
            page.extend(wrapped(&[(Tone::Text, format!("  hint: {hint}"))], columns, 4));
        }
    }
    if plan.is_stopped() {
        page.push(Row::new());
        page.push(row(
            Tone::Warn,
            "It cannot be started so. Nothing was changed. Esc leaves.",
        ));
        page.push(Row::new());
    }
    page.extend(releases(plan, columns));
    page.extend(named("changes", &plan.changes, columns));
    page.extend(named("order", &plan.order, columns));
    page.extend(named("tests", &plan.tests, columns));
    page.extend(named("undo", &plan.undo, columns));
    let time = match plan.estimate {
        Some(estimate) => format!("~{}", short_span(estimate)),
        None => "not known: there was no such run before".to_owned(),
    };
    page.push(entry("time", NAMES, Tone::Text, time));
    if let Some(reason) = &plan.request.reason {
        page.extend(named("reason", std::slice::from_ref(reason), columns));
    }
    for warning in &plan.warnings {
        page.extend(wrapped(&[(Tone::Warn, format!("▲ {warning}"))], columns, 2));
    }
    page
}

/// From which release to which, and what will run.
fn releases(plan: &PlanView, columns: usize) -> Vec<Row> {
    let mut page = Vec::new();
    let mut now: Vec<(Option<ReleaseNumber>, Vec<String>)> = Vec::new();
    for (host, release) in &plan.hosts {
        match now.iter_mut().find(|(known, _)| known == release) {
            Some((_, hosts)) => hosts.push(host.to_string()),
            None => now.push((*release, vec![host.to_string()])),
        }
    }
    if let Some(to) = plan.to {
        let only = now.len() == 1;
        for (release, hosts) in &now {
            let from = release.map_or_else(|| "nothing".to_owned(), |release| release.to_string());
            let on = if only {
                String::new()
            } else {
                format!("  on {}", hosts.join(", "))
            };
            page.push(entry("release", NAMES, Tone::Text, format!("{from} → {to}{on}")));
        }
    }
    let image = match &plan.image_id {
        Some(id) => format!("{}  {}", plan.image, short(id)),
        None => plan.image.clone(),
    };
    if !image.is_empty() {
        page.extend(named("image", &[image], columns));
    }
    page
}

fn short(id: &str) -> &str {
    id.get(..19).unwrap_or(id)
}

/// A name at the left, its lines under each other at the right.
fn named(name: &str, lines: &[String], columns: usize) -> Vec<Row> {
    let room = columns.saturating_sub(NAMES + 2).max(12);
    let mut page = Vec::new();
    for line in lines {
        let line = clean(line);
        for part in broken(&line, room) {
            let name = if page.is_empty() { name } else { "" };
            page.push(entry(name, NAMES, Tone::Text, part));
        }
    }
    page
}

/// Words over as many rows as they need, the later ones indented.
#[must_use]
pub fn wrapped(words: &[(Tone, String)], columns: usize, indent: usize) -> Vec<Row> {
    let room = columns.saturating_sub(indent + 2).max(12);
    let mut page = Vec::new();
    for (tone, text) in words {
        let text = clean(text);
        for part in broken(&text, room) {
            let before = if page.is_empty() { 0 } else { indent };
            page.push(row(*tone, format!("{}{part}", " ".repeat(before))));
        }
    }
    page
}

/// What stands between the service and the hosts.
#[must_use]
pub fn toward(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Build | RunKind::Test | RunKind::Adopt => "on",
        RunKind::Push => "from",
        RunKind::Deploy | RunKind::Rollback | RunKind::Pipeline => "to",
    }
}

/// `Deploy shop`
#[must_use]
pub fn title(request: &RunRequest) -> String {
    let subject = request.subject();
    if let Some(from) = request.origin_words() {
        return format!("Promote {from} to {subject}");
    }
    match request.kind {
        RunKind::Rollback => format!("Roll {subject} back"),
        RunKind::Pipeline => format!("Run the pipeline of {subject}"),
        kind => format!("{} {subject}", capital(kind.word())),
    }
}

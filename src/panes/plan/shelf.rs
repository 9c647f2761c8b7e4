//! The releases a service can be rolled back to, one per row, with the default selected and details of the selected one.
//! Choosing one only opens its plan, which asks before anything is changed.

use super::content::wrapped;
use crate::app::cursor::{Cursor, Motion};
use crate::domain::ids::{HostName, ReleaseNumber};
use crate::domain::plan::{KnownRelease, PlanView};
use crate::domain::run::RunKind;
use crate::domain::units::{Stamp, short_span};
use crate::panes::page::{Row, Tone, row};
use crate::ui::ansi::{clean, fit};

/// The title, the names of the columns, and what is said of the selected one below.
const BESIDE: usize = 10;

#[derive(Clone, Debug)]
pub struct Shelf {
    /// Of the default rollback; the releases are in it.
    pub plan: Box<PlanView>,
    cursor: Cursor<ReleaseNumber>,
}

impl Shelf {
    /// On the usual one; where there is none, on the newest that can be gone back to.
    #[must_use]
    pub fn new(plan: Box<PlanView>, height: usize) -> Self {
        let releases = &plan.releases;
        let usual = releases.iter().find(|one| one.default);
        let usual = usual.or_else(|| releases.iter().find(|one| one.refused.is_none()));
        let mut cursor = Cursor::default();
        if let Some(usual) = usual {
            cursor.select(usual.release);
        }
        let mut shelf = Self { plan, cursor };
        shelf.cursor.settle(&shelf.numbers(), list_height(height));
        shelf
    }

    fn numbers(&self) -> Vec<ReleaseNumber> {
        self.plan.releases.iter().map(|one| one.release).collect()
    }

    pub fn step(&mut self, motion: Motion, height: usize) {
        let numbers = self.numbers();
        self.cursor.step(&numbers, list_height(height), motion);
    }

    #[must_use]
    pub fn selected(&self) -> Option<&KnownRelease> {
        self.plan.releases.get(self.cursor.row())
    }

    #[must_use]
    pub fn rows(&self, columns: usize, height: usize, now: Stamp) -> Vec<Row> {
        let releases = &self.plan.releases;
        let all: Vec<HostName> = self.plan.hosts.iter().map(|(host, _)| host.clone()).collect();
        let title = format!("Roll {} back to which release?", self.plan.request.subject());
        let mut page = vec![row(Tone::Accent, title), Row::new()];
        page.push(row(Tone::Dim, cells(HEAD, columns)));
        let (top, shown) = (self.cursor.top(), list_height(height));
        for (at, one) in releases.iter().enumerate().skip(top).take(shown) {
            let is_selected = at == self.cursor.row();
            let tone = match (is_selected, &one.refused) {
                (true, _) => Tone::Accent,
                (false, Some(_)) => Tone::Dim,
                (false, None) => Tone::Text,
            };
            page.push(row(tone, line(one, is_selected, (&all, now), columns)));
        }
        let below = releases.len().saturating_sub(top + shown);
        if below > 0 {
            page.push(row(Tone::Dim, format!("  and {below} older ones below")));
        }
        page.push(Row::new());
        if let Some(one) = self.selected() {
            page.extend(wrapped(&told(one, &all), columns, 2));
        }
        page.push(row(
            Tone::Dim,
            "Enter shows its plan and asks before anything is changed. Esc leaves.",
        ));
        page
    }
}

fn list_height(height: usize) -> usize {
    height.saturating_sub(BESIDE).max(3)
}

const HEAD: [&str; 7] = ["", "RELEASE", "AGO", "WHO", "IMAGE", "GIT", "KEPT"];

/// Of a line, each in its column; what does not fit is cut, the last takes what is left.
fn cells(words: [&str; 7], columns: usize) -> String {
    let image = columns.saturating_sub(2 + 8 + 8 + 12 + 9 + 24).clamp(14, 44);
    let widths = [2, 8, 8, 12, image, 9];
    let cut = |(word, width): (&&str, usize)| {
        let room = if width > 2 { width - 1 } else { width };
        format!("{:<width$}", fit(word, room, "…"))
    };
    let mut line: String = words.iter().zip(widths).map(cut).collect();
    line.push_str(words.last().copied().unwrap_or_default());
    line
}

fn line(one: &KnownRelease, is_selected: bool, of: (&[HostName], Stamp), columns: usize) -> String {
    let (all, now) = of;
    let ago = one
        .at
        .map_or_else(|| "–".to_owned(), |at| short_span(at.until(now)));
    let who = clean(one.by.as_deref().unwrap_or("–")).into_owned();
    let git = one.git.as_deref().map_or("–", |git| git.get(..7).unwrap_or(git));
    let kept = match (one.runs, one.default, &one.refused) {
        (true, true, _) => "runs (usual)".to_owned(),
        (true, false, _) => "runs now".to_owned(),
        (false, true, _) => format!("{} (usual)", kept(one, all)),
        (false, false, Some(_)) => "no rollback".to_owned(),
        (false, false, None) => kept(one, all),
    };
    let release = one.release.to_string();
    let image = clean(&image(one)).into_owned();
    let mark = if is_selected { ">" } else { "" };
    cells([mark, &release, &ago, &who, &image, git, &kept], columns)
}

/// What people call it; without that, which it is.
fn image(one: &KnownRelease) -> String {
    match (&one.image, one.reference.is_empty()) {
        (Some(id), true) => id.short().to_owned(),
        (None, true) => "–".to_owned(),
        // Its registry is said of the selected one.
        (_, false) => one.reference.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

/// `kept`, `kept on web-1`, `made again`.
#[must_use]
pub fn kept(one: &KnownRelease, all: &[HostName]) -> String {
    if one.kept.is_empty() {
        return "created again".to_owned();
    }
    if all.iter().all(|host| one.kept.contains(host)) {
        return "kept".to_owned();
    }
    let names: Vec<&str> = one.kept.iter().map(HostName::as_str).collect();
    format!("kept on {}", names.join(", "))
}

/// All that is known of the selected one.
fn told(one: &KnownRelease, all: &[HostName]) -> Vec<(Tone, String)> {
    let verb = match one.kind {
        Some(RunKind::Adopt) => "was adopted",
        Some(_) => "was deployed",
        None => "is known from labels only",
    };
    let by = one.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = one
        .reason
        .as_ref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    let mut told = vec![(Tone::Text, format!("{} {verb}{by}{why}", one.release))];
    let id = one
        .image
        .as_ref()
        .map(|id| format!("  {}", id.short()))
        .unwrap_or_default();
    let digest = one
        .digest
        .as_ref()
        .map(|digest| format!("  {}", digest.short()))
        .unwrap_or_default();
    let image = format!("{}{id}{digest}", one.reference);
    if !image.is_empty() {
        told.push((Tone::Dim, format!("image {image}")));
    }
    if let Some(why) = &one.refused {
        told.push((Tone::Warn, format!("it cannot be rolled back to: {why}")));
        return told;
    }
    let again: Vec<&str> = all
        .iter()
        .filter(|host| !one.kept.contains(host))
        .map(HostName::as_str)
        .collect();
    if again.is_empty() {
        told.push((
            Tone::Text,
            "its containers are retained on every host and are started unchanged".to_owned(),
        ));
    } else {
        told.push((
            Tone::Warn,
            format!(
                "created again from the ledger, with the current secrets, on {}",
                again.join(", ")
            ),
        ));
    }
    told
}

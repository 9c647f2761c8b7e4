//! Navigation in the logs: motions, matches, marks, display options.
//! Uses the page for everything about rows; draws nothing.

use super::patterns::Wish;
use super::scroll::{Page, Roll, Scroll, Step};
use super::state::{Logs, Seek, TIME_WIDTH, Typing, WIDEST_LABEL};
use super::{index, shape, wrap};
use crate::domain::logs::Stream;

/// Narrower pages have no room for times.
const NARROW: usize = 50;

/// Columns before the text of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gutter {
    pub time: usize,
    pub label: usize,
    pub all: usize,
}

impl Logs {
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.scroll == Scroll::Following
    }

    pub fn step(&mut self, step: Step, page: Page) {
        self.scroll = self.scroll.step(step, self.roll(), page, self.height(page));
        self.seeking = None;
    }

    /// Stays at what is shown now, or follows again.
    pub fn toggle_following(&mut self, page: Page) {
        let roll = self.roll();
        self.scroll = match (self.scroll, self.visible(page).first(), roll.last()) {
            (Scroll::Following, Some((top, above)), Some(cursor)) => Scroll::At {
                top: *top,
                above: *above,
                cursor,
            },
            _ => Scroll::Following,
        };
    }

    /// Columns to the right, or to the left; wrapped lines have none to go to.
    pub fn pan(&mut self, columns: isize) {
        if !self.shown.wrap {
            self.shift = self.shift.saturating_add_signed(columns);
        }
    }

    #[must_use]
    pub fn shift(&self) -> usize {
        self.shift
    }

    pub fn toggle_timestamps(&mut self) {
        self.shown.timestamps = !self.shown.timestamps;
    }

    pub fn toggle_wrap(&mut self) {
        self.shown.wrap = !self.shown.wrap;
        self.shift = 0;
    }

    /// What is searched and filtered is what is shown, so both begin anew.
    pub fn toggle_json(&mut self) {
        self.shown.json = !self.shown.json;
        self.patterns.restart(&self.ring, self.shown.json);
    }

    /// Takes a pattern up at once, in place of another of its kind.
    pub fn wish(&mut self, wish: Wish<'_>, page: Page) {
        self.patterns.set(wish, &self.ring);
        self.advance(page);
    }

    /// A pattern as it is being typed, with every key; without any text all is as before the typing.
    pub fn typed(&mut self, text: &str, page: Page) {
        if let Some(typing) = &self.typing {
            self.patterns.restore(&typing.before, &self.ring);
        } else {
            let before = self.patterns.texts();
            let text = String::new();
            self.typing = Some(Typing { before, text });
        }
        if text.is_empty() {
            self.typing = None;
            return;
        }
        if let Some(typing) = &mut self.typing {
            text.clone_into(&mut typing.text);
        }
        self.wish(Wish::of(text), page);
    }

    /// The typing is over: goes to the newest match at or before where one is. Nothing typed: the search ends.
    pub fn entered(&mut self, page: Page) {
        match self.typing.take() {
            None => self.patterns.set(Wish::Search(""), &self.ring),
            Some(typing) if self.patterns.bad().is_some() => {
                self.patterns.restore(&typing.before, &self.ring);
            }
            Some(typing) => {
                let at = self.cursor_or_last();
                let is_hit =
                    at.is_some_and(|at| self.patterns.found().is_some_and(|found| found.contains(&at)));
                if matches!(Wish::of(&typing.text), Wish::Search(_)) && !is_hit {
                    self.seek(Seek::Earlier, page);
                }
            }
        }
    }

    fn cursor_or_last(&self) -> Option<u64> {
        self.scroll.cursor(self.roll())
    }

    /// Marks go first, then the search, then the filter. Was there anything?
    pub fn clear_one(&mut self) -> bool {
        if !std::mem::take(&mut self.marked).is_empty() {
            return true;
        }
        self.seeking = None;
        self.patterns.clear_one()
    }

    /// A bounded part of the work that filter and search still have. Is there more?
    pub fn advance(&mut self, page: Page) -> bool {
        self.patterns.advance(&self.ring);
        if let Some(seek) = self.seeking {
            self.seek(seek, page);
        }
        !self.patterns.is_complete(&self.ring)
    }

    /// Goes to the next match that is shown. `false`: there is none, or none yet.
    pub fn seek(&mut self, seek: Seek, page: Page) -> bool {
        let roll = self.roll();
        let (Some(cursor), Some(found)) = (self.scroll.cursor(roll), self.patterns.found()) else {
            return false;
        };
        let hits = Roll {
            only: Some(found),
            ..roll
        };
        let next = |from| match seek {
            Seek::Later => hits.after(from),
            Seek::Earlier => hits.before(from),
        };
        let mut to = next(cursor);
        while let Some(number) = to.filter(|number| !roll.holds(*number)) {
            to = next(number);
        }
        if let Some(number) = to {
            self.scroll = self.scroll.jump(number, roll, page, self.height(page));
        }
        let unsure = to.is_none() && !self.patterns.is_complete(&self.ring);
        self.seeking = unsure.then_some(seek);
        to.is_some()
    }

    #[must_use]
    pub fn is_seeking(&self) -> bool {
        self.seeking.is_some()
    }

    /// Marks the line one is at, or takes its mark away, and goes on to the next.
    pub fn mark(&mut self, page: Page) {
        let Some(number) = self.scroll.cursor(self.roll()) else {
            return;
        };
        if !self.marked.remove(&number) {
            self.marked.insert(number);
        }
        if self.is_following() {
            self.toggle_following(page);
        } else if self.roll().after(number).is_some() {
            self.step(Step::Down, page);
        }
    }

    #[must_use]
    pub fn is_marked(&self, number: u64) -> bool {
        self.marked.contains(&number)
    }

    #[must_use]
    pub fn marked(&self) -> usize {
        self.marked.len()
    }

    /// What is on the page: line numbers, each with its rows above the page.
    #[must_use]
    pub fn visible(&self, page: Page) -> Vec<(u64, usize)> {
        self.scroll.visible(self.roll(), page, self.height(page))
    }

    /// The line one is at; none while following.
    #[must_use]
    pub fn cursor(&self) -> Option<u64> {
        match self.scroll {
            Scroll::Following => None,
            Scroll::At { .. } => self.scroll.cursor(self.roll()),
        }
    }

    /// Shown lines that came after the page one stays at.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let roll = self.roll();
        self.cursor().is_some_and(|cursor| roll.after(cursor).is_some())
    }

    /// Columns of the parts before the text: time, source; with the margin before and the stream's sign after them.
    #[must_use]
    pub fn gutter(&self, page: Page) -> Gutter {
        let time = if self.shown.timestamps && page.columns >= NARROW {
            TIME_WIDTH
        } else {
            0
        };
        let label = self
            .sources
            .label_width()
            .min(WIDEST_LABEL)
            .min(page.columns * 3 / 10);
        let between = usize::from(time > 0 && label > 0);
        Gutter {
            time,
            label,
            all: 1 + time + between + label + 1,
        }
    }

    /// Rows that a line takes on the page.
    pub(super) fn height(&self, page: Page) -> impl Fn(u64) -> usize {
        let columns = self.text_columns(page);
        move |number| match self.ring.get(number) {
            Some(line) if self.shown.wrap && line.stream != Stream::Notice => {
                wrap::rows(&shape::readable(&line.text, self.shown.json), columns).len()
            }
            Some(_) | None => 1,
        }
    }

    #[must_use]
    pub fn text_columns(&self, page: Page) -> usize {
        page.columns.saturating_sub(self.gutter(page).all).max(1)
    }

    pub(super) fn roll(&self) -> Roll<'_> {
        Roll {
            first: self.ring.first(),
            end: index::end(&self.ring),
            only: self.patterns.shown(),
        }
    }
}

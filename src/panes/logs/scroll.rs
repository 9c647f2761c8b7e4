//! The scroll position in a log: at its end, following, or at a line that stays in place while others come and go.
//! Arithmetic on line numbers only; the height of a line is passed in.

use std::collections::VecDeque;

/// Rows and columns that lines are shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: usize,
    pub columns: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scroll {
    /// The newest line is at the bottom.
    Following,
    At {
        /// The line at the top.
        top: u64,
        /// Rows of it that are above the page: a line can be taller than the page.
        above: usize,
        /// The line that is marked, copied, searched from.
        cursor: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Up,
    Down,
    /// So many rows.
    Back(usize),
    Forward(usize),
    Top,
    End,
}

/// The lines that are shown: all from `first` up to `end`, or only these.
#[derive(Clone, Copy)]
pub struct Roll<'a> {
    pub first: u64,
    pub end: u64,
    pub only: Option<&'a VecDeque<u64>>,
}

impl Roll<'_> {
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.at_or_after(self.first)
    }

    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.before(self.end)
    }

    #[must_use]
    pub fn before(&self, number: u64) -> Option<u64> {
        match self.only {
            None => number
                .min(self.end)
                .checked_sub(1)
                .filter(|before| *before >= self.first),
            Some(hits) => {
                let at = hits.partition_point(|hit| *hit < number);
                hits.get(at.checked_sub(1)?)
                    .copied()
                    .filter(|hit| *hit >= self.first)
            }
        }
    }

    #[must_use]
    pub fn at_or_after(&self, number: u64) -> Option<u64> {
        let number = number.max(self.first);
        match self.only {
            None => (number < self.end).then_some(number),
            Some(hits) => hits.get(hits.partition_point(|hit| *hit < number)).copied(),
        }
    }

    #[must_use]
    pub fn after(&self, number: u64) -> Option<u64> {
        self.at_or_after(number.saturating_add(1))
    }

    #[must_use]
    pub fn holds(&self, number: u64) -> bool {
        self.at_or_after(number) == Some(number)
    }
}

impl Scroll {
    /// What is on the page, top down: line numbers, each with its rows above the page.
    #[must_use]
    pub fn visible(self, roll: Roll<'_>, page: Page, height: impl Fn(u64) -> usize) -> Vec<(u64, usize)> {
        let (mut line, mut above) = match self.top(roll, page, &height) {
            Some((top, above, _)) => (Some(top), above),
            None => return Vec::new(),
        };
        let mut visible = Vec::new();
        let mut rows = 0;
        while let Some(number) = line.filter(|_| rows < page.rows) {
            visible.push((number, above));
            rows += height(number).saturating_sub(above);
            above = 0;
            line = roll.after(number);
        }
        visible
    }

    /// The line that is marked, copied, searched from.
    #[must_use]
    pub fn cursor(self, roll: Roll<'_>) -> Option<u64> {
        match self {
            Self::Following => roll.last(),
            Self::At { cursor, .. } => roll.at_or_after(cursor).or_else(|| roll.last()),
        }
    }

    #[must_use]
    pub fn step(self, step: Step, roll: Roll<'_>, page: Page, height: impl Fn(u64) -> usize) -> Self {
        let Some((top, above, cursor)) = self.top(roll, page, &height) else {
            return Self::Following;
        };
        match step {
            Step::End => Self::Following,
            Step::Top => match roll.first() {
                Some(first) => at(first, 0, first),
                None => Self::Following,
            },
            Step::Up if cursor == top && above > 0 => at(top, above - 1, cursor),
            Step::Up => match roll.before(cursor) {
                Some(cursor) => Self::showing(cursor, top, above, roll, page, &height),
                None => at(top, 0, cursor),
            },
            Step::Down if cursor == top && height(top).saturating_sub(above) > page.rows => {
                at(top, above + 1, cursor)
            }
            Step::Down => match roll.after(cursor) {
                Some(cursor) => Self::showing(cursor, top, above, roll, page, &height),
                None => Self::Following,
            },
            Step::Back(rows) => {
                let (top, above) = back(top, above, rows, roll, &height);
                at(top, above, top)
            }
            Step::Forward(rows) => Self::forward(top, above, rows, roll, page, &height),
        }
    }

    /// Goes to a line, which then is in the middle of the page unless it is on it already.
    #[must_use]
    pub fn jump(self, to: u64, roll: Roll<'_>, page: Page, height: impl Fn(u64) -> usize) -> Self {
        let visible = self.visible(roll, page, &height);
        if let (Some((top, above)), Some((last, _))) = (visible.first(), visible.last())
            && (*top..*last).contains(&to)
        {
            return at(*top, *above, to);
        }
        let (top, above) = back(to, 0, page.rows / 2, roll, &height);
        at(top, above, to)
    }

    /// A line came late and took this number: what one reads stays where it is.
    #[must_use]
    pub fn after_insertion(self, number: u64) -> Self {
        let moved = |line: u64| line + u64::from(line >= number);
        match self {
            Self::Following => Self::Following,
            Self::At { top, above, cursor } => at(moved(top), above, moved(cursor)),
        }
    }

    /// Top line, its rows above the page, cursor; of lines that are there.
    fn top(self, roll: Roll<'_>, page: Page, height: &impl Fn(u64) -> usize) -> Option<(u64, usize, u64)> {
        let last = roll.last()?;
        let at_end = || {
            let all = height(last);
            let (top, above) = back(last, all, page.rows, roll, height);
            (top, above, last)
        };
        match self {
            Self::Following => Some(at_end()),
            Self::At { top, above, cursor } => {
                let cursor = roll.at_or_after(cursor).unwrap_or(last);
                let there = roll.at_or_after(top).unwrap_or(last);
                let above = if there == top {
                    above.min(height(top).saturating_sub(1))
                } else {
                    0
                };
                let (end_top, end_above, _) = at_end();
                // Never blank rows below the last line while there are lines above.
                if (there, above) > (end_top, end_above) {
                    return Some((end_top, end_above, cursor));
                }
                Some((there, above, cursor))
            }
        }
    }

    /// The same page moved as little as shows the cursor's line whole, or its beginning.
    fn showing(
        cursor: u64,
        top: u64,
        above: usize,
        roll: Roll<'_>,
        page: Page,
        height: &impl Fn(u64) -> usize,
    ) -> Self {
        if cursor <= top {
            return at(cursor, 0, cursor);
        }
        let own = height(cursor);
        let (lowest, lowest_above) = back(cursor, own.min(page.rows), page.rows, roll, height);
        if (top, above) < (lowest, lowest_above) {
            return at(lowest, lowest_above, cursor);
        }
        at(top, above, cursor)
    }

    fn forward(
        top: u64,
        above: usize,
        rows: usize,
        roll: Roll<'_>,
        page: Page,
        height: &impl Fn(u64) -> usize,
    ) -> Self {
        let (mut line, mut above, mut left) = (top, above, rows);
        loop {
            let here = height(line).saturating_sub(above);
            if here > left {
                above += left;
                break;
            }
            left -= here;
            match roll.after(line) {
                Some(next) => (line, above) = (next, 0),
                None => return Self::Following,
            }
        }
        let moved = at(line, above, line);
        let visible = moved.visible(roll, page, height);
        let last = visible.last().map_or(line, |(number, _)| *number);
        if roll.last() == Some(last) {
            return Self::Following;
        }
        at(line, above, last)
    }
}

fn at(top: u64, above: usize, cursor: u64) -> Scroll {
    Scroll::At { top, above, cursor }
}

/// So many rows up from a row of a line, or the very first.
fn back(
    line: u64,
    above: usize,
    rows: usize,
    roll: Roll<'_>,
    height: &impl Fn(u64) -> usize,
) -> (u64, usize) {
    let (mut line, mut above, mut left) = (line, above, rows);
    while left > above {
        left -= above;
        match roll.before(line) {
            Some(before) => (line, above) = (before, height(before)),
            None => return (line, 0),
        }
    }
    (line, above - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { rows: 4, columns: 80 };

    fn all(first: u64, end: u64) -> Roll<'static> {
        Roll {
            first,
            end,
            only: None,
        }
    }

    fn one(_: u64) -> usize {
        1
    }

    fn lines(scroll: Scroll, roll: Roll<'_>) -> Vec<u64> {
        let visible = scroll.visible(roll, PAGE, one);
        visible.into_iter().map(|(number, _)| number).collect()
    }

    fn walk(steps: &[Step], roll: Roll<'_>) -> Scroll {
        let step = |scroll: Scroll, step: &Step| scroll.step(*step, roll, PAGE, one);
        steps.iter().fold(Scroll::Following, step)
    }

    #[test]
    fn following_shows_the_end() {
        assert_eq!(lines(Scroll::Following, all(0, 10)), [6, 7, 8, 9]);
        assert_eq!(lines(Scroll::Following, all(0, 2)), [0, 1]);
        assert_eq!(lines(Scroll::Following, all(5, 5)), Vec::<u64>::new());
    }

    #[test]
    fn going_up_stops_following_and_going_down_past_the_end_follows_again() {
        let up = walk(&[Step::Up], all(0, 10));
        assert_eq!(up, at(6, 0, 8));
        assert_eq!(lines(up, all(0, 20)), [6, 7, 8, 9], "new lines move nothing");
        assert_eq!(
            walk(&[Step::Up, Step::Down, Step::Down], all(0, 10)),
            Scroll::Following
        );
    }

    #[test]
    fn the_cursor_takes_the_page_along() {
        assert_eq!(walk(&[Step::Up; 5], all(0, 10)), at(4, 0, 4));
        let back_down = walk(&[&[Step::Up; 5][..], &[Step::Down; 4][..]].concat(), all(0, 10));
        assert_eq!(back_down, at(5, 0, 8));
    }

    #[test]
    fn a_view_stays_put_while_old_lines_fall_out_and_moves_on_when_its_own_go() {
        let read = walk(&[Step::Back(4)], all(0, 20));
        assert_eq!(lines(read, all(8, 40)), [12, 13, 14, 15]);
        assert_eq!(lines(read, all(14, 46)), [14, 15, 16, 17]);
    }

    #[test]
    fn pages_go_back_and_forward() {
        let two_back = walk(&[Step::Back(4), Step::Back(4)], all(0, 20));
        assert_eq!(lines(two_back, all(0, 20)), [8, 9, 10, 11]);
        let forward = two_back.step(Step::Forward(4), all(0, 20), PAGE, one);
        assert_eq!(lines(forward, all(0, 20)), [12, 13, 14, 15]);
        assert_eq!(
            walk(&[Step::Back(4), Step::Forward(4)], all(0, 20)),
            Scroll::Following
        );
        assert_eq!(lines(walk(&[Step::Top], all(3, 20)), all(3, 20)), [3, 4, 5, 6]);
    }

    #[test]
    fn only_what_is_shown_is_stepped_on() {
        let hits = VecDeque::from([2, 5, 9]);
        let roll = Roll {
            first: 0,
            end: 10,
            only: Some(&hits),
        };
        assert_eq!(lines(Scroll::Following, roll), [2, 5, 9]);
        let up = Scroll::Following.step(Step::Up, roll, PAGE, one);
        assert_eq!(up.cursor(roll), Some(5));
        assert_eq!(at(0, 0, 6).cursor(roll), Some(9));
    }

    #[test]
    fn a_line_taller_than_the_page_can_be_read_to_its_end() {
        let tall = |number: u64| if number == 1 { 10 } else { 1 };
        let roll = all(0, 3);
        let mut scroll = Scroll::Following.step(Step::Top, roll, PAGE, tall);
        let mut seen = Vec::new();
        for _ in 0..12 {
            scroll = scroll.step(Step::Down, roll, PAGE, tall);
            seen.push(scroll.visible(roll, PAGE, tall)[0]);
        }
        assert!(seen.contains(&(1, 0)) && seen.contains(&(1, 6)), "{seen:?}");
        assert_eq!(scroll, Scroll::Following);
    }

    #[test]
    fn a_jump_shows_its_line_in_the_middle() {
        let roll = all(0, 100);
        let jumped = Scroll::Following.jump(50, roll, PAGE, one);
        assert_eq!(lines(jumped, roll), [48, 49, 50, 51]);
        assert_eq!(jumped.jump(49, roll, PAGE, one), at(48, 0, 49));
    }

    #[test]
    fn a_late_line_above_moves_the_numbers_not_the_view() {
        assert_eq!(at(5, 0, 7).after_insertion(3), at(6, 0, 8));
        assert_eq!(at(5, 0, 7).after_insertion(7), at(5, 0, 8));
    }
}

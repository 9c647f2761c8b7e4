//! The selection in a list that changes: kept by key, with the window of visible rows.
//! Falls back to a row number only if the key is gone.

use super::command::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    Up,
    Down,
    Top,
    Bottom,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
}

impl Motion {
    #[must_use]
    pub fn of(command: Command) -> Option<Self> {
        Some(match command {
            Command::Up => Self::Up,
            Command::Down => Self::Down,
            Command::Top => Self::Top,
            Command::Bottom => Self::Bottom,
            Command::PageUp => Self::PageUp,
            Command::PageDown => Self::PageDown,
            Command::HalfUp => Self::HalfUp,
            Command::HalfDown => Self::HalfDown,
            _ => return None,
        })
    }

    /// The row number after this motion, in a list of `len` rows of which `height` are visible.
    #[must_use]
    pub fn from(self, at: usize, len: usize, height: usize) -> usize {
        let page = height.max(1);
        let half = (height / 2).max(1);
        let to = match self {
            Self::Up => at.saturating_sub(1),
            Self::Down => at.saturating_add(1),
            Self::Top => 0,
            Self::Bottom => usize::MAX,
            Self::PageUp => at.saturating_sub(page),
            Self::PageDown => at.saturating_add(page),
            Self::HalfUp => at.saturating_sub(half),
            Self::HalfDown => at.saturating_add(half),
        };
        to.min(len.saturating_sub(1))
    }
}

#[derive(Clone, Debug)]
pub struct Cursor<K> {
    key: Option<K>,
    /// The last row of the key, used if the key is gone.
    row: usize,
    /// First row shown.
    top: usize,
    /// Whether it was moved or set on purpose; before that it has no position of its own.
    placed: bool,
    /// Whether the first rows were still arriving when it was last settled.
    arriving: bool,
}

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self {
            key: None,
            row: 0,
            top: 0,
            placed: false,
            arriving: false,
        }
    }
}

impl<K: Clone + PartialEq> Cursor<K> {
    #[must_use]
    pub fn key(&self) -> Option<&K> {
        self.key.as_ref()
    }

    #[must_use]
    pub fn row(&self) -> usize {
        self.row
    }

    #[must_use]
    pub fn top(&self) -> usize {
        self.top
    }

    /// Selects this key when the list is next settled.
    pub fn select(&mut self, key: K) {
        self.key = Some(key);
        self.placed = true;
    }

    /// Its row until it is moved for the first time, instead of the first one.
    pub fn land(&mut self, key: K) {
        if !self.placed && self.key.is_none() {
            self.key = Some(key);
        }
    }

    /// Set while the first rows are arriving: until it is moved it stays on the row that sorts first, not on the row that
    /// arrived first.
    pub fn arriving(&mut self, arriving: bool) {
        let before = std::mem::replace(&mut self.arriving, arriving);
        if !self.placed && (before || arriving) {
            (self.key, self.row, self.top) = (None, 0, 0);
        }
    }

    pub fn step(&mut self, keys: &[K], height: usize, motion: Motion) {
        self.settle(keys, height);
        let row = motion.from(self.row, keys.len(), height);
        self.key = keys.get(row).cloned();
        self.placed = true;
        self.settle(keys, height);
    }

    /// Updates it for a new list: the selection follows its key; if that is gone, it stays at its row.
    pub fn settle(&mut self, keys: &[K], height: usize) {
        let last = keys.len().saturating_sub(1);
        let found = self
            .key
            .as_ref()
            .and_then(|key| keys.iter().position(|other| other == key));
        self.row = found.unwrap_or_else(|| self.row.min(last));
        self.key = keys.get(self.row).cloned();
        let height = height.max(1);
        self.top = self
            .top
            .min(self.row)
            .max((self.row + 1).saturating_sub(height))
            .min(keys.len().saturating_sub(height.min(keys.len())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_with_its_key_when_rows_move() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], 2, Motion::Down);
        cursor.settle(&["x", "y", "a", "b"], 2);
        assert_eq!((cursor.key(), cursor.row(), cursor.top()), (Some(&"b"), 3, 2));
    }

    #[test]
    fn a_removed_row_leaves_the_selection_at_its_place() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], 9, Motion::Down);
        cursor.settle(&["a", "c"], 9);
        assert_eq!(cursor.key(), Some(&"c"));
        cursor.settle(&[], 9);
        assert_eq!(cursor.key(), None);
    }

    #[test]
    fn while_rows_arrive_it_is_on_the_first_until_it_was_moved() {
        let mut cursor = Cursor::default();
        let mut rows = |arriving, keys: &[&'static str]| {
            cursor.arriving(arriving);
            cursor.settle(keys, 9);
            cursor.key().copied()
        };
        assert_eq!(rows(true, &["m"]), Some("m"));
        assert_eq!(rows(false, &["g", "m"]), Some("g"), "the last ones arrived");
        assert_eq!(rows(false, &["a", "g", "m"]), Some("g"), "a row is new");
        assert_eq!(rows(true, &["a", "g", "m"]), Some("a"), "a host is new");
        cursor.step(&["a", "g", "m"], 9, Motion::Down);
        cursor.arriving(true);
        cursor.settle(&["0", "a", "g", "m"], 9);
        assert_eq!(cursor.key(), Some(&"g"));
    }

    #[test]
    fn pages_end_at_the_ends() {
        let keys: Vec<u32> = (0..10).collect();
        let mut cursor = Cursor::default();
        cursor.step(&keys, 4, Motion::PageDown);
        assert_eq!((cursor.row(), cursor.top()), (4, 1));
        cursor.step(&keys, 4, Motion::Bottom);
        assert_eq!((cursor.row(), cursor.top()), (9, 6));
        cursor.step(&keys, 4, Motion::PageUp);
        cursor.step(&keys, 4, Motion::PageUp);
        cursor.step(&keys, 4, Motion::PageUp);
        assert_eq!((cursor.row(), cursor.top()), (0, 0));
    }
}

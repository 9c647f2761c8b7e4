//! The patterns a person typed to find or hide lines, and the lines that match.
//! Tests a bounded number of lines at a time; an invalid pattern is kept as text and matches nothing.

use std::collections::VecDeque;

use regex::Regex;

use super::index::{self, Index};
use super::shape;
use crate::domain::logs::{LogLine, LogRing, Stream};

/// Lines tested before a frame: a few milliseconds at worst.
const PER_FRAME: usize = 2_000;

/// What a pattern is for, by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// `pattern`: highlighted, `n` and `N` go from one to the next.
    Search(&'a str),
    /// `&pattern`: only these lines.
    Keep(&'a str),
    /// `!pattern`: all but these.
    Hide(&'a str),
}

impl<'a> Wish<'a> {
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        if let Some(rest) = text.strip_prefix('!') {
            Self::Hide(rest)
        } else if let Some(rest) = text.strip_prefix('&') {
            Self::Keep(rest)
        } else {
            Self::Search(text)
        }
    }
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    regex: Regex,
}

#[derive(Clone, Debug)]
pub struct Patterns {
    /// Only lines that match are shown, and none that match the other.
    keep: Option<Pattern>,
    hide: Option<Pattern>,
    /// The shown lines; absent without a filter.
    shown: Option<Index>,
    search: Option<(Pattern, Index)>,
    /// Why what is being typed is no pattern.
    bad: Option<String>,
    /// JSON is read as it is shown.
    json: bool,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            keep: None,
            hide: None,
            shown: None,
            search: None,
            bad: None,
            json: true,
        }
    }
}

/// The texts of all patterns, to come back to when the typing of another is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub keep: Option<String>,
    pub hide: Option<String>,
    pub search: Option<String>,
}

impl Patterns {
    /// An empty text takes the pattern of its kind away.
    pub fn set(&mut self, wish: Wish<'_>, ring: &LogRing) {
        self.bad = None;
        let (Wish::Search(text) | Wish::Keep(text) | Wish::Hide(text)) = wish;
        let pattern = match index::pattern(text) {
            Ok(_) if text.is_empty() => None,
            Ok(regex) => Some(Pattern {
                text: text.to_owned(),
                regex,
            }),
            Err(why) => {
                self.bad = Some(why);
                return;
            }
        };
        match wish {
            Wish::Search(_) => self.search = pattern.map(|pattern| (pattern, Index::new(ring))),
            Wish::Keep(_) => self.keep = pattern,
            Wish::Hide(_) => self.hide = pattern,
        }
        if !matches!(wish, Wish::Search(_)) {
            self.shown = self.filters().then(|| Index::new(ring));
        }
    }

    #[must_use]
    pub fn texts(&self) -> Texts {
        let text = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.text.clone());
        Texts {
            keep: text(&self.keep),
            hide: text(&self.hide),
            search: self.search.as_ref().map(|(pattern, _)| pattern.text.clone()),
        }
    }

    pub fn restore(&mut self, texts: &Texts, ring: &LogRing) {
        let now = self.texts();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        if now.keep != texts.keep {
            self.set(Wish::Keep(&text(&texts.keep)), ring);
        }
        if now.hide != texts.hide {
            self.set(Wish::Hide(&text(&texts.hide)), ring);
        }
        if now.search != texts.search {
            self.set(Wish::Search(&text(&texts.search)), ring);
        }
        self.bad = None;
    }

    /// The search goes first, then the filter. Was there anything?
    pub fn clear_one(&mut self) -> bool {
        self.bad = None;
        if self.search.take().is_some() {
            return true;
        }
        let filtered = self.filters();
        (self.keep, self.hide, self.shown) = (None, None, None);
        filtered
    }

    #[must_use]
    pub fn bad(&self) -> Option<&str> {
        self.bad.as_deref()
    }

    /// What is highlighted.
    #[must_use]
    pub fn highlight(&self) -> Option<&Regex> {
        self.search.as_ref().map(|(pattern, _)| &pattern.regex)
    }

    /// The lines that are shown; `None`: all.
    #[must_use]
    pub fn shown(&self) -> Option<&VecDeque<u64>> {
        self.shown.as_ref().map(Index::hits)
    }

    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.shown.as_ref().map_or(0, Index::misses)
    }

    #[must_use]
    pub fn found(&self) -> Option<&VecDeque<u64>> {
        self.search.as_ref().map(|(_, index)| index.hits())
    }

    #[must_use]
    pub fn is_complete(&self, ring: &LogRing) -> bool {
        let found = self.search.as_ref().map(|(_, index)| index);
        self.shown
            .iter()
            .chain(found)
            .all(|index| index.is_complete(ring))
    }

    /// Tests some of the lines that were not tested yet.
    pub fn advance(&mut self, ring: &LogRing) {
        let json = self.json;
        if let Some(mut shown) = self.shown.take() {
            shown.advance(ring, PER_FRAME, |line| self.shows(line));
            self.shown = Some(shown);
        }
        if let Some((pattern, index)) = &mut self.search {
            index.advance(ring, PER_FRAME, |line| matches(pattern, line, json));
        }
    }

    /// A line came late and took this number.
    pub fn inserted(&mut self, number: u64, ring: &LogRing) {
        let json = self.json;
        if let Some(mut shown) = self.shown.take() {
            shown.inserted(number, ring, |line| self.shows(line));
            self.shown = Some(shown);
        }
        if let Some((pattern, index)) = &mut self.search {
            index.inserted(number, ring, |line| matches(pattern, line, json));
        }
    }

    /// The lines are others now, or read otherwise: all is tested again.
    pub fn restart(&mut self, ring: &LogRing, json: bool) {
        self.json = json;
        self.shown = self.filters().then(|| Index::new(ring));
        if let Some((_, index)) = &mut self.search {
            *index = Index::new(ring);
        }
    }

    fn filters(&self) -> bool {
        self.keep.is_some() || self.hide.is_some()
    }

    /// Our own words are never hidden.
    fn shows(&self, line: &LogLine) -> bool {
        if line.stream == Stream::Notice {
            return true;
        }
        let text = shape::readable(&line.text, self.json);
        let is_in = |pattern: &Pattern| pattern.regex.is_match(&text);
        self.keep.as_ref().is_none_or(is_in) && !self.hide.as_ref().is_some_and(is_in)
    }
}

fn matches(pattern: &Pattern, line: &LogLine, json: bool) -> bool {
    line.stream != Stream::Notice && pattern.regex.is_match(&shape::readable(&line.text, json))
}

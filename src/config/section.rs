//! A table of the file being read: keys are taken one by one, and remaining ones are faults.
//! Never stops at the first fault: what cannot be read is `None` and reported.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Faults, Wrong};
use super::nearest::nearest;
use super::source::Source;

/// Where a value stands and whom to tell what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'s> {
    pub(super) source: &'s Source,
    pub(super) faults: &'s Faults,
}

/// One value with its place and its name: ``the `deploy.keep` of …``.
#[derive(Clone, Debug)]
pub(super) struct Value<'s> {
    pub(super) place: Place<'s>,
    /// Its key, as the file writes it.
    pub(super) key: String,
    pub(super) at: Range<usize>,
    content: &'s DeValue<'s>,
}

#[must_use = "`finish` says which keys nobody knows"]
#[derive(Debug)]
pub(super) struct Section<'s> {
    pub(super) place: Place<'s>,
    pub(super) at: Range<usize>,
    /// `[services.deploy]`, for messages.
    title: String,
    table: &'s DeTable<'s>,
    left: BTreeMap<&'s str, (Range<usize>, &'s Spanned<DeValue<'s>>)>,
    known: Vec<&'static str>,
}

impl<'s> Section<'s> {
    pub(super) fn new(
        place: Place<'s>,
        at: Range<usize>,
        title: impl Into<String>,
        table: &'s DeTable<'s>,
    ) -> Self {
        let left = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), (key.span(), value)))
            .collect();
        Self {
            place,
            at,
            title: title.into(),
            table,
            left,
            known: Vec::new(),
        }
    }

    /// The value of a key that may be absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'s>> {
        self.known.push(key);
        let (_, value) = self.left.remove(key)?;
        Some(Value {
            place: self.place,
            key: key.to_owned(),
            at: value.span(),
            content: value.get_ref(),
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Option<Value<'s>> {
        let value = self.take(key);
        if value.is_none() && !self.place.source.broken {
            self.fault(Wrong::new(format!("{} has no `{key}`", self.title)));
        }
        value
    }

    /// All keys, whatever they are called: for tables that map names of the user's own.
    pub(super) fn take_all(&mut self) -> Vec<Value<'s>> {
        std::mem::take(&mut self.left)
            .into_iter()
            .map(|(key, (_, value))| Value {
                place: self.place,
                key: key.to_owned(),
                at: value.span(),
                content: value.get_ref(),
            })
            .collect()
    }

    /// All of it as it was written, whatever was taken since.
    pub(super) fn table(&self) -> &'s DeTable<'s> {
        self.table
    }

    /// A key that has a meaning elsewhere and none here.
    pub(super) fn refuse(&mut self, key: &str, wrong: Wrong) {
        if let Some((at, _)) = self.left.remove(key) {
            self.place.source.fault(self.place.faults, &at, wrong);
        }
    }

    /// A fault of the table as a whole.
    pub(super) fn fault(&self, wrong: Wrong) {
        self.place.source.fault(self.place.faults, &self.at, wrong);
    }

    /// Says which keys nobody took.
    pub(super) fn finish(self) {
        for (key, (at, _)) in &self.left {
            let mut wrong = Wrong::new(format!("unknown key `{key}` in {}", self.title));
            wrong = match nearest(key, self.known.iter().copied()) {
                Some(meant) => wrong.hint(format!("did you mean `{meant}`?")),
                None => wrong.hint(format!("it may hold {}", listed(&self.known))),
            };
            self.place.source.fault(self.place.faults, at, wrong);
        }
    }
}

impl<'s> Value<'s> {
    pub(super) fn fault(&self, wrong: Wrong) {
        self.place.source.fault(self.place.faults, &self.at, wrong);
    }

    fn wrong_type(&self, wanted: &str) -> Wrong {
        Wrong::new(format!(
            "`{}` must be {wanted}, not {}",
            self.key,
            kind(self.content)
        ))
    }

    /// Text without control characters: they never mean anything here.
    pub(super) fn text(&self) -> Option<&'s str> {
        match self.content {
            DeValue::String(text) if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) => {
                self.fault(Wrong::new(format!("`{}` holds control characters", self.key)));
                None
            }
            DeValue::String(text) => Some(text),
            DeValue::Integer(number) => {
                self.fault(
                    self.wrong_type("a string")
                        .hint(format!("write \"{}\"", number.as_str())),
                );
                None
            }
            DeValue::Boolean(word) => {
                self.fault(self.wrong_type("a string").hint(format!("write \"{word}\"")));
                None
            }
            _ => {
                self.fault(self.wrong_type("a string"));
                None
            }
        }
    }

    /// Text that is not empty.
    pub(super) fn word(&self) -> Option<&'s str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.fault(Wrong::new(format!("`{}` is empty", self.key)));
            return None;
        }
        Some(text)
    }

    /// Text made into something by `parse`; what it refuses is said at the value's place.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(Wrong {
                    what: format!("`{}`: {}", self.key, wrong.what),
                    hint: wrong.hint,
                });
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Clone>(&self, words: &[(&'static str, T)]) -> Option<T> {
        self.parsed(|text| {
            if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
                return Ok(value.clone());
            }
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Err(Wrong::new(format!("{text:?} is not known")).hint(format!("it may be {}", listed(&known))))
        })
    }

    /// A path, absolute from here on.
    pub(super) fn path(&self) -> Option<PathBuf> {
        Some(self.place.source.resolve(self.word()?))
    }

    pub(super) fn truth(&self) -> Option<bool> {
        if let DeValue::Boolean(truth) = self.content {
            return Some(*truth);
        }
        self.fault(self.wrong_type("`true` or `false`"));
        None
    }

    /// A whole number within limits.
    pub(super) fn whole(&self, limits: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(number) = self.content else {
            self.fault(self.wrong_type("a whole number"));
            return None;
        };
        let found = i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| limits.contains(number));
        if found.is_none() {
            self.fault(Wrong::new(format!(
                "`{}` must be from {} to {}, not {number}",
                self.key,
                limits.start(),
                limits.end()
            )));
        }
        found
    }

    /// A number that may have a fraction.
    pub(super) fn number(&self) -> Option<f64> {
        let number: Option<f64> = match self.content {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => {
                self.fault(self.wrong_type("a number"));
                return None;
            }
        };
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.fault(Wrong::new(format!("`{}` is not a usable number", self.key)));
        }
        number
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.content else {
            self.fault(self.wrong_type("a list"));
            return None;
        };
        let item = |value: &'s Spanned<DeValue<'s>>| Self {
            place: self.place,
            key: self.key.clone(),
            at: value.span(),
            content: value.get_ref(),
        };
        Some(items.iter().map(item).collect())
    }

    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let texts: Vec<Option<&str>> = items.iter().map(Self::text).collect();
        texts.into_iter().map(|text| text.map(str::to_owned)).collect()
    }

    /// One text, or a list of them.
    pub(super) fn text_or_texts(&self) -> Option<Vec<String>> {
        match self.content {
            DeValue::String(_) => Some(vec![self.text()?.to_owned()]),
            DeValue::Array(_) => self.texts(),
            _ => {
                self.fault(self.wrong_type("a string or a list of strings"));
                None
            }
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.content, DeValue::String(_))
    }

    pub(super) fn section(&self, title: impl Into<String>) -> Option<Section<'s>> {
        let DeValue::Table(table) = self.content else {
            self.fault(self.wrong_type("a table"));
            return None;
        };
        Some(Section::new(self.place, self.at.clone(), title, table))
    }

    /// `[[title]]`, any number of times.
    pub(super) fn sections(&self, title: &str) -> Vec<Section<'s>> {
        let DeValue::Array(items) = self.content else {
            let hint = format!("write [[{title}]], with two brackets, once for each");
            self.fault(self.wrong_type("a list of tables").hint(hint));
            return Vec::new();
        };
        let items: Vec<Self> = items
            .iter()
            .map(|value| Self {
                place: self.place,
                key: self.key.clone(),
                at: value.span(),
                content: value.get_ref(),
            })
            .collect();
        items
            .iter()
            .filter_map(|item| item.section(format!("[[{title}]]")))
            .collect()
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a`, `b` or `c`, each in quotes of code.
fn listed(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

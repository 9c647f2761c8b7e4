//! A filter over rows: words that must all be found somewhere in the row; a leading `!` inverts.
//! Case is ignored; an empty filter lets everything through.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    text: String,
    words: Vec<String>,
    inverted: bool,
}

impl RowFilter {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (inverted, wanted) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            text: text.to_owned(),
            words: wanted
                .to_lowercase()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            inverted,
        }
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `filter: !db`, for the edge of a pane.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| format!("filter: {}", self.text))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// `fields`: everything of the row that can be read on the screen.
    #[must_use]
    pub fn admits(&self, fields: &[&str]) -> bool {
        let found = |word: &String| {
            fields
                .iter()
                .any(|field| field.to_lowercase().contains(word.as_str()))
        };
        self.words.is_empty() || self.words.iter().all(found) != self.inverted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_must_be_found_and_a_bang_inverts() {
        let row = ["shop.r42.1", "web-1", "running"];
        assert!(RowFilter::new("WEB shop").admits(&row));
        assert!(!RowFilter::new("web db").admits(&row));
        assert!(!RowFilter::new("!running").admits(&row));
        assert!(RowFilter::new("!").admits(&row), "nothing typed yet");
    }
}

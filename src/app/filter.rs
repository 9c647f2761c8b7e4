//! A filter over rows: words that must all be found somewhere in the row; a leading `!` inverts.
//! Case is ignored; an empty filter lets everything through.

use crate::domain::container::{Container, Group};
use crate::domain::ids::HostName;

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

    /// The text as typed.
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

    /// `fields`: all visible text of the row.
    #[must_use]
    pub fn admits(&self, fields: &[&str]) -> bool {
        let found = |word: &String| {
            fields
                .iter()
                .any(|field| field.to_lowercase().contains(word.as_str()))
        };
        self.words.is_empty() || self.words.iter().all(found) != self.inverted
    }

    #[must_use]
    pub fn admits_container(&self, host: &HostName, container: &Container) -> bool {
        if self.is_empty() {
            return true;
        }
        let group = match container.group() {
            Group::None => String::new(),
            group => group.to_string(),
        };
        self.admits(&[
            &container.name,
            host.as_str(),
            container.state.word(),
            container.health.word(),
            &container.image,
            &container.image_words(),
            &group,
            container.id.short(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::container::{Health, State, label};
    use crate::domain::ids::ContainerId;
    use crate::domain::units::Stamp;

    #[test]
    fn all_words_must_be_found_and_a_bang_inverts() {
        let row = ["shop.r42.1", "web-1", "running"];
        assert!(RowFilter::new("WEB shop").admits(&row));
        assert!(!RowFilter::new("web db").admits(&row));
        assert!(!RowFilter::new("!running").admits(&row));
        assert!(RowFilter::new("!").admits(&row), "nothing typed yet");
    }

    #[test]
    fn a_container_is_found_by_all_that_its_row_shows() {
        let labels = [(label::COMPOSE_PROJECT, "shop"), (label::COMPOSE_SERVICE, "web")];
        let container = Container {
            id: ContainerId::parse(&"ab12".repeat(16)).unwrap(),
            name: "shop-web-1".into(),
            image: "nginx:1.27".into(),
            image_id: None,
            command: "nginx".into(),
            created: Stamp::from_seconds(0),
            state: State::Created,
            health: Health::Starting,
            ports: Vec::new(),
            labels: Arc::new(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
        };
        let host = HostName::parse("web-1").unwrap();
        for text in ["shop/web", "created", "starting", "ab12ab12", "nginx:1", "WEB-1"] {
            let found = RowFilter::new(text).admits_container(&host, &container);
            assert!(found, "{text}");
        }
        assert!(!RowFilter::new("shop web-2").admits_container(&host, &container));
        let digits = format!("{}4be1", "4be19a70c1d2".repeat(5));
        let by_id = Container {
            image: format!("sha256:{digits}").into(),
            labels: Arc::new(
                [(label::DIGEST, format!("reg:5000/shop@sha256:{digits}"))]
                    .map(|(key, value)| (key.to_owned(), value))
                    .into(),
            ),
            ..container
        };
        for text in ["reg:5000/shop", "shop@4be19a70c1d2", "sha256:4be19a70", &digits] {
            let found = RowFilter::new(text).admits_container(&host, &by_id);
            assert!(found, "{text}");
        }
    }
}

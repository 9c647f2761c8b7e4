//! Checks of a run that was undone: why, and that nothing of it is left.

use std::path::Path;

use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};

use super::{Bench, Seen};

pub(crate) fn why(view: &RunView) -> &str {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::Reverted { why, .. },
            ..
        } => why,
        other => panic!("{other:?}"),
    }
}

impl Bench {
    /// The next deploy is undone, and its reason holds all of these words.
    pub(crate) async fn is_undone(&self, before: &Seen, words: &[&str]) -> RunView {
        let (exit, view) = self.run(RunKind::Deploy).await;
        let journal = self.journal(&view.id);
        assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
        let why = why(&view);
        for word in words {
            assert!(why.contains(word), "{word:?} is not in {why}");
        }
        self.assert_as_before(before, &journal).await;
        view
    }
}

/// No file below it holds this text.
pub(crate) fn assert_unknown(folder: &Path, text: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_unknown(&path, text);
        } else if path.is_file() {
            let found = std::fs::read(&path).unwrap();
            let found = String::from_utf8_lossy(&found);
            assert!(!found.contains(text), "{} holds it", path.display());
        }
    }
}

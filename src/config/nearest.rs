//! "Did you mean": the known word nearest to a misspelt one.
//! No suggestion if nothing is similar enough.

/// The nearest of `known`, if it is near enough to be what was meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).max(1);
    let word = plain(word);
    known
        .into_iter()
        // Two neighbours swapped are one edit.
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(away, _)| *away <= limit)
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// `stop-grace`, `Stop_Grace` and `stop_grace` are one word to a person.
fn plain(word: &str) -> String {
    word.replace('-', "_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_swapped_or_wrong_letter_finds_the_word() {
        let known = ["strategy", "hosts", "keep"];
        for word in ["stratgy", "stratgey", "strategies", "Strategy"] {
            assert_eq!(nearest(word, known), Some("strategy"), "{word}");
        }
    }

    #[test]
    fn nothing_near_is_nothing_offered() {
        assert_eq!(nearest("colour", ["strategy", "hosts", "keep"]), None);
        assert_eq!(nearest("", ["strategy"]), None);
    }
}

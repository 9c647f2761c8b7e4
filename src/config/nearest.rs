//! "Did you mean": the known word that is nearest to a misspelt one.
//! Offers nothing rather than something far off.

/// The nearest of `known`, if it is near enough to be what was meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(away, _)| *away <= limit)
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; two neighbours swapped are one edit (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().map(plain).collect();
    let to: Vec<char> = to.chars().map(plain).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j + 1) + 1)
                .min(at(&next, j) + 1)
                .min(at(&row, j) + usize::from(a != b));
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(&b) && to.get(j - 1) == Some(&a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

/// `stop-grace`, `Stop_Grace` and `stop_grace` are one word to a person.
fn plain(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
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

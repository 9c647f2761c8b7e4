//! The order in which people read names: numbers in them are compared as numbers, so `web-2` comes before `web-10`.
//! A total order that agrees with equality: names that differ only in leading zeros still differ.

use std::cmp::Ordering;

#[must_use]
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (a, b) = match (left.chars().next(), right.chars().next()) {
            (None, None) => return one.cmp(other),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (number, after) = number(left);
            let (other_number, other_after) = self::number(right);
            // Without leading zeros the longer number is the larger one.
            let order = number
                .len()
                .cmp(&other_number.len())
                .then_with(|| number.cmp(other_number));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (after, other_after);
        } else if a == b {
            left = left.get(a.len_utf8()..).unwrap_or_default();
            right = right.get(b.len_utf8()..).unwrap_or_default();
        } else {
            return a.cmp(&b);
        }
    }
}

/// The digits at the beginning without leading zeros, and what follows them.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    (digits.trim_start_matches('0'), after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tenth_comes_after_the_ninth() {
        let mut names = ["web.10", "web.9", "api.r7.56", "api.r7.6", "api.r7", "web.09"];
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(
            names,
            ["api.r7", "api.r7.6", "api.r7.56", "web.09", "web.9", "web.10"]
        );
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "[a01.-]{0,6}", b in "[a01.-]{0,6}", c in "[a01.-]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}

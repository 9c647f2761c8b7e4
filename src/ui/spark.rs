//! A short history as one row of bars.
//! The scale is passed in, so that bars of different rows can be compared.

use super::theme::Glyphs;

/// The last `columns` values, each between 0 and `top`; shorter histories are aligned right, and what was not measured is
/// blank.
#[must_use]
pub fn spark(
    values: impl DoubleEndedIterator<Item = Option<f32>> + ExactSizeIterator,
    top: f32,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let skip = values.len().saturating_sub(columns);
    let mut bars = " ".repeat(columns.saturating_sub(values.len()));
    for value in values.skip(skip) {
        bars.push_str(value.map_or(" ", |value| bar(value, top, glyphs)));
    }
    bars
}

fn bar(value: f32, top: f32, glyphs: &Glyphs) -> &'static str {
    let share = if top > 0.0 {
        (value / top).clamp(0.0, 1.0)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 7"
    )]
    let step = (share * 7.0).round() as usize;
    glyphs.spark.get(step).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::UNICODE;

    #[test]
    fn the_newest_values_are_at_the_right() {
        let values = [0.0_f32, 50.0, 100.0, 400.0].map(Some);
        assert_eq!(spark(values.into_iter(), 100.0, 6, &UNICODE), "  ▁▅██");
        assert_eq!(spark(values.into_iter(), 100.0, 2, &UNICODE), "██");
    }

    #[test]
    fn what_was_not_measured_is_blank() {
        let values = [None, Some(0.0_f32), None, Some(100.0)];
        assert_eq!(spark(values.into_iter(), 100.0, 4, &UNICODE), " ▁ █");
    }
}

//! A short history as one row of bars.
//! The scale is given: bars of different rows can be compared.

use super::theme::Glyphs;

/// The last `columns` values, each between 0 and `top`; shorter histories are aligned right.
#[must_use]
pub fn spark(
    values: impl DoubleEndedIterator<Item = f32> + ExactSizeIterator,
    top: f32,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let skip = values.len().saturating_sub(columns);
    let mut bars = " ".repeat(columns.saturating_sub(values.len()));
    for value in values.skip(skip) {
        bars.push_str(bar(value, top, glyphs));
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
        let values = [0.0_f32, 50.0, 100.0, 400.0];
        assert_eq!(spark(values.into_iter(), 100.0, 6, &UNICODE), "  ▁▅██");
        assert_eq!(spark(values.into_iter(), 100.0, 2, &UNICODE), "██");
    }
}

//! A value's history as bars over several rows, with its limit as a line on top if there is one.
//! Characters only; the scale is shown beside it.

use crate::ui::spark::spark;
use crate::ui::theme::Glyphs;

/// Rows from the top down; each value stands between 0 and `top`, the newest at the right; what was not measured is blank.
#[must_use]
pub fn rows(values: &[Option<f32>], top: f32, columns: usize, height: usize, glyphs: &Glyphs) -> Vec<String> {
    let shown = values
        .get(values.len().saturating_sub(columns)..)
        .unwrap_or_default();
    let band = top / precise(height.max(1));
    (0..height)
        .map(|row| {
            let floor = band * precise(height - 1 - row);
            let mut text = " ".repeat(columns.saturating_sub(shown.len()));
            for value in shown {
                let part = value.map(|value| value - floor);
                let part = part.filter(|part| *part > 0.0 || row + 1 == height);
                text.push_str(&spark([part].into_iter(), band, 1, glyphs));
            }
            text
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
fn precise(rows: usize) -> f32 {
    rows as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::{ASCII, UNICODE};

    #[test]
    fn bars_stand_on_each_other() {
        let values = [0.0, 50.0, 75.0, 100.0].map(Some);
        assert_eq!(rows(&values, 100.0, 5, 2, &UNICODE), ["   ▅█", " ▁███"]);
        assert_eq!(rows(&values, 100.0, 4, 1, &ASCII), ["_-=#"]);
    }
}

//! For terminals that are not UTF-8: replaces every non-ASCII character by one of the same width.
//! Works on the drawn buffer.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

/// Only for themes with ASCII glyphs.
pub fn replace(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let twin = twin(cell.symbol());
            cell.set_symbol(twin);
        }
    }
}

fn twin(symbol: &str) -> &'static str {
    match symbol {
        "→" | "▸" => ">",
        "←" => "<",
        "↑" => "^",
        "↓" => "v",
        "–" | "—" | "─" | "╌" => "-",
        "…" | "≈" => "~",
        "·" | "•" => ".",
        "│" | "┊" => "|",
        "▲" => "!",
        "✓" => "+",
        "✗" => "x",
        "“" | "”" => "\"",
        "‘" | "’" => "'",
        "\u{a0}" => " ",
        wide if wide.width() > 1 => "??",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn nothing_but_ascii_is_left_and_columns_stay() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "r1 → 日本 é|", Style::new());
        replace(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert!(text.is_ascii());
        assert_eq!(buffer[(5, 0)].symbol(), "??");
        assert_eq!(buffer[(11, 0)].symbol(), "|");
    }
}

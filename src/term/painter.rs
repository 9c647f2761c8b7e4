//! Writes frames to the terminal with few bytes: sends colours only when they change, moves the cursor relatively if that
//! is shorter, and writes nothing for an unchanged frame.
//! Never queries the terminal, because the answers would arrive among the keys.

use std::fmt::Write as _;
use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthChar;

#[derive(Debug)]
pub struct Painter<W> {
    out: W,
    /// What is to be written with the next flush, in one write.
    pending: String,
    size: Size,
    /// Colours and attributes as the terminal has them now; unknown after somebody else wrote to it.
    pen: Option<Pen>,
    /// Where the terminal's cursor is, while that is certain.
    at: Option<Position>,
    cursor_shown: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

const PLAIN: Pen = Pen {
    fg: Color::Reset,
    bg: Color::Reset,
    modifier: Modifier::empty(),
};

impl<W: Write> Painter<W> {
    pub fn new(out: W, size: Size) -> Self {
        Self {
            out,
            pending: String::new(),
            size,
            pen: None,
            at: None,
            cursor_shown: None,
        }
    }

    /// The terminal has this size now.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
    }

    /// Somebody else wrote to the terminal: nothing is known about it.
    pub fn forget(&mut self) {
        self.pen = None;
        self.at = None;
        self.cursor_shown = None;
    }

    /// Bytes as they are, outside of any cell: for the clipboard.
    pub fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.pending.write_fmt(text).map_err(io::Error::other)
    }

    fn go(&mut self, x: u16, y: u16) -> io::Result<()> {
        match self.at {
            Some(at) if at == Position::new(x, y) => Ok(()),
            Some(at) if at.y == y && at.x < x => match x - at.x {
                1 => self.put(format_args!("\x1b[C")),
                by => self.put(format_args!("\x1b[{by}C")),
            },
            _ if x == 0 => self.put(format_args!("\x1b[{}H", y + 1)),
            _ => self.put(format_args!("\x1b[{};{}H", y + 1, x + 1)),
        }
    }

    fn take(&mut self, pen: Pen) -> io::Result<()> {
        if self.pen == Some(pen) {
            return Ok(());
        }
        let before = self.pen.filter(|before| pen.modifier.contains(before.modifier));
        if pen == PLAIN {
            self.put(format_args!("\x1b[m"))?;
        } else {
            let mut codes = String::new();
            let from = before.unwrap_or(PLAIN);
            if before.is_none() {
                codes.push_str("0;");
            }
            for (modifier, code) in MODIFIERS {
                if pen.modifier.contains(modifier) && !from.modifier.contains(modifier) {
                    codes.push_str(code);
                }
            }
            if pen.fg != from.fg {
                color(&mut codes, pen.fg, 30)?;
            }
            if pen.bg != from.bg {
                color(&mut codes, pen.bg, 40)?;
            }
            self.put(format_args!("\x1b[{}m", codes.trim_end_matches(';')))?;
        }
        self.pen = Some(pen);
        Ok(())
    }
}

const MODIFIERS: [(Modifier, &str); 5] = [
    (Modifier::BOLD, "1;"),
    (Modifier::DIM, "2;"),
    (Modifier::ITALIC, "3;"),
    (Modifier::UNDERLINED, "4;"),
    (Modifier::REVERSED, "7;"),
];

/// `base`: 30 for the foreground, 40 for the background.
fn color(codes: &mut String, color: Color, base: u8) -> io::Result<()> {
    let bright = base + 60;
    let written = match color {
        Color::Reset => write!(codes, "{};", base + 9),
        Color::Black => write!(codes, "{base};"),
        Color::Red => write!(codes, "{};", base + 1),
        Color::Green => write!(codes, "{};", base + 2),
        Color::Yellow => write!(codes, "{};", base + 3),
        Color::Blue => write!(codes, "{};", base + 4),
        Color::Magenta => write!(codes, "{};", base + 5),
        Color::Cyan => write!(codes, "{};", base + 6),
        Color::Gray => write!(codes, "{};", base + 7),
        Color::DarkGray => write!(codes, "{bright};"),
        Color::LightRed => write!(codes, "{};", bright + 1),
        Color::LightGreen => write!(codes, "{};", bright + 2),
        Color::LightYellow => write!(codes, "{};", bright + 3),
        Color::LightBlue => write!(codes, "{};", bright + 4),
        Color::LightMagenta => write!(codes, "{};", bright + 5),
        Color::LightCyan => write!(codes, "{};", bright + 6),
        Color::White => write!(codes, "{};", bright + 7),
        Color::Indexed(index) => write!(codes, "{};5;{index};", base + 8),
        Color::Rgb(red, green, blue) => write!(codes, "{};2;{red};{green};{blue};", base + 8),
    };
    written.map_err(io::Error::other)
}

/// Columns that every terminal agrees on, or none.
fn certain_width(symbol: &str) -> Option<u16> {
    let mut characters = symbol.chars();
    let only = characters.next()?;
    let common = only < '\u{300}' || ('\u{2010}'..'\u{2800}').contains(&only);
    (characters.next().is_none() && common && only.width() == Some(1)).then_some(1)
}

impl<W: Write> Backend for Painter<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        for (x, y, cell) in content {
            self.go(x, y)?;
            self.take(Pen {
                fg: cell.fg,
                bg: cell.bg,
                modifier: cell.modifier,
            })?;
            self.pending.push_str(cell.symbol());
            // In the last column a terminal may or may not have wrapped already.
            self.at = certain_width(cell.symbol())
                .filter(|wide| x + wide < self.size.width)
                .map(|wide| Position::new(x + wide, y));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.cursor_shown != Some(false) {
            self.put(format_args!("\x1b[?25l"))?;
            self.cursor_shown = Some(false);
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if self.cursor_shown != Some(true) {
            self.put(format_args!("\x1b[?25h"))?;
            self.cursor_shown = Some(true);
        }
        Ok(())
    }

    /// Not asked: `clear` of the terminal wants to restore it, and that is without meaning here.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        self.go(position.x, position.y)?;
        self.at = Some(position);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.take(PLAIN)?;
        self.put(format_args!("\x1b[2J"))
    }

    fn clear_region(&mut self, _region: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size,
            pixels: Size::default(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.out.write_all(self.pending.as_bytes());
        self.pending.clear();
        written?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    use ratatui::Terminal;
    use ratatui::style::{Style, Stylize};
    use ratatui::text::Line;

    fn terminal() -> Terminal<Painter<Vec<u8>>> {
        Terminal::new(Painter::new(Vec::new(), Size::new(20, 3))).unwrap()
    }

    fn draw(terminal: &mut Terminal<Painter<Vec<u8>>>, lines: &[Line<'_>]) -> String {
        terminal.backend_mut().out.clear();
        terminal
            .draw(|frame| {
                for (y, line) in (0..).zip(lines) {
                    frame.buffer_mut().set_line(0, y, line, 20);
                }
            })
            .unwrap();
        String::from_utf8(terminal.backend().out.clone()).unwrap()
    }

    fn seen(bytes: &[&str]) -> String {
        let mut parser = vt100::Parser::new(NonZeroU16::new(3).unwrap(), NonZeroU16::new(20).unwrap(), 0);
        for text in bytes {
            parser.process(text.as_bytes());
        }
        parser.screen().contents()
    }

    #[test]
    fn a_frame_without_a_difference_writes_nothing() {
        let mut terminal = terminal();
        draw(&mut terminal, &["shop".into()]);
        assert_eq!(draw(&mut terminal, &["shop".into()]), "");
    }

    #[test]
    fn a_changed_figure_costs_a_move_and_the_figure() {
        let mut terminal = terminal();
        draw(&mut terminal, &["".into(), "cpu 12 %".into()]);
        assert_eq!(draw(&mut terminal, &["".into(), "cpu 13 %".into()]), "\x1b[2;6H3");
    }

    #[test]
    fn wide_and_coloured_text_arrives_as_it_was_drawn() {
        let mut terminal = terminal();
        let first = draw(&mut terminal, &["漢字 x".red().into(), "plain".into()]);
        let second = draw(&mut terminal, &["漢字 y".blue().bold().into(), "plain!".into()]);
        assert_eq!(seen(&[&first]), "漢字 x\nplain");
        assert_eq!(seen(&[&first, &second]), "漢字 y\nplain!");
    }

    #[test]
    fn colours_that_stay_are_not_sent_again() {
        let mut terminal = terminal();
        let style = Style::new().fg(Color::Indexed(245));
        let first = draw(
            &mut terminal,
            &[Line::styled("a", style), Line::styled("b", style)],
        );
        assert_eq!(first.matches("245").count(), 1, "{first:?}");
    }
}

//! The only place that knows colours and glyphs. Colours have meanings only:
//! `ok`, `busy`, `warn`, `bad`, `accent`, `dim`; each is also recognisable without colour, by its glyph or word.

use ratatui::style::{Color, Modifier, Style};

use crate::config::settings;

#[derive(Clone, Debug)]
pub struct Theme {
    /// Done or healthy where that was asked for; never for what is merely normal.
    pub ok: Style,
    /// Under way now.
    pub busy: Style,
    /// Degraded, stale, needs a look.
    pub warn: Style,
    /// Failed, lost, unhealthy.
    pub bad: Style,
    /// Focus, keys, the cursor.
    pub accent: Style,
    /// Everything secondary: ages, ids, units, headers.
    pub dim: Style,
    /// Everything else.
    pub text: Style,
    /// Over the selected row, of the focused pane.
    pub selected: Style,
    /// A match of a search.
    pub found: Style,
    pub glyphs: &'static Glyphs,
}

/// Each with an ASCII twin of the same width.
#[derive(Debug)]
pub struct Glyphs {
    pub live: &'static str,
    pub stopped: &'static str,
    pub changing: &'static str,
    pub failed: &'static str,
    pub problem: &'static str,
    pub done: &'static str,
    pub waiting: &'static str,
    pub undone: &'static str,
    pub unknown: &'static str,
    pub cursor: &'static str,
    pub mark: &'static str,
    pub arrow: &'static str,
    pub rule: &'static str,
    pub line: &'static str,
    pub ellipsis: &'static str,
    pub none: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    pub down: &'static str,
    pub up: &'static str,
    pub more: &'static str,
    pub at_least: &'static str,
    /// At once with what stands to the left.
    pub beside: &'static str,
    /// From nothing to all.
    pub spark: [&'static str; 8],
}

impl Glyphs {
    /// The terminal may show nothing else.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.live.is_ascii()
    }

    /// `+2 ↑  +4 ↓`: rows above and below those that are shown.
    #[must_use]
    pub fn beyond(&self, above: usize, below: usize) -> Option<String> {
        let words: Vec<String> = [(above, self.up), (below, self.down)]
            .into_iter()
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, arrow)| format!("+{rows} {arrow}"))
            .collect();
        (!words.is_empty()).then(|| words.join("  "))
    }
}

pub const UNICODE: Glyphs = Glyphs {
    live: "●",
    stopped: "○",
    changing: "◐",
    failed: "✗",
    problem: "▲",
    done: "✓",
    waiting: "·",
    undone: "↶",
    unknown: "?",
    cursor: "▸",
    mark: "◆",
    arrow: "→",
    rule: "│",
    line: "─",
    ellipsis: "…",
    none: "–",
    full: "▓",
    empty: "░",
    down: "↓",
    up: "↑",
    more: "→",
    at_least: "≥",
    beside: "∥",
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

pub const ASCII: Glyphs = Glyphs {
    live: "*",
    stopped: "o",
    changing: "~",
    failed: "x",
    problem: "!",
    done: "+",
    waiting: ".",
    undone: "<",
    unknown: "?",
    cursor: ">",
    mark: "#",
    arrow: ">",
    rule: "|",
    line: "-",
    ellipsis: "~",
    none: "-",
    full: "#",
    empty: ".",
    down: "v",
    up: "^",
    more: ">",
    at_least: ">",
    beside: "&",
    spark: ["_", "_", ".", "-", "-", "=", "=", "#"],
};

/// What of the environment decides the looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal<'a> {
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    pub term: Option<&'a str>,
    pub colorterm: Option<&'a str>,
    /// `COLORFGBG`: `15;0`
    pub colors: Option<&'a str>,
    /// The first set of `LC_ALL`, `LC_CTYPE`, `LANG`.
    pub locale: Option<&'a str>,
}

impl Theme {
    #[must_use]
    pub fn choose(theme: settings::Theme, ascii: Option<bool>, terminal: Terminal<'_>) -> Self {
        let plain = matches!(terminal.term, None | Some("" | "dumb" | "vt100" | "vt220"));
        let rich = terminal
            .term
            .is_some_and(|term| term.contains("256color") || term.contains("direct"))
            || terminal.colorterm.is_some_and(|color| !color.is_empty());
        let light = terminal
            .colors
            .and_then(|colors| colors.rsplit(';').next())
            .is_some_and(|background| matches!(background, "7" | "15"));
        let glyphs = if ascii.unwrap_or(!is_utf8(terminal.locale)) {
            &ASCII
        } else {
            &UNICODE
        };
        match theme {
            _ if terminal.no_color || plain => Self::mono(glyphs),
            settings::Theme::Mono => Self::mono(glyphs),
            settings::Theme::Ansi => Self::ansi(glyphs),
            settings::Theme::Light => Self::light(glyphs),
            settings::Theme::Auto if !rich => Self::ansi(glyphs),
            settings::Theme::Auto if light => Self::light(glyphs),
            settings::Theme::Dark | settings::Theme::Auto => Self::dark(glyphs),
        }
    }

    #[must_use]
    pub fn dark(glyphs: &'static Glyphs) -> Self {
        let color = |index| Style::new().fg(Color::Indexed(index));
        Self {
            ok: color(114),
            busy: color(75),
            warn: color(221),
            bad: color(203),
            accent: color(117),
            dim: color(245),
            text: Style::new(),
            selected: Style::new().bg(Color::Indexed(237)),
            found: Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(221)),
            glyphs,
        }
    }

    #[must_use]
    pub fn light(glyphs: &'static Glyphs) -> Self {
        let color = |index| Style::new().fg(Color::Indexed(index));
        Self {
            ok: color(28),
            busy: color(26),
            warn: color(130),
            bad: color(160),
            accent: color(25),
            dim: color(243),
            text: Style::new(),
            selected: Style::new().bg(Color::Indexed(254)),
            found: Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(222)),
            glyphs,
        }
    }

    /// The terminal's own sixteen; its own foreground and background everywhere else.
    #[must_use]
    pub fn ansi(glyphs: &'static Glyphs) -> Self {
        let color = |color| Style::new().fg(color);
        Self {
            ok: color(Color::Green),
            busy: color(Color::Blue),
            warn: color(Color::Yellow),
            bad: color(Color::Red),
            accent: color(Color::Cyan),
            dim: color(Color::DarkGray),
            text: Style::new(),
            // One bar: what is coloured there would be coloured patches.
            selected: Style::new().fg(Color::Reset).add_modifier(Modifier::REVERSED),
            found: Style::new().fg(Color::Black).bg(Color::Yellow),
            glyphs,
        }
    }

    #[must_use]
    pub fn mono(glyphs: &'static Glyphs) -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Self {
            ok: Style::new(),
            busy: Style::new(),
            warn: bold,
            bad: bold,
            accent: bold,
            dim: Style::new(),
            text: Style::new(),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            found: Style::new().add_modifier(Modifier::REVERSED),
            glyphs,
        }
    }
}

fn is_utf8(locale: Option<&str>) -> bool {
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::ansi::width;

    #[test]
    fn every_glyph_and_its_twin_take_one_column() {
        for glyphs in [&UNICODE, &ASCII] {
            for glyph in glyphs.spark.iter().chain([
                &glyphs.live,
                &glyphs.changing,
                &glyphs.failed,
                &glyphs.problem,
                &glyphs.cursor,
                &glyphs.ellipsis,
                &glyphs.undone,
                &glyphs.beside,
            ]) {
                assert_eq!(width(glyph), 1, "{glyph}");
            }
        }
    }

    #[test]
    fn no_color_and_an_unknown_terminal_have_no_colour() {
        let mono = |terminal| {
            Theme::choose(settings::Theme::Dark, None, terminal)
                .bad
                .fg
                .is_none()
        };
        assert!(mono(Terminal {
            no_color: true,
            term: Some("xterm-256color"),
            ..Terminal::default()
        }));
        assert!(mono(Terminal::default()));
        assert!(!mono(Terminal {
            term: Some("xterm"),
            ..Terminal::default()
        }));
    }

    #[test]
    fn a_locale_that_is_not_utf_8_gets_ascii() {
        let live = |locale| {
            let terminal = Terminal {
                term: Some("xterm"),
                locale,
                ..Terminal::default()
            };
            Theme::choose(settings::Theme::Auto, None, terminal).glyphs.live
        };
        assert_eq!(
            (live(Some("de_DE.UTF-8")), live(Some("C")), live(None)),
            ("●", "*", "*")
        );
    }
}

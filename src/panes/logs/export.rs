//! Lines of the logs as text for a clipboard or a file.
//! Escape codes are left out; nothing is shortened.

use std::fmt::Write;

use jiff::Timestamp;

use super::sources::Scope;
use super::state::Logs;
use crate::domain::ids::HostName;
use crate::domain::logs::{LogLine, Stream};
use crate::domain::text;
use crate::domain::units::Stamp;

impl Logs {
    /// The marked lines, or the one that one is at; only their text.
    #[must_use]
    pub fn copied(&self) -> Option<String> {
        let chosen: Vec<u64> = if self.marked.is_empty() {
            self.scroll.cursor(self.roll()).into_iter().collect()
        } else {
            self.marked.iter().copied().collect()
        };
        let lines: Vec<_> = chosen
            .iter()
            .filter_map(|number| self.ring.get(*number))
            .map(|line| text::plain(&line.text))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// All lines that are shown, each with its time and where it came from.
    #[must_use]
    pub fn saved(&self) -> String {
        let mut text = String::new();
        let roll = self.roll();
        let mut next = roll.first();
        while let Some(number) = next {
            if let Some(line) = self.ring.get(number) {
                self.write_line(&mut text, line);
            }
            next = roll.after(number);
        }
        text
    }

    /// `shop-20261121-140319.log`
    #[must_use]
    pub fn file_name(&self, now: Stamp) -> String {
        let title = match self.scope() {
            Some(Scope::Run(part)) => {
                let parts = [part.stage.as_deref(), part.host.as_ref().map(HostName::as_str)];
                let parts = parts.into_iter().flatten();
                let words: Vec<&str> = std::iter::once(part.run.as_str()).chain(parts).collect();
                words.join("-").replace(' ', "-")
            }
            Some(Scope::OwnLog) => "pilothouse".to_owned(),
            Some(Scope::Containers(_) | Scope::Group(_)) | None => self.sources.title(),
        };
        let stem = title.split(' ').next().unwrap_or_default();
        let stem: String = stem
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            .collect();
        let stem = match stem.trim_matches(['.', '-']) {
            "" => "logs",
            stem => stem,
        };
        let time = Timestamp::from_second(now.seconds()).unwrap_or_default();
        format!("{stem}-{}.log", time.strftime("%Y%m%d-%H%M%S"))
    }

    fn write_line(&self, out: &mut String, line: &LogLine) {
        let time = Timestamp::from_nanosecond(i128::from(line.at.0)).unwrap_or_default();
        let source = match self.sources.get(&line.source) {
            Some(source) => format!("{}/{}", source.key.host, source.name),
            None => format!("{}/{}", line.source.host, line.source.id.short()),
        };
        let sign = match line.stream {
            Stream::Out | Stream::Console => "",
            Stream::Err => "stderr: ",
            Stream::Notice => "pilothouse: ",
        };
        let text = text::plain(&line.text);
        writeln!(out, "{time:.3} {source} {sign}{text}").unwrap_or_default();
    }
}

//! Reading a Dockerfile: the instructions that a builder knows, and what stands behind their words.

use serde_json::Value;

use crate::config::dockerfile::lines;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capitals.
    pub(super) word: String,
    pub(super) rest: String,
    /// As it is said when it is its turn.
    pub(super) said: String,
}

const KNOWN: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The instructions, or what Docker says is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>, String> {
    let mut all = Vec::new();
    for (number, whole) in lines(text) {
        let (word, rest) = whole
            .split_once(char::is_whitespace)
            .unwrap_or((whole.as_str(), ""));
        let capital = word.to_ascii_uppercase();
        if !KNOWN.contains(&capital.as_str()) {
            return Err(format!(
                "dockerfile parse error line {number}: unknown instruction: {capital}"
            ));
        }
        let rest = rest.trim().to_owned();
        all.push(Instruction {
            said: format!("{capital} {rest}"),
            word: capital,
            rest,
        });
    }
    if all.is_empty() {
        return Err("the Dockerfile (Dockerfile) cannot be empty".to_owned());
    }
    if !all.iter().any(|instruction| instruction.word == "FROM") {
        return Err("no build stage in current context".to_owned());
    }
    Ok(all)
}

/// `["a", "b"]` as it is; `a b` through the shell.
pub(super) fn command(text: &str) -> Vec<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(words)) => words
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
    }
}

/// `a=b "c d"=e` or the older `a b`.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let words = words(text);
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return vec![(name.to_owned(), value.trim().to_owned())];
    }
    words
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Split at blanks, quotes taken off.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut begun = false;
    for letter in text.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => {
                quote = Some(letter);
                begun = true;
            }
            (_, Some(open)) if letter == open => quote = None,
            (' ' | '\t', None) => {
                if begun || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => word.push(letter),
        }
    }
    if begun || !word.is_empty() {
        all.push(word);
    }
    all
}

/// `5s`, `1m30s`, `500ms` in nanoseconds.
pub(super) fn nanoseconds(text: &str) -> u64 {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale: u64 = match unit {
            "ms" => 1_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => 1_000_000_000,
        };
        total = total.saturating_add(number.parse::<u64>().unwrap_or(0).saturating_mul(scale));
        if digits + letters == 0 {
            break;
        }
        rest = tail;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_unknown_words_named_with_their_line() {
        let parsed = parse("# a\nFROM x\nRUN a \\\n  # between\n  && b\n").unwrap();
        assert_eq!(parsed[1].said, "RUN a && b");
        let fault = parse("FROM x\n\nRUNN y").unwrap_err();
        assert_eq!(fault, "dockerfile parse error line 3: unknown instruction: RUNN");
    }

    #[test]
    fn values_are_read_in_every_form() {
        assert_eq!(nanoseconds("1m30s"), 90_000_000_000);
        assert_eq!(nanoseconds("500ms"), 500_000_000);
        let read = pairs(r#"a="b c" d=e"#);
        assert_eq!(
            read,
            [
                ("a".to_owned(), "b c".to_owned()),
                ("d".to_owned(), "e".to_owned())
            ]
        );
    }
}

//! Masks secrets in everything from inspections and lists: environment, labels, command lines, raw JSON.
//! Errs on the side of masking; `detail::shown_value` decides what may be shown.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::detail::{looks_secret, shown_value};

const MASK: &str = "••••••";

/// `NAME=value` with a secret value masked.
pub(super) fn assignment(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    // Its words after what is assigned in it: `--requirepass x`.
    (name.to_owned(), words_of(&shown_value(name, value)).into_owned())
}

/// A command line's words: `--password=x`, `--password x`, `TOKEN=x`, `redis://:x@db`.
pub(super) fn arguments<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut shown = Vec::new();
    let mut is_value = false;
    for word in words {
        if is_value && !word.starts_with('-') {
            shown.push(MASK.to_owned());
            is_value = false;
            continue;
        }
        is_value = is_option(word);
        shown.push(words_of(word).into_owned());
    }
    shown
}

/// An option whose value is the next word.
fn is_option(word: &str) -> bool {
    (word.starts_with('-') || word == "requirepass") && !word.contains(['=', ' ']) && looks_secret(word)
}

/// The words of a shell command line.
pub(super) fn words_of(line: &str) -> Cow<'_, str> {
    let is_suspect = line.contains('=') || line.contains("://") || (line.contains(' ') && looks_secret(line));
    if !is_suspect {
        return Cow::Borrowed(line);
    }
    if !line.contains(char::is_whitespace) {
        return Cow::Owned(word(line));
    }
    let mut shown = String::with_capacity(line.len());
    let mut is_value = false;
    for piece in line.split_inclusive(char::is_whitespace) {
        let bare = piece.trim_end_matches(char::is_whitespace);
        let blank = piece.get(bare.len()..).unwrap_or_default();
        if is_value && !bare.is_empty() && !bare.starts_with('-') {
            shown.push_str(MASK);
            is_value = false;
        } else {
            is_value = if bare.is_empty() {
                is_value
            } else {
                is_option(bare)
            };
            shown.push_str(&word(bare));
        }
        shown.push_str(blank);
    }
    Cow::Owned(shown)
}

fn word(text: &str) -> String {
    let quoted = |c: char| matches!(c, '"' | '\'');
    match text.split_once('=') {
        Some((name, value)) if !value.is_empty() && !name.contains("://") => {
            format!("{name}={}", shown_value(name.trim_start_matches(quoted), value))
        }
        _ => shown_value("", text),
    }
}

/// Masks every string in place. `Env` lists are assignments; elsewhere the name decides, then the words.
pub(super) fn everything(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if let Cow::Owned(shown) = words_of(text) {
                *text = shown;
            }
        }
        Value::Array(list) => {
            if list.iter().all(Value::is_string) {
                let shown = arguments(list.iter().filter_map(Value::as_str));
                *list = shown.into_iter().map(Value::String).collect();
            } else {
                list.iter_mut().for_each(everything);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if is_named_secret(name) => *text = shown_value(name, text),
                    Value::Array(list) if name == "Env" => {
                        for entry in list {
                            if let Value::String(text) = entry {
                                let (name, shown) = assignment(text);
                                *text = format!("{name}={shown}");
                            }
                        }
                    }
                    other => everything(other),
                }
            }
        }
    }
}

/// Except Docker's own field that only sounds like a secret: the path of a network namespace.
fn is_named_secret(name: &str) -> bool {
    name != "SandboxKey" && looks_secret(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_options_are_masked_joined_or_apart() {
        let shown = arguments(["run", "--password", "hunter2", "--token=abc", "-v", "A=b"]);
        assert_eq!(shown, ["run", "--password", MASK, "--token=••••••", "-v", "A=b"]);
    }

    #[test]
    fn a_shell_line_loses_its_secrets_and_keeps_the_rest() {
        assert_eq!(
            words_of("redis-server --requirepass hunter2 --port 1"),
            "redis-server --requirepass •••••• --port 1"
        );
        assert_eq!(
            words_of("DB_PASSWORD=x ./run  --fast"),
            "DB_PASSWORD=•••••• ./run  --fast"
        );
        assert_eq!(
            words_of("sh -c 'psql postgres://a:b@c/d'"),
            "sh -c 'psql postgres://a:••••••@c/d'"
        );
        assert_eq!(words_of("sleep 5"), "sleep 5");
    }

    #[test]
    fn raw_json_is_masked_wherever_a_secret_stands() {
        let mut raw = serde_json::json!({
            "Config": {"Env": ["API_KEY=abc", "HOME=/root", "DB=Server=db;Password=abc", "ARGS=--requirepass abc"], "Cmd": ["x", "--secret", "s"],
                       "Labels": {"auth.users": "u:p", "plain": "yes", "db": "Server=db;User Id=sa;Password=abc"}},
            "SandboxKey": "/run/x",
        });
        everything(&mut raw);
        let text = raw.to_string();
        assert!(
            !text.contains("abc") && !text.contains("u:p") && !text.contains("\"s\""),
            "{text}"
        );
        assert!(
            text.contains("HOME=/root") && text.contains("yes") && text.contains("/run/x"),
            "{text}"
        );
    }
}

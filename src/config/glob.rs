//! The files that an `include` pattern matches: `*`, `?` and `[…]` within one part of a path.
//! Wildcards do not match hidden files; results are sorted by name.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

/// More than this is a pattern that matches too much.
const MOST: usize = 1_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// No wildcard in it: this very file.
    Named(PathBuf),
    Found(Vec<PathBuf>),
    /// Why the pattern cannot be used.
    Refused(String),
}

pub(super) fn expand(pattern: &Path) -> Matches {
    let text = pattern.to_string_lossy();
    if text.contains("**") {
        return Matches::Refused(
            "`**` is not supported here: name the folders, `services/*.toml`".to_owned(),
        );
    }
    if !text.contains(['*', '?', '[']) {
        return Matches::Named(pattern.to_owned());
    }
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let Component::Normal(name) = component else {
            for path in &mut found {
                path.push(component);
            }
            continue;
        };
        let name = name.to_string_lossy();
        if !name.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(name.as_ref());
            }
            continue;
        }
        let Some(regex) = regex(&name) else {
            return Matches::Refused(format!("`{name}` is not a valid pattern: a `[` is not closed"));
        };
        found = found.iter().flat_map(|folder| within(folder, &regex)).collect();
        if found.len() > MOST {
            return Matches::Refused(format!("it matches more than {MOST} files"));
        }
    }
    found.retain(|path| path.is_file());
    found.sort();
    Matches::Found(found)
}

/// A folder that is not there or cannot be read has no matches.
fn within(folder: &Path, regex: &Regex) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && regex.is_match(&name)
        })
        .take(MOST + 1)
        .map(|entry| entry.path())
        .collect()
}

/// Of one part of a path or of a branch's name; `None` where a `[` is not closed.
pub(super) fn regex(pattern: &str) -> Option<Regex> {
    let mut text = String::from("^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                if chars.as_str().is_empty() && !pattern.ends_with(']') {
                    return None;
                }
                let (not, inside) = match inside.strip_prefix(['!', '^']) {
                    Some(inside) => ("^", inside),
                    None => ("", inside.as_str()),
                };
                text.push('[');
                text.push_str(not);
                for c in inside.chars() {
                    if c != '-' && !c.is_alphanumeric() {
                        text.push('\\');
                    }
                    text.push(c);
                }
                text.push(']');
            }
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('$');
    Regex::new(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_within_one_folder_sorted_and_without_hidden_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "b/shop.toml",
            "a/shop.toml",
            "a/.hidden.toml",
            "a/shop.txt",
            "a/x1.toml",
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let check = |pattern: &str, expected: &[&str]| {
            let expected: Vec<PathBuf> = expected.iter().map(|name| dir.path().join(name)).collect();
            assert_eq!(
                expand(&dir.path().join(pattern)),
                Matches::Found(expected),
                "{pattern}"
            );
        };
        check("*/*.toml", &["a/shop.toml", "a/x1.toml", "b/shop.toml"]);
        check("a/x[0-9].toml", &["a/x1.toml"]);
        check("[!a]/*", &["b/shop.toml"]);
        check("?/shop.t?ml", &["a/shop.toml", "b/shop.toml"]);
        check("nowhere/*.toml", &[]);
        assert!(matches!(expand(Path::new("/x/**/y")), Matches::Refused(_)));
        assert!(matches!(expand(Path::new("/x/[ab")), Matches::Refused(_)));
    }
}

//! `.dockerignore` with Docker's own meaning, which is not that of `.gitignore`.
//! Matches names only; walking the folder is `context`.

use regex::Regex;

/// The patterns of one file, in order: the last one that matches a path decides.
/// <https://docs.docker.com/build/concepts/context/#dockerignore-files>
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    /// As it was written, cleaned.
    text: String,
    /// `!`: what matches is sent after all.
    exception: bool,
    regex: Regex,
}

/// A line that Docker refuses, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// From 1; 0 for one that is not of the file.
    pub line: usize,
    pub pattern: String,
    pub why: &'static str,
}

impl Ignore {
    /// 1. A byte order mark is skipped; lines that begin with `#` are comments, but not after a space.
    /// 2. Space around a pattern, and around it after `!`, does not count.
    /// 3. A pattern is cleaned as a path: `./a//b/../c/` is `a/c`; a leading `/` has no effect.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut ignore = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if line.is_empty() {
                continue;
            }
            let refused = |why| BadPattern {
                line: number + 1,
                pattern: line.to_owned(),
                why,
            };
            if pattern.is_empty() {
                return Err(refused("a single `!` has no effect"));
            }
            let pattern = clean(pattern);
            ignore.push(&pattern, exception).map_err(refused)?;
        }
        Ok(ignore)
    }

    /// As a builder hands them over: one pattern each, cleaned, nothing a comment.
    pub fn of(patterns: impl IntoIterator<Item = String>) -> Result<Self, BadPattern> {
        let mut ignore = Self::default();
        for written in patterns {
            let (exception, pattern) = match written.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, written.as_str()),
            };
            ignore
                .push(&clean(pattern), exception)
                .map_err(|why| BadPattern {
                    line: 0,
                    pattern: written.clone(),
                    why,
                })?;
        }
        Ok(ignore)
    }

    /// Sends this very path whatever the patterns say: the Dockerfile, and the ignore file itself.
    pub fn keep(&mut self, path: &str) {
        if !self.excludes(path) {
            return;
        }
        let literal = format!("^{}$", regex::escape(path));
        if let Ok(regex) = Regex::new(&literal) {
            self.patterns.push(Pattern {
                text: path.to_owned(),
                exception: true,
                regex,
            });
        }
    }

    fn push(&mut self, pattern: &str, exception: bool) -> Result<(), &'static str> {
        self.patterns.push(Pattern {
            text: pattern.to_owned(),
            exception,
            regex: regex(pattern)?,
        });
        Ok(())
    }

    /// Is this path, relative to the context with `/` between its parts, kept from the daemon?
    /// A pattern that matches a folder matches all in it.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for pattern in &self.patterns {
            // Only a pattern that could change the verdict is asked.
            if pattern.exception == excluded && with_parents(path).any(|path| pattern.regex.is_match(path)) {
                excluded = !pattern.exception;
            }
        }
        excluded
    }

    /// May something in this excluded folder be sent after all? If not it need not be looked into.
    #[must_use]
    pub fn excepts_within(&self, folder: &str) -> bool {
        self.patterns
            .iter()
            .filter(|pattern| pattern.exception)
            .any(|pattern| {
                let has_wildcard = pattern.text.contains(['*', '?', '[', '\\']);
                has_wildcard
                    || pattern
                        .text
                        .strip_prefix(folder)
                        .is_some_and(|rest| rest.starts_with('/'))
            })
    }
}

/// `a`, `a/b`, `a/b/c`
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .filter_map(|(at, _)| path.get(..at))
        .chain([path])
}

/// As Go's `filepath.Clean`, and without a leading `/`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return ".".to_owned();
    }
    parts.join("/")
}

/// `*` and `?` stop at `/`, `**` does not; `[a-z]`, `[^a]` and `\` as in Go's `filepath.Match`.
fn regex(pattern: &str) -> Result<Regex, &'static str> {
    let mut text = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                if chars.peek() == Some(&'/') {
                    chars.next();
                }
                text.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '\\' => literal(&mut text, chars.next().ok_or("a final `\\` escapes nothing")?),
            '[' => class(&mut text, &mut chars)?,
            c => literal(&mut text, c),
        }
    }
    text.push('$');
    Regex::new(&text).map_err(|_too_large_or_reversed| "Docker would reject it")
}

fn literal(text: &mut String, c: char) {
    text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// What stands between `[` and `]`.
fn class(
    text: &mut String,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<(), &'static str> {
    text.push('[');
    if chars.peek() == Some(&'^') {
        chars.next();
        text.push('^');
    }
    let mut is_empty = true;
    loop {
        match chars.next().ok_or("a `[` is not closed")? {
            ']' if is_empty => return Err("`[]` matches nothing"),
            ']' => break,
            '-' => text.push('-'),
            '\\' => literal(text, chars.next().ok_or("a `[` is not closed")?),
            c => {
                if !c.is_alphanumeric() {
                    text.push('\\');
                }
                text.push(c);
            }
        }
        is_empty = false;
    }
    text.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &str, sent: &[&str], kept_back: &[&str]) {
        let ignore = Ignore::parse(patterns).unwrap();
        for path in sent {
            assert!(!ignore.excludes(path), "{path} should be sent with {patterns:?}");
        }
        for path in kept_back {
            assert!(
                ignore.excludes(path),
                "{path} should be kept back with {patterns:?}"
            );
        }
    }

    #[test]
    fn a_plain_name_is_meant_at_the_root_only_with_all_in_it() {
        check(
            "node_modules\n",
            &["app/node_modules", "node_modules2"],
            &["node_modules", "node_modules/a/b"],
        );
    }

    #[test]
    fn one_star_stops_at_a_slash_and_two_do_not() {
        check("*.log", &["a/x.log"], &["x.log", ".log"]);
        check("*/*.log", &["x.log", "a/b/x.log"], &["a/x.log"]);
        check("**/*.log", &[], &["x.log", "a/x.log", "a/b/x.log"]);
        check("a/**", &["a", "b/a/x"], &["a/x", "a/b/x"]);
        check("a/**/z", &["b/z"], &["a/z", "a/b/z", "a/b/c/z"]);
        check("**", &[], &["a", "a/b"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check(
            "*.md\n!README*.md\nREADME-secret.md",
            &["README.md", "README-a.md"],
            &["x.md", "README-secret.md"],
        );
        check(
            "*.md\nREADME-secret.md\n!README*.md",
            &["README-secret.md"],
            &["x.md"],
        );
        check("docs\n!docs/keep", &["docs/keep", "docs/keep/x"], &["docs/other"]);
    }

    #[test]
    fn question_marks_classes_and_escapes_are_gos() {
        check(
            "temp?",
            &["temp", "temp/x", "tempab", "a/tempa"],
            &["tempa", "tempa/x"],
        );
        check(
            "x[0-9].txt\ny[^a].txt",
            &["xa.txt", "ya.txt"],
            &["x1.txt", "yb.txt"],
        );
        check("\\*star", &["xstar"], &["*star"]);
    }

    #[test]
    fn comments_spaces_slashes_and_dots_are_cleaned() {
        check(
            "\u{feff}# comment\n  spaced  \n/rooted/\n./dotted/../clean//x\n! spaced/keep",
            &["# comment", "spaced/keep", "dotted"],
            &["spaced", "rooted", "rooted/x", "clean/x"],
        );
        check(" #not-a-comment", &[], &["#not-a-comment"]);
        check(".", &["a"], &["."]);
        check("a+b(c)|{d}$.^", &["aab(c)"], &["a+b(c)|{d}$.^"]);
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_line() {
        for (text, line) in [("a\n[", 2), ("!", 1), ("x\\", 1), ("[]", 1), ("a\n\n[a-", 3)] {
            assert_eq!(Ignore::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    #[test]
    fn an_excluded_folder_is_looked_into_only_for_an_exception() {
        let ignore = Ignore::parse("a\nb\n!a/x/keep").unwrap();
        assert!(ignore.excepts_within("a") && ignore.excepts_within("a/x"));
        assert!(!ignore.excepts_within("b") && !ignore.excepts_within("a/xy"));
        assert!(Ignore::parse("a\n!**/keep").unwrap().excepts_within("a"));
    }

    #[test]
    fn the_dockerfile_is_sent_whatever_the_patterns_say() {
        let mut ignore = Ignore::parse("**").unwrap();
        ignore.keep("build/Dockerfile");
        assert!(!ignore.excludes("build/Dockerfile") && ignore.excludes("build/other"));
        assert!(ignore.excepts_within("build"));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_and_no_path_is_ever_too_strange(patterns in "[a-z!#*?\\[\\]^\\\\/. \n-]{0,40}", path in "[a-z*\\[/.é\n]{0,20}") {
            if let Ok(mut ignore) = Ignore::parse(&patterns) {
                ignore.keep(&path);
                proptest::prop_assert!(!ignore.excludes(&path), "what is kept is sent: {path:?} with {patterns:?}");
            }
        }
    }
}

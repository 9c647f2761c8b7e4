//! Branch patterns: `main`, `release/*`, `**`.
//! A wildcard matches within one part of a name, as in paths; `**` matches any number of parts.

use regex::Regex;

/// Longer ones are no branch's.
const LONGEST: usize = 255;

#[derive(Clone, Debug)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Any,
    Like(Regex),
}

impl Pattern {
    /// `None`: it is no pattern.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_fine = !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_whitespace);
        let part = |part: &str| match part {
            "" => None,
            "**" => Some(Part::Any),
            _ => super::glob::regex(part).map(Part::Like),
        };
        let parts = text.split('/').map(part).collect::<Option<Vec<Part>>>()?;
        is_fine.then_some(Self(parts))
    }

    #[must_use]
    pub fn matches(&self, branch: &str) -> bool {
        let parts: Vec<&str> = branch.split('/').collect();
        branch.len() <= LONGEST && fits(&self.0, &parts)
    }
}

fn fits(pattern: &[Part], parts: &[&str]) -> bool {
    // Which beginnings of the pattern fit the parts seen so far: no more work than one times the other.
    let mut fitting = vec![false; pattern.len() + 1];
    open(pattern, &mut fitting, 0);
    for part in parts {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate() {
            if !fitting.get(at).is_some_and(|fits| *fits) {
                continue;
            }
            match wanted {
                Part::Any => open(pattern, &mut next, at),
                Part::Like(regex) if regex.is_match(part) => open(pattern, &mut next, at + 1),
                Part::Like(_) => {}
            }
        }
        fitting = next;
    }
    fitting.last().is_some_and(|fits| *fits)
}

/// Where the pattern may stand now: at `from`, and behind every `**` that begins there and takes nothing.
fn open(pattern: &[Part], fitting: &mut [bool], from: usize) {
    for at in from..fitting.len() {
        if let Some(place) = fitting.get_mut(at) {
            *place = true;
        }
        if !matches!(pattern.get(at), Some(Part::Any)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_one_part_of_a_branch() {
        let fits = |pattern: &str, branch: &str| Pattern::parse(pattern).unwrap().matches(branch);
        for (pattern, branch) in [
            ("main", "main"),
            ("release/*", "release/1.4"),
            ("release/[0-9]*", "release/1.4"),
            ("**", "main"),
            ("**", "a/b/c"),
            ("feature/**", "feature/a/b"),
            ("**/fix", "fix"),
            ("a/**/z", "a/b/c/z"),
            ("v?", "v1"),
        ] {
            assert!(fits(pattern, branch), "{pattern} {branch}");
        }
        for (pattern, branch) in [
            ("main", "Main"),
            ("main", "main2"),
            ("main", "domain"),
            ("main", "x/main"),
            ("release/*", "release"),
            ("release/*", "release/1/2"),
            ("*", "a/b"),
            ("a.c", "abc"),
            ("**/fix", "fixed"),
            ("main", "main\n"),
        ] {
            assert!(!fits(pattern, branch), "{pattern} {branch}");
        }
        for text in ["", "/", "a//b", "a b", "[a", "/main"] {
            assert!(Pattern::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_could_fit_in_many_ways_is_answered_at_once() {
        let pattern = Pattern::parse("**/a/**/a/**/a/**/a/**/a/**/a/**/b").unwrap();
        assert!(!pattern.matches(&vec!["a"; 120].join("/")));
    }
}

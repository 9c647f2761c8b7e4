//! The tag of a build as a template: `{git.short}`, `{git.branch}`, `{run.number}`, `{time}`.
//! Checked when the configuration is read; filled by the build.

use super::fault::Wrong;
use super::nearest::nearest;

/// What a build knows of itself, for its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFacts {
    /// Absent where the context is in no git repository, or there is no git.
    pub git_short: Option<String>,
    pub git_branch: Option<String>,
    pub run_number: u64,
    /// `20261121-084500`, UTC.
    pub time: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    GitShort,
    GitBranch,
    RunNumber,
    Time,
}

const NAMES: [&str; 4] = ["git.short", "git.branch", "run.number", "time"];

/// Needs git to be filled.
#[must_use]
pub fn needs_git(template: &str) -> bool {
    parts(template).is_ok_and(|parts| {
        parts
            .iter()
            .any(|part| matches!(part, Part::GitShort | Part::GitBranch))
    })
}

/// The tag, or what it lacks. What Docker does not allow in a tag (a `/` of a branch) becomes `-`.
pub fn fill(template: &str, facts: &TagFacts) -> Result<String, String> {
    let mut tag = String::new();
    for part in parts(template).map_err(|wrong| wrong.what)? {
        match part {
            Part::Text(text) => tag.push_str(text),
            Part::GitShort => tag.push_str(
                facts
                    .git_short
                    .as_deref()
                    .ok_or("`{git.short}` needs a git repository")?,
            ),
            Part::GitBranch => tag.push_str(
                facts
                    .git_branch
                    .as_deref()
                    .ok_or("`{git.branch}` needs a git repository on a branch")?,
            ),
            Part::RunNumber => tag.push_str(&facts.run_number.to_string()),
            Part::Time => tag.push_str(&facts.time),
        }
    }
    let tag: String = tag.chars().map(|c| if is_of_tag(c) { c } else { '-' }).collect();
    let tag = tag.trim_start_matches(['-', '.']);
    let tag: String = tag.chars().take(LONGEST_TAG).collect();
    if tag.is_empty() {
        return Err(format!("{template:?} results in an empty tag"));
    }
    Ok(tag)
}

pub(super) fn check(template: &str) -> Result<String, Wrong> {
    let parts = parts(template)?;
    if parts.is_empty() {
        return Err(Wrong::new("an empty tag"));
    }
    for part in &parts {
        if let Part::Text(text) = part
            && let Some(wrong) = text.chars().find(|c| !is_of_tag(*c))
        {
            return Err(Wrong::new(format!("{wrong:?} is not allowed in a tag")).hint(
                "letters, digits, `_`, `.`, `-` and `{git.short}`, `{git.branch}`, `{run.number}`, `{time}`",
            ));
        }
    }
    Ok(template.to_owned())
}

/// <https://docs.docker.com/reference/cli/docker/image/tag/>
const LONGEST_TAG: usize = 128;

fn is_of_tag(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn parts(template: &str) -> Result<Vec<Part<'_>>, Wrong> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (text, after) = rest.split_once('{').unwrap_or((rest, ""));
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if text.len() == rest.len() {
            break;
        }
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| Wrong::new("a `{` is not closed"))?;
        parts.push(match name {
            "git.short" => Part::GitShort,
            "git.branch" => Part::GitBranch,
            "run.number" => Part::RunNumber,
            "time" => Part::Time,
            _ => {
                let wrong = Wrong::new(format!("`{{{name}}}` is not known"));
                return Err(match nearest(name, NAMES) {
                    Some(meant) => wrong.hint(format!("did you mean `{{{meant}}}`?")),
                    None => wrong.hint("`{git.short}`, `{git.branch}`, `{run.number}` or `{time}`"),
                });
            }
        });
        rest = after;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> TagFacts {
        TagFacts {
            git_short: Some("3f2a91c".to_owned()),
            git_branch: Some("feature/basket".to_owned()),
            run_number: 7,
            time: "20261121-084500".to_owned(),
        }
    }

    #[test]
    fn every_name_is_filled_and_a_slash_becomes_a_dash() {
        let tag = fill("v1-{git.branch}.{git.short}-{run.number}-{time}", &facts()).unwrap();
        assert_eq!(tag, "v1-feature-basket.3f2a91c-7-20261121-084500");
    }

    #[test]
    fn without_git_only_a_template_that_needs_it_fails() {
        let none = TagFacts {
            git_short: None,
            git_branch: None,
            ..facts()
        };
        assert_eq!(fill("{time}", &none).unwrap(), "20261121-084500");
        assert!(fill("{git.short}", &none).unwrap_err().contains("git repository"));
        assert!(needs_git("x{git.branch}") && !needs_git("{time}"));
    }

    #[test]
    fn unknown_names_and_characters_are_refused_when_the_file_is_read() {
        for template in ["", "{git.shrt}", "{", "a b", "shop:{time}", "{}"] {
            assert!(check(template).is_err(), "{template}");
        }
        assert_eq!(
            check("{git.shrt}").unwrap_err().hint.unwrap(),
            "did you mean `{git.short}`?"
        );
    }
}

//! A Dockerfile as text: its lines, variables, and the registries of its base images.
//! Instructions are interpreted by the builder; invalid lines are not reported here.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::reference::{Reference, registry_of};

/// Stands for a variable that nobody gives: it is in no image's name.
const UNKNOWN: &str = "\0";

/// Whose images a Dockerfile takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// As images' names begin: `registry.internal:5000`, `docker.io`.
    pub registries: BTreeSet<String>,
    /// A registry is named by a variable that has no value here: it may be any.
    pub has_unknown: bool,
}

/// Every image that the Dockerfile names and does not make itself: behind `FROM`, in `--from=` and `from=`, in
/// `# syntax=`. Variables count as far as `args` and the Dockerfile's own `ARG` say what they are.
#[must_use]
pub fn bases(text: &str, args: &BTreeMap<String, String>) -> Bases {
    let mut bases = Bases::default();
    if let Some(syntax) = directive(text, "syntax") {
        bases.add(&syntax);
    }
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let mut is_in_stage = false;
    for (_, line) in lines(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        match word.to_ascii_uppercase().as_str() {
            // Only what is declared above the first stage counts in the name of a base.
            "ARG" if !is_in_stage => {
                for declared in rest.split_whitespace() {
                    let (name, default) = declared.split_once('=').unwrap_or((declared, ""));
                    let default = substitute(unquoted(default), &variables, UNKNOWN);
                    let value = args.get(name).cloned().unwrap_or(default);
                    variables.insert(name.to_owned(), value);
                }
            }
            "FROM" => {
                is_in_stage = true;
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let name = substitute(unquoted(words.next().unwrap_or_default()), &variables, UNKNOWN);
                if !stages.contains(&name.to_lowercase()) {
                    bases.add(&name);
                }
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
                    stages.extend(words.next().map(str::to_lowercase));
                }
            }
            "COPY" | "ADD" | "RUN" => {
                for name in rest.split_whitespace().filter_map(source) {
                    let is_stage = stages.contains(&name.to_lowercase());
                    let is_number = name.chars().all(|c| c.is_ascii_digit());
                    if !is_stage && !is_number {
                        bases.add(&substitute(name, &variables, UNKNOWN));
                    }
                }
            }
            _ => {}
        }
    }
    bases
}

impl Bases {
    fn add(&mut self, name: &str) {
        // Without a slash there is no registry, but a variable may hold all of it.
        let head = name.split(['/', ':']).next().unwrap_or_default();
        if head.contains(UNKNOWN) {
            self.has_unknown = true;
        } else if name != "scratch" && !name.is_empty() {
            let repository = Reference::parse(name).map(|image| image.repository().to_owned());
            self.registries
                .insert(registry_of(repository.as_deref().unwrap_or(name)).to_owned());
        }
    }
}

/// `--from=image`, `--mount=type=bind,from=image,…`
fn source(word: &str) -> Option<&str> {
    let named = word.strip_prefix("--from=").or_else(|| {
        let mount = word.strip_prefix("--mount=")?;
        mount.split(',').find_map(|part| part.strip_prefix("from="))
    });
    named.map(unquoted).filter(|name| !name.is_empty())
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}

/// The instructions, each on one line with the number of its first, from 1; without comments and empty lines.
#[must_use]
pub fn lines(text: &str) -> Vec<(usize, String)> {
    let escape = directive(text, "escape").unwrap_or_else(|| "\\".to_owned());
    let mut found = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut whole = line.to_owned();
        while let Some(begun) = whole.strip_suffix(escape.as_str()) {
            let begun = begun.trim_end().to_owned();
            let next = lines
                .by_ref()
                .map(|(_, next)| next.trim())
                .find(|next| !next.starts_with('#'));
            whole = format!("{begun} {}", next.unwrap_or_default());
            if next.is_none() {
                break;
            }
        }
        found.push((number + 1, whole));
    }
    found
}

/// `# syntax=docker/dockerfile:1` counts only above everything else that is no comment of its kind.
#[must_use]
pub fn directive(text: &str, wanted: &str) -> Option<String> {
    for line in text.trim_start_matches('\u{feff}').lines() {
        let (name, value) = line.strip_prefix('#')?.split_once('=')?;
        if name.trim().eq_ignore_ascii_case(wanted) {
            return value.split_whitespace().next().map(str::to_owned);
        }
    }
    None
}

/// `$A`, `${A}`, `${A:-b}` and `${A:+b}` replaced; one without value and default becomes `missing`.
#[must_use]
pub fn substitute(text: &str, variables: &BTreeMap<String, String>, missing: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        let (inner, later) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(
                after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len()),
            ),
        };
        let value = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        if inner.is_empty() {
            done.push('$');
        } else if let Some((name, instead)) = inner.split_once(":+") {
            done.push_str(value(name).map_or("", |_| instead));
        } else {
            let (name, default) = inner.split_once(":-").unwrap_or((inner, missing));
            done.push_str(value(name).map_or(default, String::as_str));
        }
        rest = later;
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, args: &[(&str, &str)]) -> (Vec<String>, bool) {
        let args = args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let bases = bases(text, &args.collect());
        (bases.registries.into_iter().collect(), bases.has_unknown)
    }

    #[test]
    fn the_registries_of_all_images_that_are_not_its_own_stages_are_found() {
        let text = "# syntax=front.example/dockerfile:1\n\
                    ARG BASE=one.example:5000/base\nARG TAG\n\
                    FROM --platform=$BUILDPLATFORM ${BASE}:${TAG:-v1} AS Build\n\
                    RUN --mount=type=bind,from=two.example/tools,target=/t \\\n  # so it is\n  true\n\
                    COPY --from=three.example/x /a /b\nCOPY --from=build /a /b\nCOPY --from=0 /a /b\n\
                    FROM build\nFROM scratch\nFROM debian:12-${TARGETARCH}\n";
        let all = [
            "docker.io",
            "front.example",
            "one.example:5000",
            "three.example",
            "two.example",
        ];
        assert_eq!(named(text, &[]), (all.map(str::to_owned).to_vec(), false));
    }

    #[test]
    fn a_builds_own_arguments_come_before_the_dockerfiles_and_what_nobody_gives_may_be_any() {
        let text = "ARG REGISTRY=one.example\nFROM $REGISTRY/base\n";
        assert_eq!(named(text, &[]).0, ["one.example"]);
        assert_eq!(named(text, &[("REGISTRY", "two.example")]).0, ["two.example"]);
        assert_eq!(
            named("ARG REGISTRY\nFROM ${REGISTRY}/base\n", &[]),
            (vec![], true)
        );
        assert_eq!(
            named("FROM $UNDECLARED/base\n", &[("UNDECLARED", "a.example")]),
            (vec![], true)
        );
        assert_eq!(named("", &[]), (vec![], false));
    }

    #[test]
    fn variables_are_replaced_in_every_form() {
        let variables = BTreeMap::from([("V".to_owned(), "3".to_owned())]);
        assert_eq!(
            substitute("x:$V-${V}${W:-w}${V:+v}$W", &variables, "?"),
            "x:3-3wv?"
        );
        assert_eq!(substitute("a$ b", &variables, ""), "a$ b");
    }

    #[test]
    fn lines_are_joined_as_the_escape_directive_says() {
        assert_eq!(
            lines("\n# a\nRUN a \\\n  # between\n  && b\n"),
            [(3, "RUN a && b".to_owned())]
        );
        assert_eq!(lines("# escape=`\nRUN a `\n b\\\n")[0].1, "RUN a b\\");
    }

    #[test]
    fn a_directive_counts_above_everything_else_only() {
        let syntax = |text| directive(text, "syntax");
        assert_eq!(
            syntax("# syntax=docker/dockerfile:1\nFROM x").unwrap(),
            "docker/dockerfile:1"
        );
        assert_eq!(syntax("# escape=`\n#Syntax = a/b \nFROM x").unwrap(), "a/b");
        for text in [
            "FROM x\n# syntax=a",
            "# a comment\n# syntax=a",
            "",
            "\n# syntax=a",
        ] {
            assert_eq!(syntax(text), None, "{text}");
        }
    }
}

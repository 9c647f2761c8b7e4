//! `[services.build]`: where and how an image is built, and from what.
//! Does not check that folders exist: they may come with the next checkout.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};
use std::time::Duration;

use super::super::fault::Wrong;
use super::super::section::{Section, Value};
use super::super::service::{Build, Builder, Secret};
use super::super::template;
use super::Known;
use super::secrets::secrets;
use super::stages::{host, limit, name_of_label, name_of_variable, pairs};

/// Long enough for a compiler on a cold cache; a build that hangs is noticed the same hour.
const BUILD_LIMIT: Duration = Duration::from_mins(30);

pub(super) fn build(section: &mut Section<'_>, known: &Known) -> Option<Build> {
    let host = host(section, known, None);
    let here = section.place.source.folder.clone();
    let context = section.take("context").map_or(Some(here), |value| value.path());
    let dockerfile = match section.take("dockerfile") {
        Some(value) => dockerfile(&value),
        None => Some(PathBuf::from("Dockerfile")),
    };
    let target = section.take("target").and_then(|value| value.word());
    let args = section
        .take("args")
        .and_then(|value| pairs(&value, &|name| name_of_variable(name)));
    let labels = section
        .take("labels")
        .and_then(|value| pairs(&value, &|name| name_of_label(name)));
    let tags = tags(section);
    let git = section.take("git").and_then(|value| value.parsed(revision));
    let platform = section.take("platform").and_then(|value| value.parsed(platform));
    let cache_from = section.take("cache_from").and_then(|value| images(&value));
    let builder = section.take("builder").map_or(Some(Builder::Auto), |value| {
        value.one_of(&[
            ("auto", Builder::Auto),
            ("classic", Builder::Classic),
            ("buildkit", Builder::BuildKit),
        ])
    });
    let secrets = handed(section, builder);
    let timeout = limit(section, BUILD_LIMIT);
    Some(Build {
        host: host?,
        context: context?,
        dockerfile: dockerfile?,
        target: target.map(str::to_owned),
        args: args.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        tags: tags?,
        git,
        platform,
        cache_from: cache_from.unwrap_or_default(),
        secrets,
        builder: builder?,
        timeout: timeout?,
    })
}

/// `tag = "…"`, or several as `tags = ["…", "…"]`.
fn tags(section: &mut Section<'_>) -> Option<Vec<String>> {
    let (one, several) = (section.take("tag"), section.take("tags"));
    match (one, several) {
        (None, None) => Some(vec!["{time}".to_owned()]),
        (Some(value), None) => Some(vec![value.parsed(template::check)?]),
        (None, Some(value)) => {
            let items = value.list()?;
            if items.is_empty() {
                value.fault(Wrong::new("`tags` is empty").hint("omit it for `{time}`"));
                return None;
            }
            let tags: Vec<Option<String>> = items.iter().map(|item| item.parsed(template::check)).collect();
            tags.into_iter().collect()
        }
        (Some(_), Some(value)) => {
            value.fault(Wrong::new("both `tag` and `tags` are given").hint("put all of them into `tags`"));
            None
        }
    }
}

/// Within the context: Docker is sent nothing from outside it.
fn dockerfile(value: &Value<'_>) -> Option<PathBuf> {
    value.parsed(|text| {
        let path = PathBuf::from(text);
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if text.is_empty() || !inside {
            return Err(Wrong::new(format!("{text:?} is not within the context"))
                .hint("a path relative to `context`, without `..`"));
        }
        Ok(path)
    })
}

/// Anything that git may resolve; never an option of its.
fn revision(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_whitespace) {
        return Err(Wrong::new(format!("{text:?} is not a revision"))
            .hint("a branch, a tag or a commit: `main`, `v1.4`, `HEAD`"));
    }
    Ok(text.to_owned())
}

/// `linux/amd64`, `linux/arm/v7`
fn platform(text: &str) -> Result<String, Wrong> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    if !matches!(text.split('/').count(), 2..=3) || !text.split('/').all(is_part) {
        return Err(
            Wrong::new(format!("{text:?} is not a platform")).hint("system and architecture: `linux/arm64`")
        );
    }
    Ok(text.to_owned())
}

fn images(value: &Value<'_>) -> Option<Vec<String>> {
    let mut images = Vec::new();
    for item in value.list()? {
        let image = item.parsed(|text| {
            if text.is_empty() || text.chars().any(char::is_whitespace) {
                return Err(Wrong::new(format!("{text:?} is not an image"))
                    .hint("`registry.internal:5000/shop:main`"));
            }
            Ok(text.to_owned())
        });
        images.extend(image);
    }
    Some(images)
}

/// Only `BuildKit` knows secrets: the classic builder would leave them in the image's history.
fn handed(section: &mut Section<'_>, builder: Option<Builder>) -> BTreeMap<String, Secret> {
    let Some(value) = section.take("secrets") else {
        return BTreeMap::new();
    };
    let found = secrets(&value, &BTreeMap::new());
    if builder == Some(Builder::Classic) && !found.is_empty() {
        value.fault(
            Wrong::new("the classic builder does not support secrets")
                .hint("omit `builder`, or remove the `secrets`"),
        );
    }
    found
}

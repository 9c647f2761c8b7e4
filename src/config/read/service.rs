//! `[[services]]`: the services. Their stages and deploys are read in other files.
//! Refuses contradictions; whether a daemon supports it is checked later.

use super::super::fault::Wrong;
use super::super::section::Section;
use super::super::service::{Service, Slot};
use super::{Known, Names, build, custom, deploy, environments, pipeline, testing};
use crate::domain::ids::ServiceName;
use crate::domain::reference::registry_of;

pub(super) fn read(section: &mut Section<'_>, known: &Known, names: &mut Names) -> Option<Service> {
    let others = section.take("environments");
    let service = whole(
        section,
        known,
        names,
        &Place::Own {
            others: others.is_some(),
        },
    );
    let environments = others.map(|value| environments::read(&value, section, known));
    Some(Service {
        environments: environments.unwrap_or_default(),
        ..service?
    })
}

/// Whose view of the service is read.
pub(super) enum Place<'e> {
    /// Without an environment; where there are others, its deploy without `hosts` is only what they share.
    Own {
        others: bool,
    },
    Environment(&'e str),
}

/// A service without a look at its environments.
pub(super) fn whole(
    section: &mut Section<'_>,
    known: &Known,
    names: &mut Names,
    place: &Place<'_>,
) -> Option<Service> {
    let name = section.need("name").and_then(|value| {
        let name = value.parsed(|text| Ok(ServiceName::parse(text)?))?;
        names.claim("service", name.as_str(), &value);
        Some(name)
    });
    let image = section.need("image").and_then(|value| value.parsed(repository));
    let build = section.take("build");
    let has_build = build.is_some();
    let build = build.and_then(|value| {
        let mut section = value.section("[services.build]")?;
        let build = self::build::build(&mut section, known);
        section.finish();
        build
    });
    let mut tests = Vec::new();
    let mut stage_names = Names::default();
    if let Some(value) = section.take("tests") {
        for mut section in value.sections("services.tests") {
            let origin = testing::Built {
                host: build.as_ref().map(|build| &build.host),
                declared: has_build,
            };
            tests.extend(testing::test(&mut section, known, &origin, &mut stage_names));
            section.finish();
        }
    }
    let (title, may_share) = match place {
        Place::Own { others } => ("[services.deploy]".to_owned(), *others),
        Place::Environment(name) => (format!("[services.deploy] of {name}"), false),
    };
    let deploy = section.take("deploy");
    let has_deploy = deploy.is_some() || may_share;
    let deploy = deploy.and_then(|value| {
        let mut section = value.section(title)?;
        if may_share && !section.has("hosts") {
            return None;
        }
        let deploy = deploy::read(&mut section, known);
        section.finish();
        deploy
    });
    let mut stages = Vec::new();
    if let Some(value) = section.take("stages") {
        for mut section in value.sections("services.stages") {
            stages.extend(custom::read(
                &mut section,
                known,
                build.as_ref(),
                &mut stage_names,
            ));
            section.finish();
        }
    }
    let parts = pipeline::Parts {
        stages: &stages,
        builds: has_build,
        tests: &tests,
        pushes: image
            .as_deref()
            .is_some_and(|image| known.registries.iter().any(|known| known == registry_of(image))),
        deploys: has_deploy,
    };
    let said = section.take("pipeline");
    let mut pipeline = pipeline::read(said.as_ref(), &parts);
    if let (Some(value), Place::Own { .. }) = (&said, place) {
        pipeline::complete(value, &pipeline, &stages);
    }
    if may_share && deploy.is_none() {
        // Only its environments deploy.
        for group in &mut pipeline {
            group.retain(|slot| *slot != Slot::Deploy);
        }
        pipeline.retain(|group| !group.is_empty());
    }
    Some(Service {
        name: name?,
        image: image?,
        build,
        tests,
        stages,
        deploy,
        pipeline,
        environments: Vec::new(),
    })
}

/// `registry.internal:5000/team/shop`, without tag or digest.
/// <https://github.com/distribution/reference>
pub(super) fn repository(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("{text:?} {what}"));
    if text.contains('@') {
        return Err(wrong("holds a digest").hint("give only the repository: each run chooses the image"));
    }
    let (registry, path) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        Some(_) | None => (None, text),
    };
    if let Some((repository, _)) = path.split_once(':') {
        let repository = match registry {
            Some(registry) => format!("{registry}/{repository}"),
            None => repository.to_owned(),
        };
        return Err(wrong("holds a tag").hint(format!("\"{repository}\": each run chooses the tag")));
    }
    let is_part = |part: &str| {
        let ends = [part.chars().next(), part.chars().last()];
        ends.iter()
            .all(|c| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
    };
    let registry_fine = registry.is_none_or(|registry| {
        !registry.starts_with(':')
            && registry
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'))
    });
    if text.len() > 255 || !registry_fine || !path.split('/').all(is_part) {
        return Err(wrong("is not an image name")
            .hint("lower-case letters, digits, `.`, `_`, `-` between `/`: `registry:5000/team/shop`"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_repository_without_tag_or_digest() {
        for text in [
            "shop",
            "team/shop",
            "registry.internal:5000/team/shop",
            "localhost/shop",
            "localhost:5000/a/b/c",
        ] {
            assert_eq!(repository(text).unwrap(), text);
        }
        for text in [
            "",
            "Shop",
            "shop:v1",
            "r:5000/shop:v1",
            "shop@sha256:00",
            "a//b",
            "-shop",
            "shop/",
            "sh op",
        ] {
            assert!(repository(text).is_err(), "{text}");
        }
        assert!(
            repository("r:5000/shop:v1")
                .unwrap_err()
                .hint
                .unwrap()
                .contains("\"r:5000/shop\"")
        );
    }
}

//! `[services.trigger]`: which pushes to which repository start which run of the service.
//! Refuses runs the service has no configuration for; protected hosts are checked when a push arrives.

use super::super::fault::Wrong;
use super::super::pattern::Pattern;
use super::super::section::Value;
use super::super::service::Service;
use super::super::trigger::Trigger;
use super::custom::refuse_of_others;
use super::secrets::secret;
use super::stages::command;
use crate::domain::run::RunKind;

pub(super) fn read(value: &Value<'_>, service: &Service) -> Option<Trigger> {
    let mut section = value.section("[services.trigger]")?;
    let repository = section
        .need("repository")
        .and_then(|value| value.parsed(repository));
    let branches = section.need("branches").and_then(|value| branches(&value));
    let environment = section
        .take("environment")
        .map(|value| environment(&value, service));
    let own = match &environment {
        None => Some(service),
        Some(named) => named.as_deref().and_then(|named| service.place(Some(named))),
    };
    let run = match section.take("run") {
        Some(value) => run(&value, own),
        None => Some(RunKind::Pipeline),
    };
    let secret = section.need("secret").and_then(|value| secret(&value));
    let prepare = section.take("prepare").map(|value| {
        refuse_of_others(&value);
        command(&value)
    });
    let confirm = section.take("confirm").map(|value| value.truth());
    section.finish();
    Some(Trigger {
        service: service.name.clone(),
        repository: repository?,
        branches: branches?,
        run: run?,
        environment: match environment {
            Some(named) => Some(named?),
            None => None,
        },
        secret: secret?,
        prepare: match prepare {
            Some(command) => command?,
            None => Vec::new(),
        },
        confirm: match confirm {
            Some(truth) => truth?,
            None => false,
        },
    })
}

/// `acme/shop`; on GitLab also `acme/web/shop`.
fn repository(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| {
        Err(Wrong::new(format!("{text:?} {what}"))
            .hint("the name on the forge: `acme/shop`, without its address"))
    };
    if text.contains("://") || text.contains('@') || text.to_lowercase().ends_with(".git") {
        return wrong("is an address");
    }
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
    };
    if text.len() > 255 || !text.contains('/') || !text.split('/').all(is_part) {
        return wrong("is not a repository name");
    }
    Ok(text.to_owned())
}

fn branches(value: &Value<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for item in value.list()? {
        found.push(item.parsed(|text| {
            match Pattern::parse(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(Wrong::new(format!("{text:?} is neither a branch nor a pattern"))
                    .hint("`main`, `release/*`; `**` for all of them")),
            }
        })?);
    }
    if found.is_empty() {
        value.fault(Wrong::new("`branches` is empty: no push would start a run").hint("`[\"main\"]`"));
        return None;
    }
    Some(found)
}

/// One of the service's, where it has any; where it has none, the run itself will say so.
fn environment(value: &Value<'_>, service: &Service) -> Option<String> {
    let name = value.word()?;
    if !service.environments.is_empty() && service.place(Some(name)).is_none() {
        value.fault(
            Wrong::new(format!("`environment`: the service has no {name:?}"))
                .hint(service.environment_words()),
        );
        return None;
    }
    Some(name.to_owned())
}

/// `own`: the service as it is where it runs; absent where that is not known.
fn run(value: &Value<'_>, own: Option<&Service>) -> Option<RunKind> {
    let kinds = [
        RunKind::Pipeline,
        RunKind::Build,
        RunKind::Test,
        RunKind::Push,
        RunKind::Deploy,
    ];
    let run = value.one_of(&kinds.map(|kind| (kind.word(), kind)))?;
    let lacks = |is_missing: fn(&Service) -> bool| own.is_some_and(is_missing);
    let missing = match run {
        RunKind::Build if lacks(|service| service.build.is_none()) => "[services.build]",
        RunKind::Test if lacks(|service| service.tests.is_empty()) => "[[services.tests]]",
        RunKind::Deploy if lacks(|service| service.deploy.is_none()) => "[services.deploy]",
        RunKind::Build
        | RunKind::Test
        | RunKind::Deploy
        | RunKind::Push
        | RunKind::Pipeline
        | RunKind::Rollback
        | RunKind::Adopt => return Some(run),
    };
    value.fault(Wrong::new(format!(
        "`{}`: the service has no {missing}",
        run.word()
    )));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_as_the_forge_names_it() {
        for text in ["acme/shop", "acme/web/shop.api", "~ann/shop"] {
            assert_eq!(repository(text).unwrap(), text);
        }
        for text in [
            "shop",
            "https://github.com/acme/shop",
            "git@github.com:acme/shop.git",
            "acme/shop.git",
            "acme//shop",
            "acme/shop x",
            "",
        ] {
            assert!(repository(text).is_err(), "{text}");
        }
    }
}

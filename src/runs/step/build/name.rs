//! The names of a build: its tags with placeholders filled in, its labels, the revision it is built from.
//! Reads git only.

use std::collections::BTreeMap;

use super::super::git::{self, Revision};
use crate::config::service::Build;
use crate::config::template::{self, TagFacts};
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::ServiceName;
use crate::domain::units::Stamp;

/// The names of a build, from its templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// At least one, each once.
    pub tags: Vec<String>,
    /// `pilothouse.service`, and `pilothouse.git` if the context is in a repository.
    pub labels: BTreeMap<String, String>,
    pub git: Option<Revision>,
    /// Notes for people, such as a dirty work tree.
    pub notes: Vec<String>,
}

/// Values for the templates besides those from git.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// Used if git has none: a commit has no branch.
    pub branch: Option<&'a str>,
    /// The number of the run within its service.
    pub run_number: u64,
    pub now: Stamp,
}

/// Fills the templates of the tags. Git is asked once; that it is absent is a fault only if a revision is to be built
/// or a template needs it.
pub async fn name(build: &Build, service: &ServiceName, naming: Naming<'_>) -> Result<Name, Fault> {
    let asked = revision(build, naming).await;
    let (git, why_not) = match asked {
        Ok(revision) => (Some(revision), None),
        Err(why) => (None, Some(why)),
    };
    if let (Some(named), Some(why)) = (&build.git, &why_not) {
        return Err(
            Fault::new(format!("build {} as of {named}", build.context.display()), why)
                .hint("`git` of [services.build] must be a commit in the repository of `context`"),
        );
    }
    let facts = facts(git.as_ref(), naming);
    let mut tags: Vec<String> = Vec::new();
    for template in &build.tags {
        let tag = fill(template, &facts, why_not.as_deref())?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut labels = BTreeMap::from([(label::SERVICE.to_owned(), service.to_string())]);
    let mut notes = Vec::new();
    if let Some(revision) = &git {
        let from_tree = build.git.is_none() && revision.dirty;
        let dirty = if from_tree { "-dirty" } else { "" };
        labels.insert(label::GIT.to_owned(), format!("{}{dirty}", revision.full));
        notes.extend(note(build, revision));
    }
    Ok(Name {
        tags,
        labels,
        git,
        notes,
    })
}

/// Another image of the same build: `registry:5000/shop-tests:{git.short}` with its tag filled.
pub async fn reference(template: &str, build: &Build, naming: Naming<'_>) -> Result<String, Fault> {
    let (repository, tag) = super::split(template);
    let asked = revision(build, naming).await;
    let facts = facts(asked.as_ref().ok(), naming);
    let tag = fill(tag, &facts, asked.err().as_deref())?;
    Ok(format!("{repository}:{tag}"))
}

async fn revision(build: &Build, naming: Naming<'_>) -> Result<Revision, String> {
    let mut revision = git::revision(&build.context, build.git.as_deref()).await?;
    revision.branch = revision.branch.or_else(|| naming.branch.map(str::to_owned));
    Ok(revision)
}

fn facts(git: Option<&Revision>, naming: Naming<'_>) -> TagFacts {
    TagFacts {
        git_short: git.map(|revision| revision.short.clone()),
        git_branch: git.and_then(|revision| revision.branch.clone()),
        run_number: naming.run_number,
        time: compact(naming.now),
    }
}

fn note(build: &Build, revision: &Revision) -> Option<String> {
    let place = build.context.display();
    match (&build.git, revision.dirty) {
        (_, false) => None,
        (None, true) => Some(format!(
            "{place} holds changes that are not in {}: the image does not match that revision exactly",
            revision.short
        )),
        (Some(named), true) => Some(format!(
            "{place} holds changes that are not committed: {named} ({}) is built without them",
            revision.short
        )),
    }
}

fn fill(template: &str, facts: &TagFacts, no_git: Option<&str>) -> Result<String, Fault> {
    template::fill(template, facts).map_err(|why| {
        let why = match no_git {
            Some(git) if template::needs_git(template) => format!("{why}: {git}"),
            Some(_) | None => why,
        };
        Fault::new(format!("make the tag `{template}`"), why)
            .hint("`tag = \"{time}\"` or `\"{run.number}\"` need no repository")
    })
}

/// `20261121-084500`, UTC.
fn compact(now: Stamp) -> String {
    jiff::Timestamp::from_second(now.seconds())
        .map(|time| time.strftime("%Y%m%d-%H%M%S").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_tag_is_utc_and_sorts() {
        assert_eq!(compact(Stamp::from_seconds(1_795_250_700)), "20261121-084500");
    }
}

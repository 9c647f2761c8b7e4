//! What a run does besides its release, in words for the plan page: builds, tests, pushes, and stages at its end.
//! Describes the plan; reads no host.

use crate::config::service::{CustomStage, Slot, Work};
use crate::domain::reference::registry_of;
use crate::domain::run::RunKind;
use crate::release::plan::Plan;
use crate::release::road::slots;

/// The `always` stages.
pub(super) fn ends(plan: &Plan) -> Vec<String> {
    let stages = plan.service.stages.iter().filter(|stage| stage.always);
    let always = stages.filter(|_| plan.kind == RunKind::Pipeline);
    always
        .map(|stage| format!("always, at the end: {}", custom(stage)))
        .collect()
}

/// The stages before or after a release, one line per group of concurrent stages.
pub(super) fn work(plan: &Plan, behind: bool) -> Vec<String> {
    let line = |slot: &Slot| match slot {
        Slot::Build => plan.service.build.as_ref().map(|build| {
            let commit = build.git.as_deref().unwrap_or_default();
            let short = commit.get(..12).unwrap_or(commit);
            let revision = if short.is_empty() {
                String::new()
            } else {
                format!(" as of {short}")
            };
            format!(
                "build {}{revision} on {} as {}",
                build.context.display(),
                build.host,
                plan.tags.join(" and ")
            )
        }),
        Slot::Test(name) => plan
            .test(name)
            .map(|test| format!("test {name} on {}: {}", test.host, test.words())),
        Slot::Custom(name) => plan.custom(name).map(custom),
        Slot::Push => Some(push_words(plan)),
        Slot::Deploy => None,
    };
    let groups = slots(&plan.service, plan.kind);
    let groups = groups
        .iter()
        .skip_while(|group| behind && !group.contains(&Slot::Deploy))
        .take_while(|group| behind || !group.contains(&Slot::Deploy));
    let lines = groups.map(|group| {
        let parts: Vec<String> = group.iter().filter_map(line).collect();
        parts.join(" · concurrently ")
    });
    lines.filter(|line| !line.is_empty()).collect()
}

fn custom(stage: &CustomStage) -> String {
    let name = &stage.name;
    match &stage.work {
        Work::Run { image, test } => {
            let of = image.as_deref().unwrap_or("the image");
            format!("{name} on {}, in {of}: {}", test.host, test.words())
        }
        Work::Command { argv, .. } => format!("{name} on this machine: {}", argv.join(" ")),
        Work::Approve { question, .. } => format!("{name} waits for a person: {question}"),
    }
}

pub(super) fn tests(plan: &Plan) -> Vec<String> {
    let groups = slots(&plan.service, plan.kind);
    let names = groups.iter().flatten().filter_map(|slot| match slot {
        Slot::Test(name) => plan.test(name),
        Slot::Build | Slot::Push | Slot::Custom(_) | Slot::Deploy => None,
    });
    let mut lines: Vec<String> = names
        .map(|test| format!("{} on {}: {}", test.name, test.host, test.words()))
        .collect();
    let before = plan.tests_before().iter();
    lines.extend(before.map(|test| format!("each new replica, {}", test.words())));
    let after = plan.tests_after().iter();
    lines.extend(after.map(|test| format!("each host before the commit, {}", test.words())));
    let has_tests = plan
        .deploy()
        .is_some_and(|deploy| !deploy.before_switch.is_empty() || !deploy.after_switch.is_empty());
    if plan.kind == RunKind::Rollback && has_tests {
        lines.push("none: the release passed its tests when it was deployed; it is only gated".to_owned());
    }
    lines
}

/// `push shop:v3 as registry:5000/shop:v3 and registry:5000/shop:stable`
fn push_words(plan: &Plan) -> String {
    let names: Vec<String> = plan.pushes.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        format!(
            "push {} to {} under its tags",
            plan.image,
            registry_of(&plan.service.image)
        )
    } else if plan.builds() {
        format!("push {}", names.join(" and "))
    } else {
        format!("push {} as {}", plan.image, names.join(" and "))
    }
}

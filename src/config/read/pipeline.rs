//! `pipeline = ["build", ["unit", "lint"], "push", "deploy"]`: the stages of `P`, in order; an inner list runs concurrently.
//! Default: build, tests in order, push if the service pushes, custom stages, deploy.

use std::collections::BTreeSet;

use super::super::fault::Wrong;
use super::super::nearest::nearest;
use super::super::section::Value;
use super::super::service::{CustomStage, Slot, Test, Work};

/// What the service has to put into its pipeline.
pub(super) struct Parts<'p> {
    pub(super) builds: bool,
    pub(super) tests: &'p [Test],
    pub(super) pushes: bool,
    pub(super) stages: &'p [CustomStage],
    pub(super) deploys: bool,
}

impl Parts<'_> {
    fn slot(&self, name: &str) -> Result<Slot, Wrong> {
        let missing = |table: &str| Err(Wrong::new(format!("the service has no {table}")));
        match name {
            "build" if self.builds => Ok(Slot::Build),
            "build" => missing("[services.build]"),
            "deploy" if self.deploys => Ok(Slot::Deploy),
            "deploy" => missing("[services.deploy]"),
            "push" => Ok(Slot::Push),
            _ if self.tests.iter().any(|test| test.name == name) => Ok(Slot::Test(name.to_owned())),
            _ => match self.stages.iter().find(|stage| stage.name == name) {
                Some(stage) if stage.always => {
                    Err(Wrong::new(format!("`{name}` has `always`: it runs at the end")).hint("omit it here"))
                }
                Some(_) => Ok(Slot::Custom(name.to_owned())),
                None => Err(self.unknown(name)),
            },
        }
    }

    fn unknown(&self, name: &str) -> Wrong {
        let tests = self.tests.iter().map(|test| test.name.as_str());
        let stages = self.stages.iter().map(|stage| stage.name.as_str());
        let all = ["build", "push", "deploy"].into_iter();
        let known: Vec<&str> = all.chain(tests).chain(stages).collect();
        let wrong = Wrong::new(format!("no stage is called {name:?}"));
        match nearest(name, known.iter().copied()) {
            Some(meant) => wrong.hint(format!("did you mean `{meant}`?")),
            None => wrong.hint(format!("there are {}", known.join(", "))),
        }
    }
}

pub(super) fn read(value: Option<&Value<'_>>, parts: &Parts<'_>) -> Vec<Vec<Slot>> {
    let Some(value) = value else {
        return Slot::usual(
            parts.builds,
            parts.tests,
            parts.pushes,
            parts.stages,
            parts.deploys,
        );
    };
    let mut groups: Vec<Vec<Slot>> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in value.list().unwrap_or_default() {
        let words = if item.is_text() {
            vec![item]
        } else {
            item.list().unwrap_or_default()
        };
        let mut group = Vec::new();
        let at_once = words.len() > 1;
        for word in &words {
            let Some(slot) = word.parsed(|name| {
                if !seen.insert(name.to_owned()) {
                    return Err(Wrong::new(format!("`{name}` is in it twice")));
                }
                parts.slot(name)
            }) else {
                continue;
            };
            if at_once && matches!(slot, Slot::Build | Slot::Deploy) {
                word.fault(Wrong::new(
                    "neither `build` nor `deploy` can run beside another stage",
                ));
            }
            group.push(slot);
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    order(value, &groups, parts);
    groups
}

/// Every stage must stand in it; what an environment says for itself may do without some.
pub(super) fn complete(value: &Value<'_>, groups: &[Vec<Slot>], stages: &[CustomStage]) {
    for stage in stages {
        let slot = Slot::Custom(stage.name.clone());
        if !stage.always && !groups.iter().flatten().any(|known| *known == slot) {
            value.fault(
                Wrong::new(format!("the stage `{}` is not in it", stage.name))
                    .hint("add it, or remove its [[services.stages]]"),
            );
        }
    }
}

/// What is built is tested, what was tested is pushed, what is there is deployed.
fn order(value: &Value<'_>, groups: &[Vec<Slot>], parts: &Parts<'_>) {
    let at = |wanted: &Slot| groups.iter().position(|group| group.contains(wanted));
    if let Some(build) = at(&Slot::Build) {
        let is_before = |slot: &Slot| match slot {
            Slot::Test(_) | Slot::Push | Slot::Deploy => true,
            Slot::Custom(name) => parts
                .stages
                .iter()
                .any(|stage| stage.name == *name && matches!(stage.work, Work::Run { image: None, .. })),
            Slot::Build => false,
        };
        if groups.iter().take(build).flatten().any(is_before) {
            value.fault(Wrong::new("`build` comes after a stage that needs its image").hint("put it first"));
        }
    }
    if let (Some(deploy), true) = (
        at(&Slot::Deploy),
        groups.last().is_some_and(|last| !last.contains(&Slot::Deploy)),
    ) {
        let is_behind = |slot: &Slot| matches!(slot, Slot::Push | Slot::Test(_));
        if groups.iter().skip(deploy + 1).flatten().any(is_behind) {
            value.fault(
                Wrong::new("`deploy` comes before a stage that its image must pass")
                    .hint("put it after tests and push"),
            );
        }
    }
}

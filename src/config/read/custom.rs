//! `[[services.stages]]`: custom stages of a pipeline. Their `kind` determines the allowed keys.
//! A command on this machine is only accepted from a file that no other user can write.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::section::{Section, Value};
use super::super::service::{Build, CustomStage, Work};
use super::stages::{command, limit, name_of_variable, pairs};
use super::{Known, Names, stages, testing};

/// Approval may take overnight.
const APPROVAL_LIMIT: Duration = Duration::from_hours(24);
const COMMAND_LIMIT: Duration = Duration::from_mins(10);

#[derive(Clone, Copy)]
enum Kind {
    Run,
    Command,
    Approve,
}

/// `build`: whose host is taken for a container that names none.
pub(super) fn read(
    section: &mut Section<'_>,
    known: &Known,
    build: Option<&Build>,
    names: &mut Names,
) -> Option<CustomStage> {
    let always = section.take("always").map_or(Some(false), |value| value.truth());
    let kind = section.need("kind").and_then(|value| {
        value.one_of(&[
            ("run", Kind::Run),
            ("command", Kind::Command),
            ("approve", Kind::Approve),
        ])
    });
    let (name, work) = match kind? {
        Kind::Run => {
            let image = section.take("image").map(|value| value.word().map(str::to_owned));
            let origin = testing::Built {
                host: build.map(|build| &build.host),
                declared: build.is_some(),
            };
            let test = testing::test(section, known, &origin, names)?;
            let image = match image {
                Some(image) => Some(image?),
                None => None,
            };
            (
                test.name.clone(),
                Work::Run {
                    image,
                    test: Box::new(test),
                },
            )
        }
        Kind::Command => {
            let name = name(section, names);
            let argv = section.need("command").and_then(|value| {
                refuse_of_others(&value);
                command(&value)
            });
            let env = section
                .take("env")
                .map_or(Some(std::collections::BTreeMap::new()), |value| {
                    pairs(&value, &|name| name_of_variable(name))
                });
            let timeout = limit(section, COMMAND_LIMIT);
            let folder = section.place.source.folder.clone();
            (
                name?,
                Work::Command {
                    argv: argv?,
                    env: env?,
                    folder,
                    timeout: timeout?,
                },
            )
        }
        Kind::Approve => {
            let name = name(section, names);
            let question = section
                .need("question")
                .and_then(|value| value.word().map(str::to_owned));
            let timeout = limit(section, APPROVAL_LIMIT);
            if always == Some(true) {
                section.fault(Wrong::new("an approval with `always` would stop nothing"));
            }
            (
                name?,
                Work::Approve {
                    question: question?,
                    timeout: timeout?,
                },
            )
        }
    };
    Some(CustomStage {
        name,
        always: always?,
        work,
    })
}

fn name(section: &mut Section<'_>, names: &mut Names) -> Option<String> {
    section.need("name").and_then(|value| stages::name(&value, names))
}

pub(super) fn refuse_of_others(argv: &Value<'_>) {
    if let Some(distrust) = &argv.place.source.distrust {
        argv.fault(
            Wrong::new(format!(
                "commands in a file that other users may change are not run: {}",
                distrust.why
            ))
            .hint(distrust.remedy.clone()),
        );
    }
}

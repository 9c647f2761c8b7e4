//! The differences that a run tells, against what there is: each container that is not as promised is named, and none
//! that is.

use std::collections::BTreeSet;

use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::release::replica::{Policy, Replica, Up};

/// What a host was to be like.
pub(super) enum Promised<'a> {
    Before(&'a [Replica]),
    /// So many of it and nothing else.
    Release(ReleaseNumber, usize),
}

/// Those that must be named, and those that may be.
#[derive(Default)]
struct Names {
    must: BTreeSet<String>,
    may: BTreeSet<String>,
    /// That must be said to be missing, whatever they are called.
    missing: usize,
}

fn names(promised: &Promised<'_>, now: &[Replica]) -> Names {
    let mut names = Names::default();
    match promised {
        Promised::Before(before) => {
            for was in *before {
                match now.iter().find(|is| is.id == was.id) {
                    Some(is) if is.state.is_up() == was.state.is_up() => {
                        if is.state.word() != was.state.word() || is.policy != was.policy {
                            names.may.insert(was.name.clone());
                        }
                    }
                    Some(_) | None => drop(names.must.insert(was.name.clone())),
                }
            }
            let is_fresh = |is: &&Replica| !before.iter().any(|was| was.id == is.id);
            names
                .must
                .extend(now.iter().filter(is_fresh).map(|is| is.name.clone()));
        }
        Promised::Release(release, count) => {
            let is_its = |is: &&Replica| is.release == Some(*release);
            for is in now {
                if is_its(&is) && is.state != Up::Running || !is_its(&is) && is.state.is_up() {
                    names.must.insert(is.name.clone());
                } else if is_its(&is) && is.policy != Policy::Always {
                    names.may.insert(is.name.clone());
                }
            }
            names.missing = count.saturating_sub(now.iter().filter(is_its).count());
        }
    }
    names
}

/// `now` is what was there when it was looked at.
pub(super) fn assert_named(
    host: &HostName,
    promised: &Promised<'_>,
    now: &[Replica],
    differences: &[String],
    context: &str,
) {
    let names = names(promised, now);
    let context = format!("{host}: {differences:#?}\n{now:#?}\n{context}");
    let prefix = format!("{host}: ");
    let said: Vec<(&str, &str)> = differences
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix)?.split_once(' '))
        .filter(|(name, _)| name.starts_with("shop."))
        .collect();
    for name in &names.must {
        assert!(
            said.iter().any(|(said, _)| said == name),
            "{name} is not named\n{context}"
        );
    }
    let (missing, there): (Vec<_>, Vec<_>) = said
        .into_iter()
        .partition(|(name, rest)| *rest == "is not there" && !now.iter().any(|is| is.name == *name));
    assert_eq!(missing.len(), names.missing, "{context}");
    for (name, _) in there {
        assert!(
            names.must.contains(name) || names.may.contains(name),
            "{name} is as promised, and is named\n{context}"
        );
    }
}

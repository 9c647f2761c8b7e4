//! A release in words, for the plan page: waves and turns, what goes, what undoing will do.
//! Says what was decided; decides nothing.

use crate::config::service::{Batch, Gate, Order, Restart, Rolling, Strategy};
use crate::domain::ids::{HostName, ReleaseNumber};
use crate::domain::plan::PlanView;
use crate::domain::reference::Reference;
use crate::release::decision::{Decision, Facts};
use crate::release::plan::Plan;
use crate::release::replica::Policy;
use crate::release::rolling::waves;

pub(super) fn describe(
    plan: &Plan,
    facts: &Facts,
    decided: (&Decision, Option<&Reference>),
    view: &mut PlanView,
) {
    let (decision, registry) = decided;
    let names = |hosts: Vec<&HostName>| {
        let words: Vec<&str> = hosts.into_iter().map(HostName::as_str).collect();
        words.join(", ")
    };
    let all = names(plan.targets.iter().collect());
    let lacking: Vec<&HostName> = decision
        .make
        .iter()
        .filter(|host| {
            facts
                .get(*host)
                .is_some_and(|seen| !seen.images.contains(&decision.image.id))
        })
        .collect();
    if !lacking.is_empty() {
        view.order.push(match registry {
            Some(pinned) => format!(
                "{} pulled by {}; through us from {} where that fails",
                pinned.short(),
                names(lacking),
                decision.image.on
            ),
            None => format!("image from {} to {}", decision.image.on, names(lacking)),
        });
    }
    let to = decision.release;
    let from = decision.from.filter(|from| *from != to);
    let old = from.map_or_else(|| "what runs".to_owned(), |from| from.to_string());
    if !decision.wake.is_empty() {
        view.order.push(format!(
            "the kept containers of {to} on {}{}",
            names(decision.wake.keys().collect()),
            if decision.spec.has_secrets() {
                ", with the secrets of that time"
            } else {
                ""
            }
        ));
    }
    if !decision.make.is_empty() {
        let (some, all): (Vec<&HostName>, Vec<&HostName>) = decision
            .make
            .iter()
            .partition(|host| decision.wake.contains_key(*host));
        if !all.is_empty() {
            let each = decision.replicas;
            view.order
                .push(format!("create {to} on {}, {each} each", names(all)));
        }
        if !some.is_empty() {
            view.order
                .push(format!("create what is missing of {to} on {}", names(some)));
        }
    }
    if let Some(deploy) = plan.deploy() {
        let good = judged_by(decision.gate.as_ref().unwrap_or(&deploy.gate));
        match &deploy.strategy {
            Strategy::Recreate => {
                view.order
                    .push(format!("all at once: stop {old}, start {to} on {all}"));
                view.order.push(format!("wait until good: {good}"));
            }
            Strategy::Rolling(rolling) => {
                view.order.extend(waved(plan, rolling, (&old, to), &good));
            }
        }
        if !deploy.bake.is_zero() {
            view.order.push(format!(
                "all of {to} stays good for {} s more",
                deploy.bake.as_secs()
            ));
        }
    }
    view.order.push(committed(&decision.spec.restart, (&old, to)));
    let gone: Vec<String> = facts
        .values()
        .flat_map(|seen| &seen.replicas)
        .filter_map(|replica| replica.release)
        .filter(|release| !decision.keep.contains(release))
        .map(|release| release.to_string())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if !gone.is_empty() {
        view.order.push(format!("remove {}", gone.join(", ")));
    }
    view.undo = undo(plan, &old);
    let before = decision.snapshot.hosts.values().flatten();
    let before = before
        .filter(|replica| replica.state.is_up())
        .map(|replica| replica.policy);
    view.undo.push(rebooted(before, &old));
    view.undo.push("after it: R goes back to them".to_owned());
}

fn judged_by(gate: &Gate) -> String {
    let steady = format!(
        "steady for {} s, within {} s",
        gate.steady.as_secs(),
        gate.within.as_secs()
    );
    let Some(probe) = &gate.probe else { return steady };
    let times = match gate.times {
        1 => String::new(),
        times => format!(" {times} times in a row"),
    };
    format!("passes {}{times}, {steady}", probe.words())
}

/// What a reboot starts from the commit on.
fn committed(restart: &Restart, names: (&str, ReleaseNumber)) -> String {
    let (old, to) = names;
    match restart {
        Restart::Always => format!("commit; {to} starts after a reboot from then on, {old} does not"),
        Restart::OnFailure(_) => format!(
            "commit; after a reboot {to} starts from then on if it ended with a code other than 0 (restart on-failure), \
             {old} does not"
        ),
        Restart::No => {
            format!("commit; after a reboot nothing starts from then on (restart no): neither {to} nor {old}")
        }
    }
}

/// What a reboot starts until then: what ran, as far as its own restart policy says so once it was stopped.
fn rebooted(before: impl Iterator<Item = Policy>, old: &str) -> String {
    let weakest = before.max_by_key(|policy| match policy {
        Policy::Always => 0,
        Policy::UnlessStopped => 1,
        Policy::OnFailure(_) => 2,
        Policy::No => 3,
    });
    match weakest {
        None => "a reboot before the commit starts nothing: nothing of it runs".to_owned(),
        Some(Policy::Always) => format!("a reboot before the commit starts {old}"),
        Some(Policy::UnlessStopped) => {
            format!(
                "a reboot before the commit starts {old} only where it was not stopped yet (unless-stopped)"
            )
        }
        Some(Policy::OnFailure(_)) => format!(
            "a reboot before the commit starts {old} only where it ended with a code other than 0 (restart on-failure)"
        ),
        Some(Policy::No) => {
            format!("a reboot before the commit does not start {old} (restart no): recover does")
        }
    }
}

/// More are summed up.
const WAVES_SHOWN: usize = 6;

/// Each wave on a line, as far as they fit a page.
fn waved(plan: &Plan, rolling: &Rolling, names: (&str, ReleaseNumber), good: &str) -> Vec<String> {
    let (old, to) = names;
    let waves = waves(plan);
    let turns = match rolling.order {
        Order::StopFirst => format!("stop {old}, start {to}, wait until good: {good}"),
        Order::StartFirst => format!("start {to}, wait until good: {good}, stop {old}"),
    };
    let size = match rolling.batch {
        Batch::Count(count) => format!("{count} at a time"),
        Batch::Percent(percent) => format!("{percent} % at a time"),
    };
    let mut lines = vec![format!("rolling, {size}, in {} waves: {turns}", waves.len())];
    for (n, wave) in waves.iter().take(WAVES_SHOWN).enumerate() {
        let hosts: Vec<&str> = wave.hosts().map(HostName::as_str).collect();
        let is_canary = wave.hosts().any(|host| rolling.canary.as_ref() == Some(host));
        let canary = if is_canary { " (canary)" } else { "" };
        lines.push(format!("wave {}: {}{canary}", n + 1, hosts.join(", ")));
    }
    if let Some(more) = waves.len().checked_sub(WAVES_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("and {more} waves more"));
    }
    lines
}

fn undo(plan: &Plan, old: &str) -> Vec<String> {
    match plan.rolling() {
        None => vec![format!(
            "until the commit the same containers of {old} are started again, on all hosts, and compared"
        )],
        Some(_) if plan.pauses() => vec![
            format!("a wave that fails: the same containers of {old} are started again in it, and compared"),
            "hosts that are done by then are committed: the service is SPLIT, exit 5, until a deploy or a rollback"
                .to_owned(),
            format!("cancelled: all waves are put back to {old}, the last one first"),
        ],
        Some(_) => vec![format!(
            "until the commit every wave is put back, the last one first: the same containers of {old}, gated and compared"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reboot_starts_is_said_as_the_restart_policy_has_it() {
        let after = |restart| committed(&restart, ("r41", ReleaseNumber(42)));
        assert_eq!(
            after(Restart::Always),
            "commit; r42 starts after a reboot from then on, r41 does not"
        );
        assert!(
            after(Restart::OnFailure(3))
                .contains("r42 starts from then on if it ended with a code other than 0")
        );
        assert!(after(Restart::No).contains("nothing starts"));
        let before = |policies: &[Policy]| rebooted(policies.iter().copied(), "r41");
        assert_eq!(before(&[Policy::Always]), "a reboot before the commit starts r41");
        let weaker = before(&[Policy::Always, Policy::OnFailure(3)]);
        assert!(
            weaker.contains("only where it ended with a code other than 0"),
            "{weaker}"
        );
        assert!(before(&[Policy::No]).contains("does not start r41"));
        assert!(before(&[]).contains("starts nothing"));
    }
}

//! A release in words for the plan page: waves and their order, what is removed, what undo will do.
//! Describes decisions; makes none.

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
    let all = names(plan.targets.iter().collect());
    let lacking: Vec<&HostName> = decision
        .make
        .iter()
        .filter(|host| **host != decision.image.on)
        .filter(|host| {
            facts
                .get(*host)
                .is_some_and(|seen| !seen.images.contains(&decision.image.id))
        })
        .collect();
    if !lacking.is_empty() {
        view.order.push(match registry {
            Some(pinned) => format!(
                "{} pulled by {}; if that fails, transferred from {}",
                pinned.short(),
                names(lacking),
                decision.image.on
            ),
            None => format!("image from {} to {}", decision.image.on, names(lacking)),
        });
    }
    let to = decision.release;
    let from = decision.from.filter(|from| *from != to);
    let before = || decision.snapshot.hosts.values().flatten();
    // Of a first release there is nothing to stop, and nothing to go back to.
    let is_first = decision.from.is_none() && !before().any(|replica| replica.state.is_up());
    let old = match from {
        Some(from) => Some(from.to_string()),
        None if is_first => None,
        None => Some("what runs".to_owned()),
    };
    let old = old.as_deref();
    if !decision.wake.is_empty() {
        view.order.push(format!(
            "start the retained containers of {to} on {}{}",
            names(decision.wake.keys().collect()),
            if decision.spec.has_secrets() {
                ", with their original secrets"
            } else {
                ""
            }
        ));
    }
    view.order.extend(created(decision));
    if let Some(deploy) = plan.deploy() {
        let good = judged_by(decision.gate.as_ref().unwrap_or(&deploy.gate));
        match &deploy.strategy {
            Strategy::Recreate => {
                let stop = old.map_or_else(String::new, |old| format!("stop {old}, "));
                view.order.push(format!("all at once: {stop}start {to} on {all}"));
                view.order.push(format!("wait until ready: {good}"));
            }
            Strategy::Rolling(rolling) => {
                view.order.extend(waved(plan, rolling, (old, to), &good));
            }
        }
        if !deploy.bake.is_zero() {
            view.order.push(format!(
                "all of {to} must stay healthy for {} s more",
                deploy.bake.as_secs()
            ));
        }
    }
    view.order.push(committed(&decision.spec.restart, (old, to)));
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
    let Some(old) = old else {
        view.undo = undo_first(plan, to);
        return;
    };
    view.undo = undo(plan, old);
    let policies = before()
        .filter(|replica| replica.state.is_up())
        .map(|replica| replica.policy);
    view.undo.push(rebooted(policies, old));
    view.undo
        .push("after the commit: R rolls back to them".to_owned());
}

fn names(hosts: Vec<&HostName>) -> String {
    let words: Vec<&str> = hosts.into_iter().map(HostName::as_str).collect();
    words.join(", ")
}

/// Whole releases, and the replicas that a retained one lacks.
fn created(decision: &Decision) -> Vec<String> {
    let (to, each) = (decision.release, decision.replicas);
    let (some, all): (Vec<&HostName>, Vec<&HostName>) = decision
        .make
        .iter()
        .partition(|host| decision.wake.contains_key(*host));
    let mut order = Vec::new();
    if !all.is_empty() {
        order.push(format!("create {to} on {}, {each} each", names(all)));
    }
    if !some.is_empty() {
        order.push(format!("create the missing replicas of {to} on {}", names(some)));
    }
    order
}

fn judged_by(gate: &Gate) -> String {
    let steady = format!(
        "stable for {} s, within {} s",
        gate.steady.as_secs(),
        gate.within.as_secs()
    );
    let Some(probe) = &gate.probe else { return steady };
    let times = match gate.times {
        1 => String::new(),
        times => format!(" {times} consecutive times"),
    };
    format!("passes {}{times}, {steady}", probe.words())
}

/// What a reboot starts from the commit on.
fn committed(restart: &Restart, names: (Option<&str>, ReleaseNumber)) -> String {
    let (old, to) = names;
    let not = old.map_or_else(String::new, |old| format!(" and not {old}"));
    match (restart, old) {
        (Restart::Always, _) => format!("commit; from then on a reboot starts {to}{not}"),
        (Restart::OnFailure(_), _) => format!(
            "commit; from then on a reboot starts {to} only if it exited with a non-zero code (restart on-failure){not}"
        ),
        (Restart::No, Some(old)) => {
            format!("commit; from then on a reboot starts neither {to} nor {old} (restart no)")
        }
        (Restart::No, None) => format!("commit; from then on a reboot does not start {to} (restart no)"),
    }
}

/// What a reboot starts before the commit: the old containers, depending on their restart policy.
fn rebooted(before: impl Iterator<Item = Policy>, old: &str) -> String {
    let weakest = before.max_by_key(|policy| match policy {
        Policy::Always => 0,
        Policy::UnlessStopped => 1,
        Policy::OnFailure(_) => 2,
        Policy::No => 3,
    });
    match weakest {
        None => "a reboot before the commit starts nothing, because none of its containers runs".to_owned(),
        Some(Policy::Always) => format!("a reboot before the commit starts {old}"),
        Some(Policy::UnlessStopped) => {
            format!(
                "a reboot before the commit starts {old} only on hosts where it is not stopped yet (unless-stopped)"
            )
        }
        Some(Policy::OnFailure(_)) => format!(
            "a reboot before the commit starts {old} only where it exited with a non-zero code (restart on-failure)"
        ),
        Some(Policy::No) => {
            format!("a reboot before the commit does not start {old} (restart no); recover starts it")
        }
    }
}

/// Further waves are summed up.
const WAVES_SHOWN: usize = 6;

/// Each wave on a line, as far as they fit a page.
fn waved(plan: &Plan, rolling: &Rolling, names: (Option<&str>, ReleaseNumber), good: &str) -> Vec<String> {
    let (old, to) = names;
    let waves = waves(plan);
    let turns = match (&rolling.order, old) {
        (Order::StopFirst, Some(old)) => format!("stop {old}, start {to}, wait until ready: {good}"),
        (Order::StartFirst, Some(old)) => format!("start {to}, wait until ready: {good}, stop {old}"),
        (Order::StopFirst | Order::StartFirst, None) => format!("start {to}, wait until ready: {good}"),
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
        lines.push(format!("and {more} more waves"));
    }
    lines
}

/// In a run that pauses, of the hosts that are done when a wave fails.
const SPLIT: &str =
    "the hosts finished by then are committed: the service is SPLIT, exit 5, until a deploy or a rollback";

fn undo_first(plan: &Plan, to: ReleaseNumber) -> Vec<String> {
    if !plan.pauses() {
        return vec![format!("{to} is removed; nothing ran before")];
    }
    vec![
        format!("if a wave fails: {to} is removed from its hosts, where nothing ran before"),
        SPLIT.to_owned(),
        format!("if cancelled: {to} is removed from all hosts"),
    ]
}

fn undo(plan: &Plan, old: &str) -> Vec<String> {
    match plan.rolling() {
        None => vec![format!(
            "before the commit: the same containers of {old} are started again on all hosts and compared with the snapshot"
        )],
        Some(_) if plan.pauses() => vec![
            format!(
                "if a wave fails: its containers of {old} are started again and compared with the snapshot"
            ),
            SPLIT.to_owned(),
            format!("if cancelled: all waves return to {old}, the last one first"),
        ],
        Some(_) => vec![format!(
            "before the commit: every wave is undone, the last one first: the same containers of {old} are started, gated and compared"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reboot_starts_is_said_as_the_restart_policy_has_it() {
        let after = |restart| committed(&restart, (Some("r41"), ReleaseNumber(42)));
        let first = committed(&Restart::Always, (None, ReleaseNumber(1)));
        assert_eq!(first, "commit; from then on a reboot starts r1");
        assert_eq!(
            after(Restart::Always),
            "commit; from then on a reboot starts r42 and not r41"
        );
        assert!(after(Restart::OnFailure(3)).contains("starts r42 only if it exited with a non-zero code"));
        assert!(after(Restart::No).contains("starts neither"));
        let before = |policies: &[Policy]| rebooted(policies.iter().copied(), "r41");
        assert_eq!(before(&[Policy::Always]), "a reboot before the commit starts r41");
        let weaker = before(&[Policy::Always, Policy::OnFailure(3)]);
        assert!(
            weaker.contains("only where it exited with a non-zero code"),
            "{weaker}"
        );
        assert!(before(&[Policy::No]).contains("does not start r41"));
        assert!(before(&[]).contains("starts nothing"));
    }
}

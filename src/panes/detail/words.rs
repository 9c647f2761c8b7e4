//! The meaning of exit codes, and a container's state in a sentence.
//! If several causes are possible, names them.

use crate::domain::container::{Health, State};
use crate::domain::fleet::Row;
use crate::domain::units::{Bytes, Stamp, short_span};
use crate::panes::page::Tone;
use crate::release::standing::Part;

/// Signals by their number on Linux (`signal(7)`).
const SIGNALS: [(i32, &str); 15] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
];

/// `exit 137` in words.
#[must_use]
pub fn exit_code(code: i32, oom: bool, limit: Option<Bytes>) -> String {
    if oom {
        return match limit {
            Some(limit) => format!("killed by the kernel: out of memory, its limit is {limit}"),
            None => "killed by the kernel: out of memory".to_owned(),
        };
    }
    match code {
        0 => "exited without an error".to_owned(),
        125 => "the engine could not run it".to_owned(),
        126 => "its command could not be executed: not executable, or for another architecture".to_owned(),
        127 => "its command was not found in the image".to_owned(),
        // The engine misses it in a container's first moments.
        137 if limit.is_some() => format!(
            "killed (SIGKILL): by docker kill, by a stop that took too long, or by the kernel for more memory than {}",
            limit.unwrap_or_default()
        ),
        137 => "killed (SIGKILL): by docker kill, by a stop that took too long, or by the kernel".to_owned(),
        139 => "crashed (SIGSEGV)".to_owned(),
        134 => "aborted (SIGABRT)".to_owned(),
        143 => "ended by SIGTERM".to_owned(),
        130 => "interrupted (SIGINT)".to_owned(),
        255 => "failed with -1, or the engine lost track of it".to_owned(),
        _ => match SIGNALS.iter().find(|(number, _)| code - 128 == *number) {
            Some((_, name)) => format!("ended by {name}"),
            None => "failed; the meaning of the code depends on the program".to_owned(),
        },
    }
}

/// How it is, since when.
#[must_use]
pub fn state(row: &Row, limit: Option<Bytes>, now: Stamp) -> String {
    let health = row.container.health;
    let since = |at: &Option<Stamp>| {
        at.map(|at| format!(" for {}", short_span(at.until(now))))
            .unwrap_or_default()
    };
    match &row.state() {
        State::Created => "created, never started".to_owned(),
        State::Running { since: at } => {
            let health = match health {
                Health::Unchecked => ", no health check",
                Health::Starting => ", health check starting",
                Health::Healthy => ", healthy",
                Health::Unhealthy => ", unhealthy",
            };
            format!("running{}{health}", since(at))
        }
        State::Paused { since: at } => format!("paused{}", since(at)),
        State::Restarting { code, since: at } => {
            let oom = row.last_end().is_some_and(|(_, oom)| oom);
            let code = code
                .map(|code| format!(", the last exit code was {code}: {}", exit_code(code, oom, limit)))
                .unwrap_or_default();
            format!("restarting{}{code}", since(at))
        }
        State::Removing => "being removed".to_owned(),
        State::Exited { code, at, oom } => {
            let ago = at
                .map(|at| format!(" {} ago", short_span(at.until(now))))
                .unwrap_or_default();
            format!("exited{ago} with code {code}: {}", exit_code(*code, *oom, limit))
        }
        State::Dead => "dead: the engine could not remove it completely".to_owned(),
    }
}

/// What it is to its service, after its release: `r40, retained: kept for R, which rolls back to it`.
#[must_use]
pub fn part(part: Part) -> (Tone, &'static str) {
    match part {
        Part::Active => (Tone::Dim, "active"),
        Part::Candidate => (Tone::Busy, "candidate: a run is bringing it out"),
        Part::Retained => (Tone::Dim, "retained: kept for R (roll back)"),
        Part::Failed => (Tone::Warn, "failed: it should be running, and is not"),
        Part::Orphan => (Tone::Warn, "orphan: left over from an earlier run"),
        Part::Revived => (
            Tone::Warn,
            "revived: it is running again next to the active release",
        ),
    }
}

/// A happening as the engine named it, with what its code means.
#[must_use]
pub fn happening(what: &str) -> String {
    match what
        .strip_prefix("die ")
        .and_then(|code| code.trim().parse().ok())
    {
        Some(code) => format!("{what}: {}", exit_code(code, false, None)),
        None if what == "oom" => "oom: the kernel killed a process in it (out of memory)".to_owned(),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::container::Container;
    use crate::domain::event::Happening;
    use crate::domain::ids::ContainerId;
    use crate::domain::sample::History;

    fn row(state: State, health: Health, happenings: &[&str]) -> Row {
        let id = ContainerId::parse("c").unwrap();
        let happening = |(at, what): (i64, &&str)| Happening {
            id: id.clone(),
            at: Stamp::from_seconds(at),
            what: (*what).to_owned(),
        };
        Row {
            happenings: (1..).zip(happenings).map(happening).collect(),
            container: Container {
                id,
                name: "c".into(),
                image: "c".into(),
                image_id: None,
                command: "".into(),
                created: Stamp(0),
                state,
                health,
                ports: Vec::new(),
                labels: std::sync::Arc::default(),
            },
            history: History::default(),
            detail: None,
        }
    }

    #[test]
    fn exit_codes_say_what_they_mean() {
        let words = |code| exit_code(code, false, None);
        assert!(words(137).contains("SIGKILL"));
        assert!(words(143).contains("SIGTERM"));
        assert!(words(139).contains("SIGSEGV"));
        assert!(words(127).contains("not found"));
        assert!(words(126).contains("not executable"));
        assert_eq!(words(141), "ended by SIGPIPE");
        assert!(words(3).contains("depends on the program"));
        assert_eq!(
            exit_code(137, true, Some(Bytes(256 << 20))),
            "killed by the kernel: out of memory, its limit is 256 M"
        );
        let unsaid = exit_code(137, false, Some(Bytes(256 << 20)));
        assert!(
            unsaid.contains("docker kill") && unsaid.ends_with("more memory than 256 M"),
            "{unsaid}"
        );
    }

    #[test]
    fn a_state_is_a_sentence() {
        let now = Stamp::from_seconds(1_000);
        let exited = State::Exited {
            code: 1,
            at: Some(Stamp::from_seconds(760)),
            oom: false,
        };
        assert!(
            state(&row(exited, Health::Unchecked, &[]), None, now)
                .starts_with("exited 4 min ago with code 1: failed")
        );
        let running = State::Running {
            since: Some(Stamp::from_seconds(979)),
        };
        assert_eq!(
            state(&row(running, Health::Unhealthy, &[]), None, now),
            "running for 21 s, unhealthy"
        );
        let restarting = State::Restarting {
            code: Some(137),
            since: None,
        };
        assert_eq!(
            state(
                &row(restarting, Health::Unchecked, &["start", "oom", "die 137"]),
                None,
                now
            ),
            "restarting, the last exit code was 137: killed by the kernel: out of memory"
        );
    }
}

//! Waits for a condition with a limit: the only place in these tests that lets time pass.
//! Conditions are named, and what was seen instead is printed when the limit is reached.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// A limit is only ever reached by what went wrong: a slow machine gets at least this.
const LEAST: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const TURN: Duration = Duration::from_millis(10);

/// Blocks until `seen` gives a value; panics with `what` after `limit`.
pub(crate) fn until<T>(limit: Duration, what: impl Display, mut seen: impl FnMut() -> Option<T>) -> T {
    let limit = limit.max(LEAST);
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = seen() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        std::thread::sleep(TURN);
    }
}

/// The same on a runtime of one thread, whose tasks go on meanwhile.
pub(crate) async fn until_running<T>(
    limit: Duration,
    what: impl Display,
    mut seen: impl FnMut() -> Option<T>,
) -> T {
    let limit = limit.max(LEAST);
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = seen() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(TURN).await;
    }
}

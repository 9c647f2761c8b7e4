//! Attaching to a container's main process: its output from now on, and before that where asked for.

use std::sync::Arc;

use super::engine::Engine;
use super::exec::connect;
use super::http::{Answer, Ask, conflict};
use super::logs::{Follower, Wanted};
use crate::domain::units::Stamp;

pub(super) fn answer(engine: &Arc<Engine>, name: &str, ask: &mut Ask) -> Answer {
    let (id, tty, now) = {
        let world = engine.world();
        let container = world.container(name)?;
        if container.paused_at.is_some() {
            return Err(conflict(format!(
                "Container {name} is paused, unpause the container before attach."
            )));
        }
        (container.id.clone(), container.is_tty(), world.now)
    };
    let wanted = Wanted {
        streams: (ask.flag("stdout"), ask.flag("stderr")),
        times: false,
        tty,
    };
    let (before, after) = (ask.flag("logs"), ask.flag("stream"));
    let (ends, reply) = connect(engine, ask);
    let (pieces, input) = ends.into_out();
    if let Some(mut input) = input {
        // The main process of a simulated container reads nothing.
        engine.spawn(async move { while input.recv().await.is_some() {} });
    }
    if let Some(pieces) = pieces {
        let mut follower = Follower {
            engine: Arc::clone(engine),
            id,
            wanted,
            pieces,
            cursor: if before { Stamp(i64::MIN) } else { now },
            until: None,
        };
        engine.spawn(async move {
            follower.wait_for_start(after).await;
            if follower.past(None).await && after {
                follower.follow().await;
            }
        });
    }
    Ok(reply)
}

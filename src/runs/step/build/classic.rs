//! The classic builder: the context as one tar, the Dockerfile step by step.
//! Podman's service uses the same protocol, and reports the image id only in its output.

use std::sync::Arc;

use super::super::context::{Context, Sent, Stopped, Upload};
use super::super::{Lines, Progress};
use super::answers::{Answer, Aux, Listener, Unbuilt, listen};
use super::{Order, query};
use crate::hosts::Daemon;
use crate::hosts::builder::BuildRefused;

/// The image id reported by the builder.
pub(super) async fn build(
    daemon: &Daemon,
    order: &Order<'_>,
    context: Arc<Context>,
    progress: &mut dyn Progress,
) -> Result<String, Unbuilt> {
    let Upload { pieces, walk, bytes } = context.send();
    let mut heard = Heard::default();
    let query = query(order);
    let asking = daemon.build(&query, order.logins, Some(pieces));
    let outcome = listen(asking, &bytes, &mut heard, progress).await;
    heard.lines.finish(progress);
    let walked = walk.await.map_err(|error| Unbuilt::Failed(error.to_string()))?;
    match (walked, outcome) {
        // Whatever the walk found wrong is the reason behind the daemon's words.
        (Err(Stopped::Fault(fault)), _) => Err(Unbuilt::Refused(BuildRefused::Fault(fault))),
        (Ok(_) | Err(Stopped::Unwanted), Err(unbuilt)) => Err(unbuilt),
        (Ok(sent), Ok(())) => {
            say_skipped(&sent, progress);
            heard.named("the builder ended without an image id")
        }
        (Err(Stopped::Unwanted), Ok(())) => heard.named("the builder ended before it had read the context"),
    }
}

pub(super) fn say_skipped(sent: &Sent, progress: &mut dyn Progress) {
    for name in &sent.skipped.named {
        progress.line(&format!("not sent: {name}"));
    }
    let unnamed = sent.skipped.total.saturating_sub(sent.skipped.named.len());
    if unnamed > 0 {
        progress.line(&format!("not sent: {unnamed} more"));
    }
}

#[derive(Default)]
struct Heard {
    lines: Lines,
    image: Option<String>,
}

impl Heard {
    fn named(self, otherwise: &str) -> Result<String, Unbuilt> {
        self.image.ok_or_else(|| Unbuilt::Failed(otherwise.to_owned()))
    }
}

impl Listener for Heard {
    fn hear(&mut self, answer: Answer, progress: &mut dyn Progress) {
        if let Some(Aux::Image { id }) = answer.aux {
            self.image = Some(id);
        }
        if let Some(text) = answer.stream {
            if let Some(step) = step(&text) {
                progress.text(&step);
            }
            if let Some(id) = text.strip_prefix("Successfully built ")
                && self.image.is_none()
            {
                self.image = Some(id.trim().to_owned());
            }
            self.lines.push(text.as_bytes(), progress);
        } else if let Some(status) = answer.status {
            match answer.id {
                Some(layer) => progress.text(&format!("{status} {layer}")),
                None => progress.line(&status),
            }
        }
    }
}

/// `Step 3/7 : RUN make` → `step 3 of 7: RUN make`
fn step(text: &str) -> Option<String> {
    let (count, instruction) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = count.split_once('/')?;
    let (number, total): (u32, u32) = (number.parse().ok()?, total.trim().parse().ok()?);
    let instruction = instruction.lines().next().unwrap_or_default().trim();
    Some(format!("step {number} of {total}: {instruction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_step_becomes_words() {
        assert_eq!(step("Step 3/7 : RUN make\n").unwrap(), "step 3 of 7: RUN make");
        for text in ["", "Step x/7 : RUN", "Stepping", "Step 3 : RUN"] {
            assert_eq!(step(text), None, "{text}");
        }
    }
}

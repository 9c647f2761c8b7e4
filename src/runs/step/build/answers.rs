//! The messages of a daemon during a build, and how much of the context has been sent.
//! Parses the envelope only; the contents are parsed by `classic` and `kit`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::super::Progress;
use crate::domain::units::Bytes;
use crate::hosts::builder::{BuildRefused, Messages};
use crate::hosts::trouble::engine_words;

/// How often "sending the context, 12 M" is updated.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// One message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) stream: Option<String>,
    pub(super) status: Option<String>,
    pub(super) id: Option<String>,
    pub(super) aux: Option<Aux>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    detail: Option<Detail>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Aux {
    /// `BuildKit`'s state, in base64.
    Trace(String),
    Image {
        #[serde(rename = "ID")]
        id: String,
    },
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: Option<String>,
}

/// Why the build has no image.
pub(super) enum Unbuilt {
    /// It was not begun.
    Refused(BuildRefused),
    /// In the builder's words.
    Failed(String),
}

/// A receiver of a builder's messages.
pub(super) trait Listener: Send {
    fn hear(&mut self, answer: Answer, progress: &mut dyn Progress);
}

/// Sends the request and passes on all messages.
pub(super) async fn listen(
    asking: impl Future<Output = Result<Messages, BuildRefused>>,
    sent: &AtomicU64,
    listener: &mut dyn Listener,
    progress: &mut dyn Progress,
) -> Result<(), Unbuilt> {
    let mut asking = std::pin::pin!(asking);
    let mut messages: Option<Messages> = None;
    let mut tick = tokio::time::interval(TOLD_EVERY);
    let mut told = 0;
    loop {
        let next = async {
            match &mut messages {
                Some(messages) => Next::Message(messages.next().await),
                None => Next::Begun(asking.as_mut().await),
            }
        };
        tokio::select! {
            next = next => match next {
                Next::Begun(Ok(begun)) => messages = Some(begun),
                Next::Begun(Err(refused)) => return Err(Unbuilt::Refused(refused)),
                Next::Message(None) => return Ok(()),
                Next::Message(Some(Err(error))) => return Err(Unbuilt::Failed(engine_words(&error))),
                Next::Message(Some(Ok(text))) => {
                    let answer: Answer = serde_json::from_slice(&text)
                        .map_err(|error| Unbuilt::Failed(format!("its answer cannot be read: {error}")))?;
                    if let Some(words) = failure(&answer) {
                        return Err(Unbuilt::Failed(words));
                    }
                    listener.hear(answer, progress);
                }
            },
            _ = tick.tick() => {
                let sent = sent.load(Ordering::Relaxed);
                if sent != told {
                    told = sent;
                    progress.text(&format!("sending the context, {}", Bytes(sent)));
                }
            }
        }
    }
}

enum Next {
    Begun(Result<Messages, BuildRefused>),
    Message(Option<Result<bytes::Bytes, bollard::errors::Error>>),
}

fn failure(answer: &Answer) -> Option<String> {
    let detail = answer.detail.as_ref().and_then(|detail| detail.message.clone());
    detail.or_else(|| answer.error.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_kind_of_message_is_told_apart() {
        assert_eq!(read(r#"{"stream":"Step 1/2"}"#).stream.unwrap(), "Step 1/2");
        let image = read(r#"{"id":"moby.image.id","aux":{"ID":"sha256:0"}}"#);
        assert!(matches!(image.aux, Some(Aux::Image { id }) if id == "sha256:0"));
        let trace = read(r#"{"id":"moby.buildkit.trace","aux":"CgA="}"#);
        assert!(matches!(trace.aux, Some(Aux::Trace(text)) if text == "CgA="));
        let other = read(r#"{"aux":{"Tag":"x"},"progressDetail":{"current":1}}"#);
        assert!(matches!(other.aux, Some(Aux::Other(_))));
        let failed = read(r#"{"errorDetail":{"code":9,"message":"exit 9"},"error":"exit"}"#);
        assert_eq!(failure(&failed).unwrap(), "exit 9");
        assert_eq!(failure(&read(r#"{"error":"exit"}"#)).unwrap(), "exit");
    }
}

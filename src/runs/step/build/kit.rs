//! `BuildKit` in a daemon: the build request has an empty body, and everything it needs is served on a session beside it.
//! The session ends with the build; the build ends if nobody reads its output any more.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use prost::Message as _;

use super::super::Progress;
use super::super::context::{Context, Sent};
use super::answers::{Answer, Aux, Listener, Unbuilt, listen};
use super::classic::say_skipped;
use super::session::{Larder, Session};
use super::vertices::Vertices;
use super::{Order, query};
use crate::hosts::Daemon;
use crate::hosts::builder::BuildRefused;
use crate::runs::begin::logins::Logins;

/// The image id reported by the builder.
pub(super) async fn build(
    daemon: &Daemon,
    order: &Order<'_>,
    context: Arc<Context>,
    progress: &mut dyn Progress,
) -> Result<String, Unbuilt> {
    let larder = Larder::new(context, order.secrets.clone(), order.logins.clone());
    let session = Session::open(daemon, larder).await.map_err(Unbuilt::Refused)?;
    let mut query = query(order);
    query.extend([
        ("version", "2".to_owned()),
        ("session", session.id.clone()),
        ("buildid", session.id.clone()),
        ("remote", "client-session".to_owned()),
    ]);
    let mut heard = Heard::default();
    let sent = Arc::clone(&session.larder().sent);
    // Logins are asked for on the session, each by its name.
    let nobody = Logins::new();
    let asking = daemon.build(&query, &nobody, None);
    let outcome = listen(asking, &sent, &mut heard, progress).await;
    heard.vertices.finish(progress);
    let mut report = session.larder().report();
    if let Some(fault) = report.fault.take() {
        return Err(Unbuilt::Refused(BuildRefused::Fault(fault)));
    }
    outcome?;
    let skipped = std::mem::take(&mut report.skipped);
    say_skipped(&Sent { entries: 0, skipped }, progress);
    heard
        .image
        .ok_or_else(|| Unbuilt::Failed("the builder ended without an image id".to_owned()))
}

#[derive(Default)]
struct Heard {
    vertices: Vertices,
    image: Option<String>,
}

impl Listener for Heard {
    fn hear(&mut self, answer: Answer, progress: &mut dyn Progress) {
        match answer.aux {
            Some(Aux::Image { id }) => self.image = Some(id),
            Some(Aux::Trace(text)) => {
                let status = STANDARD
                    .decode(text)
                    .ok()
                    .and_then(|bytes| StatusResponse::decode(bytes.as_slice()).ok());
                // Only the image counts: it is looked at when the build has ended.
                if let Some(status) = status {
                    self.vertices.hear(status, progress);
                } else {
                    tracing::debug!("a state of the build could not be read");
                }
            }
            Some(Aux::Other(_)) | None => {
                if let Some(text) = answer.stream.or(answer.status) {
                    progress.line(text.trim_end());
                }
            }
        }
    }
}

//! What a Docker daemon in order answers, for a fake one: a test replaces what it is about.

use super::fake_daemon::{FakeDaemon, Move, answer, stream_head};

const VERSION: &str = r#"{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}"#;
pub(crate) const RUNNING: &str =
    r#"[{"Id":"abc1","Names":["/web"],"Image":"shop","Created":1,"State":"running","Status":"Up 2 hours"}]"#;

pub(crate) fn well(request: &str) -> Vec<Move> {
    let path = request.split_once(' ').unwrap_or_default().1;
    if path.starts_with("/events") {
        vec![Move::Send(stream_head()), Move::Hang]
    } else if path.starts_with("/containers/json") {
        vec![Move::Send(answer(200, RUNNING))]
    } else if path.starts_with("/containers/abc1/json") {
        vec![Move::Send(answer(
            200,
            r#"{"Config":{"Tty":false},"State":{"Running":true}}"#,
        ))]
    } else if path.starts_with("/version") {
        vec![Move::Send(answer(200, VERSION))]
    } else if path.starts_with("/info") {
        vec![Move::Send(answer(200, "{}"))]
    } else if path.starts_with("/_ping") {
        vec![Move::Send(answer(200, "OK"))]
    } else {
        vec![Move::Send(answer(404, r#"{"message":"no such thing"}"#))]
    }
}

/// Answers this path otherwise, the rest as it should.
pub(crate) fn well_but(path: &'static str, moves: Vec<Move>) -> FakeDaemon {
    FakeDaemon::start(move |request, _| {
        if is(request, path) {
            moves.clone()
        } else {
            well(request)
        }
    })
}

pub(crate) fn is(request: &str, path: &str) -> bool {
    request.starts_with(&format!("GET {path}"))
}

/// A log frame of the standard output with its moment.
pub(crate) fn log_frame(second: u32, text: &str) -> Vec<u8> {
    let line = format!("1970-01-01T00:00:{second:02}.000000000Z {text}\n");
    let mut frame = vec![1, 0, 0, 0];
    frame.extend(u32::try_from(line.len()).unwrap().to_be_bytes());
    frame.extend(line.bytes());
    frame
}

//! Whether a daemon answers at the other end of a stream: one `GET /_ping`, read no further than its first bytes.
//! Never waits longer than it is told.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// HTTP came back.
    Spoke,
    /// The stream was closed without a message: whoever should forward it refused.
    Closed,
    /// It is open and silent: forwarding works, the daemon may be starting or hang.
    Silent,
}

pub(super) async fn socket(path: &Path, limit: Duration) -> Answer {
    match UnixStream::connect(path).await {
        Ok(stream) => stream_within(stream, limit).await,
        Err(_) => Answer::Closed,
    }
}

pub(super) async fn stream_within(stream: impl AsyncRead + AsyncWrite + Unpin, limit: Duration) -> Answer {
    tokio::time::timeout(limit, ask(stream))
        .await
        .unwrap_or(Answer::Silent)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
    const REQUEST: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";
    let mut head = [0; 5];
    let asked = async {
        stream.write_all(REQUEST).await?;
        stream.flush().await?;
        stream.read_exact(&mut head).await
    };
    match asked.await {
        Ok(_) if &head == b"HTTP/" => Answer::Spoke,
        Ok(_) | Err(_) => Answer::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_a_close_and_silence_are_told_apart() {
        let limit = Duration::from_millis(20);
        let (ours, mut theirs) = tokio::io::duplex(256);
        theirs.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        assert_eq!(stream_within(ours, limit).await, Answer::Spoke);
        let (ours, theirs) = tokio::io::duplex(256);
        drop(theirs);
        assert_eq!(stream_within(ours, limit).await, Answer::Closed);
        let (ours, _theirs) = tokio::io::duplex(256);
        assert_eq!(stream_within(ours, limit).await, Answer::Silent);
    }
}

//! gRPC's framing on HTTP/2, as much of it as a session needs: one message or many, and how it ended.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>; never compressed.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use prost::Message;

/// The limit of a message; the longest is a list of patterns.
const LONGEST: usize = 4 << 20;
/// One byte for compression, four for the length.
const HEAD: usize = 5;

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
pub(super) type Body = StreamBody<Frames>;

/// <https://grpc.io/docs/guides/status-codes/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    Unimplemented = 12,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: Code,
    message: String,
}

impl Status {
    pub(super) const OK: Self = Self {
        code: Code::Ok,
        message: String::new(),
    };

    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from(self.code as u16));
        // Percent-encoded where it is not plain ASCII.
        let plain = |byte: u8| match byte {
            b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        let text: String = self.message.bytes().map(plain).collect();
        if let Ok(message) = HeaderValue::from_str(&text) {
            headers.insert("grpc-message", message);
        }
        headers
    }
}

/// One piece of an answer.
pub(super) enum Piece {
    Message(Bytes),
    End(Status),
}

/// A message in its frame.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put(message.encode_to_vec().as_slice());
    bytes.freeze()
}

/// One message, and all is well.
pub(super) fn reply(message: &impl Message) -> Response<Body> {
    let pieces = [Piece::Message(framed(message)), Piece::End(Status::OK)];
    stream(futures_util::stream::iter(pieces))
}

pub(super) fn refuse(status: Status) -> Response<Body> {
    stream(futures_util::stream::iter([Piece::End(status)]))
}

/// Messages as they come, until the end.
pub(super) fn stream(pieces: impl Stream<Item = Piece> + Send + 'static) -> Response<Body> {
    use futures_util::StreamExt as _;
    let frames = pieces.map(|piece| {
        Ok(match piece {
            Piece::Message(bytes) => Frame::data(bytes),
            Piece::End(status) => Frame::trailers(status.headers()),
        })
    });
    let frames: Frames = Box::pin(frames);
    let mut response = Response::new(StreamBody::new(frames));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// The one message of a request.
pub(super) async fn read<M: Message + Default>(request: Request<Incoming>) -> Result<M, Status> {
    let mut messages = Messages::of(request.into_body());
    match messages.next::<M>().await {
        Some(message) => message,
        None => Err(Status::new(Code::InvalidArgument, "no message")),
    }
}

/// The messages of a request, one after the other.
pub(super) struct Messages {
    body: Incoming,
    rest: BytesMut,
}

impl Messages {
    pub(super) fn of(body: Incoming) -> Self {
        Self {
            body,
            rest: BytesMut::new(),
        }
    }

    pub(super) async fn next<M: Message + Default>(&mut self) -> Option<Result<M, Status>> {
        loop {
            match take(&mut self.rest) {
                Ok(Some(message)) => {
                    let message = M::decode(message)
                        .map_err(|error| Status::new(Code::InvalidArgument, error.to_string()));
                    return Some(message);
                }
                Ok(None) => {}
                Err(status) => return Some(Err(status)),
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Some(data) = frame.data_ref() {
                        self.rest.extend_from_slice(data);
                    }
                }
                Err(error) => return Some(Err(Status::new(Code::Cancelled, error.to_string()))),
            }
        }
    }
}

/// The next whole message, without its frame.
fn take(rest: &mut BytesMut) -> Result<Option<Bytes>, Status> {
    let Some((head, _)) = rest.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let [compressed, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 {
        return Err(Status::new(
            Code::Unimplemented,
            "compressed messages are not read",
        ));
    }
    if length > LONGEST {
        return Err(Status::new(Code::InvalidArgument, "the message is too long"));
    }
    if rest.len() < HEAD + length {
        return Ok(None);
    }
    rest.advance(HEAD);
    Ok(Some(rest.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::moby::buildkit::secrets::v1::GetSecretResponse;

    use super::*;

    #[test]
    fn messages_are_framed_and_taken_out_of_their_frames_whatever_the_pieces() {
        let message = GetSecretResponse {
            data: b"value".to_vec(),
        };
        let frame = framed(&message);
        let twice = [frame.clone(), frame.clone()].concat();
        let mut rest = BytesMut::new();
        let mut taken = Vec::new();
        for byte in twice {
            rest.put_u8(byte);
            if let Some(bytes) = take(&mut rest).unwrap() {
                taken.push(GetSecretResponse::decode(bytes).unwrap());
            }
        }
        assert_eq!(taken, [message.clone(), message]);
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_compressed_or_too_long_is_refused_before_it_is_kept() {
        for head in [[1, 0, 0, 0, 0], [0, 0xff, 0, 0, 0]] {
            assert!(take(&mut BytesMut::from(&head[..])).is_err());
        }
    }

    #[test]
    fn a_status_is_plain_ascii() {
        let headers = Status::new(Code::NotFound, "100 % für\nall").headers();
        assert_eq!(headers["grpc-status"], "5");
        assert_eq!(headers["grpc-message"], "100 %25 f%C3%BCr%0Aall");
    }
}

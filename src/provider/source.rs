//! The body of an answer as it comes from the network, unpacked where it was packed.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;

use super::Failure;
use super::errors::transport;
use super::framing::layers::Layers;
use super::framing::unpack::{self, Packing};
use crate::domain::fault::Fault;

/// A response whose body is being read.
pub(super) struct Source {
    pub(super) response: Response,
    form: Form,
}

/// What is known of the form of the body.
enum Form {
    /// Nothing yet, for these bytes do not tell.
    Unclear(BytesMut),
    Plain,
    Packed(Box<Layers>),
}

/// Why a body ends before its time.
pub(super) enum BodyError {
    Network(reqwest::Error),
    /// What was packed stops in the middle.
    Unfinished,
    /// What was packed cannot be unpacked.
    Corrupt,
}

impl Source {
    pub(super) fn new(response: Response) -> Source {
        Source { response, form: Form::Unclear(BytesMut::new()) }
    }

    /// The next piece of the body, `None` at its end. Nothing is lost when it is dropped.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Form::Packed(layers) = &mut self.form {
                // A little from the network may be much here: the others must have their turn.
                tokio::task::coop::consume_budget().await;
                match layers.next().map_err(|_| BodyError::Corrupt)? {
                    Some(piece) if piece.is_empty() => continue,
                    Some(piece) => return Ok(Some(piece)),
                    None => {}
                }
            }
            let more = self.response.chunk().await.map_err(BodyError::Network)?;
            match (&mut self.form, more) {
                (Form::Plain, more) => return Ok(more),
                (Form::Packed(layers), Some(more)) => layers.push(more),
                (Form::Packed(layers), None) if layers.has_ended() => return Ok(None),
                (Form::Packed(_), None) => return Err(BodyError::Unfinished),
                (Form::Unclear(head), more) => {
                    let is_all = more.is_none();
                    let head = join(head, more);
                    if let Some(plain) = self.tell(head, is_all) {
                        return Ok(Some(plain).filter(|plain| !plain.is_empty()));
                    }
                }
            }
        }
    }

    /// Looks at the first bytes; gives them back when they are what they seem.
    fn tell(&mut self, head: Bytes, is_all: bool) -> Option<Bytes> {
        let label = self.response.headers().get(CONTENT_ENCODING);
        let label = label.and_then(|label| label.to_str().ok()).unwrap_or_default();
        let (form, plain) = match unpack::packing(&head, label.trim()) {
            None if !is_all => (Form::Unclear(head.into()), None),
            None | Some(Packing::Plain) => (Form::Plain, Some(head)),
            Some(packing) => {
                let mut layers = Layers::new(packing);
                layers.push(head);
                (Form::Packed(Box::new(layers)), None)
            }
        };
        self.form = form;
        plain
    }
}

/// Nearly every first piece is alone and needs no copy.
fn join(head: &mut BytesMut, more: Option<Bytes>) -> Bytes {
    let more = more.unwrap_or_default();
    if head.is_empty() {
        return more;
    }
    head.extend_from_slice(&more);
    std::mem::take(head).freeze()
}

impl BodyError {
    /// The failure of an answer that is read as a whole.
    pub(super) fn within_answer(&self, status: u16) -> Failure {
        match self {
            BodyError::Network(error) => transport::within_answer(error, status),
            BodyError::Unfinished => Failure::new(Fault::BadBody, UNFINISHED).with_status(status),
            BodyError::Corrupt => Failure::new(Fault::BadBody, CORRUPT).with_status(status),
        }
    }

    /// The failure of an answer that is read as a stream.
    pub(super) fn within_stream(&self, status: u16) -> Failure {
        match self {
            BodyError::Network(error) => transport::within_stream(error, status),
            BodyError::Unfinished => Failure::new(Fault::StreamCut, UNFINISHED).with_status(status),
            BodyError::Corrupt => self.within_answer(status),
        }
    }
}

const UNFINISHED: &str = "the compressed answer ends too early";

const CORRUPT: &str = "the answer is compressed and cannot be unpacked";

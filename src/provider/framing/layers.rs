//! Bodies that were packed more than once, as when a gateway packs what came packed.
//!
//! What comes out of one layer is looked at as the body itself was. There are few layers, and what lies
//! between two of them is bounded: a bomb within a bomb ends before it costs more than a moment. What
//! comes out of the last one is handed over in pieces, as by [`super::unpack`].

use bytes::{Bytes, BytesMut};

use super::unpack::{Corrupt, Packing, Unpacker, packing};

/// Most layers of one body.
const MOST: usize = 3;

/// Most bytes that are themselves packed, between two layers.
const MOST_BETWEEN: usize = 32 * 1024 * 1024;

/// A packed body under way, and what is packed in it.
pub(in crate::provider) struct Layers {
    outer: Unpacker,
    inner: Unpacked,
    /// How many more layers there may be within.
    left: usize,
    /// How many more bytes may lie between this one and the next.
    room: usize,
}

/// What came out of a layer.
enum Unpacked {
    /// Too little to tell.
    Unclear(BytesMut),
    Plain,
    Packed(Box<Layers>),
}

impl Layers {
    /// A body that is packed so on its outside.
    pub(in crate::provider) fn new(packing: Packing) -> Layers {
        Layers::within(packing, MOST - 1)
    }

    fn within(packing: Packing, left: usize) -> Layers {
        let inner = Unpacked::Unclear(BytesMut::new());
        Layers { outer: Unpacker::new(packing), inner, left, room: MOST_BETWEEN }
    }

    /// Whether every layer has come to its end.
    pub(in crate::provider) fn has_ended(&self) -> bool {
        let is_all_told = match &self.inner {
            Unpacked::Unclear(head) => head.is_empty(),
            Unpacked::Plain => true,
            Unpacked::Packed(inner) => inner.has_ended(),
        };
        self.outer.has_ended() && is_all_told
    }

    /// Takes bytes from the network, after all of those before were unpacked.
    pub(in crate::provider) fn push(&mut self, bytes: Bytes) {
        self.outer.push(bytes);
    }

    /// The next piece, which is empty when there is more to unpack before one comes; `None` when
    /// more bytes are needed.
    pub(in crate::provider) fn next(&mut self) -> Result<Option<Bytes>, Corrupt> {
        if let Unpacked::Packed(inner) = &mut self.inner
            && let Some(piece) = inner.next()?
        {
            return Ok(Some(piece));
        }
        let piece = self.outer.next()?;
        match (&mut self.inner, piece) {
            (Unpacked::Plain, piece) => Ok(piece),
            (Unpacked::Packed(inner), Some(piece)) => {
                self.room = self.room.checked_sub(piece.len()).ok_or(Corrupt)?;
                inner.push(piece);
                Ok(Some(Bytes::new()))
            }
            (Unpacked::Packed(_), None) => Ok(None),
            (Unpacked::Unclear(head), piece) => {
                let is_all = self.outer.has_ended();
                let is_more = piece.is_some() || (is_all && !head.is_empty());
                head.extend_from_slice(&piece.unwrap_or_default());
                if !is_more {
                    return Ok(None);
                }
                let head = std::mem::take(head).freeze();
                self.tell(head, is_all).map(Some)
            }
        }
    }

    /// Looks at the first bytes that came out; gives those back that are plain.
    fn tell(&mut self, head: Bytes, is_all: bool) -> Result<Bytes, Corrupt> {
        match packing(&head, "") {
            None if !is_all => {
                self.inner = Unpacked::Unclear(head.into());
                Ok(Bytes::new())
            }
            None | Some(Packing::Plain) => {
                self.inner = Unpacked::Plain;
                Ok(head)
            }
            Some(packing) => {
                let left = self.left.checked_sub(1).ok_or(Corrupt)?;
                let mut inner = Layers::within(packing, left);
                inner.push(head);
                self.inner = Unpacked::Packed(Box::new(inner));
                Ok(Bytes::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut into = GzEncoder::new(Vec::new(), Compression::best());
        into.write_all(bytes).unwrap();
        into.finish().unwrap()
    }

    /// What comes out when bytes go in so many at a time, and whether it has ended.
    fn unpacked(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool), Corrupt> {
        let mut layers = Layers::new(Packing::Gzip);
        let mut text = Vec::new();
        for part in bytes.chunks(step) {
            layers.push(Bytes::copy_from_slice(part));
            while let Some(piece) = layers.next()? {
                text.extend_from_slice(&piece);
            }
        }
        Ok((text, layers.has_ended()))
    }

    #[test]
    fn what_was_packed_up_to_three_times_comes_out_the_same_however_it_arrives() {
        let long = "Grüße, Grüße. ".repeat(20_000);
        for text in ["", "\u{1f}", "x", "{}", long.as_str()] {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..MOST {
                bytes = gzip(&bytes);
                for step in [1, 7, 100_000] {
                    assert!(
                        unpacked(&bytes, step) == Ok((text.as_bytes().to_vec(), true)),
                        "{step}"
                    );
                }
            }
            assert_eq!(unpacked(&gzip(&bytes), 100_000), Err(Corrupt));
        }
    }

    #[test]
    fn a_layer_that_is_cut_has_not_ended() {
        let once = gzip("text ".repeat(500).as_bytes());
        let (_, has_ended) = unpacked(&gzip(&once[..once.len() - 12]), 1000).unwrap();
        assert!(!has_ended);
    }

    #[test]
    fn packed_bytes_between_two_layers_are_bounded() {
        let bomb = gzip(&gzip(b"").repeat(100_000));
        let mut layers = Layers::new(Packing::Gzip);
        layers.room = 1024 * 1024;
        layers.push(Bytes::from(bomb));
        let end =
            std::iter::repeat_with(|| layers.next()).find(|next| *next != Ok(Some(Bytes::new())));
        assert_eq!(end, Some(Err(Corrupt)));
    }
}

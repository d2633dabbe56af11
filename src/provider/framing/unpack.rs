//! Unpacks what was sent compressed, though nobody asked for it.
//!
//! Some gateways compress whatever they pass on, and some leave the label away. HTTP clients can
//! unpack by themselves, but then they ask every server for it. Here nothing is asked for; gzip is
//! known by its first bytes, and so is `deflate` with its header; without one its label tells, and that
//! it is no text. What comes out is handed over in pieces
//! of a fixed size, so that a few kilobytes that unpack to gigabytes never fill the memory: whoever
//! takes the pieces stops at its own limit.
//!
//! Pure: bytes in, bytes out.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

/// Size of a piece that is handed out.
const PIECE: usize = 16 * 1024;

/// Size of gzip's window, as a power of two: the greatest.
const WINDOW: u8 = 15;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How many bytes tell a text from what only begins like one.
const TELLING: usize = 16;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Packing {
    Plain,
    Gzip,
    /// With the header that `deflate` should have.
    Zlib,
    /// Without the header, as some servers send it.
    Deflate,
}

/// How a body with these first bytes is packed, and this `content-encoding`. `None` when more bytes are
/// needed to tell; a body that ends there is plain.
pub(in crate::provider) fn packing(head: &[u8], label: &str) -> Option<Packing> {
    let mut labels = label.split(',').map(str::trim);
    let is_deflated = labels.any(|label| label.eq_ignore_ascii_case("deflate"));
    match head {
        [] => None,
        [first] if matches!(*first, b'x') || *first == GZIP[0] => None,
        [_] if is_deflated => None,
        [first, second, ..] if [*first, *second] == GZIP => Some(Packing::Gzip),
        [b'x', second, ..] if is_zlib(head) && (is_deflated || !second.is_ascii_graphic()) => {
            Some(Packing::Zlib)
        }
        _ if !is_deflated => Some(Packing::Plain),
        _ if is_zlib(head) => Some(Packing::Zlib),
        // Whatever its label says, text is text. Packed bytes look like it for a few at most.
        _ if !is_text(head) => Some(Packing::Deflate),
        _ => (head.len() >= TELLING).then_some(Packing::Plain),
    }
}

/// Whether all of these bytes may be the beginning of a text.
fn is_text(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4 * TELLING)];
    let is_utf8 =
        std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && head.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
}

/// Whether the first two bytes are the header of RFC 1950.
fn is_zlib(head: &[u8]) -> bool {
    let [method, flags, ..] = *head else { return false };
    method & 0x0f == 8 && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31)
}

/// What was packed cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::provider) struct Corrupt;

/// A packed body under way.
pub(in crate::provider) struct Unpacker {
    packing: Packing,
    state: Decompress,
    input: Bytes,
    /// The last piece was full, so more may be there although all input was taken.
    more: bool,
    ended: bool,
}

impl Unpacker {
    pub(in crate::provider) fn new(packing: Packing) -> Unpacker {
        let state = state(packing);
        Unpacker { packing, state, input: Bytes::new(), more: false, ended: false }
    }

    /// Whether what was packed has come to its end.
    pub(in crate::provider) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes bytes from the network, after all of those before were unpacked.
    pub(in crate::provider) fn push(&mut self, bytes: Bytes) {
        self.input = bytes;
    }

    /// The next piece; `None` when more bytes are needed.
    pub(in crate::provider) fn next(&mut self) -> Result<Option<Bytes>, Corrupt> {
        while !self.input.is_empty() || self.more {
            if self.ended && !self.begins_again() {
                // What stands behind the end is nobody's.
                self.input.clear();
                return Ok(None);
            }
            let mut piece = vec![0; PIECE];
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(&self.input, &mut piece, FlushDecompress::None);
            let status = status.map_err(|_| Corrupt)?;
            let taken = (self.state.total_in() - taken) as usize;
            let given = (self.state.total_out() - given) as usize;
            self.input.advance(taken);
            self.ended = status == Status::StreamEnd;
            self.more = given == PIECE && !self.ended;
            if given > 0 {
                piece.truncate(given);
                return Ok(Some(piece.into()));
            }
            if taken == 0 && !self.ended {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Several packed bodies may follow one another; together they are one.
    fn begins_again(&mut self) -> bool {
        let again = self.packing == Packing::Gzip && self.input.starts_with(&GZIP);
        if again {
            self.state = state(self.packing);
            self.ended = false;
        }
        again
    }
}

fn state(packing: Packing) -> Decompress {
    match packing {
        Packing::Gzip => Decompress::new_gzip(WINDOW),
        Packing::Zlib => Decompress::new(true),
        Packing::Plain | Packing::Deflate => Decompress::new(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
        let best = Compression::best();
        match packing {
            Packing::Plain => text.to_vec(),
            Packing::Gzip => {
                let mut into = GzEncoder::new(Vec::new(), best);
                into.write_all(text).unwrap();
                into.finish().unwrap()
            }
            Packing::Zlib => {
                let mut into = ZlibEncoder::new(Vec::new(), best);
                into.write_all(text).unwrap();
                into.finish().unwrap()
            }
            Packing::Deflate => {
                let mut into = DeflateEncoder::new(Vec::new(), best);
                into.write_all(text).unwrap();
                into.finish().unwrap()
            }
        }
    }

    /// What comes out when bytes go in so many at a time, and whether it has ended.
    fn unpacked(packing: Packing, bytes: &[u8], step: usize) -> (Vec<u8>, bool) {
        let mut unpacker = Unpacker::new(packing);
        let mut text = Vec::new();
        for part in bytes.chunks(step) {
            unpacker.push(Bytes::copy_from_slice(part));
            while let Some(piece) = unpacker.next().unwrap() {
                assert!(piece.len() <= PIECE);
                text.extend_from_slice(&piece);
            }
        }
        (text, unpacker.has_ended())
    }

    #[test]
    fn whatever_was_packed_comes_out_the_same_however_it_arrives() {
        let long = "Grüße, Grüße. ".repeat(20_000);
        for packing in [Packing::Gzip, Packing::Zlib, Packing::Deflate] {
            for text in ["", "{}", long.as_str()] {
                let bytes = packed(packing, text.as_bytes());
                for step in [1, 7, 100_000] {
                    let expected = (text.as_bytes().to_vec(), true);
                    assert!(unpacked(packing, &bytes, step) == expected, "{packing:?} {step}");
                }
            }
        }
    }

    #[test]
    fn packed_bodies_that_follow_one_another_are_one_and_what_is_behind_is_dropped() {
        let mut bytes = packed(Packing::Gzip, b"one ");
        bytes.extend(packed(Packing::Gzip, b"two"));
        bytes.extend(b"\0\0\0");
        for step in [3, 1000] {
            let (text, _) = unpacked(Packing::Gzip, &bytes, step);
            assert!(text.starts_with(b"one "));
        }
        assert_eq!(unpacked(Packing::Gzip, &bytes, 1000).0, b"one two");
    }

    #[test]
    fn a_cut_body_has_not_ended_and_a_broken_one_is_corrupt() {
        let bytes = packed(Packing::Gzip, "text ".repeat(500).as_bytes());
        assert!(!unpacked(Packing::Gzip, &bytes[..bytes.len() - 12], 1000).1);
        let mut unpacker = Unpacker::new(Packing::Gzip);
        unpacker.push(Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff\xff"));
        assert_eq!(unpacker.next(), Err(Corrupt));
    }

    #[test]
    fn deflated_bytes_that_begin_like_text_are_told_from_text() {
        for seed in 0..2_000_u32 {
            let text =
                format!("{{\"choices\":[{{\"n\":{seed},\"word\":\"{:x}\"}}]}}", seed * 7_919);
            for level in [Compression::none(), Compression::fast(), Compression::best()] {
                let mut into = DeflateEncoder::new(Vec::new(), level);
                into.write_all(text.as_bytes()).unwrap();
                let bytes = into.finish().unwrap();
                assert_eq!(packing(&bytes, "deflate"), Some(Packing::Deflate), "{text}");
            }
        }
        // A packer with codes of its own may begin with a printable byte.
        let begun = b"m\x90\xc1N\xc30\x10D";
        assert_eq!(packing(begun, "deflate"), Some(Packing::Deflate));
    }

    #[test]
    fn packing_is_known_by_its_first_bytes_and_only_bare_deflate_needs_its_label() {
        let deflated = packed(Packing::Deflate, b"{\"a\":\"some text\"}");
        for (head, label, expected) in [
            (&b"\x1f\x8b\x08"[..], "", Some(Packing::Gzip)),
            (b"\x1f\x8b", "br", Some(Packing::Gzip)),
            (b"\x1f", "", None),
            (b"", "gzip", None),
            (b"{", "", Some(Packing::Plain)),
            (b"{\"", "gzip", Some(Packing::Plain)),
            (b"data", "deflate", None),
            (b"data: {\"choices\":", "deflate", Some(Packing::Plain)),
            ("{\"a\":\"Grüße, Grüße\"}".as_bytes(), "deflate", Some(Packing::Plain)),
            ("{\"a\":\"Grüße, Grüß".as_bytes(), "deflate", Some(Packing::Plain)),
            (b"\xef\xbb\xbf{", "", Some(Packing::Plain)),
            (b"\x78\x9c", "deflate", Some(Packing::Zlib)),
            (b"\x78\x9c", "", Some(Packing::Zlib)),
            (b"\x78\x5e", "deflate", Some(Packing::Zlib)),
            (b"x", "", None),
            (b"x^", "", Some(Packing::Plain)),
            (&deflated, "deflate", Some(Packing::Deflate)),
            (&deflated, "gzip, deflate", Some(Packing::Deflate)),
            (&deflated, "", Some(Packing::Plain)),
        ] {
            assert_eq!(packing(head, label), expected, "{} {label}", head.escape_ascii());
        }
    }
}

//! What the HTTP library must never see: requests that two readers could understand differently.
//!
//! The library is generous where a proxy before it, or a program behind it, may not be: it takes
//! line ends without a carriage return, a length beside chunks, a whole address as target. This
//! reads along, holds every head back until it is complete and plain, and knows where its body ends
//! and the next head begins. Bytes pass unchanged.

use bytes::BytesMut;

/// Longest head, request line and headers together.
const HEAD_BYTES: usize = 32 * 1024;
/// Most headers of a request.
const HEADERS: usize = 100;
/// Longest line of a chunk's size with its extensions, and longest trailer.
const CHUNK_LINE: usize = 4096;

/// The methods that there are, for whatever path.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Why a request is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Improper {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

/// Where the bytes of one connection stand.
pub(super) struct HeadScreen {
    part: ScreenPart,
}

enum ScreenPart {
    /// Bytes of a head that is not complete.
    Head(BytesMut),
    /// So many bytes of a body are to come.
    Body(u64),
    Chunks(BodyChunk),
}

/// What comes next in a body of chunks.
enum BodyChunk {
    Size {
        size: u64,
        digits: usize,
        line: usize,
    },
    SizeEnd {
        size: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    /// Lines behind the last chunk; ended by an empty one.
    Trailer {
        line: usize,
        total: usize,
    },
    TrailerEnd {
        line: usize,
        total: usize,
    },
}

/// How long a body is.
#[derive(Debug, PartialEq)]
enum Length {
    Bytes(u64),
    Chunked,
}

fn improper(status: u16, why: &'static str) -> Improper {
    Improper { status, why }
}

impl HeadScreen {
    /// A connection on which nothing has come yet.
    pub(super) fn new() -> HeadScreen {
        HeadScreen { part: ScreenPart::Head(BytesMut::new()) }
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_within_head(&self) -> bool {
        matches!(&self.part, ScreenPart::Head(head) if !head.is_empty())
    }

    /// Reads along, and passes on what is complete and proper.
    ///
    /// # Errors
    /// When what follows is not to be read any more.
    pub(super) fn take(&mut self, mut input: &[u8], out: &mut BytesMut) -> Result<(), Improper> {
        while !input.is_empty() {
            let used = match &mut self.part {
                ScreenPart::Head(_) => self.take_head(input, out)?,
                ScreenPart::Body(left) => {
                    let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= used as u64;
                    out.extend_from_slice(&input[..used]);
                    if *left == 0 {
                        self.part = ScreenPart::Head(BytesMut::new());
                    }
                    used
                }
                ScreenPart::Chunks(chunk) => {
                    let (used, ended) = chunk.take(input)?;
                    out.extend_from_slice(&input[..used]);
                    if ended {
                        self.part = ScreenPart::Head(BytesMut::new());
                    }
                    used
                }
            };
            input = &input[used..];
        }
        Ok(())
    }

    /// Whether what is improper stands in a body, whose head was passed on.
    pub(super) fn is_within_body(&self) -> bool {
        !matches!(self.part, ScreenPart::Head(_))
    }

    /// Takes bytes of a head; gives how many belong to it.
    fn take_head(&mut self, input: &[u8], out: &mut BytesMut) -> Result<usize, Improper> {
        let ScreenPart::Head(head) = &mut self.part else { return Ok(0) };
        let before = head.len();
        head.extend_from_slice(input);
        if !head.first().is_some_and(|first| first.is_ascii_uppercase() || *first == b'\r') {
            return Err(improper(400, "this is not an HTTP request"));
        }
        let from = before.saturating_sub(3);
        let end = head[from..].windows(4).position(|window| window == b"\r\n\r\n");
        let whole = end.map(|end| from + end + 4);
        let seen = &head[..whole.unwrap_or(head.len())];
        let bare = memchr::memchr_iter(b'\n', seen).any(|at| at == 0 || seen[at - 1] != b'\r');
        if bare {
            return Err(improper(400, "a line of the head ends without a carriage return"));
        }
        if seen.len() > HEAD_BYTES {
            return Err(improper(431, "the request line and headers are longer than 32 KiB"));
        }
        let Some(whole) = whole else { return Ok(input.len()) };
        let length = check(seen)?;
        out.extend_from_slice(seen);
        self.part = match length {
            Length::Bytes(0) => ScreenPart::Head(BytesMut::new()),
            Length::Bytes(left) => ScreenPart::Body(left),
            Length::Chunked => ScreenPart::Chunks(BodyChunk::size()),
        };
        Ok(whole - before)
    }
}

/// What is wrong with a head; how long its body is.
fn check(head: &[u8]) -> Result<Length, Improper> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(improper(431, "more than 100 headers"));
        }
        Err(httparse::Error::Version) => {
            return Err(improper(505, "only HTTP/1.1 is spoken here"));
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(improper(400, "the request line or a header is malformed"));
        }
    }
    if head.windows(3).any(|window| window[..2] == *b"\r\n" && matches!(window[2], b' ' | b'\t')) {
        return Err(improper(400, "a header goes on in the next line"));
    }
    if !request.method.is_some_and(|method| METHODS.contains(&method)) {
        return Err(improper(501, "there is no such method"));
    }
    let target = request.path.unwrap_or_default();
    let is_all = target == "*" && request.method == Some("OPTIONS");
    if !is_all && !target.starts_with('/') {
        return Err(improper(400, "the target is not a path"));
    }
    let is_old = request.version == Some(0);
    length(request.headers, is_old)
}

fn length(headers: &[httparse::Header<'_>], is_old: bool) -> Result<Length, Improper> {
    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    for header in headers {
        let name = header.name;
        if name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(header.value).ok();
            let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let bytes = digits.and_then(|text| text.parse::<u64>().ok());
            let Some(bytes) = bytes.filter(|_| length.is_none()) else {
                return Err(improper(400, "content-length is no number, or stands there twice"));
            };
            length = Some(bytes);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || is_old || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(improper(400, "the only transfer-encoding is chunked, once"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("content-encoding") {
            if !header.value.eq_ignore_ascii_case(b"identity") {
                return Err(improper(
                    400,
                    "bodies are taken as they are, without content-encoding",
                ));
            }
        } else if name.eq_ignore_ascii_case("host") {
            hosts += 1;
        }
    }
    if hosts > 1 || (hosts == 0 && !is_old) {
        return Err(improper(400, "a request has one host header"));
    }
    match (chunked, length) {
        (true, Some(_)) => {
            Err(improper(400, "content-length and transfer-encoding exclude each other"))
        }
        (true, None) => Ok(Length::Chunked),
        (false, length) => Ok(Length::Bytes(length.unwrap_or_default())),
    }
}

impl BodyChunk {
    fn size() -> BodyChunk {
        BodyChunk::Size { size: 0, digits: 0, line: 0 }
    }

    /// Takes bytes; gives how many, and whether the body has ended with them.
    fn take(&mut self, input: &[u8]) -> Result<(usize, bool), Improper> {
        if let BodyChunk::Data(left) = self {
            let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
            *left -= used as u64;
            if *left == 0 {
                *self = BodyChunk::DataCr;
            }
            return Ok((used, false));
        }
        let next = self.next(input[0])?;
        let ended = next.is_none();
        *self = next.unwrap_or_else(BodyChunk::size);
        Ok((1, ended))
    }

    /// What follows this byte; `None` behind the whole body.
    fn next(&self, byte: u8) -> Result<Option<BodyChunk>, Improper> {
        let broken = improper(400, "the chunks of the body are malformed");
        Ok(Some(match (self, byte) {
            (BodyChunk::Size { size, digits: 1.., .. }, b'\r') => {
                BodyChunk::SizeEnd { size: *size }
            }
            (BodyChunk::Size { size, digits, line: 0 }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                if *digits >= 15 {
                    return Err(broken);
                }
                BodyChunk::Size { size: size * 16 + u64::from(digit), digits: digits + 1, line: 0 }
            }
            // Extensions say nothing to us.
            (BodyChunk::Size { size, digits: digits @ 1.., line }, _)
                if (*line > 0 || byte == b';') && byte != b'\n' && *line < CHUNK_LINE =>
            {
                BodyChunk::Size { size: *size, digits: *digits, line: line + 1 }
            }
            (BodyChunk::SizeEnd { size: 0 }, b'\n') => BodyChunk::Trailer { line: 0, total: 0 },
            (BodyChunk::SizeEnd { size }, b'\n') => BodyChunk::Data(*size),
            (BodyChunk::DataCr, b'\r') => BodyChunk::DataLf,
            (BodyChunk::DataLf, b'\n') => BodyChunk::size(),
            (BodyChunk::Trailer { line, total }, b'\r') => {
                BodyChunk::TrailerEnd { line: *line, total: *total }
            }
            (BodyChunk::Trailer { line, total }, _) if byte != b'\n' && *total < CHUNK_LINE => {
                BodyChunk::Trailer { line: line + 1, total: total + 1 }
            }
            (BodyChunk::TrailerEnd { line: 0, .. }, b'\n') => return Ok(None),
            (BodyChunk::TrailerEnd { total, .. }, b'\n') => {
                BodyChunk::Trailer { line: 0, total: *total }
            }
            _ => return Err(broken),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes of these pieces, or why nothing more does.
    fn passed(pieces: &[&[u8]]) -> Result<Vec<u8>, Improper> {
        let (mut screen, mut out) = (HeadScreen::new(), BytesMut::new());
        for piece in pieces {
            screen.take(piece, &mut out)?;
        }
        Ok(out.to_vec())
    }

    fn post(headers: &str, body: &str) -> Vec<u8> {
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}").into_bytes()
    }

    #[test]
    fn proper_requests_pass_unchanged_wherever_they_are_cut() {
        let two = [
            post("content-length: 3\r\n", "{ }"),
            post("Transfer-Encoding: chunked\r\n", "3;a=\"b\"\r\n{ }\r\n0\r\nx: y\r\n\r\n"),
            b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        ];
        let all = two.concat();
        assert_eq!(passed(&[&all]).unwrap(), all);
        for at in 0..all.len() {
            assert_eq!(passed(&[&all[..at], &all[at..]]).unwrap(), all, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(passed(&bytes).unwrap(), all);
    }

    #[test]
    fn nothing_of_a_head_passes_before_it_is_complete() {
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n";
        assert_eq!(passed(&[head]).unwrap(), b"");
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let rows: &[(u16, Vec<u8>)] = &[
            (400, post("content-length: 3\r\ntransfer-encoding: chunked\r\n", "")),
            (400, post("transfer-encoding: chunked\r\ncontent-length: 3\r\n", "")),
            (400, post("content-length: 3\r\ncontent-length: 3\r\n", "")),
            (400, post("content-length: +3\r\n", "")),
            (400, post("content-length: 3, 3\r\n", "")),
            (400, post("transfer-encoding: gzip, chunked\r\n", "")),
            (400, post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "")),
            (400, post("transfer-encoding : chunked\r\n", "")),
            (400, post("content-encoding: gzip\r\n", "")),
            (400, post("x: a\r\n b\r\n", "")),
            (400, post("host: y\r\n", "")),
            (400, b"GET / HTTP/1.1\nhost: x\n\n".to_vec()),
            (400, b"GET / HTTP/1.1\r\nhost: x\n\r\n".to_vec()),
            (400, b"GET http://x/v1/models HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
            (400, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            (400, b"\x16\x03\x01\x02\x00\x01".to_vec()),
            (400, b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
            (501, b"REFUSED / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
            (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            (431, post(&"a: b\r\n".repeat(100), "")),
            (431, post(&format!("a: {}\r\n", "b".repeat(33_000)), "")),
            (431, post(&format!("a: {}", "b".repeat(33_000)), "")),
        ];
        for (status, bytes) in rows {
            let text = String::from_utf8_lossy(bytes);
            let told = passed(&[bytes]).expect_err(&text);
            assert_eq!(told.status, *status, "{}: {}", told.why, &text[..text.len().min(200)]);
        }
    }

    #[test]
    fn chunks_that_are_no_chunks_are_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            "3\n{ }",
            "3\r\n{ }x",
            "0\r\n\n",
            "0x3\r\n",
            "3 \r\n",
            "-1\r\n",
            "10000000000000000\r\n",
        ] {
            assert!(passed(&[&post("transfer-encoding: chunked\r\n", body)]).is_err(), "{body:?}");
        }
    }
}

//! The `aws-chunked` encoding of bodies: `SIZE;chunk-signature=…\r\nBYTES\r\n`, a last chunk of size
//! zero, then headers that were not known before, as checksums. Where the caller's secret is known
//! each signature is checked before the next piece is taken.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::Sign;

/// How long the line before a chunk, or all trailing headers, may be.
const LINE_LIMIT: usize = 16 << 10;

/// Headers that came behind a body, once it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let headers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    fn add(&self, line: &str) {
        let mut headers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), Ok(value)) =
                (name.trim().parse::<http::HeaderName>(), value.trim().parse())
        {
            headers.insert(name, value);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before the line that tells the size of a chunk.
    Size,
    /// In a chunk, with so many bytes to come.
    Chunk(u64),
    /// Before the line end that follows a chunk.
    ChunkEnd,
    /// Behind the last chunk.
    Trailer,
    End,
}

/// What a decoder comes upon.
#[derive(Debug, PartialEq)]
enum Found {
    Bytes(Bytes),
    NeedMore,
    End,
}

/// Checks the signatures of pieces.
#[derive(Debug)]
struct Checker {
    sign: Arc<dyn Sign>,
    /// The signature of the last piece.
    before: String,
    /// What the present piece says its own is.
    said: String,
    digest: Sha256,
    /// Trailing headers, as they are signed.
    trailers: String,
    /// What the trailing headers say theirs is.
    said_of_trailers: Option<String>,
}

/// What a body is refused for whose signatures are not right.
pub(crate) const WRONG_SIGNATURE: &str = "a piece of the body has a wrong signature";

impl Checker {
    fn new(sign: Arc<dyn Sign>) -> Self {
        let before = sign.seed().to_owned();
        let (said, trailers) = (String::new(), String::new());
        Self { sign, before, said, digest: Sha256::new(), trailers, said_of_trailers: None }
    }

    /// The line before a piece.
    fn begin(&mut self, line: &str) {
        let said = line.split(';').find_map(|it| it.trim().strip_prefix("chunk-signature="));
        self.said = said.unwrap_or_default().to_owned();
    }

    /// A piece is over.
    fn end(&mut self) -> io::Result<()> {
        let digest = std::mem::take(&mut self.digest).finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let right = self.sign.chunk(&self.before, &digest);
        if self.said != right {
            return Err(invalid(WRONG_SIGNATURE));
        }
        self.before = right;
        Ok(())
    }

    fn trailer(&mut self, line: &str) {
        match line.strip_prefix("x-amz-trailer-signature:") {
            Some(said) => self.said_of_trailers = Some(said.trim().to_owned()),
            None if line.is_empty() => {}
            None => {
                self.trailers.push_str(line);
                self.trailers.push('\n');
            }
        }
    }

    /// All is there.
    fn finish(&self) -> io::Result<()> {
        let right = match (&self.said_of_trailers, self.trailers.is_empty()) {
            (None, true) => return Ok(()),
            _ => self.sign.trailers(&self.before, &self.trailers),
        };
        match self.said_of_trailers.as_ref() == Some(&right) {
            true => Ok(()),
            false => Err(invalid(WRONG_SIGNATURE)),
        }
    }
}

/// Reads the encoding piece by piece.
#[derive(Debug)]
struct Decoder {
    buffer: BytesMut,
    place: Place,
    trailers: Trailers,
    checker: Option<Checker>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Decoder {
    fn line(&mut self) -> io::Result<Option<String>> {
        let Some(end) = self.buffer.windows(2).position(|it| it == b"\r\n") else {
            return match self.buffer.len() > LINE_LIMIT {
                true => Err(invalid("a line of the chunked body is too long")),
                false => Ok(None),
            };
        };
        let line = self.buffer.split_to(end);
        self.buffer.advance(2);
        let text = std::str::from_utf8(&line).map_err(|_| invalid("a line is no text"))?;
        Ok(Some(text.to_owned()))
    }

    fn next(&mut self) -> io::Result<Found> {
        loop {
            match self.place {
                Place::Size => {
                    let Some(line) = self.line()? else { return Ok(Found::NeedMore) };
                    if let Some(checker) = &mut self.checker {
                        checker.begin(&line);
                    }
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16);
                    self.place = match size.map_err(|_| invalid("a chunk's size is no number"))? {
                        0 => {
                            self.checker.as_mut().map_or(Ok(()), Checker::end)?;
                            Place::Trailer
                        }
                        size => Place::Chunk(size),
                    };
                }
                Place::Chunk(left) => {
                    if self.buffer.is_empty() {
                        return Ok(Found::NeedMore);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    let bytes = self.buffer.split_to(take).freeze();
                    if let Some(checker) = &mut self.checker {
                        checker.digest.update(&bytes);
                    }
                    self.place = match left - take as u64 {
                        0 => Place::ChunkEnd,
                        left => Place::Chunk(left),
                    };
                    return Ok(Found::Bytes(bytes));
                }
                Place::ChunkEnd => {
                    if self.buffer.len() < 2 {
                        return Ok(Found::NeedMore);
                    }
                    if !self.buffer.starts_with(b"\r\n") {
                        return Err(invalid("a chunk is longer than it says"));
                    }
                    self.buffer.advance(2);
                    self.checker.as_mut().map_or(Ok(()), Checker::end)?;
                    self.place = Place::Size;
                }
                Place::Trailer => match self.line()? {
                    None => return Ok(Found::NeedMore),
                    Some(line) if line.is_empty() => {
                        self.checker.as_ref().map_or(Ok(()), Checker::finish)?;
                        self.place = Place::End;
                    }
                    Some(line) => self.trailer(&line),
                },
                Place::End => return Ok(Found::End),
            }
        }
    }

    fn trailer(&mut self, line: &str) {
        self.trailers.add(line);
        if let Some(checker) = &mut self.checker {
            checker.trailer(line);
        }
    }

    /// The input is over: also without the last line end, which some clients leave out.
    fn finish(&mut self) -> io::Result<()> {
        match self.place {
            Place::End => Ok(()),
            Place::Trailer => {
                let rest = self.buffer.split();
                for line in String::from_utf8_lossy(&rest).lines() {
                    self.trailer(line);
                }
                self.checker.as_ref().map_or(Ok(()), Checker::finish)
            }
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ends too early")),
        }
    }
}

/// A body without its chunks.
pub(crate) struct Dechunked<S> {
    inner: S,
    decoder: Decoder,
}

impl<S> Dechunked<S> {
    pub(crate) fn new(inner: S, trailers: Trailers, sign: Option<Arc<dyn Sign>>) -> Self {
        let checker = sign.map(Checker::new);
        let decoder = Decoder { buffer: BytesMut::new(), place: Place::Size, trailers, checker };
        Self { inner, decoder }
    }
}

impl<S, E> Stream for Dechunked<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.decoder.next() {
                Ok(Found::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(Found::End) => return Poll::Ready(None),
                Ok(Found::NeedMore) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match std::task::ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(bytes)) => self.decoder.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(io::Error::other(error.to_string()))));
                }
                None => {
                    let done = self.decoder.finish();
                    self.decoder.place = Place::End;
                    return Poll::Ready(done.err().map(Err));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes input that arrives in pieces of a size.
    fn decode(input: &[u8], piece: usize) -> io::Result<(Vec<u8>, Trailers)> {
        decode_signed(input, piece, None)
    }

    /// The same, of a known signer.
    fn decode_signed(
        input: &[u8],
        piece: usize,
        sign: Option<Arc<dyn Sign>>,
    ) -> io::Result<(Vec<u8>, Trailers)> {
        let trailers = Trailers::default();
        let mut decoder = Decoder {
            buffer: BytesMut::new(),
            place: Place::Size,
            trailers: trailers.clone(),
            checker: sign.map(Checker::new),
        };
        let (mut pieces, mut out) = (input.chunks(piece), Vec::new());
        loop {
            match decoder.next()? {
                Found::Bytes(bytes) => out.extend(bytes),
                Found::End => return Ok((out, trailers)),
                Found::NeedMore => match pieces.next() {
                    Some(piece) => decoder.buffer.extend_from_slice(piece),
                    None => {
                        decoder.finish()?;
                        return Ok((out, trailers));
                    }
                },
            }
        }
    }

    #[test]
    fn chunks_are_put_together_however_they_arrive() {
        let signed = b"5;chunk-signature=ab\r\nhello\r\n6;chunk-signature=cd\r\n world\r\n\
                       0;chunk-signature=ef\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        for piece in 1..signed.len() {
            let (bytes, trailers) = decode(signed, piece).expect("decoded");
            assert_eq!(bytes, b"hello world");
            assert_eq!(trailers.get("x-amz-checksum-crc32").as_deref(), Some("AAAAAA=="));
        }
        assert_eq!(decode(b"0\r\n\r\n", 1).expect("decoded").0, b"");
        assert_eq!(decode(b"1\r\na\r\n0\r\n", 1).expect("the last line end is missing").0, b"a");
    }

    /// Signs by writing down what is signed.
    #[derive(Debug)]
    struct Plain;

    impl Sign for Plain {
        fn seed(&self) -> &str {
            "seed"
        }

        fn chunk(&self, before: &str, digest: &str) -> String {
            format!("{}{}", &before[..2], &digest[..4])
        }

        fn trailers(&self, before: &str, lines: &str) -> String {
            format!("{before}{}", lines.len())
        }
    }

    /// SHA-256 of `hello` begins with 2cf2, that of nothing with e3b0.
    #[test]
    fn every_piece_and_the_trailers_are_signed() {
        let plain = || Some(Arc::new(Plain) as Arc<dyn Sign>);
        let good = b"5;chunk-signature=se2cf2\r\nhello\r\n0;chunk-signature=see3b0\r\n\
                     x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:see3b030\r\n\r\n";
        for piece in 1..good.len() {
            assert_eq!(decode_signed(good, piece, plain()).expect("right").0, b"hello");
        }
        let text = String::from_utf8(good.to_vec()).expect("text");
        for (from, to) in [
            ("hello", "jello"),
            ("se2cf2", "se2cf3"),
            ("see3b0\r", "other\r"),
            ("AAAAAA", "BBBBBB0"),
        ] {
            let bad = text.replace(from, to).replace(";chunk-signature=other", "");
            let found = decode_signed(bad.as_bytes(), 7, plain());
            assert_eq!(
                found.err().map(|it| it.to_string()).as_deref(),
                Some(WRONG_SIGNATURE),
                "{to}"
            );
        }
        // Without trailers nothing signs them; somebody whose secret is not known is believed.
        let bare = b"5;chunk-signature=se2cf2\r\nhello\r\n0;chunk-signature=see3b0\r\n\r\n";
        assert_eq!(decode_signed(bare, 3, plain()).expect("right").0, b"hello");
        assert_eq!(decode(&bare[..], 3).expect("believed").0, b"hello");
    }

    #[test]
    fn a_body_that_lies_is_an_error() {
        for input in [&b"5\r\nhell"[..], b"x\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"", b"5"] {
            assert!(decode(input, 3).is_err(), "{input:?}");
        }
        assert!(decode(&vec![b'0'; 100_000], 1000).is_err());
    }
}

//! Lines of a stream, of which none is held beyond a limit.
//!
//! `BufRead::read_until` would hold a line of any length, so a compressed file of a few KiB could
//! take all memory.

use std::io::{self, Read};

use memchr::memchr;
use serde::{Deserialize, Serialize};

/// What is read at a time. It is also the most that is lost before damage in a compressed file,
/// since a decoder that meets damage gives nothing of that read.
const CHUNK_BYTES: usize = 64 << 10;

/// Byte order mark of UTF-8, which some editors put first.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How much of a line over the limit is kept.
pub(crate) const PREFIX_BYTES: usize = 1 << 10;

/// A line without its end (`\n` or `\r\n`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The line.
    Whole(&'a [u8]),
    /// The beginning of a line over the limit, and the line's size in bytes.
    Long(&'a [u8], u64),
}

/// How much of a stream is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Lines done.
    pub(crate) lines: u64,
    /// The bytes that they took, their ends and a byte order mark among them.
    pub(crate) bytes: u64,
}

/// Splits a stream into lines, and counts them and their bytes.
pub(crate) struct Lines<R> {
    stream: R,
    chunk: Vec<u8>,
    /// The part of `chunk` that is read but not yet taken.
    start: usize,
    end: usize,
    line: Vec<u8>,
    /// The longest line that is given whole.
    pub(crate) bytes_max: usize,
    /// Lines taken.
    pub(crate) count: u64,
    /// Bytes of the stream taken.
    pub(crate) bytes: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of `stream`, of at most `bytes_max` bytes each.
    pub(crate) fn new(stream: R, bytes_max: usize) -> Self {
        Lines {
            stream,
            chunk: vec![0; CHUNK_BYTES],
            start: 0,
            end: 0,
            line: Vec::new(),
            bytes_max,
            count: 0,
            bytes: 0,
        }
    }

    /// The stream's beginning, of at least `bytes` bytes (at most one chunk) where it has as many.
    ///
    /// Nothing is taken, but for a byte order mark. To be called before the first line.
    pub(crate) fn head(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.end < bytes.min(CHUNK_BYTES) {
            match self.stream.read(&mut self.chunk[self.end..]) {
                Ok(0) => break,
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.end == 0 => return Err(error),
                // What stands before the damage is kept; the next read meets the damage again.
                Err(_) => break,
            }
        }
        if self.chunk[..self.end].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
            self.bytes = self.start as u64;
        }
        Ok(&self.chunk[self.start..self.end])
    }

    /// Whether the next line, or its end, has to be read and may have to be waited for.
    pub(crate) fn drained(&self) -> bool {
        memchr(b'\n', &self.chunk[self.start..self.end]).is_none()
    }

    /// How much of the stream has been taken.
    pub(crate) fn done(&self) -> Done {
        Done {
            lines: self.count,
            bytes: self.bytes,
        }
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// The stream's. What was read of a line that is cut off by an error is dropped.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.line.shrink_to(CHUNK_BYTES);
        let mut size = 0u64;
        let mut ended = false;
        while !ended {
            if self.start == self.end && !self.fill()? {
                break;
            }
            let part = &self.chunk[self.start..self.end];
            let taken = memchr(b'\n', part).map_or(part.len(), |at| at + 1);
            ended = part[taken - 1] == b'\n';
            // A line may have one byte more than the limit here: the `\r` before its end.
            let room = (self.bytes_max + 2).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..taken.min(room)]);
            self.start += taken;
            size += taken as u64;
        }
        self.bytes += size;
        self.count += u64::from(size > 0);
        Ok((size > 0).then(|| self.trimmed(size, ended)))
    }

    /// The rest of the stream, and its size in bytes; only the beginning when it is over the limit.
    pub(crate) fn rest(mut self) -> io::Result<(Vec<u8>, u64)> {
        let mut rest = self.chunk[self.start..self.end].to_vec();
        let room = (self.bytes_max as u64 + 1).saturating_sub(rest.len() as u64);
        self.stream.by_ref().take(room).read_to_end(&mut rest)?;
        let skipped = io::copy(&mut self.stream, &mut io::sink())?;
        let size = rest.len() as u64 + skipped;
        rest.truncate(if size > self.bytes_max as u64 {
            PREFIX_BYTES
        } else {
            rest.len()
        });
        Ok((rest, size))
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.start = 0;
        self.end = 0;
        loop {
            match self.stream.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(bytes) => {
                    self.end = bytes;
                    return Ok(bytes > 0);
                }
            }
        }
    }

    fn trimmed(&self, size: u64, ended: bool) -> Line<'_> {
        let complete = self.line.len() as u64 == size;
        let mut line = &self.line[..];
        if complete && ended {
            line = &line[..line.len() - 1];
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        if complete && line.len() <= self.bytes_max {
            Line::Whole(line)
        } else {
            Line::Long(
                &line[..PREFIX_BYTES.min(line.len())],
                size - u64::from(ended),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(stream: &[u8], bytes_max: usize) -> Vec<(Vec<u8>, Option<u64>)> {
        let mut lines = Lines::new(stream, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Line::Whole(line) => (line.to_vec(), None),
                Line::Long(prefix, size) => (prefix.to_vec(), Some(size)),
            });
        }
        assert_eq!(lines.bytes, stream.len() as u64);
        assert_eq!(lines.count, all.len() as u64);
        all
    }

    #[test]
    fn lines_end_with_either_end_or_none() {
        let whole = |line: &str| (line.as_bytes().to_vec(), None);
        assert_eq!(
            read(b"a\r\n\nb\rc\nd", 10),
            ["a", "", "b\rc", "d"].map(whole)
        );
        assert_eq!(read(b"", 10), []);
    }

    #[test]
    fn the_limit_counts_the_line_without_its_end() {
        for end in ["", "\n", "\r\n"] {
            let whole = read(format!("12345{end}").as_bytes(), 5);
            assert_eq!(whole, [(b"12345".to_vec(), None)], "{end:?}");
            let long = read(format!("123456{end}").as_bytes(), 5);
            assert!(long[0].1.is_some_and(|size| size >= 6), "{end:?} {long:?}");
        }
    }

    #[test]
    fn a_line_of_a_gigabyte_takes_no_more_memory_than_the_limit() {
        let limit = 1 << 20;
        let stream = io::repeat(b'x').take(1 << 30).chain(&b"\nnext\n"[..]);
        let mut lines = Lines::new(stream, limit);
        let Some(Line::Long(prefix, size)) = lines.next().unwrap() else {
            panic!("a long line");
        };
        assert_eq!((prefix.len(), size), (PREFIX_BYTES, 1 << 30));
        assert!(
            lines.line.capacity() <= 2 * limit,
            "{}",
            lines.line.capacity()
        );
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"next")));
        assert!(lines.line.capacity() <= CHUNK_BYTES);
    }

    #[test]
    fn head_takes_nothing_but_a_byte_order_mark() {
        let mut lines = Lines::new(&b"\xef\xbb\xbfa\nb"[..], 10);
        assert_eq!(lines.head(10).unwrap(), b"a\nb");
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"a")));
        assert_eq!(lines.bytes, 5);
        assert_eq!(lines.rest().unwrap(), (b"b".to_vec(), 1));
    }

    #[test]
    fn rest_keeps_the_beginning_of_what_is_over_the_limit() {
        let stream = vec![b'x'; 3000];
        for (limit, kept) in [(3000, 3000), (2999, PREFIX_BYTES)] {
            let mut lines = Lines::new(&stream[..], limit);
            lines.head(3).unwrap();
            let (rest, size) = lines.rest().unwrap();
            assert_eq!((rest.len(), size), (kept, 3000));
        }
    }

    /// Gives at most so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.1.min(buffer.len());
            self.0.read(&mut buffer[..bytes])
        }
    }

    proptest! {
        #[test]
        fn oracle_lines_do_not_depend_on_how_the_stream_is_read(
            stream in "[ab\r\n]{0,40}",
            read_bytes in 1usize..5,
            bytes_max in 0usize..8,
        ) {
            let mut lines = Lines::new(Slow(stream.as_bytes(), read_bytes), bytes_max);
            let mut expected = stream.split_inclusive('\n');
            while let Some(line) = lines.next().unwrap() {
                let whole = expected.next().unwrap();
                let size = whole.strip_suffix('\n').unwrap_or(whole).len();
                let content = match whole.strip_suffix('\n') {
                    Some(line) => line.strip_suffix('\r').unwrap_or(line),
                    None => whole,
                };
                match line {
                    Line::Whole(line) => prop_assert_eq!(line, content.as_bytes()),
                    Line::Long(start, bytes) => {
                        prop_assert!(content.len() > bytes_max);
                        prop_assert!(whole.as_bytes().starts_with(start));
                        prop_assert_eq!(bytes, size as u64);
                    }
                }
            }
            prop_assert_eq!(expected.next(), None);
            prop_assert_eq!(lines.bytes, stream.len() as u64);
        }
    }
}

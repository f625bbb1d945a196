//! Frames: batches of records as they stand in a segment file, compressed and checksummed.
//!
//! A frame is read as a whole, so its size is a compromise: 32 KiB of records compress well and
//! still decompress in tens of microseconds when a single record is wanted. Offsets may have gaps
//! inside and between frames: the mirror of a Kafka log keeps that log's offsets.
//!
//! | bytes | header field (little endian)              |
//! |-------|-------------------------------------------|
//! | 4     | magic and version, `RFr1`                 |
//! | 8     | base: offset of the first record          |
//! | 8     | next: offset after the last record        |
//! | 4     | count of records                          |
//! | 4     | bytes of the payload before compression   |
//! | 4     | bytes of the payload as stored            |
//! | 4     | CRC-32 of the stored payload              |
//! | 4     | CRC-32 of the 36 bytes above              |
//!
//! The payload is one zstd frame, or stored as it is where that is not larger.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::codec::{self, Body, Encoded};
use super::{corrupt, io};
use crate::log::{LogError, Record, Result};

const MAGIC: [u8; 4] = *b"RFr1";
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 40;
/// A frame is closed when its records reach this many bytes before compression.
pub const FRAME_BYTES: usize = 32 << 10;
/// The largest payload that is read; what a header claims beyond it is damage.
pub const PAYLOAD_BYTES_MAX: usize = 512 << 20;
/// A position has 48 bits for an offset.
const OFFSET_MAX: u64 = 1 << 48;
/// Level 1: level 3 gains 5 % on text and halves the rate.
const ZSTD_LEVEL: i32 = 1;

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record.
    pub base: u64,
    /// Offset after the last record.
    pub next: u64,
    /// How many records the frame holds.
    pub count: u32,
    raw_bytes: u32,
    stored_bytes: u32,
    payload_crc: u32,
}

impl Header {
    /// The header of a frame that holds this payload, whatever that is, so that its checksums match.
    #[cfg(feature = "fuzzing")]
    pub(super) fn of_payload(base: u64, next: u64, raw_bytes: u32, stored: &[u8]) -> Header {
        Header {
            base,
            next,
            count: 1,
            raw_bytes,
            stored_bytes: stored.len() as u32,
            payload_crc: crc32fast::hash(stored),
        }
    }

    /// Bytes of the whole frame in its file.
    pub fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.stored_bytes)
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.base.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.next.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.count.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.stored_bytes.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> std::result::Result<Header, &'static str> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if bytes[..4] != MAGIC {
            return Err("no frame of a known version begins here");
        }
        if crc32fast::hash(&bytes[..36]) != u32_at(36) {
            return Err("a frame's header does not match its checksum");
        }
        let header = Header {
            base: u64_at(4),
            next: u64_at(12),
            count: u32_at(20),
            raw_bytes: u32_at(24),
            stored_bytes: u32_at(28),
            payload_crc: u32_at(32),
        };
        if header.raw_bytes as usize > PAYLOAD_BYTES_MAX || header.stored_bytes > header.raw_bytes {
            return Err("a frame's header claims an impossible size");
        }
        if header.base >= header.next || header.next > OFFSET_MAX {
            return Err("a frame's header claims impossible offsets");
        }
        Ok(header)
    }
}

/// Gathers records into a frame.
pub struct FrameBuilder {
    base: u64,
    next: u64,
    count: u32,
    raw: Vec<u8>,
    frame: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl FrameBuilder {
    /// An empty frame.
    pub fn new() -> Self {
        let compressor =
            zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("level 1 is a level of zstd's");
        FrameBuilder {
            base: 0,
            next: 0,
            count: 0,
            raw: Vec::new(),
            frame: Vec::new(),
            compressor,
        }
    }

    /// Adds the record at `offset`, which must not be below those before it.
    pub fn push(&mut self, offset: u64, record: &Record) {
        if self.count == 0 {
            self.base = offset;
        }
        codec::put(&mut self.raw, offset - self.base, record);
        self.next = offset + 1;
        self.count += 1;
    }

    /// The records added so far, with their offsets.
    pub fn records(
        &self,
    ) -> impl Iterator<Item = std::result::Result<(u64, Body<'_>), &'static str>> {
        records(self.base, self.next, &self.raw)
    }

    /// The offsets that the records span; empty when there is none.
    pub fn offsets(&self) -> std::ops::Range<u64> {
        self.base..if self.is_empty() {
            self.base
        } else {
            self.next
        }
    }

    /// How many records have been added.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// Whether no record has been added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the frame has reached its size.
    pub fn is_full(&self) -> bool {
        self.raw.len() >= FRAME_BYTES
    }

    /// The frame's bytes; the records stay until [`FrameBuilder::clear`], so that a failed write
    /// can be done again.
    pub fn encode(&mut self) -> (Header, &[u8]) {
        let bound = zstd::zstd_safe::compress_bound(self.raw.len());
        self.frame.clear();
        self.frame.resize(HEADER_BYTES + bound, 0);
        let stored = self
            .compressor
            .compress_to_buffer(&self.raw, &mut self.frame[HEADER_BYTES..])
            .ok()
            .filter(|stored| *stored < self.raw.len());
        self.frame.truncate(HEADER_BYTES + stored.unwrap_or(0));
        if stored.is_none() {
            self.frame.extend_from_slice(&self.raw);
        }
        let header = Header {
            base: self.base,
            next: self.next,
            count: self.count,
            raw_bytes: self.raw.len() as u32,
            stored_bytes: (self.frame.len() - HEADER_BYTES) as u32,
            payload_crc: crc32fast::hash(&self.frame[HEADER_BYTES..]),
        };
        self.frame[..HEADER_BYTES].copy_from_slice(&header.encode());
        (header, &self.frame)
    }

    /// Forgets the records.
    pub fn clear(&mut self) {
        self.count = 0;
        self.raw.clear();
        // One large record must not hold its memory for good.
        self.raw.shrink_to(4 * FRAME_BYTES);
        self.frame.clear();
        self.frame.shrink_to(4 * FRAME_BYTES);
    }
}

/// Reads frames from files, one at a time, into buffers that are used again.
pub struct FrameReader {
    header: Header,
    stored: Vec<u8>,
    raw: Vec<u8>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl FrameReader {
    /// A reader that holds no frame yet.
    pub fn new() -> Self {
        let decompressor =
            zstd::bulk::Decompressor::new().expect("a zstd context needs only memory");
        FrameReader {
            header: Header::default(),
            stored: Vec::new(),
            raw: Vec::new(),
            decompressor,
        }
    }

    /// Reads the frame at `byte`, which must end at `limit` at the latest.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] where the bytes are no whole frame that matches its checksums.
    pub fn read(&mut self, file: &File, path: &Path, byte: u64, limit: u64) -> Result<Header> {
        let header = read_header(file, path, byte, limit)?;
        self.stored.resize(header.stored_bytes as usize, 0);
        file.read_exact_at(&mut self.stored, byte + HEADER_BYTES as u64)
            .map_err(|e| short(path, byte, e))?;
        self.decode(&header)
            .map_err(|reason| corrupt(path, byte, reason))?;
        self.header = header;
        Ok(header)
    }

    fn decode(&mut self, header: &Header) -> std::result::Result<(), &'static str> {
        if crc32fast::hash(&self.stored) != header.payload_crc {
            return Err("a frame's records do not match their checksum");
        }
        self.raw.clear();
        if header.stored_bytes == header.raw_bytes {
            std::mem::swap(&mut self.raw, &mut self.stored);
            return Ok(());
        }
        self.raw.reserve(header.raw_bytes as usize);
        let written = self
            .decompressor
            .decompress_to_buffer(&self.stored, &mut self.raw);
        match written {
            Ok(bytes) if bytes == header.raw_bytes as usize => Ok(()),
            _ => Err("a frame's records do not decompress"),
        }
    }

    /// The records of the frame read last, with their offsets.
    pub fn records(
        &self,
    ) -> impl Iterator<Item = std::result::Result<(u64, Body<'_>), &'static str>> {
        records(self.header.base, self.header.next, &self.raw)
    }

    /// Bytes of that frame's records.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }
}

/// The records of a payload whose offsets lie from `base` up to `next`.
fn records(
    base: u64,
    next: u64,
    raw: &[u8],
) -> impl Iterator<Item = std::result::Result<(u64, Body<'_>), &'static str>> {
    Encoded(raw).map(move |item| match item {
        Some((delta, body)) if delta < next - base => Ok((base + delta, body)),
        _ => Err("a record makes no sense"),
    })
}

/// Reads a frame's header alone, to step over the frame.
///
/// # Errors
/// [`LogError::Corrupt`] where no header stands, or the frame would end behind `limit`.
pub fn read_header(file: &File, path: &Path, byte: u64, limit: u64) -> Result<Header> {
    let mut bytes = [0; HEADER_BYTES];
    if byte + HEADER_BYTES as u64 > limit {
        return Err(corrupt(path, byte, "a frame's header is cut off"));
    }
    file.read_exact_at(&mut bytes, byte)
        .map_err(|e| short(path, byte, e))?;
    let header = Header::decode(&bytes).map_err(|reason| corrupt(path, byte, reason))?;
    if byte + header.frame_bytes() > limit {
        return Err(corrupt(
            path,
            byte,
            "a frame reaches behind the end of the committed data",
        ));
    }
    Ok(header)
}

/// A file that is shorter than committed is damage; other failures are the system's.
fn short(path: &Path, byte: u64, error: std::io::Error) -> LogError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return corrupt(path, byte, "the file ends before the committed data do");
    }
    io(path)(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&[u8]>) -> Record {
        Record {
            key: Some(key.into()),
            value: value.map(<[u8]>::to_vec),
            headers: vec![("h".into(), b"1".to_vec())],
        }
    }

    /// Version 1, byte by byte: data on disks out there look like this.
    #[test]
    fn version_1_frames_keep_their_bytes() {
        let mut builder = FrameBuilder::new();
        builder.push(7, &record("a", Some(b"xyz")));
        builder.push(9, &record("b", None));
        let (header, bytes) = builder.encode();
        let payload = b"\x0c\x00\x02a\x04xyz\x01\x01h\x011\x09\x02\x02b\x00\x01\x01h\x011";
        assert_eq!(&bytes[HEADER_BYTES..], payload);
        let mut expected = b"RFr1".to_vec();
        expected.extend(7u64.to_le_bytes());
        expected.extend(10u64.to_le_bytes());
        expected.extend(2u32.to_le_bytes());
        expected.extend(23u32.to_le_bytes());
        expected.extend(23u32.to_le_bytes());
        expected.extend(crc32fast::hash(payload).to_le_bytes());
        expected.extend(crc32fast::hash(&expected).to_le_bytes());
        assert_eq!(bytes[..HEADER_BYTES], expected);
        assert_eq!(Header::decode(&expected.try_into().unwrap()), Ok(header));
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frame");
        let mut builder = FrameBuilder::new();
        for i in 0..20 {
            builder.push(i, &record("key", Some(&b"text ".repeat(30))));
        }
        let whole = builder.encode().1.to_vec();
        let mut reader = FrameReader::new();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).unwrap();
            let file = File::open(&path).unwrap();
            let read = reader.read(&file, &path, 0, damaged.len() as u64);
            assert!(
                matches!(read, Err(LogError::Corrupt { .. })),
                "byte {at}: {read:?}"
            );
        }
    }
}

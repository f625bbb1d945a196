//! Blocks: what a snapshot's file and the runs of a spool are made of, each with its checksums.
//!
//! | bytes | header field (little endian)            |
//! |-------|-----------------------------------------|
//! | 4     | kind: `HEAD`, `NAME`, `DOCS` or `LAST`  |
//! | 4     | number of the block in its file, from 0 |
//! | 4     | bytes of the payload                    |
//! | 4     | bytes of the payload as stored          |
//! | 4     | CRC-32 of the stored payload            |
//! | 4     | CRC-32 of the 20 bytes above            |
//!
//! The payload is one zstd frame, or stored as it is where that is not larger. The numbers tell
//! when a block is missing, doubled or out of its place.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{Result, SnapshotError, io};

/// Bytes of a block's header.
pub const HEADER_BYTES: usize = 24;
/// A block is closed when its payload reaches this many bytes.
pub const BLOCK_BYTES: usize = 64 << 10;
/// The largest payload: names of groups may be long. What a header claims beyond it is damage.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;
/// Bytes that may wait in memory for the disk before they are flushed: more of them at once would
/// make commits to the same disk wait.
const FLUSH_EVERY: u64 = 8 << 20;
/// Level 1: ids do not compress, and the rest is small numbers.
const ZSTD_LEVEL: i32 = 1;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the snapshot is of; the first block.
    Head,
    /// Names of groups, numbered on from those of the blocks before.
    Names,
    /// Documents.
    Documents,
    /// The count of documents and the hash of all bytes before; the last block.
    Last,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Head, Kind::Names, Kind::Documents, Kind::Last];

    fn tag(self) -> [u8; 4] {
        match self {
            Kind::Head => *b"HEAD",
            Kind::Names => *b"NAME",
            Kind::Documents => *b"DOCS",
            Kind::Last => *b"LAST",
        }
    }
}

/// Writes blocks to a file.
pub struct BlockWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Option<blake3::Hasher>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    number: u32,
    unflushed: u64,
    stored: Vec<u8>,
}

impl BlockWriter {
    /// A new file of blocks at `path`, in place of what stands there. A durable one is compressed,
    /// hashed as a whole and flushed to the disk on the way.
    pub fn create(path: &Path, durable: bool) -> Result<Self> {
        let compressor = durable.then(|| {
            zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("level 1 is a level of zstd's")
        });
        Ok(BlockWriter {
            file: BufWriter::new(File::create(path).map_err(io(path))?),
            path: path.to_path_buf(),
            hasher: durable.then(blake3::Hasher::new),
            compressor,
            number: 0,
            unflushed: 0,
            stored: Vec::new(),
        })
    }

    /// Appends bytes that are no block.
    pub fn put_raw(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.file.write_all(bytes).map_err(io(&self.path))?;
        self.unflushed += bytes.len() as u64;
        if self.hasher.is_some() && self.unflushed >= FLUSH_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Appends a block.
    pub fn put(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let source = std::io::Error::other("the names of a group are too long for a snapshot");
            return Err(io(&self.path)(source));
        }
        let mut stored = std::mem::take(&mut self.stored);
        stored.clear();
        self.compress(payload, &mut stored);
        let body = if stored.is_empty() { payload } else { &stored };
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&kind.tag());
        header[4..8].copy_from_slice(&self.number.to_le_bytes());
        header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[16..20].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let crc = crc32fast::hash(&header[..20]);
        header[20..].copy_from_slice(&crc.to_le_bytes());
        self.number += 1;
        self.put_raw(&header)?;
        self.put_raw(body)?;
        self.stored = stored;
        Ok(())
    }

    /// The compressed payload; nothing where it would not be smaller.
    fn compress(&mut self, payload: &[u8], stored: &mut Vec<u8>) {
        let Some(compressor) = &mut self.compressor else {
            return;
        };
        stored.reserve(zstd::zstd_safe::compress_bound(payload.len()));
        let written = compressor.compress_to_buffer(payload, stored);
        if !written.is_ok_and(|bytes| bytes < payload.len()) {
            stored.clear();
        }
    }

    /// The hash of all that was appended.
    pub fn hash(&self) -> [u8; 32] {
        let hasher = self.hasher.as_ref();
        *hasher
            .expect("only durable files are hashed")
            .finalize()
            .as_bytes()
    }

    /// Hands all bytes to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(io(&self.path))
    }

    /// Waits until all bytes are on the disk.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.unflushed = 0;
        self.file.get_ref().sync_all().map_err(io(&self.path))
    }
}

/// Reads blocks one after the other, into buffers that are used again.
pub struct BlockReader {
    path: PathBuf,
    file: BufReader<File>,
    number: u32,
    byte: u64,
    /// Where the file ends.
    limit: u64,
    stored: Vec<u8>,
    payload: Vec<u8>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl BlockReader {
    /// A reader of the file at `path`, whose blocks begin behind `skipped` bytes.
    pub fn open(path: &Path, skipped: u64) -> Result<Self> {
        let mut file = File::open(path).map_err(io(path))?;
        let limit = file.metadata().map_err(io(path))?.len();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(skipped)).map_err(io(path))?;
        Ok(BlockReader {
            path: path.to_path_buf(),
            file: BufReader::with_capacity(BLOCK_BYTES, file),
            number: 0,
            byte: skipped,
            limit,
            stored: Vec::new(),
            payload: Vec::new(),
            decompressor: zstd::bulk::Decompressor::new()
                .expect("a zstd context needs only memory"),
        })
    }

    /// The next block's kind, or `None` at the end of the file; [`BlockReader::payload`] has the
    /// rest.
    pub fn next(&mut self) -> Result<Option<Kind>> {
        if self.byte == self.limit {
            return Ok(None);
        }
        let left = self.limit - self.byte;
        if left < HEADER_BYTES as u64 {
            return Err(self.damaged("a block's header is cut off"));
        }
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact(&mut header).map_err(io(&self.path))?;
        let u32_at =
            |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        if crc32fast::hash(&header[..20]) != u32_at(20) {
            return Err(self.damaged("a block's header does not match its checksum"));
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.tag() == header[..4]);
        let kind = kind.ok_or_else(|| self.damaged("a block of an unknown kind"))?;
        if u32_at(4) != self.number {
            return Err(self.damaged("a block is out of its place"));
        }
        let (raw, stored) = (u32_at(8) as usize, u32_at(12) as usize);
        if raw > PAYLOAD_BYTES_MAX || stored > raw || (stored + HEADER_BYTES) as u64 > left {
            return Err(self.damaged("a block's header claims an impossible size"));
        }
        self.stored.resize(stored, 0);
        self.file
            .read_exact(&mut self.stored)
            .map_err(io(&self.path))?;
        if crc32fast::hash(&self.stored) != u32_at(16) {
            return Err(self.damaged("a block does not match its checksum"));
        }
        self.decompress(raw)?;
        self.number += 1;
        self.byte += (HEADER_BYTES + stored) as u64;
        Ok(Some(kind))
    }

    fn decompress(&mut self, raw: usize) -> Result<()> {
        if self.stored.len() == raw {
            std::mem::swap(&mut self.payload, &mut self.stored);
            return Ok(());
        }
        self.payload.clear();
        self.payload.reserve(raw);
        let written = self
            .decompressor
            .decompress_to_buffer(&self.stored, &mut self.payload);
        match written {
            Ok(bytes) if bytes == raw => Ok(()),
            _ => Err(self.damaged("a block does not decompress")),
        }
    }

    /// The kind of the one block that is left, whatever its number.
    pub fn only(&mut self) -> Result<Kind> {
        let mut number = [0; 4];
        let at = self.byte + 4;
        let read = self.file.get_ref().read_exact_at(&mut number, at);
        if read.is_err() {
            return Err(self.damaged("a block's header is cut off"));
        }
        self.number = u32::from_le_bytes(number);
        match self.next()? {
            Some(kind) if self.byte == self.limit => Ok(kind),
            _ => Err(self.damaged("more than one block")),
        }
    }

    /// What the block read last holds.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The same, to be changed in its place.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.payload
    }

    /// The error that the present block is damaged.
    pub fn damaged(&self, reason: &'static str) -> SnapshotError {
        SnapshotError::Damaged {
            path: self.path.clone(),
            byte: self.byte,
            reason,
        }
    }
}

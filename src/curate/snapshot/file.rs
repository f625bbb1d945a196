//! A snapshot's file: how it is written, and how it is proven before it is believed.
//!
//! `RSn1`, then [blocks](super::block): `HEAD` with the [`Header`], then `DOCS` with documents in
//! the order of their ids, each of them behind a `NAME` where it uses groups for the first time,
//! then `LAST`. A change of the layout takes the next number.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::block::{BLOCK_BYTES, BlockReader, BlockWriter, HEADER_BYTES, Kind};
use super::entry;
use super::error::{Result, SnapshotError, io};
use super::header::Header;
use crate::curate::groups::{GroupCode, Groups};

/// The first bytes: what it is, and the version of the layout.
pub const MAGIC: [u8; 4] = *b"RSn1";
/// Bytes of the last block's payload: the count of documents and a BLAKE3 hash.
const LAST_BYTES: usize = 8 + 32;
/// A snapshot's file is hashed in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A snapshot whose every byte has been read and is as it was written.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its file.
    pub path: PathBuf,
    /// What it is of.
    pub header: Header,
    /// How many documents it has.
    pub documents: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Snapshot {
    /// Reads the whole file and compares it with its hash.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] where it is not what was written, or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let header = read_header(path)?;
        let mut file = File::open(path).map_err(io(path))?;
        let bytes = file.metadata().map_err(io(path))?.len();
        let last_at = bytes.saturating_sub((HEADER_BYTES + LAST_BYTES) as u64);
        let mut last = BlockReader::open(path, last_at)?;
        let kind = last.only()?;
        let damaged = |reason| SnapshotError::Damaged {
            path: path.to_path_buf(),
            byte: last_at,
            reason,
        };
        let Ok::<&[u8; LAST_BYTES], _>(payload) = last.payload().try_into() else {
            return Err(damaged("the file does not end as a snapshot does"));
        };
        if kind != Kind::Last {
            return Err(damaged("the file does not end as a snapshot does"));
        }
        if hash_of(&mut file, last_at).map_err(io(path))? != payload[8..] {
            return Err(damaged("the file does not match its hash"));
        }
        let (count, _) = payload.split_first_chunk().expect("eight bytes and more");
        Ok(Snapshot {
            path: path.to_path_buf(),
            header,
            documents: u64::from_le_bytes(*count),
            bytes,
        })
    }
}

/// The header alone; that the rest is sound is not said.
pub fn read_header(path: &Path) -> Result<Header> {
    let damaged = |reason| SnapshotError::Damaged {
        path: path.to_path_buf(),
        byte: 0,
        reason,
    };
    let mut magic = [0; MAGIC.len()];
    let read = File::open(path)
        .map_err(io(path))?
        .read_exact_at(&mut magic, 0);
    if read.is_err() || magic != MAGIC {
        return Err(damaged("no snapshot of a known version begins here"));
    }
    let mut blocks = BlockReader::open(path, MAGIC.len() as u64)?;
    if blocks.next()? != Some(Kind::Head) {
        return Err(damaged("it begins without a header"));
    }
    serde_json::from_slice(blocks.payload()).map_err(|_| damaged("its header does not read"))
}

/// The hash of the file's first `bytes`.
fn hash_of(file: &mut File, bytes: u64) -> std::io::Result<[u8; 32]> {
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE_BYTES]);
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE_BYTES as u64) as usize;
        file.read_exact(&mut piece[..length])?;
        hasher.update(&piece[..length]);
        left -= length as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Writes a snapshot, an entry after the other.
pub struct SnapshotWriter {
    path: PathBuf,
    blocks: BlockWriter,
    width: usize,
    /// The groups that entries stand in; `None` where there is one only.
    groups: Option<Groups>,
    /// By the process's code, the snapshot's, if it has one yet.
    codes: Vec<Option<GroupCode>>,
    given: GroupCode,
    names: Vec<Box<[Option<String>]>>,
    open: Vec<u8>,
    documents: u64,
}

impl SnapshotWriter {
    /// A snapshot without documents, at `path`, in place of what stands there.
    pub fn create(path: &Path, header: &Header, groups: &Groups) -> Result<Self> {
        let mut blocks = BlockWriter::create(path, true)?;
        blocks.put_raw(&MAGIC)?;
        let json = serde_json::to_vec(header).expect("numbers and text can be written as JSON");
        blocks.put(Kind::Head, &json)?;
        Ok(SnapshotWriter {
            path: path.to_path_buf(),
            blocks,
            width: entry::width(header.reading.rows),
            groups: (!header.reading.fields.is_empty()).then(|| groups.clone()),
            codes: Vec::new(),
            given: 0,
            names: Vec::new(),
            open: Vec::with_capacity(BLOCK_BYTES),
            documents: 0,
        })
    }

    /// Adds an entry, which must stand behind those before it.
    pub fn push(&mut self, entry: &[u8]) -> Result<()> {
        let at = self.open.len();
        self.open.extend_from_slice(entry);
        let group = self.group(entry::group(entry));
        entry::set_group(&mut self.open[at..], group);
        self.documents += 1;
        if self.open.len() + self.width > BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    /// The snapshot's code of a group.
    fn group(&mut self, group: GroupCode) -> GroupCode {
        let Some(groups) = &self.groups else {
            return group;
        };
        let index = group as usize;
        if index >= self.codes.len() {
            self.codes.resize(index + 1, None);
        }
        *self.codes[index].get_or_insert_with(|| {
            self.names.push(groups.values(group));
            self.given += 1;
            self.given - 1
        })
    }

    fn close_block(&mut self) -> Result<()> {
        if !self.names.is_empty() {
            let json = serde_json::to_vec(&self.names).expect("text can be written as JSON");
            self.blocks.put(Kind::Names, &json)?;
            self.names.clear();
        }
        if !self.open.is_empty() {
            self.blocks.put(Kind::Documents, &self.open)?;
            self.open.clear();
        }
        Ok(())
    }

    /// Writes what is left and waits for the disk, then lets the system forget the bytes: who reads
    /// them next reads what is on the disk.
    pub fn finish(mut self) -> Result<()> {
        self.close_block()?;
        let mut last = self.documents.to_le_bytes().to_vec();
        last.extend(self.blocks.hash());
        self.blocks.put(Kind::Last, &last)?;
        self.blocks.sync()?;
        let file = File::open(&self.path).map_err(io(&self.path))?;
        // Advice that is not taken costs nothing but the proof's strength.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        Ok(())
    }
}

//! Reads the entries of a snapshot, or of a spool's run, in the order of their ids.

use std::path::Path;

use super::block::{BlockReader, Kind};
use super::entry;
use super::error::Result;
use super::file::{MAGIC, Snapshot};
use super::header::Form;
use crate::curate::groups::{GroupCode, Groups};

/// A place among entries; each stands in the group that the process knows it by.
pub struct Cursor {
    blocks: BlockReader,
    width: usize,
    at: usize,
    last: Option<u128>,
    /// Of a snapshot: how to understand its groups, and how many documents it must have.
    snapshot: Option<(Translation, u64)>,
    read: u64,
    is_over: bool,
}

impl Cursor {
    /// Before the first entry of a run.
    pub fn of_run(path: &Path, width: usize) -> Result<Self> {
        Ok(Cursor {
            blocks: BlockReader::open(path, 0)?,
            width,
            at: 0,
            last: None,
            snapshot: None,
            read: 0,
            is_over: false,
        })
    }

    /// Before the first entry of a snapshot, read as `wanted`, whose fields are those of `groups`.
    pub fn of_snapshot(snapshot: &Snapshot, wanted: &Form, groups: &Groups) -> Result<Self> {
        let Snapshot { path, header, .. } = snapshot;
        let of = &header.reading;
        let translation = Translation {
            places: of.places_of(wanted, path)?,
            groups: groups.clone(),
            fields: of.fields.len(),
            codes: if of.fields.is_empty() {
                vec![0]
            } else {
                Vec::new()
            },
        };
        Ok(Cursor {
            blocks: BlockReader::open(path, MAGIC.len() as u64)?,
            width: entry::width(of.rows),
            at: 0,
            last: None,
            snapshot: Some((translation, snapshot.documents)),
            read: 0,
            is_over: false,
        })
    }

    /// The next entries, end to end; `None` when there are no more.
    pub fn block(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let kind = self.blocks.next()?;
            match (kind, &mut self.snapshot) {
                (Some(Kind::Documents), _) => break,
                (Some(Kind::Head), Some(_)) => {}
                (Some(Kind::Names), Some((translation, _))) => {
                    if translation.add(self.blocks.payload()).is_none() {
                        return Err(self.blocks.damaged("names that make no sense"));
                    }
                }
                (Some(Kind::Last), Some((_, documents))) if *documents == self.read => {
                    return Ok(None);
                }
                (None, None) => return Ok(None),
                _ => return Err(self.blocks.damaged("a block that does not belong here")),
            }
        }
        self.check()?;
        self.at = 0;
        Ok(Some(self.blocks.payload()))
    }

    /// Checks the block's entries, and translates their groups.
    fn check(&mut self) -> Result<()> {
        let payload = self.blocks.payload_mut();
        if payload.is_empty() || !payload.len().is_multiple_of(self.width) {
            return Err(self.blocks.damaged("a block of parts of entries"));
        }
        let mut sound = true;
        for entry in payload.chunks_exact_mut(self.width) {
            let id = entry::id(entry);
            sound &= self.last.is_none_or(|last| last < id);
            self.last = Some(id);
            if let Some((translation, _)) = &self.snapshot {
                sound &= !entry::is_takedown(entry) && translation.apply(entry).is_some();
            }
        }
        self.read += (self.blocks.payload().len() / self.width) as u64;
        match sound {
            true => Ok(()),
            false => Err(self.blocks.damaged("entries that make no sense")),
        }
    }

    /// Steps to the next entry; the first step leads to the first.
    pub fn step(&mut self) -> Result<()> {
        self.at += self.width;
        if self.read == 0 || self.at >= self.blocks.payload().len() {
            self.is_over = self.block()?.is_none();
        }
        Ok(())
    }

    /// The entry at this place; `None` behind the last.
    pub fn entry(&self) -> Option<&[u8]> {
        (!self.is_over).then(|| &self.blocks.payload()[self.at..self.at + self.width])
    }
}

/// What a snapshot's groups are in this process.
struct Translation {
    /// Where the process's fields stand among the snapshot's.
    places: Vec<usize>,
    groups: Groups,
    /// How many fields the snapshot has.
    fields: usize,
    /// By the snapshot's code, the process's.
    codes: Vec<GroupCode>,
}

impl Translation {
    /// Takes names in; `None` where they make no sense.
    fn add(&mut self, payload: &[u8]) -> Option<()> {
        let names: Vec<Vec<Option<String>>> = serde_json::from_slice(payload).ok()?;
        for mut values in names {
            if values.len() != self.fields {
                return None;
            }
            let wanted = self.places.iter().map(|place| values[*place].take());
            let wanted: Box<[_]> = wanted.collect();
            let code = if wanted.is_empty() {
                0
            } else {
                self.groups.code_of(wanted)
            };
            self.codes.push(code);
        }
        Some(())
    }

    fn apply(&self, entry: &mut [u8]) -> Option<()> {
        let code = self.codes.get(entry::group(entry) as usize)?;
        entry::set_group(entry, *code);
        Some(())
    }
}

//! A group's offsets beside the group: a record for each partition in the topic of positions.
//!
//! A broker forgets the offsets of a group that has had no member for a week, by default, and a
//! scorer that then began anew would double all it has ever scored.

use serde::{Deserialize, Serialize};

use crate::log::Offsets;

/// How far a partition was read, in the record under its name.
#[derive(Serialize, Deserialize)]
struct Place {
    offset: u64,
    /// How many partitions the log had.
    partitions: u16,
}

/// What a share's writer has kept.
pub struct Places {
    group: String,
    /// How far each partition was read at the last commit of this writer.
    last: Offsets,
}

impl Places {
    /// None kept yet, of a log with so many partitions.
    pub fn new(group: &str, partitions: u16) -> Self {
        Places {
            group: group.to_owned(),
            last: Offsets(vec![Offsets::ELSEWHERE; usize::from(partitions)]),
        }
    }

    /// Name and record of each of these partitions that has been read on since the last commit.
    pub fn moved(&self, partitions: &[u16], offsets: &Offsets) -> Vec<(String, Vec<u8>)> {
        let at = |p: u16| usize::from(p);
        let moved = partitions
            .iter()
            .filter(|p| self.last.0[at(**p)] != offsets.0[at(**p)]);
        let place = |p: &u16| {
            let place = Place {
                offset: offsets.0[at(*p)],
                partitions: self.last.0.len() as u16,
            };
            let value = serde_json::to_vec(&place).expect("numbers can be written as JSON");
            // No topic has a slash in its name, so no writer is called so.
            (format!("{}/{p}", self.group), value)
        };
        moved.map(place).collect()
    }

    /// The offsets are committed.
    pub fn committed(&mut self, offsets: &Offsets) {
        self.last = offsets.clone();
    }
}

/// The offsets in records of these names; `None` if there are none of this group. What is no such
/// record does not count.
pub fn read<'a>(
    group: &str,
    records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Offsets> {
    let mut offsets: Option<Offsets> = None;
    for (name, value) in records {
        let Some(partition) = partition_in(group, name) else {
            continue;
        };
        let Ok(place) = serde_json::from_slice::<Place>(value) else {
            continue;
        };
        let offsets = offsets.get_or_insert_with(|| Offsets::start(place.partitions));
        if let Some(offset) = offsets.0.get_mut(usize::from(partition)) {
            *offset = place.offset;
        }
    }
    offsets
}

/// The partition whose record is called so.
pub fn partition_in(group: &str, name: &[u8]) -> Option<u16> {
    let name = std::str::from_utf8(name).ok()?;
    name.strip_prefix(group)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_they_were_kept_and_only_what_moved_is_kept_again() {
        let mut places = Places::new("score-a", 3);
        let first = places.moved(&[0, 2], &Offsets(vec![5, Offsets::ELSEWHERE, 7]));
        assert_eq!(first.len(), 2);
        places.committed(&Offsets(vec![5, Offsets::ELSEWHERE, 7]));
        let second = places.moved(&[0, 2], &Offsets(vec![5, Offsets::ELSEWHERE, 9]));
        assert_eq!(second.len(), 1);
        let records = first.iter().chain(&second);
        let records = records.map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let others: [(&[u8], &[u8]); 3] = [
            (b"score-a", b"{}"),
            (b"score-ab/1", first[0].1.as_slice()),
            (b"score-a/p1", first[0].1.as_slice()),
        ];
        let read = read("score-a", others.into_iter().chain(records));
        assert_eq!(read, Some(Offsets(vec![5, 0, 9])));
        assert_eq!(super::read("score-b", []), None);
    }
}

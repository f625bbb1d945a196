//! The changes of an epoch, net by document, and the records that publish them.

use std::collections::HashSet;

use operators::Change;
use serde::{Deserialize, Serialize};

use super::drawn::Draw;
use super::groups::Groups;
use crate::engine::EngineError;
use crate::log::{Fetcher, Position, Record};
use crate::records::{Measures, Scored};

/// What publishing a document that is kept takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Where its scored record stands.
    pub position: Position,
    /// How it was drawn, where a stage draws by density.
    pub draw: Option<Draw>,
}

/// The changes of one epoch, net by document.
#[derive(Default)]
pub struct Changes {
    /// Places of documents that enter, or change their value; ascending.
    pub admitted: Vec<Position>,
    /// Places of documents that leave; ascending.
    pub withdrawn: Vec<Position>,
    /// Documents that were in the set before and still are.
    pub replaced: usize,
    /// How documents were drawn that enter, by place, ascending; empty without density.
    draws: Vec<(Position, Draw)>,
    /// Documents that stay, and may have another skill.
    renamed: Option<Renamed>,
}

/// Documents whose skills other rules named.
struct Renamed {
    /// Their places; ascending.
    places: Vec<Position>,
    /// What named their skills.
    by: Groups,
}

impl Changes {
    /// The net of what entered and what left.
    ///
    /// A document that leaves and enters in one epoch has a new value: one upsert says it all.
    pub fn net(added: Vec<Change<Kept>>, mut removed: Vec<Change<Kept>>) -> Self {
        let again: HashSet<_> = added.iter().map(|change| change.id).collect();
        let before = removed.len();
        removed.retain(|change| !again.contains(&change.id));
        let replaced = before - removed.len();
        let mut draws: Vec<_> = added.iter().filter_map(drawn).collect();
        draws.sort_unstable_by_key(|(place, _)| *place);
        Changes {
            admitted: positions(added),
            withdrawn: positions(removed),
            replaced,
            draws,
            renamed: None,
        }
    }

    /// What must be published to get from the documents kept before, their places ascending, to
    /// those that these changes admit; `named` is what named their skills, if that has changed.
    pub fn since(self, before: &[Position], named: Option<Groups>) -> Self {
        let withdrawn = before
            .iter()
            .filter(|place| self.admitted.binary_search(place).is_err())
            .copied()
            .collect();
        let (stay, admitted) = self
            .admitted
            .into_iter()
            .partition(|place| before.binary_search(place).is_ok());
        Changes {
            admitted,
            withdrawn,
            replaced: 0,
            draws: self.draws,
            renamed: named.map(|by| Renamed { places: stay, by }),
        }
    }

    /// Reads the documents back and appends upserts and tombstones, in the order of their places.
    ///
    /// # Errors
    /// The log's, and those of `append`.
    pub fn append(
        &self,
        scored: &mut dyn Fetcher,
        groups: &Groups,
        epoch: u64,
        append: &mut dyn FnMut(Record) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let both = self.admitted.iter().chain(&self.withdrawn);
        let renamed = self.renamed.iter().flat_map(|it| &it.places);
        let mut places: Vec<Position> = both.chain(renamed).copied().collect();
        places.sort_unstable();
        let mut failed = Ok(());
        scored.fetch(&places, &mut |position, record| {
            if failed.is_ok() {
                failed = self.append_one(position, record, groups, epoch, append);
            }
        })?;
        failed
    }

    fn append_one(
        &self,
        position: Position,
        record: Record,
        groups: &Groups,
        epoch: u64,
        append: &mut dyn FnMut(Record) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        if let Some(renamed) = &self.renamed
            && renamed.places.binary_search(&position).is_ok()
        {
            let scored = Scored::decode(record.value.as_deref().unwrap_or_default())?;
            if groups.skill(&scored) == renamed.by.skill(&scored) {
                return Ok(());
            }
        }
        let leaves = self.withdrawn.binary_search(&position).is_ok();
        let draw = self.draw(position);
        append(curated_record(record, groups, leaves, draw, epoch)?)
    }

    fn draw(&self, position: Position) -> Option<Draw> {
        let found = self
            .draws
            .binary_search_by_key(&position, |(place, _)| *place);
        found.ok().map(|at| self.draws[at].1)
    }
}

/// The record that publishes a scored document's admission, or its withdrawal.
fn curated_record(
    scored: Record,
    groups: &Groups,
    leaves: bool,
    draw: Option<Draw>,
    epoch: u64,
) -> Result<Record, EngineError> {
    let value = match scored.value.as_deref() {
        Some(bytes) if !leaves => Some(curated_document(
            &Scored::decode(bytes)?,
            groups,
            draw,
            epoch,
        )),
        _ => None,
    };
    let headers = vec![("riffle-epoch".to_owned(), epoch.to_string().into_bytes())];
    Ok(Record {
        key: scored.key,
        value,
        headers,
    })
}

/// The document as it is published, admitted in `epoch`.
pub fn curated_document(
    scored: &Scored<'_>,
    groups: &Groups,
    draw: Option<Draw>,
    epoch: u64,
) -> Vec<u8> {
    let skill = groups.skill(scored);
    let measures = Measures {
        skill: skill.as_deref(),
        density: draw.map(|draw| draw.density),
        weight: draw.map(|draw| draw.weight),
        ..Measures::new(scored, epoch)
    };
    measures.add_to(scored.document)
}

fn drawn(change: &Change<Kept>) -> Option<(Position, Draw)> {
    let Kept { position, draw } = change.record;
    draw.map(|draw| (position, draw))
}

fn positions(changes: Vec<Change<Kept>>) -> Vec<Position> {
    let mut positions: Vec<_> = changes
        .iter()
        .map(|change| change.record.position)
        .collect();
    positions.sort_unstable();
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_publishes_only_what_differs() {
        let place = |n| Position::new(0, n);
        let now = Changes {
            admitted: vec![place(2), place(3)],
            ..Changes::default()
        };
        let changes = now.since(&[place(1), place(2), place(5)], None);
        assert_eq!(changes.admitted, [place(3)]);
        assert_eq!(changes.withdrawn, [place(1), place(5)]);
    }
}

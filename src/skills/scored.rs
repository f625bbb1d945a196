//! Documents out of the scored log, into a draw of the embeddings that they were scored with.

use std::time::Duration;

use super::{Drawn, EncoderIdentity};
use crate::log::{LogError, Offsets, Record, Store};
use crate::records::Scored;

/// How long a reader waits for records that a broker has and has not sent yet.
const TICK: Duration = Duration::from_millis(100);

/// What was met in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundScored {
    /// Scored documents, each version counted.
    pub documents: u64,
    /// Of those that were looked at, how many carry no embedding, or one of another encoder.
    pub without: u64,
    /// Records that are not of the log's form.
    pub unusable: u64,
}

/// Draws from the scored log up to its present end; takedowns take back what was drawn.
///
/// Only what is drawn is decoded, and held: memory is by the draw's size, whatever the log's.
///
/// # Errors
/// The log's.
pub fn draw_scored(
    store: &dyn Store,
    log: &str,
    encoder: &EncoderIdentity,
    drawn: &mut Drawn<Vec<f32>>,
) -> Result<FoundScored, LogError> {
    let ends = store.ends(log)?;
    let mut reader = store.reader(log, &Offsets::start(ends.0.len() as u16))?;
    let mut found = FoundScored::default();
    while !reader.offsets().reaches(&ends) {
        for received in reader.poll(TICK)? {
            take(&received.record, encoder, drawn, &mut found);
        }
    }
    Ok(found)
}

fn take(
    record: &Record,
    encoder: &EncoderIdentity,
    drawn: &mut Drawn<Vec<f32>>,
    found: &mut FoundScored,
) {
    let key = record.key.as_deref().map(std::str::from_utf8);
    let Some(Ok(id)) = key else {
        found.unusable += 1;
        return;
    };
    let Some(value) = &record.value else {
        drawn.remove(id);
        return;
    };
    found.documents += 1;
    drawn.offer(id, || {
        let Ok(scored) = Scored::decode(value) else {
            found.unusable += 1;
            return None;
        };
        let is_ours = scored.embedding.len() == encoder.dimensions
            && embedder_of(scored.scorer).is_some_and(|name| name == encoder.name);
        found.without += u64::from(!is_ours);
        is_ours.then_some(scored.embedding)
    });
}

/// The name of the encoder in what a record says that computed it: "model backend; encoder backend".
fn embedder_of(scorer: &str) -> Option<&str> {
    let (_, embedder) = scorer.rsplit_once("; ")?;
    embedder.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Layout;
    use crate::log::memory::MemoryStore;
    use crate::records::Codes;

    const ENCODER: &str = "tiny";

    fn encoder() -> EncoderIdentity {
        EncoderIdentity {
            name: ENCODER.into(),
            parameters: 1,
            dimensions: 2,
        }
    }

    fn scored(id: &str, scorer: &str, embedding: &[f32]) -> Record {
        let value = Scored {
            mean_nll_nats: 1.0,
            tokens: 1,
            truncated: false,
            scorer,
            sketch: 0,
            codes: Codes::of_bytes(&[]).unwrap(),
            embedding: embedding.to_vec(),
            quality: None,
            skill: None,
            document: b"{}",
        };
        Record {
            key: Some(id.into()),
            value: Some(value.encode()),
            headers: Vec::new(),
        }
    }

    fn gone(id: &str) -> Record {
        Record {
            key: Some(id.into()),
            value: None,
            headers: Vec::new(),
        }
    }

    fn store(partitions: [Vec<Record>; 2]) -> MemoryStore {
        let store = MemoryStore::new();
        let layout = Layout {
            partitions: 2,
            compacted: false,
        };
        store.create("scored", layout).unwrap();
        for (partition, records) in (0..).zip(partitions) {
            store.produce("scored", partition, records).unwrap();
        }
        store
    }

    #[test]
    fn the_last_embeddings_of_live_documents_are_drawn() {
        let by = "field; tiny cpu, 8 lanes";
        let store = store([
            vec![
                scored("a", by, &[1.0, 0.0]),
                scored("b", by, &[2.0, 0.0]),
                scored("a", by, &[3.0, 0.0]),
                gone("b"),
            ],
            vec![
                scored("c", by, &[4.0, 0.0]),
                scored("d", "field", &[]),
                scored("e", "field; other cpu", &[5.0, 0.0]),
                scored("f", by, &[6.0]),
                Record {
                    value: Some(b"damage".to_vec()),
                    ..gone("g")
                },
            ],
        ]);
        let mut drawn = Drawn::new(10, 0);
        let found = draw_scored(&store, "scored", &encoder(), &mut drawn).unwrap();
        let expected = FoundScored {
            documents: 8,
            without: 3,
            unusable: 1,
        };
        assert_eq!(found, expected);
        let sample = drawn.sample();
        let mut documents: Vec<_> = sample
            .ids
            .into_iter()
            .zip(sample.embeddings.chunks(2).map(|it| it[0]))
            .collect();
        documents.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(documents, [("a".to_owned(), 3.0), ("c".to_owned(), 4.0)]);
    }

    #[test]
    fn no_more_is_held_than_is_drawn_and_the_partitions_do_not_matter() {
        let records = |ids: std::ops::Range<u32>| {
            let one = |n: u32| scored(&n.to_string(), "field; tiny cpu", &[n as f32, 1.0]);
            ids.map(one).collect::<Vec<_>>()
        };
        let drawn = |partitions| {
            let mut drawn = Drawn::new(20, 3);
            draw_scored(&store(partitions), "scored", &encoder(), &mut drawn).unwrap();
            drawn.sample()
        };
        let one_way = drawn([records(0..400), records(400..500)]);
        assert_eq!(one_way.ids.len(), 20);
        assert_eq!(one_way.embeddings.len(), 40);
        assert_eq!(one_way, drawn([records(100..500), records(0..100)]));
    }
}

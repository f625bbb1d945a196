//! What was produced, compactly, and what must come of it: computed in one go, by nothing of the
//! engine's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Documents by number, each as the write that it stands in.
pub type Live = BTreeMap<u32, u32>;

/// Documents are told apart by source in so many groups.
const SOURCES: [&str; 3] = ["letters", "diaries", "tales"];

/// One write in so many is of a long text.
const LONG_ONE_IN: u32 = 2_500;

/// Everything that was produced.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Records of any kind; the next write's number.
    pub records: u32,
    /// What is live after all of them.
    pub live: Live,
    /// How often each document was written or taken down.
    pub writes: BTreeMap<u32, u32>,
    /// Takedowns among them.
    pub takedowns: u64,
    /// Writes of documents that were there before.
    pub updates: u64,
    /// The keys of records of no use.
    pub poison: BTreeSet<String>,
    /// Records of no use that have no key.
    pub poison_without_key: u64,
}

impl Ledger {
    /// The documents ever seen are numbered below this.
    pub fn documents(&self) -> u32 {
        self.writes.len() as u32
    }

    /// The documents that are to be kept.
    pub fn curated(&self) -> Live {
        middle_halves(&self.live)
    }

    /// How many dead letters there must be.
    pub fn dead_letters(&self) -> u64 {
        self.poison.len() as u64 + self.poison_without_key
    }
}

/// Of each source, the middle half by perplexity: half of the documents, rounded down, with as many
/// to leave below as above, the odd one above.
fn middle_halves(live: &Live) -> Live {
    let mut groups: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for (n, write) in live {
        let group = groups.entry(n % SOURCES.len() as u32).or_default();
        group.push((*n, *write));
    }
    let kept = groups.into_values().flat_map(|mut group| {
        group.sort_by(|a, b| perplexity(a.1).total_cmp(&perplexity(b.1)));
        let count = group.len() / 2;
        let start = (group.len() - count) / 2;
        group.into_iter().skip(start).take(count)
    });
    kept.collect()
}

/// The perplexity of what is written by this write: no two are the same, nor round to the same.
pub fn perplexity(write: u32) -> f64 {
    // A prime: multiplication is a bijection below it. Perplexities are at least 6e-5 of 1,000
    // apart, and places in the order 1e-9 of a nat. With six decimals they parse to the same bits.
    const PRIME: u64 = 16_777_213;
    assert!(u64::from(write) < PRIME);
    (1_500_000 + u64::from(write) * 7919 % PRIME * 60) as f64 / 1e6
}

/// The id of document `n`.
pub fn id(n: u32) -> String {
    format!("traveller-{n:07}")
}

/// The document that has this id.
pub fn of_id(id: &str) -> u32 {
    let number = id.strip_prefix("traveller-").and_then(|n| n.parse().ok());
    number.unwrap_or_else(|| panic!("{id:?} was never produced"))
}

/// Document `n` as it is written by this write; a few are long.
pub fn document(n: u32, write: u32) -> Value {
    let line = format!("The {n}th traveller told the {write}th of her stories. ");
    let lines = if write.is_multiple_of(LONG_ONE_IN) {
        12_000
    } else {
        1
    };
    json!({
        "id": id(n),
        "text": line.repeat(lines),
        "source": SOURCES[n as usize % SOURCES.len()],
        "metadata": {"perplexity": perplexity(write), "write": write},
    })
}

#[test]
fn the_middle_half_of_each_source_is_kept() {
    // Perplexities rise with the writes as long as these are few.
    let live: Live = (0..15).map(|n| (n, n)).chain([(30, 15)]).collect();
    let kept = middle_halves(&live);
    let of_source = |source| kept.keys().filter(move |n| *n % 3 == source);
    assert!(of_source(0).eq(&[3, 6, 9]), "of 0, 3, 6, 9, 12, 30");
    assert!(of_source(1).eq(&[4, 7]), "of 1, 4, 7, 10, 13");
}

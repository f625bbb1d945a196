//! What flows between the operators: upserts by document id in, changes by dense slot out.

use serde::{Deserialize, Serialize};
use timely::ExchangeData;

/// The first 125 bits of the hash of a document's id: what the operators know of it.
///
/// It is made from the first 16 bytes of BLAKE3 of the id, and compares as they do. The last three
/// bits are cleared, because a stage keeps its flags there: that makes a column 40 bytes and not
/// 48. Two ids that agree in the other 125 are one document; finding such a pair takes 2⁶² hashes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct DocumentHash([u64; 2]);

impl DocumentHash {
    /// The bits of the second half that are always clear.
    pub(crate) const CLEAR: u64 = 0b111;

    /// The hash whose first 125 bits are those of `bytes`, in the order of the bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        Self::from_halves([(whole >> 64) as u64, whole as u64])
    }

    /// The same from the bytes read as two big-endian numbers.
    pub const fn from_halves([first, second]: [u64; 2]) -> Self {
        DocumentHash([first, second & !Self::CLEAR])
    }

    /// Two numbers that compare, in this order, as the hash does; the last three bits are clear.
    pub const fn halves(self) -> [u64; 2] {
        self.0
    }
}

/// The facts that a pipeline keeps of each document, by value in every stage.
///
/// Each stage holds one record a live document, so keep it small: with 24 bytes a column is 40.
/// Equal records are the same version of a document, and replacing one by the other is no change.
pub trait Record: Copy + Default + PartialEq + ExchangeData {}

impl<R: Copy + Default + PartialEq + ExchangeData> Record for R {}

/// A new version of a document, or its takedown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsert<R> {
    /// Which document.
    pub id: DocumentHash,
    /// Its facts from now on; `None` takes it down.
    pub record: Option<R>,
}

/// A document that enters (`diff` 1) or leaves (`diff` −1) a set.
///
/// [`select`](crate::select()) gives a change in full: a removal carries the record that was added
/// before, and a replacement is a removal and an addition. From [`latest`](crate::latest()) an
/// addition may replace, and a removal carries no record, because `latest` keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<R> {
    /// Names the document on its worker, as long as it lives; small, and reused after a takedown.
    pub slot: u32,
    /// 1 or −1.
    pub diff: i32,
    /// Which document.
    pub id: DocumentHash,
    /// Its facts.
    pub record: R,
}

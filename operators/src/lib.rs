//! Pure dataflow operators: the latest version of each document, and exact selection of a band.
//!
//! No I/O, no text, no models, no clocks.

mod chunks;
mod document;
mod draw;
mod latest;
pub mod select;
mod usage;

pub use document::{Change, DocumentHash, Record, Upsert};
pub use draw::draw;
pub use latest::latest;
pub use select::{Amount, Band, Place, Quota, Rate, Selected, Stage, Summary, View, select};
pub use usage::Usage;

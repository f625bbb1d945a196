//! What the two halves, on all workers, tell each other.

use serde::{Deserialize, Serialize};

use crate::select::messages::Body as SelectBody;

/// A letter between two workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mail {
    pub to: u32,
    pub from: u32,
    pub body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Body {
    /// Member to counter: documents that came and went, as codes of the counter's rows.
    Codes(Codes),
    /// Member to every counter: that was all of this epoch.
    Counted(Crowd),
    /// Counter to every member: what the epoch did to its rows.
    Levels(Vec<Moved>, Crowd),
    /// Between the parts of the selection around the cut.
    Select(SelectBody),
    /// Member to every member: its documents by key, for a new guard.
    Histogram(Vec<u32>),
}

/// Codes of the receiver's rows: those of its first row, of its second, and so on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Codes {
    pub added: Vec<u16>,
    pub removed: Vec<u16>,
}

/// How many documents may be drawn, and how many of them are inside the guard.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Crowd {
    pub survivors: u64,
    pub inside: u64,
}

/// A cell that has another level from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub row: u16,
    pub cell: u16,
    pub level: u8,
}

//! What members and owners tell each other.

use serde::{Deserialize, Serialize};

use crate::select::order::{Amount, Place, Span};

/// A letter between two workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub to: u32,
    pub from: u32,
    pub body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Member to owner, opening an epoch: what it did to the owner's groups.
    Counts(Counts),
    /// Owner to allocator, where groups share a budget: what the groups that changed have now.
    Totals(Vec<Total>),
    /// Allocator to owner: the limits of its groups that are not as before.
    Limits(Vec<Limit>),
    /// Owner to every member: where is the cut?
    Questions(Vec<Question>),
    /// Member to owner: one reply a question, in their order.
    Replies(Vec<Reply>),
    /// Owner to every member, closing an epoch: the cuts that moved, or whose guards did.
    Cuts(Vec<Cut>),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub tallies: Vec<Tally>,
    pub items: Vec<Item>,
}

/// What an epoch did to a group on one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub group: u64,
    /// The change of the whole.
    pub live: Amount,
    /// For each end of the band, the change below its guard.
    pub below: [Amount; 2],
    /// False where so much happened inside the guard that the items are not all told.
    pub complete: [bool; 2],
}

/// A document that came into, or left, the guard around an end of the band.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    pub group: u64,
    pub place: Place,
    pub mass: u32,
    pub end: u8,
    pub added: bool,
}

/// A group over all workers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Total {
    pub group: u64,
    pub live: Amount,
}

/// How much mass a group may keep, until further notice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub group: u64,
    /// Negative where not even documents of no mass are kept.
    pub mass: i64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub group: u64,
    pub span: Span,
    pub end: u8,
    /// Asks for the documents of the span rather than for marks in it.
    pub documents: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Ascending, the first at the span's start and the last at its end.
    Marks(Vec<Mark>),
    /// The amount below the span, and all of its documents.
    Documents(Amount, Vec<(Place, u32)>),
}

/// How much a worker has below a place.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub at: Place,
    pub below: Amount,
}

/// One end of a group's band, until further notice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cut {
    pub group: u64,
    pub end: u8,
    pub at: Place,
    /// Of what happens in here the owner hears by document, of what happens below it by amount.
    pub guard: Span,
}

//! Several processes as one dataflow: how they meet, agree on what to run, and learn of each
//! other's end.
//!
//! Process 0 leads. It alone opens logs; the others, its members, hold state and run operators, and
//! learn from it what to run. Two kinds of connection stand between them. A *line* joins each member
//! to process 0 from its start to its end, and carries the few words of `message.rs`. *Links* join
//! every two processes for one dataflow, and carry what its workers exchange; timely's own way of
//! making them knows no wrong neighbour and ends in a panic, so they are made here.
//!
//! A dataflow that has lost a process can only end. Whoever notices says so, all end with an error,
//! and all are started again: what was not committed is done anew. The writer of the curated log
//! fences what may be left of an earlier cluster, so its output is safe whatever happens here.

mod accept;
mod error;
mod frames;
mod leader;
mod lifeline;
mod line;
mod link;
mod links;
mod member;
mod message;
mod place;
mod supervisor;

pub use error::ClusterError;
pub use leader::Leader;
pub use lifeline::Lifeline;
pub use links::{Links, Running};
pub use member::Member;
pub use message::Agreement;
pub use place::{HostfileError, Place, free_addresses};
pub use supervisor::{GaveUp, Processes, supervise};

use std::time::Duration;

/// How often something that is waited for is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often one process tells another that it is there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// A process that says nothing for so long is taken for lost: a machine without power says no more.
const SILENCE_MAX: Duration = Duration::from_secs(30);

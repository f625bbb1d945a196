//! What both dataflows stand on: a source that reads logs in epochs, and an operator that hands
//! work to threads of its own. A worker thread never blocks: reading, tokenizing, scoring and
//! committing all happen elsewhere.

mod follower;
mod offload;
mod pace;
mod reading;
mod source;
mod threads;

pub use follower::Follower;
pub use offload::{Batches, Job, Pool, offload};
pub use pace::EpochLimits;
pub use reading::{EpochReader, Input, Until};
pub use source::{Epoch, Mark, Sending, log_source};
pub use threads::Threads;

//! The engine as a user runs it: `score`, `curate`, or both in one process.

mod cluster;
mod counters;
mod error;
mod mixing;
mod models;
mod progress;
mod run;
mod steps;
mod stores;
mod summary;
mod transaction;

pub use crate::dataflow::Until;
pub use cluster::{Membership, run_in_cluster};
pub use counters::Counters;
pub use error::EngineError;
pub use mixing::MixtureError;
pub(crate) use mixing::skills as configured_skills;
pub use models::load_options;
pub(crate) use progress::tell_while;
pub use run::{Halves, RunOptions, run};
pub use steps::Steps;
pub use stores::Stores;
pub use summary::Summary;
pub(crate) use transaction::{Transaction, commit_epoch};

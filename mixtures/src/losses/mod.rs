//! What a trainer says of its losses, and what of it is in effect.

mod live;
mod report;

pub use live::{Applied, Evaluations, Losses, TooManyReports};
pub use report::{Mark, Report, ReportError};

//! Groups that share one budget: the same histories, with mixtures that change along the way.

mod dataflow;
mod oracle;
mod restart;
mod rules;
mod scenario;

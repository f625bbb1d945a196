//! What mixtures follow from graphs and reports: against published numbers, the reference code's
//! habits, and a computation apart.

#![allow(clippy::unwrap_used, reason = "a test that unwraps has failed")]

mod methods;
mod oracle;
mod support;
mod traps;
mod vectors;

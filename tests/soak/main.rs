//! The engine under faults, for a while: processes killed, stopped and paused, a broker that dies,
//! full disks, and more input than it can take.
//!
//! `RIFFLE_SOAK_SECONDS` says for how long, `RIFFLE_SOAK_SEED` repeats the faults of another run,
//! `RIFFLE_SOAK_RATE` is how many records a second come in. `make soak` runs the long one.

#![allow(clippy::unwrap_used)] // a test that unwraps has failed

#[path = "../support/broker.rs"]
mod broker;
#[path = "../system/curated.rs"]
#[allow(dead_code, reason = "other tests keep other parts")]
mod curated;
#[path = "../system/kcat.rs"]
#[allow(dead_code, reason = "other tests produce by it, and read JSON")]
mod kcat;
#[path = "../system/site.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod site;

mod crew;
mod dice;
mod disk_full;
mod faults;
mod follower;
mod ledger;
mod load;
mod outage;
mod overload;
mod process;
mod soak;

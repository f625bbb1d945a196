//! The whole system: the real binary over local logs and a real Kafka broker, with the real model.

#![allow(clippy::unwrap_used)] // a test that unwraps has failed

#[path = "../support/broker.rs"]
#[allow(dead_code, reason = "other tests stop and resume brokers")]
mod broker;

mod bad_input;
mod cluster;
mod crashes;
mod curated;
mod density;
mod encoder;
mod failures;
mod kafka;
#[allow(dead_code, reason = "the soak reads by it too")]
mod kcat;
mod local;
mod model;
mod redeliver;
mod scored;
mod scorers;
#[allow(dead_code, reason = "the soak starts more by it")]
mod site;
mod skills;
mod snapshots;
mod takedown;
mod verify;

//! kcat, a client of Kafka that knows nothing of the engine.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::broker;
use crate::site::ended;

/// Runs kcat on the shared broker.
fn kcat(input: &[u8], args: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args([
        "60",
        "kcat",
        "-q",
        "-m",
        "30",
        "-b",
        broker::shared().bootstrap(),
    ]);
    command.args(args);
    let kcat = ended(command, input);
    let hint = "kcat failed; scripts/fetch-kcat installs it";
    assert_eq!(kcat.code, Some(0), "{hint}: {}", kcat.stderr);
    kcat.stdout
}

/// What kcat prints of the committed records of a topic.
fn consume(topic: &str, format: &[&str]) -> String {
    let isolation = "isolation.level=read_committed";
    let args = ["-C", "-t", topic, "-o", "beginning", "-e", "-X", isolation];
    kcat(b"", &[&args, format].concat())
}

/// Each committed record of a topic, as kcat's JSON.
pub fn records(topic: &str) -> Vec<Value> {
    let lines = consume(topic, &["-J"]);
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Each committed record of a partition from an offset on, in kcat's `format`: those that are there,
/// and maybe some that come meanwhile.
#[allow(dead_code, reason = "of those that share this file, the soak needs it")]
pub fn lines_from(topic: &str, partition: usize, offset: u64, format: &str) -> String {
    let end = kcat(b"", &["-Q", "-t", &format!("{topic}:{partition}:-1")]);
    let end: u64 = end.trim().rsplit(' ').next().unwrap().parse().unwrap();
    // kcat sees no end where records keep coming, and marks of transactions are among the offsets.
    let at_most = end.saturating_sub(offset).to_string();
    if at_most == "0" {
        return String::new();
    }
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let place = ["-C", "-t", topic, "-p", &partition, "-o", &offset, "-e"];
    let isolation = "isolation.level=read_committed";
    let how = ["-c", &at_most, "-f", format, "-X", isolation];
    kcat(b"", &[&place[..], &how].concat())
}

/// The keys of each partition's committed records, in order. Scored records are no text: of them
/// kcat makes no JSON.
pub fn keys(topic: &str) -> BTreeMap<u64, Vec<String>> {
    let lines = consume(topic, &["-f", "%p %o %k\n"]);
    let mut records: Vec<(u64, u64, String)> = Vec::new();
    for line in lines.lines() {
        let mut parts = line.splitn(3, ' ');
        let mut next = || parts.next().unwrap();
        let (partition, offset) = (next().parse().unwrap(), next().parse().unwrap());
        records.push((partition, offset, next().to_owned()));
    }
    records.sort_unstable();
    let mut keys: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (partition, _, key) in records {
        keys.entry(partition).or_default().push(key);
    }
    keys
}

/// The changes that the records of a curated topic make, in the order of their places.
///
/// An id's records are in one partition, so that their order is the order of its versions.
pub fn changes(records: &[Value]) -> Vec<(String, Option<Value>)> {
    let mut records: Vec<_> = records.iter().collect();
    records.sort_by_key(|record| (record["partition"].as_u64(), record["offset"].as_u64()));
    let value = |payload: &Value| serde_json::from_str(payload.as_str()?).ok();
    let change = |record: &&Value| {
        let id = record["key"].as_str().unwrap().to_owned();
        assert_eq!(record["headers"][0], "riffle-epoch", "{record}");
        (id, value(&record["payload"]))
    };
    records.iter().map(change).collect()
}

/// The places after the last record of each partition; every transaction moves one of them.
pub fn ends(topic: &str, partitions: u16) -> String {
    let queries: Vec<_> = (0..partitions).map(|p| format!("{topic}:{p}:-1")).collect();
    let mut args = vec!["-Q"];
    args.extend(queries.iter().flat_map(|query| ["-t", query.as_str()]));
    kcat(b"", &args)
}

/// Produces records: each line a key, a tab, and a value; without a value a null.
pub fn produce(topic: &str, lines: &[u8]) {
    // As Kafka's Java clients do it, and the engine; kcat by itself takes another hash.
    let partitioner = "topic.partitioner=murmur2_random";
    let args = ["-P", "-t", topic, "-K", "\t", "-Z", "-X", partitioner];
    kcat(lines, &args);
}

/// Produces records without keys, a line each.
pub fn produce_without_keys(topic: &str, lines: &str) {
    kcat(lines.as_bytes(), &["-P", "-t", topic]);
}

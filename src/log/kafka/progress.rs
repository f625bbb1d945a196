//! The writers' positions: a record each in a compacted topic, appended in the transaction that
//! they belong to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::Cluster;
use super::reader::KafkaReader;
use super::{PROGRESS_TOPIC, TopicOptions, topics};
use crate::log::{Offsets, Reader, Received, Result};

/// A writer of another name may have died in the middle of its commit: its transaction hides
/// later positions until the broker ends it, by default after a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the topic unless it is there.
pub fn create_topic(cluster: &Cluster, options: &TopicOptions) -> Result<()> {
    if topics::partitions(cluster, PROGRESS_TOPIC, options.timeout)?.is_none() {
        // Only closed segments are compacted: small ones bound what a start has to read.
        let config = [("cleanup.policy", "compact"), ("segment.bytes", "16777216")];
        topics::create(cluster, PROGRESS_TOPIC, 1, options, &config)?;
    }
    Ok(())
}

/// The position of the writer's last commit.
pub fn read(cluster: &Cluster, name: &str, timeout: Duration) -> Result<Option<Vec<u8>>> {
    let mut positions = read_where(cluster, timeout, |key| key == name.as_bytes())?;
    Ok(positions.remove(name.as_bytes()))
}

/// The positions of the last commits of the writers whose names are `wanted`.
pub fn read_where(
    cluster: &Cluster,
    timeout: Duration,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let bounds = topics::bounds(cluster, PROGRESS_TOPIC, [0], timeout)?[0];
    let end = Offsets(vec![bounds.end]);
    let mut reader = KafkaReader::new(cluster, PROGRESS_TOPIC, Offsets(vec![bounds.start]))?;
    let (start, mut warned) = (Instant::now(), false);
    let mut positions = BTreeMap::new();
    while !reader.offsets().reaches(&end) {
        for Received { record, .. } in reader.poll(Duration::from_millis(500))? {
            if let (Some(name), Some(position)) = (record.key, record.value)
                && wanted(&name)
            {
                positions.insert(name, position);
            }
        }
        if start.elapsed() > PATIENCE {
            let reason = "a transaction in this topic does not end";
            return Err(cluster.unavailable("reading riffle-progress", reason));
        }
        if start.elapsed() > timeout && !warned {
            warned = true;
            tracing::warn!(
                topic = PROGRESS_TOPIC,
                "waiting for another writer's open transaction"
            );
        }
    }
    Ok(positions)
}

//! A consumer that knows nothing of the engine: it follows the curated topic with kcat, reading
//! committed records, and holds each change against the set so far.

use serde_json::Value;

use crate::kcat;
use crate::ledger::{Live, document, of_id};

/// The set that a topic's records have made so far.
pub struct Follower {
    topic: String,
    /// Where to go on, by partition.
    next: Vec<u64>,
    /// What the changes make.
    pub set: Live,
    /// Documents that came in.
    pub admitted: u64,
    /// Documents that stayed with another text.
    pub changed: u64,
    /// Documents that left.
    pub withdrawn: u64,
    /// The last epoch that changed anything.
    pub epoch: u64,
}

impl Follower {
    /// From the beginning of a topic of so many partitions.
    pub fn new(topic: &str, partitions: u16) -> Self {
        Follower {
            topic: topic.to_owned(),
            next: vec![0; partitions.into()],
            set: Live::new(),
            admitted: 0,
            changed: 0,
            withdrawn: 0,
            epoch: 0,
        }
    }

    /// Applies what has been committed since.
    ///
    /// # Panics
    /// If a change changes nothing: then something was published twice, or lost. Or if a document
    /// is not as it was produced.
    pub fn catch_up(&mut self) {
        for partition in 0..self.next.len() {
            let from = self.next[partition];
            let format = "%o\\t%k\\t%h\\t%S\\t%s\\n";
            let lines = kcat::lines_from(&self.topic, partition, from, format);
            for line in lines.lines() {
                let offset = self.change(line);
                self.next[partition] = offset + 1;
            }
        }
    }

    fn change(&mut self, line: &str) -> u64 {
        let fields: Vec<&str> = line.splitn(5, '\t').collect();
        let [offset, key, headers, bytes, value] = fields[..] else {
            panic!("kcat printed {line:?}")
        };
        let epoch = headers.strip_prefix("riffle-epoch=").unwrap();
        self.epoch = self.epoch.max(epoch.parse().unwrap());
        let n = of_id(key);
        if bytes == "-1" {
            let before = self.set.remove(&n);
            assert!(before.is_some(), "{key} withdrawn when it was not there");
            self.withdrawn += 1;
        } else {
            self.admit(n, value);
        }
        offset.parse().unwrap()
    }

    fn admit(&mut self, n: u32, value: &str) {
        let mut curated: Value = serde_json::from_str(value).unwrap();
        let measures = curated.as_object_mut().unwrap().remove("riffle").unwrap();
        let write = curated["metadata"]["write"].as_u64().unwrap() as u32;
        assert_eq!(curated, document(n, write), "it is not as it was produced");
        let ratio = measures["perplexity"].as_f64().unwrap()
            / curated["metadata"]["perplexity"].as_f64().unwrap();
        assert!((ratio - 1.0).abs() < 1e-9, "{measures}");
        match self.set.insert(n, write) {
            None => self.admitted += 1,
            Some(before) => {
                assert_ne!(before, write, "{n} published twice");
                self.changed += 1;
            }
        }
    }
}

/// How a set differs from what it must be, for a person; `None` if it does not.
pub fn difference(found: &Live, expected: &Live) -> Option<String> {
    let lost = expected.keys().filter(|n| !found.contains_key(*n));
    let stale = found
        .iter()
        .filter(|(n, write)| expected.get(*n) != Some(*write));
    let (lost, stale) = (lost.collect::<Vec<_>>(), stale.collect::<Vec<_>>());
    let text = || {
        let some = |n: usize| n.min(5);
        format!(
            "{} lost, such as {:?}; {} stale, such as {:?}",
            lost.len(),
            &lost[..some(lost.len())],
            stale.len(),
            &stale[..some(stale.len())],
        )
    };
    (found != expected).then(text)
}

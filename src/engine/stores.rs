//! The stores that the configuration names, opened when first asked for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::{Config, LogKind};
use crate::curate::{Schedule, Snapshots};
use crate::log::kafka::{KafkaStore, TopicOptions};
use crate::log::local::{LocalOptions, LocalStore};
use crate::log::mirror::MirroredStore;
use crate::log::{Result, Store};

/// The stores of a configuration.
pub struct Stores<'a> {
    config: &'a Config,
    local: OnceLock<Arc<LocalStore>>,
    kafka: OnceLock<Arc<KafkaStore>>,
}

impl<'a> Stores<'a> {
    /// None opened yet.
    pub fn new(config: &'a Config) -> Self {
        Stores {
            config,
            local: OnceLock::new(),
            kafka: OnceLock::new(),
        }
    }

    /// The store of logs of this kind.
    ///
    /// # Errors
    /// When the directory cannot be used, or the broker's configuration cannot.
    pub fn of(&self, kind: LogKind) -> Result<Arc<dyn Store>> {
        match kind {
            LogKind::Local => Ok(self.local()?),
            LogKind::Kafka => Ok(self.kafka()?),
        }
    }

    /// The store that `curate` reads scored records from: for Kafka, with a mirror on local disk
    /// from which documents are read back.
    pub fn scored_for_curate(&self) -> Result<Arc<dyn Store>> {
        let scored = &self.config.scored;
        match scored.log {
            LogKind::Kafka if scored.mirror_bytes_max > 0 => {
                let dir = self.config.mirror_dir();
                let (kafka, bytes_max) = (self.kafka()?, scored.mirror_bytes_max);
                Ok(Arc::new(MirroredStore::new(
                    kafka,
                    &scored.topic,
                    &dir,
                    bytes_max,
                )?))
            }
            kind => self.of(kind),
        }
    }

    /// Where snapshots of the curated log's live documents are kept, if they are, and when they are
    /// made.
    pub fn snapshots(&self) -> Option<Snapshots> {
        let Config { curate, .. } = self.config;
        let schedule = Schedule {
            interval: Duration::from_secs(curate.snapshot_interval_s.into()),
            records_min: curate.snapshot_records_min,
        };
        let dir = self.config.snapshots_dir();
        curate.snapshots.then_some(Snapshots { dir, schedule })
    }

    fn local(&self) -> Result<Arc<LocalStore>> {
        if self.local.get().is_none() {
            let store = LocalStore::open(&self.config.local.dir, LocalOptions::default())?;
            // Another thread may have been first; then its store serves.
            let _ = self.local.set(Arc::new(store));
        }
        Ok(Arc::clone(self.local.get().expect("it has just been set")))
    }

    fn kafka(&self) -> Result<Arc<KafkaStore>> {
        if self.kafka.get().is_none() {
            let replication_factor = self.config.topics.replication_factor;
            let options = TopicOptions {
                replication_factor,
                ..TopicOptions::default()
            };
            let properties = self.config.kafka.iter();
            let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let store = KafkaStore::new(properties.collect(), options)?;
            // Another thread may have been first; then its store serves.
            let _ = self.kafka.set(Arc::new(store));
        }
        Ok(Arc::clone(self.kafka.get().expect("it has just been set")))
    }
}

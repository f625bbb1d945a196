//! The stores that need no server keep the contract of logs.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

#[path = "support/contract/mod.rs"]
#[macro_use]
mod contract;

mod local {
    use std::sync::Arc;

    use riffle::log::Store;
    use riffle::log::local::{LocalOptions, LocalStore};

    use crate::contract::Fixture;

    /// A store in a directory of its own.
    struct Local(tempfile::TempDir);

    impl Fixture for Local {
        fn open(&self) -> Arc<dyn Store> {
            let record_bytes_max = 3 << 20;
            let options = LocalOptions {
                durable: false,
                record_bytes_max,
                ..Default::default()
            };
            Arc::new(LocalStore::open(self.0.path(), options).unwrap())
        }

        fn name(&self, stem: &str) -> String {
            stem.to_owned()
        }

        fn record_bytes_max(&self) -> Option<usize> {
            Some(3 << 20)
        }
    }

    contract! { Local(tempfile::tempdir().unwrap()) }
}

mod memory {
    use std::sync::Arc;

    use riffle::log::Store;
    use riffle::log::memory::MemoryStore;

    use crate::contract::Fixture;

    struct Memory(MemoryStore);

    impl Fixture for Memory {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(self.0.clone())
        }

        fn name(&self, stem: &str) -> String {
            stem.to_owned()
        }

        fn record_bytes_max(&self) -> Option<usize> {
            None
        }
    }

    contract! { Memory(MemoryStore::new()) }
}

mod mirror {
    use std::sync::Arc;

    use riffle::log::Store;
    use riffle::log::memory::MemoryStore;
    use riffle::log::mirror::MirroredStore;

    use crate::contract::Fixture;

    /// A model whose log has a mirror, a new one each time it is opened.
    struct Mirrored(MemoryStore, tempfile::TempDir);

    impl Fixture for Mirrored {
        fn open(&self) -> Arc<dyn Store> {
            let dir = tempfile::tempdir_in(self.1.path()).unwrap().keep();
            let store = Arc::new(self.0.clone());
            Arc::new(MirroredStore::new(store, "log", &dir, 1 << 20).unwrap())
        }

        fn name(&self, stem: &str) -> String {
            stem.to_owned()
        }

        fn record_bytes_max(&self) -> Option<usize> {
            None
        }
    }

    contract! { Mirrored(MemoryStore::new(), tempfile::tempdir().unwrap()) }
}

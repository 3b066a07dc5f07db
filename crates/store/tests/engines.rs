//! Both engines pass the conformance suite.

use std::sync::Arc;

use drydock_store::Store;

mod memory {
    use super::*;

    async fn make() -> (Arc<dyn Store>, ()) {
        (Arc::new(drydock_store::memory::MemoryStore::new()), ())
    }

    drydock_store::store_conformance!(make);
}

mod sqlite {
    use super::*;
    use drydock_store::sqlite::{SqliteStore, Writers};

    async fn make() -> (Arc<dyn Store>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db"), &Writers::new(2)).unwrap();
        (Arc::new(store), folder)
    }

    drydock_store::store_conformance!(make);
}

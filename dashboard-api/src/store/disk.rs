//! Waiting for the disk. One wait serves everybody whose change was made before it began, and there is never a second one beside
//! it: sled's threads that wait and those that write are the same few, and eight waits at once would leave nobody to write,
//! for ever, with every reader behind them.
//!
//! It must not know what was changed, nor how it is waited.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

use super::StoreError;

/// Who waits for the disk.
#[derive(Default)]
pub(super) struct Disk {
    /// Counts who asked.
    asked: AtomicU64,
    /// All who asked up to this one have been served. Held while it is waited.
    served: Arc<Mutex<u64>>,
}

impl Disk {
    /// Returns when every change that the caller has made is on disk; `wait` waits until all that was made before is.
    ///
    /// # Errors
    /// Those of `wait`.
    pub(super) async fn flushed<F>(
        self: &Arc<Self>,
        wait: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send,
    {
        let own = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = Arc::clone(&self.served).lock_owned().await;
        if *served >= own {
            return Ok(());
        }
        let disk = Arc::clone(self);
        // In a task: a caller that goes away, such as a browser in the middle of its request, would let the next wait begin
        // beside the one that it has begun.
        let waiting = tokio::spawn(async move {
            let up_to = disk.asked.load(Ordering::SeqCst);
            wait().await?;
            *served = up_to;
            Ok(())
        });
        waiting.await.map_err(|error| StoreError::Sled(sled::Error::Io(io::Error::other(error))))?
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;
    use crate::store::Store;

    /// A hundred devices that enrol at once had stopped the control plane for good: each waited for the disk by itself, beside
    /// transactions. All must be answered, also when some have gone away in the middle.
    #[test]
    fn many_who_wait_for_the_disk_do_not_stop_each_other() {
        const WRITERS: u32 = 100;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let (done, ended) = mpsc::channel();
        // What this protects from holds every thread of a runtime: somebody outside must look at the clock.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(async {
                let store = Store::open(&path).unwrap();
                let mut writers = tokio::task::JoinSet::new();
                for number in 0..WRITERS {
                    let store = store.clone();
                    writers.spawn(async move {
                        for round in 0..20 {
                            let id = format!("{number}-{round}");
                            let sled_rows = store
                                .networks
                                .tree
                                .transaction(|tree| store.networks.within(tree).put(&id, &number));
                            sled_rows.unwrap();
                            let flush = store.flush();
                            if number % 4 == 0 {
                                // Polled once, and dropped.
                                futures_util::FutureExt::now_or_never(flush);
                                tokio::task::yield_now().await;
                            } else {
                                flush.await.unwrap();
                            }
                            assert_eq!(store.networks.get(&id).unwrap(), Some(number));
                        }
                    });
                }
                while let Some(writer) = writers.join_next().await {
                    writer.unwrap();
                }
            });
            // Nobody listens after the limit.
            let _ = done.send(());
        });
        ended.recv_timeout(Duration::from_secs(120)).expect("the store stands still");
    }

    /// Whoever has been answered must find the change on disk, though somebody else's wait served it.
    #[tokio::test(flavor = "multi_thread")]
    async fn one_wait_serves_all_who_came_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        let disk = Arc::new(Disk::default());
        let waits = (0..50).map(|number: u32| {
            let (disk, db) = (Arc::clone(&disk), db.clone());
            tokio::spawn(async move {
                db.insert(number.to_be_bytes(), b"here").unwrap();
                let flush = db.clone();
                disk.flushed(move || async move { Ok(flush.flush_async().await.map(drop)?) }).await.unwrap();
            })
        });
        for wait in waits.collect::<Vec<_>>() {
            wait.await.unwrap();
        }
        assert_eq!(*disk.served.lock().await, 50);
        // Nothing is left for another flush to write.
        assert_eq!(db.flush().unwrap(), 0);
    }
}

//! How fast bytes may go. The bucket is a state machine without a clock; the throttle waits by tokio's clock and can be
//! changed while somebody waits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// What may go at once after a pause: a tenth of a second's worth, so that a limit holds in every second.
const BURST: f64 = 0.1;

/// A token bucket that may go into debt: whoever takes more than there is waits before the next.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: f64,
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    /// `bytes_per_second`, from the moment `now` (of any steady clock). 0 counts as 1.
    pub fn new(bytes_per_second: u64, now: Duration) -> Self {
        Self { rate: bytes_per_second.max(1) as f64, tokens: 0.0, at: now }
    }

    /// Another rate from `now` on; what was owed stays owed.
    pub fn set_rate(&mut self, bytes_per_second: u64, now: Duration) {
        self.fill(now);
        self.rate = bytes_per_second.max(1) as f64;
    }

    /// How long from `now` until bytes may go.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.fill(now);
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.rate)
    }

    /// Takes `bytes`.
    pub fn take(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.rate * BURST);
    }
}

/// A limit shared by whoever sends. Clones are the same limit.
#[derive(Debug, Clone)]
pub struct Throttle {
    limit: watch::Sender<Option<u64>>,
    bucket: Arc<Mutex<TokenBucket>>,
    start: Instant,
}

impl Throttle {
    /// `bytes_per_second`, or none for as fast as it goes.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let bucket = TokenBucket::new(bytes_per_second.unwrap_or(u64::MAX), Duration::ZERO);
        Self {
            limit: watch::Sender::new(bytes_per_second),
            bucket: Arc::new(Mutex::new(bucket)),
            start: Instant::now(),
        }
    }

    /// Another limit, at once, also for those who wait.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        let now = self.start.elapsed();
        self.with_bucket(|bucket| match bytes_per_second {
            Some(rate) => bucket.set_rate(rate, now),
            // Debts are forgiven.
            None => *bucket = TokenBucket::new(u64::MAX, now),
        });
        self.limit.send_replace(bytes_per_second);
    }

    /// Waits until bytes may go, and counts `bytes`.
    pub async fn take(&self, bytes: usize) {
        let mut limit = self.limit.subscribe();
        loop {
            if limit.borrow_and_update().is_none() {
                return;
            }
            let wait = self.with_bucket(|bucket| {
                let wait = bucket.wait(self.start.elapsed());
                if wait.is_zero() {
                    bucket.take(bytes);
                }
                wait
            });
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // `self` holds the sender, so it never fails.
                _ = limit.changed() => {}
            }
        }
    }

    fn with_bucket<T>(&self, act: impl FnOnce(&mut TokenBucket) -> T) -> T {
        // Nobody panics while holding it.
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes over virtual time never exceed the limit by more than one chunk and the burst.
    #[tokio::test(start_paused = true)]
    async fn holds_the_limit() {
        let throttle = Throttle::new(Some(1_000_000));
        let start = Instant::now();
        for _ in 0..100 {
            throttle.take(100_000).await;
        }
        let passed = start.elapsed().as_secs_f64();
        assert!((9.7..=10.1).contains(&passed), "10 MB at 1 MB/s took {passed} s");
    }

    /// Who waits for a slow limit goes on as soon as it is raised.
    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_who_waits() {
        let throttle = Throttle::new(Some(1));
        throttle.take(1_000_000).await;
        let start = Instant::now();
        let waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.take(1).await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        throttle.set(Some(1_000_000));
        waiting.await.unwrap();
        let passed = start.elapsed().as_secs_f64();
        assert!((5.9..=6.1).contains(&passed), "took {passed} s");
    }
}

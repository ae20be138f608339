//! Ids of global scope. The WAMP specification wants them drawn uniformly from 1 to 2^53, so that they don't
//! repeat between routers; they are no secrets.

use ecep_proto::id::{MAX_ID, PublicationId, SessionId};

/// A SplitMix64 sequence: deterministic for a seed, and plenty for ids that need no secrecy.
#[derive(Debug)]
pub(crate) struct GlobalIds {
    state: u64,
}

impl GlobalIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % MAX_ID + 1
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    pub(crate) fn session(&mut self) -> SessionId {
        SessionId::new(self.draw()).unwrap_or(SessionId::FIRST)
    }

    pub(crate) fn publication(&mut self) -> PublicationId {
        PublicationId::new(self.draw()).unwrap_or(PublicationId::FIRST)
    }
}

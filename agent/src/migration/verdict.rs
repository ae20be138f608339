//! Asks the authority, for as long as it takes: only its answer lets a container go on or go away.

use std::time::Duration;

use ecep_channel::grant::Grant;
use ecep_link::Link;
use ecep_proto::api::{
    MigrationDecide, Procedure,
    migration::{DecideRequest, Decision, Standing},
};
use tokio::time::sleep;

/// Between two questions while the authority is out of reach.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Whoever works for a move that was given up meanwhile notices it after this time.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// One end's way to the authority.
#[derive(Clone)]
pub(super) struct Authority {
    pub control: Link,
    pub grant: Grant,
    /// The generation of this end's copy.
    pub generation: u64,
}

impl Authority {
    /// Says what this end wants, until it is answered how its copy stands.
    pub(super) async fn decide(&self, decision: Decision, reason: Option<&str>) -> Standing {
        let mut told = false;
        loop {
            match self.try_decide(decision, reason).await {
                Ok(standing) => return standing,
                Err(error) => {
                    if !told {
                        tracing::warn!(migration = %self.grant.migration, %error, "the authority does not answer; asking again");
                    }
                    told = true;
                    sleep(RETRY_EVERY).await;
                }
            }
        }
    }

    /// Comes back when the move is decided, which this end has not asked for: the other one, or a person, gave it up.
    pub(super) async fn decided(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            if let Ok(Standing::Holder | Standing::NotHolder) = self.try_decide(Decision::Ask, None).await {
                return;
            }
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// The authority is out of reach.
    pub(super) async fn try_decide(
        &self,
        decision: Decision,
        reason: Option<&str>,
    ) -> Result<Standing, ecep_link::CallError> {
        let request = DecideRequest {
            migration: self.grant.migration.clone(),
            container: self.grant.container.clone(),
            generation: self.generation,
            decision,
            reason: reason.map(ToOwned::to_owned),
        };
        Ok(self.control.call::<MigrationDecide>(MigrationDecide::URI, &request).await?.standing)
    }
}

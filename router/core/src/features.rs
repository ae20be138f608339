//! What a client announced in HELLO that it can do (specification, "Feature Announcement"): only those features that decide what the
//! router may send to it.

use ecep_proto::value::{Dict, Value};

/// One feature of one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The caller takes progressive results.
    CallerProgressiveResults,
    /// The caller may send a call in pieces.
    CallerProgressiveInvocations,
    /// The caller may send payloads that the router does not look into.
    CallerPassthru,
    /// The callee understands INTERRUPT.
    CalleeCanceling,
    /// The callee may send progressive results.
    CalleeProgressiveResults,
    /// The callee takes a call in pieces.
    CalleeProgressiveInvocations,
    /// The callee understands that the router takes a registration away.
    CalleeRevocation,
    /// The callee takes payloads that the router does not look into.
    CalleePassthru,
    /// The publisher may send payloads that the router does not look into.
    PublisherPassthru,
    /// The subscriber understands that the router takes a subscription away.
    SubscriberRevocation,
    /// The subscriber takes payloads that the router does not look into.
    SubscriberPassthru,
}

impl Feature {
    const ALL: [(Self, &'static str, &'static str); 11] = [
        (Self::CallerProgressiveResults, "caller", "progressive_call_results"),
        (Self::CallerProgressiveInvocations, "caller", "progressive_call_invocations"),
        (Self::CallerPassthru, "caller", "payload_passthru_mode"),
        (Self::CalleeCanceling, "callee", "call_canceling"),
        (Self::CalleeProgressiveResults, "callee", "progressive_call_results"),
        (Self::CalleeProgressiveInvocations, "callee", "progressive_call_invocations"),
        (Self::CalleeRevocation, "callee", "registration_revocation"),
        (Self::CalleePassthru, "callee", "payload_passthru_mode"),
        (Self::PublisherPassthru, "publisher", "payload_passthru_mode"),
        (Self::SubscriberRevocation, "subscriber", "subscription_revocation"),
        (Self::SubscriberPassthru, "subscriber", "payload_passthru_mode"),
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Features(u16);

impl Features {
    /// Reads `HELLO.Details.roles`. What is no `true` is not announced.
    pub fn of_roles(roles: &Dict) -> Self {
        let announced = |role: &str, name: &str| {
            let features = roles.get(role)?.as_map()?.get("features")?.as_map()?;
            features.get(name).filter(|flag| **flag == Value::Bool(true))
        };
        let known = Feature::ALL.into_iter().filter(|(_, role, name)| announced(role, name).is_some());
        known.fold(Self::default(), |set, (feature, ..)| set.with(feature))
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | feature.bit())
    }

    /// Whether it was announced.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }
}

//! WAMP ids: integers from 1 to 2^53, so that JavaScript can hold them (WAMP specification, "Identifiers").
//!
//! One type for each kind, so that a request id can't be taken for a subscription id.

use std::fmt;

/// The largest id, 2^53.
pub const MAX_ID: u64 = 1 << 53;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The first id of a sequence.
            pub const FIRST: Self = Self(1);

            /// The id with this number; none outside 1 to 2^53.
            pub const fn new(number: u64) -> Option<Self> {
                if number >= 1 && number <= MAX_ID { Some(Self(number)) } else { None }
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The id that follows in a sequence; 2^53 is followed by 1.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 == MAX_ID { Self::FIRST } else { Self(self.0 + 1) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Names a session in its realm: drawn at random by the router.
    SessionId;
    /// Names a request of one peer: chosen by whoever sends it.
    RequestId;
    /// Names a subscription of a realm: one for each topic and way of matching.
    SubscriptionId;
    /// Names a publication: drawn at random by the router.
    PublicationId;
    /// Names a registration of a realm.
    RegistrationId;
}

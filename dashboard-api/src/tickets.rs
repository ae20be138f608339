//! Single-use tickets, by which browsers and devices join a realm. In memory only: a restart spends them all,
//! and everyone asks for a new one.
//!
//! Decides without a clock: the time is passed in, in milliseconds. Holds hashes, never the tickets.

use std::collections::{HashMap, VecDeque};

use ecep_proto::api::{name::TenantSlug, roles::Role};

use crate::secret::SecretHash;

/// How long a browser's ticket is good, in milliseconds: it joins at once, on the page that asked.
pub const BROWSER_TICKET_MS: u64 = 30_000;
/// How long a device's ticket is good, in milliseconds: a slow device on a bad link needs longer.
pub const DEVICE_TICKET_MS: u64 = 60_000;

/// Tickets of one holder at a time; a person with this many tabs, or a device of this many tenants, is unusual.
/// Policy: one more drops the holder's oldest, so nobody can spend another's.
const MAX_PER_HOLDER: usize = 64;
/// Holders with a ticket at a time, ten thousand devices and their people after a restart among them.
/// Policy: one more is refused until some have expired.
const MAX_HOLDERS: usize = 50_000;

/// What a ticket opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opens {
    /// The realm.
    pub realm: String,
    /// In which role.
    pub role: Role,
    /// What it was given for.
    pub basis: Basis,
}

/// What a ticket was given for. It may be gone when the ticket is used, and then the ticket opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// A person's login.
    Login {
        /// The hash of its cookie.
        cookie: SecretHash,
        /// When it ends, in milliseconds since 1970.
        ends_at: u64,
    },
    /// A signature by this key of a device.
    Key(String),
    /// A tenant's share in a device.
    Share(TenantSlug),
}

#[derive(Debug)]
struct Ticket {
    hash: SecretHash,
    opens: Opens,
    expires_at: u64,
}

/// There are too many outstanding tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many clients join at this moment; try again in a minute")]
pub struct TooManyTickets;

/// All outstanding tickets, by holder (authid).
#[derive(Debug, Default)]
pub struct Tickets {
    holders: HashMap<String, VecDeque<Ticket>>,
}

impl Tickets {
    /// Remembers a ticket for this authid.
    ///
    /// # Errors
    /// [`TooManyTickets`] when as many as may be are outstanding.
    pub fn issue(
        &mut self,
        now: u64,
        authid: &str,
        opens: Opens,
        ticket: &str,
        valid_ms: u64,
    ) -> Result<(), TooManyTickets> {
        if !self.holders.contains_key(authid) && self.holders.len() >= MAX_HOLDERS {
            self.drop_expired(now);
            if self.holders.len() >= MAX_HOLDERS {
                return Err(TooManyTickets);
            }
        }
        let held = self.holders.entry(authid.to_owned()).or_default();
        held.retain(|ticket| ticket.expires_at > now);
        if held.len() >= MAX_PER_HOLDER {
            held.pop_front();
        }
        held.push_back(Ticket {
            hash: SecretHash::of(ticket),
            opens,
            expires_at: now.saturating_add(valid_ms),
        });
        Ok(())
    }

    /// Spends a ticket: gives what it opens if it is this authid's for this realm. Whatever the answer, the ticket
    /// is gone afterwards.
    pub fn spend(&mut self, now: u64, authid: &str, realm: &str, ticket: &str) -> Option<Opens> {
        let held = self.holders.get_mut(authid)?;
        let place = held.iter().position(|candidate| candidate.hash.matches(ticket));
        let spent = place.and_then(|place| held.remove(place));
        if held.is_empty() {
            self.holders.remove(authid);
        }
        spent
            .filter(|ticket| ticket.expires_at > now && ticket.opens.realm == realm)
            .map(|ticket| ticket.opens)
    }

    /// Takes back every ticket of this authid.
    pub fn revoke(&mut self, authid: &str) {
        self.holders.remove(authid);
    }

    fn drop_expired(&mut self, now: u64) {
        self.holders.retain(|_, held| {
            held.retain(|ticket| ticket.expires_at > now);
            !held.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(realm: &str) -> Opens {
        Opens { realm: realm.to_owned(), role: Role::Viewer, basis: Basis::Key(String::new()) }
    }

    fn issued() -> Tickets {
        let mut tickets = Tickets::default();
        tickets.issue(0, "maria", opens("acme"), "secret", 1_000).unwrap();
        tickets
    }

    /// A ticket that was overheard is worth nothing once its owner has joined.
    #[test]
    fn a_ticket_opens_once() {
        let mut tickets = issued();
        assert_eq!(tickets.spend(1, "maria", "acme", "secret"), Some(opens("acme")));
        assert_eq!(tickets.spend(1, "maria", "acme", "secret"), None);
    }

    /// Every part of the claim must be right, and a ticket shown at a wrong door is burnt.
    #[test]
    fn a_ticket_opens_only_what_it_was_made_for_and_in_time() {
        assert_eq!(issued().spend(999, "maria", "acme", "secret"), Some(opens("acme")));
        assert_eq!(issued().spend(1_000, "maria", "acme", "secret"), None);
        assert_eq!(issued().spend(1, "other", "acme", "secret"), None);
        assert_eq!(issued().spend(1, "maria", "acme", "guess"), None);
        let mut tickets = issued();
        assert_eq!(tickets.spend(1, "maria", "rival", "secret"), None);
        assert_eq!(tickets.spend(1, "maria", "acme", "secret"), None);
    }

    /// One holder cannot fill the memory, nor push out another's ticket.
    #[test]
    fn a_holder_has_a_bounded_number_of_tickets() {
        let mut tickets = issued();
        for number in 0..=MAX_PER_HOLDER {
            tickets.issue(1, "greedy", opens("acme"), &format!("t{number}"), 1_000).unwrap();
        }
        assert_eq!(tickets.spend(2, "greedy", "acme", "t0"), None);
        assert_eq!(tickets.spend(2, "greedy", "acme", "t1"), Some(opens("acme")));
        assert_eq!(tickets.spend(2, "maria", "acme", "secret"), Some(opens("acme")));
    }

    /// The whole memory is bounded, and room comes back by itself.
    #[test]
    fn the_number_of_holders_is_bounded() {
        let mut tickets = Tickets::default();
        for number in 0..MAX_HOLDERS {
            tickets.issue(0, &number.to_string(), opens("acme"), "t", 1_000).unwrap();
        }
        assert_eq!(tickets.issue(1, "late", opens("acme"), "t", 1_000), Err(TooManyTickets));
        assert_eq!(tickets.issue(1_000, "late", opens("acme"), "t", 1_000), Ok(()));
    }

    /// A revoked device must not come in with a ticket it got a moment before.
    #[test]
    fn revoking_takes_back_what_is_outstanding() {
        let mut tickets = issued();
        tickets.revoke("maria");
        assert_eq!(tickets.spend(1, "maria", "acme", "secret"), None);
    }
}

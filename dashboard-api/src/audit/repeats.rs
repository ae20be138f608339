//! Refusals: the first is written down at once, the same ones after it are counted and written down together.

use std::collections::HashMap;

use ecep_proto::api::{audit::Actor, name::TenantSlug};

use crate::store::audit::Draft;

/// Refusals that are alike within this time make one entry. [`ecep_proto::api::audit::AuditEntry::count`] names it.
const COUNTED_MS: u64 = 10 * 60 * 1_000;
/// Kinds of refusal that are counted at a time, about 1 MB: so many of nobody in particular, and so many of known actors, whom
/// strangers shall not hide. Policy: further ones of nobody are counted together, whatever their address; further ones of known
/// actors are too, by tenant.
const MAX_COUNTED: usize = 500;

/// What makes two refusals alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    tenant: Option<TenantSlug>,
    actor: Actor,
    address: Option<String>,
    action: String,
}

/// Refusals of one kind.
#[derive(Debug)]
struct Counted {
    since: u64,
    count: u32,
    draft: Draft,
}

/// What is being counted.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    of_strangers: HashMap<Kind, Counted>,
    of_known: HashMap<Kind, Counted>,
}

impl Repeats {
    /// Gives the entry back if it is the first of its kind, or one for all kinds that have no place; else it is counted.
    pub(super) fn counted(&mut self, now: u64, draft: Draft) -> Option<Draft> {
        let mut kind = Kind {
            tenant: draft.tenant.clone(),
            actor: draft.actor.clone(),
            address: draft.address.clone(),
            action: draft.action.clone(),
        };
        let mut draft = draft;
        let kinds = if draft.actor == Actor::nobody() { &mut self.of_strangers } else { &mut self.of_known };
        if kinds.len() >= MAX_COUNTED && !kinds.contains_key(&kind) {
            kind = Kind { tenant: kind.tenant, actor: Actor::nobody(), address: None, action: String::new() };
            draft =
                Draft { actor: Actor::nobody(), via: None, address: None, target: String::new(), ..draft };
            draft.detail.clear();
        }
        match kinds.get_mut(&kind) {
            Some(counted) => {
                counted.count = counted.count.saturating_add(1);
                counted.draft = draft;
                None
            }
            None => {
                kinds.insert(kind, Counted { since: now, count: 0, draft: draft.clone() });
                Some(draft)
            }
        }
    }

    /// The entries of those whose time is over, or of all.
    pub(super) fn due(&mut self, now: u64, all: bool) -> Vec<Draft> {
        let over = |counted: &Counted| all || now.saturating_sub(counted.since) >= COUNTED_MS;
        let due = self.of_strangers.extract_if(|_, counted| over(counted));
        let due = due.chain(self.of_known.extract_if(|_, counted| over(counted)));
        due.filter(|(_, counted)| counted.count > 0)
            .map(|(_, counted)| Draft { count: counted.count, ..counted.draft })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn refusal(address: &str) -> Draft {
        Draft {
            actor: Actor::nobody(),
            address: Some(address.to_owned()),
            ..Draft::of_installation(None, "login", BTreeMap::new())
        }
    }

    /// A thousand wrong passwords from one address must make two entries, not a thousand; other addresses' are told apart.
    #[test]
    fn repeated_refusals_are_counted() {
        let mut repeats = Repeats::default();
        assert!(repeats.counted(0, refusal("10.0.0.1")).is_some());
        for at in 0..999 {
            assert!(repeats.counted(at, refusal("10.0.0.1")).is_none());
        }
        assert!(repeats.counted(0, refusal("10.0.0.2")).is_some());
        assert!(repeats.due(COUNTED_MS - 1, false).is_empty());
        let due = repeats.due(COUNTED_MS, false);
        assert_eq!(due.iter().map(|draft| draft.count).collect::<Vec<_>>(), [999]);
        assert!(repeats.counted(COUNTED_MS, refusal("10.0.0.1")).is_some());
    }

    /// Whoever has a million addresses must not fill the memory, nor the log.
    #[test]
    fn many_addresses_are_counted_together() {
        let mut repeats = Repeats::default();
        let written = (0..100_000).filter_map(|at| repeats.counted(0, refusal(&format!("{at}")))).count();
        assert_eq!(written, MAX_COUNTED + 1);
        let due = repeats.due(0, true);
        assert_eq!((due.len(), due[0].count, &due[0].address), (1, 99_499, &None));
    }

    /// A flood of strangers must not hide who it is that tries what is not theirs.
    #[test]
    fn strangers_do_not_hide_those_who_are_known() {
        let mut repeats = Repeats::default();
        (0..10_000).for_each(|at| drop(repeats.counted(0, refusal(&format!("{at}")))));
        let known = Draft::of_installation(None, "accounts", BTreeMap::new());
        let written = repeats.counted(0, known.clone()).unwrap();
        assert_eq!(written.actor, known.actor);
    }
}

//! What a role may do: rules over URIs, and nothing without a rule.
//!
//! Pure. Must not know sessions beyond their authid.

use std::sync::Arc;

use ecep_proto::uri::Match;

use crate::profile::Profile;

/// Stands for the session's authid in a rule's URI.
pub const AUTHID_PLACEHOLDER: &str = "{authid}";

/// What a session may want to do with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call a procedure.
    Call,
    /// Register a procedure.
    Register,
    /// Publish to a topic.
    Publish,
    /// Subscribe to a topic, or to a pattern whose every topic is covered.
    Subscribe,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Register, Self::Publish, Self::Subscribe];

    /// The word for messages to people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Register => "register",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// Allows some actions on the URIs that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A URI or pattern; [`AUTHID_PLACEHOLDER`] in it stands for the session's authid.
    pub uri: String,
    /// How it is compared.
    pub matching: Match,
    /// What is allowed.
    pub actions: Vec<Action>,
}

impl Rule {
    /// Whether whatever the request can reach is covered by this rule.
    ///
    /// A subscription's pattern is covered if every URI it can match is: a wildcard by a wildcard component by
    /// component, or by a prefix of what stands before its first empty component; a prefix by a shorter prefix.
    fn covers(&self, kind: Match, uri: &str) -> bool {
        match (self.matching, kind) {
            (rule, Match::Exact) => rule.covers(&self.uri, uri),
            (Match::Prefix, Match::Prefix) => uri.starts_with(&self.uri),
            (Match::Prefix, Match::Wildcard) => fixed_part(uri).starts_with(&self.uri),
            // An empty component of the request is equal only to an empty one of the rule.
            (Match::Wildcard, Match::Wildcard) => Match::Wildcard.covers(&self.uri, uri),
            (Match::Wildcard, Match::Prefix) | (Match::Exact, _) => false,
        }
    }
}

/// What every URI that a wildcard matches begins with.
fn fixed_part(wildcard: &str) -> &str {
    if wildcard.starts_with('.') {
        return "";
    }
    wildcard.find("..").map_or(wildcard, |at| &wildcard[..=at])
}

/// Whether others learn who a session is by what it calls or publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Disclosure {
    /// If it asks for it (`disclose_me`), or its callee does.
    #[default]
    OnRequest,
    /// Always.
    Always,
    /// Never; who asks for it is refused.
    Never,
}

/// A role: its name in `authrole`, how the router speaks to its sessions, its rules, and what others learn about them.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// The name.
    pub name: String,
    /// How the router speaks to its sessions.
    pub profile: Profile,
    /// What its sessions may do.
    pub rules: Vec<Rule>,
    /// Whether callees learn who calls.
    pub disclose_caller: Disclosure,
    /// Whether subscribers learn who publishes.
    pub disclose_publisher: Disclosure,
    /// How far its calls and publications can be trusted, from 0; none: nothing is said about it.
    pub trustlevel: Option<u64>,
}

impl Role {
    /// A role that may do everything.
    pub fn unrestricted(name: impl Into<String>) -> Self {
        let everything = Rule { uri: String::new(), matching: Match::Prefix, actions: Action::ALL.to_vec() };
        Self { name: name.into(), rules: vec![everything], ..Self::default() }
    }
}

/// The rules of a role as they hold for one session.
#[derive(Clone, Debug)]
pub struct Grants(Arc<[Rule]>);

impl Grants {
    /// Puts the authid into the rules.
    ///
    /// An authid that is no single component of a URI could make a rule mean more than was written (an empty one
    /// would turn a place into a wildcard), so it gets none of the rules that have a place for it.
    pub fn new(role: &Role, authid: &str) -> Self {
        let fits =
            !authid.is_empty() && !authid.contains(|c: char| c == '.' || c == '#' || c.is_whitespace());
        let rules = role.rules.iter().filter(|rule| fits || !rule.uri.contains(AUTHID_PLACEHOLDER));
        Self(
            rules
                .map(|rule| Rule { uri: rule.uri.replace(AUTHID_PLACEHOLDER, authid), ..rule.clone() })
                .collect(),
        )
    }

    /// Whether a rule allows the action on all that the URI or pattern can reach.
    pub fn allow(&self, action: Action, kind: Match, uri: &str) -> bool {
        self.0.iter().any(|rule| rule.actions.contains(&action) && rule.covers(kind, uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(uri: &str, matching: Match, authid: &str) -> Grants {
        let rule = Rule { uri: uri.into(), matching, actions: vec![Action::Subscribe] };
        Grants::new(&Role { rules: vec![rule], ..Role::default() }, authid)
    }

    #[track_caller]
    fn check(rule: (&str, Match), request: (&str, Match), allowed: bool) {
        let grants = grants(rule.0, rule.1, "alice");
        assert_eq!(grants.allow(Action::Subscribe, request.1, request.0), allowed, "{rule:?} {request:?}");
        assert!(!grants.allow(Action::Call, request.1, request.0), "an action that no rule names");
    }

    /// A pattern subscription must never reach a topic that its role could not subscribe to by name.
    #[test]
    fn coverage() {
        use Match::{Exact, Prefix, Wildcard};
        check(("a.b", Exact), ("a.b", Exact), true);
        check(("a.b", Exact), ("a.b.c", Exact), false);
        check(("a.b", Exact), ("a.b", Prefix), false);
        check(("a.b", Exact), ("a.b", Wildcard), false);
        check(("a.", Prefix), ("a.b", Exact), true);
        check(("a.", Prefix), ("a", Exact), false);
        check(("a.", Prefix), ("a.b", Prefix), true);
        check(("a.b", Prefix), ("a.", Prefix), false);
        check(("a.", Prefix), ("a..c", Wildcard), true);
        check(("a.b", Prefix), ("a..c", Wildcard), false);
        check(("a.b", Prefix), (".b", Wildcard), false);
        check(("", Prefix), ("..", Wildcard), true);
        check(("a.", Prefix), ("a.", Wildcard), true);
        check(("a..c", Wildcard), ("a.b.c", Exact), true);
        check(("a..c", Wildcard), ("a..c", Wildcard), true);
        check(("a..c", Wildcard), ("a.b.c", Wildcard), true);
        check(("a.b.c", Wildcard), ("a..c", Wildcard), false);
        check(("a..c", Wildcard), ("a...", Wildcard), false);
        check(("a..", Wildcard), ("a.b.", Prefix), false);
        check(("x.{authid}.y", Exact), ("x.alice.y", Exact), true);
        check(("x.{authid}.y", Exact), ("x.bob.y", Exact), false);
    }

    /// An authid chosen to widen a rule gets nothing from it.
    #[test]
    fn a_crafted_authid_widens_nothing() {
        for authid in ["", "a.b", "a b", "#"] {
            let grants = grants("x.{authid}.y", Match::Wildcard, authid);
            for uri in ["x.alice.y", "x.a.b.y", "x..y"] {
                assert!(!grants.allow(Action::Subscribe, Match::Exact, uri), "{authid:?} {uri}");
            }
        }
    }
}

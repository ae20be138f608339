//! What a role may do: rules over URIs, and nothing without a rule.
//!
//! Pure. Must not know sessions beyond their authid.

use std::collections::HashMap;
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

    const fn mask(self) -> u8 {
        1 << self as u8
    }

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

/// What a session may do: the rules of its role, which all sessions of the role share, with its authid put in when
/// they are compared.
#[derive(Clone, Debug)]
pub struct Grants {
    role: Arc<SharedRole>,
    /// Whether the authid can stand in a rule.
    fits: bool,
}

impl Grants {
    /// What a session of this role and authid may do.
    ///
    /// An authid that is no single component of a URI could make a rule mean more than was written (an empty one
    /// would turn a place into a wildcard), so it gets none of the rules that have a place for it.
    pub fn new(role: Arc<SharedRole>, authid: &str) -> Self {
        let fits =
            !authid.is_empty() && !authid.contains(|c: char| c == '.' || c == '#' || c.is_whitespace());
        Self { role, fits }
    }

    /// The role.
    pub fn role(&self) -> &SharedRole {
        &self.role
    }

    /// Whether a rule allows the action on all that the URI or pattern can reach.
    pub fn allow(&self, authid: &str, action: Action, kind: Match, uri: &str) -> bool {
        let mask = action.mask();
        let rules = &self.role.rules;
        if rules.everything & mask != 0 {
            return true;
        }
        if kind == Match::Exact && rules.exact.get(uri).is_some_and(|actions| actions & mask != 0) {
            return true;
        }
        let holds = |rule: &&Compiled| rule.actions & mask != 0 && (self.fits || !rule.has_place);
        rules.patterns.iter().filter(holds).any(|rule| rule.covers(authid, kind, uri))
    }
}

/// A role as its sessions share it.
#[derive(Debug)]
pub struct SharedRole {
    /// How the router speaks to its sessions.
    pub profile: Profile,
    /// Whether callees learn who calls.
    pub disclose_caller: Disclosure,
    /// Whether subscribers learn who publishes.
    pub disclose_publisher: Disclosure,
    /// How far its calls and publications can be trusted.
    pub trustlevel: Option<u64>,
    rules: Rules,
}

impl From<&Role> for SharedRole {
    fn from(role: &Role) -> Self {
        Self {
            profile: role.profile,
            disclose_caller: role.disclose_caller,
            disclose_publisher: role.disclose_publisher,
            trustlevel: role.trustlevel,
            rules: Rules::new(&role.rules),
        }
    }
}

/// Rules, made ready to be compared. Sets of actions are bits.
#[derive(Debug, Default)]
struct Rules {
    /// What is allowed on every URI.
    everything: u8,
    /// By URI, what is allowed on it.
    exact: HashMap<String, u8>,
    /// All other rules.
    patterns: Vec<Compiled>,
}

impl Rules {
    fn new(rules: &[Rule]) -> Self {
        let mut compiled = Self::default();
        for rule in rules {
            let actions = rule.actions.iter().fold(0, |actions, action| actions | action.mask());
            let has_place = rule.uri.contains(AUTHID_PLACEHOLDER);
            match rule.matching {
                Match::Prefix if rule.uri.is_empty() => compiled.everything |= actions,
                Match::Exact if !has_place => *compiled.exact.entry(rule.uri.clone()).or_default() |= actions,
                matching => {
                    let shape = match matching {
                        Match::Exact => Shape::Exact(Template::new(&rule.uri)),
                        Match::Prefix => Shape::Prefix(Template::new(&rule.uri)),
                        Match::Wildcard => Shape::Wildcard(rule.uri.split('.').map(Template::new).collect()),
                    };
                    compiled.patterns.push(Compiled { actions, has_place, shape });
                }
            }
        }
        compiled
    }
}

#[derive(Debug)]
struct Compiled {
    actions: u8,
    has_place: bool,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Exact(Template),
    Prefix(Template),
    /// One for each component; an empty one stands for any.
    Wildcard(Vec<Template>),
}

impl Compiled {
    /// Whether whatever the request can reach is covered by this rule.
    ///
    /// A subscription's pattern is covered if every URI it can match is: a wildcard by a wildcard component by
    /// component, or by a prefix of what stands before its first empty component; a prefix by a shorter prefix.
    fn covers(&self, authid: &str, kind: Match, uri: &str) -> bool {
        match (&self.shape, kind) {
            (Shape::Exact(rule), Match::Exact) => rule.is(authid, uri),
            (Shape::Prefix(rule), Match::Exact | Match::Prefix) => rule.rest(authid, uri).is_some(),
            (Shape::Prefix(rule), Match::Wildcard) => rule.rest(authid, fixed_part(uri)).is_some(),
            // An empty component of the request is equal only to an empty one of the rule.
            (Shape::Wildcard(rule), Match::Exact | Match::Wildcard) => {
                let mut components = uri.split('.');
                let covered = |want: &Template| {
                    components.next().is_some_and(|has| want.is_empty() || want.is(authid, has))
                };
                rule.iter().all(covered) && components.next().is_none()
            }
            (Shape::Wildcard(_), Match::Prefix) | (Shape::Exact(_), _) => false,
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

/// A text with places for the authid: what stands between them.
#[derive(Debug)]
struct Template(Box<[Box<str>]>);

impl Template {
    fn new(text: &str) -> Self {
        Self(text.split(AUTHID_PLACEHOLDER).map(Box::from).collect())
    }

    fn is_empty(&self) -> bool {
        matches!(&*self.0, [only] if only.is_empty())
    }

    fn is(&self, authid: &str, text: &str) -> bool {
        self.rest(authid, text) == Some("")
    }

    /// What follows in a text that begins with this.
    fn rest<'a>(&self, authid: &str, text: &'a str) -> Option<&'a str> {
        let (first, others) = self.0.split_first()?;
        let mut rest = text.strip_prefix(&**first)?;
        for piece in others {
            rest = rest.strip_prefix(authid)?.strip_prefix(&**piece)?;
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants(uri: &str, matching: Match, authid: &str) -> Grants {
        let rule = Rule { uri: uri.into(), matching, actions: vec![Action::Subscribe] };
        let role = Role { rules: vec![rule], ..Role::default() };
        Grants::new(Arc::new(SharedRole::from(&role)), authid)
    }

    #[track_caller]
    fn check(rule: (&str, Match), request: (&str, Match), allowed: bool) {
        let grants = grants(rule.0, rule.1, "alice");
        let allow = |action| grants.allow("alice", action, request.1, request.0);
        assert_eq!(allow(Action::Subscribe), allowed, "{rule:?} {request:?}");
        assert!(!allow(Action::Call), "an action that no rule names");
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
                assert!(!grants.allow(authid, Action::Subscribe, Match::Exact, uri), "{authid:?} {uri}");
            }
        }
    }

    /// The same, with the authid put into the rule first.
    fn naive(rule: &Rule, authid: &str, kind: Match, uri: &str) -> bool {
        let text = rule.uri.replace(AUTHID_PLACEHOLDER, authid);
        match (rule.matching, kind) {
            (rule, Match::Exact) => rule.covers(&text, uri),
            (Match::Prefix, Match::Prefix) => uri.starts_with(&text),
            (Match::Prefix, Match::Wildcard) => fixed_part(uri).starts_with(&text),
            (Match::Wildcard, Match::Wildcard) => Match::Wildcard.covers(&text, uri),
            (Match::Wildcard, Match::Prefix) | (Match::Exact, _) => false,
        }
    }

    fn kind() -> impl Strategy<Value = Match> {
        prop_oneof![Just(Match::Exact), Just(Match::Prefix), Just(Match::Wildcard)]
    }

    proptest! {
        /// Compiled rules mean what they say.
        #[test]
        fn compiled_is_naive(
            rules in prop::collection::vec((kind(), "([ab]|\\{authid\\}){0,2}(\\.([ab]|\\{authid\\}){0,2}){0,2}"), 0..4),
            authid in "[ab]{1,2}",
            kind in kind(),
            uri in "[ab]{0,3}(\\.[ab]{0,3}){0,2}",
        ) {
            let make = |(matching, uri)| Rule { uri, matching, actions: vec![Action::Publish] };
            let rules: Vec<Rule> = rules.into_iter().map(make).collect();
            let role = Role { rules: rules.clone(), ..Role::default() };
            let grants = Grants::new(Arc::new(SharedRole::from(&role)), &authid);
            let expected = rules.iter().any(|rule| naive(rule, &authid, kind, &uri));
            prop_assert_eq!(grants.allow(&authid, Action::Publish, kind, &uri), expected);
            prop_assert!(!grants.allow(&authid, Action::Call, kind, &uri));
        }
    }
}

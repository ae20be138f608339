//! What a role may do, as the file says it and as the core takes it.

use ecep_proto::uri::Match;
use ecep_router_core::permissions::{Action, Disclosure, Role, Rule};
use ecep_router_core::profile::Profile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A role.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// Its name, as clients are told it in WELCOME (`authrole`).
    pub name: String,
    /// How to speak to its sessions, if not as the specification says.
    pub profile: Option<ProfileConfig>,
    /// Whether callees learn who of this role calls.
    #[serde(default)]
    pub disclose_caller: DisclosureConfig,
    /// Whether subscribers learn who of this role publishes.
    #[serde(default)]
    pub disclose_publisher: DisclosureConfig,
    /// How far callees and subscribers can trust what this role sends, in numbers that mean what they agree on; 0 is
    /// the lowest. Without it they are told nothing.
    #[schemars(range(max = 9007199254740992_u64))]
    pub trustlevel: Option<u64>,
    /// What its sessions may do; nothing without a rule.
    #[serde(default)]
    pub rule: Vec<RuleConfig>,
}

/// How to speak to a session.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileConfig {
    /// As the crate `wamp_async` needs it.
    WampAsync,
}

/// Whether others learn who a session is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisclosureConfig {
    /// If the session asks for it (`disclose_me`) or, for calls, the callee does (`disclose_caller`).
    #[default]
    OnRequest,
    /// Always.
    Always,
    /// Never; who asks for it is refused.
    Never,
}

/// A rule.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A URI or pattern; `{authid}` in it stands for the session's authid.
    pub uri: String,
    /// How the URI is compared.
    #[serde(default, rename = "match")]
    pub matching: MatchConfig,
    /// What is allowed there.
    pub allow: Vec<ActionConfig>,
}

/// How a rule's URI is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchConfig {
    /// The same URI.
    #[default]
    Exact,
    /// A URI that begins with it.
    Prefix,
    /// Component by component; an empty one stands for any.
    Wildcard,
}

/// What a rule allows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionConfig {
    /// CALL.
    Call,
    /// REGISTER.
    Register,
    /// PUBLISH.
    Publish,
    /// SUBSCRIBE.
    Subscribe,
}

impl RoleConfig {
    pub(super) fn role(&self) -> Role {
        let profile = match self.profile {
            Some(ProfileConfig::WampAsync) => Profile::WampAsync,
            None => Profile::Standard,
        };
        Role {
            name: self.name.clone(),
            profile,
            rules: self.rule.iter().map(RuleConfig::rule).collect(),
            disclose_caller: self.disclose_caller.into(),
            disclose_publisher: self.disclose_publisher.into(),
            trustlevel: self.trustlevel,
        }
    }
}

impl From<DisclosureConfig> for Disclosure {
    fn from(config: DisclosureConfig) -> Self {
        match config {
            DisclosureConfig::OnRequest => Self::OnRequest,
            DisclosureConfig::Always => Self::Always,
            DisclosureConfig::Never => Self::Never,
        }
    }
}

impl RuleConfig {
    fn rule(&self) -> Rule {
        let matching = match self.matching {
            MatchConfig::Exact => Match::Exact,
            MatchConfig::Prefix => Match::Prefix,
            MatchConfig::Wildcard => Match::Wildcard,
        };
        let actions = self.allow.iter().map(|action| match action {
            ActionConfig::Call => Action::Call,
            ActionConfig::Register => Action::Register,
            ActionConfig::Publish => Action::Publish,
            ActionConfig::Subscribe => Action::Subscribe,
        });
        Rule { uri: self.uri.clone(), matching, actions: actions.collect() }
    }
}

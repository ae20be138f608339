//! The procedures and topics of the router itself (specification, "WAMP Meta API").

/// What URIs of the protocol itself begin with: nobody but the router may register or publish them.
pub const RESERVED_PREFIX: &str = "wamp.";

/// A session has joined the realm.
pub const SESSION_ON_JOIN: &str = "wamp.session.on_join";
/// A session has left the realm.
pub const SESSION_ON_LEAVE: &str = "wamp.session.on_leave";
/// Tells how many sessions are in the realm.
pub const SESSION_COUNT: &str = "wamp.session.count";
/// Tells the ids of the sessions in the realm.
pub const SESSION_LIST: &str = "wamp.session.list";
/// Tells who a session is.
pub const SESSION_GET: &str = "wamp.session.get";
/// Ends a session.
pub const SESSION_KILL: &str = "wamp.session.kill";
/// Ends all sessions of an authid, but the caller's own.
pub const SESSION_KILL_BY_AUTHID: &str = "wamp.session.kill_by_authid";
/// Ends all sessions of a role, but the caller's own.
pub const SESSION_KILL_BY_AUTHROLE: &str = "wamp.session.kill_by_authrole";
/// Ends all sessions, but the caller's own.
pub const SESSION_KILL_ALL: &str = "wamp.session.kill_all";
/// Leaves an event to be published when the caller is gone.
pub const SESSION_ADD_TESTAMENT: &str = "wamp.session.add_testament";
/// Takes all events back that the caller left.
pub const SESSION_FLUSH_TESTAMENTS: &str = "wamp.session.flush_testaments";

/// A registration stands: its first callee has registered.
pub const REGISTRATION_ON_CREATE: &str = "wamp.registration.on_create";
/// A callee has been added to a registration.
pub const REGISTRATION_ON_REGISTER: &str = "wamp.registration.on_register";
/// A callee has left a registration.
pub const REGISTRATION_ON_UNREGISTER: &str = "wamp.registration.on_unregister";
/// A registration is gone: its last callee has left.
pub const REGISTRATION_ON_DELETE: &str = "wamp.registration.on_delete";
/// Tells the ids of all registrations.
pub const REGISTRATION_LIST: &str = "wamp.registration.list";
/// Tells the id of the registration of this very URI or pattern.
pub const REGISTRATION_LOOKUP: &str = "wamp.registration.lookup";
/// Tells the id of the registration that a call of this URI would reach.
pub const REGISTRATION_MATCH: &str = "wamp.registration.match";
/// Tells what a registration is.
pub const REGISTRATION_GET: &str = "wamp.registration.get";
/// Tells the ids of the sessions that are callees of a registration.
pub const REGISTRATION_LIST_CALLEES: &str = "wamp.registration.list_callees";
/// Tells how many callees a registration has.
pub const REGISTRATION_COUNT_CALLEES: &str = "wamp.registration.count_callees";
/// Takes a callee out of a registration. Not in the specification; crossbar has it.
pub const REGISTRATION_REMOVE_CALLEE: &str = "wamp.registration.remove_callee";

/// A subscription stands: its first subscriber has subscribed.
pub const SUBSCRIPTION_ON_CREATE: &str = "wamp.subscription.on_create";
/// A subscriber has been added to a subscription.
pub const SUBSCRIPTION_ON_SUBSCRIBE: &str = "wamp.subscription.on_subscribe";
/// A subscriber has left a subscription.
pub const SUBSCRIPTION_ON_UNSUBSCRIBE: &str = "wamp.subscription.on_unsubscribe";
/// A subscription is gone: its last subscriber has left.
pub const SUBSCRIPTION_ON_DELETE: &str = "wamp.subscription.on_delete";
/// Tells the ids of all subscriptions.
pub const SUBSCRIPTION_LIST: &str = "wamp.subscription.list";
/// Tells the id of the subscription of this very URI or pattern.
pub const SUBSCRIPTION_LOOKUP: &str = "wamp.subscription.lookup";
/// Tells the ids of the subscriptions that an event of this topic would reach.
pub const SUBSCRIPTION_MATCH: &str = "wamp.subscription.match";
/// Tells what a subscription is.
pub const SUBSCRIPTION_GET: &str = "wamp.subscription.get";
/// Tells the ids of the sessions that are subscribers of a subscription.
pub const SUBSCRIPTION_LIST_SUBSCRIBERS: &str = "wamp.subscription.list_subscribers";
/// Tells how many subscribers a subscription has.
pub const SUBSCRIPTION_COUNT_SUBSCRIBERS: &str = "wamp.subscription.count_subscribers";
/// Takes a subscriber out of a subscription. Not in the specification; crossbar has it.
pub const SUBSCRIPTION_REMOVE_SUBSCRIBER: &str = "wamp.subscription.remove_subscriber";

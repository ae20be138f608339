//! An event on its way from its publisher to whoever subscribes.

use std::sync::Arc;

use ecep_proto::id::PublicationId;
use ecep_proto::message::{Event, Publish, Published};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};

use super::Broker;
use super::filter::Filter;
use crate::meta::testaments::Testament;
use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Context;
use crate::session::{Session, SessionKey};

/// What a publisher wants.
#[derive(Clone, Debug)]
pub(crate) struct PublishOptions {
    acknowledge: bool,
    exclude_me: bool,
    disclose_me: bool,
    filter: Option<Box<Filter>>,
}

impl PublishOptions {
    /// Reads `PUBLISH.Options`.
    pub(crate) fn read(options: &Dict) -> Result<Self, Failure> {
        Ok(Self {
            acknowledge: options::flag(options, "acknowledge")?,
            exclude_me: options::flag_or(options, "exclude_me", true)?,
            disclose_me: options::flag(options, "disclose_me")?,
            filter: Filter::read(options)?,
        })
    }

    /// These options, if the session may have them.
    pub(crate) fn allowed(self, _: &Context, _: SessionKey) -> Result<Self, Failure> {
        Ok(self)
    }

    /// What subscribers are told besides the event.
    fn details(&self, publisher: &Session) -> Dict {
        if self.disclose_me { disclosed(publisher) } else { Dict::new() }
    }
}

/// Who gets an event, of those who subscribe.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    /// The publisher, unless it wants its own event.
    pub(super) except: Option<SessionKey>,
    pub(super) filter: Option<Box<Filter>>,
}

impl Broker {
    /// Delivers an event once for each subscription that matches: a subscriber with two of them gets it twice, each
    /// under its own subscription id, as the specification has it.
    pub(crate) fn publish(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Publish,
    ) -> Result<(), Failure> {
        let options = PublishOptions::read(&message.options)?;
        let acknowledge = options.acknowledge;
        let checked =
            publishable(cx, from, message.topic).and_then(|topic| Ok((topic, options.allowed(cx, from)?)));
        let (topic, options) = match checked {
            Ok(checked) => checked,
            // "If the publication fails and acknowledge is not set, the publisher is not told."
            Err(Failure::Refused { .. }) if !acknowledge => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let Some(publisher) = cx.sessions.get(from) else { return Ok(()) };
        let details = options.details(publisher);
        let publication = cx.ids.publication();
        if acknowledge {
            cx.send(from, Published { request: message.request, publication });
        }
        let audience = Audience { except: options.exclude_me.then_some(from), filter: options.filter };
        self.deliver(cx, topic.as_str(), publication, &details, &message.payload, &audience);
        Ok(())
    }

    /// Publishes what a session has left, if it still might.
    pub(crate) fn publish_testament(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        publisher: &Session,
        testament: Testament,
    ) {
        let Testament { topic, options, payload, .. } = testament;
        if publisher.grants.allow(Action::Publish, Match::Exact, topic.as_str()) {
            let publication = cx.ids.publication();
            let details = options.details(publisher);
            let audience = Audience { except: options.exclude_me.then_some(from), filter: options.filter };
            self.deliver(cx, topic.as_str(), publication, &details, &payload, &audience);
        }
    }

    /// Delivers a meta event to whoever subscribes to it.
    pub(crate) fn publish_meta(&mut self, cx: &mut Context, topic: &str, payload: &Payload) {
        let publication = cx.ids.publication();
        self.deliver(cx, topic, publication, &Dict::new(), payload, &Audience::default());
    }

    fn deliver(
        &mut self,
        cx: &mut Context,
        topic: &str,
        publication: PublicationId,
        details: &Dict,
        payload: &Payload,
        audience: &Audience,
    ) {
        self.covering.clear();
        self.by_pattern.covering_into(topic, &mut self.covering);
        for id in &self.covering {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            let mut to = subscription.subscribers();
            if let Some(filter) = &audience.filter {
                let passes =
                    |key: &SessionKey| cx.sessions.get(*key).is_some_and(|session| filter.passes(session));
                to = to.iter().copied().filter(passes).collect::<Arc<[SessionKey]>>();
            }
            if to.iter().all(|key| Some(*key) == audience.except) {
                continue;
            }
            let details = for_subscription(details, subscription.kind, topic);
            let event = Event { subscription: *id, publication, details, payload: payload.clone() };
            cx.broadcast(to, audience.except, event);
        }
    }
}

/// Checks a topic that the session wants to publish to.
pub(crate) fn publishable(cx: &Context, from: SessionKey, topic: String) -> Result<Uri, Failure> {
    let topic = options::uri(topic, Match::Exact, cx.strictness)?;
    options::unreserved(&topic)?;
    cx.permit(from, Action::Publish, Match::Exact, topic.as_str())?;
    Ok(topic)
}

fn disclosed(publisher: &Session) -> Dict {
    Dict::from([
        ("publisher".into(), Value::from(publisher.id.get())),
        ("publisher_authid".into(), Value::from(publisher.identity.authid.as_str())),
        ("publisher_authrole".into(), Value::from(publisher.identity.authrole.as_str())),
    ])
}

/// Who subscribes to a pattern must be told the topic.
fn for_subscription(details: &Dict, kind: Match, topic: &str) -> Dict {
    let mut details = details.clone();
    if kind != Match::Exact {
        details.insert("topic".into(), Value::from(topic));
    }
    details
}
